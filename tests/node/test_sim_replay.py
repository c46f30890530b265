"""A seed is a schedule: the same one in another process, with another hash seed, without the caches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import sim_caches
from schedules import FAMILIES, play

COMMAND = Path(__file__).parent / "sim_command.py"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_schedule_replays_in_other_processes_whatever_their_hash_seed(family: str) -> None:
    said = [
        subprocess.run(
            [sys.executable, COMMAND, family, "7"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        for seed in ("1", "4242")
    ]
    assert play(family, 7).fingerprint() in said[0]
    assert said[0] == said[1]


def test_the_caches_change_nothing() -> None:
    with_caches = play("everything", 3).fingerprint()
    sim_caches.remove()
    try:
        assert play("everything", 3).fingerprint() == with_caches
    finally:
        sim_caches.install()


def test_a_failing_schedule_is_told_as_a_story() -> None:
    told: list[str] = []
    sim = play("struck", 4, told.append)
    assert any("starts again" in line for line in told)
    assert any("to peer-" in line for line in told)
    assert any("block 1" in line for line in told)
    assert sim.fingerprint() == play("struck", 4).fingerprint()
