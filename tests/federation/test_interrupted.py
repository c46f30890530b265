"""Ctrl-C, or the launcher killed outright: nothing it started stays alive, and --resume goes on where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from launched import QUICK, RunFolder, kill, run, toml, wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

PEERS, ROUNDS = 4, 12
NAMES = [f"peer-0{number}" for number in range(1, PEERS + 1)]
GONE_SECONDS = 60


def test_an_interrupted_and_then_a_killed_run_leave_no_process_and_resume_to_the_end(tmp_path: Path) -> None:
    settings = {
        "peers": PEERS,
        "rounds": ROUNDS,
        "data": {"partition": "iid"},
        "training": {"epochs": 40, "learning_rate": 0.02},
        "timing": QUICK,
    }
    file = toml(tmp_path / "f.toml", settings)
    found = RunFolder(tmp_path / "r")

    with run([file, "--ledger", "embedded", "--country", "DEU", "--out", "r"], tmp_path) as first:
        wait_until(lambda: 2 in found.closed("peer-01"), 90, f"round 2 in {first.said}")
        assert {found.pid(name) for name in NAMES} < first.pids()
        assert first.pids_of("peerage_ledger.devnets.embedded")
        first.interrupt()
        assert first.end(20) == 130
        wait_until(lambda: not first.pids(), GONE_SECONDS, f"the end of {first.pids()}")
        assert "--resume" in first.said
        assert "Traceback" not in first.said
    deployment, done = found.deployment, max(found.closed("peer-01"))
    assert done < ROUNDS

    with run(["--resume", "--out", "r"], tmp_path) as second:
        wait_until(lambda: max(found.closed("peer-01")) > done + 1, 90, f"a round after {done} in {second.said}")
        kill(second.process.pid)
        second.end(20)
        wait_until(lambda: not second.pids(), GONE_SECONDS, f"the end of {second.pids()}")
    assert max(found.closed("peer-01")) < ROUNDS

    with run(["--resume", "--out", "r"], tmp_path) as third:
        assert third.end(150) == 0, third.said
        wait_until(lambda: not third.pids(), GONE_SECONDS, f"the end of {third.pids()}")
    assert found.deployment == deployment  # the same federation on the same chain
    assert len({tuple(found.aggregates(name)) for name in NAMES}) == 1
    assert sorted(found.closed("peer-01")) == list(range(1, ROUNDS + 1))
    assert found.summary["rewards"]["paid"] == found.summary["rewards"]["pool"]
    assert found.summary["ledger"]["transactions"] == ROUNDS + 2  # each record once, in three lives
    assert found.summary["audit"] == {"ok": True, "findings": 0}
