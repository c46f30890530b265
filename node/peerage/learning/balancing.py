"""Local corrections for labels that are unlike from peer to peer: what a fine-tune meets, and what its loss expects.

All of it is counted and drawn from the peer's own rows and the fine-tune's seed. Nothing of it is sent.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from peerage.learning.generator import within
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from peerage.learning.data import Dataset
    from peerage.learning.generator import Generator
    from peerage.learning.trainer import TrainSettings

LEAST_OWN = 0.5  # of a mixed row that is the row itself; the share is uniform from here to 1
REACH = 8  # a picture moves by at most its side over this, and one pixel at least


def expected(counts: NDArray[np.int64], augment: str) -> NDArray[np.float64]:
    """(classes,) how often a fine-tune meets each label, as shares of the rows it meets."""
    own: NDArray[np.float64] = counts / counts.sum()
    if augment == "generated":
        return np.full(len(counts), 1 / len(counts))
    alike: NDArray[np.float64] = (counts > 0) / np.count_nonzero(counts)
    return own if augment == "none" else alike


def offsets(dataset: Dataset, settings: TrainSettings) -> torch.Tensor | None:
    """(classes,) tau log pi, added to the logits in training only (Menon et al. 2021, arXiv 2007.07314, eq. 10).

    Each class counts one row more than there are: one that this peer has never met is pushed down very little instead
    of with every row (the drift that FedLC mends, Zhang et al. 2022, arXiv 2209.00189).
    """
    if not settings.logit_adjustment:
        return None
    rows, classes = len(dataset), len(dataset.classes)
    met = (expected(dataset.class_counts(), settings.augment) * rows + 1) / (rows + classes)
    return torch.from_numpy(settings.logit_adjustment * np.log(met)).float()


def batches(
    dataset: Dataset, settings: TrainSettings, shuffle: torch.Generator, draws: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """One epoch: features (b, ...) with labels (b,). As many rows as there are, whatever is drawn: no setting trains
    longer than another.
    """
    features, labels = torch.from_numpy(dataset.features), torch.from_numpy(dataset.labels)
    if settings.augment == "none":
        order = torch.randperm(len(labels), generator=shuffle)
    elif settings.augment == "generated":
        features, labels = _generated(dataset, settings.generator, draws)
        order = torch.arange(len(labels))
    else:
        drawn = draws.choice(len(dataset), len(dataset), p=_alike(dataset))
        features, labels = _with_copies(dataset, drawn, settings.augment, draws), labels[torch.from_numpy(drawn)]
        order = torch.arange(len(labels))
    for rows in torch.split(order, settings.batch_size):
        yield features[rows], labels[rows]


def _generated(
    dataset: Dataset, generator: Generator | None, draws: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """As many rows as there are, each label of the federation alike: own rows as far as they go, then drawn ones."""
    if generator is None:
        raise InputError('training.augment = "generated" needs training.generator, a run of model.kind = "generator"')
    labels = draws.integers(0, len(dataset.classes), len(dataset))
    features = within(generator.sample(labels, draws), dataset)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        own = draws.permutation(np.flatnonzero(dataset.labels == label))[: len(places)]
        features[torch.from_numpy(places[: len(own)])] = torch.from_numpy(dataset.features[own])
    return features, torch.from_numpy(labels)


def _with_copies(dataset: Dataset, drawn: NDArray[np.int64], augment: str, draws: np.random.Generator) -> torch.Tensor:
    """(n, ...) the drawn rows. One that was drawn before, mostly of a rare label, is a copy: mixed or moved."""
    features = torch.from_numpy(dataset.features[drawn])
    copies = np.ones(len(drawn), dtype=bool)
    copies[np.unique(drawn, return_index=True)[1]] = False
    if augment == "oversample" or not copies.any():
        return features
    which = torch.from_numpy(np.flatnonzero(copies))
    features[which] = _shifted(features[which], draws) if augment == "shifts" else _mixed(dataset, drawn[copies], draws)
    return features


def check_pictures(input_shape: tuple[int, ...]) -> tuple[int, int]:
    """(rows, columns) of pictures, which alone can be shifted; a flat row is a square."""
    side = isqrt(input_shape[0])
    if len(input_shape) in (2, 3):
        return input_shape[-2], input_shape[-1]
    if len(input_shape) == 1 and side * side == input_shape[0]:
        return side, side
    raise InputError(
        f'training.augment = "shifts" moves pictures, and rows of shape {input_shape} are none: choose "oversample"'
    )


def _alike(dataset: Dataset) -> NDArray[np.float64]:
    """(n,) the chance of each row, so that every label present is as likely as another."""
    chance = 1 / dataset.class_counts()[dataset.labels]
    shares: NDArray[np.float64] = chance / chance.sum()
    return shares


def _mixed(dataset: Dataset, rows: NDArray[np.int64], draws: np.random.Generator) -> torch.Tensor:
    """Each row with another of its own label, between the two and nearer to itself: its label stays true (mixup, Zhang
    et al. 2018, arXiv 1710.09412, within a class, as SMOTE does, Chawla et al. 2002).
    """
    order = np.argsort(dataset.labels, kind="stable")
    counts = dataset.class_counts()
    first, mine = np.cumsum(counts) - counts, dataset.labels[rows]
    partner = order[first[mine] + draws.integers(0, counts[mine])]
    kept = torch.from_numpy(draws.uniform(LEAST_OWN, 1, len(rows))).float()
    along = kept.reshape(-1, *[1] * (dataset.features.ndim - 1))
    features = torch.from_numpy(dataset.features)
    return along * features[torch.from_numpy(rows)] + (1 - along) * features[torch.from_numpy(partner)]


def _shifted(features: torch.Tensor, draws: np.random.Generator) -> torch.Tensor:
    """Each picture a little up or down and left or right; what comes in from outside is zero."""
    height, width = check_pictures(tuple(features.shape[1:]))
    pictures = features.reshape(len(features), -1, height, width)
    far = [max(1, side // REACH) for side in (height, width)]
    ups, lefts = (draws.integers(-most, most + 1, len(features)) for most in far)
    padded = functional.pad(pictures, (far[1], far[1], far[0], far[0]))
    tops, sides = ups + far[0], lefts + far[1]
    cut = [one[:, top : top + height, at : at + width] for one, top, at in zip(padded, tops, sides, strict=True)]
    return torch.stack(cut).reshape(features.shape)
