"""docs/provenance.md is true: its commands run in their order, its fields and exit codes are the code's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from peerage.provenance.making import DECIDING, NUMERICAL
from peerage_ledger.provenance.intoto import PREDICATE_TYPE
from peerage_ledger.provenance.picture import ROWS

PAGE = (Path(__file__).parents[2] / "docs" / "provenance.md").read_text()
BLOCKS = re.findall(r"<!-- test: run -->\n```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.federation
def test_the_commands_of_the_page_run_in_their_order(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    assert len(BLOCKS) == PAGE.count("```sh") == 3
    said = ""
    for block in BLOCKS:
        done = subprocess.run(
            ["sh", "-eu", "-c", block],
            cwd=tmp_path,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        said += done.stdout
    assert "VERIFIED:" in said
    assert len(list((tmp_path / "signed").glob("*.dsse.json"))) == 4
    assert (tmp_path / "models.svg").is_file()


def test_every_option_of_the_command_is_on_the_page() -> None:
    from peerage.cli.provenance import provenance

    options = {name.replace("_", "-") for name in provenance.__annotations__} - {"run-dir", "return"}
    assert {name for name in options if f"--{name}" not in PAGE} == set()


def test_names_and_numbers_of_the_page_are_the_codes() -> None:
    assert PREDICATE_TYPE in PAGE
    assert f"columns of up to {ROWS}" in PAGE
    assert all(package in PAGE for package in NUMERICAL)
    assert len(DECIDING) == len(set(DECIDING))
