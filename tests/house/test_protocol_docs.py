"""docs/round.md and docs/threats.md say what the code does: their tables are computed again, their links followed."""

import ast
import re
from pathlib import Path

import msgspec
import pytest

from cohort import Cohort
from peerage_crypto.opening import Openings, Pledge
from peerage_crypto.secagg_collector import Step
from peerage_crypto.secagg_member import Member, Stage
from peerage_crypto.session import MANIFEST_FAULTS, SessionMessage
from peerage_crypto.thresholds import opening_quorum, thresholds
from peerage_ledger.rewards import EXPONENT_RANGE

ROOT = Path(__file__).parents[2]
ROUND, THREATS = ((ROOT / "docs" / name).read_text() for name in ("round.md", "threats.md"))


def table(page, heading):
    """The rows of the first table under a heading, header and rule left out."""
    section = re.split(r"^## ", page.partition(f"\n## {heading}\n")[2], flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize(("heading", "states"), [("States of a member", Stage), ("Steps of the collector", Step)])
def test_the_tables_of_states_are_the_enums(heading, states):
    assert [row[0] for row in table(ROUND, heading)] == [state.value for state in states]


def test_members_move_as_their_table_says(monkeypatch):
    told = {row[0]: {s for s in row[3].split(", ") if s} for row in table(ROUND, "States of a member")}
    seen = {state: set() for state in told}

    def watch(member, name, value):
        if name == "stage" and "stage" in member.__dict__ and member.stage is not value:
            seen[member.stage.value].add(value.value)
        object.__setattr__(member, name, value)

    monkeypatch.setattr(Member, "__setattr__", watch)
    Cohort(5).run()
    for kind in ("RosterMessage", "Frozen", "Survivors", "Certificate"):
        Cohort(5, cheat=lambda s, to, m, kind=kind: spoilt(m) if type(m).__name__ == kind else m).run()

    assert seen == told


def spoilt(message):
    field = {"RosterMessage": "joins", "Frozen": "deliveries", "Survivors": "manifests", "Certificate": "votes"}
    name = field[type(message).__name__]
    return msgspec.structs.replace(message, **{name: getattr(message, name)[1:3]})


def test_messages_have_the_sizes_of_the_table():
    rows = {row[0]: row[2:] for row in table(ROUND, "Messages and sizes")}
    for column, n in enumerate((8, 32)):
        told = Cohort(n).run()
        largest = {}
        g = next(iter(told.vectors.values())) * 0 + 1
        openings = [told.openings(a, g) for a in told.addresses[:3]]
        pledges = [Pledge(o.sid, o.signed) for o in openings]
        for message in [*(m for _, _, m in told.log), *openings, *pledges]:
            size = len(msgspec.msgpack.encode(message))
            largest[type(message).__name__] = max(size, largest.get(type(message).__name__, 0))

        for name, measured in largest.items():
            assert int(rows[name][column]) == pytest.approx(measured, rel=0.02), name
    kinds = {kind.__name__ for kind in SessionMessage.__args__} | {Openings.__name__, Pledge.__name__}
    assert set(rows) == kinds


def test_the_table_of_thresholds_is_computed_from_the_code():
    rows = {row[0].split(",")[0]: [int(cell) for cell in row[2:]] for row in table(ROUND, "How many peers")}
    limits = [thresholds(n, n) for n in (3, 4, 5, 8, 12, 16, 24, 32)]

    assert rows == {
        "c": [x.colluders for x in limits],
        "K_min": [x.smallest_roster for x in limits],
        "T": [x.quorum for x in limits],
        "D": [x.losses for x in limits],
        "t": [x.shares for x in limits],
        "smallest honest sum": [x.smallest_honest_sum for x in limits],
        "pledges that open a gate": [opening_quorum(x.roster, x.colluders) for x in limits],
    }


def test_the_page_names_the_unit_of_scores():
    assert f"2^({EXPONENT_RANGE} - e)" in ROUND
    assert MANIFEST_FAULTS


# -- threats -----------------------------------------------------------------------------------------------------------


def claims():
    section = THREATS.partition("\n## What holds\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("- ")]


def test_each_claim_names_a_test():
    assert len(claims()) > 30
    assert [line for line in claims() if "::test_" not in line] == []


@pytest.mark.parametrize("link", sorted(set(re.findall(r"`(tests/[\w/]+\.py::test_\w+)`", THREATS))))
def test_the_test_behind_a_claim_exists(link):
    path, _, name = link.partition("::")
    functions = {node.name for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.FunctionDef)}

    assert name in functions


@pytest.mark.parametrize("page", ["round.md", "threats.md"])
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([\w./-]+\.md)\)", (ROOT / "docs" / page).read_text()):
        assert (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("page", [ROUND, THREATS], ids=["round", "threats"])
def test_no_verdicts_are_printed(page):
    assert not re.search(r"\b(is|are|stays?|fully|completely) (private|green|secure)\b", page)
