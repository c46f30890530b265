"""Federations over CSV tables: missing numbers, categories, a donor of validation rows, and a run without one."""

from __future__ import annotations

import csv
import json
import random
from typing import TYPE_CHECKING

import pytest
from launched import PATIENT, RunFolder, command, toml

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def table(path: Path, rows: int, seed: int) -> Path:
    """Two numbers and a colour decide between three diagnoses; a tenth of each cell is missing."""
    draw = random.Random(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "pressure", "colour", "constant", "diagnosis"])
        for _ in range(rows):
            age, pressure, colour = draw.uniform(20, 90), draw.gauss(1200, 150), draw.choice(["red", "green", "blue"])
            score = (age - 55) / 20 + (pressure - 1200) / 150 + {"red": 1.5, "green": 0, "blue": -1.5}[colour]
            diagnosis = "healthy" if score < -1 else "ill" if score > 1 else "unclear"
            cells = [f"{age:.1f}", f"{pressure:.0f}", colour, "7"]
            writer.writerow([*("" if draw.random() < 0.1 else cell for cell in cells[:3]), cells[3], diagnosis])
    return path


def finished(tmp_path: Path, *more: str) -> tuple[RunFolder, str]:
    table(tmp_path / "patients.csv", 900, 1)
    file = toml(tmp_path / "f.toml", {"training": {"epochs": 3, "learning_rate": 0.1}, "timing": PATIENT})
    flags = ["--data", "csv:patients.csv", "--label", "diagnosis", "--partition", "dirichlet:1", "--peers", "4"]
    flags += ["--rounds", "3", "--ledger", "embedded", "--country", "DEU", "--out", "r", *more]
    done = command("run", *flags, file, folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    found = RunFolder(tmp_path / "r")
    assert found.summary["audit"] == {"ok": True, "findings": 0}
    return found, done.stdout + done.stderr


def test_a_table_with_holes_trains_on_one_scale_and_pays_by_the_donors_rows(tmp_path: Path) -> None:
    found, said = finished(tmp_path, "--validation-donor", "peer-02")
    told = found.summary
    assert told["accuracy"]["aggregate"] > 0.65  # of three classes, a tenth of the cells missing
    assert told["accuracy"]["pooled"] > 0.65
    assert told["validation"] == "rows donated by peer-02"
    assert "donated by peer-02" in said
    assert told["missing"] == []
    assert int(told["rewards"]["paid"]) == int(told["rewards"]["pool"])
    assert all(int(units) > 0 for units in told["rewards"]["by_peer"].values())

    agreed = [found.journal(f"peer-0{number}", "standardiser") for number in (1, 2, 3, 4)]
    (artefact,) = {line["artefact"] for (line,) in agreed}  # one scale for everybody
    scale = json.loads((found.path / "store" / artefact).read_text())
    assert len(scale["mean"]) == len(scale["spread"]) == 3  # age, pressure, constant; the colour is three columns
    columns = json.loads(toml_value(found.path / "federation.toml", "columns"))
    assert [column["name"] for column in columns["categorical"]] == ["colour"]
    assert columns["classes"] == ["healthy", "ill", "unclear"]


def test_without_validation_rows_nothing_is_scored_or_paid_and_it_says_so(tmp_path: Path) -> None:
    found, said = finished(tmp_path)
    told = found.summary
    assert told["accuracy"]["aggregate"] > 0.65
    assert told["validation"] == ""
    assert (told["rewards"]["paid"], set(told["rewards"]["by_peer"].values()) - {"0"}) == ("0", set())
    assert "nothing was scored" in said.lower() or "no validation rows" in said.lower()


def toml_value(path: Path, key: str) -> str:
    import tomllib

    return tomllib.loads(path.read_text())["data"][key]
