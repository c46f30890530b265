"""Other rules of pay, for comparison with the one in force: integers only, one step a round from a bounded state.

Each is a change of one part of the rule; `doubt 1/8` is the one in force and must pay what `rewards.pay_rounds` pays,
to the unit (a test compares them on plays).
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING

from peerage_ledger.rewards import capped, comparable, split
from scores.paying import POOL, Terms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from peerage_ledger.rewards import RoundScores

    Values = Sequence[int]
    Weight = Callable[[Values], int]


@dataclass(frozen=True)
class Candidate:
    """`weight` of the last capped values; `floor`: the least value in medians, below zero; `pots` in proportion to."""

    weight: Weight
    floor: int = 0
    pots: str = "equal"  # equal | members | gain | gain-members
    base: int = 0  # 1/base of every pot goes in equal parts to members whose values are not all worthless; 0: none
    terms: Terms | None = None

    def __call__(self, rounds: Sequence[RoundScores], terms: Terms) -> dict[bytes, int]:
        """Cumulative pay by account."""
        terms = self.terms or terms
        attended: defaultdict[bytes, deque[int]] = defaultdict(lambda: deque(maxlen=terms.window))
        earned: defaultdict[bytes, int] = defaultdict(int)
        for scores, pot in zip(rounds, _pots(rounds, self.pots), strict=True):
            values = {peer: comparable(n or 0, scores.exponent) for peer, n in scores.numbers.items()}
            for peer, value in _floored(capped(values, terms.cap), self.floor).items():
                attended[peer].append(value)
            everybody = pot // self.base if self.base else 0
            worth = {peer: int(any(value > 0 for value in attended[peer])) for peer in values}
            weights = {peer: self.weight(attended[peer]) for peer in values}
            for share in (split(everybody, worth), split(pot - everybody, weights)):
                for peer, amount in share.items():
                    earned[peer] += amount
        return {peer: amount for peer, amount in earned.items() if amount > 0}


def mean(values: Values) -> int:
    """Negative values are carried and nothing stands against them: the rule before ADR 16."""
    return sum(values) // len(values)


def doubt(part: int) -> Weight:
    """The mean, but no less than a part of the good rounds alone: who did well at times is never paid nothing."""
    return lambda values: max(sum(values), sum(v for v in values if v > 0) // part) // len(values)


def careful(tenths: int) -> Weight:
    """The mean less so many tenths of its standard error; squares need more than 256 bits on chain."""

    def weight(values: Values) -> int:
        m, total = len(values), sum(values)
        if m == 1:
            return total
        spread = isqrt((m * sum(v * v for v in values) - total * total) // (m - 1))
        return (total - tenths * spread // 10) // m

    return weight


def _floored(values: Mapping[bytes, int], floor: int) -> dict[bytes, int]:
    positive = sorted(v for v in values.values() if v > 0)
    if not floor or not positive:
        return dict(values)
    lowest = -floor * positive[(len(positive) - 1) // 2]
    return {peer: max(value, lowest) for peer, value in values.items()}


def _pots(rounds: Sequence[RoundScores], kind: str) -> list[int]:
    parts: list[int] = []
    for scores in rounds:
        gain = max(0, sum(comparable(n or 0, scores.exponent) for n in scores.numbers.values()))
        parts.append((gain if "gain" in kind else 1) * (len(scores.numbers) if "members" in kind else 1))
    whole = sum(parts) or 1
    before, found = 0, list[int]()
    for part in parts:
        found.append(POOL * (before + part) // whole - POOL * before // whole)
        before += part
    return found


CANDIDATES: dict[str, Candidate] = {
    "mean alone": Candidate(mean),
    "doubt 1/16": Candidate(doubt(16)),
    "doubt 1/8": Candidate(doubt(8)),
    "doubt 1/4": Candidate(doubt(4)),
    "base 1/10": Candidate(mean, base=10),
    "less 0.5 stderr": Candidate(careful(5)),
    "less 1 stderr": Candidate(careful(10)),
    "floor 1": Candidate(mean, floor=1),
    "floor 2": Candidate(mean, floor=2),
    "cap 1": Candidate(mean, terms=Terms(cap=1)),
    "cap 3": Candidate(mean, terms=Terms(cap=3)),
    "window 6": Candidate(mean, terms=Terms(window=6)),
    "window 24": Candidate(mean, terms=Terms(window=24)),
    "pots by members": Candidate(mean, pots="members"),
    "pots by gain": Candidate(mean, pots="gain"),
    "pots by gain x members": Candidate(mean, pots="gain-members"),
}
