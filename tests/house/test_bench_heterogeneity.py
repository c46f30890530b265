"""`scripts/bench heterogeneity` at its smallest size."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_correction_stands_beside_going_without_with_its_spread_and_its_joules():
    sizes = ("--rounds", "4", "--seeds", "2", "--peers", "5", "--only", "both")
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "bench", "heterogeneity", *sizes],
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for base in ("plain averaging", "default"):
        ours = found["ours"][base]
        assert set(ours) == {"nothing", "both"}
        assert ours["nothing"]["gain"] == {"mean": 0, "sd": 0}
        assert ours["nothing"]["joules"] > 0
        assert ours["both"]["joules"] > 0
    assert found["ours"]["plain averaging"]["both"]["gain"]["mean"] > 0
    assert found["yardsticks"]["local_only"]["mean"] < found["yardsticks"]["pooled"]["mean"]
