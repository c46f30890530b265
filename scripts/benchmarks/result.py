"""What every benchmark prints, and how it takes the time."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIBRARIES = ("torch", "numpy", "cryptography", "coincurve", "pyzmq", "web3", "py-evm", "codecarbon")


@dataclass(frozen=True)
class Aim:
    """A figure of the design, and whether this run meets it."""

    what: str
    value: float
    aim: str
    met: bool


def at_most(what: str, value: float, limit: float) -> Aim:
    return Aim(what, value, f"<= {limit:g}", value <= limit)


def at_least(what: str, value: float, limit: float) -> Aim:
    return Aim(what, value, f">= {limit:g}", value >= limit)


@dataclass(frozen=True)
class Result:
    """`ours` and `yardsticks` were measured in one run; `ratios` say which over which in their names."""

    bench: str
    settings: Mapping[str, Any]
    ours: Mapping[str, Any]
    yardsticks: Mapping[str, Any]
    ratios: Mapping[str, float]
    aims: tuple[Aim, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> str:
        document = {
            "schema": 1,
            "bench": self.bench,
            "machine": machine(),
            "settings": dict(self.settings),
            "ours": dict(self.ours),
            "yardsticks": dict(self.yardsticks),
            "ratios": dict(self.ratios),
            "aims": [vars(aim) for aim in self.aims],
            "notes": list(self.notes),
        }
        return json.dumps(rounded(document), indent=1, allow_nan=False)


def machine() -> dict[str, Any]:
    """Generic on purpose: nothing here names a host."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_at_end": round(os.getloadavg()[0], 2),
        "libraries": found,
    }


def rounded(value: object) -> object:
    """Six significant digits: more would be noise."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return value


def side_by_side(things: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each; they take turns, so that a busy moment hits all."""
    taken: dict[str, list[float]] = {name: [] for name in things}
    for name, run in things.items():
        run()
        say(f"  {name}: warm")
    for _ in range(repeats):
        for name, run in things.items():
            started = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - started)
    return {name: median(times) for name, times in taken.items()}


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
