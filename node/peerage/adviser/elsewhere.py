"""The same run elsewhere: its metered energy times another grid's factor, location-based, with the band of both.

The work is taken to need the same energy on other hardware, which it does not; a band of twice and half would not be
too wide for that, and is not in the figures. Certificates and offsets are never subtracted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from peerage.emissions.factors import USUAL_SPREAD, Factor, co2e_ug
from peerage.emissions.labels import Band, Label, worst

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peerage.adviser.regions import Region

_SITE_SPREAD: Final = "band: -45 / +70 %, as of countries without a comparison of sources"


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Grams for the metered energy (`co2e_g`), and for the facility around it where a source gives its PUE or TUE.
    `times_here` compares the middles of metered energy. `market_view_g` is factor x (1 - CFE): it counts the provider's
    purchases, so it stands beside the location-based figure and never in its place.
    """

    where: str
    place: str
    g_per_kwh: float
    year: int | None
    co2e_g: Spread
    facility_g: Spread | None
    overhead: str  # which ratio the facility's figure uses
    times_here: float | None
    cfe: float | None
    market_view_g: float | None
    label: Label
    source: str
    licence: str


class Spread(msgspec.Struct, frozen=True):
    low: float
    mid: float
    high: float


def move(energy_uj: Band, energy_label: Label, region: Region, here_ug: int | None = None) -> Move:
    """The energy of a run in one region. `here_ug`: what the run emitted where it ran."""
    factor = factor_of(region)
    co2e = co2e_ug(energy_uj, factor)
    ratio, overhead = _overhead(region)
    return Move(
        where=region.region,
        place=region.place,
        g_per_kwh=region.g_per_kwh,
        year=region.year,
        co2e_g=grams(co2e),
        facility_g=grams(co2e, ratio) if ratio is not None else None,
        overhead=overhead,
        times_here=co2e.mid / here_ug if here_ug else None,
        cfe=region.cfe,
        market_view_g=co2e.mid / 1e6 * (1 - region.cfe) if region.cfe is not None else None,
        label=worst((energy_label, factor.label)),
        source=f"{region.source}; {_SITE_SPREAD}",
        licence=region.licence,
    )


def move_to_country(energy_uj: Band, energy_label: Label, factor: Factor, here_ug: int | None = None) -> Move:
    """The same for a whole country's factor, whose band has been compared."""
    co2e = co2e_ug(energy_uj, factor)
    return Move(
        where=factor.country,
        place="the whole country",
        g_per_kwh=factor.mid_mg / 1000,
        year=factor.year,
        co2e_g=grams(co2e),
        facility_g=None,
        overhead="",
        times_here=co2e.mid / here_ug if here_ug else None,
        cfe=None,
        market_view_g=None,
        label=worst((energy_label, factor.label)),
        source=factor.source,
        licence="CodeCarbon MIT; Our World in Data and Ember CC BY 4.0",
    )


def moves(energy_uj: Band, label: Label, regions: Iterable[Region], here_ug: int | None = None) -> tuple[Move, ...]:
    return tuple(sorted((move(energy_uj, label, row, here_ug) for row in regions), key=rank))


def rank(one: Move) -> tuple[float, float, str]:
    """Least first; of a few milligrams, whole micrograms may be equal where the factors are not."""
    return one.co2e_g.mid, one.g_per_kwh, one.where


def factor_of(region: Region) -> Factor:
    mid = round(region.g_per_kwh * 1000)
    low, high = (mid * part // 1000 for part in USUAL_SPREAD)
    return Factor(
        country=region.country,
        low_mg=low,
        mid_mg=mid,
        high_mg=high,
        year=region.year or 0,
        source=region.source,
        label=Label.MODELLED,
    )


def grams(co2e: Band, ratio: float = 1.0) -> Spread:
    return Spread(co2e.low / 1e6 * ratio, co2e.mid / 1e6 * ratio, co2e.high / 1e6 * ratio)


def _overhead(region: Region) -> tuple[float | None, str]:
    if region.tue is not None:
        return region.tue, f"TUE {region.tue:g}"
    if region.pue is not None:
        return (
            region.pue,
            f"PUE {region.pue:g} ({region.pue_source}); fans and power supplies in the chassis are left out",
        )
    return None, ""
