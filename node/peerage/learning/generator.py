"""A conditional generator that a federation trains as it trains any model, and rows drawn from it for labels one lacks.

Each class is a normal distribution of low rank: x = mu + W z + sigma e (probabilistic principal components, Tipping &
Bishop 1999, J. R. Stat. Soc. B 61). Its likelihood is exact, so the generator is a classifier as well (by Bayes'
rule, classes alike), and accuracy, scores and audit say of it what they say of others. A class's numbers move by rows
of that class alone: peers with other labels do not pull at them, so a generator can be learnt where labels are skewed
and classifiers drift (the idea of FedGen, Zhu et al. 2021, arXiv 2105.10056, without its distillation).
"""

from __future__ import annotations

from math import log, pi, prod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from peerage.learning.model import from_vector, layout, load_safetensors
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from peerage.learning.data import Dataset

LATENT = 8  # directions in which a class spreads by more than noise
FIRST_SPREAD = 0.3  # of W's first draw and of sigma
LEAST_LOG_VARIANCE = -4.0  # pixels that never change would make it a point
MOST_LOG_VARIANCE = 8.0  # whoever pushes it up, round after round, does not make it overflow


class Generator(nn.Module):
    """Rows (n, ...) to log p(x | class) + const (n, classes)."""

    def __init__(self, input_shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.shape, self.width = input_shape, prod(input_shape)
        latent = min(LATENT, self.width - 1)
        if latent < 1:
            raise InputError('model.kind = "generator" needs rows of two numbers or more: choose kind = "linear"')
        self.mean = nn.Parameter(torch.zeros(classes, self.width))
        self.spread = nn.Parameter(FIRST_SPREAD * torch.randn(classes, self.width, latent) / self.width**0.5)
        self.log_variance = nn.Parameter(torch.full((classes,), 2 * log(FIRST_SPREAD)))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """By the lemmas of Woodbury and Sylvester: only (latent x latent) matrices are solved. Differences of rows and
        means are multiplied out, since (n, classes, width) numbers would not fit.
        """
        variance, flat = self._variance(), rows.reshape(len(rows), self.width)
        square = (flat * flat).sum(dim=1)[:, None] - 2 * flat @ self.mean.T + (self.mean * self.mean).sum(dim=1)
        means = torch.einsum("cd,cdk->ck", self.mean, self.spread)
        shadow = torch.einsum("nd,cdk->nck", flat, self.spread) - means
        wide = self.spread.double()  # somebody may push all directions into one, and rounding would break the root
        inner = torch.einsum("cdk,cdl->ckl", wide, wide)
        inner = inner + variance.double()[:, None, None] * torch.eye(inner.shape[-1], dtype=torch.float64)
        root = torch.linalg.cholesky(inner).to(rows.dtype)
        solved = torch.linalg.solve_triangular(root, shadow.permute(1, 2, 0), upper=False)  # (classes, latent, n)
        distance = (square - (solved * solved).sum(dim=1).T) / variance
        volume = 2 * torch.diagonal(root, dim1=1, dim2=2).log().sum(dim=1)
        volume = volume + (self.width - inner.shape[-1]) * variance.log() + self.width * log(2 * pi)
        told: torch.Tensor = -0.5 * (distance + volume)
        return told

    def loss(self, rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """What training makes smaller: how unlikely rows are under their own class, in nats times the noise's variance,
        which makes a step as long for sharp classes as for blurred ones. Classes in the batch weigh alike.
        """
        own: torch.Tensor = self(rows).gather(1, labels[:, None])[:, 0]
        counts = torch.bincount(labels, minlength=len(self.log_variance)).to(own.dtype)
        weights = self._variance().detach()[labels] / counts[labels]
        return -(own * weights).sum()

    def _variance(self) -> torch.Tensor:
        return self.log_variance.clamp(LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE).exp()

    @torch.no_grad()
    def sample(self, labels: NDArray[np.int64], draws: np.random.Generator) -> torch.Tensor:
        """(n, ...) a row for each label."""
        which = torch.from_numpy(labels)
        z = torch.from_numpy(draws.standard_normal((len(labels), self.spread.shape[2]))).float()
        noise = torch.from_numpy(draws.standard_normal((len(labels), self.width))).float()
        far = torch.einsum("nk,ndk->nd", z, self.spread[which])
        flat = self.mean[which] + far + self._variance().sqrt()[which][:, None] * noise
        return flat.reshape(len(labels), *self.shape)


def load_generator(path: Path, rows: Dataset) -> Generator:
    """From the model of a run with `model.kind = "generator"` on rows of this shape; InputError where it is another."""
    generator = Generator(rows.input_shape, len(rows.classes))
    from_vector(generator, load_safetensors(path, layout(generator)))
    return generator.eval()


def within(samples: torch.Tensor, rows: Dataset) -> torch.Tensor:
    """No sample leaves the range that this peer's own numbers have: pictures stay between black and white."""
    return samples.clamp(float(np.nanmin(rows.features)), float(np.nanmax(rows.features)))
