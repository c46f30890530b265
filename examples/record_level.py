"""Differential privacy for single records: each peer trains by DP-SGD (Abadi et al. 2016) with Opacus.

    pip install 'peerage[record-level]'
    [training]
    function = "examples/record_level.py:train"

Every example's gradient is clipped and noise is added to each step, so what leaves the peer, under masks or not, says
little of any single row. The noise is this machine's secret: it does not follow the run's seed, so runs do not repeat.

Epsilon is per peer and grows with every fine-tune. It is kept in `record_level/` of the working folder, one file for
each set of rows, so that a restart does not forget what was spent. Not covered: the sums of examples, correct ones and
losses that travel beside the updates, the hash of the rows in each join, times, energy, and accuracies that a peer
tells. Rows of one person that lie with two peers are two records.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from opacus import PrivacyEngine
from opacus.accountants import RDPAccountant
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

if TYPE_CHECKING:
    from peerage.learning.data import Dataset
    from peerage.learning.trainer import TrainSettings

NOISE = 1.0  # standard deviation of the noise on a sum of clipped gradients, in clips
CLIP = 1.0  # L2 norm of one example's gradient
DELTA = 1e-5  # well below one over the number of rows
BOOKS = Path("record_level")


def train(model: torch.nn.Module, rows: Dataset, settings: TrainSettings, seed: int) -> None:
    """One fine-tune in place. `seed` is known to everybody, so nothing secret is drawn from it."""
    del seed
    secret = torch.Generator().manual_seed(int.from_bytes(os.urandom(8), "little") >> 1)
    data = TensorDataset(torch.from_numpy(rows.features), torch.from_numpy(rows.labels))
    model.train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Opacus says each time that secure_mode is off: see docs/privacy.md
        private, optimiser, batches = PrivacyEngine().make_private(
            module=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=settings.learning_rate),
            data_loader=DataLoader(data, batch_size=settings.batch_size, generator=secret),
            noise_multiplier=NOISE,
            max_grad_norm=CLIP,
            noise_generator=secret,
        )  # batches are drawn by Poisson sampling, which the accountant counts on
        steps = 0
        for _ in range(settings.epochs):
            for features, labels in batches:
                optimiser.zero_grad()
                functional.cross_entropy(private(features), labels, reduction="mean").backward()
                optimiser.step()
                steps += 1
    private.remove_hooks()  # the model is the caller's again
    spend(rows, steps, 1 / len(batches))


def spend(rows: Dataset, steps: int, sample_rate: float) -> float:
    """Write down what a fine-tune cost; returns epsilon of all so far."""
    BOOKS.mkdir(exist_ok=True)
    book = BOOKS / f"{hashlib.sha256(rows.features.tobytes() + rows.labels.tobytes()).hexdigest()[:16]}.json"
    history = json.loads(book.read_text())["history"] if book.exists() else []
    history.append([NOISE, sample_rate, steps])
    accountant = RDPAccountant()
    accountant.history = [tuple(entry) for entry in history]
    epsilon = float(accountant.get_epsilon(DELTA))
    fresh = book.with_suffix(".new")
    fresh.write_text(json.dumps({"epsilon": epsilon, "delta": DELTA, "unit": "one row", "history": history}))
    fresh.replace(book)
    return epsilon
