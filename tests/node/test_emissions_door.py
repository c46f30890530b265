"""The host as it is: CodeCarbon behind its door, containers, real processes, and what the meter costs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from peerage.emissions import (
    PHASES,
    EmissionRecord,
    HostMeter,
    Label,
    Meter,
    check_run,
    decode_record,
    equal_reservation,
    facts,
    parse_resolution,
    probe_from_json,
)
from peerage.emissions.codecarbon_door import _listed_cpu, check_country, probe_host
from peerage.emissions.counters import SystemCounters, busy_between
from peerage.emissions.factors import NationalFactor, choose, co2e_ug
from peerage.emissions.labels import Band
from peerage.launch.outcome import sampling
from peerage_crypto.errors import InputError

TABLE = {
    "FRA": NationalFactor("France", 56_039, 2023),
    "DEU": NationalFactor("Germany", 380_950, 2023),
    "TKM": NationalFactor("Turkmenistan", 1_306_025, 2022),
    "NPL": NationalFactor("Nepal", 24_440, 2022),
}


@pytest.fixture(scope="module")
def probe():
    return probe_host("FRA")


def test_the_probe_opens_no_socket_and_knows_the_country():
    script = """
import socket, sys
def refuse(*a, **k): raise SystemExit("a socket was opened: " + repr(a))
socket.socket.__init__ = refuse
socket.create_connection = socket.getaddrinfo = refuse
NAME = "socket.gethostname"  # asks the kernel
sys.addaudithook(lambda name, args: refuse(name) if name.startswith("socket.") and name != NAME else None)
from peerage.emissions.codecarbon_door import probe_host
print(probe_host("fra").to_json())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # CodeCarbon's own warnings stay inside
    probe = probe_from_json(done.stdout)
    assert (probe.factor.country, probe.factor.label, probe.factor.note) == ("FRA", Label.MODELLED, "")
    assert probe.factor.low_mg < probe.factor.mid_mg < probe.factor.high_mg
    assert probe.tool.startswith("codecarbon 3")


def test_peers_need_neither_codecarbon_nor_numpy_nor_torch_and_load_little():
    """What takes long is what is loaded: 39 modules when this was written. Seconds would be those of a busy machine."""
    script = """
import sys
import msgspec  # which a peer loads anyway
before = set(sys.modules)
import peerage.emissions
heavy = ("codecarbon", "numpy", "torch", "psutil", "web3", "pynvml", "asyncio")
print(len(set(sys.modules) - before), [m for m in heavy if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    count, heavy = done.stdout.split(maxsplit=1)
    assert heavy == "[]\n"
    assert int(count) < 80


def test_a_probe_travels_as_json(probe):
    assert probe_from_json(probe.to_json()) == probe
    assert probe.milli_cores <= 1000 * os.cpu_count()
    assert probe.ram_bytes > 10**8
    for text in (
        "{}",
        "",
        probe.to_json().replace('"schema":1', '"schema":9'),
        probe.to_json().replace("idle_mw", "x"),
    ):
        with pytest.raises(InputError):
            probe_from_json(text)


def test_a_phase_change_costs_less_than_a_millisecond(probe):
    meter = Meter(probe, bytes(20), reserved_ppm=equal_reservation(8))
    start = time.process_time()
    for number in range(700):
        meter.enter(PHASES[number % 7])
    assert (time.process_time() - start) / 700 < 0.001


WORKER = """
import hashlib, sys, time
from peerage.emissions import Meter, probe_from_json
meter = Meter(probe_from_json(sys.argv[1]), bytes([int(sys.argv[2])] * 20), reserved_ppm=333_333)
for number in (1, 2):
    with meter.within("train"):
        end = time.monotonic() + 0.25 * int(sys.argv[2])
        while time.monotonic() < end:
            hashlib.sha256(bytes(5000)).digest()
    with meter.within("exchange"):
        time.sleep(0.1)
    print(meter.close_round(number).encode().decode(), flush=True)
