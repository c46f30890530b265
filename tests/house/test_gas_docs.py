"""The gas table of contracts/docs/RoundLedger.md is what contracts/test/gas/RoundLedger.t.sol measured."""

import json
import re
from pathlib import Path

import pytest

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
PAGE = (CONTRACTS / "docs" / "RoundLedger.md").read_text()
GAS = {name: int(gas) for name, gas in json.loads((CONTRACTS / "snapshots" / "Gas.json").read_text()).items()}
WAYS = ("recordRound", "recordRounds of 2", "recordRounds of 4", "recordRounds of 8")
ALONE = "alternative, all signatures in one transaction"


def spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def told(name: str) -> str:
    """A figure as the page writes it: with the floor under it."""
    return f"{spaced(GAS[name])} ({spaced(GAS[f'{name}, floor'])})"


@pytest.mark.parametrize("peers", [4, 8, 16, 32, 64])
def test_a_row_of_the_table_is_what_was_measured(peers: int) -> None:
    cells = [told(f"n={peers}, {way}: per peer and round") for way in (*WAYS, ALONE)]
    row = f"| {peers} | {' | '.join(cells)} |"
    assert row in PAGE, f"contracts/docs/RoundLedger.md must have the row\n{row}"


@pytest.mark.parametrize("way", ["event", "stored"])
def test_a_transaction_per_peer_is_what_was_measured(way: str) -> None:
    name = f"alternative, a transaction per peer, {way}: per peer and round"
    assert f"{spaced(GAS[name])} (floor {spaced(GAS[f'{name}, floor'])})" in PAGE


def test_one_record_is_what_was_measured_and_the_aim_is_met_from_two_on() -> None:
    flat = re.sub(r"\s+", " ", PAGE)
    assert f"Of a `recordRound` of {spaced(GAS['recordRound'])} (floor {spaced(GAS['recordRound, floor'])})" in flat
    floor = GAS["n=16, recordRound: per peer and round, floor"]
    assert f"the floor alone is {spaced(floor)}" in flat
    assert GAS["n=16, recordRounds of 2: per peer and round"] <= 3000 < floor


def test_nothing_costs_less_than_its_floor() -> None:
    floors = {name: GAS[f"{name}, floor"] for name in GAS if f"{name}, floor" in GAS}
    assert len(floors) > 20
    assert [name for name, floor in floors.items() if GAS[name] < floor] == []


@pytest.mark.parametrize("file", ["RoundArbiter.json", "Pay.json"])
def test_the_page_about_disputes_has_every_measured_call(file: str) -> None:
    page = (CONTRACTS.parent / "docs" / "disputes.md").read_text()
    measured = json.loads((CONTRACTS / "snapshots" / file).read_text())
    front = "F6 " if file == "Pay.json" else ""
    for name, gas in measured.items():
        assert f"| {front}{name} | {spaced(int(gas))} |" in page, f"docs/disputes.md: {front}{name} is {gas}"
