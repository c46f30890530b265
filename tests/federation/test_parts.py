"""Peers that misbehave among honest ones, and a model of more than a hundred thousand parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from launched import PATIENT, RunFolder, command, toml

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

WIDE = '''"""A wide perceptron: 64 x 1400 + 1400 + 1400 x 10 + 10 = 105 010 parameters."""

from torch import nn


def build(input_shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(input_shape[0], 1400), nn.ReLU(), nn.Linear(1400, classes))
'''


def test_a_nan_a_free_rider_and_random_labels_do_not_stop_the_others(tmp_path: Path) -> None:
    rounds = 4
    settings = {
        "peers": 7,
        "rounds": rounds,
        "data": {"partition": "iid"},
        "training": {"batch_size": 16, "learning_rate": 0.3},
        "timing": PATIENT | {"join": 1.5},  # nobody waits a minute for the one that cannot train
        "cast": [
            {"peer": "peer-02", "behaviour": "nan"},
            {"peer": "peer-04", "behaviour": "parent-back"},
            {"peer": "peer-06", "behaviour": "random-labels"},
        ],
    }
    file = toml(tmp_path / "f.toml", settings)
    done = command("run", file, "--ledger", "embedded", "--country", "DEU", "--out", "r", folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    found = RunFolder(tmp_path / "r")
    told = found.summary
    account = told["accounts"]

    faults = found.journal("peer-02", "fault")
    assert [line["culprit"] for line in faults] == [account["peer-02"].lower()] * rounds
    assert all("NaN" in line["sentence"] for line in faults)
    assert [line["round"] for line in told["missing"] if line["peer"] == "peer-02"] == list(range(1, rounds + 1))
    honest = ["peer-01", "peer-03", "peer-05", "peer-07"]
    for name in [*honest, "peer-02", "peer-04", "peer-06"]:  # everybody stands on the same models, the ill one too
        assert found.aggregates(name) == found.aggregates("peer-01")
    assert len(found.aggregates("peer-01")) == rounds

    earned = {name: int(told["rewards"]["by_peer"].get(account[name], "0")) for name in account}
    assert earned["peer-02"] == earned["peer-04"] == 0
    equal_share = int(told["rewards"]["pool"]) // 7
    assert earned["peer-06"] < equal_share // 4
    assert all(earned[name] > 0 for name in honest)
    assert told["accuracy"]["aggregate"] > 0.8
    assert told["audit"] == {"ok": True, "findings": 0}


def test_a_model_of_a_hundred_thousand_parameters_from_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "wide.py").write_text(WIDE)
    file = toml(tmp_path / "f.toml", {"data": {"partition": "iid"}, "timing": PATIENT})
    flags = ["--model", "wide.py:build", "--peers", "3", "--rounds", "2", "--ledger", "embedded", "--out", "r"]
    done = command("run", *flags, "--country", "DEU", file, folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    found = RunFolder(tmp_path / "r")
    parameters = 64 * 1400 + 1400 + 1400 * 10 + 10
    assert (found.path / "store" / found.summary["aggregate_sha256"]).stat().st_size == 4 * parameters
    assert found.summary["bytes"]["raw"] == 4 * parameters * 3 * 2
    assert found.summary["accuracy"]["aggregate"] > 0.7
    assert found.summary["audit"] == {"ok": True, "findings": 0}
