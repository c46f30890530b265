"""Devices by injected readings: a peer's part is energy times its share of busy time, and parts are never more than
the whole.
"""

import os
from types import SimpleNamespace

import pytest

from peerage.emissions.gpu import DeviceReading, GpuShare, gpu_share, nvml_reader

JOULE = 1_000_000


def readings(*steps):
    """A reader that gives one step after the other, and the last one for ever."""
    left = list(steps)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_energy_follows_the_share_of_busy_time_device_by_device():
    read = readings(
        [DeviceReading(10 * JOULE, {}), DeviceReading(0, {})],
        [DeviceReading(110 * JOULE, {7: 30, 8: 10}), DeviceReading(50 * JOULE, {8: 90})],
    )
    assert GpuShare(read, 7, 250_000)() == 75 * JOULE


def test_an_idle_device_is_shared_by_reservation():
    read = readings([DeviceReading(0, {})], [DeviceReading(40 * JOULE, {})], [DeviceReading(40 * JOULE, {8: 5})])
    share = GpuShare(read, 7, 250_000)
    assert [share(), share()] == [10 * JOULE, 10 * JOULE]


@pytest.mark.parametrize("peers", [1, 3, 8])
def test_parts_read_at_the_same_edges_never_outdo_the_device(peers):
    steps = [
        [DeviceReading(number * 7_777_777, {pid: (pid * number) % 11 for pid in range(1, peers + 2)})]
        for number in range(50)
    ]
    shares = [GpuShare(readings(*steps), pid, 1_000_000 // peers) for pid in range(1, peers + 1)]
    for number in range(1, 50):
        assert sum(share() for share in shares) <= number * 7_777_777


def test_a_device_that_is_silent_is_caught_up_and_one_that_begins_again_falls():
    silent, again = [DeviceReading(None, {})], [DeviceReading(1 * JOULE, {7: 1})]
    read = readings([DeviceReading(0, {})], silent, [DeviceReading(9 * JOULE, {7: 1})], again)
    share = GpuShare(read, 7, 1_000_000)
    assert [share(), share()] == [0, 9 * JOULE]
    assert share() < 9 * JOULE  # which the meter marks


class NVMLError(Exception):
    pass


class Driver:
    """What pynvml would be; millijoules, and samples with the time when they were taken."""

    NVMLError = NVMLError

    def __init__(self, devices=1, broken=False):
        self.devices, self.broken, self.millijoules, self.samples = devices, broken, 0, []

    def nvmlInit(self):
        pass

    def nvmlDeviceGetCount(self):
        return self.devices

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, _handle):
        if self.broken:
            raise NVMLError
        return self.millijoules

    def nvmlDeviceGetProcessUtilization(self, _handle, since):
        fresh = [sample for sample in self.samples if sample.timeStamp > since]
        if not fresh:
            raise NVMLError
        return fresh


def sample(pid, share, at):
    return SimpleNamespace(pid=pid, smUtil=share, timeStamp=at)


def test_the_driver_is_asked_for_what_is_new():
    driver = Driver()
    share = GpuShare(nvml_reader(driver, by_process=True), os.getpid(), 500_000)
    driver.millijoules, driver.samples = 1000, [sample(os.getpid(), 20, 1), sample(1, 60, 2)]
    assert share() == JOULE // 4
    driver.millijoules = 2000  # no new sample: nobody was busy
    assert share() == JOULE // 4 + JOULE // 2


def test_where_the_driver_names_processes_otherwise_the_reservation_serves():
    driver = Driver()
    share = GpuShare(nvml_reader(driver, by_process=False), os.getpid(), 500_000)
    driver.millijoules, driver.samples = 1000, [sample(99, 100, 1)]
    assert share() == JOULE // 2


@pytest.mark.parametrize("driver", [Driver(devices=0), Driver(broken=True)])
def test_no_device_or_one_without_a_counter_is_none_at_all(driver):
    assert nvml_reader(driver) is None


def test_this_host_says_what_it_has():
    share = gpu_share(1_000_000)
    assert share is None or share() >= 0
