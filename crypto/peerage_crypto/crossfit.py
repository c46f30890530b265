"""Private validation: each survivor's path gradient under pair masks of its half, and the sum of a half in the clear.

The registered peers are drawn into two halves by the shared randomness of the first round's session, once: halves that
changed from round to round would give sums enough to solve for single gradients (ADR 15 measures it). A member of a
half masks its gradient towards the other survivors of that half only, with keys that come from the pair keys of the
session, and with no mask of its own: nothing is ever reconstructed, so the sum of a half is known when *all* of it has
delivered, and never before.

First everybody commits (`PathGradient`), then everybody shows: whoever waits to see the others' vectors has signed its
own by then. What a gradient says cannot be checked. Its length can, a little: an honest one is LENGTH long, and a sum
longer than all of them together gives the round away as spoilt, though not by whom.

The direction for one half is made of the other half's sum (cross-fit), so a bent gradient moves nobody's own number.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from peerage_crypto.agreement import derive
from peerage_crypto.digest import sha256, tagged
from peerage_crypto.fixedpoint import into_ring, norm_limit, ring, to_signed
from peerage_crypto.masking import apply_masks, total_of
from peerage_crypto.statements import Bytes32, PathGradient, Signed
from peerage_crypto.thresholds import COMPLETE_GRAPH_LIMIT, colluders

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from peerage_crypto.secagg_judge import Proven

RING = ring(32)  # whatever the ring of the updates: 16 vectors of LENGTH stay far inside its signed range
FRAC_BITS = 22  # of a gradient's coordinates
LENGTH = 1.0  # of every gradient, before it goes on the grid
LEAST_HALF, LEAST_HONEST = 4, 3  # members of a half; those of them that do not collude, at the worst draw


class ShownGradient(msgspec.Struct, frozen=True, array_like=True):
    """One survivor's commitment and the artefact that it opens to: its masked path gradient."""

    signed: Signed[PathGradient]
    artefact: Bytes32


@dataclass(frozen=True, slots=True)
class Halves:
    """Who is in which half of one session; each sorted by address."""

    sid: bytes
    members: tuple[tuple[bytes, ...], tuple[bytes, ...]]

    def of(self, member: bytes) -> int:
        """The half of a survivor, and the row of the directions along which its number is opened."""
        return 0 if member in self.members[0] else 1

    def both_ways(self, a: bytes, b: bytes) -> tuple[int, ...]:
        """Under which directions the mask of this pair is stated: one for a pair of one half, else both."""
        return tuple(sorted({self.of(a), self.of(b)}))

    def digest(self, half: int) -> bytes:
        """The salt of a half's mask keys: they cancel only among peers who agree who is in it."""
        return tagged("peerage/half/v1", self.sid, bytes([half]), *self.members[half])

    def too_small(self, colluding: int) -> str:
        """Why these halves hide too little if so many collude, all in one of them; empty when they do not."""
        sizes = tuple(len(half) for half in self.members)
        least = least_half(colluding)
        if min(sizes) >= least:
            return ""
        return f"halves of {sizes[0]} and {sizes[1]} survivors where each needs {least} with {colluding} colluding"


