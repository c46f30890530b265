"""Cloud regions with what a source says of them; what it does not say is absent, never filled in.

Three forms are read: the rows of the installed CodeCarbon (`catalogue`), Google's yearly files of region-carbon-info,
of which one is shipped (`shipped`), and a table of one's own with a source and a licence on each line.
"""

from __future__ import annotations

import csv
import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_ROWS: Final = 5_000
LARGEST_FILE: Final = 4 << 20
FIRST_YEAR, LAST_YEAR = 1990, 2100
_GOOGLE: Final = ("google cloud region", "location", "google cfe")
_OWN: Final = ("region", "place", "g_per_kwh", "cfe", "pue", "tue", "gec", "year", "source", "licence")
GOOGLE_SOURCE: Final = "Google region-carbon-info"
GOOGLE_LICENCE: Final = "Apache-2.0, (c) Google"
CODECARBON_LICENCE: Final = "CodeCarbon MIT; figures published by Google"
# One figure for all of a provider's sites, and so no region's own (docs/regions.md)
_PROVIDER_PUE: Final = {"gcp": (1.1, "Cloud Carbon Footprint: an average over the provider's sites")}


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """`g_per_kwh`: location-based average of the grid. `cfe`: share of hours on carbon-free energy, the provider's
    purchases counted in. `year` None: the source does not say. `offset_ratio`: what the provider says that it offsets,
    in per cent; nothing is ever taken off for it.
    """

    region: str
    place: str
    g_per_kwh: float
    cfe: float | None = None
    pue: float | None = None
    pue_source: str = ""
    tue: float | None = None
    gec: float | None = None
    offset_ratio: float | None = None
    country: str = ""
    year: int | None = None
    source: str
    licence: str


def shipped() -> tuple[Region, ...]:
    """Google's regions as it published them for 2024, with CFE; data/NOTICE.md says whose they are."""
    file = Path(__file__).parent / "data" / "google_regions_2024.csv"
    return parse_table(file.read_text(encoding="utf-8"), file.name, 2024)


def catalogue(rows: Iterable[Mapping[str, str]], tool: str) -> tuple[Region, ...]:
    """The rows of CodeCarbon's `impact.csv` (`codecarbon_door.cloud_rows`). They have no CFE and state no year."""
    found: list[Region] = []
    for number, row in enumerate(rows, 2):
        where = f"line {number} of {tool}'s cloud table"
        name = row.get("region", "").strip()
        average = _PROVIDER_PUE.get(row.get("provider", ""))
        found.append(
            Region(
                region=name or _refuse(where, "names no region"),
                place=", ".join(x for x in (row.get("city", ""), row.get("country_name", "")) if x),
                g_per_kwh=_number(where, "factor", row.get("impact", ""), 0, 5000),
                pue=average[0] if average else None,
                pue_source=average[1] if average else "",
                offset_ratio=_maybe(where, "offset ratio", row.get("offsetRatio", ""), 0, 1000),
                country=row.get("countryIsoCode", ""),
                source=f"{tool}, from {row.get('source', '') or 'a source it does not name'}",
                licence=CODECARBON_LICENCE,
            )
        )
    return _unique(found)


def parse_table(text: str, name: str, year: int | None = None) -> tuple[Region, ...]:
    """A CSV file as Google publishes it (then `year` must be known), or one with the columns of docs/regions.md."""
    if len(text) > LARGEST_FILE:
        raise InputError(f"{name} is longer than {LARGEST_FILE >> 20} MiB: no table of regions is")
    rows = list(csv.reader(text.lstrip("\ufeff").splitlines()))
    header = tuple(x.strip().lower() for x in rows[0]) if rows else ()
    body = [(number, row) for number, row in enumerate(rows[1:], 2) if any(x.strip() for x in row)]
    if not 0 < len(body) <= MOST_ROWS:
        raise InputError(f"{name} has {len(body)} regions: a table has 1 to {MOST_ROWS}")
    if header[:3] == _GOOGLE and len(header) == 4:
        known = _year(name, str(year) if year is not None else "")
        if known is None:
            raise InputError(f"{name} does not say its year: give it with --year, as in the file's name at its source")
        return _unique([_google(name, number, row, known, header[3]) for number, row in body])
    if header == _OWN:
        if year is not None:
            raise InputError(f"{name} has a year on each line: --year is for Google's files only")
        return _unique([_own(name, number, row) for number, row in body])
    raise InputError(f"{name} begins with {','.join(header)[:80]!r}: give Google's header, or {','.join(_OWN)!r}")


