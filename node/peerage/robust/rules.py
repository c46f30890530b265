"""Rules that take one vector out of m, of which f may be anybody's invention.

Each vector has one vote, whatever count stands behind it: the mean of a bucket in masked rounds, a peer's model in
plain exchange. Values are in grid units. The result does not depend on the order of the vectors, and it has the same
bits everywhere: coordinates and distances are compared as integers, and the float operations left are elementwise.

What f bad vectors can do at most is a property of the rule (in its docstring); how many vectors it needs for that is in
`floors`.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

from peerage.robust.exact import distances, gram, quotient, rows_of
from peerage.robust.floors import least_vectors
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from peerage.robust.exact import Rows

WEISZFELD_STEPS = 64
WEIGHT_BITS = 60  # weights of the geometric median are integers over 2^60


def combine(rule: str, sums: Sequence[NDArray[np.int64]], counts: Sequence[int], byzantine: int) -> NDArray[np.float64]:
    """The rule's mean update in grid units, from the integer sums (d,) of m buckets and how many updates each holds.

    InputError when there are fewer vectors than the rule needs for f = `byzantine`.
    """
    needed = least_vectors(rule, byzantine)
    if len(sums) < needed:
        raise InputError(f"{rule} with f = {byzantine} needs {needed} vectors, there are {len(sums)}")
    rows = rows_of(sums, counts)
    if rule == "mean":
        return mean(sums, counts)
    return RULES[rule](rows, byzantine)


def mean(sums: Sequence[NDArray[np.int64]], counts: Sequence[int]) -> NDArray[np.float64]:
    """FedAvg of all updates, not of the buckets: the bits of a round without buckets. One bad vector moves it at will.

    The ring has room for the sum of all sums.
    """
    total: NDArray[np.int64] = np.stack(sums).sum(axis=0)
    return quotient(total, sum(counts))


def median(rows: Rows, byzantine: int = 0) -> NDArray[np.float64]:
    """Coordinate-wise median; the mean of the middle two of an even number (Yin et al. 2018, arXiv 1803.01498).

    With m >= 2 f + 1 every coordinate stays within the range of the honest ones. (`byzantine` changes nothing.)
    """
    del byzantine
    ordered, m = np.sort(rows.rows, axis=0), len(rows)
    return quotient(ordered[(m - 1) // 2] + ordered[m // 2], 2 * rows.denominator)


def trimmed_mean(rows: Rows, byzantine: int) -> NDArray[np.float64]:
    """The mean without the f largest and f smallest of every coordinate (Yin et al. 2018).

    With m >= 2 f + 1 every coordinate stays within the range of the honest ones.
    """
    kept = np.sort(rows.rows, axis=0)[byzantine : len(rows) - byzantine]
    return quotient(kept.sum(axis=0), len(kept) * rows.denominator)


def krum(rows: Rows, byzantine: int) -> NDArray[np.float64]:
    """The vector closest to its m - f - 2 nearest others, by squared distances (Blanchard et al. 2017).

    One of the vectors themselves, so a whole bucket's mean. Of equals the first in the order of their bytes.
    """
    best = ranked(rows, len(rows) - byzantine - 2)[0]
    return quotient(rows.rows[best], rows.denominator)


def multi_krum(rows: Rows, byzantine: int) -> NDArray[np.float64]:
    """The mean of the m - f - 2 vectors that Krum ranks first: as many as El-Mhamdi and Guerraoui's analysis allows
    (arXiv 1905.04374).
    """
    near = len(rows) - byzantine - 2
    return mean_of(rows, ranked(rows, near)[:near])


def ranked(rows: Rows, neighbours: int) -> list[int]:
    """Row numbers by Krum's score, the sum of squared distances to so many nearest others; best first."""
    table = distances(gram(rows.rows))
    scores = [sum(sorted(far[:i] + far[i + 1 :])[:neighbours]) for i, far in enumerate(table)]
    return sorted(range(len(rows)), key=lambda i: (scores[i], i))


def mean_of(rows: Rows, chosen: Sequence[int]) -> NDArray[np.float64]:
    """The mean of these rows."""
    return quotient(rows.rows[sorted(chosen)].sum(axis=0), len(chosen) * rows.denominator)


def geometric_median(rows: Rows, byzantine: int = 0, steps: int = WEISZFELD_STEPS) -> NDArray[np.float64]:
    """Where the sum of distances to all vectors is least: smoothed Weiszfeld, a fixed number of steps from the mean
    (Pillutla et al., RFA, arXiv 1912.13445). Distances below one grid unit count as one.

    While fewer than half of the vectors are bad, it stays within a constant times the honest spread. (`byzantine`
    changes nothing.) Every iterate is a weighted mean of the vectors, so the steps need their inner products alone: the
    weights are integers, and only the last sum is in floats, in the order of the rows.
    """
    del byzantine
    weights = weiszfeld(gram(rows.rows), rows.denominator, steps)
    found = np.zeros(rows.rows.shape[1], np.float64)
    for row, weight in zip(rows.rows, weights, strict=True):
        found += quotient(row, rows.denominator) * (np.float64(weight) / np.float64(1 << WEIGHT_BITS))
    return found


def weiszfeld(products: list[list[int]], smallest: int, steps: int) -> list[int]:
    """Weights over 2^60 of the rows in their geometric median; `smallest` is the least distance that counts."""
    one, m = 1 << WEIGHT_BITS, range(len(products))
    weights = [one // len(products)] * len(products)
    for _ in range(steps):
        along = [sum(weights[j] * products[i][j] for j in m) for i in m]  # <x_i, z> * 2^60
        itself = sum(weights[i] * along[i] for i in m)  # ||z||^2 * 2^120
        squares = [(products[i][i] << 2 * WEIGHT_BITS) - 2 * (along[i] << WEIGHT_BITS) + itself for i in m]
        far = [max(isqrt(max(0, square)), smallest << WEIGHT_BITS) for square in squares]
        closest = min(far)
        near = [(closest << 2 * WEIGHT_BITS) // distance for distance in far]  # 2^120 for the closest
        whole = sum(near)
        weights = [(part << WEIGHT_BITS) // whole for part in near]
    return weights


RULES: dict[str, Callable[[Rows, int], NDArray[np.float64]]] = {
    "median": median,
    "trimmed-mean": trimmed_mean,
    "krum": krum,
    "multi-krum": multi_krum,
    "geometric-median": geometric_median,
}
