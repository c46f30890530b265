"""From energy to CO2e: one country's yearly average factor with its band, or the world's band, loudly.

The figures themselves come through `codecarbon_door`; here is only what we make of them. Integers: milligrams CO2e
a kWh.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from peerage.emissions.labels import Band, Label
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_GIVEN: Final = "assumed: country not given"
WORLD_MG_PER_KWH: Final = 475_000  # IEA 2019, the average that CodeCarbon falls back to; for us it is never silent
UJ_PER_KWH: Final = 3_600_000_000_000

# g/kWh from named sources for the same country (Ecometrica 2011, CodeCarbon's table, Ember 2024, Electricity Maps
# 2025): lowest and highest of them. They differ by year and by method, and that difference is our uncertainty.
_SOURCES_SPREAD: Final = {
    "CHN": (485_000, 975_000),
    "DEU": (342_000, 381_000),
    "FRA": (31_000, 79_000),
    "IND": (593_000, 713_000),
    "POL": (565_000, 662_000),
    "USA": (369_000, 574_000),
}
USUAL_SPREAD: Final = (550, 1700)  # per mille of mid; covers every row above


class Factor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """CO2e of a kWh at the socket. `country` is ISO 3166 alpha-3, or empty where nobody said (then `note` says so)."""

    country: str
    low_mg: int
    mid_mg: int
    high_mg: int
    year: int
    source: str
    label: Label
    note: str = ""

    @property
    def place(self) -> str:
        return self.country or NOT_GIVEN


class NationalFactor(msgspec.Struct, frozen=True):
    """One row of the table that the door reads."""

    name: str
    mg_per_kwh: int
    year: int


def choose(country: str | None, table: Mapping[str, NationalFactor], source: str) -> Factor:
    """The factor of one country (InputError for a code that the table lacks), or of the world when none is given."""
    if not country:
        return world(table, source)
    code = country.strip().upper()
    row = table.get(code)
    if row is None:
        near = ", ".join(f"{c} ({table[c].name})" for c in _near(code, table))
        raise InputError(
            f"country {country!r} has no emission factor: give an ISO 3166 three-letter code, such as {near}",
        )
    low, high = _SOURCES_SPREAD.get(code) or tuple(row.mg_per_kwh * x // 1000 for x in USUAL_SPREAD)
    return Factor(
        country=code,
        low_mg=min(low, row.mg_per_kwh),
        mid_mg=row.mg_per_kwh,
        high_mg=max(high, row.mg_per_kwh),
        year=row.year,
        source=source,
        label=Label.MODELLED,
    )


def world(table: Mapping[str, NationalFactor], source: str) -> Factor:
    """The band holds nine tenths of the nations (5th to 95th percentile): not knowing the country costs that much."""
    ranked = sorted(row.mg_per_kwh for row in table.values())
    return Factor(
        country="",
        low_mg=min(ranked[len(ranked) * 5 // 100], WORLD_MG_PER_KWH),
        mid_mg=WORLD_MG_PER_KWH,
        high_mg=max(ranked[len(ranked) * 95 // 100], WORLD_MG_PER_KWH),
        year=2019,
        source=f"IEA world average; band: 5th to 95th percentile of nations in {source}",
        label=Label.ASSUMED,
        note=NOT_GIVEN,
    )


def co2e_ug(energy_uj: Band, factor: Factor) -> Band:
    """Low with low, high with high: both may be wrong in the same direction. Micrograms, rounded half up."""
    return Band(
        _micrograms(energy_uj.low, factor.low_mg),
        _micrograms(energy_uj.mid, factor.mid_mg),
        _micrograms(energy_uj.high, factor.high_mg),
    )


def _micrograms(energy_uj: int, mg_per_kwh: int) -> int:
    return (2 * energy_uj * mg_per_kwh * 1000 + UJ_PER_KWH) // (2 * UJ_PER_KWH)


def _near(code: str, table: Mapping[str, NationalFactor]) -> list[str]:
    """By code first, then by name: people type `FR`, `UK` or `Germany`."""
    import difflib  # noqa: PLC0415 - only an error needs it, and every peer would load it

    by_prefix = [c for c in table if len(code) == 2 and c.startswith(code)]
    by_name = [c for c, row in table.items() if len(code) > 3 and row.name.upper().startswith(code[:5])]
    by_code = difflib.get_close_matches(code, table, n=4, cutoff=0.5)
    known = [c for c in ("DEU", "FRA", "GBR", "USA") if c in table]
    return list(dict.fromkeys([*by_name, *by_prefix, *by_code, *known]))[:4]
