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
    """Aims with hit or miss, the other ratios, and below them every number that was measured."""
    aims = document["aims"]
    words = {True: "met", False: "**missed**"}
    rows = ["| measured | | aim | |", "|---|---|---|---|"]
    rows += [f"| {aim['what']} | {number(aim['value'])} | {aim['aim']} | {words[aim['met']]} |" for aim in aims]
    shown = {f"{aim['value']:.6g}" for aim in aims}
    others = {name: ratio for name, ratio in document["ratios"].items() if f"{ratio:.6g}" not in shown}
    rows += [f"| {name} | {number(ratio)} | | |" for name, ratio in others.items()]
    said = [f"{title}: {', '.join(leaves(document[key]))}." for title, key in SIDES.items() if document[key]]
    if document.get("bench") in GROWING:
        said = [line for key in SIDES.values() for line in grids(document[key])]
    busy = f"Load of the machine at the end: {document['machine']['load_at_end']:.1f}."
    return "\n".join([*rows, "", *said, busy])


def grids(measured: dict[str, dict[str, float]]) -> list[str]:
    """One table for all that were measured in the same figures, a line for each."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, one in measured.items():
        alike.setdefault(tuple(one), []).append(f"| {name} | {' | '.join(number(value) for value in one.values())} |")
    lines: list[str] = []
    for keys, rows in alike.items():
        lines += [
            f"| | {' | '.join(key.replace('_', ' ') for key in keys)} |",
            "|---" * (len(keys) + 1) + "|",
            *rows,
            "",
        ]
    return lines


GROWING = {"scale", "conservation", "joules", "placement"}  # the same figures at several sizes
SIDES = {"Ours": "ours", "Beside it": "yardsticks"}
QUOTED = {"published", "snapshot"}  # not measured in this run


def leaves(tree: dict[str, Any], path: tuple[str, ...] = ()) -> list[str]:
    found: list[str] = []
    for name, value in tree.items():
        words = name.replace("_", " ")
        if isinstance(value, list) and value and isinstance(value[0], dict):
            found += leaves({str(place): one for place, one in enumerate(value, 1)}, (*path, words))
        elif isinstance(value, dict) and name not in QUOTED:
            found += leaves(value, (*path, words))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append(f"{' '.join([*path, words])} {number(value)}")
    return found


def number(value: float) -> str:
    """Three digits, and thousands apart: 0.0123, 12.3, 48 803."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}".replace(",", " ")
