"""A peer's part of its host's GPUs: each device's own energy counter times the process's share of its busy time.

    gpu_i += (counter now - counter before) * busy_i / sum(busy)        nobody busy: the declared reservation

NVML counts millijoules a device, and samples how busy each process kept it. Peers that read at the same edges get
shares that never add up to more than the device; between edges that differ the shares are as good as the power is even,
and `check_host` tells when they are not. Inside a container the driver names processes by other numbers than we do:
there the reservation is all we have.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from peerage.emissions.attribution import PPM

# the inode of the first PID namespace, fixed in the kernel (include/linux/proc_ns.h)
_FIRST_NAMESPACE: Final = "pid:[4026531836]"


@dataclass(frozen=True, slots=True)
class DeviceReading:
    """`energy_uj` since some start, None where the device did not answer; `busy` by process, in any one unit, since the
    reading before.
    """

    energy_uj: int | None
    busy: Mapping[int, int]


Reader = Callable[[], Sequence[DeviceReading]]


class GpuShare:
    """Call it for the microjoules of process `pid` so far. Where a device's counter began again the sum falls, which a
    meter marks and counts as nothing.
    """

    def __init__(self, read: Reader, pid: int, reserved_ppm: int) -> None:
        self._read, self._pid, self._reserved_ppm = read, pid, reserved_ppm
        self._last = [reading.energy_uj for reading in read()]
        self._total_uj = 0

    def __call__(self) -> int:
        for index, reading in enumerate(self._read()[: len(self._last)]):
            before, now = self._last[index], reading.energy_uj
            if now is None:
                continue
            self._last[index] = now
            if before is not None:
                self._total_uj += self._part(now - before, reading.busy)
        return self._total_uj

    def _part(self, gain_uj: int, busy: Mapping[int, int]) -> int:
        if gain_uj < 0:
            return gain_uj
        whole = sum(busy.values())
        if whole <= 0:
            return gain_uj * self._reserved_ppm // PPM
        return gain_uj * busy.get(self._pid, 0) // whole


def nvml_reader(nvml: Any = None, *, by_process: bool | None = None) -> Reader | None:  # noqa: ANN401
    """All devices of this host, or None where NVML is not there or a device has no energy counter: some of them would
    pass for all. `nvml` is the module pynvml, or what stands in for it.
    """
    try:
        nvml = nvml or import_module("pynvml")  # untyped, and few hosts have devices
    except ImportError:
        return None
    try:
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        for handle in handles:
            nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:
        return None
    if not handles:
        return None
    seen = [0] * len(handles)
    named = _pids_are_ours() if by_process is None else by_process

    def one(index: int, handle: object) -> DeviceReading:
        try:
            energy_uj = nvml.nvmlDeviceGetTotalEnergyConsumption(handle) * 1000
        except nvml.NVMLError:
            return DeviceReading(None, {})
        busy: dict[int, int] = {}
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(handle, seen[index]) if named else []
        except nvml.NVMLError:  # nothing since the last reading, or a device that does not tell
            samples = []
        for sample in samples:
            busy[sample.pid] = busy.get(sample.pid, 0) + sample.smUtil
            seen[index] = max(seen[index], sample.timeStamp)
        return DeviceReading(energy_uj, busy)

    return lambda: [one(index, handle) for index, handle in enumerate(handles)]


def gpu_share(reserved_ppm: int) -> GpuShare | None:
    """For `Meter(own_gpu_uj=...)`: this process's part, or None on a host without readable devices."""
    read = nvml_reader()
    return GpuShare(read, os.getpid(), reserved_ppm) if read else None


def _pids_are_ours() -> bool:
    try:
        return str(Path("/proc/self/ns/pid").readlink()) == _FIRST_NAMESPACE
    except OSError:
        return False
