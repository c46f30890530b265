"""The same training in one data centre: watts, hours, a grid, and what the building adds.

facility = IT energy x PUE      or      compute energy x TUE,  TUE = ITUE x PUE >= PUE  (Patterson et al., ISC'13)
CO2e     = facility x c         cooling is a part of what PUE adds, so it is shown within it and never on top
"""

from __future__ import annotations

from typing import Final

import msgspec

from peerage.emissions.factors import Factor
from peerage.emissions.labels import Band, Label
from peerage.estimate.amounts import UJ_PER_J, Amount, emitted, parametric, within
from peerage_crypto.errors import InputError

PUES: Final = {"world-2019": 1.67, "google": 1.11, "amazon": 1.2, "microsoft": 1.125}
PUE_SOURCE: Final = "the chapter's figures of PUE: world 2019, and what providers say of their sites"
HIGHEST_PUE: Final = 10.0
HIGHEST_TUE: Final = 20.0


class Facility(msgspec.Struct, frozen=True, kw_only=True):
    """`pue` or `tue` or both; `cooling` is the share of the facility's energy that cools, where it is known."""

    pue: float | None = None
    tue: float | None = None
    cooling: float | None = None
    source: str = "your figure"

    @property
    def ratio(self) -> float:
        """What one unit of metered energy is at the facility's door. TUE where it is known: it holds PUE."""
        return self.tue if self.tue is not None else self.pue if self.pue is not None else 1.0

    @property
    def itue(self) -> float | None:
        return self.tue / self.pue if self.tue is not None and self.pue is not None else None

    def __post_init__(self) -> None:
        if self.pue is None and self.tue is None:
            raise InputError("a data centre needs --pue or --tue: what its building and chassis add is not assumed")
        if self.pue is not None:
            within("--pue", self.pue, 1, HIGHEST_PUE, "a ratio")
        if self.tue is not None:
            within("--tue", self.tue, self.pue or 1, HIGHEST_TUE, "a ratio (TUE is PUE times an ITUE of 1 or more)")
        if self.cooling is not None:
            overhead = 1 - 1 / (self.pue if self.pue is not None else self.ratio)
            within("--cooling", self.cooling, 0, round(overhead, 9), "the share of all energy, within what PUE adds,")


def pue_of(text: str) -> tuple[float, str]:
    """A named site average, or a number."""
    if text in PUES:
        return PUES[text], PUE_SOURCE
    try:
        return float(text), "your figure"
    except ValueError:
        raise InputError(f"--pue {text!r} is not known: give a number, or {', '.join(PUES)}") from None


class Centre(msgspec.Struct, frozen=True, kw_only=True):
    """`equipment` without the building; `cooling_uj` lies within `whole`."""

    watts: float
    hours: float
    factor: Factor
    facility: Facility
    equipment: Amount
    whole: Amount
    cooling_uj: Band | None
    label: Label = Label.PARAMETRIC


def centralised(watts: float, hours: float, factor: Factor, facility: Facility) -> Centre:
    within("--central-w", watts, 0.001, 1e9, "watts")
    within("--central-hours", hours, 0, 1e7, "hours")
    energy = watts * hours * 3600 * UJ_PER_J
    whole = parametric(energy * facility.ratio)
    cooled = facility.cooling
    return Centre(
        watts=watts,
        hours=hours,
        factor=factor,
        facility=facility,
        equipment=emitted(parametric(energy), factor),
        whole=emitted(whole, factor),
        cooling_uj=None if cooled is None else Band(*(round(x * cooled) for x in (whole.low, whole.mid, whole.high))),
    )
