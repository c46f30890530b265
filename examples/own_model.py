"""Your own model in ten lines: `peerage run --data digits` with `model.factory = "examples/own_model.py:build"`."""

from torch import nn


def build(input_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Any module that takes (rows, *input_shape) and answers (rows, classes) logits: here a small convolution."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, input_shape[0] // 8)),
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.LazyLinear(classes),
    )
