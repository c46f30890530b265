"""A meter on a host made of numbers: what it attributes, how records tile time, and that the parts are the whole."""

import itertools
import random
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from peerage.emissions import (
    PHASES,
    HostMeter,
    HostProbe,
    Label,
    Meter,
    check_host,
    check_peer,
    check_record,
    check_run,
    decode_host_record,
    decode_record,
    equal_reservation,
    summarise,
)
from peerage.emissions.attribution import MODEL_RATE_UW
from peerage.emissions.factors import Factor
from peerage.emissions.host import Zone
from peerage.emissions.rapl import package_zones
from peerage.emissions.record import BadRecord

FRANCE = Factor(
    country="FRA", low_mg=31_000, mid_mg=56_039, high_mg=79_000, year=2023, source="test", label=Label.MODELLED
)
CORES = 2
GB = 1_000_000_000
SECOND = 1_000_000


@dataclass
class World:
    """The host: one clock, `busy` CPU microseconds in all, a package counter that holds idle and dynamic energy."""

    now: int = 5 * SECOND
    busy: int = 0
    slept: int = 0
    set_forward: int = 0
    package: int = 0
    span: int = 1 << 40
    cpu: dict[int, int] = field(default_factory=dict)

    def run(self, wall_us: int, work: dict[int, int], other: int = 0, uj_per_cpu_s: int = 7_000_000) -> None:
        self.now += wall_us
        for who, used in work.items():
            self.cpu[who] = self.cpu.get(who, 0) + used
        busy = sum(work.values()) + other
        self.busy += busy
        self.package += wall_us * 1480 // 1000 + busy * uj_per_cpu_s // SECOND


@dataclass
class FakeCounters:
    world: World
    who: int = 0
    resident: int = GB
    proportional: int = GB // 4

    def now_us(self):
        return self.world.now

    def beside_us(self):
        return self.world.now + self.world.slept, self.world.now + self.world.slept + self.world.set_forward

    def cpu_us(self):
        return self.world.cpu.get(self.who, 0)

    def resident_bytes(self):
        return self.resident

    def proportional_bytes(self):
        return self.proportional

    def busy_us(self):
        return (self.world.busy,)

    def zone_uj(self, path):
        return self.world.package % self.world.span


def probe_of(world, **changes):
    probe = HostProbe(
        host_id="0123456789abcdef",
        cpu_model="test",
        tdp_mw=0,
        milli_cores=1000 * CORES,
        idle_mw=1480,
        rate_uw=MODEL_RATE_UW,
        cap_mw=7000,
        ram_bytes=8 * GB,
        cpu_label=Label.MODELLED,
        busy_start_us=(world.busy,),
        factor=FRANCE,
        tool="test",
        wall_us=1_800_000_000 * SECOND,
        mono_us=world.now,
    )
    return msgspec.structs.replace(probe, **changes)


def with_rapl(world, **changes):
    zone = Zone("zone", world.span, world.package % world.span)
    return probe_of(world, zones=(zone,), cpu_label=Label.MEASURED_COUNTER, cap_mw=60_000, **changes)


def peer(world, probe, who=1, of=1, **options):
    counters = options.pop("counters", None) or FakeCounters(world, who)
    return Meter(probe, bytes([who] * 20), reserved_ppm=equal_reservation(of), counters=counters, **options)


def federation(world, probe, *, seed=0, rounds=5, peers=4):
    """Some rounds of uneven work with foreign load beside it; peer 4 is killed before its last record."""
    draw = random.Random(seed)
    host = HostMeter(probe, counters=FakeCounters(world))
    meters = {who: peer(world, probe, who, of=peers) for who in range(1, peers + 1)}
    records = []
    for number in range(1, rounds + 1):
        for _ in range(7):
            for meter in meters.values():
                if draw.random() < 0.6:
                    meter.enter(draw.choice(PHASES))
            wall = draw.randrange(100_000, 600_000)
            share = [draw.random() for _ in range(peers + 1)]
            load = draw.random() * CORES * wall / sum(share)
            work = {who: int(share[who] * load) for who in meters}
            world.run(wall, work, other=int(share[0] * load), uj_per_cpu_s=draw.randrange(5_000_000, 9_000_000))
        records += [m.close_round(number) for who, m in meters.items() if (who, number) != (peers, rounds)]
    return records, host.close(records)


