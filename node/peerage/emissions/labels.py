"""How a number came to be, and how far off it may be: the label and the band that go with every energy.

Worst comes last. The bands are judgements, not confidence intervals (docs/emissions.md says where each comes from);
they are integers per mille, so everybody who recomputes a record gets the same bytes. Changing one changes the
schema number.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

PER_MILLE: Final = 1000


class Label(StrEnum):
    """`measured_counter`: a hardware counter; `attributed`: a counter times a share; `modelled`: a power model times
    what we saw; `assumed`: a constant somebody chose; `parametric`: an estimate without a run.
    """

    MEASURED_COUNTER = "measured_counter"
    ATTRIBUTED = "attributed"
    MODELLED = "modelled"
    ASSUMED = "assumed"
    PARAMETRIC = "parametric"


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One quantity as low, mid and high; the unit stands in the name of the field that holds it."""

    low: int
    mid: int
    high: int

    def __add__(self, other: Band) -> Band:
        return Band(self.low + other.low, self.mid + other.mid, self.high + other.high)


NOTHING: Final = Band(0, 0, 0)
_ORDER: Final = tuple(Label)
_SPREAD: Final = {  # (low, high) as per mille of mid
    Label.MEASURED_COUNTER: (950, 1050),
    Label.ATTRIBUTED: (800, 1200),
    Label.MODELLED: (500, 2000),
    Label.ASSUMED: (500, 2000),
    Label.PARAMETRIC: (100, 10_000),
}
RAM_SPREAD: Final = (0, 2000)  # 0.392 W/GB is one vendor's average over a decade of memory modules


def spread(label: Label) -> tuple[int, int]:
    return _SPREAD[label]


def widen(mid: int, per_mille: tuple[int, int]) -> Band:
    low, high = per_mille
    return Band(mid * low // PER_MILLE, mid, mid * high // PER_MILLE)


def worst(labels: Iterable[Label]) -> Label:
    return max(labels, key=_ORDER.index, default=Label.MEASURED_COUNTER)


def total_label(parts: Iterable[tuple[Label, int]]) -> Label:
    """The worst label among the parts that weigh more than a tenth of the whole; a crumb does not spoil the loaf."""
    known = tuple(parts)
    whole = sum(weight for _, weight in known)
    return worst(label for label, weight in known if weight * 10 > whole) if whole else worst(x for x, _ in known)
