"""`scale`: what a round costs each peer as a federation grows, simulated to a hundred peers and with real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.result import Result, say

if TYPE_CHECKING:
    import argparse

SIZES = (8, 16, 24, 48, 100)
REAL = (8, 16)
ONE = """
import json, sys
sys.path[:0] = [sys.argv[1]]
from benchmarks.grown import cost_of
print(json.dumps(cost_of(int(sys.argv[2]), rounds=int(sys.argv[3])).told()))
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("scale", help="frames, bytes and processor time per peer as the federation grows")
    parser.add_argument("--simulated", type=int, nargs="*", default=list(SIZES), help="peers; the first is the base")
    parser.add_argument("--real", type=int, nargs="*", default=list(REAL), help="peers, each a process of its own")
    parser.add_argument("--rounds", type=int, default=3, help="of the real runs; the simulated ones have one")
    parser.add_argument("--jobs", type=int, default=2, help="simulations at once")
    parser.set_defaults(measure=scale)


def scale(args: argparse.Namespace) -> Result:
    grown = simulated(args.simulated, args.jobs)
    ours: dict[str, Any] = {f"{peers} simulated": told for peers, told in grown.items()}
    yardsticks: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    for peers, told in list(grown.items())[1:]:
        base, first = grown[args.simulated[0]], args.simulated[0]
        for what, key in (("control bytes", "control_bytes_each"), ("processor time", "cpu_seconds_each")):
            ratios[f"{what} per peer and round, {peers} peers / {first}"] = told[key] / base[key]
    for peers in args.real:
        masked, plain = run_of(peers, args.rounds, "masked"), run_of(peers, args.rounds, "plain")
        ours[f"{peers} processes"], yardsticks[f"{peers} processes, plain exchange"] = masked, plain
        ratios[f"seconds a round, masked / plain, {peers} processes"] = masked["round_seconds"] / plain["round_seconds"]
        ratios[f"bytes per peer and round, masked / plain, {peers} processes"] = masked["bytes"] / plain["bytes"]
    return Result(
        "scale",
        {"simulated": args.simulated, "processes": args.real, "rounds": args.rounds},
        ours,
        yardsticks,
        ratios,
        notes=(
            "Simulated: one round of real engines, signatures and masks in virtual time; each peer does its own work.",
            "Processor time: engine, encoding, decoding; no training, sockets, disk, chain. The model has 24 numbers.",
            "Processes: digits, one epoch, embedded chain; seconds from one round's closing to the next one's.",
        ),
    )


def simulated(sizes: list[int], jobs: int) -> dict[int, dict[str, float]]:
    """Each in a process of its own, the largest first."""

    def one(peers: int) -> dict[str, float]:
        command = [sys.executable, "-c", ONE, str(Path(__file__).parents[1]), str(peers), "1"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        told: dict[str, float] = json.loads(done.stdout)
        say(f"scale: {peers} peers: {told['cpu_seconds_each']:.3f} s and {told['control_bytes_each']:.0f} B a peer")
        return told

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        found = {peers: pool.submit(one, peers) for peers in sorted(sizes, reverse=True)}
        return {peers: found[peers].result() for peers in sizes}


def run_of(peers: int, rounds: int, exchange: str) -> dict[str, Any]:
    """One run of processes on the same rows and seed."""
    from benchmarks.runs import real_run, round_seconds
    from peerage.config import DataSettings, Federation, LedgerSettings, TrainSettings

    federation = Federation(
        peers=peers,
        rounds=rounds,
        exchange=exchange,  # type: ignore[arg-type]
        data=DataSettings(partition="iid"),
        training=TrainSettings(epochs=1, batch_size=32, learning_rate=0.1),
        ledger=LedgerSettings(engine="embedded"),
    )
    with real_run(federation) as run:
        between = round_seconds(run.journals())
        closed = {row.round for lines in run.metrics.values() for row in lines}
        sent = sum(row.bytes_sent for lines in run.metrics.values() for row in lines)
        return {
            "round_seconds": fmean(between) if between else run.summary.seconds.total - run.summary.seconds.startup,
            "bytes": sent / (peers * max(1, len(closed))),
            "rounds": len(closed),
            "accuracy": run.summary.accuracy.aggregate,
            "total_seconds": run.summary.seconds.total,
        }