def test_phases_get_the_time_and_the_work_that_fell_into_them():
    world = World()
    meter = peer(world, probe_of(world))
    world.run(1 * SECOND, {1: 10_000})
    meter.enter("train")
    world.run(4 * SECOND, {1: 3 * SECOND})
    with meter.within("mask"):
        world.run(SECOND, {1: SECOND})
    assert meter.phase == "train"
    record = meter.close_round(1)
    use = {row.phase: (row.wall_us, row.cpu_us) for row in record.use}
    assert use["wait"] == (SECOND, 10_000)
    assert use["train"] == (4 * SECOND, 3 * SECOND)
    assert use["mask"] == (SECOND, SECOND)
    assert use["ledger"] == (0, 0)


def test_the_energy_is_what_the_formulas_say():
    world = World()
    meter = peer(world, probe_of(world), of=4)
    meter.enter("train")
    world.run(10 * SECOND, {1: 5 * SECOND})
    train = meter.close_round(1).energy[1]
    assert train.cpu_dyn_uj == 5 * 2_760_000  # 5 CPU-seconds at 3.5 - 0.74 W
    assert train.idle_uj == 10 * 1_480_000 // 4  # a quarter of two cores at 0.74 W
    assert train.ram_uj == 10 * 392_000 // 4  # a quarter of a GB, once shared pages are divided
    assert train.gpu_uj == 0


def test_traffic_and_devices_are_read_at_the_edges():
    world, carried, joules = World(), [0, 0], [0]
    probe = probe_of(world)
    meter = peer(world, probe, of=2, traffic=lambda: (carried[0], carried[1]), gpu_uj=lambda: joules[0])
    world.run(SECOND, {1: 0})
    meter.enter("exchange")
    carried[:], joules[0] = [500, 70], 9_000_000
    world.run(SECOND, {1: 0})
    exchange = meter.close_round(1).use[PHASES.index("exchange")]
    assert (exchange.bytes_in, exchange.bytes_out, exchange.gpu_uj) == (500, 70, 4_500_000)


def test_records_tile_a_peers_time_without_gaps():
    world = World()
    records, _ = federation(world, probe_of(world), rounds=6)
    mine = [r for r in records if r.address == bytes([1] * 20)]
    assert len(mine) == 6
    for before, after in itertools.pairwise(mine):
        assert after.start_us == before.end_us
        assert after.index == before.index + 1
    assert all(sum(row.wall_us for row in r.use) == r.end_us - r.start_us for r in mine)


def test_two_clocks_read_one_after_the_other_never_claim_more_than_the_cores_had():
    world = World()
    meter = peer(world, probe_of(world))
    world.run(100, {1: 260})  # 60 us more than two cores could do
    first = meter.close_round(1)
    assert first.use[0].cpu_us == 200
    world.run(100, {1: 0})
    assert meter.close_round(2).use[0].cpu_us == 60  # late, not lost
    assert check_record(first) == ()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("power", [probe_of, with_rapl], ids=["model", "rapl"])
def test_peers_and_other_are_the_host(power, seed):
    world = World()
    records, host = federation(world, power(world), seed=seed)
    assert check_run(records, [host]) == ()
    assert host.peers.total_uj + host.other.total_uj == host.host.total_uj
    assert host.other.cpu_dyn_uj > -host.host.total_uj // 100


def test_the_model_shares_dynamic_energy_exactly_by_cpu_time():
    world = World()
    records, host = federation(world, probe_of(world))
    cpu = sum(row.cpu_us for r in records for row in r.use)
    assert host.peers.cpu_dyn_uj == pytest.approx(host.host.cpu_dyn_uj * cpu / host.busy_us, rel=1e-5)


