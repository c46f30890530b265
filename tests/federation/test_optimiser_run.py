"""A real run whose merge has a state: a peer is killed, loses nothing of it, and the audit recomputes all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from launched import QUICK, RunFolder, command, toml

from peerage.audit.run import audit
from peerage.config_toml import load_federation

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def test_fedadam_goes_through_a_kill_and_an_audit(tmp_path: Path) -> None:
    settings = {
        "peers": 5,
        "rounds": 6,
        "data": {"partition": "dirichlet:0.5"},
        "merge": {"optimiser": "fedadam"},
        "training": {"epochs": 15, "batch_size": 16, "learning_rate": 0.05, "proximal": 0.01},
        "timing": QUICK,
        "cast": [{"peer": "peer-04", "kill_in_round": 2, "return_in_round": 4}],
    }
    file = toml(tmp_path / "f.toml", settings)
    done = command("run", file, "--ledger", "embedded", "--country", "DEU", "--out", "r", folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FedAdam (rate 0.1, 0.9, 0.99, tau 0.001)" in done.stdout + done.stderr
    found = RunFolder(tmp_path / "r")
    told = found.summary
    assert len(found.journal("peer-04", "started")) == 2
    assert found.aggregates("peer-04")[-1] == found.aggregates("peer-01")[-1] == told["aggregate_sha256"]
    address = told["accounts"]["peer-04"]
    assert any(address in line["survivors"] for line in found.metrics("peer-01") if line["round"] > 2)
    assert told["accuracy"]["aggregate"] > 0.6
    assert int(told["rewards"]["paid"]) > 0
    assert told["audit"] == {"ok": True, "findings": 0}

    other = tmp_path / "r" / "federation.toml"
    other.write_text(other.read_text().replace('optimiser = "fedadam"', 'optimiser = "fedyogi"'))
    assert load_federation(other).merge.optimiser == "fedyogi"
    assert not audit(tmp_path / "r").ok


def test_updates_that_scaffold_corrected_are_paid_and_audited(tmp_path: Path) -> None:
    settings = {
        "peers": 5,
        "rounds": 4,
        "data": {"partition": "dirichlet:0.1"},
        "training": {"scaffold": True},
        "cast": [{"peer": "peer-02", "behaviour": "parent-back"}],
    }
    file = toml(tmp_path / "f.toml", settings)
    done = command("run", file, "--ledger", "embedded", "--country", "DEU", "--out", "r", folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    told = RunFolder(tmp_path / "r").summary
    assert told["audit"] == {"ok": True, "findings": 0}
    assert int(told["rewards"]["by_peer"].get(told["accounts"]["peer-02"], "0")) == 0
    assert int(told["rewards"]["paid"]) > 0
