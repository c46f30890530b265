"""Alone is worse than together: the two figures a federation is compared with."""

import numpy as np
import torch

from peerage.learning.baselines import local_only, pooled
from peerage.learning.data import load
from peerage.learning.model import build, to_vector
from peerage.learning.partitions import partition
from peerage.learning.trainer import TrainSettings


def test_pooled_beats_alone_and_both_repeat():
    torch.set_num_threads(1)
    splits = load("digits", 0)
    parts = [splits.train.take(rows) for rows in partition(splits.train.labels, "dirichlet:0.5", 4, 0)]
    model = build((64,), 10, 0)
    start = to_vector(model)
    settings = TrainSettings(learning_rate=0.3)
    alone = local_only(model, start, parts, splits.test, settings, rounds=5, seed=0)
    together = pooled(model, start, parts, splits.test, settings, rounds=5, seed=0)
    assert len(alone) == 4
    assert max(alone) < together
    assert together > 0.9
    assert alone == local_only(model, start, parts, splits.test, settings, rounds=5, seed=0)
    assert np.mean(alone) > 0.3
