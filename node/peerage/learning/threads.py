"""How many threads a fine-tune takes on a machine of its own: measured on the peer's model and rows.

More threads shorten a step of a large model and lengthen that of a small one, and every further core takes power while
it waits for the others. So each doubling must pay: a step has to get shorter by a fifth, or the fewer threads stay.
Only the fine-tune uses them: what two peers must agree on is computed by one thread, in the same order everywhere.
"""

from __future__ import annotations

import contextlib
import time
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from peerage.learning.trainer import train

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from torch import nn

    from peerage.learning.data import Dataset
    from peerage.learning.trainer import TrainSettings

WORTH: Final = 1.25  # so many times shorter must a step be for twice the threads
STEPS: Final = 8  # of the model's own training, for one timing
TIMINGS: Final = 3  # the best of so many: the others met other work on the machine
LONGEST: Final = 20.0  # seconds for all of it: a model whose steps are slower is timed with fewer of them


@dataclass(frozen=True)
class Choice:
    """`seconds` of one step by number of threads, as measured; empty where nothing was."""

    threads: int
    seconds: Mapping[int, float]

    def __str__(self) -> str:
        if not self.seconds:
            return f"fine-tunes take {self.threads} of the cores"
        each = ", ".join(f"{n}: {1000 * seconds:.1f} ms" for n, seconds in sorted(self.seconds.items()))
        return f"fine-tunes take {self.threads} of the cores; a step took, by threads, {each}"


def worthwhile(seconds: Mapping[int, float]) -> int:
    """The most threads up to which each doubling paid; `seconds` of a step by number of threads (1, 2, 4, ...)."""
    chosen = 1
    for threads in sorted(seconds):
        if threads > chosen and seconds[chosen] < WORTH * seconds[threads]:
            break
        chosen = threads
    return chosen


def numbers(cores: int) -> list[int]:
    """1, 2, 4, ... up to so many cores."""
    return [1 << power for power in range(max(1, cores).bit_length())]


def chosen(
    model: nn.Module,
    rows: Dataset,
    settings: TrainSettings,
    cores: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Choice:
    """Times a few steps of a copy of `model`, which stays as it is; one core needs no measurement."""
    if cores < 2:
        return Choice(1, {})
    few = rows.take(np.arange(min(len(rows), STEPS * settings.batch_size)))
    once = replace(settings, epochs=1)
    until = clock() + LONGEST
    seconds: dict[int, float] = {}
    for threads in numbers(cores):
        took: list[float] = []
        with using(threads):
            for _ in range(TIMINGS + 1):  # the first meets what is built when it is first used
                began = clock()
                steps = train(deepcopy(model), few, once, 0).steps
                took.append((clock() - began) / max(1, steps))
                if clock() > until:
                    break
        seconds[threads] = min(took[1:] or took)
        if clock() > until or worthwhile(seconds) < threads:
            break  # more of them were of no use already
    return Choice(worthwhile(seconds), seconds)


@contextlib.contextmanager
def using(threads: int) -> Generator[None]:
    """So many threads for what torch computes inside, in this thread; afterwards as before."""
    before = torch.get_num_threads()
    if threads != before:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if threads != before:
            torch.set_num_threads(before)
