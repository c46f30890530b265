"""Distillation: peers keep their models and exchange what these answer to common questions.

FedMD (Li & Wang 2019, arXiv 1910.03581) with probabilities, which are bounded, as in DS-FL (Itahara et al. 2020, arXiv
2008.06180). The mean answer is what masks, merge, record and audit have as their model. A peer studies it, then its own
rows, then answers anew. Questions are rows without labels that every site has, or rows that a generator draws.
"""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from peerage.learning.data_arrays import read_features
from peerage.learning.generator import Generator
from peerage.learning.model import floats, from_vector, keep_apart, layout, load_safetensors
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from peerage.learning.trainer import TrainSettings

DRAWN = 400  # questions that a generator asks
MOST_QUESTIONS = 4096
LONGEST = 4.0  # no change of all answers is longer: no default clip bends it
STUDY_EPOCHS = 5  # over the questions; more of them bring a little more (docs/patterns.md)


class Answering(nn.Module):
    """A peer's own classifier; exchanged are its `answers` (questions, classes), probabilities on a common scale."""

    questions: torch.Tensor

    def __init__(self, own: nn.Module, questions: torch.Tensor, classes: int) -> None:
        super().__init__()
        self.own = own
        self.register_buffer("questions", questions)
        self._scale = LONGEST / sqrt(2 * len(questions))
        alike = torch.full((len(questions), classes), self._scale / classes)
        self.answers = nn.Parameter(alike, requires_grad=False)
        keep_apart(self, personal=[f"own.{name}" for name, _ in floats(own)], frozen=["questions"])

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(n, ...) to logits (n, classes)."""
        return cast("torch.Tensor", self.own(rows))

    def told(self) -> torch.Tensor:
        """(questions, classes) the common answers as probabilities, whatever momentum or noise made of them."""
        positive = (self.answers / self._scale).clamp(min=1e-6)
        return positive / positive.sum(dim=1, keepdim=True)

    def study(self, settings: TrainSettings, seed: int) -> None:
        """Learn what everybody answers; before anybody has answered there is nothing to learn."""
        targets = self.told()
        if float(targets.std(dim=1).max()) < 1e-6:
            return
        parameters = [parameter for parameter in self.own.parameters() if parameter.requires_grad]
        shuffle = torch.Generator().manual_seed(seed)
        self.own.train()
        for _ in range(STUDY_EPOCHS):
            for rows in torch.split(torch.randperm(len(targets), generator=shuffle), settings.batch_size):
                loss = functional.cross_entropy(self.own(self.questions[rows]), targets[rows])
                gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
                with torch.no_grad():
                    for parameter, gradient in zip(parameters, gradients, strict=True):
                        if gradient is not None:  # pyright: ignore[reportUnnecessaryComparison] - allow_unused gives None
                            parameter.sub_(gradient, alpha=settings.learning_rate)

    @torch.no_grad()
    def answer(self) -> None:
        """Put this peer's answers where the common ones were."""
        self.own.eval()
        self.answers.copy_(self._scale * torch.softmax(self.own(self.questions), dim=1))


def load_questions(name: str, input_shape: tuple[int, ...], classes: int, seed: int) -> torch.Tensor:
    """(n, ...) from an npz file, or drawn from the generator in a safetensors file: alike for all who have the file."""
    path = Path(name)
    if path.suffix == ".npz":
        found = read_features(path)
        if found.shape[1:] != input_shape:
            raise InputError(f"{path} asks rows of shape {found.shape[1:]}, and peers have {input_shape}")
        if len(found) > MOST_QUESTIONS:
            raise InputError(f"{path} asks {len(found)} questions, more than {MOST_QUESTIONS}: save fewer rows")
        return torch.from_numpy(found)
    generator = Generator(input_shape, classes)
    from_vector(generator, load_safetensors(path, layout(generator)))
    return generator.sample(np.arange(DRAWN) % classes, np.random.default_rng([seed, *b"questions"]))
