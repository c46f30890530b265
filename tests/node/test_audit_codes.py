"""Every code that an audit can find has its line in docs/audit.md, and no other has one."""

from __future__ import annotations

import re
from pathlib import Path

from peerage.audit.codes import MEANINGS
from peerage_crypto.session import MANIFEST_FAULTS
from peerage_crypto.sketch_judge import LIES

ROOT = Path(__file__).parents[2]
FOUND = re.compile(r'(?:\bfind\(|Fault\(|EmissionFinding\()\s*"([a-z-]+)"')
YIELDED = re.compile(r'yield "(emission-[a-z]+)"|^\s+"(emission-[a-z]+)",$', re.MULTILINE)
SKETCHED = re.compile(r'\(\s*"([a-z]+-[a-z]+)", (?:m|initiator)\b')
SOURCES = (
    *(ROOT / "ledger/peerage_ledger/audit").glob("*.py"),
    *(ROOT / "node/peerage/audit").glob("*.py"),
    ROOT / "ledger/peerage_ledger/archive/compare.py",
    ROOT / "ledger/peerage_ledger/judgement.py",
    ROOT / "ledger/peerage_ledger/plain_judgement.py",
    ROOT / "crypto/peerage_crypto/secagg_judge.py",
    ROOT / "crypto/peerage_crypto/leaf_check.py",
    ROOT / "node/peerage/emissions/checks.py",
)


def codes() -> set[str]:
    found = {code for path in SOURCES for code in FOUND.findall(path.read_text())}
    for name in ("checks", "plausible"):
        text = (ROOT / f"node/peerage/emissions/{name}.py").read_text()
        found |= {a or b for a, b in YIELDED.findall(text)}
    found |= set(SKETCHED.findall((ROOT / "crypto/peerage_crypto/sketch_judge.py").read_text()))
    return found | MANIFEST_FAULTS.keys() | {code for code in LIES if code == "sketch-vector"}


def test_every_code_has_a_meaning_and_every_meaning_a_code() -> None:
    assert codes() - MEANINGS.keys() == set()
    assert MEANINGS.keys() - codes() == set()


def test_the_page_has_exactly_these() -> None:
    page = (ROOT / "docs/audit.md").read_text().partition("## What each finding means")[2]
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", page, re.MULTILINE))
    assert rows == MEANINGS
