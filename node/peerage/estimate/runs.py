"""A run directory as the estimator needs it: its settings, what the meter says of each round, and `estimate.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from peerage.config_toml import load_federation
from peerage.estimate.calibration import LARGEST_FILE, Prior, against, calibrate, decode, encode
from peerage.estimate.prediction import Prediction, RoundUse, by_round, predict
from peerage.report import read_run
from peerage.report.energy import whole
from peerage.rundir import RunDir, write_whole
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from peerage.config import Federation
    from peerage.emissions.labels import Label
    from peerage.emissions.record import EmissionRecord
    from peerage.estimate.calibration import Calibration, Foreseen

FILE: Final = "estimate.json"
_OF_ENERGY: Final = ("energy is", "emission record", "sums here")  # words of the reader's gaps


@dataclass(frozen=True, slots=True)
class RunUse:
    """`over`: every round that the settings ask for is metered."""

    name: str
    cpu_model: str
    settings: Federation
    records: tuple[EmissionRecord, ...]
    rounds: tuple[RoundUse, ...]
    label: Label
    gaps: tuple[str, ...]

    @property
    def over(self) -> bool:
        return len(self.rounds) >= self.settings.rounds

    def predict(self, first: int, rounds: int | None = None) -> Prediction:
        """For the rounds of its settings, or for others."""
        return predict(self.rounds, first, rounds or self.settings.rounds, self.label)


def of_run(root: Path) -> RunUse:
    """InputError where there is no run, or it has no readable settings or records."""
    told = read_run(root)
    settings = load_federation(RunDir(root).federation, check=False)
    gaps = tuple(gap for gap in told.gaps if any(word in gap for word in _OF_ENERGY))
    cpus = ", ".join(sorted({host.cpu_model for host in told.hosts})) or "a CPU that is not told"
    return RunUse(root.name, cpus, settings, told.records, by_round(told.records), whole(told).label, gaps)


def known_of(place: Path) -> Calibration:
    """From a file, from a run's `estimate.json`, or from the run's own records where it has none."""
    path = place / FILE if place.is_dir() else place
    if place.is_dir() and not path.exists():
        return calibrate(of_run(place))
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path} is longer than {LARGEST_FILE >> 20} MiB: no calibration is")
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    return decode(raw, str(path))


def keep(root: Path, out: Path | None = None, prior: Foreseen | None = None) -> tuple[Calibration, Path]:
    """Write a run's `estimate.json`: its constants, the error of its first rounds' prediction, and that of `prior`."""
    run = of_run(root)
    told = against(prior, run) if prior else None
    before = None
    if told and told.error is not None:
        before = Prior(
            source=told.source,
            energy_wh=told.energy_wh.mid,
            low_wh=told.energy_wh.low,
            high_wh=told.energy_wh.high,
            error=told.error,
        )
    known, path = calibrate(run, before), out or root / FILE
    try:
        write_whole(path, encode(known))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}; name a file with --out") from None
    return known, path