"""


def test_three_processes_on_this_host_conserve_its_energy(probe):
    host = HostMeter(probe)
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, probe.to_json(), str(who)], stdout=subprocess.PIPE)
        for who in (1, 2, 3)
    ]
    records: list[EmissionRecord] = []
    for who, worker in enumerate(workers, 1):
        out, _ = worker.communicate(timeout=60)
        records += [decode_record(line, bytes([who] * 20)) for line in out.splitlines()]
    whole = host.close(records)
    assert len(records) == 6
    assert check_run(records, [whole]) == ()
    assert whole.peers.cpu_dyn_uj > 0
    train = {r.peer: r.use[1].cpu_us for r in records if r.round == 1}
    assert list(train) == sorted(train, key=train.get)  # who worked longer is charged more
    sleeping = [r.use[PHASES.index("exchange")] for r in records]
    assert all(row.cpu_us < row.wall_us / 2 for row in sleeping)


def test_work_of_threads_and_of_children_counts():
    counters = SystemCounters()
    before, busy = counters.cpu_us(), counters.busy_us()
    child = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", child], check=True)
    assert counters.cpu_us() - before > 190_000
    assert busy_between(busy, counters.busy_us()) > 150_000


@pytest.mark.parametrize("given", [None, ""])
def test_no_country_is_the_worlds_band_and_says_so(given):
    factor = choose(given, TABLE, "test")
    assert (factor.place, factor.note, factor.label) == (*["assumed: country not given"] * 2, Label.ASSUMED)
    assert factor.low_mg < 100_000 < factor.mid_mg == 475_000 < 1_000_000 < factor.high_mg


@pytest.mark.parametrize(
    ("code", "near"), [("FRX", "FRA"), ("DE", "DEU"), ("Germany", "DEU"), ("XXX", "FRA"), ("123", "DEU")]
)
def test_an_unknown_country_is_refused_with_near_codes(code, near):
    with pytest.raises(InputError, match=f"(?s){code}.*{near}"):
        choose(code, TABLE, "test")


def test_every_country_of_the_list_has_a_usable_factor():
    for code in ("FRA", "usa", "CAF"):  # CAF: a zero in the list, computed from its mix of sources instead
        check_country(code)
    with pytest.raises(InputError):
        check_country("ZZZ")


def test_a_kilowatt_hour_in_france():
    kwh = 3_600_000_000_000
    co2e = co2e_ug(Band(kwh, kwh, kwh), choose("FRA", TABLE, "test"))
    assert (co2e.low, co2e.mid, co2e.high) == (31_000_000, 56_039_000, 79_000_000)


def test_resolution_is_a_step_of_time():
    assert [parse_resolution(x) for x in ("", "10s", "500 ms", "1min")] == [0, 10_000_000, 500_000, 60_000_000]
    for wrong in ("0s", "10", "-1s", "1h", "ten seconds"):
        with pytest.raises(InputError, match="step of time"):
            parse_resolution(wrong)


def cgroup(root: Path, files: dict[str, str], line: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/self/cgroup").write_text(line)
    return root


def test_a_containers_quota_is_its_host(tmp_path):
    new = cgroup(
        tmp_path / "v2",
        {"sys/fs/cgroup/a/b/cpu.max": "max 100000", "sys/fs/cgroup/a/cpu.max": "50000 100000"}
        | {"sys/fs/cgroup/a/memory.max": "100000000"},
        "0::/a/b\n",
    )
    assert facts.milli_cores(new) == 500
    assert facts.ram_bytes(new) == 100_000_000
    old = cgroup(
        tmp_path / "v1",
        {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "25000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}
        | {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"},
        "2:cpu,cpuacct:/docker/0123\n3:memory:/docker/0123\n",  # the path is the host's, not mounted here
    )
    assert facts.milli_cores(old) == 250
    assert facts.ram_bytes(old) == facts.ram_bytes(tmp_path / "none")


def test_in_a_container_busy_time_is_the_cgroups(tmp_path):
    root = cgroup(
        tmp_path,
        {"sys/fs/cgroup/cpu.stat": "usage_usec 777\nuser_usec 1\n", "sys/fs/cgroup/cgroup.controllers": "cpu"}
        | {"proc/stat": "cpu  100 0 50 9999 9 0 1 7 3 0\n"},
        "0::/\n",
    )
    assert SystemCounters(root, part=True).busy_us() == (777,)
    machine, cgroup_us = SystemCounters(root).busy_us()
    assert (machine, cgroup_us) == (151 * 1_000_000 // os.sysconf("SC_CLK_TCK"), 777)  # no idle, iowait, steal, guest


def test_a_host_is_named_without_telling_its_name():
    assert facts.host_id() == facts.host_id()
    assert os.uname().nodename not in facts.host_id()
    assert len(json.loads(json.dumps(facts.host_id()))) == 16


@pytest.mark.parametrize(
    ("detected", "name", "known"),
    [
        ("Quantum Abacus 9000", "Quantum Abacus 9000", False),
        ("", "unknown", False),
        (None, "unknown", False),
        ("AMD EPYC 7763", "AMD EPYC 7763", True),
    ],
)
def test_a_cpu_that_no_list_has_stays_unknown(monkeypatch, detected, name, known):
    from codecarbon.core import cpu

    monkeypatch.setattr(cpu, "detect_cpu_model", lambda: detected)
    model, tdp_mw = _listed_cpu()
    assert model == name
    assert (tdp_mw > 0) is known  # never four watts a thread


def test_the_launcher_looks_at_the_host_with_each_tick():
    seen = []

    class Host:
        def sample(self):
            seen.append("host")

    assert list(sampling(Host(), lambda: ["a note"])()) == ["a note"]
    assert seen == ["host"]
