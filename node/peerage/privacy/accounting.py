"""What the noisy sums of a run cost a peer: Renyi differential privacy, composed over sums, as one (epsilon, delta).

Per sum the bound of the multi-dimensional Skellam mechanism (Agarwal, Kairouz and Liu 2021, arXiv 2110.04995, Theorem
3.5 and its corollary); composition adds (Mironov 2017); conversion is Proposition 12 of Canonne, Kamath and Steinke
2020 (arXiv 2004.00010). No amplification by sampling is claimed: everybody sees who was in a sum. The draws are within
a stated distance of Skellam noise, which is added to delta.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, expm1, inf, log, log1p, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peerage.privacy.noise import Noise

# the bound holds for whole orders; the large ones serve small epsilons
ORDERS = (*range(2, 129), *range(136, 513, 8), *range(576, 4097, 64), 8192, 16384)
DRAW_DISTANCE = 2.0**-160  # peerage_crypto.skellam.TOTAL_VARIATION of one coordinate; a test compares them


def skellam_rdp(order: int, l2: float, l1: float, variance: float) -> float:
    """At most so large is the Renyi divergence between Sk(variance) and its shift by a vector with these norms."""
    if order < 2:
        raise ValueError(f"the bound holds for whole orders from 2 on, not {order}")
    tail = min(((2 * order - 1) * l2**2 + 6 * l1) / (4 * variance**2), 3 * l1 / (2 * variance))
    return order * l2**2 / (2 * variance) + tail


def longest_l1(l2: int, parameters: int) -> float:
    """The L1 norm of an integer vector of this length, at most: sqrt(d) l2, and its square, since |k| <= k^2."""
    return min(sqrt(parameters) * l2, float(l2) ** 2)


def epsilon_of(rdp: Sequence[float], delta: float, orders: Sequence[int] = ORDERS) -> float:
    """The smallest epsilon that these divergences give at `delta`; 0 where total variation alone is below delta."""
    found = inf
    for order, r in zip(orders, rdp, strict=True):
        if delta**2 + expm1(-r) > 0:  # Bretagnolle and Huber: total variation is at most sqrt(1 - exp(-KL))
            return 0.0
        found = min(found, r + log1p(-1 / order) - log(delta * order) / (order - 1))
    return max(found, 0.0)


@dataclass(frozen=True, slots=True)
class Spent:
    """`epsilon` against outsiders, the initiator and c colluding peers; `alone` when all others collude.

    None: no epsilon holds at this delta, because the distance of the draws eats it up (beyond an epsilon of about 80).
    """

    sums: int
    epsilon: float | None
    alone: float | None
    delta: float


def spent(noise: Noise, parameters: int, honest: Mapping[int, int], delta: float) -> Spent:
    """What the sums that held a peer's update cost it: honest peers in a sum, itself included -> how many sums."""
    sums = sum(honest.values())
    if not sums:
        return Spent(0, 0.0, 0.0, delta)
    drawn = sum(count * times for count, times in honest.items()) * parameters
    variances = {count * noise.variance: times for count, times in honest.items()}
    together = epsilon_at(variances, noise, parameters, drawn, delta)
    alone = epsilon_at({noise.variance: sums}, noise, parameters, sums * parameters, delta)
    return Spent(sums, together, alone, delta)


def epsilon_at(variances: Mapping[int, int], noise: Noise, parameters: int, drawn: int, delta: float) -> float | None:
    """Epsilon of sums, variance -> how many; `drawn` coordinates of noise are each within DRAW_DISTANCE of the law.

    With eta their sum, (epsilon, delta - (1 + e^epsilon) eta) of the ideal mechanism is (epsilon, delta) of ours.
    """
    l1 = longest_l1(noise.sensitivity, parameters)
    rdp = [
        sum(times * skellam_rdp(order, noise.sensitivity, l1, v) for v, times in variances.items()) for order in ORDERS
    ]
    slack = drawn * DRAW_DISTANCE
    first = epsilon_of(rdp, delta)
    kept = 2 * (1 + exp(min(first, 700.0))) * slack
    if kept >= delta:
        return None
    epsilon = epsilon_of(rdp, delta - kept)
    return epsilon if (1 + exp(min(epsilon, 700.0))) * slack <= kept else None
