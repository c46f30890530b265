"""How good the final model is where each peer has a head of its own: under that head, on that peer's kind of rows.

A head that never saw a class cannot tell it, and nobody asks it to: a peer's kind of rows are the test rows of the
classes that it has. All figures count (peer, row) pairs; what peers hold back is judged under their own heads too.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from peerage.learning.model import from_vector
from peerage.learning.own_rows import held_back
from peerage.learning.partitions import partition
from peerage.learning.parts import load_own
from peerage.learning.quality import logits_of, quality
from peerage.learning.trainer import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from peerage.config import Federation
    from peerage.launch.summary import Quality
    from peerage.learning.data import Dataset, Splits


def own_kind(splits: Splits, federation: Federation) -> list[Dataset]:
    """The test rows of the classes that each peer has, in the peers' order."""
    parts = partition(splits.train.labels, federation.data.partition, federation.peers, federation.seed)
    return [
        splits.test.take(np.flatnonzero(np.isin(splits.test.labels, np.unique(splits.train.labels[part]))))
        for part in parts
    ]


def under_heads(
    net: nn.Module, vector: NDArray[np.float32], splits: Splits, federation: Federation, head: Callable[[str], Path]
) -> tuple[float, Quality, dict[str, tuple[int, int]]]:
    """(accuracy, quality, rows held back and right by peer). `head` says where a peer's model lies; one that never
    trained has the first head.
    """
    logits: list[NDArray[np.float64]] = []
    labels: list[NDArray[np.int64]] = []
    own: dict[str, tuple[int, int]] = {}
    aside = held_back(splits.train, federation)
    for name, rows in zip(federation.peer_names(), own_kind(splits, federation), strict=True):
        mine = deepcopy(net)
        if head(name).exists():
            load_own(mine, head(name))
        from_vector(mine, vector)
        if len(rows):
            logits.append(logits_of(mine, rows))
            labels.append(rows.labels)
        own[name] = (len(aside[name]), evaluate(mine, aside[name]).correct if len(aside[name]) else 0)
    found = quality(np.concatenate(logits), np.concatenate(labels), splits.test.classes)
    right = np.concatenate(logits).argmax(axis=1) == np.concatenate(labels)
    return float(right.mean()), found, own
