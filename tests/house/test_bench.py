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
        [sys.executable, BENCH, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=110
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
