"""Skellam noise: integers that stay Skellam when peers add theirs up, drawn from a cipher by inversion of a table.

Sk(mu) is the difference of two Poisson variables of mean mu / 2: P(X = k) = e^-mu I_k(mu), mean 0, variance mu.
Independent Sk(mu_i) add up to Sk(sum of mu_i) (Agarwal, Kairouz and Liu 2021, arXiv 2110.04995).

Nothing here is a float: the table is made of integers, so every machine draws the same from the same key, and no
rounding of a density leaks what lies under the noise (Mironov 2012). The draws are AES-256-CTR words of one 32-byte
secret. The table ends at `noise_bound` and its thresholds are multiples of 2^-255: one coordinate is within
TOTAL_VARIATION of Sk(mu).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

from peerage_crypto.agreement import derive
from peerage_crypto.errors import InputError
from peerage_crypto.fixedpoint import ring
from peerage_crypto.masking import expand

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOTAL_VARIATION = 2.0**-160  # of one coordinate from Sk(mu): the cut tail, and thresholds rounded to 2^-255
LARGEST_VARIANCE = 1 << 30  # a table of half a million thresholds; a coarser grid serves larger noise as well
PRECISION = 320  # bits of the recurrence: its error stays below the last bit of a threshold
HIGH_BITS, LOW_WORDS = 63, 3  # a threshold is 63 bits that numpy compares and 3 words that decide a tie
LOW_BITS = 64 * LOW_WORDS
WHOLE = 1 << (HIGH_BITS + LOW_BITS)
WORDS = ring(64)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """P(|X| <= k) for k = 0 .. bound, in units of 2^-255: `high` its first 63 bits, `low` the rest as 24 bytes each."""

    variance: int
    bound: int
    high: NDArray[np.uint64]  # shape (bound + 1,)
    low: bytes

    def threshold(self, k: int) -> int:
        size = LOW_BITS // 8
        return (int(self.high[k]) << LOW_BITS) | int.from_bytes(self.low[size * k : size * (k + 1)], "little")


def noise_bound(variance: int) -> int:
    """The largest |X| that is ever drawn, for sums that must not wrap.

    Bernstein: P(X >= t) <= exp(-t^2 / 2(mu + t/3)), since cosh(s) - 1 <= s^2 / 2(1 - s/3); at this t the exponent is
    -112, so both tails together hold less than 2^-160.
    """
    _check(variance)
    return 39 + isqrt(1394 + 224 * variance) if variance else 0


def noise(key: bytes, count: int, variance: int) -> NDArray[np.int64]:
    """`count` independent draws of Sk(variance); `key` is a secret of 32 bytes that serves for this alone."""
    if len(key) != 32:
        raise ValueError(f"a noise key has 32 bytes, not {len(key)}")
    if variance == 0:
        return np.zeros(count, np.int64)
    table = table_of(variance)
    words = expand(derive(key, b"", b"peerage/v1/skellam/words"), count, WORDS)
    magnitude = _magnitudes(table, words >> np.uint64(1), derive(key, b"", b"peerage/v1/skellam/ties"))
    negative = (words & np.uint64(1)).astype(np.bool_)
    return np.where(negative, -magnitude, magnitude)


def _magnitudes(table: Table, high: NDArray[np.uint64], ties: bytes) -> NDArray[np.int64]:
    """The first k whose threshold lies above each number; `high` are its first 63 bits, `ties` the key of the rest."""
    found = np.searchsorted(table.high, high, side="right").astype(np.int64)
    equal = np.flatnonzero(table.high[np.maximum(found - 1, 0)] == high)
    for place in equal:  # about one draw in 2^63 divided by the length of the table
        low = expand(ties, LOW_WORDS, WORDS, int(place) * LOW_WORDS)
        rest = sum(int(word) << (64 * i) for i, word in enumerate(low))
        found[place] = first_above(table, (int(high[place]) << LOW_BITS) | rest)
    return found


def first_above(table: Table, number: int) -> int:
    """The magnitude that a number below 2^255 stands for."""
    k = int(np.searchsorted(table.high, np.uint64(number >> LOW_BITS), side="left"))
    while table.threshold(k) <= number:
        k += 1
    return k


@lru_cache(maxsize=2)
def table_of(variance: int) -> Table:
    """The table of Sk(variance); seconds at the largest variance, so the last ones are kept.

    The ratios r_k = I_k(mu) / I_(k-1)(mu) = 1 / (2k/mu + r_(k+1)) are taken downwards from far outside, where errors
    shrink at each step (Gautschi 1967); the weights are their products.
    """
    bound = noise_bound(variance)
    if variance == 0:
        raise ValueError("no noise needs no table")
    unit = 1 << PRECISION
    ratio, ratios = 0, [0] * (bound + 1)
    for k in range(2 * bound, 0, -1):
        ratio = (unit * unit) // (2 * k * unit // variance + ratio)
        if k <= bound:
            ratios[k] = ratio
    weight, cumulative = unit, [unit] * (bound + 1)
    for k in range(1, bound + 1):
        weight = weight * ratios[k] >> PRECISION
        cumulative[k] = cumulative[k - 1] + 2 * weight  # both signs
    whole = cumulative[-1]
    thresholds = [WHOLE * c // whole for c in cumulative]
    low = b"".join((t % (1 << LOW_BITS)).to_bytes(LOW_BITS // 8, "little") for t in thresholds)
    return Table(variance, bound, np.array([t >> LOW_BITS for t in thresholds], np.uint64), low)


def _check(variance: int) -> None:
    if not 0 <= variance <= LARGEST_VARIANCE:
        raise InputError(
            f"noise of variance {variance} is outside what is drawn, 0 to {LARGEST_VARIANCE} (in units of the grid): "
            "choose a smaller frac_bits"
        )
