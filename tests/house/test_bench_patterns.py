"""`scripts/bench patterns` at its smallest size."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_pattern_is_a_line_of_settings_and_stands_beside_alone_and_pooled():
    sizes = ("--rounds", "4", "--seeds", "2", "--peers", "5", "--partitions", "dirichlet:0.1")
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "bench", "patterns", *sizes],
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    ours, walls = found["ours"]["dirichlet:0.1"], found["yardsticks"]["dirichlet:0.1"]
    assert ours["fedavg"]["over_fedavg"] == {"mean": 0, "sd": 0}
    for name, line in found["settings"]["lines"].items():
        assert 0.1 < ours[name]["final"]["mean"] <= walls["pooled"]["mean"] + 0.05
        assert "optimiser" in line or "scaffold" in line
    assert ours["fedadam"]["final"]["mean"] > ours["fedavg"]["final"]["mean"]
    assert walls["local_only"]["mean"] < walls["pooled"]["mean"]


def test_heads_that_stay_beat_one_model_where_labels_mean_different_things():
    sizes = ("--rounds", "6", "--seeds", "1", "--peers", "5")
    bench = (sys.executable, ROOT / "scripts" / "bench", "personal", *sizes)
    done = subprocess.run(bench, check=False, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    ours = json.loads(done.stdout)["ours"]
    apart = ours["dirichlet:0.5, labels of their own"]
    assert apart["head stays"]["mean"] > apart["one model"]["mean"] + 0.1
    floats = [one["floats"] for one in ours["adapters"].values()]
    assert floats == [4810, 778, 1162, 2698]


def test_a_part_of_each_update_costs_as_much_less_as_it_is_smaller():
    sizes = ("--rounds", "8", "--seeds", "1", "--peers", "4", "--partitions", "iid", "--only", "all, 32 bits", "0.25")
    bench = (sys.executable, ROOT / "scripts" / "bench", "compression", *sizes)
    done = subprocess.run(bench, check=False, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    whole, part = json.loads(done.stdout)["ours"]["iid"].values()
    assert (whole["bytes_a_round"], part["bytes_a_round"]) == (4 * 4810 + 48, 4 * 1203 + 48)
    assert 0.3 < part["final"]["mean"] < whole["final"]["mean"]
    assert part["bytes_to_target"] < whole["bytes_to_target"]


def test_rounds_that_wait_for_nobody_are_more_in_the_same_time():
    sizes = ("--seeds", "1", "--until", "22", "--only", "wait for all", "open_at = 8")
    bench = (sys.executable, ROOT / "scripts" / "bench", "asynchrony", *sizes)
    done = subprocess.run(bench, check=False, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    waiting, early = json.loads(done.stdout)["ours"].values()
    assert early["rounds"]["mean"] > 5 * waiting["rounds"]["mean"]
    assert early["final"]["mean"] > waiting["final"]["mean"] + 0.2
    assert 1 <= early["rounds_of_the_slow"]["mean"] < early["rounds"]["mean"]


def test_the_more_neighbours_the_closer_the_models():
    sizes = ("--seeds", "1", "--rounds", "4", "--peers", "6", "--partitions", "dirichlet:0.5", "--only", "all", "ring")
    bench = (sys.executable, ROOT / "scripts" / "bench", "topologies", *sizes)
    done = subprocess.run(bench, check=False, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    all_, ring = found["ours"]["dirichlet:0.5"].values()
    assert all_["apart"]["mean"] < 1e-6 < ring["apart"]["mean"]
    assert ring["megabytes"]["mean"] * 5 == all_["megabytes"]["mean"] * 2
    assert found["settings"]["spectral_gap"] == {"all": 1.0, "ring": 0.333333}


def test_two_kinds_of_peers_are_told_apart_and_each_chooses_its_version():
    bench = (sys.executable, ROOT / "scripts" / "bench", "versions", "--seeds", "1", "--rounds", "10")
    done = subprocess.run(bench, check=False, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    ours, one = found["ours"]["two kinds"], found["yardsticks"]["two kinds"]["one model"]
    assert ours["clusters = 4"]["told apart"] == 1
    assert ours["clusters = 4"]["mean"] > one["mean"] + 0.1
    chosen = ours["selector"]
    assert chosen["each its own"]["mean"] > chosen["best single version"]["mean"] + 0.2
    alike = found["ours"]["one kind"]["selector"]
    assert abs(alike["each its own"]["mean"] - alike["best single version"]["mean"]) < 0.05
