"""`page`: puts measured documents into docs/performance.md, each between its own marks. Prose is left alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.result import say

if TYPE_CHECKING:
    import argparse

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
MARKS = re.compile(r"(<!-- figures: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


class Written:
    """What was put where."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def to_json(self) -> str:
        return json.dumps({"schema": 1, "page": PAGE.name, "figures": self.names})


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("page", help="write measured figures into docs/performance.md")
    parser.add_argument("figures", type=Path, help="the folder that `all --out` filled")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.set_defaults(measure=write)


def write(args: argparse.Namespace) -> Written:
    documents = {path.stem: json.loads(path.read_text()) for path in sorted(args.figures.glob("*.json"))}
    done: list[str] = []

    def figures(match: re.Match[str]) -> str:
        name = match["name"]
        if name == "machine" and documents:
            text = machine_line(next(iter(documents.values()))["machine"])
        elif name in documents:
            text = table(documents[name])
        else:
            say(f"page: no figures for {name}, left as it was")
            return match[0]
        done.append(name)
        return f"{match[1]}{text}\n{match[3]}"

    args.page.write_text(MARKS.sub(figures, args.page.read_text()))
    return Written(done)


def machine_line(machine: dict[str, Any]) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    system = f"{machine['architecture']}, {machine['system']}"
    return f"{machine['cpus']} virtual CPUs ({system}), Python {machine['python']}; {libraries}."


def table(document: dict[str, Any]) -> str:
    """Aims first, with hit or miss; then every ratio; the load says how busy the machine was."""
    rows = ["| measured | | aim | |", "|---|---|---|---|"]
    for aim in document["aims"]:
        rows.append(f"| {aim['what']} | {aim['value']:.3g} | {aim['aim']} | {'met' if aim['met'] else '**missed**'} |")
    shown = {f"{aim['value']:.6g}" for aim in document["aims"]}
    others = {name: ratio for name, ratio in document["ratios"].items() if f"{ratio:.6g}" not in shown}
    rows += [f"| {name} | {ratio:.3g} | | |" for name, ratio in others.items()]
    return "\n".join([*rows, "", f"(load of the machine at the end: {document['machine']['load_at_end']:.1f})"])
