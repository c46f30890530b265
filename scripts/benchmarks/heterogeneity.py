"""`heterogeneity`: what each local correction of skewed labels brings and costs, seed by seed against going without.

The same federations as `patterns` plays, one line of `[training]` apart; energy is what our own meter counts of the
process (its dynamic part: idle power belongs to whoever else uses the host meanwhile).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from benchmarks.patterns import accuracies, learnt, settings, walls_of
from benchmarks.result import Result, say

if TYPE_CHECKING:
    import argparse

    from peerage.config import Federation
    from peerage.emissions import HostProbe

GENERATOR_ROUNDS = 10
GENERATOR_RATE = "learning_rate = 0.3\n"
BASES = {"plain averaging": '[merge]\noptimiser = "fedavg"\n[training]\n', "default": "[training]\n"}
METHODS = {
    "nothing": "",
    "logit adjustment 0.5": "logit_adjustment = 0.5\n",
    "logit adjustment 1": "logit_adjustment = 1.0\n",
    "oversample": 'augment = "oversample"\n',
    "both": 'logit_adjustment = 1.0\naugment = "oversample"\n',
    "mixup": 'augment = "mixup"\n',
    "shifts": 'augment = "shifts"\n',
    "generated": 'augment = "generated"\ngenerator = "{generator}"\n',
    "generator": '[model]\nkind = "generator"\n',
}


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("heterogeneity", help="local corrections of skewed labels, against going without")
    parser.add_argument("--peers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--partition", default="dirichlet:0.1")
    parser.add_argument("--data-dir", default="digits", help="MNIST instead: the folder with its IDX files")
    parser.add_argument("--records", type=int, default=0, help="of MNIST, so many for training")
    parser.add_argument("--only", nargs="+", choices=METHODS, help="these, and nothing")
    parser.set_defaults(measure=measure)


def measure(args: argparse.Namespace) -> Result:
    import torch

    from peerage.emissions.codecarbon_door import probe_host

    torch.set_num_threads(1)
    probe = probe_host()
    methods = {name: METHODS[name] for name in dict.fromkeys(("nothing", *(args.only or METHODS)))}
    ours: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    for base, head in BASES.items():
        found: dict[str, list[tuple[list[float], float]]] = {name: [] for name in methods}
        for seed in range(args.seeds):
            for name, lines in methods.items():
                found[name].append(played(head + lines, args, seed, probe))
            told = ", ".join(f"{name} {100 * runs[-1][0][-1]:.1f}" for name, runs in found.items())
            say(f"heterogeneity: {base}, seed {seed}: {told}")
        ours[base] = {name: figures(runs, found["nothing"]) for name, runs in found.items()}
        for name in methods:
            ratios[f"joules, {base}, {name} / nothing"] = ours[base][name]["joules"] / ours[base]["nothing"]["joules"]
    walls = [walls_of(federation_of("", args, seed)) for seed in range(args.seeds)]
    return Result(
        "heterogeneity",
        {
            "data": "digits" if args.data_dir == "digits" else f"MNIST, {args.records or 'all'} records",
            "peers": args.peers,
            "rounds": args.rounds,
            "seeds": args.seeds,
            "partition": args.partition,
            "lines": methods,
        },
        ours,
        {"local_only": spread([one for one, _ in walls]), "pooled": spread([one for _, one in walls])},
        ratios,
        notes=(
            "Test accuracy, mean and sample standard deviation over seeds; gain: seed by seed over nothing.",
            "larger_than_spread: the mean gain is more than the larger of the two standard deviations over seeds.",
            "rounds_to_nothing: until the accuracy that nothing ends with; joules: dynamic, all peers, whole run.",
            "Label counts stay with each peer. A generator is a model; its joules are in those of `generated`.",
        ),
    )


def played(lines: str, args: argparse.Namespace, seed: int, probe: HostProbe) -> tuple[list[float], float]:
    """(accuracy after each round, dynamic joules); with those of the generator where a run draws from one."""
    from peerage.contrast.amounts import metered
    from peerage.emissions import Meter

    meter = Meter(probe, bytes(20), reserved_ppm=1_000_000)
    meter.enter("train")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        if "{generator}" in lines:
            write_generator(file, args, seed)
        told = lines.replace("{generator}", str(file))
        curve = accuracies(federation_of(told, args, seed))
    return curve, metered([meter.close_round(1)]).cpu_dyn.uj / 1e6


def federation_of(lines: str, args: argparse.Namespace, seed: int, rounds: int = 0) -> Federation:
    return settings(lines, args.peers, rounds or args.rounds, args.partition, seed, args.data_dir, args.records)


def write_generator(file: Path, args: argparse.Namespace, seed: int) -> None:
    """The model of a federation of the same peers that ran before."""
    from peerage.learning.model import layout, save_safetensors, to_vector

    lines = BASES["default"] + GENERATOR_RATE + METHODS["generator"]
    _, model = learnt(federation_of(lines, args, seed, GENERATOR_ROUNDS))
    save_safetensors(file, layout(model), to_vector(model))


def figures(runs: list[tuple[list[float], float]], without: list[tuple[list[float], float]]) -> dict[str, Any]:
    finals, bases = [curve[-1] for curve, _ in runs], [curve[-1] for curve, _ in without]
    quarters = [curve[len(curve) // 4 - 1] for curve, _ in runs]
    early = [curve[len(curve) // 4 - 1] for curve, _ in without]
    pairs = zip(runs, bases, strict=True)
    reached = [next((n for n, a in enumerate(curve, 1) if a >= base), len(curve) + 1) for (curve, _), base in pairs]
    joules = [spent for _, spent in runs]
    return {
        "final": spread(finals),
        "gain": spread([one - base for one, base in zip(finals, bases, strict=True)]),
        "larger_than_spread": beyond(finals, bases),
        "after_a_quarter": spread(quarters),
        "gain_after_a_quarter": spread([one - base for one, base in zip(quarters, early, strict=True)]),
        "early_larger_than_spread": beyond(quarters, early),
        "rounds_to_nothing": spread([float(n) for n in reached]),
        "joules": fmean(joules),
        "joules_to_nothing": fmean(
            spent * min(n, len(c)) / len(c) for (c, spent), n in zip(runs, reached, strict=True)
        ),
    }


def beyond(ones: list[float], others: list[float]) -> bool:
    return abs(fmean(ones) - fmean(others)) > max(spread(ones)["sd"], spread(others)["sd"])


def spread(values: list[float]) -> dict[str, float]:
    return {"mean": fmean(values), "sd": stdev(values) if len(values) > 1 else 0.0}
