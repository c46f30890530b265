"""The README is true: what it marks as runnable is run, in its order, in an empty folder; its links and names exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MARKED = re.compile(
    r"<!-- test: (file (?P<file>\S+)|run(, exit (?P<code>\d+))?) -->\n```\w+\n(?P<body>.*?)```", re.DOTALL
)


@pytest.mark.federation
def test_a_table_and_a_model_of_your_own_from_the_readme_alone(tmp_path):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    marked = list(MARKED.finditer(README))
    assert len(marked) == README.count("<!-- test:") >= 5
    for block in marked:
        if block["file"]:
            (tmp_path / block["file"]).write_text(block["body"])
            continue
        done = subprocess.run(
            ["sh", "-eu", "-c", block["body"]],
            cwd=tmp_path,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == int(block["code"] or 0), f"{block['body']}\n{done.stdout}\n{done.stderr}"
    for name in ("model.safetensors", "MODEL_CARD.md", "summary.json", "federation.toml"):
        assert (tmp_path / "runs" / "beans" / name).is_file(), name


def links(path):
    return re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())


COMMAND = (
    r"peerage (run|node|devnet|deploy|audit|claim|status|prune|verify|provenance|watch|dispute|report|compare|contrast"
    r"|advise|estimate|(?:keys|market|invite|stake) [a-z]+)\b"
)
PAGES = ["README.md", "CHANGELOG.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    path = ROOT / page
    gone = [link for link in links(path) if not (path.parent / link).exists()]
    assert gone == []


@pytest.mark.parametrize("page", PAGES)
def test_scripts_and_examples_that_a_page_names_exist(page):
    named = set(re.findall(r"\b((?:scripts|examples)/[\w.]+\w)", (ROOT / page).read_text()))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_tree_is_the_tree():
    tree = README.split("## The tree")[1].split("```")[1]
    named = [line.split()[0] for line in tree.strip().splitlines()]
    assert all((ROOT / name).is_dir() for name in named)
    packages = {
        str(path.relative_to(ROOT)) + "/" for path in ROOT.glob("*/peerage*") if (path / "__init__.py").exists()
    }
    assert packages <= set(named)


def test_the_commands_that_it_shows_exist():
    shown = set(re.findall(COMMAND, README))
    for command in sorted(shown):
        done = subprocess.run(
            [sys.executable, "-m", "peerage", *command.split(), "--help"], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, command
        for line in re.findall(rf"peerage {command}\b((?:[^\n]|\\\n)*)", README):
            for option in re.findall(r"(?<=\s)--[a-z-]+", line.split("#")[0]):
                assert option in done.stdout, f"peerage {command} has no {option}"
