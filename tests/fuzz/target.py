"""A target is a function of bytes that may raise nothing but what its decoder documents, within a stated memory.

A run of a target is the same everywhere: under the coverage-guided engine (`scripts/fuzz`), over the kept corpus (plain
pytest) and by hand with a file that somebody sends. It decodes, and where a value comes out it checks what must hold of
it (the same bytes again, the same sum, a verdict and no exception).
"""

from __future__ import annotations

import contextlib
import sys
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Run = Callable[[bytes], None]
    Seeds = Callable[[], Sequence[bytes]]

LONGEST_INPUT = 64 << 10
MEMORY = 16 << 20  # bytes at the peak of one run, as Python counts them
RECURSION = 1200  # Python's 1000, and whoever calls us
SLOWEST_SECONDS = 10  # of one run in the engine


@dataclass(frozen=True)
class Target:
    """`allowed` is what its decoder documents; anything else that escapes is a finding. `seeds` are valid inputs."""

    name: str
    run: Run
    allowed: tuple[type[Exception], ...]
    seeds: Seeds
    memory: int


TARGETS: dict[str, Target] = {}


def target(
    name: str, *, allowed: tuple[type[Exception], ...] = (), seeds: Seeds = tuple, memory: int = MEMORY
) -> Callable[[Run], Run]:
    def register(run: Run) -> Run:
        assert name not in TARGETS, name
        TARGETS[name] = Target(name, run, allowed, seeds, memory)
        return run

    return register


def execute(what: Target, data: bytes) -> None:
    """One run; what is documented does not escape. Python recurses as deep as in a peer: py-evm would change that."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION)
    try:
        with contextlib.suppress(*what.allowed):
            what.run(data)
    finally:
        sys.setrecursionlimit(before)


class TooMuchMemory(AssertionError):
    """A run took more than its target may."""


def measure(what: Target, data: bytes) -> int:
    """Bytes at the peak of one run; TooMuchMemory above the target's bound."""
    tracemalloc.start()
    try:
        execute(what, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if peak > what.memory:
        raise TooMuchMemory(f"{what.name} took {peak} bytes for an input of {len(data)}; {what.memory} are allowed")
    return peak
