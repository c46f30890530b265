"""Real numbers as integers mod 2^w: what masks can hide and sums can add exactly.

A value v becomes floor(v * 2^f + u) with u uniform in [0, 1): right on average, at most one unit away, and an integer
stays itself. Two's complement, so sums of either sign need no offset as long as `check_headroom` holds.

What is counted (peers, examples, losses...) needs more room than a parameter: it goes ahead of them in a lane of 64-bit
words, in a ring of any width. Lane and words are one run of bytes under one keystream; only adding tells them apart.
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
LANE_BITS = 64
LARGEST_QUANTISED = 2.0**62  # leaves int64 room for the rounding
SLACK = 2.0**-30
BLOCK = 1 << 15  # elements that are rounded at a time: the temporaries stay in the cache


@dataclass(frozen=True, slots=True)
class Ring:
    """What vectors are made of: `lane` words mod 2^64, then words mod 2^bits. InputError for an unsupported width.

    A vector is an array of words of `bits`; its lane is its first `lane_words`, read as 64-bit words in sums.
    """

    bits: int
    lane: int = 0

    def __post_init__(self) -> None:
        if self.bits not in RING_BITS:
            raise InputError(f"ring_bits = {self.bits} is not supported: choose 16, 32 or 64")
        if self.lane < 0:
            raise ValueError(f"a lane of {self.lane} words cannot be")

    @property
    def modulus(self) -> int:
        return 1 << self.bits

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """Little-endian in memory as on the wire, so that a lane word is the same bytes under every width."""
        return np.dtype(f"<u{self.bits // 8}")

    @property
    def word_bytes(self) -> int:
        return self.bits // 8

    @property
    def lane_words(self) -> int:
        """Length of the lane in words of `bits`."""
        return self.lane * (LANE_BITS // self.bits)


@lru_cache(maxsize=64)
def ring(bits: int, lane: int = 0) -> Ring:
    """The ring of this width, with a lane of so many 64-bit words ahead of it."""
    return Ring(bits, lane)


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


def clip_each(values: Reals, bound: float) -> tuple[NDArray[np.float64], int]:
    """Every coordinate cut to ±`bound` (0: none is), and how many had to be."""
    doubles = values.astype(np.float64)
    if not bound:
        return doubles, 0
    return np.clip(doubles, -bound, bound), int(np.count_nonzero(np.abs(doubles) > bound))


def on_grid(clipped: Reals, frac_bits: int, clip: float, each: float, seed: bytes) -> NDArray[np.int64]:
    """`quantise` for a vector that was clipped, kept within `largest_unit` and `norm_limit` whatever the rounding does.

    Rounding that makes the vector too long is drawn again (conditional rounding, Kairouz, Liu & Steinke 2021,
    arXiv 2102.06387, §4): at most one draw in e^8 is.
    """
    top, longest = largest_unit(frac_bits, clip, each), norm_limit(frac_bits, clip, len(clipped))
    while True:
        units = np.clip(quantise(clipped, frac_bits, seed), -top, top)
        if sqrt(float(np.square(units.astype(np.float64)).sum())) <= longest:
            return units
        seed = tagged("peerage/dither again/v1", seed)


def largest_unit(frac_bits: int, clip: float, each: float = 0.0, noise: int = 0) -> int:
    """The bound of one honest coordinate in units of the grid: its clip, one for the rounding, its noise's bound."""
    bound = min(clip, each) if each else clip
    return int(Fraction(bound) * (1 << frac_bits)) + 1 + noise


def norm_limit(frac_bits: int, clip: float, length: int) -> float:
    """The length in units that no honest vector of `length` coordinates exceeds, rounding included.

    c + sqrt(d) always holds; sqrt(c^2 + d/4 + 4 (c + sqrt(d)/2)) holds for all but one rounding in e^8 (same source,
    with sqrt(2 log(1/beta)) = 4), and `on_grid` draws that one again. SLACK: lengths are computed in double precision.
    """
    c, root = 2.0**frac_bits * clip, sqrt(length)
    return min(c + root, sqrt(c * c + length / 4 + 4 * (c + root / 2))) * (1 + SLACK)


def check_headroom(n: int, frac_bits: int, clip: float, within: Ring, *, each: float = 0.0, noise: int = 0) -> None:
    """InputError unless a sum of n honest coordinates stays inside the ring's signed range; it names what would.

    `each` bounds single coordinates (0: only the norm does), `noise` is the largest noise of one peer, in units.
    """
    bound = min(clip, each) if each else clip
    if n < 1 or frac_bits < 0 or noise < 0 or not (isfinite(bound) and bound > 0):
        raise InputError(f"no sum of {n} values within {bound} at frac_bits = {frac_bits}: all must be positive")
    if _fits(n, largest_unit(frac_bits, clip, each, noise), within.bits):
        return
    remedies: list[str] = []
    legal = next(
        (
            f
            for f in range(min(frac_bits, within.bits), 0, -1)
            if _fits(n, largest_unit(f, clip, each, noise), within.bits)
        ),
        None,
    )
    if legal is not None:
        remedies.append(f"frac_bits = {legal}")
    room = (within.modulus // 2 - 1) // n - 1 - noise
    if room > 0:
        remedies.append(f"clip_each = {_below(room, frac_bits)!r}")
    wider = next(
        (b for b in RING_BITS if b > within.bits and _fits(n, largest_unit(frac_bits, clip, each, noise), b)), None
    )
    if wider is not None:
        remedies.append(f"ring_bits = {wider}")
    remedy = f"choose {' or '.join(remedies)}" if remedies else "choose a smaller clip or less noise"
    raise InputError(
        f"a sum of {n} values within {bound:g} at frac_bits = {frac_bits} overflows {within.bits} bits: {remedy}"
    )


def _below(room: int, frac_bits: int) -> float:
    """The nearest bound below room / 2^f with few digits: what a person would type."""
    exact = room / 2**frac_bits
    return next((short for digits in range(2, 17) if (short := float(f"{exact:.{digits}g}")) <= exact), exact)


def _fits(n: int, largest: int, bits: int) -> bool:
    return n * largest < 1 << (bits - 1)
