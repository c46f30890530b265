"""`patterns`: what each pattern of docs/patterns.md brings and costs, against pooled and local-only training.

In one process, on the integers that masks hide and with the merge that peers and audit compute. A pattern is its line
of `federation.toml`; all of them get the same rows, the same seeds, as many rounds and epochs.
"""

from __future__ import annotations

from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from benchmarks import braintorrent
from benchmarks.result import Result, say

if TYPE_CHECKING:
    import argparse

    from torch import nn

    from peerage.config import Federation
    from peerage.learning.data import Dataset, Splits

OPTIMISERS = {
    "fedavg": '[merge]\noptimiser = "fedavg"',
    "momentum": '[merge]\noptimiser = "momentum"',
    "nesterov (default)": '[merge]\noptimiser = "nesterov"',
    "fedadam": '[merge]\noptimiser = "fedadam"',
    "fedyogi": '[merge]\noptimiser = "fedyogi"',
    "scaffold": '[training]\nscaffold = true\n[merge]\noptimiser = "fedavg"',
    "scaffold, nesterov": "[training]\nscaffold = true",
    "fedprox": '[merge]\noptimiser = "fedavg"\n[training]\nproximal = 0.1',
}
RATES = (0.01, 0.03, 0.1, 0.3)
MUS = (0.01, 0.1, 1.0)
PARTITIONS = ("iid", "dirichlet:0.5", "dirichlet:0.1")


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("patterns", help="each optimiser of the merge over seeds, IID and skewed")
    parser.add_argument("--peers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--partitions", nargs="+", default=list(PARTITIONS))
    parser.add_argument("--data-dir", default="", help="train on MNIST: the folder with its IDX files")
    parser.add_argument("--only", nargs="+", choices=OPTIMISERS, help="these patterns")
    parser.add_argument(
        "--rates", action="store_true", help="the adaptive ones at several rates, FedProx at several mu"
    )
    parser.add_argument("--quick", action="store_true", help="2 seeds, 6 rounds")
    parser.set_defaults(measure=measure)


def chosen(args: argparse.Namespace) -> dict[str, str]:
    """The lines of each pattern."""
    if not args.rates:
        return {name: OPTIMISERS[name] for name in args.only or OPTIMISERS}
    swept = {
        f"{kind} {r:g}": f"{OPTIMISERS[kind]}\nlearning_rate = {r}" for kind in ("fedadam", "fedyogi") for r in RATES
    }
    proximal = {f"fedprox {mu:g}": f'[merge]\noptimiser = "fedavg"\n[training]\nproximal = {mu}' for mu in MUS}
    return {"fedavg": OPTIMISERS["fedavg"], **swept, **proximal}


