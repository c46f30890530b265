"""Rules that anybody can raise against published records: each goes off for its lie and for nothing else."""

import random
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from peerage.audit.files import check_emissions
from peerage.emissions import PHASES, Label, check_run, decode_record, equal_reservation
from peerage.emissions.attribution import MODEL_RATE_UW
from peerage.emissions.factors import Factor
from peerage.emissions.host_record import Energies, HostRecord, bind, host_band, sum_of
from peerage.emissions.limits import MAX_BYTES_PER_US
from peerage.emissions.record import Labels, PhaseUse, Power, complete
from peerage.report.reading import Told
from peerage.report.sections.known import body
from peerage_ledger.audit.findings import Notebook

SECOND = 1_000_000
GB = 1_000_000_000
START = 1_800_000_000 * SECOND
CORES = 2
FRANCE = Factor(
    country="FRA", low_mg=31_000, mid_mg=56_039, high_mg=79_000, year=2023, source="test", label=Label.MODELLED
)
MODEL = Labels(cpu_dyn=Label.MODELLED, idle=Label.MODELLED, ram=Label.MODELLED, gpu=Label.ASSUMED)
HOST = "0123456789abcdef"


def record(who=1, number=1, *, cpu_us=SECOND, of=2, labels=MODEL, power=None, **traffic):
    """Four seconds of round `number`: the work falls into `train`, the traffic (and the like) into it too."""
    window = 4 * SECOND
    train = PhaseUse(phase="train", wall_us=window, cpu_us=cpu_us, ram_bytes=traffic.pop("ram_bytes", GB), **traffic)
    return complete(
        peer=bytes([who] * 20),
        host_id=HOST,
        session_us=START,
        index=number - 1,
        round=number,
        start_us=START + (number - 1) * window,
        end_us=START + number * window,
        resolution_us=0,
        power=power or power_of(of),
        labels=labels,
        use=tuple(train if phase == "train" else PhaseUse(phase=phase) for phase in PHASES),
        factor=FRANCE,
    )


def power_of(of=2, **changes):
    power = Power(milli_cores=1000 * CORES, idle_mw=1480, rate_uw=MODEL_RATE_UW, reserved_ppm=equal_reservation(of))
    return msgspec.structs.replace(power, **changes)


