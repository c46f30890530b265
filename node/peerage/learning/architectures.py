"""The models that one word of `federation.toml` gives: `[model] kind`. Anything else is a factory of the user's.

Rows may lie flat: images are taken as square, sequences are cut into `steps`, so that tables serve all of them. Every
layer computes in one fixed order on one thread: two peers that start from one seed have the same bytes.
"""

from __future__ import annotations

from functools import partial
from math import isqrt, prod
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.nn import functional

from peerage.learning.answers import Answering, load_questions
from peerage.learning.data_csv import Schema
from peerage.learning.generator import Generator
from peerage.learning.model import build, from_vector, layout, load_safetensors, perceptron, shared_entries
from peerage.learning.parts import divide
from peerage.learning.versions import Selector, Versions, load_candidates
from peerage.optimising import ADAPTIVE
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from peerage.config import Federation, ModelSettings

Shape = tuple[int, ...]
CHANNELS = (16, 32)  # of the two convolutions; each halves the picture
GROUPS = 4
BLOCKS = 2
LEAST_SIDE = 4  # two halvings leave one pixel
MOST_STEPS = 512  # attention grows with the square of it
MOST_EMBEDDED = 16
OTHER_SEED = 1_000_003  # from one cluster's first model to the next one's


def first_model(federation: Federation, input_shape: Shape, classes: int) -> nn.Module:
    """The model that every peer of this federation starts from; InputError where it does not suit the rows."""
    settings = federation.model

    def alone(seed: int) -> nn.Module:
        return _one_model(federation, input_shape, classes, seed)

    if settings.candidates:
        made = partial(alone, federation.seed)
        model: nn.Module = Selector(load_candidates([Path(name) for name in settings.candidates], made))
    elif settings.clusters:
        model = Versions([alone(federation.seed + OTHER_SEED * number) for number in range(settings.clusters)])
        _start_from(model, settings.start)
    else:
        model = alone(federation.seed)
        divide(model, settings.local, settings.adapters, settings.base, federation.seed)
        _start_from(model, settings.start)
    if settings.questions:
        model = Answering(model, load_questions(settings.questions, input_shape, classes, federation.seed), classes)
    _refuse_running(federation, model)
    return model


def _start_from(model: nn.Module, name: str) -> None:
    if name:
        from_vector(model, load_safetensors(Path(name), layout(model)))


def _one_model(federation: Federation, input_shape: Shape, classes: int, seed: int) -> nn.Module:
    settings = federation.model
    if settings.factory or settings.kind == "perceptron":
        return build(input_shape, classes, seed, hidden=settings.hidden, factory=settings.factory)
    made = partial(_of_kind, settings, input_shape, classes, federation.data.columns)
    return build(input_shape, classes, seed, made=made)


def _refuse_running(federation: Federation, model: nn.Module) -> None:
    """Running statistics are averaged with the weights; what treats them as weights, or drowns them, breaks them."""
    running = [name for name, _ in shared_entries(model) if name.endswith(("running_mean", "running_var"))]
    if not running:
        return
    if federation.merge.optimiser in ADAPTIVE:
        why = f'merge.optimiser = "{federation.merge.optimiser}" moves each entry by a step of its own size'
    elif federation.privacy.noise:
        why = f"privacy.noise = {federation.privacy.noise:g} drowns variances, which must stay positive"
    else:
        return
    raise InputError(f'the model has running statistics ({running[0]}), and {why}: use GroupNorm (norm = "group")')


def _of_kind(settings: ModelSettings, input_shape: Shape, classes: int, columns: str) -> nn.Module:
    hidden = settings.hidden
    match settings.kind:
        case "linear":
            return linear(input_shape, classes)
        case "cnn":
            return Convolutional(picture(input_shape), hidden, classes, settings.norm)
        case "gru":
            return Recurrent(*sequence(input_shape, settings.steps), hidden, classes)
        case "transformer":
            return Transformer(*sequence(input_shape, settings.steps), hidden, classes)
        case "embedding":
            if not columns:
                raise InputError(
                    'model.kind = "embedding" needs a table with columns: use a csv source, or "perceptron"'
                )
            return Embedding(Schema.from_json(columns), hidden, classes)
        case "generator":
            return Generator(input_shape, classes)
        case _:
            return perceptron(input_shape, hidden, classes)


