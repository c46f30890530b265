"""One answer from all parts: what ran, the same elsewhere, lines that are never subtracted, and the best hours."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from peerage.adviser.elsewhere import Move, Spread, grams, move_to_country, moves, rank
from peerage.adviser.regions import Region
from peerage.adviser.trace import JsonFile, Kind, moment
from peerage.adviser.window import Window, best_window
from peerage.emissions.labels import NOTHING, Band, Label, spread, widen
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


_UJ_PER_WH: Final = 3.6e9
_OTHER_HARDWARE: Final = (
    "The energy is taken as metered here. Other hardware would need another; that is not in the bands."
)
_OF_ENERGY: Final = ("energy is", "energy by phase", "emission record", "sums here")  # words of the reader's gaps
_BASIS: Final = "Location-based: the grid where the machine stands. Certificates and offsets are never subtracted."


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose energy is moved. `co2e_g` None: nobody said where it was used."""

    name: str
    energy_wh: Spread
    label: Label
    place: str
    co2e_g: Spread | None
    energy_uj: Band
    gaps: tuple[str, ...] = ()  # what of the energy could not be read, and is not in the figures


class SeparateLine(msgspec.Struct, frozen=True):
    what: str
    amount: float
    unit: str
    sentence: str
    label: Label = Label.ASSUMED


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    schema: int = 1
    basis: str = _BASIS
    note: str = _OTHER_HARDWARE
    run: Subject | None
    elsewhere: tuple[Move, ...]
    regions: tuple[Region, ...]
    separate: tuple[SeparateLine, ...]
    windows: tuple[Timing, ...]


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """A window and what this run would emit in it. Marginal grams answer another question than the record's: what one
    run more causes. They stand here alone and enter no sum.
    """

    location: str
    kind: Kind
    start: str
    end: str
    g_per_kwh: float
    earliest_start: str
    earliest_g_per_kwh: float
    worst_g_per_kwh: float
    saved_share: float
    run_g: Spread | None
    gaps: int
    synthetic: bool
    label: Label
    source: str


def subject_of(run_dir: Path | None, energy_wh: float | None) -> Subject | None:
    """InputError where the run has no energy to move, or both were given."""
    if run_dir is not None and energy_wh is not None:
        raise InputError("give a run directory or --energy-wh, not both: which energy is meant cannot be told")
    if energy_wh is not None:
        if not (math.isfinite(energy_wh) and 0 < energy_wh < 1e12):
            raise InputError(f"--energy-wh {energy_wh:g} is no energy: give watt-hours above 0")
        energy = widen(round(energy_wh * _UJ_PER_WH), spread(Label.ASSUMED))
        return Subject(
            name="your figure",
            energy_wh=_wh(energy),
            label=Label.ASSUMED,
            place="not said",
            co2e_g=None,
            energy_uj=energy,
        )
    if run_dir is None:
        return None
    from peerage.report import read_run  # noqa: PLC0415 - the page's reader, for a run only
    from peerage.report.energy import whole  # noqa: PLC0415

    told = read_run(run_dir)
    amount = whole(told)
    if amount.energy == NOTHING:
        raise InputError(f"{run_dir} has no readable emission record: there is no energy to move")
    return Subject(
        name=told.title,
        energy_wh=_wh(amount.energy),
        label=amount.label,
        place=", ".join(sorted({record.factor.place for record in told.records})),
        co2e_g=grams(amount.co2e),
        energy_uj=amount.energy,
        gaps=tuple(gap for gap in told.gaps if any(word in gap for word in _OF_ENERGY)),
    )