def test_a_counter_is_shared_by_cpu_time_and_labelled_attributed():
    world = World(package=(1 << 20) - 50, span=1 << 30)  # wraps at once
    probe = with_rapl(world)
    host = HostMeter(probe, counters=FakeCounters(world))
    meters = [peer(world, probe, who, of=2) for who in (1, 2)]
    for _ in range(5):
        world.run(SECOND, {1: SECOND, 2: SECOND // 2})
        for meter in meters:
            meter.enter("train")
    one, two = (meter.close_round(1) for meter in meters)
    assert one.labels.cpu_dyn is Label.ATTRIBUTED
    assert sum(r.cpu_dyn_uj for r in one.energy) == pytest.approx(5 * 7_000_000, rel=0.001)
    assert sum(r.cpu_dyn_uj for r in two.energy) == pytest.approx(2.5 * 7_000_000, rel=0.001)
    assert host.close([one, two]).cpu_label is Label.MEASURED_COUNTER


def test_a_counter_that_may_have_wrapped_unseen_is_replaced_by_the_model_and_says_so():
    world = World(span=100 * SECOND)  # 100 J
    meter = peer(world, with_rapl(world))
    world.run(3600 * SECOND, {1: 3600 * SECOND})
    record = meter.close_round(1)
    assert record.labels.cpu_dyn is Label.MODELLED
    assert record.energy[0].cpu_dyn_uj == pytest.approx(3600 * 2_760_000, rel=0.01)


def test_a_restarted_peer_begins_a_new_session_and_the_pause_is_the_hosts():
    world = World()
    probe = probe_of(world)
    host = HostMeter(probe, counters=FakeCounters(world))
    first = peer(world, probe)
    world.run(SECOND, {1: SECOND})
    records = [first.close_round(1)]
    world.run(5 * SECOND, {}, other=SECOND)
    again = peer(world, probe)
    world.run(SECOND, {1: SECOND})
    records.append(again.close_round(3))
    assert check_run(records, [host.close(records)]) == ()
    assert records[1].session_us == records[0].end_us + 5 * SECOND


def test_coarse_records_carry_the_rest_and_hide_the_seconds():
    world, step = World(), 5 * SECOND
    probe = probe_of(world)
    host = HostMeter(probe, counters=FakeCounters(world))
    fine, coarse = peer(world, probe, 1, of=2), peer(world, probe, 2, of=2, resolution_us=step)
    pairs = []
    for number in range(1, 101):
        for phase in PHASES:
            for meter in (fine, coarse):
                meter.enter(phase)
            world.run(SECOND + 1000 * number, {1: 900_000, 2: 900_000})
        pairs.append((fine.close_round(number), coarse.close_round(number)))
    for _, record in pairs:
        assert all(row.wall_us % step == 0 and row.cpu_us % step == 0 for row in record.use)
        assert decode_record(record.encode()) == record
    totals = [sum(r.energy_uj.mid for r in side) for side in zip(*pairs, strict=True)]
    assert totals[1] == pytest.approx(totals[0], rel=0.1)
    assert totals[1] <= totals[0]  # never more than was used
    records = [r for pair in pairs for r in pair]
    assert check_run(records, [host.close(records)]) == ()


def forged(record, **changes):
    """What a cheat would send: its own numbers with everything that follows from them made to fit."""
    from peerage.emissions.record import complete

    names = ("host_id", "session_us", "index", "round", "start_us", "end_us", "resolution_us", "power", "labels", "use")
    values = {name: getattr(record, name) for name in (*names, "factor")} | changes
    lie = complete(peer=record.address, **values)
    assert decode_record(lie.encode()) == lie  # well formed
    return lie


def busier(record, factor):
    use = tuple(msgspec.structs.replace(row, cpu_us=row.cpu_us * factor) for row in record.use)
    return forged(record, use=use)


def lies(record):
    power = record.power
    return {
        "emission-cpu": busier(record, 50),
        "emission-gap": forged(record, end_us=record.end_us + 5000),
        "emission-window": forged(record, session_us=record.end_us),
        "emission-energy": forged(record, power=msgspec.structs.replace(power, rate_uw=10**9)),
    }


@pytest.mark.parametrize("code", ["emission-cpu", "emission-gap", "emission-window", "emission-energy"])
def test_a_record_against_physics_is_found(code):
    world = World()
    records, _ = federation(world, probe_of(world))
    assert code in {finding.code for finding in check_record(lies(records[0])[code])}


def test_a_missing_doubled_or_overlapping_record_is_found():
    world = World()
    records, _ = federation(world, probe_of(world))
    mine = [r for r in records if r.address == bytes([1] * 20)]
    assert check_peer(mine) == ()
    overlap = forged(mine[2], start_us=mine[2].start_us - 10_000)
    for broken in ([*mine[:1], *mine[2:]], mine[1:], [*mine, mine[1]], [*mine[:2], overlap, *mine[3:]]):
        assert "emission-tiling" in {finding.code for finding in check_peer(broken)}


def test_more_cpu_than_the_host_used_breaks_conservation():
    world = World()
    probe = probe_of(world)
    host = HostMeter(probe, counters=FakeCounters(world))
    meter = peer(world, probe)
    world.run(10 * SECOND, {1: SECOND}, other=SECOND)
    record = meter.close_round(1)
    assert check_host([record], host.close([record])) == ()
    lie = busier(record, 4)  # possible for the cores, not for what the host says it was busy
    assert check_record(lie) == ()
    assert {f.code for f in check_host([lie], host.close([lie]))} == {"emission-conservation"}


def test_peers_that_together_outdo_the_host_are_found():
    world = World()
    probe = probe_of(world)
    host = HostMeter(probe, counters=FakeCounters(world))
    greedy = [peer(world, probe, who, of=1) for who in (1, 2)]
    world.run(SECOND, {1: 2 * SECOND, 2: 2 * SECOND})
    records = [meter.close_round(1) for meter in greedy]
    codes = [f.code for f in check_host(records, host.close(records))]
    assert codes.count("emission-cap") >= 2  # CPU time and reservations


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda r, h: ([*r[1:]], h), "emission-records"),
        (lambda r, h: (r, msgspec.structs.replace(h, records_sha256="00" * 32)), "emission-records"),
        (lambda r, h: (r, msgspec.structs.replace(h, host_id="f" * 16)), "emission-host"),
        (lambda r, h: (r, msgspec.structs.replace(h, other=h.host)), "emission-sum"),
        (lambda r, h: (r, msgspec.structs.replace(h, end_us=h.end_us - SECOND)), "emission-window"),
        (lambda r, h: (r, msgspec.structs.replace(h, cap_mw=1)), "emission-cap"),
    ],
)
def test_a_host_record_that_does_not_fit_is_found(change, code):
    world = World()
    records, host = change(*federation(world, probe_of(world)))
    assert code in {finding.code for finding in check_host(records, host)}


