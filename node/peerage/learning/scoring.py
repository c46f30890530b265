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
from torch.nn import functional

from peerage.learning.model import from_vector, shared_entries
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from peerage.learning.data import Dataset

SIMPSON = ((0.0, 1 / 6), (0.5, 4 / 6), (1.0, 1 / 6))
LARGEST_EXPONENT = 48  # of a direction; pay brings all rounds to one unit (`rewards.comparable`)


def path_gradient(
    model: nn.Module, start: NDArray[np.float32], step: NDArray[np.float32], validation: Dataset
) -> NDArray[np.float64]:
    """(d,) gbar in float64, zero on entries that are not parameters; `model` only lends its architecture.

    Call with one torch thread: the sums then have one order, and peers on like machines the same bits.
    """
    probe = deepcopy(model).double().eval()
    features, labels = torch.from_numpy(validation.features).double(), torch.from_numpy(validation.labels)
    total = np.zeros(len(start), dtype=np.float64)
    for t, weight in SIMPSON:
        from_vector(probe, start.astype(np.float64) + t * step.astype(np.float64))
        total -= weight * _gradient(probe, functional.cross_entropy(probe(features), labels))
    return total


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


def integer_direction(
    gbar: NDArray[np.float64], seed: bytes, *, ring_bits: int = 32, frac_bits: int = 16, clip: float = 8.0
) -> tuple[NDArray[np.int64], int]:
    """(g, e): g is gbar * 2^e rounded stochastically, e the largest exponent with ||g|| <= 2^(w-1-f) / clip.

    Then |<q, g>| < 2^(w-1) for every update q of length at most clip * 2^f: opened numbers do not wrap. A direction
    without length (nothing gained) is all zeros at exponent 0.
    """
    longest = 2.0 ** (ring_bits - 1 - frac_bits) / clip
    if longest < 1:
        raise InputError(
            f"a ring of {ring_bits} bits leaves no room for scores at frac_bits = {frac_bits} and clip = {clip}: "
            f"lower frac_bits to {max(1, int(ring_bits - 9 - np.log2(clip)))}."
        )
    length = _length(gbar)
    if not isfinite(length) or length == 0:
        return np.zeros(len(gbar), dtype=np.int64), 0
    uniform = np.random.Generator(np.random.Philox(key=int.from_bytes(seed[:16], "little"))).random(len(gbar))
    exponent = min(LARGEST_EXPONENT, frexp(longest / length)[1])  # one too many at most; rounding adds length too
    while True:
        g = np.floor(gbar * 2.0**exponent + uniform).astype(np.int64)
        if _length(g.astype(np.float64)) <= longest:
            return g, exponent
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
