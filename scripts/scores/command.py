"""The command line of `scripts/attack_table`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from scores import worth
from scores.candidates import CANDIDATES
from scores.columns import COLUMNS, PLAYS, Column, by_name
from scores.directions import BALANCED, CROSS, SHARED
from scores.paying import Terms, by_the_ledger
from scores.plays import Setup
from scores.table import AIM, LIMITS, WAYS, Place, Plays, Row, fill, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scores.columns import Rule

IN_FORCE = "ledger"
PARTITIONS = ("iid", "dirichlet:0.5", "dirichlet:0.1")
SWEPT = ("honest", "random-labels", "replay-old", "noise", "two that move score")  # enough to see what a change does
QUICK = (
    "honest",
    "parent-back",
    "random-labels",
    "replay-3x",
    "random labels, bends 5 x",
    "two that move score",
    "two that move score, unaudited",
)


def main(text: str | None) -> int:
    args = arguments(text, sys.argv[1:])
    base = Setup(rounds=args.rounds, source=args.source, data_dir=args.data_dir, epochs=args.epochs)
    if args.worth or args.shapley:
        return worth.command(args, base)
    columns = list(by_name(args.columns).values())
    places = [Place(n, spec, way) for n in args.peers for way in args.validation for spec in args.partitions]
    plays = Plays(base, range(args.seeds), expected(places, columns, args.seeds))
    rules: dict[str, Rule] = {IN_FORCE: by_the_ledger, **CANDIDATES}
    chosen = {name: rules[name] for name in (CANDIDATES if args.sweep else args.rules)}
    found = {name: fill(plays, places, columns, Terms(args.cap, args.window), rule) for name, rule in chosen.items()}
    if sys.stderr.isatty():
        print(file=sys.stderr)
    settings = {name: getattr(args, name) for name in ("rounds", "seeds", "cap", "window", "source", "partitions")}
    if args.json:
        document = {name: [row_of(row) for row in rows] for name, rows in found.items()}
        print(json.dumps({"schema": 1, "settings": settings, "aim": AIM, "rules": document}, indent=1))
    elif args.sweep:
        print(swept(found))
    else:
        for name, rows in found.items():
            print(f"{args.source}, {args.rounds} rounds, {args.seeds} seeds, rule: {name}\n\n{shown(rows)}\n")
        print(LIMITS)
    return 0


def arguments(text: str | None, words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=int, nargs="+", default=[12, 24])
    parser.add_argument("--partitions", nargs="+", default=list(PARTITIONS))
    parser.add_argument("--validation", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--columns", nargs="+", default=[c.name for c in COLUMNS], choices=[c.name for c in COLUMNS])
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--cap", type=int, default=Terms.cap)
    parser.add_argument("--window", type=int, default=Terms.window)
    parser.add_argument("--rules", nargs="+", default=[IN_FORCE], choices=[IN_FORCE, *CANDIDATES])
    parser.add_argument("--sweep", action="store_true", help="every candidate; fewer attackers")
    parser.add_argument("--worth", action="store_true", help="pay beside leave-one-out retraining")
    parser.add_argument("--shapley", action="store_true", help="pay beside exact Shapley values, 8 peers")
    parser.add_argument("--quick", action="store_true", help="12 peers, Dirichlet 0.5, two seeds, six columns")
    parser.add_argument("--source", default="digits", help="digits, mnist or mnist:N")
    parser.add_argument("--data-dir", default="", help="the folder with the files of MNIST")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(words)
    if args.sweep:
        args.columns, args.validation = list(SWEPT), [SHARED, CROSS, BALANCED]
    if args.quick:
        args.peers, args.partitions, args.seeds, args.rounds = [12], ["dirichlet:0.5"], 2, 8
        args.validation = [SHARED, CROSS]
        args.columns = [name for name in args.columns if name in QUICK]
    return args


def expected(places: Sequence[Place], columns: Sequence[Column], seeds: int) -> int:
    """How many federations are played: ways of measuring that share a training are counted once."""
    wanted = {
        (place.peers, place.partition, place.way == SHARED, column.play)
        for place in places
        for column in columns
        if column.fits(place.way) and column.play in PLAYS
    }
    return len(wanted) * seeds


def row_of(row: Row) -> dict[str, object]:
    name, most = row.worst_without_data()
    return {
        **asdict(row.place),
        "pay": {column: asdict(cell) for column, cell in row.cells.items()},
        "honest": {"sd": row.honest_sd, "least": row.honest_least, "unpaid": row.unpaid},
        "accuracy": row.accuracy,
        "most_without_data": {"column": name, "mean": most, "met": most <= AIM},
    }


def swept(found: dict[str, list[Row]]) -> str:
    """A table for each place: a line for each candidate."""
    tables: list[str] = []
    for index, row in enumerate(next(iter(found.values()))):
        names = [name for name in row.cells if name != "honest"]
        lines = [
            f"| {row.place.peers} peers, {row.place.way}, {row.place.partition} | unpaid | sd | {' | '.join(names)} |",
            f"|---|---|---|{'---|' * len(names)}",
        ]
        for rule, rows in found.items():
            one = rows[index]
            cells = " | ".join(f"{one.cells[name].mean:.2f} ({one.cells[name].worst:.2f})" for name in names)
            lines.append(f"| {rule} | {100 * one.unpaid:.1f} % | {one.honest_sd:.2f} | {cells} |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)
