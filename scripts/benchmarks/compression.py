"""`compression`: accuracy for bytes, where a round exchanges a part of each update or fewer bits of it.

In one process, on the integers that masks hide and with the merge that peers and audit compute. Bytes are those of one
peer's masked vector; statements, keys and directions come on top and are the same everywhere.
"""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.patterns import accuracies, settings, site, spread
from benchmarks.result import Result, say

if TYPE_CHECKING:
    import argparse

    from peerage.config import Federation

WAYS = {
    "all, 32 bits": "",
    "all, 16 bits": "[masking]\nring_bits = 16",
    "0.5": "[masking]\nrandom_k = 0.5",
    "0.25": "[masking]\nrandom_k = 0.25",
    "0.1": "[masking]\nrandom_k = 0.1",
    "0.05": "[masking]\nrandom_k = 0.05",
    "0.25, 16 bits": "[masking]\nring_bits = 16\nrandom_k = 0.25",
}
PARTITIONS = ("dirichlet:0.5", "dirichlet:0.1")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("compression", help="random-k and 16-bit rings: accuracy for bytes, over seeds")
    parser.add_argument("--peers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--target", type=float, default=0.85, help="accuracy to which bytes are counted")
    parser.add_argument("--partitions", nargs="+", default=list(PARTITIONS))
    parser.add_argument("--data-dir", default="", help="train on MNIST: the folder with its IDX files")
    parser.add_argument("--only", nargs="+", choices=WAYS, help="these ways")
    parser.add_argument("--quick", action="store_true", help="1 seed, 6 rounds")
    parser.set_defaults(measure=measure)


def measure(args: argparse.Namespace) -> Result:
    import torch

    torch.set_num_threads(1)
    seeds, rounds = (1, 6) if args.quick else (args.seeds, args.rounds)
    ways = {name: WAYS[name] for name in args.only or WAYS}
    source = args.data_dir or "digits"
    ours: dict[str, Any] = {}
    for spec in args.partitions:
        runs: dict[str, list[list[float]]] = {}
        for seed in range(seeds):
            for name, lines in ways.items():
                federation = settings(lines, args.peers, rounds, spec, seed, source)
                runs.setdefault(name, []).append(accuracies(federation))
            say(f"compression: {spec}, seed {seed}: {', '.join(f'{n} {100 * r[-1][-1]:.1f}' for n, r in runs.items())}")
        ours[spec] = {
            name: told(runs[name], sent(settings(lines, args.peers, rounds, spec, 0, source)), args.target)
            for name, lines in ways.items()
        }
    base = next(iter(ways))
    ratios = {
        f"bytes to {args.target:g}, {spec}, {name} / {base}": one["bytes_to_target"] / found[base]["bytes_to_target"]
        for spec, found in ours.items()
        for name, one in found.items()
        if name != base
    }
    return Result(
        "compression",
        {
            "data": "mnist" if args.data_dir else "digits",
            "peers": args.peers,
            "rounds": rounds,
            "seeds": seeds,
            "target": args.target,
            "lines": ways,
        },
        ours,
        {spec: {base: ours[spec][base]} for spec in args.partitions},
        ratios,
        notes=(
            "Test accuracy of the common model, mean and standard deviation over seeds; bytes of one peer's vectors.",
            "A run that does not reach the target counts with all of its rounds; `missed` says how many did not.",
        ),
    )


def sent(federation: Federation) -> int:
    """Bytes of one masked vector."""
    from peerage.learning.model import to_vector
    from peerage.rounds.grid import grid_of
    from peerage.rounds.sampling import sampling_of

    grid = grid_of(federation.masking)
    size = to_vector(site(federation)[2]).size
    return grid.length(sampling_of(federation).exchanged(size)) * grid.ring.word_bytes


def told(runs: list[list[float]], a_round: int, target: float) -> dict[str, Any]:
    """Of one way: where it ends, and what it costs until the target."""
    until = [next((k for k, accuracy in enumerate(run, 1) if accuracy >= target), 0) for run in runs]
    rounds = fmean(k or len(run) for k, run in zip(until, runs, strict=True))
    return {
        "final": spread([run[-1] for run in runs]),
        "bytes_a_round": a_round,
        "rounds_to_target": rounds,
        "bytes_to_target": rounds * a_round,
        "missed": until.count(0),
    }
