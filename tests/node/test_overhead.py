"""What running a federation took beside its peers."""

import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from peerage.emissions.factors import Factor
from peerage.emissions.host_record import Energies, HostRecord
from peerage.emissions.labels import NOTHING, Label
from peerage.launch.overhead import Cpu, cpu, in_words, of_run, overhead

NONE = Energies(0, 0, 0, 0)
FACTOR = Factor(country="FRA", low_mg=30_000, mid_mg=50_000, high_mg=80_000, year=2023, source="a table",
                label=Label.MODELLED)  # fmt: skip
HOST = HostRecord(
    schema=1, host_id="0" * 16, start_us=0, end_us=1, cpu_model="a CPU", gpus=(), milli_cores=2000, idle_mw=1000,
    rate_uw=3_600_000, cap_mw=10_000, ram_bytes=1, busy_us=0, cpu_label=Label.MODELLED, gpu_label=Label.ASSUMED,
    host=NONE, peers=NONE, other=NONE, records=0, records_sha256="0" * 64, factor=FACTOR, energy_uj=NOTHING,
    co2e_ug=NOTHING, tool="test",
)  # fmt: skip


def test_cpu_time_times_the_power_of_a_core() -> None:
    told = overhead(Cpu(1_000_000, 500_000), Cpu(8_000_000, 3_500_000), HOST)
    assert (told.launcher_cpu_seconds, told.children_cpu_seconds) == (7.0, 3.0)
    assert told.energy_wh.mid == pytest.approx(0.01)  # 10 s of 3.6 W
    assert (told.energy_wh.low, told.energy_wh.high) == pytest.approx((0.005, 0.02))
    assert told.co2e_g.mid == pytest.approx(0.01 * 0.05)
    assert told.label == "modelled"
    assert (
        "10.0 CPU seconds beside the peers (7.0 launcher and audit, 3.0 chain and other children): 10 mWh (5 to 20)"
        in in_words(told)
    )


def test_a_counter_makes_it_attributed_and_never_measured() -> None:
    counted = replace(HOST, cpu_label=Label.MEASURED_COUNTER)
    assert overhead(Cpu(0, 0), Cpu(1, 1), counted).label == "attributed"
    assert overhead(Cpu(0, 0), Cpu(1, 1), replace(HOST, cpu_label=Label.ASSUMED)).label == "assumed"


def test_children_count_when_they_were_waited_for() -> None:
    before = cpu()
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    after = cpu()
    assert after.children_us > before.children_us
    assert after.own_us >= before.own_us


def test_without_a_host_record_nothing_is_claimed(tmp_path: Path) -> None:
    assert of_run(cpu(), tmp_path / "host.jsonl") is None
    (tmp_path / "host.jsonl").write_bytes(b"")
    assert of_run(cpu(), tmp_path / "host.jsonl") is None
    (tmp_path / "host.jsonl").write_bytes(b"{}\n")
    assert of_run(cpu(), tmp_path / "host.jsonl") is None