def find(name: str, table: Iterable[Region]) -> Region:
    """InputError with near names for a region that the table lacks."""
    known = {row.region.lower(): row for row in table}
    row = known.get(name.strip().lower())
    if row is None:
        near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.4) or sorted(known)[:3]
        raise InputError(f"region {name!r} is not in the table: near are {', '.join(near)}")
    return row


def _google(name: str, number: int, row: list[str], year: int, unit: str) -> Region:
    where = f"{name}, line {number}"
    if len(row) != 4:
        _refuse(where, f"has {len(row)} columns, not 4")
    return Region(
        region=row[0].strip() or _refuse(where, "names no region"),
        place=row[1].strip(),
        g_per_kwh=_number(where, "factor", row[3], 0, 5000),
        cfe=_maybe(where, "CFE", row[2], 0, 1),
        pue=_PROVIDER_PUE["gcp"][0],
        pue_source=_PROVIDER_PUE["gcp"][1],
        year=year,
        source=f"{GOOGLE_SOURCE}, {year}" + (", life cycle" if unit.startswith("lifecycle") else ""),
        licence=GOOGLE_LICENCE,
    )


def _own(name: str, number: int, row: list[str]) -> Region:
    where = f"{name}, line {number}"
    if len(row) != len(_OWN):
        _refuse(where, f"has {len(row)} columns, not {len(_OWN)}")
    cell = dict(zip(_OWN, (x.strip() for x in row), strict=True))
    for key in ("region", "source", "licence", "year"):
        if not cell[key]:
            _refuse(where, f"has no {key}: a figure without one is not shown")
    pue, tue = _maybe(where, "PUE", cell["pue"], 1, 10), _maybe(where, "TUE", cell["tue"], 1, 20)
    if pue is not None and tue is not None and tue < pue:
        _refuse(where, f"has TUE {tue:g} below PUE {pue:g}, and TUE is PUE times an ITUE of 1 or more")
    return Region(
        region=cell["region"],
        place=cell["place"],
        g_per_kwh=_number(where, "factor", cell["g_per_kwh"], 0, 5000),
        cfe=_maybe(where, "CFE", cell["cfe"], 0, 1),
        pue=pue,
        pue_source=cell["source"] if pue is not None else "",
        tue=tue,
        gec=_maybe(where, "GEC", cell["gec"], 0, 1),
        year=_year(where, cell["year"]),
        source=cell["source"],
        licence=cell["licence"],
    )


def _year(where: str, text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and FIRST_YEAR <= int(text) <= LAST_YEAR):
        _refuse(where, f"has the year {text[:20]!r}: give four digits from {FIRST_YEAR} to {LAST_YEAR}")
    return int(text)


def _maybe(where: str, what: str, text: str, least: float, most: float) -> float | None:
    return _number(where, what, text, least, most) if text.strip() else None


def _number(where: str, what: str, text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:  # also what is no number
        _refuse(where, f"has the {what} {text[:20]!r}: it lies between {least:g} and {most:g}")
    return value


def _refuse(where: str, why: str) -> str:
    raise InputError(f"{where} {why}")


def _unique(rows: list[Region]) -> tuple[Region, ...]:
    seen: set[str] = set()
    for row in rows:
        if row.region.lower() in seen:
            raise InputError(f"the table has {row.region} twice: which of them is right cannot be told from here")
        seen.add(row.region.lower())
    return tuple(sorted(rows, key=lambda row: (row.g_per_kwh, row.region)))
