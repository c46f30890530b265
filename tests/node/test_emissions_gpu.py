"""Devices by injected readings: a peer's part is energy times its share of busy time, and parts are never more than
the whole.
"""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_emissions_meter import FakeCounters, World, peer, probe_of

from peerage.accounts import Accounts
from peerage.config import Federation
from peerage.emissions import HostMeter, Label, check_host, check_run, equal_reservation, gpu
from peerage.emissions.attribution import PPM
from peerage.emissions.gpu import DeviceReading, GpuShare, all_of, counters_of, devices_of, nvml_reader
from peerage.status import PeerSpec

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


@pytest.fixture
def driver(monkeypatch):
    """NVML as a host with one device has it."""
    made = Driver()
    monkeypatch.setattr(gpu, "import_module", lambda _: made)
    monkeypatch.setattr(gpu, "_pids_are_ours", lambda: True)
    return made


def test_a_host_that_lists_no_device_is_not_asked(monkeypatch):
    monkeypatch.setattr(gpu, "import_module", lambda _: pytest.fail("the driver was asked for"))
    probe = probe_of(World())
    assert devices_of(probe) is None
    assert counters_of(probe, PPM, alone=True) == counters_of(probe, PPM, alone=False) == (None, None)


def test_devices_add_up_and_a_silent_one_keeps_its_last_value():
    read = readings(
        [DeviceReading(5, {}), DeviceReading(2, {})],
        [DeviceReading(None, {}), DeviceReading(3, {})],
        [DeviceReading(9, {}), DeviceReading(3, {})],
    )
    total = all_of(read)
    assert [total(), total()] == [8, 12]


def test_a_lone_peer_takes_what_its_process_kept_busy(driver):
    devices, own = counters_of(probe_of(World(), gpus=("a device",)), 100_000, alone=True)
    assert devices is None
    driver.millijoules, driver.samples = 1000, [sample(os.getpid(), 30, 1), sample(1, 10, 2)]
    assert own() == 3 * JOULE // 4


def test_peers_of_one_host_take_their_reservations_and_never_more_than_the_host(driver):
    world = World()
    probe = probe_of(world, gpus=("a device",))
    host = HostMeter(probe, gpu_uj=devices_of(probe), counters=FakeCounters(world))
    meters = []
    for who in (1, 2, 3):
        devices, own = counters_of(probe, equal_reservation(3), alone=False)
        assert own is None
        meters.append(peer(world, probe, who, of=3, gpu_uj=devices))
    for round_ in range(4):
        for who, meter in enumerate(meters, 1):  # each reads at a moment of its own
            world.run(200_000, {who: 100_000})
            driver.millijoules += 20_000 + 7 * round_ + who
            meter.enter("train" if round_ % 2 else "wait")
    records = [meter.close_round(1) for meter in meters]
    told = host.close(records)
    assert check_host(records, told) == ()
    assert told.gpu_label is Label.MEASURED_COUNTER
    assert {record.labels.gpu for record in records} == {Label.ATTRIBUTED}
    used = [sum(row.gpu_uj for row in record.use) for record in records]
    assert min(used) > 0.2 * told.host.gpu_uj
    assert sum(used) <= told.host.gpu_uj == driver.millijoules * 1000
    assert not list(check_run(records, [told]))


def test_a_peer_process_wires_its_meter_to_the_devices(driver, tmp_path):
    """What the process of a peer counts from its specification alone."""
    world = World()
    (tmp_path / "host.json").write_text(probe_of(world, gpus=("a device",), wall_us=1, mono_us=0).to_json())
    (tmp_path / "peers" / "peer-01").mkdir(parents=True)
    spec = PeerSpec(
        name="peer-01", index=0, run_dir=str(tmp_path), secrets_dir="", password_file="", deployment="",
        host_probe=str(tmp_path / "host.json"), alone=True,
    )  # fmt: skip
    accounts = Accounts(spec, Federation(peers=4), b"\x01" * 20, None, lambda: (0, 0))
    accounts.enter("train")
    driver.millijoules, driver.samples = 2, [sample(os.getpid(), 100, 1)]
    accounts.enter("wait")
    record = accounts.close_emissions(1)
    accounts.close()
    assert sum(row.gpu_uj for row in record.use) == 2000
    assert record.labels.gpu is Label.ATTRIBUTED
