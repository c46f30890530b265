"""Pay in epochs with real processes on a real chain: claimed while training goes on, through a kill and a resume."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from launched import QUICK, RunFolder, kill, require, run, toml, wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

ROUNDS, EPOCH, DELAY = 9, 2, 1


def paid(found: RunFolder, name: str) -> list[dict[str, Any]]:
    """The epochs that a peer's journal calls settled for good, in all its lives."""
    return found.journal(name, "paid")


@pytest.mark.parametrize("engine", ["anvil", "ganache"])
def test_pay_is_claimed_before_the_run_ends_and_nothing_is_paid_twice(tmp_path: Path, engine: str) -> None:
    settings = {
        "peers": 4,
        "rounds": ROUNDS,
        "data": {"partition": "iid"},
        "training": {"epochs": 20},
        "rewards": {"epoch": EPOCH},
        "ledger": {"engine": engine, "activation_delay": DELAY},
        "emissions": {"country": "DEU"},
        "timing": QUICK,
    }
    require(engine)
    found = RunFolder(tmp_path / "r")
    with run([toml(tmp_path / "f.toml", settings), "--out", "r"], tmp_path) as first:
        wait_until(lambda: bool(paid(found, "peer-01")), 120, f"an epoch in {first.said}")
        kill(first.process.pid)
        first.end(20)
        wait_until(lambda: not first.pids(), 60, f"the end of {first.pids()}")
    with run(["--resume", "--out", "r"], tmp_path) as second:
        assert second.end(200) == 0, second.said
    assert found.summary["audit"] == {"ok": True, "findings": 0}
    assert found.summary["rewards"]["paid"] == found.summary["rewards"]["pool"]
    assert found.summary["rewards"]["epochs"] == -(-ROUNDS // EPOCH)
    for name in ("peer-01", "peer-02", "peer-03", "peer-04"):
        told = {line["epoch"]: line["record"] for line in paid(found, name)}
        assert set(told) == {1, 2, 3, 4}
    assert len({json.dumps({e["epoch"]: e["record"] for e in paid(found, f"peer-0{i}")}) for i in range(1, 5)}) == 1
    early = paid(found, "peer-01")[0]
    assert early["round"] < ROUNDS, "settled while training went on"
