"""`sketches`: how well r projections measure real updates, whom the screening finds, and what it costs."""

from __future__ import annotations

from collections import Counter
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from benchmarks.learning import laboratory
from benchmarks.result import Aim, Result, at_least, at_most, say, side_by_side
from peerage_crypto.fixedpoint import into_ring, ring
from peerage_crypto.masking import apply_masks
from peerage_crypto.sketch_messages import Cleared, Screened, Seeded, SeedShare, SeedShares, Sketched
from peerage_crypto.sketch_terms import Sketching, safe_length, sketching, slack
from peerage_crypto.sketches import Directions, Stated, project, screen
from peerage_crypto.statements import Screening, Signed, Sketch
from peerage_crypto.thresholds import thresholds

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from peerage_crypto.sketches import Verdict

    Updates = NDArray[np.int64]  # (peers, parameters), in units of the grid

FRAC_BITS, CLIP, BITS = 16, 8.0, 32
RATES = ("found_3x", "found_3x_tight", "found_10x", "turned_seen", "turned_in_full", "false_alarms")
DRAWS = 10  # of directions for each round of updates


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "sketches", help="lengths, outliers and turned updates seen in r projections; their cost"
    )
    parser.add_argument("--peers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--partition", default="dirichlet:0.5")
    parser.add_argument("--counts", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--bound", type=float, default=3.0, help="robust.length_bound")
    parser.add_argument("--parameters", type=int, default=1_000_000, help="of the vectors whose projection is timed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.set_defaults(measure=sketches)


def sketches(args: argparse.Namespace) -> Result:
    rounds = [units for seed in range(args.seeds) for units in played(args, seed)]
    ours: dict[str, Any] = {}
    for count in args.counts:
        say(f"sketches: {count} projections of {len(rounds)} rounds of {args.peers} updates")
        ours[f"r = {count}"] = measured(rounds, count, args) | cost(args, count)
    most = max(args.counts)
    best = ours[f"r = {most}"]
    aims: tuple[Aim, ...] = (
        at_least(f"share of updates of 3 x their length that r = {most} finds", best["found_3x_tight"], 0.9),
        at_most(
            f"share of honest updates within {args.bound:g} medians that r = {most} excludes", best["excluded"], 0.001
        ),
    )
    ratios = {
        f"error of the length over 1/sqrt(2r), r = {count}": ours[f"r = {count}"]["length_error"] * sqrt(2 * count)
        for count in args.counts
    } | {f"projecting / masking, r = {count}": ours[f"r = {count}"]["over_masking"] for count in args.counts}
    return Result(
        "sketches",
        {
            "data": "digits",
            "partition": args.partition,
            "peers": args.peers,
            "rounds": args.rounds,
            "seeds": args.seeds,
            "draws": DRAWS,
            "length_bound": args.bound,
            "parameters timed": args.parameters,
        },
        ours,
        {"error_of_theory": {f"r = {count}": 1 / sqrt(2 * count) for count in args.counts}},
        ratios,
        aims,
        (
            "found_3x, found_10x: one update made so many times as long, and not clipped.",
            "excluded: of honest updates truly within the bound; beyond: the share of honest updates that are not.",
            "tight: with the smallest bound that may be declared (tightest_bound) instead of length_bound.",
            "turned_seen: the sign of one update changed; its cosine with the others' mean direction is below zero.",
            "turned_in_full: the same in whole vectors. Nobody is excluded for it. false_alarms: honest ones below 0.",
            "project_seconds: what a member computes more; mask_seconds: putting the same masks on.",
            "bytes_sent, bytes_received: of one member, more than without sketches.",
        ),
    )


def played(args: argparse.Namespace, seed: int) -> Iterator[Updates]:
    """Each round's updates of an honest federation."""
    lab = laboratory()
    from peerage.learning.data import load
    from peerage.learning.model import build, to_vector
    from peerage.learning.partitions import partition

    setup = lab.Setup(peers=args.peers, rounds=args.rounds, partition=args.partition, clip=CLIP)
    splits = load("digits", seed)
    parts = [splits.train.take(rows) for rows in partition(splits.train.labels, setup.partition, setup.peers, seed)]
    model = build(splits.train.input_shape, 10, seed)
    parent = to_vector(model)
    step = np.zeros_like(parent)
    settings = lab.TrainSettings(setup.epochs, setup.batch_size, setup.learning_rate)
    for number in range(1, args.rounds + 1):
        start = parent + np.float32(setup.momentum) * step
        rows = [
            lab.honest_update(model, start, part, settings, lab.draw_seed(seed, seat, number))
            for seat, part in enumerate(parts)
        ]
        clipped = [row * min(1.0, CLIP / max(1e-12, float(np.linalg.norm(row)))) for row in rows]
        units = np.rint(np.array(clipped) * 2.0**FRAC_BITS).astype(np.int64)
        yield units
        result = start + (units.mean(axis=0) / 2**FRAC_BITS).astype(np.float32)
        parent, step = result, result - parent


def terms_of(count: int, bound: float, size: int) -> Sketching:
    terms = sketching(count, bound, clip=CLIP, frac_bits=FRAC_BITS, bits=BITS, length=size, skip=0)
    assert terms is not None
    return terms


def verdict_on(units: Updates, terms: Sketching, u: NDArray[np.int64]) -> Verdict:
    """The screening's own rule on what it would open."""
    names = [bytes([i]) * 20 for i in range(len(units))]
    none = (0,) * terms.count
    words = {
        name: Stated(tuple(int(v) % 2**BITS for v in row), none, {})
        for name, row in zip(names, units @ u.T, strict=True)
    }
    return screen(terms, ring(BITS), names, words, frozenset(), len(names) // 4)


def measured(rounds: list[Updates], count: int, args: argparse.Namespace) -> dict[str, float]:
    errors: list[float] = []
    tally: Counter[str] = Counter()
    for at, units in enumerate(rounds):
        terms, tight = (terms_of(count, bound, units.shape[1]) for bound in (args.bound, tightest(count)))
        lengths = np.linalg.norm(units.astype(np.float64), axis=1)
        median = np.sort(lengths)[(len(lengths) - 1) // 2]
        for draw in range(DRAWS):
            u = Directions(np.random.default_rng([at, draw]).bytes(32), terms, units.shape[1]).vectors()
            verdict, tightly = verdict_on(units, terms, u), verdict_on(units, tight, u)
            for seat, length in enumerate(lengths):
                name = bytes([seat]) * 20
                errors.append(sqrt(verdict.energy(name) / count) / length - 1)
                within = bool(length <= args.bound * median)
                tally["honest"] += within
                tally["beyond"] += not within
                tally["excluded"] += within and name in verdict.failed
                near = bool(length <= tightest(count) * median)
                tally["honest_tight"] += near
                tally["excluded_tight"] += near and name in tightly.failed
            seat = (at * DRAWS + draw) % len(units)
            villain = bytes([seat]) * 20
            tally["tries"] += 1
            for times, key in ((3, "found_3x"), (10, "found_10x")):
                longer = units.copy()
                longer[seat] *= times
                tally[key] += villain in verdict_on(longer, terms, u).failed
                tally[key + "_tight"] += villain in verdict_on(longer, tight, u).failed
            seen = units @ u.T
            tally["turned_seen"] += -cosine(seen, seat) < 0
            tally["turned_in_full"] += -cosine(units, seat) < 0
            tally["false_alarms"] += cosine(seen, seat) < 0
    return {
        "length_error": float(np.sqrt(np.mean(np.square(errors)))),
        "honest_updates": float(len(errors)),
        "beyond": 1 - tally["honest"] / len(errors),
        "excluded": tally["excluded"] / tally["honest"],
        "safe_medians": safe_length(count, terms_of(count, args.bound, 100).bound),
        "tightest_bound": tightest(count),
        "excluded_tight": tally["excluded_tight"] / tally["honest_tight"],
        **{key: tally[key] / tally["tries"] for key in RATES},
    }


def tightest(count: int) -> float:
    """The smallest length_bound that may be declared with so many sketches."""
    return ceil(sqrt(slack(count) / count) * 100) / 100


def cosine(rows: NDArray[np.int64], seat: int) -> float:
    """Of one row with the mean direction of the others."""
    directions = rows.astype(np.float64)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    others = np.delete(directions, seat, axis=0).mean(axis=0)
    return float(directions[seat] @ others / max(1e-12, float(np.linalg.norm(others))))


# -- cost --------------------------------------------------------------------------------------------------------------


def cost(args: argparse.Namespace, count: int) -> dict[str, float]:
    field, size = ring(BITS), args.parameters
    keys = [bytes([i]) * 32 for i in range(1, args.peers + 1)]  # its own mask and those with the others
    vector = into_ring(np.arange(size, dtype=np.int64), field)
    directions = Directions(b"s" * 32, terms_of(count, args.bound, size), size)
    taken = side_by_side(
        {
            "project": lambda: project(keys, [vector], directions, field),
            "mask": lambda: apply_masks(vector, keys, [], field),
        },
        args.repeats,
    )
    return {
        "project_seconds": taken["project"],
        "mask_seconds": taken["mask"],
        "over_masking": taken["project"] / taken["mask"],
        **{f"bytes_{way}": float(size) for way, size in traffic(args.peers, count).items()},
    }


def traffic(peers: int, count: int) -> dict[str, int]:
    """Bytes that one member of a session without losses sends and receives more, as encoded."""

    def size(message: msgspec.Struct) -> int:
        return len(msgspec.msgpack.encode(message))

    sid, sig, limits = bytes(32), bytes(65), thresholds(peers, peers)
    numbers = bytes(count * (limits.degree + 2) * BITS // 8)
    sketch = Sketched(sid, Signed(Sketch(sid, sid, sid), sig), numbers)
    vote = Signed(Screening(sid, sid), sig)
    bitmap = bytes((peers + 7) // 8)
    shares = SeedShares(sid, sid, tuple(SeedShare(bytes(20), bytes(33)) for _ in range(limits.degree)))
    down = [
        Seeded(sid, (sid,) * peers),
        *[sketch] * (peers - 1),
        Screened(sid, bitmap, bitmap, (sketch,) * peers),
        Cleared(sid, bitmap, sid, (vote,) * peers),
    ]
    return {"sent": size(shares) + (peers - 1) * size(sketch) + size(vote), "received": sum(size(one) for one in down)}
