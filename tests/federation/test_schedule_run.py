"""Five real peers, one on an invented solar panel: it rests, it comes once with its scale, and the audit knows why.

Five, not four: of four registered peers a masked round needs all, so none could rest.
"""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from launched import PATIENT, command, toml

from peerage.audit import terms
from peerage.audit.run import audit
from peerage.config_toml import load_federation
from peerage.schedule import turns_of

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


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("solar")
    flags = ["--schedule", "windows", "--energy", "peer-05=solar:4:30", "--out", "out", "--json"]
    done = command("run", *flags, toml(folder / "f.toml", SETTINGS), folder=folder, seconds=400)
    assert done.returncode == 0, done.stderr
    return folder / "out"


def journal(run: Path, peer: str, kind: str) -> list[int]:
    lines = (run / "peers" / peer / "journal.jsonl").read_text().splitlines()
    return [entry["round"] for entry in map(json.loads, lines) if entry["kind"] == kind]


def test_the_solar_peer_comes_in_its_drawn_round_alone(run: Path) -> None:
    assert journal(run, "peer-05", "locked") == [5]
    assert len(journal(run, "peer-05", "trained")) == 1  # and it saves the training of the others
    assert journal(run, "peer-01", "locked") == [1, 2, 3, 4, 5, 6]


def test_anybody_finds_the_same_turns_in_the_settings(run: Path) -> None:
    federation = load_federation(run / "federation.toml")
    accounts = json.loads((run / "summary.json").read_text())["accounts"]
    registered = frozenset(bytes.fromhex(address[2:]) for address in accounts.values())
    solar = bytes.fromhex(accounts["peer-05"][2:])
    table = turns_of(federation, registered)
    assert table is not None
    assert [(t, scales[solar]) for t, scales in enumerate(table, 1) if solar in scales] == [(5, Fraction(4))]


def test_the_solar_peer_stands_beside_the_steady_ones_with_its_weight(run: Path) -> None:
    """One turn of six with scale 4 beside four peers' six: 4 of 28 of the weight."""
    found = json.loads((run / "summary.json").read_text())["groups"]
    solar, steady = found["groups"]
    assert (found["by"], solar["name"], steady["name"]) == ("energy", "solar", "steady")
    assert (solar["peers"], solar["taken"], solar["turns"], solar["weight"]) == (
        ["peer-05"],
        1,
        6,
        pytest.approx(1 / 7),
    )
    assert (steady["taken"], steady["turns"]) == (24, 24)
    assert all(0 < group["right"] <= group["rows"] for group in found["groups"])
    assert "Groups of peers" in (run / "report.html").read_text()


def test_who_rests_is_listed_as_resting_and_nobody_as_missing(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    assert summary["missing"] == []
    assert [(one["peer"], one["round"]) for one in summary["resting"]] == [("peer-05", n) for n in (1, 2, 3, 4, 6)]
    assert [(one["profile"], one["synthetic"]) for one in summary["schedule"]["profiles"]] == [("solar:4:30", True)]
    page = (run / "report.html").read_text()
    assert "Nobody: every peer that was due" in page
    assert "Rounds in which a peer rested" in page
    assert "synthetic: made up" in page


def test_the_audit_names_a_rest_that_the_summary_calls_missing(run: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(run, copied)
    told = json.loads((run / "summary.json").read_text())
    told["missing"], told["resting"] = told["resting"], []
    (copied / "summary.json").write_text(json.dumps(told, indent=2) + "\n")
    said = [finding.sentence for finding in audit(copied).findings]
    assert any("says missing" in one for one in said)
    assert any("says resting" in one for one in said)


def test_the_audit_holds_and_names_a_peer_out_of_turn(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not audit(run).findings
    turns = terms.turns_of

    def a_round_later(*given: Any) -> Any:
        table = turns(*given)
        assert table is not None
        return (table[-1], *table[:-1])

    monkeypatch.setattr(terms, "turns_of", a_round_later)
    assert "out-of-turn" in {finding.code for finding in audit(run).findings}
