"""What training makes smaller and scoring measures: the mean cross-entropy, or what a generator has instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from peerage.learning.generator import Generator

if TYPE_CHECKING:
    import torch
    from torch import nn


def objective(
    model: nn.Module,
    rows: torch.Tensor,
    labels: torch.Tensor,
    *,
    offsets: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Of rows (n, ...) with labels (n,). `offsets` (classes,) are added to the logits, `weight` (<= classes,) are the
    labels' own; a generator, whose loss weighs classes alike anyway, has neither.
    """
    if isinstance(model, Generator):
        return model.loss(rows, labels)
    logits = model(rows)  # (n, classes)
    if weight is not None:
        weight = functional.pad(weight, (0, logits.shape[1] - len(weight)))
    return functional.cross_entropy(logits if offsets is None else logits + offsets, labels, weight=weight)
