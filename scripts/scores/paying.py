"""From what plays opened to pay x n, by the one rule that peers, auditors and the chain use (`rewards.pay_rounds`).

And what colluders do to opened numbers after the fact: a pair that agrees on a wrong z_ij moves score between its two
ends, and nobody sees it as long as both numbers look like anybody's, unless the pair is drawn to show its key.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from statistics import median_low
from typing import TYPE_CHECKING

from peerage_crypto.pair_audit import charge, closed_degree
from peerage_crypto.thresholds import colluders
from peerage_ledger.rewards import RoundScores, pay_rounds, totals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scores.directions import Opened

POOL = 10**24  # of the whole epoch: the roundings of pay are of one unit


@dataclass(frozen=True)
class Terms:
    """What a federation agrees on; the defaults are the product's."""

    cap: int = 2
    window: int = 12


def as_rounds(opened: Sequence[Opened]) -> list[RoundScores]:
    return [
        RoundScores(number, {account(seat): value for seat, value in one.numbers.items()}, one.exponent)
        for number, one in enumerate(opened, 1)
    ]


def account(seat: int) -> bytes:
    """A seat's place in the order of accounts; addresses are 20 bytes."""
    return (seat + 1).to_bytes(20, "big")


def by_the_ledger(rounds: Sequence[RoundScores], terms: Terms) -> dict[bytes, int]:
    """The rule in force."""
    outcome = pay_rounds(rounds, pool=POOL, planned=len(rounds), cap=terms.cap, window=terms.window)
    return totals(outcome)


def pay(
    opened: Sequence[Opened],
    peers: int,
    terms: Terms | None = None,
    rule: Callable[[Sequence[RoundScores], Terms], dict[bytes, int]] = by_the_ledger,
) -> list[float]:
    """Pay x n by seat: 1.00 is an equal share of what was paid. What stays in the pool is nobody's."""
    earned = rule(as_rounds(opened), terms or Terms())
    whole = sum(earned.values()) or 1
    return [earned.get(account(seat), 0) * peers / whole for seat in range(peers)]


def moved(opened: Sequence[Opened], giver: int, taker: int, cap: int = 2) -> list[Opened]:
    """The numbers after two colluders stated a wrong z of their pair in every round that both attended.

    The taker ends at most at the cap, beyond which nothing is paid. The giver ends no lower than the lowest honest
    number of the round or minus the median of the positive ones: it must look like somebody unlucky.
    """
    return [_moved(one, giver, taker, cap) for one in opened]


def _moved(one: Opened, giver: int, taker: int, cap: int) -> Opened:
    numbers = dict(one.numbers)
    others = [value for seat, value in numbers.items() if seat not in {giver, taker}]
    positive = [value for value in others if value > 0]
    if giver not in numbers or taker not in numbers or not positive:
        return one
    median = median_low(positive)
    lowest = min(-median, *others)
    amount = max(0, min(cap * median - numbers[taker], numbers[giver] - lowest))
    numbers[giver] -= amount
    numbers[taker] += amount
    return replace(one, numbers=numbers)


def audited(
    opened: Sequence[Opened], giver: int, taker: int, peers: int, seed: int, *, halved: bool = False
) -> list[Opened]:
    """The same where pairs are audited: in the rounds in which their pair is drawn both are charged for it.

    How likely that is, and what it costs, is `pair_audit`'s; with halves, which are drawn here, by where the two are.
    """
    draw = random.Random(seed)
    apart = halved and draw.random() * (peers - 1) >= (peers + 1) // 2 - 1
    return [_charged(one, giver, taker, _odds(len(one.numbers), peers, halved, apart), draw) for one in opened]


def _odds(present: int, peers: int, halved: bool, apart: bool) -> tuple[int, int]:
    """So many of such pairs stay closed, so many are audited."""
    c = colluders(peers)
    half = (present + 1) // 2
    if apart:
        return c + 1, half * (present - half) - c - 1
    others = (half if halved else present) - 1
    closed = min(closed_degree(c), others)
    return closed, others - closed


def _charged(one: Opened, giver: int, taker: int, odds: tuple[int, int], draw: random.Random) -> Opened:
    numbers, (closed, drawn) = dict(one.numbers), odds
    if draw.random() * (closed + drawn) < closed or giver not in numbers or taker not in numbers or drawn <= 0:
        return one
    owed = charge(numbers.values(), closed, drawn)
    for end in (giver, taker):
        numbers[end] = min(numbers[end], -owed)
    return replace(one, numbers=numbers)
