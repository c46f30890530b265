"""Open one number of each update, < q_i , g >, from masks that hide everything else of it.

Masks are linear: y_i = q_i + PRG(b_i) + sum_{j>i} PRG(s_ij) - sum_{j<i} PRG(s_ij). After the sum is known every pair
publishes the one number z_ij = < PRG(s_ij), g >, and anyone takes the masks off < y_i , g >. Given the z's the pair
masks stay uniform on the hyperplane < R, g > = z, so an observer learns the sum and this one functional of each
update. g must therefore be public, one per session, and every member's own (a chosen g = e_k would open coordinate k).

One per session means one for *all*: whoever showed g to peer i and g' to the others would have < q_i , g > from i's
words and < q_i , g' > from the others'. So a member first pledges (signs the direction and the digest of its numbers),
and its numbers leave only when a quorum of the survivors has signed the same direction (`Gate`). Two such quorums share
an honest survivor. The pledge also comes before anybody's numbers are seen: nobody can copy the other end's word.

If both ends of a pair state different numbers, somebody lies. Honest peers never contradict each other, so whoever is
contradicted by more than c others is a liar and the others' word counts; a contradiction that stays undecided leaves
both ends without a number. A peer that vanished is opened by its neighbours' words alone: the pair keys themselves are
never shown, because all keys of one peer would show its whole update.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from peerage_crypto.digest import tagged
from peerage_crypto.identity import BadSignature
from peerage_crypto.masking import inner, inner_key
from peerage_crypto.secagg_member import pair_key, self_key
from peerage_crypto.statements import Bytes32, Opening, Signed
from peerage_crypto.thresholds import opening_quorum

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from peerage_crypto.secagg_judge import Proven
    from peerage_crypto.session import SessionTranscript

PairNumber = Annotated[int, msgspec.Meta(ge=0)]  # meant mod 2^w; msgspec cannot say "below 2^64", values_digest does


class Openings(msgspec.Struct, frozen=True, tag="openings"):
    """One survivor's pair numbers, for every other survivor in roster order, signed."""

    sid: Bytes32
    signed: Signed[Opening]
    values: tuple[PairNumber, ...]


class Pledge(msgspec.Struct, frozen=True, tag="pledge"):
    """Member to all: for this direction I will open, and these (by digest) are my numbers."""

    sid: Bytes32
    signed: Signed[Opening]


class Gate:
    """Holds one member's pair numbers back until enough survivors have pledged the same direction; opens once."""

    def __init__(self, proven: Proven) -> None:
        self.proven, self.quorum = proven, opening_quorum(len(proven.u3), proven.roster.limits.colluders)
        self._mine: Openings | None = None
        self._pledged: dict[bytes, bytes] = {}  # survivor -> the direction of its first pledge

    def pledge(self, mine: Openings) -> Openings | None:
        """My numbers are ready and my pledge is on its way to all; returns them when they may go as well."""
        self._mine = mine
        return self.on_pledge(mine.signed)

    def on_pledge(self, signed: Signed[Opening]) -> Openings | None:
        """Somebody's pledge; returns my numbers when this one makes the quorum, and None ever after."""
        s = signed.statement
        try:
            signer = signed.signer(self.proven.roster.plan.domain)
        except BadSignature:
            return None
        if s.sid == self.proven.roster.plan.sid and signer in self.proven.u3:
            self._pledged.setdefault(signer, s.direction)
        mine = self._mine
        if mine is None or list(self._pledged.values()).count(mine.signed.statement.direction) < self.quorum:
            return None
        self._mine = None
        return mine


@dataclass(frozen=True, slots=True)
class Opened:
    """Each survivor's number (None where it stays closed) and who was caught contradicting the others."""

    numbers: dict[bytes, int | None]
    liars: tuple[bytes, ...]
    disputed: tuple[tuple[bytes, bytes], ...]


def values_digest(values: tuple[int, ...]) -> bytes:
    """What a peer signs for its pair numbers; ValueError for one outside 0 to 2^64 - 1."""
    if not all(0 <= v < 1 << 64 for v in values):
        raise ValueError("a pair number has at most 64 bits")
    return tagged("peerage/opening/v1", *(v.to_bytes(8, "little") for v in values))


