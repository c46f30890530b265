"""One process of `placement`: trains for so long when told to, says how many steps it took and what CPU time.

python placed.py SIZE THREADS CORE SECONDS    (CORE -1: wherever the system puts it)
"""

import json
import os
import sys
import time
from itertools import pairwise

import numpy as np
import torch

from peerage.learning.data import Dataset
from peerage.learning.trainer import TrainSettings, train

ROWS = 512
SIZES = {
    "digits": (64, (64,), 32),
    "mnist": (784, (128,), 64),
    "wide": (784, (1024, 1024), 128),
}  # inputs, hidden, batch


def main() -> None:
    size, threads, core, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    if core >= 0:
        os.sched_setaffinity(0, {core})
    torch.set_num_threads(threads)
    inputs, hidden, batch = SIZES[size]
    widths = (inputs, *hidden)
    layers: list[torch.nn.Module] = []
    for before, after in pairwise(widths):
        layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], 10))
    draw = np.random.default_rng(0)
    rows = Dataset(
        draw.normal(size=(ROWS, inputs)).astype(np.float32),
        draw.integers(0, 10, ROWS),
        tuple("0123456789"),
    )
    settings = TrainSettings(epochs=1, batch_size=batch, learning_rate=0.01)
    train(model, rows, settings, 0)  # what is built when it is first used
    print("ready", flush=True)
    sys.stdin.readline()
    began, used, steps = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        steps += train(model, rows, settings, steps).steps
    wall = time.perf_counter() - began
    print(json.dumps({"steps": steps, "wall": wall, "cpu": time.process_time() - used}))


if __name__ == "__main__":
    main()
