"""An alpha-fair carbon budget with slack (GreenFL's goal, planned greedily and in integers).

    maximise  sum_c ( sum_t (g_max - g[c][t]) a[c][t] )^alpha    subject to  sum g a <= budget

over a horizon with slack: a peer takes part in at most `horizon - final - slack` early rounds, so that it can wait for
clean ones; in the `final` rounds all take part. The greedy choice takes the round with the largest gain per gram.
Everybody knows the same intensities and so computes the same plan: no coordinator. An update in an early round is
scaled by one over the peer's share of early rounds, so that over the plan each peer counts alike. This is an average
over time, no expectation: the plan is not drawn. A peer with no early round counts only in the final ones.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from peerage_crypto.errors import InputError

_UNIT_BITS = 24  # utilities are fixed-point numbers with so many fractional bits
LARGEST_INTENSITY = 5000  # g/kWh: above any grid and any generator that we know


@dataclass(frozen=True)
class Budget:
    """The plan. `spent` includes the final rounds; grams are those of one round with one kWh, times the intensity."""

    horizon: int
    early: int  # rounds before the final window
    plan: tuple[tuple[str, frozenset[int]], ...]
    spent: int

    def rounds_of(self, peer: str) -> frozenset[int]:
        """Early rounds of this peer; InputError for a peer that the plan does not know."""
        for name, rounds in self.plan:
            if name == peer:
                return rounds
        raise InputError(f"{peer} is not in the carbon plan")

    def scale(self, peer: str, round_: int) -> Fraction:
        """1 / pi_c in an early round, pi_c being the peer's share of early rounds; 1 in a final one."""
        return Fraction(1) if round_ >= self.early else Fraction(self.early, len(self.rounds_of(peer)))


def plan_budget(
    intensities: dict[str, tuple[int, ...]], *, budget: int, alpha: Fraction, slack: int, final: int, least: int = 0
) -> Budget:
    """The greedy plan. `intensities`: g/kWh of each peer and round, as integers; `budget` in the same grams.

    The final rounds are paid first, then in each early round the `least` cleanest peers that a round needs (of equal
    ones those with fewer rounds), whatever their slack; InputError where these alone cost more than the budget.
    """
    horizon = _horizon(intensities)
    early = horizon - final
    if final < 0 or slack < 0 or early - slack < 1:
        raise InputError(
            f"a horizon of {horizon} rounds with {final} final ones and a slack of {slack} leaves no round to choose"
        )
    if not 0 < alpha <= 1 or alpha.denominator > 64:
        raise InputError(f"alpha = {alpha} is not above 0 and at most 1, with a denominator up to 64")
    spent = sum(sum(grams[early:]) for grams in intensities.values())
    if spent > budget:
        raise InputError(f"the final rounds of all peers cost {spent}, more than the carbon budget of {budget}")
    needed = _least(intensities, early, least)
    spent += sum(grams[t] for peer, grams in intensities.items() for t in needed[peer])
    if spent > budget:
        raise InputError(
            f"{least} peers in each round and all in the final ones cost {spent}, more than the carbon budget of "
            f"{budget}"
        )
    top = max(max(grams) for grams in intensities.values()) + 1  # the dirtiest round is still worth a little
    taken = {peer: sorted(needed[peer]) for peer in intensities}
    worth = {peer: sum(top - grams[t] for t in needed[peer]) for peer, grams in intensities.items()}
    # a peer's next best round is its cleanest one that is left: both its gain and its cost are best there
    queues = {
        peer: sorted((grams[t], t) for t in range(early) if t not in needed[peer])
        for peer, grams in intensities.items()
    }
    heap: list[tuple[Fraction, str]] = []

    def offer(peer: str) -> None:
        place = len(taken[peer]) - len(needed[peer])
        if len(taken[peer]) >= early - slack:
            return
        grams = queues[peer][place][0]
        gain = _power(worth[peer] + top - grams, alpha) - _power(worth[peer], alpha)
        heapq.heappush(heap, (-Fraction(gain, max(grams, 1)), peer))

    for peer in sorted(intensities):
        offer(peer)
    while heap:
        _, peer = heapq.heappop(heap)
        grams, round_ = queues[peer][len(taken[peer]) - len(needed[peer])]
        if spent + grams > budget:
            continue  # its later rounds cost no less
        spent += grams
        worth[peer] += top - grams
        taken[peer].append(round_)
        offer(peer)
    plan = tuple((peer, frozenset(rounds)) for peer, rounds in sorted(taken.items()))
    return Budget(horizon, early, plan, spent)


def _least(intensities: dict[str, tuple[int, ...]], early: int, least: int) -> dict[str, set[int]]:
    """The early rounds that each peer is needed for, so that none has fewer than `least` peers."""
    if not 0 <= least <= len(intensities):
        raise InputError(f"a round of {least} peers is not possible with {len(intensities)}")
    needed: dict[str, set[int]] = {peer: set() for peer in intensities}
    for t in range(early if least else 0):
        order = sorted((grams[t], len(needed[peer]), peer) for peer, grams in intensities.items())
        for _, _, peer in order[:least]:
            needed[peer].add(t)
    return needed


def _horizon(intensities: dict[str, tuple[int, ...]]) -> int:
    lengths = {len(grams) for grams in intensities.values()}
    if len(lengths) != 1 or lengths == {0}:
        raise InputError("a carbon plan needs the same number of rounds, one at least, of every peer")
    for peer, grams in intensities.items():
        worst = next((g for g in grams if not 0 <= g <= LARGEST_INTENSITY), None)
        if worst is not None:
            raise InputError(f"{peer}: {worst} g/kWh is not possible: 0 to {LARGEST_INTENSITY} are")
    return lengths.pop()


def _power(x: int, alpha: Fraction) -> int:
    """floor(x^alpha * 2^24): the same integer on every machine."""
    p, q = alpha.numerator, alpha.denominator
    return _root(x**p << (_UNIT_BITS * q), q)


def _root(n: int, q: int) -> int:
    """The largest r with r^q <= n."""
    if n < 2 or q == 1:
        return n
    if q == 2:
        return isqrt(n)
    low, high = 0, 1 << (n.bit_length() // q + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**q <= n else (low, middle)
    return low
