"""Buckets: whose vectors are summed together, for robust rules over bucket means and for regions with a leader.

They change nothing else of a session: shares, the vote and its certificate run over the whole roster, and one bitmap
of survivors stands for all buckets. A bucket that lost too many of its members is *void*: all of it is left out of the
survivors, so its masks never come off, and the versions in it are free again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from peerage_crypto.digest import tagged

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

SMALLEST_BUCKET = 5
FEWEST_SURVIVORS = 4

Buckets = tuple[tuple[bytes, ...], ...]


@dataclass(frozen=True, slots=True)
class Grouping:
    """What the federation agreed on: so many drawn buckets, or declared regions; one bucket is the plain session.

    `least` is how many sums the rule over them needs: with fewer there is no session. `leaders` are the peers that
    gather the vectors of their region for the initiator.
    """

    buckets: int = 1
    regions: tuple[frozenset[bytes], ...] = ()
    least: int = 1
    leaders: frozenset[bytes] = frozenset()

    @property
    def flat(self) -> bool:
        return self.buckets == 1 and len(self.regions) < 2

    def split(self, members: tuple[bytes, ...], seed: bytes) -> Buckets:
        """The buckets of a roster (`members` sorted), each sorted.

        `seed` is the shared randomness of the round before: fixed before anybody joins this one, nobody's to choose.
        """
        if self.flat:
            return (members,)
        if self.regions:
            return _by_region(members, self.regions)
        return _drawn(members, self.buckets, seed)


FLAT = Grouping()


def tolerated(size: int) -> int:
    """How many of its members a bucket may lose."""
    return max(1, size // 8)


def least_survivors(size: int) -> int:
    """Fewer survivors than this void a bucket."""
    return max(size - tolerated(size), FEWEST_SURVIVORS)


def live(buckets: Buckets, survivors: Collection[bytes]) -> int:
    """How many buckets have survivors."""
    return sum(any(m in survivors for m in bucket) for bucket in buckets)


def void_members(buckets: Buckets, survivors: Collection[bytes]) -> frozenset[bytes]:
    """The survivors whose bucket has lost too many: they cannot stay. Empty for a single bucket, whose rule is D."""
    if len(buckets) == 1:
        return frozenset()
    alive = [[m for m in bucket if m in survivors] for bucket in buckets]
    return frozenset(
        m for bucket, left in zip(buckets, alive, strict=True) if len(left) < least_survivors(len(bucket)) for m in left
    )


def _drawn(members: tuple[bytes, ...], count: int, seed: bytes) -> Buckets:
    """As many buckets as agreed, or as many as have five members; sizes differ by one at most."""
    count = max(1, min(count, len(members) // SMALLEST_BUCKET))
    order = sorted(members, key=lambda m: tagged("peerage/bucket/v1", seed, m))
    return tuple(tuple(sorted(order[i::count])) for i in range(count))


def _by_region(members: tuple[bytes, ...], regions: Sequence[frozenset[bytes]]) -> Buckets:
    """Regions in their declared order; one with fewer than five members here is summed with the next."""
    found: list[list[bytes]] = []
    waiting: list[bytes] = []
    for region in regions:
        waiting += [m for m in members if m in region]
        if len(waiting) >= SMALLEST_BUCKET:
            found.append(waiting)
            waiting = []
    waiting += [m for m in members if not any(m in region for region in regions)]
    if waiting and (len(waiting) >= SMALLEST_BUCKET or not found):
        found.append(waiting)
    elif waiting:
        found[-1] += waiting
    return tuple(tuple(sorted(bucket)) for bucket in found)
