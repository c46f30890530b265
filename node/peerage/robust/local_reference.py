"""A rule for small neighbourhoods, where no majority is to be had: who merges takes its own model as the measure.

BALANCE (Fang et al., CCS 2024, arXiv 2406.10416): in merge t of T, peer i accepts w_j if

    ||w_i - w_j|| <= gamma * exp(-kappa * t / T) * ||w_i||

and its next model is alpha * w_i + (1 - alpha) * mean of those accepted; its own, where none is. SketchGuard (arXiv
2510.07922) saves bytes on the same test. Any number of bad neighbours moves a peer by no more than the bound; a peer
whose own data are odd rejects honest ones, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from peerage.robust.exact import gram, quotient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DIGITS = Context(prec=40, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Closeness:
    """The constants of the test, gamma and kappa, and of the mixture, alpha."""

    gamma: Fraction = Fraction(3, 10)
    kappa: Fraction = Fraction(1)
    alpha: Fraction = Fraction(1, 2)

    def bound(self, merge: int, merges: int) -> Fraction:
        """The test's gamma * exp(-kappa * t / T). Decimal rounds exp correctly, a C library may not."""
        exponent = -self.kappa * Fraction(merge, merges)
        power = Decimal(exponent.numerator) / Decimal(exponent.denominator)
        return self.gamma * Fraction(DIGITS.exp(power))


def accepted(
    own: NDArray[np.int64], others: Sequence[NDArray[np.int64]], merge: int, merges: int, close: Closeness = Closeness()
) -> list[int]:
    """Which of the others are close enough to mine, in merge number `merge` of `merges`."""
    limit = close.bound(merge, merges) ** 2
    found: list[int] = []
    for number, other in enumerate(others):
        products = gram(np.stack([own, other]))
        apart = products[0][0] + products[1][1] - 2 * products[0][1]
        if apart <= limit * products[0][0]:
            found.append(number)
    return found


def local_reference(
    own: NDArray[np.int64], others: Sequence[NDArray[np.int64]], merge: int, merges: int, close: Closeness = Closeness()
) -> NDArray[np.float64]:
    """My next model in grid units."""
    taken = [others[i] for i in accepted(own, others, merge, merges, close)]
    if not taken:
        return own.astype(np.float64)
    keep, of = close.alpha.numerator, close.alpha.denominator
    total = np.sum(np.stack(taken), axis=0, dtype=np.int64)
    return quotient(own * (keep * len(taken)) + total * (of - keep), of * len(taken))
