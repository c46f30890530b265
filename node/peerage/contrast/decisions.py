"""Is one metered amount less than another? Decided by bands alone, and again where both share one power model's error.

By their own bands:   less if   a.high < b.low                       each may be off by itself, in either direction
With common errors:   less if   sum_k f_k (w_b b_k - w_a a_k) > 0    for every f_k in the band of component k

A modelled watt is wrong by the same factor in both trainings of a host, so the second question asks whether the order
holds whatever that factor is. Components whose label is no model (a counter's share) keep their own ends in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from peerage.contrast.amounts import COMPONENTS, Metered
from peerage.emissions.labels import Band, Label

if TYPE_CHECKING:
    from collections.abc import Iterable

MODELS: Final = (Label.MODELLED, Label.ASSUMED)  # one constant for all trainings of a host


class Verdict(StrEnum):
    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    UNDECIDED = "not decidable"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Weighed:
    """An energy times a number with a band (grams a kWh, PUE, bytes): integers, so that nothing is lost.

    `whole` is False where the training ended before it was good enough: then it is a lower bound.
    """

    metered: Metered
    weight: Band
    whole: bool = True

    @property
    def band(self) -> Band:
        energy = self.metered.energy_uj
        return Band(energy.low * self.weight.low, energy.mid * self.weight.mid, energy.high * self.weight.high)


@dataclass(frozen=True, slots=True)
class Decision:
    """`own` by bands, `common` with the power model's error common to both; `common_known` says if they have one."""

    own: Verdict
    common: Verdict
    common_known: bool
    why: str


def exactly(number: int) -> Band:
    return Band(number, number, number)


def less(small: Weighed, large: Weighed) -> Decision:
    """Whether `small` is the lesser of the two."""
    if not small.whole and not large.whole:
        return Decision(Verdict.UNDECIDED, Verdict.UNDECIDED, same_power(small, large), "neither reached the target")
    own = _verdict(small.band.high < large.band.low, large.band.high < small.band.low, small, large)
    common = own
    if known := same_power(small, large):
        common = _verdict(_surely(small, large), _surely(large, small), small, large)
    why = ""
    if not (small.whole and large.whole):
        why = "one of the two did not reach the target, so its energy is a lower bound"
    elif own is Verdict.UNDECIDED:
        why = "the bands overlap"
    return Decision(own, common, known, why)


def same_power(one: Weighed, other: Weighed) -> bool:
    """One host, one idle power, one rate: the constants behind the two are the same."""
    return len(one.metered.power) == 1 and one.metered.power == other.metered.power


def _verdict(yes: bool, no: bool, small: Weighed, large: Weighed) -> Verdict:
    """A lower bound can only show that it is the larger of the two."""
    if yes and small.whole:
        return Verdict.REPRODUCED
    if no and large.whole:
        return Verdict.NOT_REPRODUCED
    return Verdict.UNDECIDED


def _surely(small: Weighed, large: Weighed) -> bool:
    """Whether large - small is above zero at every corner of the components' bands, at the worst of the weights."""
    least = 0
    for name in COMPONENTS:
        a, b = small.metered.component(name), large.metered.component(name)
        (a_low, a_high), (b_low, _) = a.ends(name), b.ends(name)
        if a.label is b.label and (a.label in MODELS or name == "ram"):
            gap = b.uj * large.weight.low - a.uj * small.weight.high
            least += gap * (a_low if gap > 0 else a_high)
        else:
            least += b.uj * large.weight.low * b_low - a.uj * small.weight.high * a_high
    return least > 0


def agreed(verdicts: Iterable[Verdict]) -> Verdict:
    """Of several seeds: what all say, and nothing where they differ."""
    found = set(verdicts)
    if not found:
        return Verdict.NOT_RUN
    return found.pop() if len(found) == 1 else Verdict.UNDECIDED
