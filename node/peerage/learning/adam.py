"""Adam as a fine-tune (Kingma & Ba, 1412.6980), with the step and decay that Keras and PyTorch have by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from peerage.learning.trainer import Trained, TrainSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from peerage.learning.data import Dataset


def adam() -> Callable[[nn.Module, Dataset, TrainSettings, int], Trained]:
    """A fine-tune whose moments last from one call to the next: ten calls of an epoch are ten epochs."""
    state: list[torch.optim.Adam] = []

    def fine_tune(model: nn.Module, dataset: Dataset, settings: TrainSettings, seed: int) -> Trained:
        if not state:
            state.append(torch.optim.Adam(model.parameters(), lr=settings.learning_rate))
        features, labels = torch.from_numpy(dataset.features), torch.from_numpy(dataset.labels)
        shuffle = torch.Generator().manual_seed(seed)
        parameters = list(model.parameters())
        model.train()
        losses: list[torch.Tensor] = []
        for _ in range(settings.epochs):
            losses = []
            for rows in torch.split(torch.randperm(len(labels), generator=shuffle), settings.batch_size):
                loss = functional.cross_entropy(model(features[rows]), labels[rows])
                for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                    parameter.grad = gradient
                state[0].step()
                losses.append(loss.detach())
        return Trained(float(torch.stack(losses).mean()), len(losses) * settings.epochs)

    return fine_tune
