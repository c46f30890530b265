"""The devnet is killed and stays away: training goes on without it, and in the end the chain has every record once."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from launched import PATIENT, RunFolder, kill, require, run, toml, wait_until

from peerage_ledger.archive.reader import read_export
from peerage_ledger.devnets.engines import Engine, find
from peerage_ledger.events import RewardClaimed, RootPublished, RoundRecorded

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

LONG = os.environ.get("PEERAGE_LONG") == "1"  # every engine, and longer
AWAY = 20 if LONG else 12  # several rounds of a slow machine
BEST = next(engine.value for engine in Engine if find(engine) is not None)
ENGINES = [engine.value for engine in Engine] if LONG else [BEST]
ROUNDS = 60 if LONG else 16


@pytest.mark.parametrize("engine", ENGINES)
def test_a_devnet_that_is_away_delays_records_and_loses_none(tmp_path: Path, engine: str) -> None:
    require(engine)
    settings = {
        "peers": 4,
        "rounds": ROUNDS,
        "data": {"partition": "iid"},
        "training": {"epochs": 40, "learning_rate": 0.02},
        "timing": PATIENT,
    }
    file = toml(tmp_path / "f.toml", settings)
    found = RunFolder(tmp_path / "r")
    away = {"PEERAGE_DEVNET_REVIVE_SECONDS": str(AWAY)}
    with run([file, "--ledger", engine, "--country", "DEU", "--out", "r"], tmp_path, **away) as launched:
        wait_until(lambda: 2 in found.closed("peer-01"), 90, f"round 2 in {launched.said}")
        (devnet,) = launched.pids_of(str(found.path / "chain" / "devnet"), without="guard.py")
        kill(devnet)
        fell = time.time() * 1000
        launched.wait_for_words("devnet is back")
        back = time.time() * 1000
        assert launched.end(200) == 0, launched.said
    assert "devnet is down: records wait in the outboxes, training goes on" in launched.said
    assert back - fell > 900 * AWAY
    while_away = [line for line in found.closed("peer-02").values() if fell < line["at_ms"] < fell + 900 * AWAY]
    assert len(while_away) >= 2  # training went on

    archive = read_export(found.path / "chain" / "chain.jsonl")
    assert archive.problems == ()
    events = [happened.event for happened in archive.events()]
    recorded = sorted((e.record.round, e.record_hash.hex()) for e in events if isinstance(e, RoundRecorded))
    assert recorded == sorted((line["round"], line["record"]) for line in found.closed("peer-01").values())
    assert len(recorded) == ROUNDS
    assert sum(isinstance(event, RootPublished) for event in events) == 1
    claims = [event for event in events if isinstance(event, RewardClaimed)]
    assert len(claims) == len({event.account for event in claims})
    assert sum(event.amount for event in claims) == int(found.summary["rewards"]["pool"])
    assert found.summary["audit"] == {"ok": True, "findings": 0}