def test_host_records_are_canonical_and_add_up_on_decoding():
    world = World()
    _, host = federation(world, probe_of(world))
    assert decode_host_record(host.encode()) == host
    for raw in (
        host.encode() + b" ",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        msgspec.structs.replace(host, co2e_ug=host.energy_uj).encode(),
    ):
        with pytest.raises(BadRecord):
            decode_host_record(raw)


def test_the_summary_adds_up_and_carries_the_worst_label():
    world = World()
    records, host = federation(world, probe_of(world))
    summary = summarise(records, [host])
    assert summary["energy_wh"] * 3.6e9 == pytest.approx(host.peers.total_uj, rel=1e-4)
    assert sum(summary["by_phase"].values()) == pytest.approx(summary["energy_wh"], rel=1e-6)
    assert sum(summary["by_peer"].values()) == pytest.approx(summary["energy_wh"], rel=1e-6)
    assert set(summary["by_phase"]) == set(PHASES)
    assert summary["co2e_g"]["low"] < summary["co2e_g"]["mid"] < summary["co2e_g"]["high"]
    assert summary["co2e_g"]["mid"] == pytest.approx(summary["energy_wh"] / 1000 * 56.039, rel=0.01)
    assert (summary["quality"], summary["country"]) == ("modelled", "FRA")
    assert summary["hosts"][0]["peers_wh"] + summary["hosts"][0]["other_wh"] == pytest.approx(
        summary["hosts"][0]["energy_wh"], rel=1e-6
    )


def test_no_records_is_an_assumption_and_not_a_measurement():
    summary = summarise([])
    assert (summary["energy_wh"], summary["quality"], summary["country"]) == (
        0,
        "assumed",
        "assumed: country not given",
    )


def test_rapl_zones_are_packages_and_all_or_none(tmp_path: Path):
    for name, label, value in (("intel-rapl:0", "package-0", "7"), ("intel-rapl:0:0", "core", "3")):
        folder = tmp_path / "sys/class/powercap" / name
        folder.mkdir(parents=True)
        (folder / "name").write_text(label)
        (folder / "energy_uj").write_text(value)
        (folder / "max_energy_range_uj").write_text("262143328850")
    assert [z.start_uj for z in package_zones(tmp_path)] == [7]
    second = tmp_path / "sys/class/powercap/intel-rapl:1"
    second.mkdir()
    (second / "name").write_text("package-1")
    assert package_zones(tmp_path) == ()
