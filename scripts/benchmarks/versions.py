"""`versions`: several models in one where there are several kinds of peers, and a private choice among finished ones.

In one process, as `personal`. Peers of a kind number the ten classes alike, another kind in another order: what is
right for one kind is wrong for the other, and nobody is told which peer is of which kind.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.patterns import settings, spread
from benchmarks.personal import UNSCORED, played
from benchmarks.result import Result, say

if TYPE_CHECKING:
    import argparse

    from benchmarks.personal import Played
    from peerage.config import Federation

TASKS = {
    "one kind": ("iid", 1),
    "two kinds": ("iid", 2),
    "three kinds": ("iid", 3),
    "two, unlike": ("dirichlet:0.5", 2),
}
CLUSTERS = (2, 4, 8)
LONE = f"{UNSCORED}[privacy]\nlone_versions = true\n"
FOUND = 10  # points above one model, from which the kinds count as told apart


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("versions", help="clusters of peers and a deployment selector, over seeds")
    parser.add_argument("--peers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="1 seed, 6 rounds")
    parser.set_defaults(measure=measure)


def measure(args: argparse.Namespace) -> Result:
    import torch

    torch.set_num_threads(1)
    seeds, rounds = (1, 6) if args.quick else (args.seeds, args.rounds)
    ours: dict[str, Any] = {}
    yardsticks: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    for task, (spec, kinds) in TASKS.items():
        found: dict[str, list[float]] = {}
        chosen: list[tuple[float, float]] = []
        for seed in range(seeds):
            finished: dict[str, Played] = {}
            for name, lines in ways().items():
                federation = settings(lines, args.peers, rounds, spec, seed)
                finished[name] = played(federation, kinds=kinds, together=name != "alone", everything=True)
                found.setdefault(name, []).append(finished[name].own())
            chosen.append(selected(settings(UNSCORED, args.peers, rounds, spec, seed), finished))
            said = ", ".join(f"{name} {100 * values[-1]:.1f}" for name, values in found.items())
            say(f"versions: {task}, seed {seed}: {said}; selector {100 * chosen[-1][1]:.1f}")
        one = found["one model"]
        yardsticks[task] = {name: spread(found.pop(name)) for name in ("alone", "one model")}
        ours[task] = {
            name: {**spread(values), "told apart": sum(100 * (a - b) > FOUND for a, b in zip(values, one, strict=True))}
            for name, values in found.items()
        }
        ours[task]["selector"] = {
            "best single version": spread([single for single, _ in chosen]),
            "each its own": spread([own for _, own in chosen]),
        }
        ratios[f"points that the choice is worth, {task}"] = 100 * sum(own - one for one, own in chosen) / len(chosen)
    return Result(
        "versions",
        {"data": "digits", "peers": args.peers, "rounds": rounds, "seeds": seeds},
        ours,
        yardsticks,
        ratios,
        notes=(
            "Mean over peers of each one's own model, fine-tuned once more, on all test rows in its kind's numbers.",
            f"Told apart: seeds in which that is more than {FOUND} points above one model.",
            "Selector: candidates are the one model and four versions of clusters, chosen by a tenth of a peer's rows.",
        ),
    )


def ways() -> dict[str, str]:
    clusters = {f"clusters = {count}": f"{LONE}[model]\nclusters = {count}\n" for count in CLUSTERS}
    return {"alone": UNSCORED, "one model": UNSCORED, **clusters}


def selected(federation: Federation, finished: dict[str, Played]) -> tuple[float, float]:
    """(of the best single version, of each peer's own choice): mean accuracy over peers on all test rows, before any
    fine-tune.
    """
    import numpy as np

    from peerage.learning.architectures import first_model
    from peerage.learning.data import carve
    from peerage.learning.learner import HOLDOUT
    from peerage.learning.model import layout, save_safetensors
    from peerage.learning.trainer import evaluate
    from peerage.learning.versions import Selector, load_candidates

    with tempfile.TemporaryDirectory() as folder:
        paths: list[Path] = []
        for number, name in enumerate(("one model", "clusters = 4")):
            paths.append(Path(folder) / f"{number}.safetensors")
            save_safetensors(paths[-1], layout(finished[name].first), finished[name].model)
        done = finished["one model"]
        shape, classes = done.all_tests.input_shape, len(done.all_tests.classes)
        candidates = load_candidates(paths, lambda: first_model(federation, shape, classes))
    selector = Selector(candidates)
    under: list[list[float]] = []
    own: list[float] = []
    for name, rows, tests in zip(federation.peer_names(), done.parts, done.tests, strict=True):
        selector.decide(carve(rows, HOLDOUT, federation.seed, f"held out by {name}")[1])
        under.append([evaluate(candidate, tests).accuracy for candidate in candidates])
        own.append(under[-1][selector.chosen])
    return float(np.mean(under, axis=0).max()), float(np.mean(own))
