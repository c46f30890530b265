"""How good a model is where classes are not alike in size: macro-F1, balanced accuracy and the area under ROC, exactly.

All of it from counts and ranks: integers until the last division. Accuracy alone calls a model that never says "ill" a
good one where few are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from peerage.launch.summary import ClassQuality, Quality
from peerage.learning.trainer import ROWS_AT_ONCE

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from peerage.learning.data import Dataset

NONE = -1  # what a model says whose logits are no numbers


def quality_of(model: nn.Module, dataset: Dataset) -> Quality:
    """Of the model on these rows, which must not be those that it was trained on."""
    return quality(logits_of(model, dataset), dataset.labels, dataset.classes)


@torch.no_grad()
def logits_of(model: nn.Module, dataset: Dataset) -> NDArray[np.float64]:
    """(n, classes); leaves the model in the mode it was in."""
    was_training = model.training
    model.eval()
    pieces = [model(some).double().numpy() for some in torch.split(torch.from_numpy(dataset.features), ROWS_AT_ONCE)]
    model.train(was_training)
    return np.concatenate(pieces)


def quality(logits: NDArray[np.float64], labels: NDArray[np.int64], classes: tuple[str, ...]) -> Quality:
    """Averages over the classes that these rows have, each class weighing the same; None where there is none to have.

    macro-F1 also counts, as zero, a class that is only said and never true, as scikit-learn does.
    """
    sound = np.asarray(np.isfinite(logits).all(axis=1))
    said = np.where(sound, np.argmax(np.where(sound[:, None], logits, 0.0), axis=1), NONE)
    margins = _margins(np.where(sound[:, None], logits, 0.0))
    margins[~sound] = -np.inf
    found: dict[str, ClassQuality] = {}
    f1s, recalls, areas = list[float](), list[float](), list[float]()
    for number, name in enumerate(classes):
        true, told = labels == number, said == number
        rows, times, hits = int(true.sum()), int(told.sum()), int((true & told).sum())
        area = auroc(margins[:, number], true)
        one = ClassQuality(
            rows=rows,
            recall=hits / rows if rows else None,
            precision=hits / times if times else None,
            f1=2 * hits / (rows + times) if rows + times else None,
            auroc=area,
        )
        found[name] = one
        f1s += [] if one.f1 is None else [one.f1]
        recalls += [] if one.recall is None else [one.recall]
        areas += [] if area is None else [area]
    present = [one.rows for one in found.values() if one.rows]
    return Quality(
        macro_f1=_mean(f1s),
        balanced_accuracy=_mean(recalls),
        auroc=_mean(areas),
        imbalance=max(present) / min(present) if present else None,
        by_class=found,
    )


def auroc(scores: NDArray[np.float64], true: NDArray[np.bool_]) -> float | None:
    """The chance that a row of the class scores above one that is not, ties counting half (Mann & Whitney 1947)."""
    positive, negative = int(true.sum()), int((~true).sum())
    if not positive or not negative:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    twice = 2 * np.cumsum(counts) - counts + 1  # twice the mean rank of each different score
    wins = int(twice[place][true].sum()) - positive * (positive + 1)
    return wins / (2 * positive * negative)


def _margins(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, classes) log of the odds of each class: it orders rows as its probability does, and does not saturate."""
    found = np.empty_like(logits)
    for number in range(logits.shape[1]):
        others = np.delete(logits, number, axis=1)
        found[:, number] = logits[:, number] - np.logaddexp.reduce(others, axis=1)
    return found


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
