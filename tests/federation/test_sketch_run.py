"""A real federation that opens sketches: its rounds close, the audit screens again, and a changed sketch is found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from launched import PATIENT, command, toml

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def test_a_run_with_sketches_audits_clean_and_a_changed_sketch_does_not(tmp_path: Path) -> None:
    settings = {
        "peers": 5,
        "rounds": 2,
        "data": {"partition": "iid"},
        "training": {"batch_size": 16, "learning_rate": 0.3},
        "robust": {"sketches": 8},
        "timing": PATIENT,
    }
    file = toml(tmp_path / "f.toml", settings)
    done = command("run", file, "--ledger", "embedded", "--country", "DEU", "--out", "r", folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    sessions = {path: path.read_bytes() for path in (tmp_path / "r" / "store").iterdir()}
    screened = {path: blob for path, blob in sessions.items() if b'"screening":{' in blob}
    assert len(screened) == 2
    assert all(len(json.loads(blob)["screening"]["sketches"]) == 5 for blob in screened.values())
    clean = command("audit", "r", folder=tmp_path, seconds=400)
    assert clean.returncode == 0, clean.stdout + clean.stderr

    path, blob = next(iter(screened.items()))
    at = blob.index(b'"numbers":"') + 20
    path.write_bytes(blob[:at] + (b"A" if blob[at : at + 1] != b"A" else b"B") + blob[at + 1 :])
    assert command("audit", "r", folder=tmp_path, seconds=400).returncode != 0