def host_of(records, **changes):
    """What an honest launcher would have metered around these records, with another tenth of work beside them."""
    peers = sum_of(records)
    other = Energies(peers.cpu_dyn_uj // 10, peers.idle_uj, peers.ram_uj, 0)
    whole = Energies(
        peers.cpu_dyn_uj + other.cpu_dyn_uj, peers.idle_uj + other.idle_uj, peers.ram_uj + other.ram_uj, peers.gpu_uj
    )
    band = host_band(whole, Label.MODELLED, Label.ASSUMED)
    host = HostRecord(
        schema=1,
        host_id=HOST,
        start_us=START,
        end_us=max(r.end_us for r in records),
        cpu_model="test",
        gpus=(),
        milli_cores=1000 * CORES,
        idle_mw=1480,
        rate_uw=MODEL_RATE_UW,
        cap_mw=7000,
        ram_bytes=8 * GB,
        busy_us=SECOND,
        cpu_label=Label.MODELLED,
        gpu_label=Label.ASSUMED,
        host=whole,
        peers=peers,
        other=other,
        records=len(records),
        records_sha256=bind(records),
        factor=FRANCE,
        energy_uj=band,
        co2e_ug=band,
        tool="test",
    )
    return msgspec.structs.replace(host, **changes)


def codes(records, hosts=(), peers=2):
    for one in records:
        assert decode_record(one.encode()) == one  # a liar's arithmetic is right: only rules can find it
    return {finding.code for finding in check_run(records, hosts, peers)}


@pytest.mark.parametrize("seed", range(20))
def test_honest_records_break_no_rule_whoever_looks(seed):
    draw = random.Random(seed)
    records = [
        record(who, number, cpu_us=draw.randrange(3 * SECOND), bytes_in=draw.randrange(GB), of=2)
        for number in range(1, 6)
        for who in (1, 2)
    ]
    draw.shuffle(records)
    assert codes(records) == set()
    assert codes(records, [host_of(records)]) == set()


LIES = {
    "bytes": (record(bytes_out=(6 * SECOND) * MAX_BYTES_PER_US), "emission-traffic"),
    "bytes both ways": (record(bytes_in=300 * GB, bytes_out=300 * GB), "emission-traffic"),
    "devices without a counter": (record(gpu_uj=5), "emission-label"),
    "work for nothing": (record(power=power_of(idle_mw=0, rate_uw=0)), "emission-floor"),
    "a smaller share of the host": (record(power=power_of(reserved_ppm=1)), "emission-floor"),
    "more cores than any host": (record(power=power_of(milli_cores=10**7)), "emission-energy"),
    "a clock before its meter": (
        msgspec.structs.replace(record(), session_us=START + 1),
        "emission-window",
    ),
}


@pytest.mark.parametrize(("lie", "code"), LIES.values(), ids=LIES)
def test_a_lie_in_one_record_is_found_and_names_its_peer_and_round(lie, code):
    found = [f for f in check_run([lie, record(2)], [], 2) if f.code == code]
    assert [(f.peer, f.round) for f in found] == [(lie.address, 1)]
    assert any(digit in found[0].sentence for digit in "0123456789")


def test_just_within_the_line_is_no_finding():
    assert codes([record(bytes_in=4 * SECOND * MAX_BYTES_PER_US)]) == set()


def test_two_peers_that_each_claim_the_whole_host_are_found_together():
    """Each had two cores for four seconds; together they had no more."""
    both = [record(who, number, cpu_us=8 * SECOND) for who in (1, 2) for number in (1, 2)]
    assert codes(both[:2]) == codes(both[2:]) == set()
    found = [f for f in check_run(both, [], 2) if f.code == "emission-cap"]
    assert [f.round for f in found] == [1, 2]
    assert all(f.peer is None and "0x" + "01" * 20 in f.sentence and "0x" + "02" * 20 in f.sentence for f in found)
    assert "16000000 us" in found[0].sentence


def test_peers_of_one_host_cannot_reserve_more_than_it():
    assert codes([record(1, of=1), record(2, of=1)]) == {"emission-cap"}
    assert codes([record(1, of=1)], peers=1) == set()


def test_a_host_record_shows_a_rate_that_was_made_up():
    """Without counters a busy core takes what the model says. A tenth of it is a lie that physics alone allows."""
    lie = record(2, power=power_of(rate_uw=MODEL_RATE_UW // 10))
    honest = record(1)
    assert codes([honest, lie]) == set()
    found = [f for f in check_run([honest, lie], [host_of([honest, lie])], 2) if f.code == "emission-host"]
    assert [f.peer for f in found] == [lie.address]
    with_counter = host_of([honest, lie], rate_uw=MODEL_RATE_UW // 2)
    assert "emission-host" not in codes([honest, lie], [with_counter]), "a counter's mean moves, and no rule binds it"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"milli_cores": 10**7}, "emission-energy"),
        ({"cap_mw": 10**8}, "emission-energy"),
        ({"ram_bytes": GB // 2}, "emission-energy"),
    ],
)
def test_a_host_that_no_hardware_is_or_that_its_peers_outgrow_is_found(change, code):
    records = [record(1), record(2)]
    assert code in codes(records, [host_of(records, **change)])


def test_devices_of_which_the_host_used_nothing_are_found():
    own = msgspec.structs.replace(MODEL, gpu=Label.ATTRIBUTED)
    records = [record(1, gpu_uj=5, labels=own)]
    honest = host_of(records)
    dark = msgspec.structs.replace(honest.host, gpu_uj=0)
    assert "emission-conservation" not in codes(records, [honest])
    lied = msgspec.structs.replace(honest, host=dark, other=dark - honest.peers)
    assert "emission-conservation" in codes(records, [lied])


def test_an_audit_from_outside_raises_them_without_a_host_record():
    lie = LIES["a smaller share of the host"][0]
    judged = SimpleNamespace(
        book=Notebook(),
        rounds=SimpleNamespace(judged={}),
        plain=None,
        accounts=SimpleNamespace(epochs=[]),
        journals=[],
        history=SimpleNamespace(registered={lie.address}),
    )
    check_emissions(judged, SimpleNamespace(records={lie.digest(): lie}, misnamed=set()), None, 2)
    (finding,) = judged.book.findings
    assert (finding.code, finding.peer, finding.round) == ("emission-floor", lie.address, 1)
    assert "reserves 1 parts per million" in finding.sentence


def test_the_report_names_them_too():
    lie = LIES["bytes"][0]
    page = body(Told(Path("/runs/x"), None, {}, (lie, record(2)), (), None, ())).text
    assert "Implausible emission records" in page
    assert "emission-traffic" in page
    assert lie.peer in page
    honest = body(Told(Path("/runs/x"), None, {}, (record(1), record(2)), (), None, ())).text
    assert "No emission record breaks a rule" in honest
