"""Two real runs on badly skewed labels: a generator that everybody trains, then a classifier that draws from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from launched import PATIENT, RunFolder, command, toml

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def test_a_generator_is_trained_as_any_model_and_a_second_run_draws_from_it(tmp_path: Path) -> None:
    common = {"peers": 4, "rounds": 4, "data": {"partition": "dirichlet:0.1"}, "timing": PATIENT}
    drawing = {"augment": "generated", "generator": "first"}
    first = toml(tmp_path / "a.toml", common | {"model": {"kind": "generator"}})
    second = toml(tmp_path / "b.toml", common | {"training": drawing})
    early = command("run", second, "--ledger", "embedded", "--out", "none", folder=tmp_path, seconds=60)
    assert early.returncode == 2
    assert "training.generator names a safetensors file, or the directory of a run that ended" in early.stderr
    told = {}
    for out, file in (("first", first), ("second", second)):
        options = ("--ledger", "embedded", "--country", "DEU", "--out", out)
        done = command("run", file, *options, folder=tmp_path, seconds=400)
        assert done.returncode == 0, done.stdout + done.stderr
        told[out] = RunFolder(tmp_path / out).summary
        assert told[out]["audit"] == {"ok": True, "findings": 0}
    assert told["first"]["accuracy"]["aggregate"] > 0.9  # classes do not pull at each other
    assert "conditional generator" in (tmp_path / "first" / "MODEL_CARD.md").read_text()
