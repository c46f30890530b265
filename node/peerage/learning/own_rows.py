"""How well one model does on the rows that each peer held back from training: its own kind of data, never seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.learning.data import carve
from peerage.learning.learner import HOLDOUT
from peerage.learning.partitions import partition
from peerage.learning.trainer import evaluate
from peerage.validation import is_private

if TYPE_CHECKING:
    from torch import nn

    from peerage.config import Federation
    from peerage.learning.data import Dataset


def right_by_peer(net: nn.Module, train: Dataset, federation: Federation) -> dict[str, tuple[int, int]]:
    """(rows held back, rows right) by peer name; `train` holds all peers' rows, ready for the model."""
    return {
        name: (len(rows), evaluate(net, rows).correct if len(rows) else 0)
        for name, rows in held_back(train, federation).items()
    }


def held_back(train: Dataset, federation: Federation) -> dict[str, Dataset]:
    """By peer name those that `learner.rows_of` carves: the same part, the same share, the same draw."""
    data = federation.data
    found: dict[str, Dataset] = {}
    parts = partition(train.labels, data.partition, federation.peers, federation.seed)
    share = federation.scores.holdout if is_private(federation) else HOLDOUT
    for name, part in zip(federation.peer_names(), parts, strict=True):
        mine = train.take(part)
        if data.validation_donor == name:
            mine, _ = carve(mine, HOLDOUT, federation.seed, f"donated by {name}")
        found[name] = carve(mine, share, federation.seed, f"held out by {name}")[1]
    return found
