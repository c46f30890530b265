"""Energy and CO2e of one part of an estimate, in whole microjoules and micrograms, so that parts add up exactly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from peerage.emissions.factors import Factor, co2e_ug
from peerage.emissions.labels import NOTHING, Band, Label, spread, widen
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

UJ_PER_WH: Final = 3_600_000_000
UJ_PER_J: Final = 1_000_000
LARGEST_UJ: Final = 1 << 80  # some billion kilowatt-hours: beyond it a figure was mistyped


class Amount(msgspec.Struct, frozen=True):
    energy_uj: Band = NOTHING
    co2e_ug: Band = NOTHING

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.energy_uj + other.energy_uj, self.co2e_ug + other.co2e_ug)


class Spread(msgspec.Struct, frozen=True):
    """A band as people and programs read it: watt-hours or grams."""

    low: float
    mid: float
    high: float


def total(parts: Iterable[Amount]) -> Amount:
    return sum(parts, Amount())


def parametric(microjoules: float) -> Band:
    """The band of a formula without a run (docs/emissions.md): a tenth to ten times."""
    if not (math.isfinite(microjoules) and 0 <= microjoules < LARGEST_UJ):
        raise InputError(
            f"these settings come to {microjoules / UJ_PER_WH:.3g} Wh, which no training uses: check them for a slip"
        )
    return widen(round(microjoules), spread(Label.PARAMETRIC))


def emitted(energy: Band, factor: Factor) -> Amount:
    return Amount(energy, co2e_ug(energy, factor))


def watt_hours(band: Band) -> Spread:
    return Spread(band.low / UJ_PER_WH, band.mid / UJ_PER_WH, band.high / UJ_PER_WH)


def grams(band: Band) -> Spread:
    return Spread(band.low / 1e6, band.mid / 1e6, band.high / 1e6)


def within(name: str, value: float, least: float, most: float, unit: str) -> float:
    """The value, or InputError where it is no number or lies outside what can be."""
    if not (math.isfinite(value) and least <= value <= most):
        raise InputError(f"{name} {value:g} cannot be: give {unit} from {least:g} to {most:g}")
    return value
