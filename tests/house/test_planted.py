"""Planted faults: each can be planted, and some of them are, every time. `scripts/planted` plants them all."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from planted.solidity_faults import FAULTS as SOLIDITY
from planted_faults import FAULTS, Fault, planted

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = (  # one for each kind of check, seen within a second or two each
    "quorum",
    "distinct voters",
    "U2 in the self key",
    "either share, never both",
    "commitments of shares",
    "the norm bound",
    "s in the lower half",
    "no second session of who broke a rule",
    "one acknowledgement on a record",
    "a quorum of acknowledgements",
    "the cap",
    "lines that follow each other",
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_changes_one_place_of_a_file_and_leaves_python(fault: Fault) -> None:
    changed = planted(fault, (ROOT / fault.file).read_text())
    compile(changed, fault.file, "exec")
    assert fault.old != fault.new
    for test in fault.tests:
        assert (ROOT / test.partition("::")[0]).exists()


@pytest.mark.parametrize("fault", SOLIDITY, ids=lambda fault: fault.name)
def test_a_fault_of_a_contract_changes_one_place_and_some_test_is_to_see_it(fault: Fault) -> None:
    assert planted(fault, (ROOT / fault.file).read_text())
    assert fault.old != fault.new
    file, _, which = fault.tests[0].partition(":")
    tests = re.findall(r"function (test\w+)", (ROOT / "contracts" / "test" / f"{file}.t.sol").read_text())
    assert any(re.search(which, test) for test in tests), f"{file}.t.sol has no test like {which}"


def test_faults_have_names_of_their_own() -> None:
    for faults in (FAULTS, SOLIDITY):
        assert [name for name, count in Counter(f.name for f in faults).items() if count > 1] == []


def test_every_contract_has_faults_and_there_are_as_many_as_the_page_says() -> None:
    (count,) = re.findall(r"plants (\d+) faults of the contracts", (ROOT / "docs" / "threats.md").read_text())
    assert len(SOLIDITY) == int(count)
    contracts = {path.stem for path in (ROOT / "contracts" / "src").glob("*.sol")} - {"PeerageToken"}  # OpenZeppelin's
    assert contracts <= {Path(fault.file).stem for fault in SOLIDITY}


def test_there_are_as_many_as_the_page_says() -> None:
    (least,) = re.findall(r"more than (\d+) faults", (ROOT / "docs" / "threats.md").read_text())
    assert len(FAULTS) > int(least)


def test_a_sample_of_planted_faults_turns_tests_red() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "planted"), *SAMPLE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(SAMPLE)} of {len(SAMPLE)} planted faults turned a test red" in done.stdout
