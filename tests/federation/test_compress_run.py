"""Real runs that exchange a part of each update: fewer bytes, the same pay and audit, also after a kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from launched import QUICK, RunFolder, command, toml

from peerage.audit.run import audit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def test_a_quarter_in_sixteen_bits_is_merged_paid_and_audited(tmp_path: Path) -> None:
    settings = {
        "peers": 5,
        "rounds": 5,
        "training": {"epochs": 10},
        "timing": QUICK,
        "cast": [
            {"peer": "peer-02", "behaviour": "parent-back"},
            {"peer": "peer-04", "kill_in_round": 2, "return_in_round": 3},
        ],
    }
    file = toml(tmp_path / "f.toml", settings)
    how = ("--compress", "u16+randk:0.25", "--ledger", "embedded", "--country", "DEU")
    done = command("run", file, *how, "--out", "r", folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "25 % of the coordinates a round" in done.stdout + done.stderr
    found = RunFolder(tmp_path / "r")
    told = found.summary
    assert found.aggregates("peer-04")[-1] == told["aggregate_sha256"]
    assert told["audit"] == {"ok": True, "findings": 0}
    assert told["accuracy"]["aggregate"] > 0.5
    assert int(told["rewards"]["paid"]) > 0
    assert int(told["rewards"]["by_peer"].get(told["accounts"]["peer-02"], "0")) == 0
    line = found.metrics("peer-01")[-1]
    whole = 2 * line["parameters"]  # a masked vector of all coordinates in 16 bits
    vectors = [path.stat().st_size for path in (tmp_path / "r" / "store").rglob("*") if path.is_file()]
    assert whole + 48 not in vectors
    quarter = 2 * -(-line["parameters"] // 4) + 48  # a quarter of the coordinates, and the lane of the counts
    assert vectors.count(quarter) >= 5 * 4

    other = tmp_path / "r" / "federation.toml"
    other.write_text(other.read_text().replace("random_k = 0.25", "random_k = 0.5"))
    assert not audit(tmp_path / "r").ok
