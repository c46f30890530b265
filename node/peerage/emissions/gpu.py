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
from typing import TYPE_CHECKING, Any, Final

from peerage.emissions.attribution import PPM

if TYPE_CHECKING:
    from peerage.emissions.host import HostProbe

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


Counter = Callable[[], int]


def devices_of(probe: HostProbe) -> Counter | None:
    """Microjoules of all of a host's devices since some start, or None where it lists none or none can tell."""
    read = nvml_reader(by_process=False) if probe.gpus else None
    return all_of(read) if read else None


def all_of(read: Reader) -> Counter:
    """The sum over devices; one that does not answer keeps its last value."""
    last = [reading.energy_uj or 0 for reading in read()]

    def total() -> int:
        for index, reading in enumerate(read()[: len(last)]):
            if reading.energy_uj is not None:
                last[index] = reading.energy_uj
        return sum(last)

    return total


def counters_of(probe: HostProbe, reserved_ppm: int, *, alone: bool) -> tuple[Counter | None, Counter | None]:
    """For `Meter`: its `gpu_uj` and `own_gpu_uj`, of which one is None at least.

    A peer that is alone on its host is charged for what its process kept busy. Peers of one launcher read the devices
    at different moments, where shares of busy time could add up to more than the host used: they take the part that is
    reserved for them.
    """
    if not alone:
        return devices_of(probe), None
    read = nvml_reader() if probe.gpus else None
    return None, GpuShare(read, os.getpid(), reserved_ppm) if read else None


def _pids_are_ours() -> bool:
    try:
        return str(Path("/proc/self/ns/pid").readlink()) == _FIRST_NAMESPACE
    except OSError:
        return False
