"""Runs that were told the same but for the seed belong together; what differs between two groups, and by how much.

The spread over seeds is the larger of the two groups' sample standard deviations (n - 1). A difference of means counts
as more than the seeds make when it is larger than that. One run has no spread, and nothing is claimed of it.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from peerage.comparison.measures import MEASURES, Measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from peerage.config import Federation
    from peerage.launch.summary import Summary

ENOUGH = 2  # runs of a group that have a spread


@dataclass(frozen=True)
class Run:
    """One finished run; `curve` is (round, accuracy as a share), the mean over its peers."""

    name: str
    settings: Federation
    summary: Summary
    curve: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Group:
    """Runs that differ by their seed only, in the order given; `letter` names it."""

    letter: str
    runs: tuple[Run, ...]

    def values(self, measure: Measure) -> tuple[float, ...]:
        """Of the runs that know it."""
        found = (measure.of(run.summary) for run in self.runs)
        return tuple(value for value in found if value is not None and math.isfinite(value))

    def mean(self, measure: Measure) -> float | None:
        values = self.values(measure)
        return statistics.fmean(values) if values else None

    def spread(self, measure: Measure) -> float | None:
        """The sample standard deviation; None where there is none."""
        values = self.values(measure)
        return statistics.stdev(values) if len(values) >= ENOUGH else None


@dataclass(frozen=True, slots=True)
class Difference:
    """Of a group's mean to that of the first. `real`: larger than the spread over seeds; None: nobody knows."""

    measure: Measure
    group: str
    before: float
    after: float
    spread: float | None

    @property
    def change(self) -> float:
        return self.after - self.before

    @property
    def real(self) -> bool | None:
        return None if self.spread is None else abs(self.change) > self.spread


def same_but_for_the_seed(one: Federation, other: Federation) -> bool:
    return _seedless(one) == _seedless(other)


def _seedless(settings: Federation) -> Federation:
    return msgspec.structs.replace(settings, seed=0, name="")


def grouped(runs: Iterable[Run]) -> tuple[Group, ...]:
    """Groups in the order in which their first runs were given: A, B, C, ..."""
    found: list[list[Run]] = []
    for run in runs:
        home = next((g for g in found if same_but_for_the_seed(g[0].settings, run.settings)), None)
        if home is None:
            found.append([run])
        else:
            home.append(run)
    return tuple(Group(_letter(at), tuple(members)) for at, members in enumerate(found))


def _letter(at: int) -> str:
    return chr(ord("A") + at) if at < 26 else f"G{at + 1}"


def differences(groups: Sequence[Group]) -> tuple[Difference, ...]:
    """Each later group against the first, in every measure that both know."""
    first, found = groups[0], list[Difference]()
    for group in groups[1:]:
        for measure in MEASURES:
            before, after = first.mean(measure), group.mean(measure)
            if before is None or after is None:
                continue
            spreads = (first.spread(measure), group.spread(measure))
            known = [spread for spread in spreads if spread is not None]
            spread = max(known) if len(known) == len(spreads) else None
            found.append(Difference(measure, group.letter, before, after, spread))
    return tuple(found)
