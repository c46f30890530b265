"""Instruments that misbehave: clocks that jump, counters that wrap or begin again, a host that sleeps, power that no
host has. Each is refused, or stands in the record as a mark with a label that fits, and the auditor is told.
"""

import json
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace

import msgspec
import pytest

from peerage.audit.files import check_emissions
from peerage.emissions import (
    MARKED,
    HostMeter,
    HostProbe,
    Label,
    Mark,
    Meter,
    check_host,
    check_record,
    check_run,
    decode_host_record,
    decode_record,
    probe_from_json,
)
from peerage.emissions.attribution import MODEL_RATE_UW
from peerage.emissions.counters import SystemCounters
from peerage.emissions.factors import Factor
from peerage.emissions.host import Zone
from peerage.emissions.marks import clocks_moved
from peerage_crypto.errors import InputError
from peerage_ledger.audit.findings import Notebook

SECOND = 1_000_000
SPAN = 1 << 32  # microjoules: 71 minutes at a watt
WORLD = Factor(
    country="", low_mg=30_000, mid_mg=475_000, high_mg=800_000, year=2019, source="test", label=Label.ASSUMED
)


@dataclass
class Instruments:
    """All that a meter reads, each to be set by a test."""

    now: int = 1000 * SECOND
    asleep: int = 0
    day: int = 0
    cpu: int = 0
    busy: int = 0
    zone: int | None = 0

    def now_us(self):
        return self.now

    def beside_us(self):
        return self.now + self.asleep, self.now + self.asleep + self.day

    def cpu_us(self):
        return self.cpu

    def resident_bytes(self):
        return 10**9

    def proportional_bytes(self):
        return 10**9

    def busy_us(self):
        return (self.busy,)

    def zone_uj(self, _path):
        return self.zone

    def work(self, seconds=1, joules=3):
        self.now += seconds * SECOND
        self.cpu += seconds * SECOND
        self.busy += seconds * SECOND
        if self.zone is not None:
            self.zone = (self.zone + joules * SECOND) % SPAN


def probe_of(instruments, **changes):
    rapl = instruments.zone is not None
    probe = HostProbe(
        host_id="0123456789abcdef",
        cpu_model="test",
        tdp_mw=0,
        milli_cores=2000,
        idle_mw=1480,
        rate_uw=MODEL_RATE_UW,
        cap_mw=60_000,
        ram_bytes=8 * 10**9,
        cpu_label=Label.MEASURED_COUNTER if rapl else Label.MODELLED,
        zones=(Zone("zone", SPAN, instruments.zone),) if rapl else (),
        busy_start_us=(instruments.busy,),
        factor=WORLD,
        tool="test",
        wall_us=1_800_000_000 * SECOND,
        mono_us=instruments.now,
    )
    return msgspec.structs.replace(probe, **changes)


def meters(instruments, **options):
    probe = probe_of(instruments)
    host = HostMeter(probe, counters=instruments)
    return Meter(probe, bytes(20), reserved_ppm=500_000, counters=instruments, **options), host


def energy(record):
    return sum(row.cpu_dyn_uj for row in record.energy)


def told(findings):
    return {finding.code for finding in findings}


def sleeps(it):
    it.asleep += 3600 * SECOND
    it.zone = 0  # as after a suspend to memory


def set_by_an_hour(it):
    it.day += 3600 * SECOND


def set_back(it):
    it.day -= 3600 * SECOND


def runs_back(it):
    it.now -= 30 * SECOND


def begins_again(it):
    it.zone = 5


def out_of_range(it):
    it.zone = SPAN + 7


