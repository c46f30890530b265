"""`asynchrony`: peers of which some are ten times slower: wait for them, open without them, and correct the bias.

In one process and virtual time (a fine-tune of a fast peer takes 1), on the integers that masks hide and with the merge
that peers and audit compute. What a slow peer trained on an older model moves along to the new one, as in a run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.patterns import settings, site, spread
from benchmarks.result import Result, say

if TYPE_CHECKING:
    import argparse

    import numpy as np
    from torch import nn

    from peerage.config import Federation
    from peerage.learning.data import Splits

ROUND = 0.2  # virtual time of masks and votes
SLOWER = 10


@dataclass(frozen=True)
class Way:
    """When a round opens, and how updates count in it."""

    open_at: int = 0  # of ten peers; 0: all that are there
    patience: float = float("inf")
    fedau: bool = False
    staleness: float = 0.0  # updates count (1 + rounds missed)^-staleness


WAYS = {
    "wait for all": Way(),
    "patience of two fine-tunes": Way(patience=2.0),
    "open_at = 8": Way(open_at=8),
    "open_at = 8, late work counts less": Way(open_at=8, staleness=0.5),
    "open_at = 8, fedau": Way(open_at=8, fedau=True),
}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("asynchrony", help="slow peers: wait, open early, correct the bias")
    parser.add_argument("--slow", type=int, default=2, help="of ten peers")
    parser.add_argument("--until", type=float, default=90.0, help="fine-tunes of a fast peer")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--partition", default="dirichlet:0.1")
    parser.add_argument("--only", nargs="+", choices=WAYS)
    parser.set_defaults(measure=measure)


def measure(args: argparse.Namespace) -> Result:
    import torch

    torch.set_num_threads(1)
    runs: dict[str, list[dict[str, float]]] = {}
    for seed in range(args.seeds):
        for name in args.only or WAYS:
            federation = settings("", 10, 1, args.partition, seed)
            runs.setdefault(name, []).append(played(federation, WAYS[name], args.slow, args.until))
        ends = {name: 100 * found[-1]["final"] for name, found in runs.items()}
        say(f"asynchrony: seed {seed}: {', '.join(f'{name} {end:.1f}' for name, end in ends.items())}")
    ours: dict[str, Any] = {
        name: {key: spread([one[key] for one in each]) for key in each[0]} for name, each in runs.items()
    }
    base = next(iter(ours))
    ratios = {
        f"rounds in the same time, {name} / {base}": one["rounds"]["mean"] / ours[base]["rounds"]["mean"]
        for name, one in ours.items()
        if name != base
    }
    return Result(
        "asynchrony",
        {
            "peers": 10,
            "slow": args.slow,
            "slower": SLOWER,
            "until": args.until,
            "seeds": args.seeds,
            "partition": args.partition,
        },
        ours,
        {base: ours[base]},
        ratios,
        notes=(
            "After so much virtual time; fast and slow: test accuracy weighed by the labels of these peers' own rows.",
            "half and quarter: accuracy of the common model after that part of the time.",
        ),
    )


class Peer:
    """One peer in virtual time: its work counts from `base`, and is free from `ready` on."""

    def __init__(self, start: np.ndarray, seconds: float) -> None:
        self.local, self.base, self.ready, self.seconds = start, start, 0.0, seconds
        self.version = self.missed = 0
        self.attended: list[int] = []


def played(  # noqa: PLR0915 - the loop of virtual time, in one piece
    federation: Federation, way: Way, slow: int, until: float
) -> dict[str, float]:
    """One federation until the time is up."""
    import numpy as np

    from peerage.learning.model import from_vector, to_vector
    from peerage.learning.trainer import draw_seed, settings_of, train
    from peerage.rounds.aggregation import Metrics, carry_over, masked_input, update_of
    from peerage.rounds.grid import grid_of
    from peerage.rounds.merging import Merging
    from peerage.rounds.optimisers import agreed_optimiser
    from peerage.scheduling import FedAU
    from peerage.scheduling.policies import own_scale
    from peerage_crypto.digest import tagged
    from peerage_ledger.judgement import genesis

    splits, parts, model = site(federation)
    grid, optimiser = grid_of(federation.masking), agreed_optimiser(federation)
    fedau = FedAU(cap=32, cutoff=32) if way.fedau else None
    merging = Merging(grid, optimiser, over=len(parts) if fedau else 0)
    standing = genesis(b"", to_vector(model), b"")
    peers = [Peer(standing.model, SLOWER if k < slow else 1) for k in range(len(parts))]
    now, rounds, curve = 0.0, 0, list[tuple[float, np.ndarray]]()

    def fine_tune(k: int) -> None:
        peer = peers[k]
        peer.version += 1
        from_vector(model, peer.local)
        train(model, parts[k], settings_of(federation.training), draw_seed(federation.seed, k, peer.version), None)
        peer.local, peer.ready = to_vector(model), now + peer.seconds

    for k in range(len(parts)):
        fine_tune(k)
    while (opens := opening(peers, way, now)) < until:
        fresh = [k for k, peer in enumerate(peers) if peer.ready <= opens]
        total = None
        for k in fresh:
            peer = peers[k]
            scale = own_scale(fedau, peer.attended, rounds) if fedau else Fraction(1)
            if way.staleness:
                scale = Fraction(float((1 + peer.missed) ** -way.staleness)).limit_denominator(1000)
            dither = tagged("asynchrony", bytes([k]), peer.version.to_bytes(8, "big"))
            update = update_of(peer.local, peer.base, grid, dither, scale)
            vector = masked_input(update, Metrics(1, 0, 0, 0), grid)
            total = vector if total is None else total + vector
        assert total is not None
        merged = merging.merge(standing, [total], [len(fresh)])
        assert not isinstance(merged, str), merged
        step = (merged.model.astype(np.float64) - standing.model.astype(np.float64)).astype(np.float32)
        standing = replace(standing, model=merged.model, step=step, state=merged.state)
        base, now = optimiser.training_start(standing.model, standing.step), opens + ROUND
        for k, peer in enumerate(peers):
            if k in fresh:
                peer.local, peer.base, peer.missed = base, base, 0
                peer.attended.append(rounds)
                fine_tune(k)
            else:
                peer.local, peer.base = carry_over(peer.local, peer.base, base), base
                peer.missed += 1
        rounds += 1
        curve.append((now, standing.model))
    labels = [np.bincount(part.labels, minlength=len(splits.train.classes)) for part in parts]
    attended = fmean(len(peer.attended) for peer in peers[:slow]) if slow else 0.0
    return {
        **judged(model, curve, splits, labels, slow, until),
        "rounds": float(rounds),
        "rounds_of_the_slow": attended,
    }


def judged(
    model: nn.Module,
    curve: list[tuple[float, np.ndarray]],
    splits: Splits,
    labels: list[np.ndarray],
    slow: int,
    until: float,
) -> dict[str, float]:
    """Accuracies of the models on their way."""
    last = curve[-1][1]
    found = {
        "final": recalled(model, last, splits, None),
        "fast": fmean(recalled(model, last, splits, count) for count in labels[slow:]),
        "slow": fmean(recalled(model, last, splits, count) for count in labels[:slow]) if slow else 0.0,
    }
    for name, part in (("half", 2), ("quarter", 4)):
        models = [one for at, one in curve if at <= until / part]
        found[name] = recalled(model, (models or [curve[0][1]])[-1], splits, None)
    return found


def opening(peers: list[Peer], way: Way, now: float) -> float:
    """When the next round opens."""
    free = sorted(peer.ready for peer in peers)
    least = max(3, len(peers) // 4 + 3)
    enough = max(now, free[least - 1])
    wanted = free[(way.open_at or len(peers)) - 1]
    return min(max(now, wanted), max(enough, max(now, free[0]) + way.patience))


def recalled(model: nn.Module, vector: np.ndarray, splits: Splits, count: np.ndarray | None) -> float:
    """Test accuracy, each class weighing as in `count` (None: as in the test rows)."""
    import numpy as np
    import torch

    from peerage.learning.model import from_vector

    from_vector(model, vector)
    with torch.no_grad():
        said = model(torch.from_numpy(splits.test.features)).argmax(1).numpy()
    right = said == splits.test.labels
    if count is None:
        return float(right.mean())
    recall = np.array([right[splits.test.labels == c].mean() for c in range(len(count))])
    return float((count * recall).sum() / count.sum())
