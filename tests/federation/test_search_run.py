"""A real search: killed in the middle, it goes on where it stood and finds the setting that learns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from launched import Launched, command, toml, wait_until

from peerage.config_toml import load_federation

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def test_a_search_goes_on_after_a_kill_and_finds_the_rate_that_learns(tmp_path: Path) -> None:
    file = toml(tmp_path / "f.toml", {"peers": 3, "rounds": 4, "ledger": {"engine": "embedded"}})
    how = ["search", str(file), "--over", "training.learning_rate=0.0001,0.1,0.001", "--out", "s"]
    first, second = (tmp_path / "s" / "trials" / name / "rung-1" for name in ("01", "02"))
    with Launched(how, tmp_path) as begun:
        wait_until((second / "federation.toml").exists, 100, "the second trial")
        begun.process.kill()
        begun.process.wait()
        wait_until(lambda: not begun.pids(), 60, "the end of all processes")
    before = (first / "summary.json").stat().st_mtime_ns
    done = command("search", "--resume", "--out", "s", "--json", folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (first / "summary.json").stat().st_mtime_ns == before, "what was done is not done again"
    found = json.loads(done.stdout)
    assert (found["best"], found["settings"]) == (2, {"training.learning_rate": 0.1})
    assert [(one["trial"], one["rung"]) for one in found["outcomes"]][:3] == [(1, 1), (2, 1), (3, 1)]
    assert (found["rounds"], found["rounds_of_all"]) == (10, 12)
    assert load_federation(tmp_path / "s" / "federation.toml").training.learning_rate == 0.1
    went_on = load_federation(tmp_path / "s" / "trials" / "02" / "rung-2" / "federation.toml")
    assert went_on.model.start == str(second / "model.safetensors")
    summary = json.loads((tmp_path / "s" / "trials" / "02" / "rung-2" / "summary.json").read_text())
    assert summary["audit"] == {"ok": True, "findings": 0}
    assert int(summary["rewards"]["paid"]) == 0
