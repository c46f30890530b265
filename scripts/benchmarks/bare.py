"""The yardstick of `round`: the same peers and rows, trained one after the other and averaged, and nothing else.

python bare.py FEDERATION.toml
"""

import json
import sys
import time
from pathlib import Path

import torch

from peerage.config_toml import load_federation
from peerage.learning.data import load
from peerage.learning.model import build, from_vector, to_vector
from peerage.learning.partitions import partition
from peerage.learning.trainer import TrainSettings, draw_seed, evaluate, train


def main() -> None:
    torch.set_num_threads(1)
    federation = load_federation(Path(sys.argv[1]))
    seed, data = federation.seed, federation.data
    splits = load(data.source, seed, data_dir=data.data_dir)
    rows = partition(splits.train.labels, data.partition, federation.peers, seed)
    parts = [splits.train.take(mine) for mine in rows]
    model = build(splits.train.input_shape, len(splits.train.classes), seed, hidden=federation.model.hidden)
    training = federation.training
    settings = TrainSettings(training.epochs, training.batch_size, training.learning_rate)
    average, accuracy, taken = to_vector(model), 0.0, []
    for version in range(1, federation.rounds + 1):
        started = time.perf_counter()
        updated = []
        for peer, part in enumerate(parts):
            from_vector(model, average)
            train(model, part, settings, draw_seed(seed, peer, version))
            updated.append(to_vector(model))
        average = sum(updated[1:], updated[0]) / len(updated)
        from_vector(model, average)
        accuracy = evaluate(model, splits.test).accuracy
        taken.append(time.perf_counter() - started)
    steady = taken[1:] or taken  # the first round warms torch up
    print(json.dumps({"round": sum(steady) / len(steady), "accuracy": accuracy}))


if __name__ == "__main__":
    main()