def separate(subject: Subject | None, rec_kwh: float | None, offset_g: float | None) -> tuple[SeparateLine, ...]:
    found: list[SeparateLine] = []
    for name, amount in (("--rec-kwh", rec_kwh), ("--offset-g", offset_g)):
        if amount is not None and not 0 <= amount < 1e15:
            raise InputError(f"{name} {amount:g} is no amount: give a number from 0 up")
    if rec_kwh is not None:
        share = f", {rec_kwh * 1000 / subject.energy_wh.mid:.3g} times the run's middle" if subject else ""
        sentence = f"certificates for {rec_kwh:g} kWh{share}; a market-based statement, not subtracted"
        found.append(SeparateLine("certificates", rec_kwh, "kWh", sentence))
    if offset_g is not None:
        found.append(SeparateLine("offsets", offset_g, "g", f"offsets of {offset_g:g} g elsewhere, not subtracted"))
    return tuple(found)


def timing(
    file: Path | None,
    locations: Sequence[str],
    kind: str | None,
    length: timedelta,
    start: str | None,
    before: str | None,
) -> tuple[Window, ...]:
    """The best window of each location, best first. All of one kind, because a file is."""
    if file is None:
        if locations or kind or start or before:
            raise InputError("--location, --kind, --from and --before go with --forecast FILE")
        return ()
    if not locations:
        raise InputError(f"name a --location of {file}: the best hours of one grid say nothing of another")
    if kind is not None and kind not in set(Kind):
        raise InputError(f"--kind {kind!r} is neither average nor marginal")
    first = moment(start, "--from") if start else datetime(1, 1, 2, tzinfo=UTC)
    last = moment(before, "--before") if before else datetime(9999, 12, 30, tzinfo=UTC)
    source = JsonFile(file, Kind(kind) if kind else None)
    traces = [source.forecast(name, first, last) for name in locations]
    if len({trace.kind for trace in traces}) > 1:
        raise InputError(f"{file} has average ratings for one location and marginal ones for another: compare neither")
    found = [
        best_window(trace, length, max(first, trace.samples[0].start), min(last, trace.samples[-1].end))
        for trace in traces
    ]
    return tuple(sorted(found, key=lambda window: (window.mean, window.start)))


def document(
    subject: Subject | None,
    rows: Sequence[Region],
    countries: Sequence[str],
    own: tuple[SeparateLine, ...],
    windows: Sequence[Window],
) -> Advice:
    here = round(subject.co2e_g.mid * 1e6) if subject and subject.co2e_g else None
    found: list[Move] = []
    if countries:
        from peerage.emissions.codecarbon_door import national_factor  # noqa: PLC0415 - pandas comes with it

        one_kwh = Band(3_600_000_000_000, 3_600_000_000_000, 3_600_000_000_000)
        energy, label = (subject.energy_uj, subject.label) if subject else (one_kwh, Label.ASSUMED)
        found += [move_to_country(energy, label, national_factor(code), here) for code in dict.fromkeys(countries)]
    if subject:
        found += moves(subject.energy_uj, subject.label, rows, here)
    return Advice(
        run=subject,
        elsewhere=tuple(sorted(found, key=rank)),
        regions=tuple(rows),
        separate=own,
        windows=tuple(_timed(window, subject) for window in windows),
    )


def _timed(window: Window, subject: Subject | None) -> Timing:
    energy = subject.energy_wh if subject else None
    per_wh = window.mean / 1000
    return Timing(
        location=window.location,
        kind=window.kind,
        start=f"{window.start:%Y-%m-%dT%H:%M:%SZ}",
        end=f"{window.end:%Y-%m-%dT%H:%M:%SZ}",
        g_per_kwh=window.mean,
        earliest_start=f"{window.earliest_start:%Y-%m-%dT%H:%M:%SZ}",
        earliest_g_per_kwh=window.earliest_mean,
        worst_g_per_kwh=window.worst_mean,
        saved_share=window.saved_share,
        run_g=Spread(energy.low * per_wh, energy.mid * per_wh, energy.high * per_wh) if energy else None,
        gaps=window.gaps,
        synthetic=window.synthetic,
        label=Label.PARAMETRIC,
        source=window.source,
    )


def _wh(band: Band) -> Spread:
    return Spread(band.low / _UJ_PER_WH, band.mid / _UJ_PER_WH, band.high / _UJ_PER_WH)
