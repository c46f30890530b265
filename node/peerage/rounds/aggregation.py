"""From local models to the next aggregate: every function here is exact, so that everybody computes the same bits.

A round starts from the base W0 = W + beta * (last applied step): public momentum, applied before anything is scored
(other optimisers of the merge: `optimisers`). Each peer's update is delta = local - W0, clipped (each coordinate, then
its length) and put on a fixed-point grid. The new aggregate is W' = W0 + (integer sum) / (2^f * members). Only
elementwise IEEE operations, no reductions: equal bits on every machine.

A masked vector is AUXILIARY counts in a 64-bit lane, then the parameters as words of the ring; nothing in it can leave
its range, whatever was trained: see `Grid.largest` and LANE_LIMIT.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from peerage_crypto.errors import InputError
from peerage_crypto.fixedpoint import clip_each, clip_norm, into_ring, largest_unit, on_grid, ring, to_signed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from peerage_crypto.fixedpoint import Ring

    Vector = NDArray[np.float32]

AUXILIARY = 6  # counts under the same masks, in a 64-bit lane ahead of the parameters: the fields of `Metrics`
LOSS_SCALE = 1 << 10  # the hidden loss is a fixed-point number of examples * loss
ONE = Fraction(1)
LANE_LIMIT = 1 << 52  # of one peer's count: sums of 1000 peers and more stay inside 64 bits


@dataclass(frozen=True, slots=True)
class Grid:
    """How updates are put on integers: ring width w, fractional bits f, L2 clip of an update, clip of a coordinate."""

    ring_bits: int
    frac_bits: int
    clip: float
    noise_bound: int = 0  # units that privacy noise may add to one coordinate of one peer
    clip_each: float = 0.0  # 0: no other bound than the length

    @property
    def ring(self) -> Ring:
        """With the lane of the auxiliary counts."""
        return ring(self.ring_bits, AUXILIARY)

    @property
    def largest(self) -> int:
        """The bound of one honest coordinate, in units of the grid."""
        return largest_unit(self.frac_bits, self.clip, self.clip_each, self.noise_bound)

    def length(self, parameters: int) -> int:
        """Of a masked vector, in words of the ring."""
        return self.ring.lane_words + parameters


@dataclass(frozen=True, slots=True)
class Metrics:
    """What training reports and masks hide: of one peer before, summed over the survivors after."""

    peers: int
    examples: int
    correct: int
    loss: int  # examples * mean loss * LOSS_SCALE
    shortened: int = 0  # updates that were longer than the clip
    cut: int = 0  # coordinates that were larger than theirs


def metrics(examples: int, correct: int, mean_loss: float) -> Metrics:
    """One peer's metrics as integers; a loss that is no number counts as the limit."""
    scaled = examples * mean_loss * LOSS_SCALE
    loss = int(scaled) if 0 <= scaled < LANE_LIMIT else LANE_LIMIT
    return Metrics(1, examples, correct, loss)


@dataclass(frozen=True, slots=True)
class Update:
    """One peer's update in units of the grid (d,), and what its clips took away."""

    units: NDArray[np.int64]
    shortened: bool
    cut: int


def base_of(model: Vector, step: Vector, momentum: float) -> Vector:
    """W0 = W + beta * step: where everybody starts the next round."""
    return (model.astype(np.float64) + np.float64(momentum) * step.astype(np.float64)).astype(np.float32)


def update_of(local: Vector, base: Vector, grid: Grid, dither: bytes, scale: Fraction = ONE) -> Update:
    """One peer's update on the grid; ValueError when training left a NaN or an infinity in the model.

    `scale` comes before the clips: whoever takes part seldom counts for more, and never for more than the clip.
    """
    delta = local.astype(np.float64) - base.astype(np.float64)
    if scale != 1:
        delta = delta * np.float64(scale.numerator) / np.float64(scale.denominator)
    if not np.isfinite(delta).all():
        raise ValueError("the update contains a NaN or an infinity")
    within, cut = clip_each(delta, grid.clip_each)
    clipped, factor = clip_norm(within, grid.clip)
    return Update(on_grid(clipped, grid.frac_bits, grid.clip, grid.clip_each, dither), factor < 1, cut)


def masked_input(update: Update, own: Metrics, grid: Grid) -> NDArray[np.unsignedinteger]:
    """The vector that goes under the masks: the auxiliary counts in their lane, then the update."""
    counts = (own.peers, own.examples, own.correct, own.loss, int(update.shortened), update.cut)
    lane = np.array([min(max(count, 0), LANE_LIMIT) for count in counts], "<u8")
    return np.concatenate([lane.view(grid.ring.dtype), into_ring(update.units, grid.ring)])


def split_sum(total: NDArray[np.unsignedinteger]) -> tuple[Metrics, NDArray[np.int64]]:
    """A sum's metrics and its integer update."""
    cut = ring(8 * total.itemsize, AUXILIARY).lane_words
    counts = (int(v) for v in total[:cut].view("<i8"))
    return Metrics(*counts), to_signed(total[cut:]).astype(np.int64)


def merge(base: Vector, update_sum: NDArray[np.int64], members: int, grid: Grid) -> Vector:
    """W' = W0 + sum / (2^f * members): the plain mean of the updates."""
    return (base.astype(np.float64) + mean_of(update_sum, members, grid)).astype(np.float32)


def mean_of(update_sum: NDArray[np.int64], members: int, grid: Grid) -> NDArray[np.float64]:
    """The integer mean of the quantised updates, taken once, in double precision, in units of the parameters."""
    return update_sum.astype(np.float64) / (np.float64(members) * np.float64(1 << grid.frac_bits))


def in_parameters(mean: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """A mean in units of the grid, which a robust rule has chosen, in units of the parameters."""
    return mean / np.float64(1 << grid.frac_bits)


def sum_within_bounds(update_sum: NDArray[np.int64], members: int, grid: Grid) -> bool:
    """No coordinate of an honest sum is beyond survivors * Grid.largest: anybody voids a sum where one is."""
    return bool(np.abs(update_sum).max(initial=0) <= members * grid.largest)


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