def linear(input_shape: Shape, classes: int) -> nn.Module:
    """Multinomial logistic regression. It starts from zeros: the loss is convex, so a draw would only be noise."""
    layer = nn.Linear(prod(input_shape), classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return nn.Sequential(nn.Flatten(), layer)


def picture(input_shape: Shape) -> tuple[int, int, int]:
    """(channels, rows, columns) of one row; a flat one is a square."""
    side = isqrt(input_shape[0])
    match input_shape:
        case (pixels,) if pixels == side * side:
            found = (1, side, side)
        case (rows, columns):
            found = (1, rows, columns)
        case (channels, rows, columns):
            found = (channels, rows, columns)
        case _:
            raise InputError(
                f'model.kind = "cnn" needs pictures, and rows of shape {input_shape} are none: use "perceptron"'
            )
    if min(found[1:]) < LEAST_SIDE:
        raise InputError(f'model.kind = "cnn" needs {LEAST_SIDE} x {LEAST_SIDE} pixels, not {found[1]} x {found[2]}')
    return found


def sequence(input_shape: Shape, steps: int) -> tuple[int, int]:
    """(steps, numbers in each) of one row. Not told how many: rows of a square, else a number a step."""
    if len(input_shape) == 2 and steps in (0, input_shape[0]):
        found = input_shape
    else:
        width = prod(input_shape)
        side = isqrt(width)
        count = steps or (side if side * side == width else width)
        if width % count:
            near = min((n for n in range(1, width + 1) if width % n == 0), key=lambda n: (abs(n - count), n))
            raise InputError(f"model.steps = {count} does not divide rows of {width} numbers: {near} would")
        found = (count, width // count)
    if found[0] > MOST_STEPS:
        raise InputError(
            f"sequences of {found[0]} steps are longer than {MOST_STEPS}: cut them, or put more into a step"
        )
    return found


class Convolutional(nn.Module):
    """Two convolutions of 3 x 3, each normalised and halved, and one hidden layer."""

    def __init__(self, shape: tuple[int, int, int], hidden: int, classes: int, norm: str) -> None:
        super().__init__()
        self.shape = shape
        first, second = CHANNELS
        self.one = nn.Conv2d(shape[0], first, 3, padding=1)
        self.norm_one = _norm(norm, first)
        self.two = nn.Conv2d(first, second, 3, padding=1)
        self.norm_two = _norm(norm, second)
        self.hidden = nn.Linear(second * (shape[1] // 4) * (shape[2] // 4), hidden)
        self.out = nn.Linear(hidden, classes)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        x = rows.reshape(-1, *self.shape)  # (n, channels, rows, columns)
        x = functional.max_pool2d(torch.relu(self.norm_one(self.one(x))), 2)
        x = functional.max_pool2d(torch.relu(self.norm_two(self.two(x))), 2)
        return cast("torch.Tensor", self.out(torch.relu(self.hidden(x.flatten(1)))))


def _norm(norm: str, channels: int) -> nn.Module:
    match norm:
        case "batch":
            return nn.BatchNorm2d(channels)
        case "group":
            return nn.GroupNorm(GROUPS, channels)
        case _:
            return nn.Identity()


class Recurrent(nn.Module):
    """A gated recurrent unit over the steps; its last state decides."""

    def __init__(self, steps: int, width: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.steps, self.width = steps, width
        self.gru = nn.GRU(width, hidden, batch_first=True)
        self.out = nn.Linear(hidden, classes)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        _, last = self.gru(rows.reshape(-1, self.steps, self.width))  # (1, n, hidden)
        return cast("torch.Tensor", self.out(last[0]))


class Transformer(nn.Module):
    """An encoder of two blocks with learnt places; the mean over the steps decides."""

    def __init__(self, steps: int, width: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.steps, self.width = steps, width
        self.inward = nn.Linear(width, hidden)
        self.places = nn.Parameter(0.02 * torch.randn(steps, hidden))
        self.blocks = nn.Sequential(*(Block(hidden) for _ in range(BLOCKS)))
        self.norm = nn.LayerNorm(hidden)
        self.out = nn.Linear(hidden, classes)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        x = self.inward(rows.reshape(-1, self.steps, self.width)) + self.places  # (n, steps, hidden)
        return cast("torch.Tensor", self.out(self.norm(self.blocks(x)).mean(dim=1)))


class Block(nn.Module):
    """Attention and a hidden layer, each normalised before it is added (Xiong et al. 2020, arXiv 2002.04745)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.heads = next(heads for heads in (4, 2, 1) if hidden % heads == 0)
        self.norm_one, self.norm_two = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.asked = nn.Linear(hidden, 3 * hidden)
        self.told = nn.Linear(hidden, hidden)
        self.wide, self.narrow = nn.Linear(hidden, 2 * hidden), nn.Linear(2 * hidden, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, steps, hidden = x.shape
        parts = self.asked(self.norm_one(x)).reshape(n, steps, 3, self.heads, hidden // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each (n, heads, steps, hidden / heads)
        weights = torch.softmax(query @ key.transpose(-2, -1) / (hidden // self.heads) ** 0.5, dim=-1)
        x = x + self.told((weights @ value).transpose(1, 2).reshape(n, steps, hidden))
        return cast("torch.Tensor", x + self.narrow(torch.relu(self.wide(self.norm_two(x)))))


class Embedding(nn.Module):
    """A table's categories, each value a learnt vector; beside them the numbers, and one hidden layer.

    The 0/1 columns of a category times a matrix are its embedding; a value that nobody agreed on is all zeros.
    """

    def __init__(self, schema: Schema, hidden: int, classes: int) -> None:
        super().__init__()
        self.numbers = len(schema.numeric)
        self.counts = [len(category.values) for category in schema.categorical]
        widths = [min(MOST_EMBEDDED, (count + 1) // 2) for count in self.counts]
        pairs = zip(self.counts, widths, strict=True)
        self.embeddings = nn.ModuleList(nn.Linear(count, width, bias=False) for count, width in pairs)
        self.body = perceptron((self.numbers + sum(widths),), hidden, classes)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        numbers, *categories = torch.split(rows, [self.numbers, *self.counts], dim=1)
        learnt = [embed(category) for embed, category in zip(self.embeddings, categories, strict=True)]
        return cast("torch.Tensor", self.body(torch.cat([numbers, *learnt], dim=1)))
