"""`halves`: private validation: what the halves' sums give away of single peers, and what it costs beside `shared`."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmarks.result import Result, say
from benchmarks.runs import real_run
from peerage.config import DataSettings, EmissionSettings, Federation, LedgerSettings
from peerage_crypto.crossfit import draw
from peerage_crypto.digest import sha256

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("halves", help="private validation: what sums of halves give away; its cost")
    parser.add_argument("--peers", type=int, default=12)
    parser.add_argument("--rounds", type=int, nargs="+", default=[3, 6, 12, 24])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--partition", default="dirichlet:0.5")
    parser.add_argument(
        "--real", type=int, default=0, metavar="ROUNDS", help="two real runs of so many rounds beside it"
    )
    parser.set_defaults(measure=halves)


def halves(args: argparse.Namespace) -> Result:
    ours: dict[str, Any] = {}
    for seed in range(args.seeds):
        say(f"halves: {max(args.rounds)} rounds of {args.peers} peers, seed {seed}")
        gradients, mixes = played(args, seed)
        for rounds in args.rounds:
            for name, anew in (("drawn once", False), ("drawn anew", True)):
                found = solved(gradients[:rounds], mixes, seed, anew=anew)
                ours.setdefault(f"{name}, {rounds} rounds", []).append(found)
    means = {key: {what: fmean(one[what] for one in found) for what in found[0]} for key, found in ours.items()}
    cost = {"shared": costs(args, "shared"), "private": costs(args, "private")} if args.real else {}
    ratios = {}
    if cost:
        ratios = {
            f"{what}, private over shared": cost["private"][what] / cost["shared"][what] for what in cost["shared"]
        }
    return Result("halves", vars(args) | {"measure": "halves"}, means, cost, ratios)


def played(args: argparse.Namespace, seed: int) -> tuple[Vectors, Vectors]:
    """(rounds, peers, d) path gradients of length one of a federation that trains, and (peers, classes) their rows."""
    import torch

    from peerage.learning.learner import Learner, rows_of
    from peerage.learning.model import from_vector, to_vector
    from peerage.learning.scoring import path_gradient
    from peerage.learning.trainer import TrainSettings, draw_seed, train

    torch.set_num_threads(1)
    data = DataSettings(validation="private", partition=args.partition)
    federation = Federation(peers=args.peers, seed=seed + 1, data=data)
    rows = [rows_of(federation, peer, "honest") for peer in range(args.peers)]
    learner = Learner(federation, rows[0], 0, "honest", lambda _: None)
    learner.close()
    net, settings = learner.model, TrainSettings(2, 32, 0.1)
    model = to_vector(net)
    step = np.zeros_like(model)
    gradients: list[Vectors] = []
    for number in range(max(args.rounds)):
        base = (model + 0.9 * step).astype(np.float32)
        updates = []
        for peer in range(args.peers):
            from_vector(net, base)
            train(net, rows[peer].own, settings, draw_seed(seed, peer, number))
            updates.append(to_vector(net) - base)
        path = np.mean(updates, axis=0)
        step, model = base + path - model, base + path
        found = [path_gradient(net, base, path, mine.held_out) for mine in rows]
        gradients.append(np.stack([g / np.linalg.norm(g) for g in found]))
    mixes = np.stack([mine.held_out.class_counts() / len(mine.held_out) for mine in rows])
    return np.stack(gradients), mixes


def solved(gradients: Vectors, mixes: Vectors, seed: int, *, anew: bool) -> dict[str, float]:
    """Least squares for each peer's mean gradient from the sums of halves: how much of what is its own comes back.

    `cosine`: of its difference to the mean of all, found and true. `classes`: correlation of its last layer's bias, as
    found, with the classes of the rows that it holds back.
    """
    names = [sha256(b"peer", bytes([peer])) for peer in range(gradients.shape[1])]
    who, what = [], []
    for number, found in enumerate(gradients):
        drawn = draw(sha256(bytes([seed, number if anew else 0])), bytes(32), names, names)
        for half in drawn.members:
            inside = np.array([float(name in half) for name in names])
            who.append(inside)
            what.append(inside @ found)
    guess = np.linalg.pinv(np.array(who), rcond=1e-6) @ np.array(what)
    true = gradients.mean(axis=0)
    mine, theirs = guess - guess.mean(axis=0), true - true.mean(axis=0)
    cosines = np.sum(mine * theirs, axis=1) / (np.linalg.norm(mine, axis=1) * np.linalg.norm(theirs, axis=1) + 1e-12)
    biases, rare = mine[:, -mixes.shape[1] :], mixes - mixes.mean(axis=0)
    classes = [float(np.corrcoef(one, other)[0, 1]) for one, other in zip(biases, rare, strict=True)]
    return {
        "rank": float(np.linalg.matrix_rank(np.array(who))),
        "cosine": float(cosines.mean()),
        "classes": float(np.mean(classes)),
    }


def costs(args: argparse.Namespace, kind: Literal["shared", "private"]) -> dict[str, float]:
    """Of one real run: bytes sent and seconds of scoring, a peer and round; seconds of the run, a round."""
    settings = Federation(
        peers=args.peers,
        rounds=args.real,
        data=DataSettings(validation=kind, partition=args.partition),
        ledger=LedgerSettings(engine="embedded"),
        emissions=EmissionSettings(country="DEU"),
    )
    with real_run(settings) as run:
        lines = [line for lines in run.metrics.values() for line in lines]
        return {
            "bytes_sent_a_peer_and_round": fmean(line.bytes_sent for line in lines),
            "seconds_of_scores_a_peer_and_round": fmean(line.seconds.get("score", 0.0) for line in lines),
            "seconds_a_round": run.summary.seconds.total / args.real,
        }