def draw(seed: bytes, sid: bytes, registered: Collection[bytes], survivors: Sequence[bytes]) -> Halves:
    """Who of the survivors is in which half: a hash of the seed orders the registered peers, the first half is half 0.

    Whoever is lost changes nobody else's half.
    """
    order = sorted(registered, key=lambda member: tagged("peerage/halves/v1", seed, member))
    first = set(order[: (len(order) + 1) // 2])
    inside = tuple(sorted(member for member in survivors if member in first))
    return Halves(sid, (inside, tuple(sorted(member for member in survivors if member not in first))))


def least_half(colluding: int) -> int:
    """The fewest members of a half whose sum may be known."""
    return max(LEAST_HALF, colluding + LEAST_HONEST)


def possible(peers: int) -> bool:
    """Whether a round in which nobody is lost can be scored; masks on a sparse graph would not hold a half together."""
    return peers <= COMPLETE_GRAPH_LIMIT and peers // 2 >= least_half(colluders(peers))


# -- one member --------------------------------------------------------------------------------------------------------


def gradient_key(pair: bytes, halves: Halves, a: bytes, b: bytes) -> bytes:
    """The mask key of a pair within its half, from the pair key of the session; equal on both sides."""
    info = b"peerage/v1/path-gradient" + min(a, b) + max(a, b)
    return derive(pair, halves.digest(halves.of(a)), info)


def mask(units: NDArray[np.int64], me: bytes, pair_keys: Mapping[bytes, bytes], halves: Halves) -> bytes:
    """My gradient under the masks of my half, as an artefact. KeyError without a pair key for all of it."""
    others = [m for m in halves.members[halves.of(me)] if m != me]
    keys = {other: gradient_key(pair_keys[other], halves, me, other) for other in others}
    plus, minus = ([keys[m] for m in others if (m > me) is up] for up in (True, False))
    return apply_masks(into_ring(units, RING), plus, minus, RING).tobytes()


def commitment(sid: bytes, owner: bytes, artefact: bytes) -> bytes:
    """What a survivor signs before it has seen anybody's vector. The vector looks uniform, so its hash hides it."""
    return tagged("peerage/path-gradient/v1", sid, owner, artefact)


def statement_of(halves: Halves, me: bytes, blob: bytes) -> PathGradient:
    """My commitment."""
    return PathGradient(halves.sid, halves.of(me), commitment(halves.sid, me, sha256(blob)), len(blob))


def statement_fault(halves: Halves, parameters: int, s: PathGradient, owner: bytes) -> str:
    """Why a survivor's statement is none of this session; empty when it is one. Its signature is not looked at."""
    if s.sid != halves.sid or s.half != halves.of(owner):
        return "its path gradient is for another half than its own"
    if s.length != parameters * RING.word_bytes:
        return f"its path gradient has {s.length} bytes where the model has {parameters} parameters"
    return ""


# -- a half ------------------------------------------------------------------------------------------------------------


def words_of(blob: bytes) -> NDArray[np.unsignedinteger]:
    """A masked gradient's ring elements; ValueError for a length that no vector has."""
    return np.frombuffer(blob, RING.dtype)


def sum_of(vectors: Sequence[NDArray[np.unsignedinteger]]) -> NDArray[np.int64]:
    """What a half says together (d,): the masks cancel when all of it is there, and only then."""
    return to_signed(total_of(vectors, RING)).astype(np.int64)


def too_long(total: NDArray[np.int64], members: int) -> bool:
    """Whether a half's sum is longer than so many honest gradients can make it. Exact: peers must not differ in it."""
    high, low = total >> 16, total & 0xFFFF  # |total| < 2^31: no product below leaves 2^32, no sum of them 2^63
    squared = (int(high @ high) << 32) + (int(high @ low) << 17) + int(low @ low)
    return squared > floor(members * norm_limit(FRAC_BITS, LENGTH, len(total))) ** 2


def sums_of(halves: Halves, blobs: Mapping[bytes, bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | str:
    """The sums of both halves from all masked vectors, or why they make no directions."""
    first, second = (sum_of([words_of(blobs[m]) for m in half]) for half in halves.members)
    for total, half in zip((first, second), halves.members, strict=True):
        if too_long(total, len(half)):
            return "the path gradients of a half add up to more than all of them may be long: one of them lies"
        if not total.any():
            return "the path gradients of a half add up to nothing"
    return first, second


def shown_fault(proven: Proven, parameters: int, shown: Sequence[ShownGradient]) -> str:
    """Why these are not the gradients of all survivors, in their order; empty when they are."""
    halves = proven.halves
    if halves is None:
        return "nobody's path gradient belongs to this federation's rounds"
    if len(shown) != len(proven.u3):
        return f"{len(shown)} path gradients where {len(proven.u3)} survived"
    small = halves.too_small(proven.roster.limits.colluders)
    if small:
        return small
    for owner, one in zip(proven.u3, shown, strict=True):
        s = one.signed.statement
        if not one.signed.is_by(owner, proven.roster.plan.domain):
            return "a path gradient is not signed by its survivor"
        fault = statement_fault(halves, parameters, s, owner)
        if fault:
            return fault
        if s.commitment != commitment(s.sid, owner, one.artefact):
            return "a path gradient is not the one that its owner committed to"
    return ""
