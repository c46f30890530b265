"""`personal`: what heads of their own bring peers whose tasks differ, and what adapters beside a frozen base cost.

In one process, on the integers that masks hide and with the merge that peers and audit compute. What counts is each
peer's own model: the last common one, fine-tuned once more on its rows, on the test rows of its own classes.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from benchmarks.patterns import learnt, settings, site, spread
from benchmarks.result import Result, say

if TYPE_CHECKING:
    import argparse

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from peerage.config import Federation
    from peerage.learning.data import Dataset

UNSCORED = '[scores]\nopenings = "off"\n'
WAYS = {
    "one model": "",
    "head stays": UNSCORED + '[model]\nlocal = ["head"]',
    "head first, then trunk": UNSCORED + '[model]\nlocal = ["head"]\n[training]\nhead_epochs = 2',
}
TASKS = ("dirichlet:0.5", "shards:2", "dirichlet:0.5, labels of their own")
ANSWERED = "dirichlet:0.1"
CORRECTED = 'augment = "oversample"\nlogit_adjustment = 1.0\n'
RANKS = (1, 4, 16)
SEEN = 5  # classes that the base of the adapters has learnt, of ten


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("personal", help="heads of their own and adapters, over seeds")
    parser.add_argument("--peers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="1 seed, 3 rounds")
    parser.set_defaults(measure=measure)


def measure(args: argparse.Namespace) -> Result:
    import torch

    torch.set_num_threads(1)
    seeds, rounds = (1, 3) if args.quick else (args.seeds, args.rounds)
    ours: dict[str, Any] = {}
    yardsticks: dict[str, Any] = {}
    for task in TASKS:
        spec, permuted = task.partition(",")[0], "labels" in task
        found: dict[str, list[float]] = {}
        for seed in range(seeds):
            for name, lines in WAYS.items():
                federation = settings(lines, args.peers, rounds, spec, seed)
                found.setdefault(name, []).append(own_models(federation, permuted=permuted)[0])
            alone = settings("", args.peers, rounds, spec, seed)
            found.setdefault("alone", []).append(own_models(alone, permuted=permuted, together=False)[0])
            say(f"personal: {task}, seed {seed}: {', '.join(f'{n} {100 * v[-1]:.1f}' for n, v in found.items())}")
        yardsticks[task] = {"alone": spread(found.pop("alone"))}
        ours[task] = {name: spread(values) for name, values in found.items()}
    ours["adapters"] = adapters(args.peers, rounds, seeds)
    ours["answers"] = answers(args.peers, rounds, seeds)
    ratios = {
        f"points over one model, {task}, {name}": 100 * (ours[task][name]["mean"] - ours[task]["one model"]["mean"])
        for task in TASKS
        for name in list(WAYS)[1:]
    }
    return Result(
        "personal",
        {"data": "digits", "peers": args.peers, "rounds": rounds, "seeds": seeds, "lines": WAYS},
        ours,
        yardsticks,
        ratios,
        notes=(
            "Mean over peers of each one's own model on test rows of its own classes; mean and deviation over seeds.",
            "Labels of their own: each peer numbers the ten classes in an order of its own.",
        ),
    )


def answers(peers: int, rounds: int, seeds: int) -> dict[str, Any]:
    """Own models on test rows of all classes, where answers to common questions are exchanged; floats a round."""
    found: dict[str, tuple[list[float], int]] = {}
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            ways = write_questions(Path(folder), peers, seed)
            for name, lines in {"alone": UNSCORED, **ways}.items():
                federation = settings(lines, peers, rounds, ANSWERED, seed)
                accuracy, floats = own_models(federation, together=name != "alone", everything=True)
                found.setdefault(name, ([], floats if name != "alone" else 0))[0].append(accuracy)
        say(f"personal: answers, seed {seed}: {', '.join(f'{n} {100 * v[0][-1]:.1f}' for n, v in found.items())}")
    return {name: {**spread(values), "floats": floats} for name, (values, floats) in found.items()}


def write_questions(folder: Path, peers: int, seed: int) -> dict[str, str]:
    """The lines of each way; the public rows of the data set, and a generator that the same peers have trained."""
    import numpy as np

    from peerage.learning.model import layout, save_safetensors, to_vector

    maker = settings('[training]\nlearning_rate = 0.3\n[model]\nkind = "generator"\n', peers, 10, ANSWERED, seed)
    _, generator = learnt(maker)
    save_safetensors(folder / "drawn.safetensors", layout(generator), to_vector(generator))
    public = site(maker)[0].validation
    assert public is not None
    np.savez(folder / "public.npz", features=public.features)
    ways = {"public questions": folder / "public.npz", "drawn questions": folder / "drawn.safetensors"}
    bare = {name: f'{UNSCORED}[model]\nquestions = "{file}"\n' for name, file in ways.items()}
    corrected = {f"{name}, corrected": f"{lines}[training]\n{CORRECTED}" for name, lines in bare.items()}
    return bare | corrected


def adapters(peers: int, rounds: int, seeds: int) -> dict[str, Any]:
    """All classes learnt from a base that knows half of them: test accuracy of the common model, floats a round."""
    found: dict[str, tuple[list[float], int]] = {}
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder) / "base.safetensors"
            write_base(base, settings("", peers, rounds, "dirichlet:0.5", seed))
            ways = {"all of the base's copy": ("", str(base))} | {
                f"rank {r}": (f'[model]\nadapters = {r}\nbase = "{base}"', "") for r in RANKS
            }
            for name, (lines, start) in ways.items():
                federation = settings(lines, peers, rounds, "dirichlet:0.5", seed)
                done = played(federation, base=start)
                found.setdefault(name, ([], len(done.model)))[0].append(done.common())
        say(f"personal: adapters, seed {seed}: {', '.join(f'{n} {100 * v[0][-1]:.1f}' for n, v in found.items())}")
    return {name: {**spread(values), "floats": floats} for name, (values, floats) in found.items()}


def write_base(path: Path, federation: Federation) -> None:
    """A model trained in one place on the first classes only."""
    import numpy as np

    from peerage.learning.model import layout, save_safetensors, to_vector
    from peerage.learning.trainer import TrainSettings, train

    splits, _, model = site(federation)
    known = splits.train.take(np.flatnonzero(splits.train.labels < SEEN))
    train(model, known, TrainSettings(epochs=20), federation.seed)
    save_safetensors(path, layout(model), to_vector(model))


@dataclass(frozen=True)
class Played:
    """Each peer's own model at the end, its rows, and test rows of its kind; the first model, and the common vector."""

    nets: list[nn.Module]
    parts: list[Dataset]
    tests: list[Dataset]
    first: nn.Module
    model: NDArray[np.float32]
    all_tests: Dataset

    def own(self) -> float:
        """Mean over peers of each one's own model."""
        from peerage.learning.trainer import evaluate

        return fmean(evaluate(net, test).accuracy for net, test in zip(self.nets, self.tests, strict=True))

    def common(self) -> float:
        """The merged model on all rows."""
        from peerage.learning.model import from_vector
        from peerage.learning.trainer import evaluate

        from_vector(self.first, self.model)
        return evaluate(self.first, self.all_tests).accuracy


