"""Local fine-tuning: plain SGD on one peer's rows, the same bytes for the same seed on one thread."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from peerage_crypto.digest import tagged

if TYPE_CHECKING:
    from torch import nn

    from peerage.learning.data import Dataset

ROWS_AT_ONCE = 4096  # evaluation: bounds the memory, changes no result


@dataclass(frozen=True)
class TrainSettings:
    epochs: int = 2
    batch_size: int = 32
    learning_rate: float = 0.1


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


def train(model: nn.Module, dataset: Dataset, settings: TrainSettings, seed: int) -> Trained:
    """Changes `model` in place. Labels (n,), features (n, ...); a last batch of one row is left out (BatchNorm)."""
    features = torch.from_numpy(dataset.features)  # (n, ...)
    labels = torch.from_numpy(dataset.labels)  # (n,)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    shuffle = torch.Generator().manual_seed(seed)
    steps, total = 0, 0.0
    model.train()
    with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
        torch.manual_seed(seed)
        for _ in range(settings.epochs):
            losses: list[torch.Tensor] = []
            for rows in torch.split(torch.randperm(len(labels), generator=shuffle), settings.batch_size):
                if len(rows) == 1 < settings.batch_size:
                    continue
                loss = functional.cross_entropy(model(features[rows]), labels[rows])
                gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
                with torch.no_grad():
                    for parameter, gradient in zip(parameters, gradients, strict=True):
                        if gradient is not None:  # pyright: ignore[reportUnnecessaryComparison] - allow_unused gives None
                            parameter.sub_(gradient, alpha=settings.learning_rate)
                losses.append(loss.detach())
            steps += len(losses)
            total = float(torch.stack(losses).mean()) if losses else float("nan")
    return Trained(total, steps)


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
