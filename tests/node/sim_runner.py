"""Many schedules on all cores, and one schedule as a story. What fails is named by the command that plays it again."""

from __future__ import annotations

import os
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

import invariants
import sim_caches
from schedules import FAMILIES, play

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from simulator import Simulation

CHUNK = 20  # schedules of one task


@dataclass(frozen=True)
class Failure:
    family: str
    seed: int
    why: str

    @property
    def command(self) -> str:
        return f"scripts/simulate {self.family} {self.seed} --trace"


def one(family: str, seed: int) -> Failure | None:
    """Play one schedule and check everything."""
    try:
        invariants.check(play(family, seed), everybody=False)
    except Exception as error:  # noqa: BLE001 - whatever it is, it has a seed
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Failure(family, seed, f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})")
    return None


def some(family: str, seeds: Iterable[int]) -> list[Failure]:
    """A worker's task."""
    rest = sim_caches.rest()
    found: list[Failure] = []
    for seed in seeds:
        failure = one(family, seed)
        if failure:
            found.append(failure)
        rest()
    return found


def workers(jobs: int | None = None) -> ProcessPoolExecutor:
    """One process for each core, each with a fresh interpreter (a fork would take the parent's threads along)."""
    return ProcessPoolExecutor(jobs or os.cpu_count() or 1, mp_context=get_context("spawn"))


def many(pool: ProcessPoolExecutor, family: str, seeds: range) -> Iterator[Failure]:
    """The failures among these schedules."""
    parts = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    for task in as_completed([pool.submit(some, family, part) for part in parts]):
        yield from task.result()


def share(schedules: int) -> range:
    """The seeds of each family, when so many schedules are played in all."""
    return range(-(-schedules // len(FAMILIES)))


def everything(schedules: int, jobs: int | None = None) -> int:
    """All families; prints what failed and how fast it went; returns how many failed."""
    began, failed = time.monotonic(), 0
    with workers(jobs) as pool:
        for family in FAMILIES:
            for failure in many(pool, family, share(schedules)):
                failed += 1
                print(f"{failure.why}\n    {failure.command}", flush=True)
    seconds, played = time.monotonic() - began, len(FAMILIES) * len(share(schedules))
    rate = f"{seconds:.0f} s, {played / seconds:.0f} a second"
    print(f"{played} schedules of {len(FAMILIES)} families, {failed} failed; {rate}")
    return failed


def story(family: str, seed: int, *, trace: bool) -> Simulation:
    """Play one again; with `trace` every happening is printed."""
    return play(family, seed, print if trace else None)
