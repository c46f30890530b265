"""`scripts/bench sketches` at its smallest size. No clock is judged here."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "scripts" / "bench"


def test_sketches_are_measured_on_real_updates():
    sizes = ("--rounds", "1", "--seeds", "1", "--counts", "16", "--parameters", "20000", "--repeats", "1")
    done = subprocess.run(
        [sys.executable, BENCH, "sketches", *sizes], check=False, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    ours = found["ours"]["r = 16"]

    assert 0.1 < ours["length_error"] < 0.3  # 1 / sqrt(32) = 0.18
    assert ours["found_10x"] == 1.0
    assert ours["bytes_received"] > ours["bytes_sent"] > 10_000
    assert found["settings"]["length_bound"] == 3.0
