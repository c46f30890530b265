"""What a federation agrees on when it opens sketches, and what such settings promise (docs/sketches.md).

Everything here is integers, so that all peers and the auditor decide alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import ceil, isqrt, log, sqrt

from peerage_crypto.digest import tagged
from peerage_crypto.errors import InputError
from peerage_crypto.thresholds import colluders, degree, quorum

MOST_SKETCHES = 64
FRAME_BYTES = 200 << 10  # of one message (peerage.messages)
OVERHEAD_BYTES = 320  # of one peer's sketch in a message: two names, a signature, two digests, their frames
WRONGLY = 2.0**-20  # an honest update is excluded with less than this probability


@dataclass(frozen=True, slots=True)
class Sketching:
    """`count` projections of each update; `bound` in medians, as a ratio; `longest` in units of the grid.

    No honest vector is longer. Of the first `skip` words of a vector (what is counted) nothing is opened.
    """

    count: int
    bound: tuple[int, int]
    longest: int
    skip: int = 0


def sketching(
    count: int, length_bound: float, *, clip: float, frac_bits: int, bits: int, length: int, skip: int
) -> Sketching | None:
    """The terms of a session over vectors of `length` words, the first `skip` of them counts; None: no sketches.

    An update of length 2^f * clip is rounded by less than one in each coordinate, which adds less than sqrt(d).
    InputError where a projection of an honest update could leave the ring.
    """
    if not count:
        return None
    ratio = Fraction(str(length_bound)).limit_denominator(1000)
    longest = ceil(Fraction(clip) * (1 << frac_bits)) + isqrt(length - skip) + 1
    if slack(count) * longest**2 >= 2 * (1 << (bits - 1)) ** 2:
        raise InputError(
            f"projections of an update of length {clip:g} at frac_bits = {frac_bits} overflow {bits} bits: choose a "
            "smaller frac_bits or clip, or wider ring_bits"
        )
    return Sketching(count, (ratio.numerator, ratio.denominator), longest, skip)


def late_commitment(late: bytes) -> bytes:
    """The randomness that a manifest shows, when the projections are drawn from what stands behind it."""
    return tagged("peerage/late/v1", late)


@cache
def slack(count: int) -> int:
    """The least integer t such that the energy of an update of length 1 exceeds t with probability below 2^-20.

    The energy is twice the sum of `count` squared projections, each over signs that are zero half of the time. Its
    moment generating function is at most that of chi-squared with as many degrees of freedom (Achlioptas 2003, lemma
    5.2: the even moments of such signs are below those of a Gaussian): P(energy >= t) <= (t/r)^(r/2) e^((r-t)/2).
    """
    return next(t for t in range(count + 1, 10_000) if t - count - count * log(t / count) >= -2 * log(WRONGLY))


def safe_length(count: int, bound: tuple[int, int]) -> float:
    """An update of up to so many (measured) medians is excluded with probability below 2^-20."""
    return bound[0] / bound[1] * sqrt(count / slack(count))


def check_sketches(
    peers: int,
    sketches: int,
    *,
    bits: int = 32,
    length_bound: float = 3.0,
    noise: float = 0.0,
    leaders: bool = False,
) -> None:
    """InputError unless a session of `peers` can open so many projections, with the nearest settings that can.

    All sketches together are one message; an update as long as the median must pass. Noise is calibrated to sums, and
    would hide nothing in projections of single updates; a leader's sum cannot be taken apart to leave a peer out.
    """
    if not sketches:
        return
    if noise:
        raise InputError("sketches open projections of single updates, which the noise does not hide: choose noise = 0")
    if leaders:
        raise InputError(
            "a region's leader hands over one sum, from which no screening can take a peer: without leaders"
        )
    least = next((r for r in range(1, MOST_SKETCHES + 1) if length_bound**2 * r >= slack(r)), MOST_SKETCHES + 1)
    most = max(r for r in range(MOST_SKETCHES + 1) if screened_bytes(peers, r, bits) <= FRAME_BYTES)
    if sketches < least:
        fits = ceil(sqrt(slack(sketches) / sketches) * 100) / 100
        more = f"sketches = {least} or " if least <= most else ""
        raise InputError(
            f"{sketches} sketches cannot tell an update of {length_bound:g} medians from an honest one: choose {more}"
            f"length_bound = {fits:g}"
        )
    if sketches > most:
        fewer = f"sketches = {most}" if least <= most else "fewer peers, or narrower ring_bits"
        raise InputError(
            f"{sketches} sketches of {peers} peers make a message of {screened_bytes(peers, sketches, bits)} bytes, "
            f"above the {FRAME_BYTES} that one may have: choose {fewer}"
        )


def screened_bytes(peers: int, sketches: int, bits: int = 32) -> int:
    """The largest message of a screening: each peer's numbers, for its vector, its own mask and all that it shares."""
    c = colluders(peers)
    partners = degree(peers, peers - quorum(peers, c), c)
    return peers * (OVERHEAD_BYTES + sketches * (partners + 2) * bits // 8) + OVERHEAD_BYTES