@pytest.mark.parametrize(
    ("mishap", "mark", "label"),
    [
        (sleeps, Mark.SLEPT, Label.MODELLED),
        (set_by_an_hour, Mark.CLOCK, Label.ASSUMED),
        (set_back, Mark.CLOCK, Label.ASSUMED),
        (runs_back, Mark.CLOCK, Label.ASSUMED),
        (begins_again, Mark.COUNTER, Label.MODELLED),
        (out_of_range, Mark.COUNTER, Label.MODELLED),
    ],
)
def test_a_mishap_is_marked_labelled_told_and_still_adds_up(mishap, mark, label):
    it = Instruments(zone=SPAN // 2)
    meter, host = meters(it)
    it.work(joules=5)
    before = meter.close_round(1)
    assert (before.marks, before.labels.cpu_dyn) == ((), Label.ATTRIBUTED)
    host.sample()
    mishap(it)
    meter.enter("train")
    it.work()
    record = meter.close_round(2)
    assert mark in record.marks
    assert record.labels.cpu_dyn is record.labels.idle is label
    assert energy(record) < 20 * SECOND  # no wrap of four thousand joules was read into it
    assert decode_record(record.encode()) == record
    whole = host.close([before, record])
    assert mark in whole.marks
    assert whole.cpu_label is label
    assert whole.host.cpu_dyn_uj < 20 * SECOND
    assert decode_host_record(whole.encode()) == whole
    assert told(check_record(record)) == {MARKED}
    assert told(check_run([before, record], [whole])) == {MARKED}
    assert all(finding.sentence for finding in check_run([before, record], [whole]))


def test_a_counter_that_wraps_is_no_mishap():
    it = Instruments(zone=SPAN - SECOND)
    meter, host = meters(it)
    it.work(seconds=2, joules=4)  # across the end of its range
    record = meter.close_round(1)
    assert record.marks == ()
    assert energy(record) == pytest.approx(4 * SECOND - 2 * 1_480_000, rel=0.01)
    assert host.close([record]).marks == ()


def test_a_record_without_a_mark_has_the_bytes_it_always_had():
    it = Instruments(zone=None)
    meter, host = meters(it)
    it.work()
    record = meter.close_round(1)
    assert "marks" not in json.loads(record.encode())
    assert "marks" not in json.loads(host.close([record]).encode())


def test_a_clock_that_ran_back_stands_still_and_records_go_on_tiling():
    it = Instruments(zone=None)
    meter, _ = meters(it)
    it.work()
    records = [meter.close_round(1)]
    it.now -= 10 * SECOND
    records.append(meter.close_round(2))
    it.now += 11 * SECOND
    records.append(meter.close_round(3))
    assert [record.end_us - record.start_us for record in records] == [SECOND, 0, SECOND]
    assert all(after.start_us == before.end_us for before, after in pairwise(records))
    assert [record.marks for record in records[:2]] == [(), (Mark.CLOCK,)]


@pytest.mark.parametrize("backwards", ["cpu", "traffic", "gpu"])
def test_a_counter_that_falls_counts_as_nothing_and_the_next_stretch_counts_again(backwards):
    it, values = Instruments(zone=None, cpu=50 * SECOND), [5000, 9 * SECOND]
    meter, _ = meters(it, traffic=lambda: (values[0], 0), gpu_uj=lambda: values[1])
    it.now += SECOND
    if backwards == "cpu":
        it.cpu = 0
    elif backwards == "traffic":
        values[0] = 0
    else:
        values[1] = 0
    fallen = meter.close_round(1)
    assert fallen.marks == (Mark.COUNTER,)
    assert (fallen.use[0].cpu_us, fallen.use[0].bytes_in, fallen.use[0].gpu_uj) == (0, 0, 0)
    assert decode_record(fallen.encode()) == fallen
    it.now += SECOND
    it.cpu, values[0], values[1] = it.cpu + 1000, values[0] + 70, values[1] + 600
    after = meter.close_round(2)
    assert after.marks == ()
    assert (after.use[0].cpu_us, after.use[0].bytes_in, after.use[0].gpu_uj) == (1000, 70, 300)


def test_a_device_that_leaps_counts_as_nothing():
    it, joules = Instruments(zone=None), [0]
    meter, _ = meters(it, own_gpu_uj=lambda: joules[0])
    it.now, joules[0] = it.now + SECOND, 10**15
    record = meter.close_round(1)
    assert (record.use[0].gpu_uj, record.marks, record.labels.gpu) == (0, (Mark.COUNTER,), Label.MODELLED)


def test_a_marked_record_may_not_call_itself_better_than_its_instruments():
    it = Instruments(zone=SPAN // 2)
    meter, host = meters(it)
    it.work()
    record = meter.close_round(1)
    lie = msgspec.structs.replace(record, marks=(Mark.SLEPT,))
    assert "emission-label" in told(check_record(lie))
    assert "emission-label" in told(check_record(msgspec.structs.replace(record, marks=(Mark.SLEPT, Mark.CLOCK))))
    whole = host.close([record])
    assert "emission-label" in told(check_host([record], msgspec.structs.replace(whole, marks=(Mark.CLOCK,))))


def test_a_probe_from_before_a_restart_is_refused():
    it = Instruments(zone=None)
    probe = probe_of(it, mono_us=it.now + 1)
    for start in (
        lambda: Meter(probe, bytes(20), reserved_ppm=1, counters=it),
        lambda: HostMeter(probe, counters=it),
    ):
        with pytest.raises(InputError, match="restart"):
            start()


@pytest.mark.parametrize(
    "wrong",
    [
        {"idle_mw": 5_000_000},
        {"rate_uw": 10**9},
        {"cap_mw": 0},
        {"cap_mw": 1000},  # less than it draws idle
        {"milli_cores": 0},
        {"ram_bytes": 0},
        {"zones": (Zone("zone", 0, 0),)},
        {"zones": (Zone("zone", 10, 11),)},
        {"factor": msgspec.structs.replace(WORLD, low_mg=500_000)},
        {"factor": msgspec.structs.replace(WORLD, low_mg=-1)},
    ],
)
def test_power_that_no_host_has_is_refused(wrong):
    probe = probe_of(Instruments(zone=None))
    assert probe_from_json(probe.to_json()) == probe
    with pytest.raises(InputError, match="host probe"):
        probe_from_json(msgspec.structs.replace(probe, **wrong).to_json())


def test_negative_power_is_refused():
    text = probe_of(Instruments(zone=None)).to_json()
    with pytest.raises(InputError, match="host probe"):
        probe_from_json(text.replace('"idle_mw":1480', '"idle_mw":-1480'))


def test_the_clocks_of_this_host_agree():
    counters = SystemCounters()
    before = (counters.now_us(), *counters.beside_us())
    after = (counters.now_us(), *counters.beside_us())
    assert clocks_moved(before, after) == set()


def test_no_counter_is_believed_across_a_sleep_however_plausible():
    it = Instruments(zone=1000)
    meter, _ = meters(it)
    it.asleep += 3600 * SECOND
    it.work(joules=30)  # within what the CPU can draw, and of the time asleep
    assert energy(meter.close_round(1)) == pytest.approx(2_760_000, rel=0.01)  # as modelled


def test_a_value_beyond_the_counters_range_is_no_wrap():
    it = Instruments(zone=SPAN - SECOND)
    meter, _ = meters(it)
    it.work(joules=0)
    it.zone = SPAN + 7
    record = meter.close_round(1)
    assert record.marks == (Mark.COUNTER,)
    assert energy(record) == pytest.approx(2_760_000, rel=0.01)


def test_the_audit_notes_a_mark_and_finds_a_lie_about_one():
    it = Instruments(zone=SPAN // 2)
    meter, _ = meters(it)
    it.work()
    before = meter.close_round(1)
    it.asleep += 60 * SECOND
    it.work()
    asleep = meter.close_round(2)
    lie = msgspec.structs.replace(asleep, labels=before.labels)
    for record, codes in ((asleep, set()), (lie, {"emission-label"})):
        judged = SimpleNamespace(
            book=Notebook(),
            rounds=SimpleNamespace(judged={}),
            plain=None,
            accounts=SimpleNamespace(epochs=()),
            journals=(),
            history=SimpleNamespace(registered={bytes(20)}),
        )
        records = {one.digest(): one for one in (before, record)}
        check_emissions(judged, SimpleNamespace(records=records, misnamed=set()), None)
        assert {finding.code for finding in judged.book.findings} == codes
        assert any("suspended" in note and "0x" in note for note in judged.book.notes)
