"""A run directory as the page needs it. Nothing in it is believed to be whole: what is missing becomes a sentence.

No name that a file states is used as a path, and every file is bounded before it is read.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec

from peerage.config_toml import load_federation
from peerage.emissions.host_record import MAX_HOST_RECORD_BYTES, HostRecord, decode_host_record
from peerage.emissions.record import MAX_RECORD_BYTES, BadRecord, EmissionRecord, decode_record
from peerage.launch.summary import Summary, other_version
from peerage.metrics import RoundMetrics
from peerage.report.energy import Cuts
from peerage.rundir import RunDir
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError, PeerageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peerage.config import Federation
    from peerage.estimate.calibration import Calibration

MOST_BYTES: Final = 64 << 20
MOST_RECORDS: Final = 10_000  # a page in two seconds; a longer run is said to be cut
_DIGEST: Final = re.compile(rb"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the person adds to the run: figures that no meter knows. None: not given."""

    offset_g: float | None = None
    market_g_per_kwh: float | None = None
    market_source: str = ""
    embodied_g: float | None = None  # TE of one host
    lifespan_years: float | None = None  # EL
    offset_source: str = ""


@dataclass(frozen=True)
class Told:
    """`records` are checked against their digests and sums; `gaps` are sentences about what could not be read."""

    root: Path
    summary: Summary | None
    metrics: dict[str, tuple[RoundMetrics, ...]]
    records: tuple[EmissionRecord, ...]
    hosts: tuple[HostRecord, ...]
    dag: str | None  # SVG
    gaps: tuple[str, ...]
    asked: Asked = Asked()
    estimate: Calibration | None = None  # estimate.json
    settings: Federation | None = None  # federation.toml, unchecked

    @cached_property
    def cuts(self) -> Cuts:
        return Cuts(self.records)

    @property
    def title(self) -> str:
        return (self.summary.name if self.summary else "") or self.root.name

    def name(self, address: str) -> str:
        """The peer's name where the summary knows it, else its address."""
        known = self.summary.accounts if self.summary else {}
        return next((name for name, account in known.items() if account.lower() == address.lower()), address)


def read_run(root: Path, asked: Asked | None = None) -> Told:
    """InputError where there is no run; whatever else is wrong ends up in `gaps`."""
    run = RunDir(root)
    if not run.federation.is_file() and not run.summary.is_file():
        raise InputError(f"{root} is no run directory: it has neither federation.toml nor summary.json")
    gaps: list[str] = []
    metrics = dict(_metrics(run, gaps))
    return Told(
        root=root.absolute(),
        summary=_summary(run, gaps),
        metrics=metrics,
        records=tuple(_records(run, gaps)),
        hosts=tuple(_hosts(run, gaps)),
        dag=_dag(root, gaps),
        gaps=tuple(gaps),
        asked=asked or Asked(),
        estimate=_estimate(root, gaps),
        settings=_settings(run),
    )


def _read(path: Path, most: int = MOST_BYTES) -> bytes | None:
    """The file, or None where there is none, it is no plain file, or is too large."""
    try:
        known = path.stat()
        if not stat.S_ISREG(known.st_mode) or known.st_size > most:
            return None
        return path.read_bytes()
    except (OSError, ValueError):
        return None


def _summary(run: RunDir, gaps: list[str]) -> Summary | None:
    raw = _read(run.summary)
    if raw is None:
        gaps.append("There is no readable summary.json: the run has not ended, or was cut short.")
        return None
    other = other_version(raw)
    try:
        told = msgspec.json.decode(raw, type=Summary)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        gaps.append(f"{other or f'summary.json is damaged ({error})'}: what it says is left out.")
        return None
    if other:
        gaps.append(f"{other}: what it lacks is left out here.")
    return told


def _estimate(root: Path, gaps: list[str]) -> Calibration | None:
    from peerage.estimate.calibration import LARGEST_FILE, decode  # noqa: PLC0415 - it reads runs through this module

    raw = _read(root / "estimate.json", LARGEST_FILE)
    if raw is None:
        return None  # runs that were cut short have none
    try:
        return decode(raw, "estimate.json")
    except InputError as error:
        gaps.append(f"The estimate is left out: {error}")
        return None


