#!/usr/bin/env python3
"""Who is paid what, offline: the scoring rules on plain integers, without masks, peers or chain.

Plays whole federations in one process with attackers in fixed seats and prints pay x n (1.00 = an equal share).
The real federation opens the same integers from under masks; a test there compares them. Used by scripts/bench.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from statistics import fmean, median_low, pstdev
from typing import TYPE_CHECKING

import numpy as np
import torch

from peerage.learning.data import Dataset, load, random_labels
from peerage.learning.model import build, from_vector, to_vector
from peerage.learning.partitions import partition
from peerage.learning.scoring import integer_direction, novel, path_gradient
from peerage.learning.trainer import TrainSettings, draw_seed, evaluate, train
from peerage_ledger.rewards import comparable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Setup:
    peers: int = 12
    rounds: int = 12
    partition: str = "dirichlet:0.5"
    epochs: int = 2
    batch_size: int = 16
    learning_rate: float = 0.3
    momentum: float = 0.9
    clip: float = 8.0
    frac_bits: int = 16
    novelty: int = 3
    cast: Mapping[int, str] = field(default_factory=dict)  # seat -> behaviour
    missing: Mapping[int, tuple[int, ...]] = field(default_factory=dict)  # seat -> rounds not attended


@dataclass(frozen=True)
class Rules:
    cap: int = 2
    window: int = 12
    pots: str = "members"  # equal | members | gain | gain-members: what a round's pot is proportional to


@dataclass(frozen=True)
class Played:
    scores: list[dict[int, int]]  # per round, seat -> opened number in the common unit
    accuracy: float
    longest: float  # largest L2 norm of an update before clipping
    rows: list[int]


def play(setup: Setup, seed: int) -> Played:
    splits = load("digits", seed)
    assert splits.validation is not None
    parts = [splits.train.take(rows) for rows in partition(splits.train.labels, setup.partition, setup.peers, seed)]
    model = build(splits.train.input_shape, 10, seed)
    parent, applied = to_vector(model), []
    rounds: list[dict[int, int]] = []
    longest = 0.0
    settings = TrainSettings(setup.epochs, setup.batch_size, setup.learning_rate)
    for number in range(1, setup.rounds + 1):
        base = parent + np.float32(setup.momentum) * applied[0] if applied else parent
        quantised: dict[int, np.ndarray] = {}
        for seat in range(setup.peers):
            if number in setup.missing.get(seat, ()):
                continue
            delta = update(
                model, base, applied, parts[seat], setup.cast.get(seat, "honest"), settings, seed, seat, number
            )
            length = float(np.linalg.norm(delta))
            longest = max(longest, length)
            delta *= min(1.0, setup.clip / length) if length else 1.0
            draws = np.random.default_rng([seed, seat, number, 1])
            quantised[seat] = np.floor(delta * 2.0**setup.frac_bits + draws.random(len(delta))).astype(np.int64)
        total = np.sum(list(quantised.values()), axis=0)
        step = (total / len(quantised) / 2.0**setup.frac_bits).astype(np.float32)
        gbar = novel(path_gradient(model, base, step, splits.validation), applied[: setup.novelty])
        direction, exponent = integer_direction(
            gbar, seed.to_bytes(8, "big") + number.to_bytes(8, "big"), frac_bits=setup.frac_bits, clip=setup.clip
        )
        # |q . g| < 2^31 by the choice of g, so 64-bit sums of products cannot wrap here
        rounds.append({seat: comparable(int(q @ direction), exponent) for seat, q in quantised.items()})
        result = base + step
        applied = [result - parent, *applied][:3]
        parent = result
    from_vector(model, parent)
    return Played(rounds, evaluate(model, splits.test).accuracy, longest, [len(part) for part in parts])


def update(
    model: torch.nn.Module,
    base: np.ndarray,
    applied: Sequence[np.ndarray],
    part: Dataset,
    behaviour: str,
    settings: TrainSettings,
    seed: int,
    seat: int,
    number: int,
) -> np.ndarray:
    """(d,) float64: what the peer in this seat sends, relative to the round's base."""
    if behaviour == "parent-back":
        return np.zeros(len(base))
    if behaviour.startswith("replay"):
        times = 3.0 if behaviour == "replay-3x" else 1.0
        return times * applied[0].astype(np.float64) if applied else np.zeros(len(base))
    rows = random_labels(part, draw_seed(seed, seat, 0)) if behaviour == "random-labels" else part
    from_vector(model, base)
    train(model, rows, settings, draw_seed(seed, seat, number))
    return to_vector(model).astype(np.float64) - base.astype(np.float64)


