"""The attack lab's command: which federations to play, and the tables that come of it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.attack_kinds import ATTACKS, PLAIN_ONLY
from benchmarks.attacks import SCREENS, Played, Setup, play
from peerage.robust.floors import KNOWN, LOCAL_REFERENCE, check_rule
from peerage.robust.rules import combine
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RULES = (*KNOWN, LOCAL_REFERENCE)
PLAIN_PEERS, PLAIN_BAD = 12, 3
PARTITIONS = ("iid", "dirichlet:0.5")

Key = tuple[str, str, str, str]  # exchange, partition, attack, rule


def main(text: str | None) -> int:
    args = _arguments(text)
    if args.cost:
        print(_cost(args.cost, args.buckets, args.bad))
        return 0
    try:
        jobs = _jobs(args)
    except InputError as error:
        print(f"attack_lab: {error}", file=sys.stderr)
        return 2
    played = _played(jobs, args.processes)
    rows = [_row(key, played[key]) for key in played]
    settings = {name: getattr(args, name) for name in ("peers", "buckets", "bad", "rounds", "seeds", "plain_peers")}
    if args.json:
        print(json.dumps({"settings": settings | {"plain_bad": args.plain_bad}, "rows": rows}, indent=1))
    else:
        print("\n\n".join(_tables(args, rows)))
    return 0


def _arguments(text: str | None) -> argparse.Namespace:
    base = Setup()
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=int, default=base.peers, help="of a masked federation")
    parser.add_argument("--buckets", type=int, default=base.buckets)
    parser.add_argument("--bad", type=int, default=base.bad, help="attackers, and the f of its rules")
    parser.add_argument("--plain-peers", type=int, default=PLAIN_PEERS)
    parser.add_argument("--plain-bad", type=int, default=PLAIN_BAD)
    parser.add_argument("--rounds", type=int, default=base.rounds)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--attacks", nargs="+", default=list(ATTACKS), choices=ATTACKS)
    parser.add_argument("--rules", nargs="+", default=list(RULES), choices=RULES)
    parser.add_argument("--exchanges", nargs="+", default=["masked", "plain"], choices=["masked", "plain"])
    parser.add_argument("--partitions", nargs="+", default=list(PARTITIONS))
    parser.add_argument("--screens", nargs="*", default=[], choices=sorted(SCREENS), help="checks on single updates")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cost", type=int, default=0, metavar="D", help="only: each rule's seconds for D parameters")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _cost(parameters: int, buckets: int, bad: int) -> str:
    """Processor seconds of each rule, the best of three."""
    random = np.random.default_rng(0)
    sums = [random.integers(-(2**20), 2**20, parameters) for _ in range(buckets)]
    lines = [f"{parameters} parameters, {buckets} buckets"]
    for rule in KNOWN:
        taken: list[float] = []
        for _ in range(3):
            start = time.process_time()
            combine(rule, sums, [5] * buckets, 0 if rule == "mean" else bad)
            taken.append(time.process_time() - start)
        lines.append(f"{rule:17} {min(taken):.3f} s")
    return "\n".join(lines)


def _jobs(args: argparse.Namespace) -> list[tuple[Setup, int]]:
    jobs: list[tuple[Setup, int]] = []
    for exchange in args.exchanges:
        plain = exchange == "plain"
        peers, bad = (args.plain_peers, args.plain_bad) if plain else (args.peers, args.bad)
        for rule in args.rules:
            if rule == LOCAL_REFERENCE:
                if not plain:
                    continue
            elif rule != "mean":
                check_rule(rule, peers if plain else args.buckets, bad, each=1 if plain else 5, what="vectors")
            for partition in args.partitions:
                for attack in args.attacks:
                    if attack in PLAIN_ONLY and not plain:
                        continue
                    setup = Setup(
                        exchange=exchange,
                        rule=rule,
                        attack=attack,
                        partition=partition,
                        peers=peers,
                        buckets=args.buckets,
                        bad=bad,
                        rounds=args.rounds,
                        screens=tuple(args.screens),
                    )
                    jobs += [(setup, seed) for seed in range(args.seeds)]
    return jobs


def _played(jobs: Sequence[tuple[Setup, int]], processes: int) -> dict[Key, list[Played]]:
    found: dict[Key, list[Played]] = defaultdict(list)
    for number, ((setup, _), played) in enumerate(zip(jobs, _results(jobs, processes), strict=True), 1):
        found[setup.exchange, setup.partition, setup.attack, setup.rule].append(played)
        if sys.stderr.isatty():
            print(f"\r{number} of {len(jobs)}", end="", file=sys.stderr, flush=True)
    return found


def _results(jobs: Sequence[tuple[Setup, int]], processes: int) -> Iterator[Played]:
    """In the order of the jobs, one thread each: the same table on any number of CPUs."""
    if processes == 1:
        torch.set_num_threads(1)
        yield from (play(*job) for job in jobs)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(play, *zip(*jobs, strict=True), chunksize=4)


def _row(key: Key, played: Sequence[Played]) -> dict[str, object]:
    exchange, partition, attack, rule = key
    named = sorted({name for one in played for name in one.named})
    return {
        "exchange": exchange,
        "partition": partition,
        "attack": attack,
        "rule": rule,
        "accuracy": fmean(one.accuracy for one in played),
        "attackers": fmean(one.attackers for one in played),
        "void": fmean(one.void for one in played),
        "named": {name: [sorted(one.named.get(name, ())) for one in played] for name in named},
    }


def _tables(args: argparse.Namespace, rows: Sequence[dict[str, object]]) -> list[str]:
    tables: list[str] = []
    for exchange in args.exchanges:
        peers, bad = (args.plain_peers, args.plain_bad) if exchange == "plain" else (args.peers, args.bad)
        where = f"{peers} peers, {bad} attackers" + (f", {args.buckets} buckets" if exchange == "masked" else "")
        for partition in args.partitions:
            mine = [row for row in rows if row["exchange"] == exchange and row["partition"] == partition]
            rules = [rule for rule in args.rules if any(row["rule"] == rule for row in mine)]
            lines = [
                f"**{exchange}, {partition}** ({where}, {args.rounds} rounds, {args.seeds} seeds; accuracy in %)",
                "",
                f"| attack | {' | '.join(rules)} | named by |",
                f"|---|{'---|' * len(rules)}---|",
            ]
            for attack in args.attacks:
                cells = {row["rule"]: row for row in mine if row["attack"] == attack}
                if cells:
                    shown = " | ".join(_cell(cells[rule], args.rounds) for rule in rules)
                    lines.append(f"| {attack} | {shown} | {_by(attack, list(cells.values()), bad)} |")
            tables.append("\n".join(lines))
    return tables


def _cell(row: dict[str, object], rounds: int) -> str:
    """Accuracy, and how many rounds were void."""
    void = float(row["void"])  # type: ignore[arg-type]
    return f"{100 * float(row['accuracy']):.1f}" + (f" ({void:.0f}/{rounds} void)" if void else "")  # type: ignore[arg-type]


def _by(attack: str, rows: Sequence[dict[str, object]], bad: int) -> str:
    """Of how many attackers each detector named how many on average over rules and seeds, and how many others."""
    found: list[str] = []
    seats = set(range(bad if attack != "none" else 0))
    for name in sorted({name for row in rows for name in row["named"]}):  # type: ignore[attr-defined]
        runs = [set(run) for row in rows for run in row["named"].get(name, [[]])]  # type: ignore[attr-defined]
        caught = fmean(len(run & seats) for run in runs)
        wrong = fmean(len(run - seats) for run in runs)
        if caught or wrong:
            found.append(f"{name} {caught:.1f}/{len(seats)}" + (f" (+{wrong:.1f} honest)" if wrong else ""))
    if any(float(row["void"]) for row in rows):  # type: ignore[arg-type]
        found.append("bound: round void, nobody named")
    return "; ".join(found) or "-"
