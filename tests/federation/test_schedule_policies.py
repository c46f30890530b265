"""A short run of real peers under each schedule that needs more than turns: FedAU on a trace, wait for all, carbon.

Five peers: of four a masked round needs all, so none could rest. `test_schedule_run` has windows and the report.
"""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from launched import PATIENT, command, sentence_of, toml

from peerage.audit.run import audit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

SETTINGS: dict[str, Any] = {
    "peers": 5,
    "rounds": 6,
    "seed": 1,
    "timing": PATIENT,
    "ledger": {"engine": "embedded"},
    "model": {"hidden": 8},
}


def played(folder: Path, *flags: str, energy: str = "", **settings: Any) -> tuple[Path, str]:
    """The run directory, and what the command said."""
    file = toml(folder / "f.toml", SETTINGS | settings)
    with file.open("a") as more:
        more.write(energy)
    done = command("run", *flags, "--out", "out", "f.toml", folder=folder, seconds=400)
    assert done.returncode == 0, done.stderr
    assert "Audit: PASS" in done.stdout
    return folder / "out", done.stdout


def summary_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "summary.json").read_text())


def locked(run: Path, peer: str) -> list[tuple[int, str]]:
    """(round, declared scale) of each session that it joined."""
    lines = (run / "peers" / peer / "journal.jsonl").read_text().splitlines()
    return [(entry["round"], entry["scale"]) for entry in map(json.loads, lines) if entry["kind"] == "locked"]


def test_fedau_on_a_measured_trace(tmp_path: Path) -> None:
    """90 J come at the end of every third hour, a round costs 90: rounds 3 and 6, the second with scale 3."""
    hours = "".join(f"{3600 * k},{0.025 if k % 3 == 2 else 0}\n" for k in range(6))
    (tmp_path / "sun.csv").write_text("seconds,watts\n" + hours)
    run, said = played(tmp_path, "--schedule", "fedau", "--energy", "peer-05=trace:sun.csv:3600:90:200:1")
    assert locked(run, "peer-05") == [(3, "1"), (6, "3")]
    assert locked(run, "peer-01") == [(n, "1") for n in range(1, 7)]
    assert "SYNTHETIC" not in said
    assert "Resting by the schedule (fedau): peer-05 in rounds 1-2, 4-5." in said
    assert "Nobody was missing from any round." in said
    assert "round 1 of 6 closed" in said
    assert ", resting: peer-05" in said
    told = summary_of(run)
    assert told["missing"] == []
    (profile,) = told["schedule"]["profiles"]
    assert (profile["profile"], profile["synthetic"]) == ("joules:0:200:90:measured: 6 rounds", False)
    assert "joules:0:200:90:measured:0,0,90,0,0,90" in (run / "federation.toml").read_text()  # nobody needs the file
    assert profile["cost_j"] == 90
    page = (run / "report.html").read_text()
    assert "2 rounds of 90 J: 180 J (assumed)" in page
    used = re.search(r"<td[^>]*>([0-9.]+) J, ([0-9.]+) to ([0-9.]+) J \(([a-z_]+)\)</td>", page)
    assert used is not None
    mid, low, high = (float(used[k]) for k in (1, 2, 3))
    recorded = 3600 * told["emissions"]["by_peer"][told["accounts"]["peer-05"]]
    assert low <= mid <= high
    assert mid == pytest.approx(recorded, rel=0.01)  # three digits of what the peer signed
    (tmp_path / "sun.csv").unlink()
    _scales_are_held_against_the_settings(run, tmp_path)


def _scales_are_held_against_the_settings(run: Path, folder: Path) -> None:
    """A journal that declares another scale is a finding: its chain is broken, and the scale is not due."""
    copied = folder / "copy"
    shutil.copytree(run, copied)
    journal = copied / "peers" / "peer-05" / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"scale":"3"', '"scale":"30"'))
    codes = {finding.code for finding in audit(copied).findings}
    assert {"journal-chain", "scale"} <= codes


def test_wait_for_all_takes_everybody_or_nobody(tmp_path: Path) -> None:
    flags = ["--energy", "peer-04=battery:10:10:5:5:2", "--energy", "peer-05=every:3"]
    run, said = played(tmp_path, "--schedule", "wait-for-all", *flags, rounds=3)
    told = summary_of(run)
    assert (told["missing"], told["resting"]) == ([], [])
    assert told["schedule"]["slots"] == [3, 6, 9]
    assert "The 3 rounds that all could pay fell in slots 3, 6, 9 of energy." in said
    assert "SYNTHETIC: the energy of peer-04 (battery:10:10:5:5:2) is made up, not measured." in said
    assert locked(run, "peer-05") == [(1, "1"), (2, "1"), (3, "1")]


def test_a_carbon_budget_spares_the_dirty_rounds(tmp_path: Path) -> None:
    grids = dict.fromkeys((1, 2, 3, 4), "grid:measured:50") | {5: "grid:synthetic:900,100,900,100"}
    energy = "".join(f'[[energy]]\npeer = "peer-0{k}"\nprofile = "{grid}"\n' for k, grid in grids.items())
    schedule = {"policy": "carbon-budget", "percent": 60, "final": 1}
    run, said = played(tmp_path, energy=energy, rounds=4, schedule=schedule)
    assert locked(run, "peer-05") == [(2, "3"), (4, "1")]  # the clean round of three early ones, and the last
    assert "Resting by the schedule (carbon-budget): peer-05 in rounds 1, 3." in said
    assert [one["synthetic"] for one in summary_of(run)["schedule"]["profiles"]] == [False] * 4 + [True]


def test_a_trace_with_a_gap_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "sun.csv").write_text("seconds,watts\n0,1\n3600,1\n10800,1\n")
    flags = ["--peers", "5", "--schedule", "best-effort", "--energy", "peer-05=trace:sun.csv:3600:90:200:1"]
    said = sentence_of(command("run", *flags, folder=tmp_path))
    assert said.startswith("sun.csv: the trace has a gap: line 4 comes 7200 s after the one before")
