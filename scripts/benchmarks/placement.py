"""`placement`: steps a second and CPU time a step, by peers on the machine, threads each, and a core of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.result import Result, say

if TYPE_CHECKING:
    import argparse

WORKER = Path(__file__).with_name("placed.py")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("placement", help="threads a peer and a core of its own: steps a second, CPU a step")
    parser.add_argument("--sizes", nargs="+", default=["digits", "mnist", "wide"], choices=["digits", "mnist", "wide"])
    parser.add_argument("--peers", nargs="+", type=int, help="on this machine; else 1, its cores, and four a core")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.set_defaults(measure=placement)


def placement(args: argparse.Namespace) -> Result:
    cores = len(os.sched_getaffinity(0))
    most = max(1, cores)
    ours: dict[str, dict[str, float]] = {}
    ratios: dict[str, float] = {}
    for size in args.sizes:
        for peers in args.peers or sorted({1, most, 4 * most}):
            one, own, many = (
                together(size, peers, threads, cores if pinned else 0, args.seconds)
                for threads, pinned in ((1, False), (1, True), (most, False))
            )
            name = f"{size}, {peers} peer{'s' if peers > 1 else ''}"
            ways = {"one_thread": one, "a_core_each": own, f"{most}_threads": many}
            ours[name] = {f"{what}_{way}": told[what] for what in one for way, told in ways.items()}
            ratios[f"{name}: steps a second, {most} threads / 1"] = many["steps_per_second"] / one["steps_per_second"]
            ratios[f"{name}: steps a second, a core each / free"] = own["steps_per_second"] / one["steps_per_second"]
            say(f"  {name}: {ours[name]}")
    return Result(
        "placement",
        {"sizes": args.sizes, "cores": cores, "seconds": args.seconds},
        ours,
        {},
        ratios,
        (),
        ("All processes of a row train at the same time; one measurement a row.",),
    )


def together(size: str, peers: int, threads: int, cores: int, seconds: float) -> dict[str, float]:
    """Steps a second of all of them together, and CPU milliseconds a step."""
    pipe = subprocess.PIPE
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), size, str(threads), str(peer % cores if cores else -1), str(seconds)],
            stdin=pipe,
            stdout=pipe,
            text=True,
        )
        for peer in range(peers)
    ]
    for worker in workers:
        assert worker.stdout
        worker.stdout.readline()
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("\n")
        worker.stdin.flush()
    told = [json.loads(worker.communicate()[0]) for worker in workers]
    return {
        "steps_per_second": sum(one["steps"] / one["wall"] for one in told),
        "cpu_ms_per_step": 1000 * sum(one["cpu"] for one in told) / sum(one["steps"] for one in told),
    }
