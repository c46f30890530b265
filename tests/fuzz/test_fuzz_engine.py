"""The coverage-guided engine itself: it runs, it repeats itself, it finds what is planted, it says what it needs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HAS_ENGINE = importlib.util.find_spec("atheris") is not None
needs_engine = pytest.mark.skipif(not HAS_ENGINE, reason="atheris is not installed here: scripts/fuzz says how")


def fuzz(*arguments, **environment):
    command = [sys.executable, str(ROOT / "scripts" / "fuzz"), *map(str, arguments)]
    told = {**os.environ, "PYTHONHASHSEED": "0", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=told, cwd=ROOT, timeout=280, check=False)


def table(run):
    """Executions, edges and features by target."""
    lines = [line.split() for line in run.stdout.splitlines()]
    return {words[0]: words[1:4] for words in lines if len(words) == 7 and "." in words[0]}


@needs_engine
def test_a_fixed_budget_finds_nothing_and_repeats_itself(tmp_path):
    runs = [fuzz("wire.b", "wire.endpoint", "--runs", 500, "--corpus", tmp_path / str(i)) for i in range(2)]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stdout + runs[0].stderr
    assert table(runs[0]) == table(runs[1])
    assert set(table(runs[0])) == {"wire.bulk", "wire.bulk-spoilt", "wire.endpoint"}
    assert "3 targets, 1500 executions, 0 findings" in runs[0].stdout


@needs_engine
def test_a_planted_fault_is_found_and_its_input_shows_it_again(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import ipaddress\nreal = ipaddress.ip_address\n"
        "def wrong(text):\n    if ':' in str(text):\n        raise KeyError(text)\n    return real(text)\n"
        "ipaddress.ip_address = wrong\n"
    )
    run = fuzz("wire.endpoint", "--runs", 20000, PYTHONPATH=str(tmp_path))
    assert run.returncode == 1, run.stdout + run.stderr
    assert "FOUND KeyError" in run.stdout
    command = run.stdout[run.stdout.index("scripts/fuzz wire.endpoint") :].splitlines()[0].split()
    assert fuzz(*command[1:]).returncode == 0  # without the fault
    assert "KeyError" in fuzz(*command[1:], PYTHONPATH=str(tmp_path)).stderr


@needs_engine
def test_a_target_that_does_not_exist_is_refused():
    run = fuzz("nothing.here")
    assert run.returncode == 2
    assert "no target begins with 'nothing.here'" in run.stderr


@needs_engine
def test_two_targets_run_at_once_never_see_each_other_s_files(tmp_path):
    """Both write a file and map it into memory: one that the other cut short would end the process."""
    run = fuzz("artefact.safetensors", "--runs", "300", "--jobs", "2", "--corpus", str(tmp_path))
    assert "2 targets, 600 executions, 0 findings" in run.stdout, run.stdout + run.stderr


def test_an_input_wants_the_whole_name_of_one_target(tmp_path):
    (tmp_path / "input").write_bytes(b"")
    run = fuzz("artefact.safetensors-", "--input", str(tmp_path / "input"))
    assert run.returncode == 2
    assert run.stderr == "scripts/fuzz: --input takes the whole name of one target; --list names them\n"


def test_without_the_engine_one_sentence_says_what_it_takes(tmp_path):
    (tmp_path / "atheris.py").write_text("raise ImportError\n")
    run = fuzz("wire", PYTHONPATH=str(tmp_path))
    assert run.returncode == 3
    assert "needs atheris" in run.stderr
    assert run.stderr.count("\n") == 1
