"""Vectors of integers over one denominator, and their inner products without rounding.

All that a rule compares (coordinates, distances) is an integer here, so that every peer and the auditor pick the same
vectors on every machine. Division comes last, once for each coordinate.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Integers: TypeAlias = NDArray[Any]  # int64, or Python's integers (dtype object) where 64 bits may not do

LIMB_BITS = 21  # a product has 42 bits at most, and a million of them fit into 62
LIMB_ROWS = 1 << 20
ROOM_BITS = 62  # of any sum that the rules take inside int64


@dataclass(frozen=True, slots=True)
class Rows:
    """m vectors x_i = rows[i] / denominator, in the order of their bytes: the order given says nothing any more."""

    rows: Integers  # (m, d)
    denominator: int

    def __len__(self) -> int:
        return len(self.rows)


def rows_of(sums: Sequence[NDArray[np.int64]], counts: Sequence[int]) -> Rows:
    """The means sums[i] / counts[i] over their least common denominator; InputError when these are no vectors."""
    if not sums or len(sums) != len(counts):
        raise InputError(f"{len(sums)} sums with {len(counts)} counts: a rule needs one count for each sum")
    if any(s.ndim != 1 or s.dtype != np.int64 or s.shape != sums[0].shape for s in sums):
        raise InputError("the sums are not int64 vectors of one length")
    if min(counts) < 1:
        raise InputError(f"a sum of {min(counts)} updates has no mean")
    common = lcm(*counts)
    factors = [common // count for count in counts]
    largest = max(_largest(s) * factor for s, factor in zip(sums, factors, strict=True))
    kind: Any = np.int64 if 2 * len(sums) * largest < 1 << ROOM_BITS else object
    scaled = [s.astype(kind) * factor for s, factor in zip(sums, factors, strict=True)]
    scaled.sort(key=_bytes)
    return Rows(np.stack(scaled), common)


def _largest(vector: NDArray[np.int64]) -> int:
    return max(int(vector.max(initial=0)), -int(vector.min(initial=0)))


def _bytes(row: Integers) -> bytes | list[int]:
    """A total order of contents, the same on every machine."""
    return row.tolist() if row.dtype == object else row.astype("<i8").tobytes()


def quotient(numerators: Integers, denominator: int) -> NDArray[np.float64]:
    """The numerators over the denominator in double precision, elementwise."""
    return numerators.astype(np.float64) / np.float64(denominator)


def gram(rows: Integers) -> list[list[int]]:
    """All inner products <x_i, x_j> of the rows, exact."""
    m = len(rows)
    products = [[0] * m for _ in range(m)]
    for start in range(0, rows.shape[1], LIMB_ROWS):
        limbs = [_limbs(row[start : start + LIMB_ROWS]) for row in rows]
        for i in range(m):
            for j in range(i + 1):
                products[i][j] += _dot(limbs[i], limbs[j])
    for i in range(m):
        for j in range(i):
            products[j][i] = products[i][j]
    return products


def distances(products: list[list[int]]) -> list[list[int]]:
    """Squared distances ||x_i - x_j||^2 from the inner products, exact."""
    m = range(len(products))
    return [[products[i][i] + products[j][j] - 2 * products[i][j] for j in m] for i in m]


def length_squared(vector: NDArray[np.int64]) -> int:
    """||v||^2, exact."""
    return gram(vector[None, :])[0][0]


def _limbs(row: Integers) -> list[NDArray[np.int64]]:
    """The row in signed digits of 21 bits, lowest first, as many as its largest entry needs."""
    low = (1 << LIMB_BITS) - 1
    limbs: list[NDArray[np.int64]] = []
    rest = row
    while len(rest) and (int(rest.max()) > low >> 1 or int(rest.min()) < -(low >> 1)):
        digit = rest & low
        limbs.append(digit.astype(np.int64))
        rest = (rest - digit) >> LIMB_BITS
    return [*limbs, rest.astype(np.int64)]


def _dot(one: list[NDArray[np.int64]], other: list[NDArray[np.int64]]) -> int:
    total = 0
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            total += int(np.dot(a, b)) << (LIMB_BITS * (i + j))  # integers: no BLAS, no rounding, no order
    return total
