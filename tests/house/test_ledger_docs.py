"""docs/ledger.md: what promises something names a test that is there, and its figures are those that were measured."""

import ast
import json
import re
from pathlib import Path

import pytest

from peerage_ledger.fees import GWEI, MOST_FEE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ledger.md").read_text()
GAS = {name: int(gas) for name, gas in json.loads((ROOT / "contracts" / "snapshots" / "Gas.json").read_text()).items()}
TEST = re.compile(r"`((?:tests|contracts/test)/[\w/]+\.(?:py|t\.sol)::(?:test|testFuzz|invariant)_\w+)`")
WRITES = "Who writes what, and when"


def spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def rows(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, its header left out."""
    section = re.split(r"^## ", PAGE.partition(f"\n## {heading}\n")[2], flags=re.MULTILINE)[0]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert table
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]


def functions_of(path: str) -> set[str]:
    text = (ROOT / path).read_text()
    if path.endswith(".sol"):
        return set(re.findall(r"function (\w+)\(", text))
    return {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


def test_each_line_that_promises_names_one_test() -> None:
    promises = [line for line in PAGE.splitlines() if line.startswith("- ")]
    assert len(promises) > 60
    assert [line for line in promises if len(TEST.findall(line)) != 1] == []
    assert [line for line in promises if promises.count(line) > 1] == []


def test_each_transaction_has_its_test_or_its_section() -> None:
    assert [row for row in rows(WRITES) if not (TEST.search(row[3]) or row[3].startswith("[below](#"))] == []


@pytest.mark.parametrize("link", sorted(set(TEST.findall(PAGE))))
def test_the_test_behind_a_promise_exists(link: str) -> None:
    path, _, name = link.partition("::")
    assert name in functions_of(path)


def test_nothing_on_the_page_looks_like_a_test_and_is_none() -> None:
    looks = set(re.findall(r"\b(?:test|testFuzz|invariant)_\w+", PAGE))
    known = {name for link in TEST.findall(PAGE) for name in re.findall(r"(?:test|testFuzz|invariant)_\w+", link)}
    assert looks - known == set()


def test_every_contract_has_its_row() -> None:
    pages = {path.stem for path in (ROOT / "contracts" / "docs").glob("*.md")}
    assert pages == set(re.findall(r"\(\.\./contracts/docs/(\w+)\.md\)", PAGE.partition("\n## ")[0]))


def test_the_gas_table_is_the_snapshot() -> None:
    told = {row[0].strip("*"): row[1:] for row in rows("Gas")}
    ways = {f"`batch = {n}`": f"n=16, recordRounds of {n}" for n in (2, 4, 8)} | {"`batch = 1`": "n=16, recordRound"}
    ways["all peers' signatures checked on chain, one transaction a round"] = (
        "n=16, alternative, all signatures in one transaction"
    )
    ways["a transaction per peer, an event"] = "alternative, a transaction per peer, event"
    ways["a transaction per peer, a stored hash"] = "alternative, a transaction per peer, stored"
    for row, way in ways.items():
        gas, floor = GAS[f"{way}: per peer and round"], GAS[f"{way}: per peer and round, floor"]
        assert told[row][0].strip("*") == spaced(gas), row
        assert told[row][1].split(";")[0] == f"floor {spaced(floor)}", row
    claim = GAS["n=16, claimMany"]
    assert f"{spaced(claim)} for sixteen accounts, {spaced(round(claim / 16))} each" in PAGE


def test_the_limit_of_fees_is_the_one_in_force() -> None:
    assert f"`most_fee_gwei` of `node.toml` ({MOST_FEE // GWEI} unless set)" in PAGE


def test_the_quoted_fit_gives_the_quoted_numbers() -> None:
    def blockflow(n: int, rounds: int = 10) -> float:
        return (31_913 * n + 542_045 * rounds + 477_050 * n * rounds) / rounds

    assert [round(blockflow(n) / 1e6, d) for n, d in ((4, 2), (16, 2), (50, 1))] == [2.46, 8.23, 24.6]


def test_money_follows_from_gas_and_the_stated_price() -> None:
    gas = int(next(re.finditer(r"^\| 16 \| [\d ]+ \| ([\d ]+) \|$", PAGE, re.MULTILINE))[1].replace(" ", ""))
    lines = re.findall(r"^\| L[12], ([\d.]+) gwei \| \$([\d.]+) \| \$([\d.]+) \|$", PAGE, re.MULTILINE)
    assert len(lines) == 5
    for gwei, whole, each in lines:
        dollars = gas * float(gwei) * 1e-9 * 3000
        assert float(each) == pytest.approx(dollars, rel=0.02)
        assert float(whole) == pytest.approx(16 * dollars, rel=0.01)


def test_what_disputes_cost_is_the_snapshots() -> None:
    for name in ("RoundArbiter", "Pay"):
        snapshot = json.loads((ROOT / "contracts" / "snapshots" / f"{name}.json").read_text())
        proofs = [int(gas) for gas in snapshot.values()]
        assert f"{spaced(min(proofs))} to {spaced(max(proofs))}" in re.sub(r"\s+", " ", PAGE)
