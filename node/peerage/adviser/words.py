"""An advice as lines of text: a table that fits a terminal, sources under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.report.amounts import figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peerage.adviser.advice import Advice, Subject, Timing
    from peerage.adviser.elsewhere import Move, Spread
    from peerage.adviser.regions import Region


def lines(told: Advice) -> Iterator[str]:
    if told.run:
        yield from _run(told.run)
    if told.elsewhere:
        yield from _elsewhere(told.elsewhere, one_kwh=told.run is None)
    if not told.run and not told.windows:
        yield from _regions(told.regions)
    for line in told.separate:
        yield f"{line.what} ({line.label}): {line.sentence}"
    for window in told.windows:
        yield from _window(window)
    if told.run or told.elsewhere:
        yield told.basis
        yield told.note


def _run(run: Subject) -> Iterator[str]:
    co2e = f", {_band(run.co2e_g)} g CO2e" if run.co2e_g else ""
    yield f"{run.name}: {_band(run.energy_wh)} Wh ({run.label}){co2e}, where it ran: {run.place}"
    yield from run.gaps
    yield ""


def _elsewhere(rows: Sequence[Move], *, one_kwh: bool) -> Iterator[str]:
    head = ("where", "g/kWh", "year", "g CO2e (low-high)", "x here", "with PUE/TUE", "CFE", "CFE view", "label")
    cells = [
        (
            f"{row.where} {row.place}"[:46],
            _number(row.g_per_kwh),
            _year(row.year),
            _band(row.co2e_g),
            _number(row.times_here),
            _number(row.facility_g.mid if row.facility_g else None),
            _number(row.cfe),
            _number(row.market_view_g),
            row.label.value,
        )
        for row in rows
    ]
    if one_kwh:
        yield "For one kilowatt-hour:"
    yield from _aligned(head, cells)
    yield from _sources([(row.source, row.licence) for row in rows], [row.overhead for row in rows])


def _regions(rows: Sequence[Region]) -> Iterator[str]:
    head = ("region", "place", "g/kWh", "year", "CFE", "PUE", "TUE", "GEC", "says it offsets")
    cells = [
        (
            row.region,
            row.place[:34],
            _number(row.g_per_kwh),
            _year(row.year),
            _number(row.cfe),
            _number(row.pue),
            _number(row.tue),
            _number(row.gec),
            f"{row.offset_ratio:g} %" if row.offset_ratio is not None else "-",
        )
        for row in rows
    ]
    yield from _aligned(head, cells)
    yield from _sources([(row.source, row.licence) for row in rows], [f"PUE: {x.pue_source}" for x in rows if x.pue])


def _window(one: Timing) -> Iterator[str]:
    if one.synthetic:
        yield "The forecast below is synthetic: it is of no grid."
    yield f"{one.location} ({one.kind} intensity): {one.start} to {one.end}, {_number(one.g_per_kwh)} g/kWh on average"
    yield (
        f"  at the earliest, {one.earliest_start}: {_number(one.earliest_g_per_kwh)}; at the worst: "
        f"{_number(one.worst_g_per_kwh)}; waiting saves {100 * one.saved_share:.0f} % if the forecast holds"
    )
    if one.run_g:
        basis = "what one run more causes: enters no sum" if one.kind == "marginal" else "instead of a yearly factor"
        yield f"  this run in it: {_band(one.run_g)} g ({one.label}; {basis})"
    if one.gaps:
        yield f"  the forecast has {one.gaps} gap(s) within these limits, and no window reaches into one"
    yield f"  source: {one.source}"


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _sources(pairs: Sequence[tuple[str, str]], notes: Sequence[str]) -> Iterator[str]:
    yield ""
    for source, licence in dict.fromkeys(pairs):
        yield f"source: {source}. Licence: {licence}"
    for note in dict.fromkeys(notes):
        if note:
            yield note


def _year(year: int | None) -> str:
    return "?" if year is None else str(year)


def _band(spread: Spread) -> str:
    return f"{_number(spread.mid)} ({_number(spread.low)}-{_number(spread.high)})"


def _number(value: float | None) -> str:
    return "-" if value is None else figure(value)
