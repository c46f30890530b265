"""The stretch of a given length, before a deadline, in which a grid's intensity is least. Exact: intensity is constant
between samples, so a best window begins or ends where a sample does, or at a limit.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime, timedelta

    from peerage.adviser.trace import Kind, Sample, Trace


@dataclass(frozen=True, slots=True)
class Window:
    """Mean g CO2e/kWh from `start` to `end`, and the same for starting as early as the forecast allows, and for the
    worst window. `gaps`: stretches within the limits that the forecast leaves out; no window reaches into one.
    """

    location: str
    kind: Kind
    start: datetime
    end: datetime
    mean: float
    earliest_start: datetime
    earliest_mean: float
    worst_mean: float
    gaps: int
    source: str
    synthetic: bool

    @property
    def saved_share(self) -> float:
        """Of what starting at once would emit; 0 where that is nothing."""
        return 1 - self.mean / self.earliest_mean if self.earliest_mean else 0.0


@dataclass(frozen=True, slots=True)
class Amount:
    """Grams with the kind of intensity that they were made with."""

    grams: float
    kind: Kind


def total(amounts: Iterable[Amount]) -> Amount:
    """InputError for a sum of both kinds: average says what was emitted, marginal what one more would have caused."""
    known = tuple(amounts)
    kinds = {amount.kind for amount in known}
    if len(kinds) != 1:
        raise InputError("average and marginal emissions are different quantities: no sum of both means anything")
    return Amount(sum(amount.grams for amount in known), kinds.pop())


def best_window(trace: Trace, length: timedelta, start: datetime, before: datetime) -> Window:
    """Of all windows with the least mean the earliest. InputError where none fits."""
    if start + length > before:
        raise InputError(f"{length} do not fit between {start:%Y-%m-%d %H:%M} and {before:%Y-%m-%d %H:%M} UTC")
    found = [
        (begin, mean)
        for stretch in _stretches(trace.samples)
        for begin, mean in _windows(stretch, length, start, before)
    ]
    if not found:
        raise InputError(
            f"{trace.source}: no {length} without a gap is forecast for {trace.location} between "
            f"{start:%Y-%m-%d %H:%M} and {before:%Y-%m-%d %H:%M} UTC"
        )
    found.sort()
    begin, mean = min(found, key=lambda one: (one[1], one[0]))
    return Window(
        location=trace.location,
        kind=trace.kind,
        start=begin,
        end=begin + length,
        mean=mean,
        earliest_start=found[0][0],
        earliest_mean=found[0][1],
        worst_mean=max(mean for _, mean in found),
        gaps=sum(1 for a, b in trace.gaps if b > start and a < before),
        source=trace.source,
        synthetic=trace.synthetic,
    )


def _stretches(samples: tuple[Sample, ...]) -> Iterator[list[Sample]]:
    """Runs of samples without a gap."""
    run: list[Sample] = []
    for sample in samples:
        if run and run[-1].end != sample.start:
            yield run
            run = []
        run.append(sample)
    if run:
        yield run


def _windows(
    run: list[Sample], length: timedelta, start: datetime, before: datetime
) -> Iterator[tuple[datetime, float]]:
    """(begin, mean) of every window in a run that can be the best, the worst or the first."""
    first, last = max(start, run[0].start), min(before, run[-1].end) - length
    edges = [run[0].start, *(sample.end for sample in run)]
    area = [0.0]  # gram-seconds per kWh from the run's start to each edge
    for sample in run:
        area.append(area[-1] + sample.rating * (sample.end - sample.start).total_seconds())

    def until(moment: datetime) -> float:
        index = min(bisect_right(edges, moment), len(run)) - 1
        return area[index] + run[index].rating * (moment - edges[index]).total_seconds()

    begins = {first, last, *edges, *(edge - length for edge in edges)}
    for begin in begins:
        if first <= begin <= last:
            yield begin, (until(begin + length) - until(begin)) / length.total_seconds()
