"""`scripts/bench` at its smallest sizes: every document has the promised keys. No clock is judged here."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "scripts" / "bench"
KEYS = {"schema", "bench", "machine", "settings", "ours", "yardsticks", "ratios", "aims", "notes"}


def bench(*arguments):
    done = subprocess.run(
        [sys.executable, BENCH, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)  # one document and nothing else
    assert set(document) == KEYS
    assert document["schema"] == 1
    assert document["bench"] == arguments[0]
    assert {"cpus", "python", "libraries"} <= set(document["machine"])
    assert document["ratios"]
    for aim in document["aims"]:
        assert set(aim) == {"what", "value", "aim", "met"}
    return document


def test_masking():
    found = bench("masking", "--parameters", 3000, "--masks", 2, "--repeats", 1)
    assert set(found["ours"]) == {"client_seconds", "quantise_seconds", "masks_seconds", "bytes_per_parameter"}
    assert found["yardsticks"]["flower"] is None
    assert any("Flower was left out" in note for note in found["notes"])


def test_reconstruction_agrees_with_the_textbook():
    found = bench("reconstruction", "--peers", 6, "--repeats", 1)  # asserts that both ways give the secrets
    assert {"session_ms", "one_point_set_ms"} == set(found["ours"])


def test_gas_is_counted_on_a_chain():
    found = bench("gas", "--peers", 4, "--rounds", 3, "--engine", "embedded")
    assert 60_000 < found["ours"]["record_first_lap"] < 72_000  # gas is exact: a contract changed if this fails
    assert found["settings"]["steady"] is False
    assert any("no steady state" in note for note in found["notes"])


def test_gain():
    found = bench("gain", "--peers", 3, "--rounds", 2, "--seeds", 1, "--partitions", "iid")
    assert set(found["yardsticks"]["iid"]) == {"local_only", "pooled", "pooled_sd"}
    assert "share of the gap, iid" in found["ratios"]


def test_rewards_plays_the_demo_federation():
    found = bench("rewards", "--seeds", 1, "--rounds", 2)
    assert {"parent-back", "random-labels", "honest", "away", "paid_in_seeds"} <= set(found["ours"])
    assert len(found["ours"]["paid_in_seeds"]) == 10  # twelve peers, two of them attackers
    assert found["ours"]["parent-back"]["max"] == 0


@pytest.mark.federation
def test_a_real_run_is_counted_and_audited(tmp_path):
    kept = tmp_path / "run"
    sizes = ("--peers", 3, "--rounds", 2, "--parameters", 200, "--ring-bits", 32, "--ledger", "embedded")
    found = bench("bytes", *sizes, "--keep", kept)
    counted = found["ours"]["ring 32"]
    assert counted["rounds_summed"] == 2
    assert counted["raw"] == 2 * 3 * 4 * (75 * 3 + 10)
    assert counted["sent"] > counted["raw"]
    if importlib.util.find_spec("peerage.audit.run"):
        audit = bench("audit", "--runs", kept, "--repeats", 1)
        assert audit["ours"]["runs"][0]["rounds"] == 2


@pytest.fixture(scope="module")
def runs():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from benchmarks import runs
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return runs


def test_rounds_and_sums_are_read_from_journals(runs):
    closed = {"kind": "closed"}
    journals = {
        "a": [
            {"kind": "signed", "type": "JoinIntent", "sid": "x", "at_ms": 900},
            {"kind": "signed", "type": "ResultAck", "sid": "x", "at_ms": 1400},
            {**closed, "round": 1, "at_ms": 2000},
            {**closed, "round": 2, "at_ms": 2600},
        ],
        "b": [
            {"kind": "signed", "type": "JoinIntent", "sid": "x", "at_ms": 1000},
            {"kind": "signed", "type": "ResultAck", "sid": "x", "at_ms": 1300},
            {"kind": "signed", "type": "JoinIntent", "sid": "abandoned", "at_ms": 1500},
            {**closed, "round": 1, "at_ms": 2200},
            {**closed, "round": 2, "at_ms": 2600},
        ],
    }
    assert runs.round_seconds(journals) == [0.5]
    assert runs.sum_seconds(journals) == [0.4]


def test_measured_figures_go_into_the_page_and_prose_stays(tmp_path):
    figures, page = tmp_path / "figures", tmp_path / "performance.md"
    figures.mkdir()
    document = {
        "machine": {"cpus": 2, "architecture": "x", "system": "y", "python": "3", "load_at_end": 0.5, "libraries": {}},
        "aims": [{"what": "a figure", "value": 1.5, "aim": "<= 1", "met": False}],
        "ratios": {"a figure too": 1.5, "ours / theirs": 0.25},
        "ours": {"run": {"gas_used": 48803, "engine": "anvil"}},
        "yardsticks": {"floor": 0.00123, "published": {"other": 9}},
    }
    (figures / "masking.json").write_text(json.dumps(document))
    page.write_text("prose\n<!-- figures: masking -->\nold\n<!-- end -->\n<!-- figures: gas -->\nkept\n<!-- end -->\n")
    subprocess.run([sys.executable, BENCH, "page", figures, "--page", page], check=True, capture_output=True)
    written = page.read_text()
    assert "| a figure | 1.5 | <= 1 | **missed** |" in written
    assert "| ours / theirs | 0.25 | | |" in written
    assert "Ours: run gas used 48 803." in written
    assert "Beside it: floor 0.00123." in written
    assert "old" not in written
    assert written.startswith("prose\n")
    assert "kept" in written


def test_the_page_has_a_place_for_every_benchmark():
    source = (ROOT / "scripts" / "benchmarks" / "everything.py").read_text()
    names = re.findall(r'"(\w+)"', source.split("NAMES = (")[1].split(")")[0])
    page = (ROOT / "docs" / "performance.md").read_text()
    assert len(names) == 10
    for name in names:
        assert f"<!-- figures: {name} -->" in page
        assert f"`scripts/bench {name}" in page  # the command beside the figures


def test_the_page_names_every_long_benchmark_and_its_command():
    source = (ROOT / "scripts" / "benchmarks" / "everything.py").read_text()
    names = set(re.findall(r'"(\w+)"', source.split("LONG = (")[1].split(")")[0]))
    page = (ROOT / "docs" / "performance.md").read_text()
    assert names == {
        "scale",
        "flood",
        "privacy",
        "he",
        "heterogeneity",
        "rings",
        "sketches",
        "halves",
        "conservation",
        "patterns",
        "idle",
        "placement",
        "joules",
        "attacks",
    }
    assert "<!-- figures: scale -->" in page
    assert "`scripts/attack_lab`" in page
    for name in names - {"attacks"}:
        assert f"`scripts/bench {name}" in page


def test_what_grows_is_counted_for_each_peer_and_no_peer_lives_on_anothers_work():
    found = bench("scale", "--simulated", 4, 8, "--real")
    four, eight = found["ours"]["4 simulated"], found["ours"]["8 simulated"]
    assert eight["frames_each"] > 1.5 * four["frames_each"]  # counted, not timed
    assert eight["control_bytes_each"] > 1.5 * four["control_bytes_each"]
    assert four["largest_frame"] < eight["largest_frame"] < four["control_bytes_each"]
    assert set(found["ratios"]) == {
        "control bytes per peer and round, 8 peers / 4",
        "processor time per peer and round, 8 peers / 4",
    }


def test_figures_at_several_sizes_become_one_table(tmp_path):
    figures, page = tmp_path / "figures", tmp_path / "performance.md"
    figures.mkdir()
    document = {
        "bench": "scale",
        "machine": {"cpus": 2, "architecture": "x", "system": "y", "python": "3", "load_at_end": 0.5, "libraries": {}},
        "aims": [],
        "ratios": {"16 / 8": 2.5},
        "ours": {"8": {"bytes_each": 100, "seconds": 1.0}, "16": {"bytes_each": 250, "seconds": 2.0}},
        "yardsticks": {},
    }
    (figures / "scale.json").write_text(json.dumps(document))
    page.write_text("<!-- figures: scale -->\n<!-- end -->\n")
    subprocess.run([sys.executable, BENCH, "page", figures, "--page", page], check=True, capture_output=True)
    assert "| | bytes each | seconds |\n|---|---|---|\n| 8 | 100 | 1 |\n| 16 | 250 | 2 |\n" in page.read_text()


def test_conservation_counts_peers_against_their_host_beside_codecarbon():
    found = bench("conservation", "--peers", 1, 2, "--seconds", 1, "--edges", 200)
    assert set(found["ours"]) == set(found["yardsticks"]) == {"1 peers", "2 peers"}
    for one in found["ours"].values():
        assert one["peers_j"] + one["other_j"] == pytest.approx(one["host_j"], rel=1e-4)
        assert one["claimed_beyond_host"] <= 0.01
        assert one["findings"] == 0
    both = found["yardsticks"]["2 peers"]
    assert both["machine_sum_j"] > 1.5 * both["machine_one_j"]  # each tracker counts the whole host


def test_joules_a_point_compares_runs_that_differ_in_what_their_names_say():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from benchmarks import joules
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    from peerage.comparison.settings import changed
    from peerage.config import Federation
    from peerage.config_checks import check_federation

    found = joules.variants(Federation(exchange="masked"))
    base = found.pop(joules.BASE)
    check_federation(base)
    keys = {name: {key for key, _, _ in changed(base, settings)} for name, settings in found.items()}
    for name, differs in keys.items():
        check_federation(found[name])
        wanted = {
            "exchange": "plain" in name,
            "training.epochs": "5" in name,
            "masking.ring_bits": "16-bit" in name,
            "masking.random_k": "quarter" in name,
        }
        assert {key for key in wanted if key in differs} == {key for key, given in wanted.items() if given}
        assert all(key in wanted or key.startswith("masking.") for key in differs)
    assert len(found) == 7


def test_joules_a_point_are_the_peers_joules_over_the_points_gained():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from benchmarks import joules
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    from peerage.contrast.amounts import Component, Metered
    from peerage.contrast.side import Cell, Side
    from peerage.emissions import Band, Label

    part = Component(0, Label.MODELLED)
    used = Metered(
        cpu_dyn=Component(30_000_000, Label.MODELLED),
        idle=part,
        ram=part,
        gpu=part,
        energy_uj=Band(15_000_000, 30_000_000, 60_000_000),
        label=Label.MODELLED,
        co2e_ug=Band(1, 2, 3),
        co2e_label=Label.MODELLED,
        place="FRA",
        source="a table",
        by_phase_uj={"train": 6_000_000},
        power=(),
        records=1,
    )
    side = Side(
        cell=Cell(data="digits", partition="iid", optimiser="fedavg"),
        target=0.9,
        reached=True,
        rounds=2,
        curve=(0.1, 0.5, 0.9, 0.99),
        metered=used,
        seconds=1.0,
        bytes_out=2_000_000,
        findings=0,
    )
    told = joules.told([side, side])
    assert (told["points"], told["joules"]) == (pytest.approx(80), 30)  # not the 89 that a later round gained
    assert told["joules_per_point"] == pytest.approx(0.375)
    assert (told["low"], told["high"]) == (pytest.approx(0.1875), pytest.approx(0.75))
    assert (told["training_share"], told["megabytes_sent"], told["reached"]) == (0.2, 2, 1)
