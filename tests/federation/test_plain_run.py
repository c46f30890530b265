"""BrainTorrent as published: two peers that trust each other exchange weights, and the run is recorded and audited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from launched import PATIENT, RunFolder, command, toml

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(120)]


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
    done = command("run", file, "--ledger", "embedded", "--country", "DEU", "--out", "r", folder=tmp_path, seconds=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "an initiator sees the updates it pulls" in done.stdout + done.stderr  # what it does not hide
    told = RunFolder(tmp_path / "r").summary
    assert (told["exchange"], told["smallest_honest_sum"]) == ("plain", None)
    assert told["accuracy"]["aggregate"] > 0.85
    assert told["audit"] == {"ok": True, "findings": 0}
