"""Carbon intensity over time: the JSON files of the Green Software Foundation's Carbon Aware SDK, or a source of yours.

A file is a list of `{"Location", "Time", "Rating", "Duration"}`, or an object with that list as `Emissions`; ratings
are g CO2e/kWh, durations `[d.]hh:mm[:ss]`. The format does not say whether a rating is the grid's average or its
marginal plant's. They answer different questions, so somebody has to say: a `Kind` in the file, or the reader.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Protocol, cast

from peerage_crypto.errors import InputError

LARGEST_FILE: Final = 32 << 20
MOST_SAMPLES: Final = 500_000
HIGHEST_RATING: Final = 10_000
_SPAN: Final = re.compile(r"(?:(\d{1,4})\.)?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d{1,7})?)?")


class Kind(StrEnum):
    """`average`: all plants of the grid by their output, what a yearly factor is the mean of; `marginal`: the plant
    that would answer one kilowatt-hour more.
    """

    AVERAGE = "average"
    MARGINAL = "marginal"


@dataclass(frozen=True, slots=True)
class Sample:
    """`rating` g CO2e/kWh holds from `start` until `end`."""

    start: datetime
    end: datetime
    rating: float


@dataclass(frozen=True)
class Trace:
    """One location, one kind, samples in order that do not overlap; between two of them may be a gap."""

    location: str
    kind: Kind
    samples: tuple[Sample, ...]
    source: str
    synthetic: bool = False

    @property
    def gaps(self) -> tuple[tuple[datetime, datetime], ...]:
        return tuple((a.end, b.start) for a, b in pairwise(self.samples) if a.end < b.start)


class IntensitySource(Protocol):
    """What a live source would be: an adapter of yours around an account of yours. None is shipped, nothing here opens
    a socket. Times come with a zone; the kind is the source's own (Electricity Maps: average; WattTime: marginal).
    """

    def forecast(self, location: str, start: datetime, end: datetime) -> Trace: ...


@dataclass(frozen=True)
class JsonFile:
    """The one source that needs no network."""

    path: Path
    kind: Kind | None = None

    def forecast(self, location: str, start: datetime, end: datetime) -> Trace:
        whole = self.read(location)
        kept = tuple(sample for sample in whole.samples if sample.end > start and sample.start < end)
        if not kept:
            first, last = whole.samples[0].start, whole.samples[-1].end
            raise InputError(
                f"{self.path}: {location} is told from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC only, "
                f"and nothing between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M}"
            )
        return Trace(whole.location, whole.kind, kept, whole.source, whole.synthetic)

    def read(self, location: str) -> Trace:
        try:
            if self.path.stat().st_size > LARGEST_FILE:
                raise InputError(f"{self.path} is longer than {LARGEST_FILE >> 20} MiB: cut it to the days in question")
            text = self.path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{self.path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}"
            ) from None
        return parse_trace(text, location, str(self.path), self.kind)


def parse_trace(text: str, location: str, name: str, kind: Kind | None = None) -> Trace:
    """InputError names the entry that no real source gives: no zone, no length, a negative rating, an overlap."""
    rows, top = _rows(text, name)
    mine = [(number, row) for number, row in rows if str(row.get("location", "")).lower() == location.lower()]
    if not mine:
        known = sorted({str(row.get("location", "")) for _, row in rows})
        raise InputError(f"{name} says nothing of {location!r}: it has {', '.join(known[:6]) or 'no locations'}")
    samples = sorted((_sample(name, number, row) for number, row in mine), key=lambda sample: sample.start)
    for before, after in pairwise(samples):
        if after.start < before.end:
            raise InputError(f"{name}: {location} has two ratings for {after.start:%Y-%m-%d %H:%M} UTC")
    told = {str(row["kind"]).lower() for _, row in mine if "kind" in row} | (
        {str(top["kind"]).lower()} if "kind" in top else set()
    )
    synthetic = top.get("synthetic") is True
    return Trace(str(mine[0][1]["location"]), _kind(name, told, kind), tuple(samples), _source(name, top), synthetic)


def moment(text: str, what: str) -> datetime:
    """An ISO 8601 time with its zone, as UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{what} {text[:40]!r} is no time: write one such as 2026-11-24T06:00Z") from None
    if time.tzinfo is None:
        raise InputError(f"{what} {text[:40]!r} has no time zone: write Z or +01:00 behind it")
    return time.astimezone(UTC)


def _rows(text: str, name: str) -> tuple[list[tuple[int, dict[str, Any]]], dict[str, Any]]:
    """(number, entry) of all entries, keys in lower case (the SDK writes both), and the object around them."""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{name} is not JSON: give a file of the Carbon Aware SDK's JSON source") from None
    top: dict[str, Any] = {}
    if isinstance(document, dict):
        top = {str(key).lower(): value for key, value in cast("dict[str, Any]", document).items()}
        document = top.pop("emissions", None)
    if not isinstance(document, list):
        raise InputError(f"{name} has no list of emissions: the format is {{'Emissions': [{{'Location', 'Time', …}}]}}")
    entries: list[Any] = document
    if len(entries) > MOST_SAMPLES:
        raise InputError(f"{name} has {len(entries)} entries, more than {MOST_SAMPLES}")
    rows: list[tuple[int, dict[str, Any]]] = []
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise InputError(f"{name}, entry {number} is no object with Location, Time, Rating and Duration")
        rows.append((number, {str(key).lower(): value for key, value in cast("dict[str, Any]", entry).items()}))
    return rows, top


def _sample(name: str, number: int, row: dict[str, Any]) -> Sample:
    where = f"{name}, entry {number}:"
    start = moment(str(row.get("time", "")), f"{where} Time")
    try:
        rating = float(row.get("rating", "nan"))
    except (TypeError, ValueError):
        rating = float("nan")
    if isinstance(row.get("rating"), bool) or not 0 <= rating <= HIGHEST_RATING:
        raise InputError(f"{where} Rating {str(row.get('rating'))[:20]!r} is no g/kWh between 0 and {HIGHEST_RATING}")
    try:
        return Sample(start, start + _length(where, str(row.get("duration", ""))), rating)
    except OverflowError:
        raise InputError(f"{where} it ends after the calendar does") from None


def _length(where: str, text: str) -> timedelta:
    match = _SPAN.fullmatch(text)
    length = timedelta(0)
    if match:
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
        length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if length <= timedelta(0):
        raise InputError(f"{where} Duration {text[:20]!r} is no length: write 01:00:00 for an hour")
    return length


def _kind(name: str, told: set[str], asked: Kind | None) -> Kind:
    if told - set(Kind):
        raise InputError(f"{name} has the kind {min(told - set(Kind))[:20]!r}: it is average or marginal")
    if len(told) > 1:
        raise InputError(f"{name} mixes average and marginal ratings: they answer different questions, keep two files")
    if told and asked and told != {asked.value}:
        raise InputError(f"{name} calls its ratings {told.pop()}, and --kind {asked}: ask for what it has")
    if not told and asked is None:
        raise InputError(f"{name} does not say whether its ratings are average or marginal: say it with --kind")
    return Kind(told.pop()) if told else cast("Kind", asked)


def _source(name: str, top: dict[str, Any]) -> str:
    said = [str(top[key])[:120] for key in ("description", "license", "licence") if key in top]
    return "; ".join([Path(name).name, *said])
