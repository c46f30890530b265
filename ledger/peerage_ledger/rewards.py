"""From opened numbers to pay: integers only, one declared rounding (floor), conserved to the last unit.

Rules (docs/round.md, "Pay"): a round's numbers are cut at `cap` times the median of the positive ones; a peer's weight
is the running mean of what it brought over the last `window` rounds it attended; a round's pot goes to its members by
max(0, weight). What nobody earned stays in the pool. The value is an Aumann-Shapley share (Aumann & Shapley 1974) of
the part of the gain that the past steps had not told everybody.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EXPONENT_RANGE = 64  # exponents of directions lie in [-64, 64]; scores of all rounds share the unit 2^-(64 + f)


@dataclass(frozen=True, slots=True)
class RoundScores:
    """What one round opened: per member the number < q_i , g > (None: it stayed closed) and g's exponent."""

    round: int
    numbers: Mapping[bytes, int | None]
    exponent: int


@dataclass(frozen=True, slots=True)
class Pay:
    """The outcome for one round: its pot, and what each member gets of it."""

    round: int
    pot: int
    shares: dict[bytes, int]


def comparable(number: int, exponent: int) -> int:
    """An opened number in the unit that all rounds share."""
    if not -EXPONENT_RANGE <= exponent <= EXPONENT_RANGE:
        raise ValueError(f"the exponent {exponent} of a direction is outside -{EXPONENT_RANGE} to {EXPONENT_RANGE}")
    return number << (EXPONENT_RANGE - exponent)


def capped(values: Mapping[bytes, int], cap: int) -> dict[bytes, int]:
    """Cut every value at `cap` times the (lower) median of the positive ones."""
    positive = sorted(v for v in values.values() if v > 0)
    if not positive:
        return dict(values)
    limit = cap * positive[(len(positive) - 1) // 2]
    return {peer: min(value, limit) for peer, value in values.items()}


def split(pot: int, weights: Mapping[bytes, int]) -> dict[bytes, int]:
    """Exact prefix split in address order: pay_i = floor(pot C_i / W) - floor(pot C_{i-1} / W); the sum is the pot.

    All weights zero: nobody is paid (the caller keeps the pot). Negative weights count as zero.
    """
    clean = {peer: max(0, weights[peer]) for peer in sorted(weights)}
    total = sum(clean.values())
    if total == 0:
        return dict.fromkeys(clean, 0)
    shares: dict[bytes, int] = {}
    before = 0
    for peer, weight in clean.items():
        shares[peer] = pot * (before + weight) // total - pot * before // total
        before += weight
    return shares


def pots(pool: int, rounds: Sequence[RoundScores], planned: int) -> list[int]:
    """The pool over the rounds of the epoch, in equal parts of `planned`; a round that gained nothing pays nothing."""
    count = max(planned, len(rounds))
    if count == 0:
        return []
    bounds = [pool * i // count for i in range(count + 1)]
    return [bounds[i + 1] - bounds[i] for i in range(len(rounds))]


def pay_rounds(rounds: Sequence[RoundScores], *, pool: int, planned: int, cap: int, window: int) -> list[Pay]:
    """Every round's pay, oldest round first; `planned` is how many rounds the epoch was funded for."""
    attended: defaultdict[bytes, deque[int]] = defaultdict(lambda: deque(maxlen=window))
    outcome: list[Pay] = []
    for scores, pot in zip(rounds, pots(pool, rounds, planned), strict=True):
        values = {peer: comparable(n or 0, scores.exponent) for peer, n in scores.numbers.items()}
        for peer, value in capped(values, cap).items():
            attended[peer].append(value)
        weights = {peer: sum(attended[peer]) // len(attended[peer]) for peer in values}
        outcome.append(Pay(scores.round, pot, split(pot, weights)))
    return outcome


def totals(outcome: Sequence[Pay]) -> dict[bytes, int]:
    """Cumulative pay by account over the rounds given; accounts that earned nothing are left out."""
    earned: defaultdict[bytes, int] = defaultdict(int)
    for pay in outcome:
        for peer, amount in pay.shares.items():
            earned[peer] += amount
    return {peer: amount for peer, amount in sorted(earned.items()) if amount > 0}
