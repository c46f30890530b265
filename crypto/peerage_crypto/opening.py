"""Open one number of each update, < q_i , g >, from masks that hide everything else of it.

Masks are linear: y_i = q_i + PRG(b_i) + sum_{j>i} PRG(s_ij) - sum_{j<i} PRG(s_ij). After the sum is known every pair
publishes the one number z_ij = < PRG(s_ij), g >, and anyone takes the masks off < y_i , g >. Given the z's the pair
masks stay uniform on the hyperplane < R, g > = z, so an observer learns the sum and this one functional of each
update. g must therefore be public, one per session, and every member's own (a chosen g = e_k would open coordinate k).

One per session means one for *all*: whoever showed g to peer i and g' to the others would have < q_i , g > from i's
words and < q_i , g' > from the others'. So a member first pledges (signs the direction and the digest of its numbers),
and its numbers leave only when a quorum of the survivors has signed the same direction (`Gate`). Two such quorums share
an honest survivor. The pledge also comes before anybody's numbers are seen: nobody can copy the other end's word.

Where validation is private (`crossfit`) there are two directions, one for the members of each half, and g below is
a pair of rows. A pair across the halves states its number under both: each end's mask must come off along its own g.

If both ends of a pair state different numbers, somebody lies. Honest peers never contradict each other, so whoever is
contradicted by more than c others is a liar and the others' word counts; a contradiction that stays undecided leaves
both ends without a number. A peer that vanished is opened by its neighbours' words alone: the pair keys themselves are
never shown, because all keys of one peer would show its whole update.
"""

from __future__ import annotations

from collections import Counter
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

Word = dict[bytes, dict[int, int]]  # one peer's numbers: for each partner, by row of g
PairNumber = Annotated[int, msgspec.Meta(ge=0)]  # meant mod 2^w; msgspec cannot say "below 2^64", values_digest does


class Openings(msgspec.Struct, frozen=True, tag="openings"):
    """One survivor's pair numbers, for every survivor that it shares a mask with, in roster order, signed.

    For a partner of the other half two of them: along the direction of half 0, then along that of half 1.
    """

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
    agreed: dict[tuple[bytes, bytes], dict[int, int]]  # of each pair that does not contradict itself, by row of g


def values_digest(values: tuple[int, ...]) -> bytes:
    """What a peer signs for its pair numbers; ValueError for one outside 0 to 2^64 - 1."""
    if not all(0 <= v < 1 << 64 for v in values):
        raise ValueError("a pair number has at most 64 bits")
    return tagged("peerage/opening/v1", *(v.to_bytes(8, "little") for v in values))


def pair_numbers(
    pair_keys: Mapping[bytes, bytes], me: bytes, g: NDArray[np.unsignedinteger], proven: Proven
) -> tuple[int, ...]:
    """My z_ij for every survivor that I share a mask with, in roster order, mod 2^w."""
    rows = np.atleast_2d(g)
    return tuple(inner_key(pair_keys[other], rows[k], proven.roster.plan.ring) for other, k in slots(proven, me))


def slots(proven: Proven, me: bytes) -> tuple[tuple[bytes, int], ...]:
    """What each of my pair numbers is about: the partner, and the row of g."""
    halves = proven.halves
    return tuple((other, k) for other in proven.partners(me) for k in (halves.both_ways(me, other) if halves else (0,)))


def own_row(proven: Proven, member: bytes) -> int:
    """The row of g along which a survivor's number is opened."""
    halves = proven.halves
    return halves.of(member) if halves else 0


def products_of(
    vectors: Mapping[bytes, NDArray[np.unsignedinteger]], g: NDArray[np.unsignedinteger], proven: Proven
) -> dict[bytes, int]:
    """< y_i , g > mod 2^w of masked vectors, each along its owner's direction: anybody who has them can tell."""
    rows, ring = np.atleast_2d(g), proven.roster.plan.ring
    return {peer: inner(vector, rows[own_row(proven, peer)], ring) for peer, vector in vectors.items()}


def open_numbers(
    proven: Proven,
    transcript: SessionTranscript,
    products: Mapping[bytes, int],
    g: NDArray[np.unsignedinteger],
    stated: Mapping[bytes, tuple[int, ...]],
) -> Opened:
    """All opened numbers, as signed integers.

    `products` are the survivors' < y_i , g >, `g` a ring vector of the plan's length (with halves: two, as rows),
    `stated` each speaking survivor's pair numbers as in `Openings.values`.
    """
    ring, u3, rows = proven.roster.plan.ring, proven.u3, np.atleast_2d(g)
    word = _words(proven, ring.modulus, stated)
    pairs = [(i, j) for i in u3 for j in proven.partners(i) if i < j]
    liars = _liars(word, u3, pairs, proven.roster.limits.colluders)
    z, disputed = _agree(word, pairs, liars)
    u2_digest = proven.roster.u2_digest(transcript.u2)
    seeds = dict(zip(u3, transcript.self_seeds, strict=True))
    secrets = dict(zip(proven.dropped, transcript.mask_secrets, strict=True))
    numbers: dict[bytes, int | None] = {}
    for i in u3:
        partners, k = proven.partners(i), own_row(proven, i)
        if any((min(i, j), max(i, j)) not in z for j in partners):
            numbers[i] = None
            continue
        value = products[i] - inner_key(self_key(seeds[i], u2_digest, i, ring.bits), rows[k], ring)
        value -= sum(z[i, j][k] for j in partners if j > i) - sum(z[j, i][k] for j in partners if j < i)
        for gone, secret in ((m, secrets[m]) for m in proven.roster.partners(i) if m in secrets):
            key = pair_key(secret, proven.roster.join_of(i).mask_key, u2_digest, gone, i, ring.bits)
            value -= inner_key(key, rows[k], ring) * (1 if gone > i else -1)
        numbers[i] = signed(value, ring.bits)
    return Opened(numbers, liars, disputed, z)


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


def _words(proven: Proven, modulus: int, stated: Mapping[bytes, tuple[int, ...]]) -> dict[bytes, Word]:
    word: dict[bytes, Word] = {}
    for i, values in stated.items():
        if i in proven.u3:
            word[i] = {}
            for (j, k), value in zip(slots(proven, i), values, strict=True):
                word[i].setdefault(j, {})[k] = value % modulus
    return word


def _liars(
    word: dict[bytes, Word], u3: tuple[bytes, ...], pairs: list[tuple[bytes, bytes]], colluders: int
) -> tuple[bytes, ...]:
    contradicted = Counter(
        end for i, j in pairs if i in word and j in word and word[i][j] != word[j][i] for end in (i, j)
    )
    return tuple(i for i in u3 if contradicted[i] > max(colluders, 1))


def _agree(
    word: dict[bytes, Word], pairs: list[tuple[bytes, bytes]], liars: tuple[bytes, ...]
) -> tuple[dict[tuple[bytes, bytes], dict[int, int]], tuple[tuple[bytes, bytes], ...]]:
    z: dict[tuple[bytes, bytes], dict[int, int]] = {}
    disputed: list[tuple[bytes, bytes]] = []
    for i, j in pairs:
        claims = [word[a][b] for a, b in ((i, j), (j, i)) if a in word and a not in liars]
        if claims and all(claim == claims[0] for claim in claims):
            z[i, j] = claims[0]
        elif claims:
            disputed.append((i, j))
    return z, tuple(disputed)
