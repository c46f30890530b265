"""The public direction g of a round: what an update is multiplied with to say how much of the gain is its own.

The value is Aumann-Shapley's along the straight path from W0 to W' = W0 + D: with
gbar = - integral over t in [0, 1] of grad L(W0 + t D) dt, the shares <delta_i, gbar> / n add up to L(W0) - L(W')
(Aumann & Shapley 1974; as integrated gradients: Sundararajan et al. 2017, arXiv 1703.01365). What the last applied
steps already told everyone is projected out, so replaying them earns nothing. Everything here is a function of public
artefacts: each peer recomputes g and refuses to open for another one.
"""

from __future__ import annotations

from copy import deepcopy
from math import frexp, isfinite, sqrt
from typing import TYPE_CHECKING

import numpy as np
import torch

from peerage.learning.model import from_vector, shared_entries
from peerage.learning.objective import objective
from peerage.rounds.grid import longest_direction
from peerage_crypto.crossfit import FRAC_BITS, LENGTH
from peerage_crypto.digest import sha256
from peerage_crypto.fixedpoint import clip_norm, on_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from peerage.learning.data import Dataset
    from peerage.rounds.aggregation import Grid

SIMPSON = ((0.0, 1 / 6), (0.5, 4 / 6), (1.0, 1 / 6))
LARGEST_EXPONENT = 48  # of a direction; pay brings all rounds to one unit (`rewards.comparable`)


def path_gradient(
    model: nn.Module,
    start: NDArray[np.float32],
    step: NDArray[np.float32],
    validation: Dataset,
    *,
    classes_alike: bool = False,
) -> NDArray[np.float64]:
    """(d,) gbar in float64, zero on entries that are not parameters; `model` only lends its architecture.

    `classes_alike`: of the mean over the classes present of each class's mean loss, instead of the mean over the rows.
    Call with one torch thread: the sums then have one order, and peers on like machines the same bits.
    """
    probe = deepcopy(model).double().eval()
    features, labels = torch.from_numpy(validation.features).double(), torch.from_numpy(validation.labels)
    counts = torch.bincount(labels).double()  # cross_entropy divides by the sum of the rows' weights
    weights = torch.where(counts > 0, 1 / counts, 0.0) if classes_alike else None
    total = np.zeros(len(start), dtype=np.float64)
    for t, weight in SIMPSON:
        from_vector(probe, start.astype(np.float64) + t * step.astype(np.float64))
        total -= weight * _gradient(probe, objective(probe, features, labels, weight=weights))
    return total


def steepened(gbar: NDArray[np.float64], slope: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Gbar as it is felt by updates: where the merge moves the model by its own rate in each coordinate (`slope`), the
    shares <delta_i, slope * gbar> / n are what adds up to the gain.
    """
    return gbar if slope is None else gbar * slope


def _gradient(probe: nn.Module, loss: torch.Tensor) -> NDArray[np.float64]:
    moved = {name: entry for name, entry in probe.named_parameters() if entry.requires_grad}
    found: Sequence[torch.Tensor | None] = torch.autograd.grad(loss, list(moved.values()), allow_unused=True)
    gradients = dict(zip(moved, found, strict=True))  # a tied parameter has two names and is paid under its first
    pieces: list[NDArray[np.float64]] = []
    for name, entry in shared_entries(probe):
        gradient = gradients.get(name)
        pieces.append(np.zeros(entry.numel()) if gradient is None else gradient.reshape(-1).numpy())
    return np.concatenate(pieces)


def novel(gbar: NDArray[np.float64], applied: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """What is left of gbar without its part in the span of the applied steps: the last few, as many as declared."""
    basis: list[NDArray[np.float64]] = []
    for step in applied:
        vector = step.astype(np.float64)
        length = _length(vector)
        for _ in range(2):  # once leaves rounding behind when steps are nearly parallel (Giraud & Langou 2002)
            for known in basis:
                vector = vector - _dot(vector, known) * known
        rest = _length(vector)
        if rest > 1e-9 * length:
            basis.append(vector / rest)
    rest_of_g = gbar.copy()
    for _ in range(2):
        for known in basis:
            rest_of_g -= _dot(rest_of_g, known) * known
    return rest_of_g


def integer_direction(gbar: NDArray[np.float64], seed: bytes, grid: Grid) -> tuple[NDArray[np.int64], int]:
    """(g, e): g is gbar * 2^e rounded stochastically, e the largest exponent with ||g|| <= `longest_direction`.

    Then |<q, g>| < 2^(w-1) for every honest update q: opened numbers do not wrap. A direction without length (nothing
    gained) is all zeros at exponent 0.
    """
    rows, exponent = _on_one_scale((gbar,), (seed,), grid)
    return rows[0], exponent


def cross_directions(
    sums: tuple[NDArray[np.int64], NDArray[np.int64]], applied: Sequence[NDArray[np.float32]], seed: bytes, grid: Grid
) -> tuple[NDArray[np.int64], int]:
    """(g, e) of private validation: row k is for the members of half k and made of the *other* half's sum.

    Both sums are brought to length one first, so that no half's gradients pay more, and rounded at one exponent.
    """
    lengths = [_length(total.astype(np.float64)) for total in sums]
    gbars = tuple(novel(sums[other] / lengths[other], applied) for other in (1, 0))
    rows, exponent = _on_one_scale(gbars, (sha256(seed, b"\0"), sha256(seed, b"\1")), grid)
    return np.stack(rows), exponent


def gradient_units(gbar: NDArray[np.float64], dither: bytes) -> NDArray[np.int64] | None:
    """One peer's path gradient as everybody sends it: of length one, on the grid; None for one that is no number."""
    length = _length(gbar)
    if not isfinite(length):
        return None
    unit, _ = clip_norm(gbar / length if length else gbar, LENGTH)
    return on_grid(unit, FRAC_BITS, LENGTH, 0.0, dither)


def _on_one_scale(
    gbars: Sequence[NDArray[np.float64]], seeds: Sequence[bytes], grid: Grid
) -> tuple[list[NDArray[np.int64]], int]:
    longest = longest_direction(grid, len(gbars[0]))
    lengths = [_length(gbar) for gbar in gbars]
    if not all(isfinite(length) for length in lengths) or not any(lengths):
        return [np.zeros(len(gbar), dtype=np.int64) for gbar in gbars], 0
    keys = [np.random.Philox(key=int.from_bytes(seed[:16], "little")) for seed in seeds]
    uniforms = [np.random.Generator(key).random(len(gbar)) for key, gbar in zip(keys, gbars, strict=True)]
    # one too many at most; rounding adds length too
    exponent = min(LARGEST_EXPONENT, frexp(longest / max(lengths))[1])
    while True:
        scale = 2.0**exponent
        rows = [np.floor(gbar * scale + u).astype(np.int64) for gbar, u in zip(gbars, uniforms, strict=True)]
        if all(_length(row.astype(np.float64)) <= longest for row in rows):
            return rows, exponent
        exponent -= 1


def cosine(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    """1.0 for equal directions; two directions without length are the same one."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    lengths = _length(a) * _length(b)
    if lengths == 0:
        return 1.0 if not a.any() and not b.any() else 0.0
    return _dot(a, b) / lengths


def _dot(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Summed in numpy's fixed pairwise order: a BLAS would share it among threads, in another order on each machine,
    and with many peers on one host the threads' quarrel takes a hundred times longer than the sum.
    """
    return float(np.sum(one * other))


def _length(vector: NDArray[np.float64]) -> float:
    return sqrt(_dot(vector, vector))
