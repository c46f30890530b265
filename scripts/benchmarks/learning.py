"""`gain` and `rewards`: what federating brings, and who is paid; in one process, on the integers that masks hide."""

from __future__ import annotations

import tomllib
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from benchmarks.result import Aim, Result, at_least, at_most, say

if TYPE_CHECKING:
    import argparse
    from types import ModuleType

    from scores.plays import Setup

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples" / "demo.toml"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("gain", help="accuracy alone, federated and pooled; share of the gap")
    parser.add_argument("--peers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--partitions", nargs="+", default=["iid", "dirichlet:0.5"])
    parser.add_argument("--real", action="store_true", help="one real masked run of each partition beside it")
    parser.set_defaults(measure=gain)
    parser = commands.add_parser("rewards", help="pay in the demo's federation over many seeds")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=0, help="0: as in examples/demo.toml")
    parser.add_argument("--real", action="store_true", help="one real run of examples/demo.toml beside it")
    parser.set_defaults(measure=rewards)


def laboratory() -> ModuleType:
    """scripts/scores/plays.py: federations on plain integers, one thread."""
    import torch
    from scores import plays

    torch.set_num_threads(1)
    return plays


def gain(args: argparse.Namespace) -> Result:
    lab = laboratory()
    ours: dict[str, Any] = {}
    yardsticks: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    aims: list[Aim] = []
    for spec in args.partitions:
        setup = lab.Setup(peers=args.peers, rounds=args.rounds, partition=spec)
        rows = []
        for seed in range(args.seeds):
            rows.append((*alone_and_pooled(setup, seed), lab.play(setup, seed).accuracy))
            alone_, pooled_, federated_ = rows[-1]
            say(f"gain: {spec}, seed {seed}: {alone_:.3f} alone, {federated_:.3f} federated, {pooled_:.3f} pooled")
        alone, pooled, federated = (list(column) for column in zip(*rows, strict=True))
        ours[spec] = {"federated": fmean(federated), "sd": pstdev(federated)}
        yardsticks[spec] = {"local_only": fmean(alone), "pooled": fmean(pooled), "pooled_sd": pstdev(pooled)}
        way = fmean(pooled) - fmean(alone)
        ratios[f"share of the gap, {spec}"] = (fmean(federated) - fmean(alone)) / way if way > 0 else 0.0
        aims.append(at_least(f"share of the gap recovered, {spec}", ratios[f"share of the gap, {spec}"], 0.9))
        if args.real:
            ours[spec]["real_run"] = real_gain(args, spec)
    return Result(
        "gain",
        {
            "data": "digits",
            "peers": args.peers,
            "rounds": args.rounds,
            "seeds": args.seeds,
            "epochs": 2,
            "batch_size": 16,
            "learning_rate": 0.3,
        },
        ours,
        yardsticks,
        ratios,
        tuple(aims),
        ("Means over seeds; alone and pooled train as many epochs as a federated peer does.",),
    )


def alone_and_pooled(setup: Setup, seed: int) -> tuple[float, float]:
    from peerage.learning import baselines
    from peerage.learning.data import load
    from peerage.learning.model import build, to_vector
    from peerage.learning.partitions import partition
    from peerage.learning.trainer import TrainSettings

    splits = load("digits", seed)
    parts = [splits.train.take(rows) for rows in partition(splits.train.labels, setup.partition, setup.peers, seed)]
    model = build(splits.train.input_shape, 10, seed)
    start = to_vector(model)
    settings = TrainSettings(setup.epochs, setup.batch_size, setup.learning_rate)
    alone = baselines.local_only(model, start, parts, splits.test, settings, rounds=setup.rounds, seed=seed)
    return fmean(alone), baselines.pooled(model, start, parts, splits.test, settings, rounds=setup.rounds, seed=seed)


def real_gain(args: argparse.Namespace, spec: str) -> dict[str, float | None]:
    from msgspec.structs import asdict

    from benchmarks.runs import real_run
    from peerage.config import DataSettings, Federation, TrainSettings

    training = TrainSettings(batch_size=16, learning_rate=0.3)
    federation = Federation(peers=args.peers, rounds=args.rounds, data=DataSettings(partition=spec), training=training)
    with real_run(federation) as run:
        found: dict[str, float | None] = asdict(run.summary.accuracy)
        return found


def rewards(args: argparse.Namespace) -> Result:
    """Seats, rounds and absences are those of the demo; its killed peer misses the rounds until its return."""
    from scores.directions import SHARED
    from scores.paying import pay

    lab = laboratory()
    demo = tomllib.loads(DEMO.read_text())
    seats = {int(part["peer"].removeprefix("peer-")) - 1: part for part in demo["cast"]}
    cast = {seat: part["behaviour"] for seat, part in seats.items() if "behaviour" in part}
    missing = {
        seat: tuple(range(part["kill_in_round"], part["return_in_round"]))
        for seat, part in seats.items()
        if "kill_in_round" in part
    }
    setup = lab.Setup(
        peers=demo["peers"],
        rounds=args.rounds or demo["rounds"],
        partition=demo["data"]["partition"],
        epochs=demo["training"]["epochs"],
        batch_size=demo["training"]["batch_size"],
        learning_rate=demo["training"]["learning_rate"],
        cast=cast,
        missing=missing,
    )
    pays = []
    for seed in range(args.seeds):
        pays.append(pay(lab.play(setup, seed).opened[SHARED, ""], setup.peers))
        say(f"rewards: seed {seed}: " + ", ".join(f"{kind} {pays[-1][seat]:.2f}" for seat, kind in cast.items()))
    by_part = {kind: [one[seat] for one in pays] for seat, kind in cast.items()}
    honest = [seat for seat in range(setup.peers) if seat not in cast]
    paid_in = {f"peer-{seat + 1:02d}": sum(one[seat] > 0 for one in pays) for seat in honest}
    mine = [one[seat] for one in pays for seat in honest]
    aims = [
        at_least(
            "share of seeds in which the least often paid honest peer is paid", min(paid_in.values()) / args.seeds, 0.9
        )
    ]
    if "parent-back" in by_part:
        aims.append(at_most("free-rider's pay over an equal share, worst seed", max(by_part["parent-back"]), 0.0))
    if "random-labels" in by_part:
        aims.append(at_most("random labels' pay over an equal share, mean", fmean(by_part["random-labels"]), 0.25))
    return Result(
        "rewards",
        {"federation": "examples/demo.toml", "rounds": setup.rounds, "seeds": args.seeds},
        {
            **{kind: {"mean": fmean(values), "max": max(values)} for kind, values in by_part.items()},
            "honest": {"mean": fmean(mine), "sd": pstdev(mine), "min": min(mine)},
            "away": {f"peer-{seat + 1:02d}": fmean([one[seat] for one in pays]) for seat in missing},
            "paid_in_seeds": paid_in,
            "real_run": real_rewards() if args.real else None,
        },
        {"equal_share": 1.0},
        {f"{kind} / equal share": fmean(values) for kind, values in by_part.items()},
        tuple(aims),
        ("Pay as multiples of an equal share. The masked protocol opens the same integers; a test compares them.",),
    )


def real_rewards() -> dict[str, float]:
    """Pay over an equal share, by peer, in one real run of the demo."""
    from benchmarks.runs import real_run
    from peerage.config_toml import load_federation

    with real_run(load_federation(DEMO)) as run:
        earned = {
            name: int(run.summary.rewards.by_peer.get(account, "0")) for name, account in run.summary.accounts.items()
        }
    whole = sum(earned.values()) or 1
    return {name: units * len(earned) / whole for name, units in earned.items()}
