"""What a meter saw go wrong with its own instruments; it stands in the record, so that nothing is absorbed in silence.

A mark never repairs a number. It says which kind of number is doubtful, caps the label, and the audit repeats it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from peerage.emissions.labels import Label, worst

if TYPE_CHECKING:
    from collections.abc import Collection

# Clocks are read one after the other and a busy host may pause us in between: less than this is no jump.
JUMP_US: Final = 1_000_000


class Mark(StrEnum):
    """`clock`: time ran backwards or was set; `counter`: a counter ran backwards, stood outside its range or rose
    faster than hardware can draw; `slept`: the host was suspended, which the monotonic clock does not count.
    """

    CLOCK = "clock"
    COUNTER = "counter"
    SLEPT = "slept"


SENTENCES: Final = {
    Mark.CLOCK: "its clock was set or ran backwards: stretches without a usable time count as none",
    Mark.COUNTER: "a counter ran backwards or faster than hardware can: the stretch counts as none, or as modelled",
    Mark.SLEPT: "its host was suspended: what it drew asleep is not counted, and counters are not believed across it",
}
_BEST: Final = {Mark.CLOCK: Label.ASSUMED, Mark.COUNTER: Label.MODELLED, Mark.SLEPT: Label.MODELLED}


def at_best(label: Label, marks: Collection[Mark]) -> Label:
    """The label that a number may carry at best, once its record has these marks."""
    return worst((label, *(_BEST[mark] for mark in marks)))


def ordered(marks: Collection[Mark]) -> tuple[Mark, ...]:
    """As they stand in a record: each once, in one order."""
    return tuple(mark for mark in Mark if mark in marks)


def clocks_moved(before: tuple[int, int, int], after: tuple[int, int, int]) -> set[Mark]:
    """Between two readings of (monotonic, boot time, time of day), in microseconds. Boot time goes on while the host
    sleeps and the monotonic clock does not; the time of day should rise as boot time does.
    """
    awake, since_boot, of_day = (b - a for a, b in zip(before, after, strict=True))
    marks: set[Mark] = set()
    if awake < 0 or since_boot < 0 or abs(of_day - since_boot) > JUMP_US:
        marks.add(Mark.CLOCK)
    if since_boot - max(0, awake) > JUMP_US:
        marks.add(Mark.SLEPT)
    return marks
