"""`scripts/bench privacy` and `he` at their smallest sizes: what they print is there and means what it says."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "scripts" / "bench"


def bench(*arguments):
    done = subprocess.run(
        [sys.executable, BENCH, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_privacy_prints_accuracy_with_its_epsilon_and_what_a_leaver_gives_away():
    sizes = ("--peers", 8, "--noise", 1, "--rounds", 2, "--seeds", 1)
    found = bench("privacy", *sizes, "--leavers", 3, "--before", 2, "--averaged", 2, "--leaver-seeds", 1)["ours"]
    noisy = found["noise"]["8 peers"]
    assert noisy["z 0"]["epsilon"] is None
    assert 0 < noisy["z 1"]["epsilon"] < noisy["z 1"]["epsilon_alone"]
    assert 0 <= noisy["z 1"]["accuracy"] <= 1
    leaver = found["leaver"]["3 peers, after 2 rounds"]
    assert set(leaver) == {"difference", "sum", "own_part"}
    assert all(-1 <= cosine <= 1 for cosines in leaver.values() for cosine in cosines)
    assert len(leaver["difference"]) == 2


def test_he_compares_ckks_with_masking_or_says_what_is_missing():
    found = bench("he", "--parameters", 5000, "--peers", 3, "--repeats", 1)
    assert found["ours"]["bytes_per_parameter"] == 4.0
    assert found["ours"]["largest_error"] < 1e-3
    if importlib.util.find_spec("tenseal") is None:
        assert found["yardsticks"]["ckks"] is None
        assert any("pip install 'peerage[he]'" in note for note in found["notes"])
        return
    assert found["yardsticks"]["ckks"]["lean"]["largest_error"] < 1e-3
    assert found["yardsticks"]["ckks"]["lean"]["bytes_per_parameter"] > 10
