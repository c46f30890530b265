"""`topologies`: plain exchange over graphs: accuracy of the peers' own models, how far apart they are, bytes.

In one process, with the graphs and the merge that peers and audit compute; every peer merges, then trains, as often.
"""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.patterns import settings, site, spread
from benchmarks.result import Result, say

if TYPE_CHECKING:
    import argparse

    from peerage.config import Federation

GRAPHS = ("all", "ring", "line", "star", "regular:4", "random:0.6", "sample:2", "pairs")
PARTITIONS = ("dirichlet:0.5", "dirichlet:0.1")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("topologies", help="graphs of plain exchange: accuracy, consensus, bytes")
    parser.add_argument("--peers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--partitions", nargs="+", default=list(PARTITIONS))
    parser.add_argument("--only", nargs="+", choices=GRAPHS, help="these graphs")
    parser.set_defaults(measure=measure)


def measure(args: argparse.Namespace) -> Result:
    import torch

    from peerage.plain.topology import spectral_gap, topology_of

    torch.set_num_threads(1)
    graphs = tuple(args.only or GRAPHS)
    ours: dict[str, Any] = {}
    for spec in args.partitions:
        runs: dict[str, list[dict[str, float]]] = {}
        for seed in range(args.seeds):
            for graph in graphs:
                runs.setdefault(graph, []).append(played(of(graph, args, spec, seed)))
            ends = {graph: 100 * found[-1]["mean"] for graph, found in runs.items()}
            say(f"topologies: {spec}, seed {seed}: {', '.join(f'{name} {end:.1f}' for name, end in ends.items())}")
        ours[spec] = {
            graph: {key: spread([one[key] for one in each]) for key in each[0]} for graph, each in runs.items()
        }
    gaps: dict[str, float] = {}
    for graph in graphs:
        topology = topology_of(of(graph, args, args.partitions[0], 0))
        if topology is None or not topology.dynamic:
            gaps[graph] = 1.0 if topology is None else spectral_gap(topology.mixing())
    base = graphs[0]
    ratios = {
        f"bytes, {graph} / {base}": one["megabytes"]["mean"] / ours[args.partitions[0]][base]["megabytes"]["mean"]
        for graph, one in ours[args.partitions[0]].items()
        if graph != base
    }
    return Result(
        "topologies",
        {"peers": args.peers, "rounds": args.rounds, "seeds": args.seeds, "spectral_gap": gaps},
        ours,
        {spec: {base: found[base]} for spec, found in ours.items()},
        ratios,
        notes=(
            "Of the peers' models after their last merge: mean and least test accuracy, accuracy of their mean, and",
            "the distance to it over its length. Megabytes that all peers pulled. Spectral gap: seed 0, equal rows.",
        ),
    )


def of(graph: str, args: argparse.Namespace, spec: str, seed: int) -> Federation:
    """Plain exchange over this graph."""
    from msgspec.structs import replace

    masked = settings("", args.peers, args.rounds, spec, seed)
    return replace(masked, exchange="plain", merge=replace(masked.merge, graph=graph))


def played(federation: Federation) -> dict[str, float]:
    """Every peer merges with its neighbours and trains on, `rounds` times."""
    import numpy as np

    from peerage.learning.model import from_vector, to_vector
    from peerage.learning.trainer import draw_seed, evaluate, settings_of, train
    from peerage.plain.rules import FEDAVG
    from peerage.plain.topology import consensus_distance, topology_of

    splits, parts, model = site(federation)
    topology, n = topology_of(federation), federation.peers
    models, pulled = [to_vector(model)] * n, 0
    for merge in range(1, federation.rounds + 1):
        trained = []
        for peer, rows in enumerate(parts):
            from_vector(model, models[peer])
            train(model, rows, settings_of(federation.training), draw_seed(federation.seed, peer, merge), None)
            trained.append(to_vector(model))
        models = []
        for peer in range(n):
            near = topology.neighbours(peer, merge) if topology else frozenset(range(n)) - {peer}
            taken = sorted({peer, *near})
            own = taken.index(peer)
            models.append(FEDAVG([trained[p] for p in taken], [len(parts[p]) for p in taken], own, merge))
            pulled += 4 * trained[peer].size * len(near)

    def right(vector: np.ndarray) -> float:
        from_vector(model, vector)
        return evaluate(model, splits.test).accuracy

    own = [right(vector) for vector in models]
    middle = np.mean([vector.astype(np.float64) for vector in models], axis=0).astype(np.float32)
    return {
        "mean": fmean(own),
        "least": min(own),
        "of_the_mean": right(middle),
        "apart": consensus_distance(models) / float(np.linalg.norm(middle)),
        "megabytes": pulled / 1e6,
    }
