"""Lengths: what an honest vector or sum cannot exceed, and shortening one that does. Integers throughout."""

from __future__ import annotations

from math import ceil, isqrt
from typing import TYPE_CHECKING

import numpy as np

from peerage.robust.exact import length_squared

if TYPE_CHECKING:
    from numpy.typing import NDArray


def longest_honest(parameters: int, frac_bits: int, clip: float) -> int:
    """The longest honest update in grid units: the clip, and less than one unit of rounding in each coordinate."""
    return ceil(clip * 2.0**frac_bits) + isqrt(parameters) + 1


def within_length(update_sum: NDArray[np.int64], members: int, longest: int) -> bool:
    """No honest sum of `members` updates is longer than all of them in one direction.

    A bound on single coordinates lets through what is sqrt(d) times longer.
    """
    return length_squared(update_sum) <= (members * longest) ** 2


def norm_bounded(vector: NDArray[np.int64], longest: int) -> NDArray[np.int64]:
    """The vector, shortened to `longest` units if it is longer and rounded towards zero (Sun et al. 2019, arXiv
    1911.07963).
    """
    square = length_squared(vector)
    if square <= longest**2:
        return vector
    sizes = np.abs(vector.astype(object)) * (longest << 32) // (isqrt(square << 64) + 1)
    shortened: NDArray[np.int64] = np.where(vector < 0, -sizes, sizes).astype(np.int64)
    return shortened
