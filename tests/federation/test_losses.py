"""Peers that vanish: killed and brought back with nothing lost, or killed as initiators in the midst of their round."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from launched import QUICK, RunFolder, command, kill, run, toml, wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

NAMES = [f"peer-0{number}" for number in range(1, 6)]
SLOW = {"epochs": 60, "batch_size": 16, "learning_rate": 0.05}  # rounds long enough to come back in


def test_a_peer_killed_in_the_middle_returns_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    settings = {
        "peers": 5,
        "rounds": 6,
        "data": {"partition": "iid"},
        "training": SLOW,
        "timing": QUICK,
        "cast": [{"peer": "peer-04", "kill_in_round": 2, "return_in_round": 4}],
    }
    file = toml(tmp_path / "f.toml", settings)
    done = command("run", file, "--ledger", "embedded", "--country", "DEU", "--out", "r", folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    found = RunFolder(tmp_path / "r")
    told = found.summary
    address = told["accounts"]["peer-04"]

    lives = found.journal("peer-04", "started")
    assert len(lives) == 2
    before = max(line["version"] for line in found.journal("peer-04", "trained") if line["seq"] < lives[1]["seq"])
    assert lives[1]["version"] in {before - 1, before}  # the version that was on the disk when the power went

    absent = {line["round"] for line in told["missing"] if line["peer"] == "peer-04"}
    assert absent  # the summary names its rounds: it is back when the others are past one more
    present = {line["round"] for line in found.metrics("peer-01") if address in line["survivors"]}
    assert present | absent == set(range(1, 7))
    assert not present & absent
    assert max(present) > max(absent)  # it is in a later sum than those that it missed

    spent = [line["version"] for line in found.journal("peer-04", "spent")]
    locked = [line["version"] for line in found.journal("peer-04", "locked")]
    assert max(locked) > before
    assert len(spent) == len(set(spent))  # one version, one sum
    assert found.aggregates("peer-04")[-1] == found.aggregates("peer-01")[-1] == told["aggregate_sha256"]
    assert told["lost"] == {}
    assert told["audit"] == {"ok": True, "findings": 0}


def test_the_others_finish_a_round_whose_initiator_was_killed_in_it(tmp_path: Path) -> None:
    settings = {
        "peers": 5,
        "rounds": 5,
        "data": {"partition": "iid"},
        "model": {"hidden": 1400},  # a session that lasts
        "timing": QUICK,
    }
    file = toml(tmp_path / "f.toml", settings)
    found = RunFolder(tmp_path / "r")

    def opening() -> tuple[str, int] | None:
        for name in NAMES:
            for line in found.journal(name, "signed"):
                if line["type"] == "Opened" and line["round"] >= 2:
                    return name, line["round"]
        return None

    with run([file, "--ledger", "embedded", "--country", "DEU", "--out", "r"], tmp_path) as launched:
        killed, in_round = wait_until(opening, 90, "somebody to open round 2 or later")
        kill(found.pid(killed))
        assert launched.end() == 1, launched.said  # a peer was lost: the run says so
    assert in_round not in found.closed(killed), "it was killed too late for this test to mean anything"
    told = found.summary
    assert list(told["lost"]) == [killed]
    others = [name for name in NAMES if name != killed]
    assert all(sorted(found.closed(name)) == [1, 2, 3, 4, 5] for name in others)
    assert len({tuple(found.aggregates(name)) for name in others}) == 1
    assert {line["round"] for line in told["missing"] if line["peer"] == killed} >= {4, 5}
    assert int(told["rewards"]["paid"]) > 0
    assert told["audit"] == {"ok": True, "findings": 0}
    assert killed in launched.said