def own_models(
    federation: Federation, *, permuted: bool = False, together: bool = True, everything: bool = False
) -> tuple[float, int]:
    """(mean accuracy of the own models, floats exchanged); `permuted`: each peer numbers the classes for itself."""
    kinds = federation.peers if permuted else 1
    found = played(federation, kinds=kinds, together=together, everything=everything)
    return found.own(), len(found.model)


def played(
    federation: Federation, *, kinds: int = 1, together: bool = True, base: str = "", everything: bool = False
) -> Played:
    """A federation in one process. Peers of one of the `kinds` number the classes alike; `everything`: each is judged
    on all test rows, not on those of its own classes.
    """
    from copy import deepcopy
    from dataclasses import replace

    import numpy as np

    from peerage.learning.architectures import first_model
    from peerage.learning.model import from_vector, layout, load_safetensors, to_vector
    from peerage.learning.personal import own_kind
    from peerage.rounds.aggregation import masked_input, metrics, update_of
    from peerage.rounds.grid import grid_of
    from peerage.rounds.merging import Merging
    from peerage.rounds.optimisers import agreed_optimiser
    from peerage_crypto.digest import tagged
    from peerage_ledger.judgement import genesis

    splits, parts, _ = site(federation)
    tests = [splits.test] * len(parts) if everything else own_kind(splits, federation)
    if kinds > 1:
        parts, tests = (([named(rows, peer % kinds) for peer, rows in enumerate(every)]) for every in (parts, tests))
    first = first_model(federation, splits.train.input_shape, len(splits.train.classes))
    if base:
        from_vector(first, load_safetensors(Path(base), layout(first)))
    nets = [deepcopy(first) for _ in parts]
    grid, optimiser = grid_of(federation.masking), agreed_optimiser(federation)
    merging, standing = Merging(grid, optimiser), genesis(b"", to_vector(first), b"")
    for number in range(1, federation.rounds + 1):
        start = optimiser.training_start(standing.model, standing.step)
        total: np.ndarray | None = None
        for peer, (net, rows) in enumerate(zip(nets, parts, strict=True)):
            if together:
                from_vector(net, start)
            tune(federation, net, rows, peer, number)
            dither = tagged("personal", *(n.to_bytes(8, "big") for n in (federation.seed, peer, number)))
            vector = masked_input(update_of(to_vector(net), start, grid, dither), metrics(len(rows), 0, 0.0), grid)
            total = vector if total is None else total + vector
        assert total is not None
        if together:
            merged = merging.merge(standing, [total], [len(parts)])
            assert not isinstance(merged, str), merged
            step = (merged.model.astype(np.float64) - standing.model.astype(np.float64)).astype(np.float32)
            standing = replace(standing, model=merged.model, step=step, state=merged.state)
    for peer, (net, rows) in enumerate(zip(nets, parts, strict=True)):
        if together:
            from_vector(net, standing.model)
            tune(federation, net, rows, peer, federation.rounds + 1)
    return Played(nets, parts, tests, first, standing.model, splits.test)


def tune(federation: Federation, net: nn.Module, rows: Dataset, peer: int, number: int) -> None:
    """One fine-tune as a peer does it."""
    from dataclasses import replace

    from peerage.learning.answers import Answering
    from peerage.learning.parts import learning_only
    from peerage.learning.trainer import draw_seed, settings_of, train
    from peerage.learning.versions import Versions

    here, seed = settings_of(federation.training), draw_seed(federation.seed, peer, number)
    if isinstance(net, Answering):
        net.study(here, seed)
        train(net, rows, here, seed)
        net.answer()
        return
    if isinstance(net, Versions):
        net.choose(rows, seed)
    if not federation.training.head_epochs:
        train(net, rows, here, seed)
        return
    with learning_only(net, personal=True):
        train(net, rows, replace(here, epochs=federation.training.head_epochs), seed)
    with learning_only(net, personal=False):
        train(net, rows, here, seed)


def named(rows: Dataset, kind: int) -> Dataset:
    """The same rows under this kind's own numbers for the classes."""
    from dataclasses import replace

    import numpy as np

    order = np.random.default_rng([kind, *b"labels"]).permutation(len(rows.classes))
    return replace(rows, labels=order[rows.labels])
