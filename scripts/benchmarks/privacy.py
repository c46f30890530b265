"""`privacy`: what noise costs in accuracy, with the epsilon that it buys, and what one leaver gives away without it."""

from __future__ import annotations

from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from benchmarks.learning import laboratory
from benchmarks.result import Result, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    from peerage.config import Federation

DELTA = 1e-5
EPSILON = (
    "epsilon: one peer's whole update, against outsiders, the initiator and N // 4 colluding peers, in every sum; "
    "epsilon_alone: all others collude; null: above what the draws let us state."
)
LEAVER = (
    "leaver: what a watcher averages over k rounds, k = 1, 2, ..., before and after a peer left. difference: cosine of "
    "(sums with it less sums without it) with its update; sum: the same of the sums with it alone; own_part: cosine of "
    "the difference, less the mean of the others, with what sets its update apart from the mean of the others."
)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("privacy", help="accuracy and epsilon against noise; what one leaver gives away")
    parser.add_argument("--peers", type=int, nargs="+", default=[8, 12, 24], help="federations with noise")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.1, 0.3, 0.5, 1.0, 2.0], help="multipliers z")
    parser.add_argument("--clip", type=float, default=0.5)
    parser.add_argument("--momentum", type=float, default=0.5, help="of the runs with noise; it adds noise up")
    parser.add_argument("--frac-bits", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--leavers", type=int, nargs="+", default=[5, 8, 12, 24], help="federations that a peer leaves")
    parser.add_argument("--before", type=int, nargs="+", default=[6, 30], help="rounds until it leaves")
    parser.add_argument("--averaged", type=int, default=6, help="rounds before, and after, that a watcher averages")
    parser.add_argument("--leaver-seeds", type=int, default=5)
    parser.set_defaults(measure=measure)


def measure(args: argparse.Namespace) -> Result:
    lab = laboratory()
    noise = {f"{n} peers": noisy(lab, args, n) for n in args.peers}
    leavers = {f"{n} peers, after {b} rounds": leaver(lab, args, n, b) for n in args.leavers for b in args.before}
    ratios = {
        f"cosine of the difference with the leaver's update, {name}": found["difference"][0]
        for name, found in leavers.items()
    }
    return Result(
        "privacy",
        {
            "data": "digits",
            "partition": "dirichlet:0.5",
            "clip": args.clip,
            "momentum": args.momentum,
            "frac_bits": args.frac_bits,
            "rounds": args.rounds,
            "seeds": args.seeds,
            "delta": DELTA,
            "before": args.before,
            "averaged": args.averaged,
            "leaver_seeds": args.leaver_seeds,
        },
        {"noise": noise, "leaver": leavers, "draws": draws()},
        {"without_noise": {name: found["z 0"] for name, found in noise.items()}},
        ratios,
        (),
        (EPSILON, LEAVER),
    )


def draws() -> dict[str, float]:
    """Seconds to make the largest table, once in a process, and to draw a million coordinates from it."""
    import time

    from peerage_crypto.skellam import LARGEST_VARIANCE, noise, table_of

    started = time.perf_counter()
    table_of(LARGEST_VARIANCE)
    made = time.perf_counter()
    noise(bytes(32), 1_000_000, LARGEST_VARIANCE)
    return {"table_seconds": made - started, "million_seconds": time.perf_counter() - made}


def noisy(lab: ModuleType, args: argparse.Namespace, peers: int) -> dict[str, Any]:
    """Accuracy over seeds for each multiplier, with the epsilon of a peer that was in all rounds."""
    found: dict[str, Any] = {}
    for z in (0.0, *args.noise):
        scores = [train(lab, args, peers, seed, z)[0] for seed in range(args.seeds)]
        epsilon, alone = train(lab, args, peers, 0, z, count_only=True)[1]
        accuracy = {"accuracy": fmean(scores), "sd": pstdev(scores)}
        found[f"z {z:g}"] = {**accuracy, "epsilon": epsilon, "epsilon_alone": alone}
        say(f"privacy: {peers} peers, z {z:g}: accuracy {fmean(scores):.3f}, epsilon {epsilon}")
    return found


def federation(args: argparse.Namespace, peers: int, z: float) -> Federation:
    from peerage.config import Federation, MaskingSettings, PrivacySettings, ScoreSettings

    masking = MaskingSettings(clip=args.clip, frac_bits=args.frac_bits)
    privacy = PrivacySettings(noise=z, delta=DELTA)
    return Federation(peers=peers, masking=masking, privacy=privacy, scores=ScoreSettings(openings="off"))


def train(
    lab: ModuleType, args: argparse.Namespace, peers: int, seed: int, z: float, *, count_only: bool = False
) -> tuple[float, tuple[float | None, float | None]]:
    """One federation on the integers that masks hide: (accuracy, (epsilon, epsilon if all others collude))."""
    import numpy as np

    from peerage.privacy.accounting import spent
    from peerage.privacy.noise import check_privacy, noise_of, with_noise
    from peerage_crypto.digest import tagged
    from peerage_crypto.fixedpoint import clip_norm, quantise

    model, parts, test, settings = cast_of(lab, peers, seed)
    parent = lab.to_vector(model)
    agreed = federation(args, peers, z)
    check_privacy(agreed)
    noise = noise_of(agreed, len(parent))
    budget: tuple[float | None, float | None] = (None, None)
    if noise:
        cost = spent(noise, len(parent), {peers - noise.colluders: args.rounds}, DELTA)
        budget = (cost.epsilon, cost.alone)
    if count_only:
        return 0.0, budget
    applied: list[NDArray[np.float32]] = []
    for number in range(1, args.rounds + 1):
        base = parent + np.float32(args.momentum) * applied[0] if applied else parent
        total = np.zeros(len(parent), np.int64)
        for seat in range(peers):
            delta = lab.honest_update(model, base, parts[seat], settings, lab.draw_seed(seed, seat, number))
            key = tagged("bench", seed.to_bytes(8, "little"), seat.to_bytes(8, "little"), number.to_bytes(8, "little"))
            quantised = quantise(clip_norm(delta, args.clip)[0], args.frac_bits, key)
            total += with_noise(quantised, noise, key) if noise else quantised
        result = base + (total / peers / 2.0**args.frac_bits).astype(np.float32)
        applied, parent = [result - parent], result
    lab.from_vector(model, parent)
    return lab.evaluate(model, test).accuracy, budget


def leaver(lab: ModuleType, args: argparse.Namespace, peers: int, before: int) -> dict[str, list[float]]:
    """Mean cosines over seeds, for k = 1 .. averaged, k no larger than `before`."""
    import numpy as np

    most = min(args.averaged, before)
    found: dict[str, list[list[float]]] = {"difference": [], "sum": [], "own_part": []}
    for seed in range(args.leaver_seeds):
        rounds = leave(lab, peers, seed, before, most)
        sums = [sum(deltas.values()) for deltas in rounds]
        for k in range(1, most + 1):
            with_it = np.mean(sums[before - k : before], axis=0)
            without = np.mean(sums[before : before + k], axis=0)
            own = np.mean([deltas[0] for deltas in rounds[before - k : before]], axis=0)
            others = (with_it - own) / (peers - 1)
            difference = with_it - without
            found["difference"].append([k, cosine(difference, own)])
            found["sum"].append([k, cosine(with_it, own)])
            found["own_part"].append([k, cosine(difference - without / (peers - 1), own - others)])
    means = {
        name: [fmean(c for k, c in cosines if k == n) for n in range(1, most + 1)] for name, cosines in found.items()
    }
    said = " ".join(f"{c:.2f}" for c in means["difference"])
    say(f"privacy: one of {peers} leaves after {before} rounds: cosine {said}; of the sum alone {means['sum'][0]:.2f}")
    return means


def leave(lab: ModuleType, peers: int, seed: int, before: int, after: int) -> list[dict[int, NDArray[np.float64]]]:
    """The update of each seat in each round; seat 0 leaves after `before` rounds."""
    import numpy as np

    model, parts, _, settings = cast_of(lab, peers, seed)
    parent, momentum = lab.to_vector(model), np.float32(0.9)
    applied: list[NDArray[np.float32]] = []
    rounds: list[dict[int, NDArray[np.float64]]] = []
    for number in range(1, before + after + 1):
        base = parent + momentum * applied[0] if applied else parent
        seats = range(0 if number <= before else 1, peers)
        deltas = {s: lab.honest_update(model, base, parts[s], settings, lab.draw_seed(seed, s, number)) for s in seats}
        rounds.append(deltas)
        result = base + (sum(deltas.values()) / len(deltas)).astype(np.float32)
        applied, parent = [result - parent], result
    return rounds


def cast_of(lab: ModuleType, peers: int, seed: int) -> tuple[Any, Sequence[Any], Any, Any]:
    """The digits among so many peers: (model, rows of each, test rows, settings)."""
    splits = lab.load("digits", seed)
    chosen = lab.partition(splits.train.labels, "dirichlet:0.5", peers, seed)
    model = lab.build(splits.train.input_shape, 10, seed)
    return model, [splits.train.take(rows) for rows in chosen], splits.test, lab.TrainSettings(2, 16, 0.3)


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    import numpy as np

    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
