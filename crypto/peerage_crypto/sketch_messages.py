"""The messages of a screening, in their order; who sends them, and when, is told in docs/sketches.md."""

from __future__ import annotations

from typing import Annotated

import msgspec

from peerage_crypto.statements import Bytes20, Bytes32, MaskedUpdate, Screening, Signed, Sketch

Share = Annotated[bytes, msgspec.Meta(min_length=33, max_length=33)]
Bitmap = Annotated[bytes, msgspec.Meta(min_length=1, max_length=32)]
Numbers = Annotated[bytes, msgspec.Meta(min_length=1, max_length=200 << 10)]


class SeedShare(msgspec.Struct, frozen=True, array_like=True):
    """A share of what stands behind one survivor's randomness."""

    owner: Bytes20
    share: Share


class SeedShares(msgspec.Struct, frozen=True, tag="seed-shares"):
    """Voter to initiator, under the certificate: my late randomness, and my shares of that of the other survivors."""

    sid: Bytes32
    late: Bytes32
    shares: tuple[SeedShare, ...]


class Seeded(msgspec.Struct, frozen=True, tag="seeded"):
    """Initiator to all: the late randomness of all certified survivors, in roster order."""

    sid: Bytes32
    lates: tuple[Bytes32, ...]


class Sketched(msgspec.Struct, frozen=True, tag="sketched"):
    """Voter to all: for each direction < y_i , u >, < PRG(b_i) , u > and < PRG(s_ij) , u > for each partner in U2.

    `numbers` are words of the ring, little-endian, direction by direction, partners in roster order.
    """

    sid: Bytes32
    signed: Signed[Sketch]
    numbers: Numbers


class Screened(msgspec.Struct, frozen=True, tag="screened"):
    """Initiator to all: who passes (U4), whose < y_i , u > is not that of its vector, and the sketches that say so."""

    sid: Bytes32
    u4: Bitmap
    false: Bitmap
    sketches: tuple[Sketched, ...]


class Approval(msgspec.Struct, frozen=True, tag="approval"):
    """Member to initiator: my one vote for U4."""

    sid: Bytes32
    signed: Signed[Screening]


class Cleared(msgspec.Struct, frozen=True, tag="cleared"):
    """Initiator to all: at least T votes for one U4."""

    sid: Bytes32
    u4: Bitmap
    screening: Bytes32
    votes: tuple[Signed[Screening], ...]


class ScreeningRecord(msgspec.Struct, frozen=True):
    """What a transcript keeps of a screening: the first survivors, what was opened of them, and the second certificate.

    `u3` are the survivors of the first certificate, `left_out` the manifests of those among them that did not pass.
    """

    u3: Bitmap
    left_out: tuple[Signed[MaskedUpdate], ...]
    lates: tuple[Bytes32, ...]
    false: Bitmap
    sketches: tuple[Sketched, ...]
    votes: tuple[Signed[Screening], ...]
