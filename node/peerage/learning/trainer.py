"""Local fine-tuning: plain SGD on one peer's rows, the same bytes for the same seed on one thread."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from peerage.learning.balancing import batches, offsets
from peerage.learning.model import floats, from_vector
from peerage.learning.objective import objective
from peerage_crypto.digest import tagged

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from peerage import config
    from peerage.learning.data import Dataset
    from peerage.learning.generator import Generator

ROWS_AT_ONCE = 4096  # evaluation: bounds the memory, changes no result


@dataclass(frozen=True)
class TrainSettings:
    epochs: int = 2
    batch_size: int = 32
    learning_rate: float = 0.1
    proximal: float = 0.0  # mu: each step also goes this far back to where the fine-tune began (FedProx)
    logit_adjustment: float = 0.0  # tau of `balancing.offsets`
    augment: str = "none"  # none | oversample | mixup | shifts | generated: what `balancing.batches` gives
    generator: Generator | None = None  # generated: who draws the rows that this peer lacks


def settings_of(training: config.TrainSettings) -> TrainSettings:
    """What the built-in training takes from `[training]`; the generator is loaded by who has rows."""
    return TrainSettings(
        training.epochs,
        training.batch_size,
        training.learning_rate,
        training.proximal,
        training.logit_adjustment,
        training.augment,
    )


@dataclass(frozen=True)
class Trained:
    """`loss` is the mean over the last epoch's steps, as met while training; NaN or infinite if training diverged."""

    loss: float
    steps: int

    @property
    def finite(self) -> bool:
        return isfinite(self.loss)


@dataclass(frozen=True)
class Evaluation:
    correct: int
    total: int
    loss: float  # mean cross-entropy

    @property
    def accuracy(self) -> float:
        return self.correct / self.total if self.total else 0.0


def draw_seed(seed: int, peer: int, version: int) -> int:
    """The seed of everything random in one fine-tune; a repeated fine-tune draws the same (rules: determinism)."""
    digest = tagged("peerage/draw/1", *(number.to_bytes(8, "big", signed=True) for number in (seed, peer, version)))
    return int.from_bytes(digest[:8], "big") >> 1  # torch takes signed 64 bits


def train(
    model: nn.Module,
    dataset: Dataset,
    settings: TrainSettings,
    seed: int,
    correction: NDArray[np.float32] | None = None,
) -> Trained:
    """Changes `model` in place. Labels (n,), features (n, ...); a last batch of one row is left out (BatchNorm).

    With `proximal` the loss has mu / 2 ||w - w_start||^2 beside it (Li et al. 2020, arXiv 1812.06127).
    `correction` (d,) is added to the model in equal parts, one a step (SCAFFOLD, arXiv 1910.06378).
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    anchors = [parameter.detach().clone() for parameter in parameters] if settings.proximal else []
    shuffle, draws = torch.Generator().manual_seed(seed), np.random.default_rng([seed, *b"augment"])
    expected = offsets(dataset, settings)  # (classes,)
    pushes = [] if correction is None else _pushes(model, correction, settings.epochs * _steps(dataset, settings))
    steps, total = 0, 0.0
    model.train()
    with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
        torch.manual_seed(seed)
        for _ in range(settings.epochs):
            losses: list[torch.Tensor] = []
            for features, labels in batches(dataset, settings, shuffle, draws):
                if len(labels) == 1 < settings.batch_size:
                    continue
                loss = objective(model, features, labels, offsets=expected)
                gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
                with torch.no_grad():
                    for parameter, anchor in zip(parameters, anchors, strict=False):  # without mu there are no anchors
                        parameter.lerp_(anchor, settings.learning_rate * settings.proximal)
                    for parameter, push in zip(parameters, pushes, strict=False):
                        parameter.add_(push)
                    for parameter, gradient in zip(parameters, gradients, strict=True):
                        if gradient is not None:  # pyright: ignore[reportUnnecessaryComparison] - allow_unused gives None
                            parameter.sub_(gradient, alpha=settings.learning_rate)
                losses.append(loss.detach())
            steps += len(losses)
            total = float(torch.stack(losses).mean()) if losses else float("nan")
    return Trained(total, steps)


def _steps(dataset: Dataset, settings: TrainSettings) -> int:
    """Of one epoch: a last batch of one row is left out."""
    whole, rest = divmod(len(dataset), settings.batch_size)
    return max(1, whole + (rest > 1 or rest == 1 == settings.batch_size))


def _pushes(model: nn.Module, correction: NDArray[np.float32], steps: int) -> list[torch.Tensor]:
    """A step's part of a correction for each parameter; running statistics are left alone."""
    like = deepcopy(model)
    for _, entry in floats(like):
        entry.zero_()  # what is not in the vector is not corrected
    from_vector(like, correction / np.float32(steps))
    return [parameter.detach() for parameter in like.parameters() if parameter.requires_grad]


@torch.no_grad()
def evaluate(model: nn.Module, dataset: Dataset) -> Evaluation:
    """Leaves the model in the mode it was in; predictions that are not finite count as wrong."""
    was_training = model.training
    model.eval()
    correct, loss = 0, 0.0
    features, labels = torch.from_numpy(dataset.features), torch.from_numpy(dataset.labels)
    for some, truth in zip(torch.split(features, ROWS_AT_ONCE), torch.split(labels, ROWS_AT_ONCE), strict=True):
        logits = model(some)  # (rows, classes)
        sound = torch.isfinite(logits).all(dim=1)
        correct += int(((logits.argmax(dim=1) == truth) & sound).sum())
        loss += float(functional.cross_entropy(logits, truth, reduction="sum"))
    model.train(was_training)
    return Evaluation(correct, len(dataset), loss / len(dataset) if len(dataset) else float("nan"))
