"""Open one number of each update, < q_i , g >, from masks that hide everything else of it.

Masks are linear: y_i = q_i + PRG(b_i) + sum_{j>i} PRG(s_ij) - sum_{j<i} PRG(s_ij). After the sum is known every pair
publishes the one number z_ij = < PRG(s_ij), g >, and anyone takes the masks off < y_i , g >. Given the z's the pair
masks stay uniform on the hyperplane < R, g > = z, so an observer learns the sum and this one functional of each
update. g must therefore be public, one per session, and every member's own (a chosen g = e_k would open coordinate k).

If both ends of a pair state different numbers, somebody lies. Honest peers never contradict each other, so whoever is
contradicted by more than c others is a liar and the others' word counts; a contradiction that stays undecided leaves
both ends without a number. A peer that vanished is opened by its neighbours' words alone: the pair keys themselves are
never shown, because all keys of one peer would show its whole update.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from peerage_crypto.digest import tagged
from peerage_crypto.masking import inner, inner_key
from peerage_crypto.secagg_member import pair_key, self_key
from peerage_crypto.statements import Bytes32, Opening, Signed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from peerage_crypto.secagg_judge import Proven
    from peerage_crypto.session import SessionTranscript

PairNumber = Annotated[int, msgspec.Meta(ge=0)]  # below 2^w; msgspec bounds integers to 64 bits by itself


class Openings(msgspec.Struct, frozen=True, tag="openings"):
    """One survivor's pair numbers, for every other survivor in roster order, signed."""

    sid: Bytes32
    signed: Signed[Opening]
    values: tuple[PairNumber, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """Each survivor's number (None where it stays closed) and who was caught contradicting the others."""

    numbers: dict[bytes, int | None]
    liars: tuple[bytes, ...]
    disputed: tuple[tuple[bytes, bytes], ...]


def values_digest(values: tuple[int, ...]) -> bytes:
    """What a peer signs for its pair numbers."""
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
    word = {i: dict(zip((m for m in u3 if m != i), values, strict=True)) for i, values in stated.items() if i in u3}
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
