"""What public sums alone give away, from who was in which: differences of sums, and sums that solve for one peer.

The worst case in which a peer's update is the same in every round: then each sum is one linear equation, and whoever
has them all solves for a peer as soon as its unit vector is in their span. Ranks are taken modulo a prime above every
minor of a 0/1 matrix with 128 columns (Hadamard's bound is below 2^325), so they are exact.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

PRIME = (1 << 521) - 1

P = TypeVar("P", bound=Hashable)


class Span(Generic[P]):
    """The row space of the sums so far, in reduced row echelon form: {pivot peer: {peer: coefficient}}."""

    def __init__(self) -> None:
        self._rows: dict[P, dict[P, int]] = {}
        self._seen: set[frozenset[P]] = set()

    @property
    def rank(self) -> int:
        return len(self._rows)

    @property
    def peers(self) -> int:
        """How many peers were in any of the sums."""
        return len(frozenset[P]().union(*self._seen))

    def add(self, members: frozenset[P]) -> bool:
        """One more sum; whether it says anything that the others did not."""
        if not members or members in self._seen:
            return False
        self._seen.add(members)
        row = dict.fromkeys(members, 1)
        for pivot in members & self._rows.keys():
            _take(row, self._rows[pivot], row[pivot])
        if not row:
            return False
        pivot = next(iter(row))
        scale = pow(row[pivot], -1, PRIME)
        row = {peer: value * scale % PRIME for peer, value in row.items()}
        for other in self._rows.values():
            if pivot in other:
                _take(other, row, other[pivot])
        self._rows[pivot] = row
        return True

    def solved(self) -> frozenset[P]:
        """Whose updates follow: in reduced form the unit vector of a peer is in the span only as a row of its own."""
        return frozenset(pivot for pivot, row in self._rows.items() if len(row) == 1)


def _take(row: dict[P, int], other: dict[P, int], times: int) -> None:
    for peer, value in other.items():
        left = (row.get(peer, 0) - times * value) % PRIME
        if left:
            row[peer] = left
        else:
            row.pop(peer, None)


class Differences(Generic[P]):
    """How far apart the sets are that were added; each new one is compared with every different one before."""

    def __init__(self) -> None:
        self._sets: dict[frozenset[P], None] = {}
        self._change: dict[P, int] = {}
        self._hidden: dict[P, int] = {}

    def add(self, members: frozenset[P]) -> None:
        if members in self._sets:
            return
        _lower(self._hidden, members, len(members))
        for other in self._sets:
            difference = members ^ other
            _lower(self._change, members & other, len(difference))
            if members <= other or other <= members:
                _lower(self._hidden, difference, len(difference))
        self._sets[members] = None

    def least_change(self, peer: P) -> int | None:
        """The smallest non-zero difference between two of the sets that this peer is in; None without one."""
        return self._change.get(peer)

    def hidden_among(self, peer: P) -> int | None:
        """The fewest peers, this one included, whose sum is known: a set with it, or what one has more than another."""
        return self._hidden.get(peer)


def _lower(least: dict[P, int], peers: frozenset[P], value: int) -> None:
    for peer in peers:
        least[peer] = min(value, least.get(peer, value))


def too_close(roster: frozenset[P], earlier: Iterable[frozenset[P]], least: int) -> int:
    """By how many peers, fewer than `least`, a roster differs from an earlier one; 0: from none by so few."""
    changes = (len(roster ^ other) for other in earlier)
    return min((change for change in changes if 0 < change < least), default=0)
