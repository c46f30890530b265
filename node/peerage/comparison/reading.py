"""Finished runs from their folders: settings, summary, and accuracy by round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.comparison.groups import Run
from peerage.config_toml import load_federation
from peerage.report.reading import read_run
from peerage.rundir import RunDir
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from peerage.metrics import RoundMetrics


def read_runs(folders: Sequence[Path]) -> tuple[Run, ...]:
    """InputError for fewer than two, for one that is no finished run, and for one that is named twice."""
    if len(folders) < 2:
        raise InputError("one run alone cannot be compared: name at least two run directories")
    seen: dict[Path, Path] = {}
    for folder in folders:
        real = folder.resolve()
        if real in seen:
            raise InputError(f"{folder} is named twice: a run against itself says nothing")
        seen[real] = folder
    return tuple(_run(folder) for folder in folders)


def _run(folder: Path) -> Run:
    told = read_run(folder)
    if told.summary is None or not RunDir(folder).federation.is_file():
        raise InputError(f"{folder} has no readable summary.json and federation.toml: let the run end, then compare it")
    name = folder.resolve().name
    return Run(name, load_federation(RunDir(folder).federation), told.summary, _curve(told.metrics))


def _curve(metrics: Mapping[str, Iterable[RoundMetrics]]) -> tuple[tuple[int, float], ...]:
    found: dict[int, list[float]] = {}
    for lines in metrics.values():
        for line in lines:
            if line.accuracy is not None:
                found.setdefault(line.round, []).append(line.accuracy)
    return tuple((number, sum(found[number]) / len(found[number])) for number in sorted(found))
