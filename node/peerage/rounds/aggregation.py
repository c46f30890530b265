"""From local models to the next aggregate: every function here is exact, so that everybody computes the same bits.

A round starts from the base W0 = W + beta * (last applied step): public momentum, applied before anything is scored.
Each peer's update is delta = local - W0, clipped to the declared length and put on a fixed-point grid. The new
aggregate is W' = W0 + (integer sum) / (2^f * members). Only elementwise IEEE operations, no reductions: equal bits on
every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from peerage_crypto.errors import InputError
from peerage_crypto.fixedpoint import clip_norm, into_ring, quantise, ring, to_signed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from peerage_crypto.fixedpoint import Ring

    Vector = NDArray[np.float32]

AUXILIARY = 4  # leading coordinates under the same masks: peers, training examples, correct ones, loss
LOSS_SCALE = 1 << 10  # the hidden loss is a fixed-point number of examples * loss
LOSS_LIMIT = 1 << 26  # one peer's loss coordinate; 32 peers stay inside a 32-bit ring


@dataclass(frozen=True, slots=True)
class Grid:
    """How updates are put on integers: ring width w, fractional bits f, L2 clip of an update."""

    ring_bits: int
    frac_bits: int
    clip: float

    @property
    def ring(self) -> Ring:
        return ring(self.ring_bits)


@dataclass(frozen=True, slots=True)
class Metrics:
    """What training reports and masks hide: of one peer before, summed over the survivors after."""

    peers: int
    examples: int
    correct: int
    loss: int  # examples * mean loss * LOSS_SCALE, capped


def metrics(examples: int, correct: int, mean_loss: float) -> Metrics:
    """One peer's metrics as integers; a loss that is no number counts as the limit."""
    scaled = examples * mean_loss * LOSS_SCALE
    loss = int(scaled) if 0 <= scaled < LOSS_LIMIT else LOSS_LIMIT
    return Metrics(1, examples, correct, loss)


def base_of(model: Vector, step: Vector, momentum: float) -> Vector:
    """W0 = W + beta * step: where everybody starts the next round."""
    return (model.astype(np.float64) + np.float64(momentum) * step.astype(np.float64)).astype(np.float32)


def update_of(local: Vector, base: Vector, grid: Grid, dither: bytes) -> NDArray[np.int64]:
    """One peer's update on the grid; ValueError when training left a NaN or an infinity in the model."""
    delta = local.astype(np.float64) - base.astype(np.float64)
    if not np.isfinite(delta).all():
        raise ValueError("the update contains a NaN or an infinity")
    clipped, _ = clip_norm(delta, grid.clip)
    return quantise(clipped, grid.frac_bits, dither)


def masked_input(update: NDArray[np.int64], own: Metrics, grid: Grid) -> NDArray[np.unsignedinteger]:
    """The vector that goes under the masks: the auxiliary coordinates, then the update."""
    head = np.array([own.peers, own.examples, own.correct, own.loss], dtype=np.int64)
    return into_ring(np.concatenate([head, update]), grid.ring)


def split_sum(total: NDArray[np.unsignedinteger]) -> tuple[Metrics, NDArray[np.int64]]:
    """A sum's metrics and its integer update."""
    values = to_signed(total).astype(np.int64)
    peers, examples, correct, loss = (int(v) for v in values[:AUXILIARY])
    return Metrics(peers, examples, correct, loss), values[AUXILIARY:]


def merge(base: Vector, update_sum: NDArray[np.int64], members: int, grid: Grid) -> Vector:
    """W' = W0 + sum / (2^f * members): the integer mean of the quantised updates, taken once, in double precision."""
    mean = update_sum.astype(np.float64) / (np.float64(members) * np.float64(1 << grid.frac_bits))
    return (base.astype(np.float64) + mean).astype(np.float32)


def sum_within_bounds(update_sum: NDArray[np.int64], members: int, grid: Grid) -> bool:
    """No honest sum leaves survivors * (2^f * C + 1): anybody voids one that does."""
    limit = members * (int(np.ceil(grid.clip * (1 << grid.frac_bits))) + 1)
    return bool(np.abs(update_sum).max(initial=0) <= limit)


def carry_over(local: Vector, old_base: Vector, new_base: Vector) -> Vector:
    """Local := W' + (local - old base): work that no aggregate contains yet moves along."""
    return (new_base.astype(np.float64) + (local.astype(np.float64) - old_base.astype(np.float64))).astype(np.float32)


def weighted_mean(models: list[Vector], weights: list[int]) -> Vector:
    """BrainTorrent's merge: sum of (a_j / A) W_j over those who take part, in the order given, in double precision."""
    total = sum(weights)
    if total <= 0:
        raise InputError("a merge needs a positive number of training examples among its peers")
    mean = np.zeros(models[0].shape, np.float64)
    for model, weight in zip(models, weights, strict=True):
        mean += model.astype(np.float64) * (np.float64(weight) / np.float64(total))
    return mean.astype(np.float32)


def canonical(model: Vector) -> bytes:
    """The bytes whose SHA-256 names a model: float32, little-endian."""
    return model.astype("<f4", copy=False).tobytes()


def from_canonical(blob: bytes, parameters: int) -> Vector:
    """A model from its canonical bytes; ValueError when the length is not that of the agreed layout."""
    if len(blob) != 4 * parameters:
        msg = f"a model of {len(blob)} bytes where the layout has {4 * parameters}"
        raise ValueError(msg)
    return np.frombuffer(blob, "<f4").astype(np.float32)
