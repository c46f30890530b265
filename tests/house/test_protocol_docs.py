"""docs/round.md and docs/threats.md say what the code does: their tables are computed again, their links followed."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cohort import Cohort
from peerage.config_checks import check_federation
from peerage.config_toml import federation_of
from peerage_crypto.opening import Openings, Pledge
from peerage_crypto.pair_audit import Drawn, Late, Spoken
from peerage_crypto.secagg_collector import Step
from peerage_crypto.secagg_member import Member, Stage
from peerage_crypto.session import MANIFEST_FAULTS, Gathered, SessionMessage
from peerage_crypto.sketch_terms import Sketching, screened_bytes
from peerage_crypto.statements import BucketSum, Signed
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
    screened(5)
    for kind in ("Seeded", "Screened", "Cleared"):
        screened(5, cheat=lambda s, to, m, kind=kind: spoilt(m) if type(m).__name__ == kind else m)

    assert seen == told


def spoilt(message):
    field = {"RosterMessage": "joins", "Frozen": "deliveries", "Survivors": "manifests", "Certificate": "votes"}
    field |= {"Seeded": "lates", "Screened": "sketches", "Cleared": "votes"}
    name = field[type(message).__name__]
    return msgspec.structs.replace(message, **{name: getattr(message, name)[1:3]})


def screened(count, **how):
    """A session with eight sketches of short vectors."""
    ones = [np.full(7, i + 1, np.uint32) for i in range(count)]
    return Cohort(count, sketches=Sketching(8, (100, 1), 1000), vectors=ones, **how).run()


def test_messages_have_the_sizes_of_the_table():
    rows = {row[0]: row[2:] for row in table(ROUND, "Messages and sizes")}
    for column, n in enumerate((8, 32)):
        told = Cohort(n, audited=True).run()
        largest = {}
        g = next(iter(told.vectors.values())) * 0 + 1
        openings = [told.openings(a, g) for a in told.addresses[:3]]
        pledges = [Pledge(o.sid, o.signed) for o in openings]
        gathered = Gathered(bytes(32), Signed(BucketSum(bytes(32), 1, bytes(32), bytes(32), bytes(32)), bytes(65)))
        one = told.members[told.addresses[0]]
        audit = [
            Spoken(bytes(32), bytes(32)),
            Late(bytes(32), one.late, one.late_shares),
            Drawn(bytes(32), told.lates()),
            told.shown(one.me),
        ]
        for message in [*(m for _, _, m in [*told.log, *screened(n).log]), *openings, *pledges, *audit, gathered]:
            size = len(msgspec.msgpack.encode(message))
            largest[type(message).__name__] = max(size, largest.get(type(message).__name__, 0))

        for name, measured in largest.items():
            assert int(rows[name][column]) == pytest.approx(measured, rel=0.02), name
    assert largest["Screened"] <= screened_bytes(n, 8)
    kinds = {kind.__name__ for kind in SessionMessage.__args__} | {
        Openings.__name__,
        Pledge.__name__,
        "Spoken",
        "Late",
        "Drawn",
        "Shown",
    }
    assert set(rows) == kinds


def test_the_table_of_thresholds_is_computed_from_the_code():
    rows = {row[0].split(",")[0]: [int(cell) for cell in row[2:]] for row in table(ROUND, "How many peers")}
    limits = [thresholds(n, n) for n in (3, 4, 5, 8, 12, 16, 24, 32, 48, 100)]

    assert rows == {
        "c": [x.colluders for x in limits],
        "K_min": [x.smallest_roster for x in limits],
        "T": [x.quorum for x in limits],
        "D": [x.losses for x in limits],
        "k": [x.degree for x in limits],
        "t": [x.shares for x in limits],
        "smallest honest sum": [x.smallest_honest_sum for x in limits],
        "pledges that open a gate": [opening_quorum(x.roster, x.colluders) for x in limits],
    }


def test_the_page_names_the_unit_of_scores():
    assert f"2^({EXPONENT_RANGE} - e)" in ROUND
    assert MANIFEST_FAULTS


# -- threats -----------------------------------------------------------------------------------------------------------

TEST = re.compile(r"`((?:tests|contracts/test)/[\w/]+\.(?:py|t\.sol)::(?:test|testFuzz|invariant)_\w+)`")


def part(heading):
    """A section with its subsections."""
    return THREATS.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def functions_of(path):
    if path.endswith(".sol"):
        return set(re.findall(r"function (\w+)\(", (ROOT / path).read_text()))
    return {node.name for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.FunctionDef)}


def test_each_claim_names_one_test():
    claims = [line for line in part("What holds").splitlines() if line.startswith("- ")]

    assert len(claims) > 100
    assert [line for line in claims if len(TEST.findall(line)) != 1] == []
    assert [line for line in claims if claims.count(line) > 1] == []


@pytest.mark.parametrize("link", sorted(set(TEST.findall(THREATS))))
def test_the_test_behind_a_claim_exists(link):
    path, _, name = link.partition("::")

    assert name in functions_of(path)


def test_nothing_on_the_page_looks_like_a_test_and_is_none():
    assert set(re.findall(r"test_\w+", THREATS)) == set(
        re.findall(r"test_\w+", " ".join(TEST.findall(THREATS) + SHOWN))
    )


def lies():
    """The functions of examples/liars.py that a cast can name, less the tours, which play several of them."""
    tree = ast.parse((ROOT / "examples" / "liars.py").read_text())
    takes_an_effect = {"initiator", "member", "edits"}
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and ([a.arg for a in node.args.args] == ["stage", "effect"] or takes_an_effect & decorators(node))
    }


def decorators(function):
    return {n.id for d in function.decorator_list for n in ast.walk(d) if isinstance(n, ast.Name)}


def test_every_lie_of_the_examples_has_its_row_with_both_its_tests():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in part("Lies of an initiator, one by one").splitlines()
        if line.startswith("| ") and not line.startswith("| attack")
    ]

    assert {row[1].strip("`") for row in rows} == lies()
    assert len(rows) == len(lies()) > 20
    for _, lie, simulated, outcome, real in rows:
        assert TEST.fullmatch(simulated), lie
        assert not simulated.startswith("`tests/federation/"), lie
        assert TEST.fullmatch(real)[1].startswith("tests/federation/"), lie
        assert outcome, lie


SHOWN = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", THREATS, re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("command", [c for c in SHOWN if c.startswith("scripts/test ")])
def test_a_command_on_the_page_selects_tests(command):
    _, path, *words = shlex.split(command)
    assert (ROOT / path).is_file()
    if words:
        option, word = words
        assert option == "-k"
        assert [name for name in functions_of(path) if word in name]


def test_the_other_commands_on_the_page_exist():
    others = [shlex.split(command) for command in SHOWN if not command.startswith("scripts/test ")]
    assert {words[0] for words in others} == {"scripts/planted", "scripts/attack_lab", "scripts/fuzz", "peerage"}
    for program, *words in others:
        if program == "peerage":
            assert words[0] == "run"
            assert (ROOT / words[1]).is_file()
            continue
        told = subprocess.run(
            [sys.executable, ROOT / program, "--help"], check=False, capture_output=True, text=True, timeout=60
        )
        assert told.returncode == 0, told.stderr
        assert [word for word in words if word.startswith("--") and word not in told.stdout] == []


def test_the_federation_with_a_lie_that_the_page_shows_is_legal():
    (block,) = re.findall(r"```toml\n(.*?)```", THREATS, re.DOTALL)
    federation = federation_of(tomllib.loads(block), where="docs/threats.md")
    check_federation(federation)
    file, _, lie = federation.cast[0].behaviour.partition(":")

    assert (ROOT / file).is_file()
    assert lie in lies()


@pytest.mark.parametrize("page", ["round.md", "threats.md"])
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([\w./-]+\.md)\)", (ROOT / "docs" / page).read_text()):
        assert (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("page", [ROUND, THREATS], ids=["round", "threats"])
def test_no_verdicts_are_printed(page):
    assert not re.search(r"\b(is|are|stays?|fully|completely) (private|green|secure)\b", page)
