"""Epochs of pay: where one ends, what it pays, and which of them the chain shows. Pure.

An epoch is a number of rounds of the line. The states of pay run on through all of them; each root pays the rounds
since the one before it. The next is signed only when the last can be voided no more: a signature under what follows
from another past could be held against whoever gave it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from peerage_crypto.digest import claim_root
from peerage_ledger.records import RewardRoot, Steps

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from peerage_ledger.rewards import PayState

MOST_GUESSES = 1024  # which of an epoch's voided rounds were paid all the same: so many answers are tried


@dataclass(frozen=True, slots=True)
class Books:
    """What my own rounds give: the state of pay they lead to, the steps to it, and which records it leaves unpaid."""

    after: PayState
    steps: Steps
    voided: frozenset[bytes]

    @property
    def totals(self) -> dict[bytes, int]:
        """Cumulative pay by account."""
        return self.after.totals()

    def root(self, epoch: int, emissions: bytes) -> RewardRoot:
        """The reward root of these books with this root of emission records."""
        totals = self.totals
        return RewardRoot(epoch, claim_root(totals), sum(totals.values()), emissions, self.steps.digest())


@dataclass(frozen=True, slots=True)
class Paid:
    """An epoch that is settled for good, and the record it ends with."""

    epoch: int
    record: bytes
    books: Books


def end_of(rounds: int, length: int, paid: int) -> int:
    """The last round of the epoch after `paid` rounds; one of length 0 is the whole run."""
    return min(rounds, paid + length) if length else rounds


def matching(root: RewardRoot, voided: Collection[bytes], books: Callable[[Collection[bytes]], Books]) -> Books | None:
    """My books as the quorum had them when it signed `root`; None where my rounds do not give it.

    Of the rounds that are void today it may have paid those that were proven wrong too late.
    """
    for left_out in _subsets(sorted(voided)):
        mine = books(left_out)
        if mine.root(root.epoch, root.emission_root) == root:
            return mine
    return None


def _subsets(records: list[bytes]) -> Iterator[tuple[bytes, ...]]:
    """All first; then with ever more of them paid."""
    tried = 0
    for size in range(len(records), -1, -1):
        for some in combinations(records, size):
            if tried == MOST_GUESSES:
                return
            tried += 1
            yield some