def measure(args: argparse.Namespace) -> Result:
    import torch

    torch.set_num_threads(1)
    seeds, rounds = (2, 6) if args.quick else (args.seeds, args.rounds)
    ours: dict[str, Any] = {}
    yardsticks: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    for spec in args.partitions:
        found: dict[str, list[list[float]]] = {}
        walls: list[tuple[float, float]] = []
        torrents: list[tuple[float, float]] = []
        for seed in range(seeds):
            for name, lines in chosen(args).items():
                federation = settings(lines, args.peers, rounds, spec, seed, args.data_dir or "digits")
                found.setdefault(name, []).append(accuracies(federation))
            walls.append(walls_of(federation))
            torrents.append(braintorrent.play(plain(federation)))
            told = ", ".join(f"{name} {100 * runs[-1][-1]:.1f}" for name, runs in found.items())
            lone, whole = (100 * wall for wall in walls[-1])
            torrent = 100 * torrents[-1][1]
            told += f"; alone {lone:.1f}, pooled {whole:.1f}, BrainTorrent {torrent:.1f}"
            say(f"patterns: {spec}, seed {seed}: {told}")
        alone, pooled = ([wall[k] for wall in walls] for k in (0, 1))
        yardsticks[spec] = {
            "local_only": spread(alone),
            "pooled": spread(pooled),
            "braintorrent": spread([mean for _, mean in torrents]),
            "braintorrent_peers": spread([own for own, _ in torrents]),
        }
        ours[spec] = {
            name: {
                "final": spread([run[-1] for run in runs]),
                "after_a_quarter": spread([run[len(run) // 4 - 1] for run in runs]),
                "over_fedavg": spread([run[-1] - base[-1] for run, base in zip(runs, found["fedavg"], strict=True)])
                if "fedavg" in found
                else None,
            }
            for name, runs in found.items()
        }
        way = fmean(pooled) - fmean(alone)
        for name, runs in found.items():
            ratios[f"share of the gap, {spec}, {name}"] = (fmean([run[-1] for run in runs]) - fmean(alone)) / way
    training = federation.training
    return Result(
        "patterns",
        {
            "data": "mnist" if args.data_dir else "digits",
            "peers": args.peers,
            "rounds": rounds,
            "seeds": seeds,
            "epochs": training.epochs,
            "batch_size": training.batch_size,
            "learning_rate": training.learning_rate,
            "lines": chosen(args),
        },
        ours,
        yardsticks,
        ratios,
        notes=(
            "Test accuracy of the common model, mean and standard deviation over seeds; over_fedavg: seed by seed.",
            "Alone and pooled train as many epochs as a federated peer does.",
        ),
    )


def spread(values: list[float]) -> dict[str, float]:
    return {"mean": fmean(values), "sd": pstdev(values)}


def settings(
    lines: str, peers: int, rounds: int, spec: str, seed: int, source: str = "digits", records: int = 0
) -> Federation:
    """A federation of these lines, checked as any other. `source`: digits, or the folder with MNIST's files, of which
    the first `records` are taken, or all.
    """
    from peerage.config_toml import parse_federation

    mnist = f"mnist:{records}" if records else "mnist"
    data = "" if source == "digits" else f'source = "{mnist}", data_dir = "{source}", '
    head = f'peers = {peers}\nrounds = {rounds}\nseed = {seed}\ndata = {{ {data}partition = "{spec}" }}\n'
    return parse_federation(head + lines, where="the pattern")


def site(federation: Federation) -> tuple[Splits, list[Dataset], nn.Module]:
    """The rows, each peer's part of them, and the first model."""
    from peerage.learning.architectures import first_model
    from peerage.learning.data import load
    from peerage.learning.partitions import partition

    data, seed = federation.data, federation.seed
    splits = load(data.source, seed, data_dir=data.data_dir)
    drawn = partition(splits.train.labels, data.partition, federation.peers, seed)
    model = first_model(federation, splits.train.input_shape, len(splits.train.classes))
    return splits, [splits.train.take(rows) for rows in drawn], model


def plain(federation: Federation) -> Federation:
    """The same peers and rows without any pattern: what the yardsticks train."""
    from msgspec.structs import replace

    from peerage.config import MergeSettings, TrainSettings

    t = federation.training
    alike = TrainSettings(epochs=t.epochs, batch_size=t.batch_size, learning_rate=t.learning_rate)
    return replace(federation, training=alike, merge=MergeSettings())


def accuracies(federation: Federation) -> list[float]:
    """Test accuracy of the common model after each round."""
    return learnt(federation)[0]


def learnt(federation: Federation) -> tuple[list[float], nn.Module]:
    """Test accuracy of the common model after each round, and the last one."""
    from dataclasses import replace
    from pathlib import Path

    import numpy as np

    from peerage.learning.generator import load_generator
    from peerage.learning.model import from_vector, to_vector
    from peerage.learning.trainer import draw_seed, evaluate, settings_of, train
    from peerage.rounds.aggregation import masked_input, metrics, update_of
    from peerage.rounds.grid import grid_of
    from peerage.rounds.merging import Merging
    from peerage.rounds.optimisers import agreed_optimiser
    from peerage.rounds.sampling import only, put, sampling_of
    from peerage_crypto.digest import tagged
    from peerage_ledger.judgement import genesis

    seed = federation.seed
    splits, parts, model = site(federation)
    settings, grid = settings_of(federation.training), grid_of(federation.masking)
    if federation.training.generator:
        settings = replace(settings, generator=load_generator(Path(federation.training.generator), splits.train))
    optimiser, sampling = agreed_optimiser(federation), sampling_of(federation)
    waiting = [np.zeros(to_vector(model).size, np.float32) for _ in parts]  # what no round has exchanged yet
    usual: list[np.ndarray | None] = [None] * len(parts)
    merging, told = Merging(grid, optimiser, sampling=sampling), list[float]()
    standing = genesis(b"", to_vector(model), b"")
    for number in range(1, federation.rounds + 1):
        start, total = optimiser.training_start(standing.model, standing.step), None
        kept = sampling.kept(standing)
        for peer, rows in enumerate(parts):
            from_vector(model, start + waiting[peer])
            correction = optimiser.correction(standing.state, usual[peer], start.size)
            train(model, rows, settings, draw_seed(seed, peer, number), correction)
            dither = tagged("patterns", seed.to_bytes(8, "big"), peer.to_bytes(4, "big"), number.to_bytes(8, "big"))
            local = to_vector(model)
            update = update_of(only(local, kept), only(start, kept), grid, dither)
            waiting[peer] = put(local - start, np.zeros_like(start), kept)
            if optimiser.variates:
                usual[peer] = optimiser.moved(standing.state, usual[peer], update.units / 2.0**grid.frac_bits)
            vector = masked_input(update, metrics(len(rows), 0, 0.0), grid)
            total = vector if total is None else total + vector
        assert total is not None
        merged = merging.merge(standing, [total], [len(parts)])
        assert not isinstance(merged, str), merged
        step = (merged.model.astype(np.float64) - standing.model.astype(np.float64)).astype(np.float32)
        seed_of_round = tagged("patterns/round", seed.to_bytes(8, "big"), number.to_bytes(8, "big"))
        standing = replace(standing, model=merged.model, step=step, state=merged.state, seed=seed_of_round)
        from_vector(model, merged.model)
        told.append(evaluate(model, splits.test).accuracy)
    return told, model


def walls_of(federation: Federation) -> tuple[float, float]:
    """Mean accuracy of peers that train alone, and of one that has all rows."""
    from peerage.learning import baselines
    from peerage.learning.model import to_vector
    from peerage.learning.trainer import TrainSettings

    seed, t = federation.seed, federation.training
    splits, parts, model = site(federation)
    start, settings = to_vector(model), TrainSettings(t.epochs, t.batch_size, t.learning_rate)
    rounds = federation.rounds
    alone = baselines.local_only(model, start, parts, splits.test, settings, rounds=rounds, seed=seed)
    return fmean(alone), baselines.pooled(model, start, parts, splits.test, settings, rounds=rounds, seed=seed)
