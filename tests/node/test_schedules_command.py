"""`scripts/schedules`: the quick table reproduces the three statements; a bad profile ends with exit code 2."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

COMMAND = Path(__file__).parents[2] / "scripts" / "schedules"


def schedules(*arguments):
    return subprocess.run(
        [sys.executable, COMMAND, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=280
    )


def test_the_quick_table_reproduces_the_three_statements(tmp_path):
    done = schedules("--quick", "--json", "--svg", tmp_path / "s.svg")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)  # one document and nothing else
    assert [s["reproduced"] for s in made["statements"]] == [True, True, True]
    numbers = [s["numbers"] for s in made["statements"]]
    assert numbers[0]["biased"] <= numbers[0]["scaled"] < numbers[0]["wait"] == 20
    assert numbers[1]["skew"] >= 5
    assert abs(numbers[1]["iid"]) <= 2
    assert all(abs(miss) <= 1 for miss in numbers[2].values())
    assert made["synthetic"] is True
    assert {"full", "biased", "scaled", "bernoulli", "fedau", "wait", "random", "carbon"} == set(made["table"]["skew"])
    lines = ET.parse(tmp_path / "s.svg").getroot().findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 16


def test_a_statement_can_fail():
    """Without skew there is no bias to find, and the command says so."""
    made = json.loads(schedules("--quick", "--skew", 0, "--peers", 8, "--rounds", 20, "--json").stdout)
    assert made["statements"][1]["reproduced"] is False


def test_a_trace_and_its_window(tmp_path):
    sun = tmp_path / "sun.csv"
    sun.write_text("seconds,watts\n0,0\n3600,10\n7200,0\n10800,0\n")
    done = schedules("--check-profile", sun, "--cost", 36000, "--max-watts", 40, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "schema": 1,
        "profile": "sun.csv",
        "synthetic": False,
        "rounds": 4,
        "joules": 36000,
        "window": 4,
        "rate": "1/4",
        "settings": "joules:0:1000000:36000:measured:0,36000,0,0",
    }


def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path):
    gap = tmp_path / "gap.csv"
    gap.write_text("seconds,watts\n0,0\n3600,10\n10800,0\n")
    for asked in (["--check-profile", gap], ["--check-profile", tmp_path / "none.csv"], ["--peers", 2]):
        done = schedules(*asked)
        assert done.returncode == 2
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
    assert "has a gap: line 4" in schedules("--check-profile", gap).stderr
