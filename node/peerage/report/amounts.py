"""Figures as people read them: three digits, a unit, low and high beside the middle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from peerage.emissions.labels import NOTHING, Band, Label, total_label, worst

if TYPE_CHECKING:
    from collections.abc import Iterable

UJ_PER_WH: Final = 3.6e9


@dataclass(frozen=True, slots=True)
class Amount:
    """Energy in microjoules and CO2e in micrograms, each with its band and the label of its weakest part."""

    energy: Band = NOTHING
    co2e: Band = NOTHING
    label: Label = Label.MEASURED_COUNTER
    co2e_label: Label = Label.MEASURED_COUNTER


def total(parts: Iterable[Amount]) -> Amount:
    known = tuple(parts)
    return Amount(
        sum((x.energy for x in known), NOTHING),
        sum((x.co2e for x in known), NOTHING),
        _label(known),
        worst(x.co2e_label for x in ([x for x in known if x.energy.mid] or known)) if known else Label.ASSUMED,
    )


def _label(parts: Iterable[Amount]) -> Label:
    """Weighed label by label: of fifty records none is a tenth of the whole, and all of them together are."""
    weights: dict[Label, int] = {}
    for part in parts:
        weights[part.label] = weights.get(part.label, 0) + part.energy.mid
    return total_label(weights.items()) if weights else Label.ASSUMED


def figure(value: float) -> str:
    """Three significant digits without an exponent."""
    if not math.isfinite(value):
        return "unknown"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 9)}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def scaled(value: float, unit: str) -> str:
    """`0.0116 Wh` is `11.6 mWh`: with one prefix for a figure and its band the ends can be compared."""
    return in_unit(value, *prefix(value, unit))


def prefix(value: float, unit: str) -> tuple[float, str]:
    if not math.isfinite(value):
        return 1.0, unit
    steps = ((1e-6, "M"), (1e-3, "k"), (1.0, ""), (1e3, "m"), (1e6, "µ"))
    for factor, sign in steps:
        if abs(value) * factor >= 1:
            return factor, sign + unit
    return (1.0, unit) if value == 0 else (1e6, "µ" + unit)


def in_unit(value: float, factor: float, unit: str) -> str:
    return f"{figure(value * factor)}\N{NO-BREAK SPACE}{unit}"


def energy(band: Band) -> str:
    return scaled(band.mid / UJ_PER_WH, "Wh")


def energy_band(band: Band) -> str:
    return _ends(band, UJ_PER_WH, "Wh")


def co2e(band: Band) -> str:
    return scaled(band.mid / 1e6, "g")


def co2e_band(band: Band) -> str:
    return _ends(band, 1e6, "g")


def _ends(band: Band, divisor: float, unit: str) -> str:
    factor, named = prefix(band.mid / divisor, unit)
    low, high = (figure(x / divisor * factor) for x in (band.low, band.high))
    return f"{low} to {high}\N{NO-BREAK SPACE}{named}"


def size(count: int) -> str:
    return scaled(float(count), "B")


def percent(share: float | None) -> str:
    return "unknown" if share is None or not math.isfinite(share) else f"{100 * share:.1f}\N{NO-BREAK SPACE}%"
