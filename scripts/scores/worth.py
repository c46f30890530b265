"""Pay beside what a peer was worth: the test loss of federations trained again without it, and exact Shapley values.

Leave-one-out: how much higher the test loss becomes when the peer never took part, mean over several draws of the
training. Shapley (1953), by retraining every coalition: v(S) is minus the test loss of the federation of S alone, v of
nobody that of the first model.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from math import comb, log
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import torch

from scores.candidates import CANDIDATES
from scores.directions import BALANCED, CROSS, SHARED
from scores.paying import Terms, by_the_ledger, pay
from scores.plays import play

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from scores.columns import Rule
    from scores.plays import Setup

DRAWS = 2  # of the training, for each federation that is trained again
SHAPLEY_PEERS = 8  # the fewest of which halves of four can be drawn; 256 coalitions


@dataclass(frozen=True)
class Compared:
    """One federation of honest peers: pay x n, worth in test loss, and how rare each peer's rows are."""

    paid: tuple[float, ...]
    worth: tuple[float, ...]
    rarity: tuple[float, ...]  # mean over a peer's rows of the share of its row's class that it holds

    @property
    def pearson(self) -> float:
        return correlation(self.paid, self.worth)

    @property
    def rank(self) -> float:
        """Spearman's."""
        return correlation(ranks(self.paid), ranks(self.worth))

    @property
    def rarest(self) -> list[int]:
        """The quarter of peers that hold the largest part of their classes."""
        order = sorted(range(len(self.paid)), key=lambda seat: -self.rarity[seat])
        return order[: max(1, len(order) // 4)]

    @property
    def rare_pay(self) -> float:
        return fmean(self.paid[seat] for seat in self.rarest)

    @property
    def rare_worth(self) -> float:
        """As a multiple of the mean worth of all."""
        mean = fmean(self.worth)
        return fmean(self.worth[seat] for seat in self.rarest) / mean if mean else 0.0


def correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Pearson's; 0 where one of them does not vary."""
    a, b = np.asarray(one, float) - np.mean(one), np.asarray(other, float) - np.mean(other)
    length = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / length if length else 0.0


def ranks(values: Sequence[float]) -> list[float]:
    """From 0, ties share their mean rank."""
    return [sum(v < value for v in values) + (sum(v == value for v in values) - 1) / 2 for value in values]


def leave_one_out(setup: Setup, seed: int) -> list[float]:
    """How much the test loss grows without each peer, mean over draws of the training."""
    found = np.zeros(setup.peers)
    for draw in range(DRAWS):
        drawn = replace(setup, draw=draw)
        whole = play(drawn, seed).loss
        found += [play(drawn.without(seat), seed).loss - whole for seat in range(setup.peers)]
    return [float(value) for value in found / DRAWS]


def shapley(setup: Setup, seed: int) -> list[float]:
    """Exact: 2^n federations."""
    n = setup.peers
    worth = {0: -log(10)}  # the first model knows nothing of ten classes
    for members in range(1, 1 << n):
        alone = setup
        for seat in range(n):
            if not members >> seat & 1:
                alone = alone.without(seat)
        worth[members] = -play(alone, seed).loss
    return [
        sum(
            (worth[members | 1 << seat] - worth[members]) / (n * comb(n - 1, members.bit_count()))
            for members in range(1 << n)
            if not members >> seat & 1
        )
        for seat in range(n)
    ]


def compared(setup: Setup, seed: int, way: str, rule: Rule, worth: Sequence[float]) -> Compared:
    played = play(setup, seed)
    paid = pay(played.opened[way, ""], setup.peers, Terms(), rule)
    share = played.classes / np.maximum(1, played.classes.sum(axis=0))
    rarity = (share * played.classes).sum(axis=1) / np.maximum(1, played.classes.sum(axis=1))
    return Compared(tuple(paid), tuple(worth), tuple(float(value) for value in rarity))


def command(args: argparse.Namespace, base: Setup) -> int:
    """Prints a table: a line for each partition and way of measuring."""
    torch.set_num_threads(1)
    peers = SHAPLEY_PEERS if args.shapley else args.peers[0]
    name = args.rules[0]
    rule: Rule = CANDIDATES.get(name, by_the_ledger)
    found: dict[tuple[str, str], list[Compared]] = {}
    for spec in args.partitions:
        for seed in range(args.seeds):
            for validation, ways in (("shared", (SHARED,)), ("private", (CROSS, BALANCED))):
                if not set(ways) & set(args.validation):
                    continue
                setup = replace(base, peers=peers, partition=spec, validation=validation)
                worth = (shapley if args.shapley else leave_one_out)(setup, seed)
                for way in ways:
                    found.setdefault((spec, way), []).append(compared(setup, seed, way, rule, worth))
            print(f"{spec}: {seed + 1} of {args.seeds} seeds", file=sys.stderr, flush=True)
    if args.json:
        rows = [
            {"partition": spec, "validation": way, "seeds": [vars(one) for one in all_]}
            for (spec, way), all_ in found.items()
        ]
        print(json.dumps({"schema": 1, "peers": peers, "rule": name, "rows": rows}, indent=1))
        return 0
    against = "exact Shapley values" if args.shapley else "leave-one-out"
    print(f"{args.source}, {peers} peers, {args.rounds} rounds, {args.seeds} seeds, rule: {name}; against {against}\n")
    print(
        "| partition, validation | rank | Pearson | pay of the rarest quarter | their worth x n | unpaid though worth |"
    )
    print("|---|---|---|---|---|---|")
    for (spec, way), all_ in found.items():
        unpaid = sum(p <= 0 < w for one in all_ for p, w in zip(one.paid, one.worth, strict=True))
        cells = [fmean(getattr(one, each) for one in all_) for each in ("rank", "pearson", "rare_pay", "rare_worth")]
        text = " | ".join(f"{cell:.2f}" for cell in cells)
        print(f"| {spec}, {way} | {text} | {unpaid} of {sum(len(one.paid) for one in all_)} |")
    return 0