def pair_numbers(
    pair_keys: Mapping[bytes, bytes],
    me: bytes,
    survivors: tuple[bytes, ...],
    g: NDArray[np.unsignedinteger],
    proven: Proven,
) -> tuple[int, ...]:
    """My z_ij for every other survivor, in roster order, mod 2^w."""
    return tuple(inner_key(pair_keys[other], g, proven.roster.plan.ring) for other in survivors if other != me)


def open_numbers(
    proven: Proven,
    transcript: SessionTranscript,
    vectors: Mapping[bytes, NDArray[np.unsignedinteger]],
    g: NDArray[np.unsignedinteger],
    stated: Mapping[bytes, tuple[int, ...]],
) -> Opened:
    """All opened numbers, as signed integers.

    `vectors` are the survivors' masked vectors, `g` a ring vector of the plan's length, `stated` each speaking
    survivor's pair numbers as in `Openings.values`.
    """
    ring, u3 = proven.roster.plan.ring, proven.u3
    word = {
        i: dict(zip((m for m in u3 if m != i), (v % ring.modulus for v in values), strict=True))
        for i, values in stated.items()
        if i in u3
    }
    liars = _liars(word, u3, proven.roster.limits.colluders)
    z, disputed = _agree(word, u3, liars)
    u2_digest = proven.roster.u2_digest(transcript.u2)
    seeds = dict(zip(u3, transcript.self_seeds, strict=True))
    secrets = dict(zip(proven.dropped, transcript.mask_secrets, strict=True))
    numbers: dict[bytes, int | None] = {}
    for i in u3:
        if any((min(i, j), max(i, j)) not in z for j in u3 if j != i):
            numbers[i] = None
            continue
        value = inner(vectors[i], g, ring) - inner_key(self_key(seeds[i], u2_digest, i, ring.bits), g, ring)
        value -= sum(z[i, j] for j in u3 if j > i) - sum(z[j, i] for j in u3 if j < i)
        for gone, secret in secrets.items():
            key = pair_key(secret, proven.roster.join_of(i).mask_key, u2_digest, gone, i, ring.bits)
            value -= inner_key(key, g, ring) * (1 if gone > i else -1)
        numbers[i] = signed(value, ring.bits)
    return Opened(numbers, liars, disputed)


def add_up(numbers: tuple[int | None, ...], total: NDArray[np.unsignedinteger], g: NDArray[np.unsignedinteger]) -> bool:
    """Whether recorded numbers can be those of this sum: together they are < sum , g > mod 2^w, which anybody knows.

    Nobody can raise his own number in a record without lowering another's, and everybody knows his own. A number that
    stayed closed leaves the sum open; then this says nothing (True).
    """
    if any(number is None for number in numbers):
        return True
    modulus = 1 << 8 * total.dtype.itemsize
    return (sum(number or 0 for number in numbers) - int(np.dot(total, g))) % modulus == 0


def signed(value: int, bits: int) -> int:
    """The representative of value mod 2^bits in [-2^(bits-1), 2^(bits-1))."""
    half = 1 << (bits - 1)
    return (value + half) % (1 << bits) - half


def _liars(word: dict[bytes, dict[bytes, int]], u3: tuple[bytes, ...], colluders: int) -> tuple[bytes, ...]:
    contradicted = {
        i: sum(1 for j in u3 if j != i and i in word and j in word and word[i][j] != word[j][i]) for i in u3
    }
    return tuple(i for i, count in contradicted.items() if count > max(colluders, 1))


def _agree(
    word: dict[bytes, dict[bytes, int]], u3: tuple[bytes, ...], liars: tuple[bytes, ...]
) -> tuple[dict[tuple[bytes, bytes], int], tuple[tuple[bytes, bytes], ...]]:
    z: dict[tuple[bytes, bytes], int] = {}
    disputed: list[tuple[bytes, bytes]] = []
    for i in u3:
        for j in u3:
            if i >= j:
                continue
            claims = {word[a][b] for a, b in ((i, j), (j, i)) if a in word and a not in liars}
            if len(claims) == 1:
                z[i, j] = claims.pop()
            elif claims:
                disputed.append((i, j))
    return z, tuple(disputed)
