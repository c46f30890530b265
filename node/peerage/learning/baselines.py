"""What a federation is compared with: every peer alone, and all rows in one place. Outside the run's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from peerage.learning.data import Dataset
from peerage.learning.model import from_vector
from peerage.learning.trainer import TrainSettings, draw_seed, evaluate, train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

POOLED = -1  # the pooled learner's place among the peers, for its draws


def local_only(
    model: nn.Module,
    start: NDArray[np.float32],
    parts: Sequence[Dataset],
    test: Dataset | Sequence[Dataset],
    settings: TrainSettings,
    *,
    rounds: int,
    seed: int,
) -> tuple[float, ...]:
    """Test accuracy of each peer had it trained as long, on its own rows only; `test` is one for all, or one each."""
    tests = [test] * len(parts) if isinstance(test, Dataset) else test
    return tuple(
        _alone(model, start, part, [rows], settings, rounds=rounds, seed=seed, peer=peer)
        for peer, (part, rows) in enumerate(zip(parts, tests, strict=True))
    )


def pooled(
    model: nn.Module,
    start: NDArray[np.float32],
    parts: Sequence[Dataset],
    test: Dataset | Sequence[Dataset],
    settings: TrainSettings,
    *,
    rounds: int,
    seed: int,
) -> float:
    """Test accuracy had all peers put their rows in one place; of several tests, over all their rows."""
    whole = Dataset(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.labels for part in parts]),
        parts[0].classes,
    )
    tests = [test] if isinstance(test, Dataset) else test
    return _alone(model, start, whole, tests, settings, rounds=rounds, seed=seed, peer=POOLED)


def _alone(
    model: nn.Module,
    start: NDArray[np.float32],
    part: Dataset,
    tests: Sequence[Dataset],
    settings: TrainSettings,
    *,
    rounds: int,
    seed: int,
    peer: int,
) -> float:
    from_vector(model, start)
    for version in range(1, rounds + 1):
        train(model, part, settings, draw_seed(seed, peer, version))
    found = [evaluate(model, test) for test in tests]
    return sum(one.correct for one in found) / max(1, sum(one.total for one in found))
