"""When a peer would rather sit a round out: a roster too small for its noise, or too close to an earlier one.

Two sums over almost the same peers give away those by whom they differ. So a roster that differs from an earlier one of
this peer's by some, but fewer peers than agreed, is refused before anything is dealt, and so is such a survivor set
before the vote: what leaks are sums over survivors. Equal sets are fine. With noise, epsilon covers the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from peerage.privacy.participation import too_close

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Peers = frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Caution:
    """`rosters` and `sums` are those of earlier rounds that this peer was in; `least_roster` is 0 without noise."""

    rosters: tuple[Peers, ...] = ()
    sums: tuple[Peers, ...] = ()
    least_change: int = 1
    least_roster: int = 0
    whole: int = 0  # peers of a federation whose rounds wait for all; 0: they do not

    @staticmethod
    def after(
        me: bytes,
        earlier: Iterable[tuple[Collection[bytes], Collection[bytes]]],
        *,
        least_change: int,
        least_roster: int,
        whole: int = 0,
    ) -> Caution:
        """From the (roster, survivors) of every round in which a sum was unmasked, or may have been."""
        if least_change == 1 or least_roster:
            return Caution(least_roster=least_roster, whole=whole)
        mine = [(frozenset(roster), frozenset(survivors)) for roster, survivors in earlier if me in roster]
        rosters = tuple(dict.fromkeys(roster for roster, _ in mine))
        return Caution(rosters, tuple(dict.fromkeys(s for _, s in mine if me in s)), least_change, whole=whole)

    def of_roster(self, members: Collection[bytes]) -> str:
        """Why this roster is refused; empty when it is not."""
        if len(members) < self.whole:
            return f"{len(members)} of {self.whole} peers are here, and this federation's rounds wait for all"
        if len(members) < self.least_roster:
            return (
                f"a roster of {len(members)} is below {self.least_roster}, for which this federation's noise is made: "
                "wait for the missing peers"
            )
        return self._too_close("roster", members, self.rosters)

    def of_survivors(self, members: Collection[bytes]) -> str:
        """Why this peer does not vote for these survivors; empty when it does."""
        return self._too_close("survivor set", members, self.sums)

    def _too_close(self, what: str, members: Collection[bytes], earlier: tuple[Peers, ...]) -> str:
        change = too_close(frozenset(members), earlier, self.least_change)
        if not change:
            return ""
        return (
            f"the {what} differs from an earlier one by {change} of at least {self.least_change} peers "
            "(privacy.least_roster_change): the two sums would give those away"
        )