def pay(scores: Sequence[Mapping[int, int]], peers: int, rules: Rules) -> list[float]:
    """Pay x n of each seat: cap, running mean over rounds attended, each round's pot split by max(0, mean)."""
    history: list[list[int]] = [[] for _ in range(peers)]
    paid = [Fraction(0)] * peers
    pots = [weight(round_scores, rules) for round_scores in scores]
    for pot, round_scores in zip(pots, scores, strict=True):
        positive = [score for score in round_scores.values() if score > 0]
        ceiling = rules.cap * median_low(positive) if positive and rules.cap else None
        for seat, score in round_scores.items():
            history[seat].append(score if ceiling is None else min(score, ceiling))
        means = {
            seat: max(Fraction(0), Fraction(sum(history[seat][-rules.window :]), len(history[seat][-rules.window :])))
            for seat in round_scores
        }
        whole = sum(means.values())
        for seat, mean in means.items():
            paid[seat] += pot * (mean / whole if whole else Fraction(1, len(means)))
    total = sum(paid) or Fraction(1)
    return [float(share / total * peers) for share in paid]


def weight(scores: Mapping[int, int], rules: Rules) -> Fraction:
    gain = max(0, sum(scores.values()))
    return Fraction((gain if "gain" in rules.pots else 1) * (len(scores) if "members" in rules.pots else 1))


DEMO = {6: "parent-back", 9: "random-labels"}
SCENARIOS: dict[str, dict[str, object]] = {
    "honest": {},
    "demo": {"cast": DEMO},
    "demo, one away 4-6": {"cast": DEMO, "missing": {3: (4, 5, 6)}},
    "parent back": {"cast": {6: "parent-back"}},
    "random labels": {"cast": {6: "random-labels"}},
    "replay": {"cast": {6: "replay"}},
    "replay x3": {"cast": {6: "replay-3x"}},
}


def describe(name: str, plays: Sequence[Played], setup: Setup, rules: Rules) -> dict[str, object]:
    pays = [pay(played.scores, setup.peers, rules) for played in plays]
    honest = [seat for seat in range(setup.peers) if seat not in setup.cast]
    row: dict[str, object] = {"scenario": name, "pots": rules.pots, "seeds": len(plays)}
    for seat, behaviour in setup.cast.items():
        values = [one[seat] for one in pays]
        row[behaviour] = {"mean": fmean(values), "sd": pstdev(values), "max": max(values)}
    mine = [one[seat] for one in pays for seat in honest]
    row["honest"] = {"mean": fmean(mine), "sd": pstdev(mine), "min": min(mine)}
    row["honest unpaid"] = sum(value <= 0 for value in mine)
    row["worst honest seat paid in"] = min(sum(one[seat] > 0 for one in pays) for seat in honest)
    if setup.missing:
        row["away"] = {seat: fmean([one[seat] for one in pays]) for seat in setup.missing}
    row["accuracy"] = fmean([played.accuracy for played in plays])
    row["longest"] = max(played.longest for played in plays)
    return row


def show(row: Mapping[str, object]) -> str:
    cells = []
    for key, value in row.items():
        if isinstance(value, dict):
            text = " ".join(f"{name} {number:.3f}" for name, number in value.items())
            cells.append(f"{key} [{text}]")
        else:
            cells.append(f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}")
    return " | ".join(cells)


def main() -> None:
    defaults, rules = Setup(), Rules()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    for name in ("peers", "rounds", "epochs", "batch_size", "novelty"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(defaults, name))
    for name in ("learning_rate", "momentum", "clip"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(defaults, name))
    parser.add_argument("--partition", default=defaults.partition)
    parser.add_argument("--cap", type=int, default=rules.cap)
    parser.add_argument("--window", type=int, default=rules.window)
    parser.add_argument("--pots", nargs="+", default=["members", "gain"])
    parser.add_argument("--scenarios", nargs="+", default=list(SCENARIOS), choices=list(SCENARIOS))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    chosen = {name: getattr(args, name) for name in asdict(defaults) if hasattr(args, name)}
    rows = []
    for name in args.scenarios:
        setup = Setup(**chosen, **SCENARIOS[name])
        plays = [play(setup, seed) for seed in range(args.first_seed, args.first_seed + args.seeds)]
        for pots in args.pots:
            rows.append(describe(name, plays, setup, Rules(args.cap, args.window, pots)))
            if not args.json:
                print(show(rows[-1]), flush=True)
    if args.json:
        print(json.dumps({"settings": chosen, "cap": args.cap, "window": args.window, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
