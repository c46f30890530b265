"""Real numbers as integers mod 2^w: what masks can hide and sums can add exactly.

A value v becomes floor(v * 2^f + u) with u uniform in [0, 1): right on average, at most one unit away, and an integer
stays itself. Two's complement, so sums of either sign need no offset as long as `check_headroom` holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from peerage_crypto.digest import tagged
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float32] | NDArray[np.float64]
    Words = NDArray[np.unsignedinteger[Any]]

RING_BITS = (16, 32, 64)
LARGEST_QUANTISED = 2.0**62  # leaves int64 room for the rounding
BLOCK = 1 << 15  # elements that are rounded at a time: the temporaries stay in the cache


@dataclass(frozen=True, slots=True)
class Ring:
    """The integers mod 2^bits as unsigned numpy words; InputError for another width than 16, 32 or 64."""

    bits: int

    def __post_init__(self) -> None:
        if self.bits not in RING_BITS:
            raise InputError(f"ring_bits = {self.bits} is not supported: choose 16, 32 or 64")

    @property
    def modulus(self) -> int:
        return 1 << self.bits

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """In the byte order of this machine; on the wire words are little-endian."""
        return np.dtype(f"=u{self.bits // 8}")

    @property
    def word_bytes(self) -> int:
        return self.bits // 8


@lru_cache(maxsize=len(RING_BITS))
def ring(bits: int) -> Ring:
    """The ring of this width."""
    return Ring(bits)


def to_signed(words: Words) -> NDArray[np.signedinteger[Any]]:
    """The same memory in two's complement: [-2^(w-1), 2^(w-1))."""
    if words.dtype.kind != "u":
        raise ValueError(f"ring elements are unsigned words, not {words.dtype}")
    return words.view(words.dtype.str.replace("u", "i"))


def into_ring(integers: NDArray[np.int64], into: Ring) -> Words:
    """Each integer mod 2^w; a new array."""
    return integers.astype(into.dtype)  # conversion to unsigned words is reduction mod 2^w


def quantise(values: Reals, frac_bits: int, seed: bytes) -> NDArray[np.int64]:
    """floor(v * 2^f + u) for a vector (d,); u comes from the seed by Philox, which is fast and never revealed.

    Not for noise that must resist an adversary. ValueError for a NaN, an infinity, or a value beyond 2^62 units.
    """
    scale = 2.0**frac_bits
    top, bottom = float(values.max(initial=0.0)), float(values.min(initial=0.0))  # a NaN makes both NaN
    if not (isfinite(top) and isfinite(bottom) and max(top, -bottom) * scale < LARGEST_QUANTISED):
        raise ValueError("a value to be quantised is a NaN, an infinity, or too large for the grid")
    philox = np.random.Philox(key=np.frombuffer(tagged("peerage/dither/v1", seed)[:16], "<u8"))
    quantised = np.empty(values.shape, np.int64)
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK].astype(np.float64)
        block *= scale  # exact, as every step below but the last sum
        whole = np.floor(block)
        block -= whole
        # raw words, because numpy keeps their stream for ever but not that of its uniform floats
        raw = philox.random_raw((len(block) + 1) // 2).astype("<u8", copy=False).view("<u4")[: len(block)]
        block += raw * 2.0**-32
        whole += block >= 1.0
        quantised[start : start + BLOCK] = whole
    return quantised


def dequantise(integers: NDArray[np.signedinteger[Any]], frac_bits: int) -> NDArray[np.float64]:
    """Back to real numbers, integers / 2^f, in double precision."""
    return integers.astype(np.float64) * 2.0**-frac_bits


def clip_norm(values: Reals, l2: float) -> tuple[NDArray[np.float64], float]:
    """The vector shortened to length `l2` if it is longer, and the factor that did it (1.0: untouched).

    ValueError where no length can be told: a NaN, an infinity, or squares that overflow.
    """
    doubles = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        length = sqrt(float(np.square(doubles).sum()))
    if not isfinite(length):
        raise ValueError("the length of the vector is no finite number")
    if length <= l2:
        return doubles, 1.0
    factor = l2 / length
    return doubles * factor, factor


def check_headroom(n: int, frac_bits: int, bound: float, within: Ring) -> None:
    """InputError unless a sum of n quantised values, each within ±bound, stays inside the ring's signed range."""
    if n < 1 or frac_bits < 0 or not (isfinite(bound) and bound > 0):
        raise InputError(f"no sum of {n} values within {bound} at frac_bits = {frac_bits}: all must be positive")
    if _fits(n, frac_bits, bound, within):
        return
    legal = next((f for f in range(min(frac_bits, within.bits), -1, -1) if _fits(n, f, bound, within)), None)
    remedy = "choose a wider ring_bits or a smaller clip" if legal is None else f"choose frac_bits = {legal} or less"
    raise InputError(
        f"a sum of {n} values within {bound:g} at frac_bits = {frac_bits} overflows {within.bits} bits: {remedy}"
    )


def _fits(n: int, frac_bits: int, bound: float, within: Ring) -> bool:
    units = Fraction(bound) * (1 << frac_bits) + 1  # rounding adds less than one
    return n * units < within.modulus // 2
