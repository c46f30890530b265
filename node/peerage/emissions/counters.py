"""The clocks that a meter reads: own CPU time and memory, the host's busy time. Each read costs microseconds."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final, Protocol

from peerage.emissions.facts import ROOT, cgroup_folders, number

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICK_US: Final = 1_000_000 // os.sysconf("SC_CLK_TCK")
# Where there is no such clock a sleep shows as a jump of the time of day, and is marked so
_SINCE_BOOT: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_IDLE, _IOWAIT, _STEAL, _COUNTED = 3, 4, 7, 8  # columns of /proc/stat; guest time is already in user time


def busy_between(before: tuple[int, ...], after: tuple[int, ...]) -> int:
    """The account that grew most, or nothing where all ran backwards: /proc/stat counts ticks and may miss short
    bursts, a cgroup may not hold everybody.
    """
    return max((0, *(b - a for a, b in zip(before, after, strict=False))))


class Counters(Protocol):
    """A test passes numbers, a run passes `SystemCounters`. All values grow from an arbitrary start, memory
    excepted.
    """

    def now_us(self) -> int: ...
    def beside_us(self) -> tuple[int, int]:
        """Time since boot, sleep included, and the time of day: what `now_us` is held against (`clocks_moved`)."""
        ...

    def cpu_us(self) -> int:
        """CPU time of this process: all its threads, and children that it has waited for."""
        ...

    def resident_bytes(self) -> int:
        """Resident memory, cheap: forked siblings count shared pages each."""
        ...

    def proportional_bytes(self) -> int:
        """Resident memory with shared pages divided among those who share them (PSS); half a millisecond."""
        ...

    def busy_us(self) -> tuple[int, ...]:
        """CPU time that all processes of the host have used, by each account there is (`busy_between` compares)."""
        ...

    def zone_uj(self, path: str) -> int | None:
        """A RAPL counter, or None when it cannot be read (any more)."""
        ...


class SystemCounters:
    """Linux by /proc; elsewhere psutil answers for memory and busy time."""

    def __init__(self, root: Path = ROOT, *, part: bool = False) -> None:
        """`part`: we may use a part of the machine only (a container); then only the cgroup's busy time is ours."""
        self._root = root
        self._slice = part
        self._usage = _usage_file(root)

    def now_us(self) -> int:
        return time.monotonic_ns() // 1000

    def beside_us(self) -> tuple[int, int]:
        return time.clock_gettime_ns(_SINCE_BOOT) // 1000, time.time_ns() // 1000

    def cpu_us(self) -> int:
        times = os.times()
        return time.process_time_ns() // 1000 + round((times.children_user + times.children_system) * 1_000_000)

    def resident_bytes(self) -> int:
        if sys.platform != "linux":
            return _psutil_resident()
        with Path("/proc/self/statm").open("rb", buffering=0) as file:
            return int(file.read(200).split()[1]) * _PAGE

    def proportional_bytes(self) -> int:
        try:
            with Path("/proc/self/smaps_rollup").open("rb") as file:
                for line in file:
                    if line.startswith(b"Pss:"):
                        return int(line.split()[1]) * 1024
        except OSError:  # not Linux, or a kernel before 4.14
            pass
        return self.resident_bytes()

    def busy_us(self) -> tuple[int, ...]:
        cgroup = self._cgroup_us()
        if self._slice and cgroup is not None:
            return (cgroup,)
        return (self._machine_us(),) if cgroup is None else (self._machine_us(), cgroup)

    def zone_uj(self, path: str) -> int | None:
        return number(Path(path) / "energy_uj")

    def _machine_us(self) -> int:
        try:
            with (self._root / "proc/stat").open() as file:
                columns = [int(x) for x in file.readline().split()[1 : 1 + _COUNTED]]
        except OSError:
            return _psutil_busy_us()
        return _TICK_US * sum(n for i, n in enumerate(columns) if i not in {_IDLE, _IOWAIT, _STEAL})

    def _cgroup_us(self) -> int | None:
        if self._usage is None:
            return None
        if self._usage.name == "cpuacct.usage":
            nanoseconds = number(self._usage)
            return None if nanoseconds is None else nanoseconds // 1000
        try:
            words = self._usage.read_text().split()
            return int(words[words.index("usage_usec") + 1])
        except (OSError, ValueError):
            return None


def _usage_file(root: Path) -> Path | None:
    """The outermost cgroup account that we can see: it holds every process of the container, or of the machine."""
    candidates = [f / "cpuacct.usage" for f in cgroup_folders(root, "cpuacct")]
    candidates += [f / "cpu.stat" for f in cgroup_folders(root, "") if (f / "cgroup.controllers").exists()]
    there = [path for path in candidates if path.exists()]
    return min(there, key=lambda path: len(path.parts), default=None)


def _psutil_resident() -> int:
    import psutil  # noqa: PLC0415 - 20 ms that Linux need not pay

    return int(psutil.Process().memory_info().rss)


def _psutil_busy_us() -> int:
    import psutil  # noqa: PLC0415

    times = psutil.cpu_times()
    return round(1_000_000 * sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))
