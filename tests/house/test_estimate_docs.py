"""docs/estimate.md: its commands run, and the tables under them are what they print."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from peerage.cli.main import app
from peerage.estimate.asking import DATA
from peerage.estimate.centralised import PUES
from peerage.estimate.devices import LISTED
from peerage.estimate.grids import PRESETS
from peerage.estimate.presets import PRESETS as NETWORKS
from peerage.estimate.topology import TOPOLOGIES

PAGE = (Path(__file__).parents[2] / "docs" / "estimate.md").read_text()
BLOCK = re.compile(r"```sh\n(peerage estimate [^\n]*)\n```\n(?:\n((?:    [^\n]+\n)+))?")
COMMANDS = [(command, table) for command, table in BLOCK.findall(PAGE) if "RUN" not in command]


@pytest.mark.parametrize(("command", "table"), COMMANDS)
def test_a_command_on_the_page_prints_what_stands_under_it(command, table):
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    printed = done.stdout.splitlines()
    assert [line for line in table.splitlines() if line.strip() not in printed] == []


def test_the_page_shows_the_chapters_example_and_the_inverse():
    assert len(COMMANDS) >= 4
    assert sum("2.51" in table for _, table in COMMANDS) == 1
    assert sum("J per local epoch" in table for _, table in COMMANDS) == 1


def test_every_name_that_can_be_typed_is_on_the_page():
    names = [*TOPOLOGIES, *NETWORKS, *PRESETS, *PUES, *DATA, *(one.name for one in LISTED if one.name != "v100-pcie")]
    assert [name for name in names if f"`{name}`" not in PAGE and f" {name}`" not in PAGE] == []


def test_the_figures_of_networks_on_the_page_are_those_that_are_used():
    rows = re.findall(r"^\| (`[a-z`, 0-9-]+`) \| ([0-9., ]+) \|", PAGE, re.MULTILINE)
    told = {
        name.strip("` "): float(value)
        for names, values in rows
        for name, value in zip(names.split(","), values.split(","), strict=True)
    }
    assert told == {name: one.mid for name, one in NETWORKS.items()}
