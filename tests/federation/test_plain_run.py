"""BrainTorrent as published: two peers that trust each other exchange weights, and the run is recorded and audited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from launched import PATIENT, RunFolder, command, toml

from peerage.audit.run import audit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def test_two_peers_exchange_weights_in_the_open(tmp_path: Path) -> None:
    settings = {
        "peers": 2,
        "rounds": 3,
        "exchange": "plain",
        "data": {"partition": "iid"},
        "training": {"batch_size": 16, "learning_rate": 0.3},
        "timing": PATIENT,
    }
    file = toml(tmp_path / "f.toml", settings)
    done = command("run", file, "--ledger", "embedded", "--country", "DEU", "--out", "r", folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "an initiator sees the updates it pulls" in done.stdout + done.stderr  # what it does not hide
    told = RunFolder(tmp_path / "r").summary
    assert (told["exchange"], told["smallest_honest_sum"]) == ("plain", None)
    assert told["accuracy"]["aggregate"] > 0.85
    assert told["audit"] == {"ok": True, "findings": 0}


def test_peers_in_a_ring_merge_their_neighbours_alone(tmp_path: Path) -> None:
    settings = {
        "peers": 5,
        "rounds": 4,
        "exchange": "plain",
        "merge": {"graph": "ring"},
        "training": {"epochs": 4},
        "timing": PATIENT,
    }
    file = toml(tmp_path / "f.toml", settings)
    done = command("run", file, "--ledger", "embedded", "--country", "DEU", "--out", "r", folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "graph ring" in done.stdout + done.stderr
    found = RunFolder(tmp_path / "r")
    told = found.summary
    assert told["audit"] == {"ok": True, "findings": 0}
    order = sorted(told["accounts"].values(), key=str.lower)
    for name, address in told["accounts"].items():
        place = order.index(address)
        near = {order[place - 1], address, order[(place + 1) % 5]}
        assert {frozenset(line["survivors"]) for line in found.metrics(name)} == {frozenset(near)}
    assert told["accuracy"]["mean"] > 0.4
    other = tmp_path / "r" / "federation.toml"
    other.write_text(other.read_text().replace('graph = "ring"', 'graph = "line"'))
    assert not audit(tmp_path / "r").ok