def _settings(run: RunDir) -> Federation | None:
    try:
        return load_federation(run.federation, check=False)
    except (PeerageError, OSError, ValueError, RecursionError):
        return None  # what only they say is left out where it would stand


def _peers(run: RunDir) -> list[Path]:
    try:
        return sorted(path for path in (run.root / "peers").iterdir() if path.is_dir())
    except OSError:
        return []


def _metrics(run: RunDir, gaps: list[str]) -> Iterator[tuple[str, tuple[RoundMetrics, ...]]]:
    decoder, bad = msgspec.json.Decoder(RoundMetrics), 0
    folders = _peers(run)
    if not folders:
        gaps.append("There is no folder of a peer: rounds, accuracy and energy by phase are unknown.")
    for folder in folders:
        raw = _read(folder / "metrics.jsonl")
        if raw is None:
            gaps.append(f"{folder.name} has no readable metrics.jsonl: its rounds are left out.")
            continue
        lines: list[RoundMetrics] = []
        for line in raw.splitlines():
            try:
                lines.append(decoder.decode(line))
            except (msgspec.MsgspecError, ValueError, RecursionError):
                bad += 1
        yield folder.name, tuple(lines)
    if bad:
        gaps.append(f"{bad} line(s) of metrics.jsonl cannot be decoded and are left out.")


def _records(run: RunDir, gaps: list[str]) -> Iterator[EmissionRecord]:
    named = _digests(run, gaps)
    missing = wrong = 0
    for digest in named[:MOST_RECORDS]:
        blob = _read(run.store / digest, MAX_RECORD_BYTES)
        record = None if blob is None else _record(blob, digest)
        if record is not None:
            yield record
        elif blob is None:
            missing += 1
        else:
            wrong += 1
    if missing:
        gaps.append(
            f"{missing} of {len(named)} emission records are not in store/: their energy is not in the sums here."
        )
    if wrong:
        gaps.append(f"{wrong} emission record(s) do not hash to their name or do not add up, and are left out.")
    if len(named) > MOST_RECORDS:
        gaps.append(f"Of {len(named)} emission records the first {MOST_RECORDS} are shown: sums here are too low.")


def _digests(run: RunDir, gaps: list[str]) -> list[str]:
    """Each record once: its rows in a peer's CSV all end with the same digest."""
    named: dict[str, None] = {}
    for folder in _peers(run):
        raw = _read(folder / "emissions.csv")
        if raw is None:
            gaps.append(f"{folder.name} has no readable emissions.csv: its energy is left out.")
            continue
        for line in raw.splitlines()[1:]:
            digest = line.rpartition(b",")[2]
            if _DIGEST.fullmatch(digest):
                named[digest.decode()] = None
    return list(named)


def _record(blob: bytes, digest: str) -> EmissionRecord | None:
    try:
        return decode_record(blob) if sha256(blob).hex() == digest else None
    except (BadRecord, ValueError, RecursionError):
        return None


def _hosts(run: RunDir, gaps: list[str]) -> Iterator[HostRecord]:
    raw = _read(run.host_log)
    if raw is None:
        gaps.append("There is no readable host.jsonl: what the host used beside its peers is unknown.")
        return
    for line in raw.splitlines():
        try:
            yield decode_host_record(line[: MAX_HOST_RECORD_BYTES + 1])
        except (BadRecord, ValueError, RecursionError) as error:
            gaps.append(f"A host record is left out: {error}.")


def _dag(root: Path, gaps: list[str]) -> str | None:
    from peerage.provenance.sources import open_run  # noqa: PLC0415 - the chain's decoder is slow to import
    from peerage_ledger.provenance.picture import svg_of  # noqa: PLC0415

    try:
        return svg_of(open_run(root).told)
    except (PeerageError, OSError, ValueError, KeyError, IndexError, RecursionError) as error:
        gaps.append(f"The graph of models cannot be drawn: {error}")
        return None
