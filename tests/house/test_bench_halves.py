"""`scripts/bench halves` at its smallest size. No clock is judged here."""

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "scripts" / "bench"


def test_halves_that_are_drawn_anew_give_more_away_than_those_drawn_once():
    sizes = ("--rounds", "1", "8", "--seeds", "1", "--partition", "dirichlet:1")
    done = subprocess.run(
        [sys.executable, BENCH, "halves", *sizes], check=False, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    ours = json.loads(done.stdout)["ours"]

    assert ours["drawn once, 8 rounds"]["rank"] == 2
    assert ours["drawn anew, 8 rounds"]["rank"] == 9
    assert ours["drawn anew, 1 rounds"] == ours["drawn once, 1 rounds"]
    assert ours["drawn anew, 8 rounds"]["cosine"] > 1.5 * ours["drawn once, 8 rounds"]["cosine"] > 0
