"""A peer's energy as whole joules: what arrives in each round, what one round costs, and what the battery holds.

What arrives in a round can be spent in that round. A battery never holds more than its capacity; the rest is lost.
The traces made here are inventions with a seed and say so (`synthetic`); measured ones come from a file (`trace`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from peerage.scheduling.draws import draw_below
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST_JOULES = 10**12  # 278 MWh in one round is no peer
LONGEST_TRACE = 1_000_000  # rounds


@dataclass(frozen=True)
class Profile:
    """One peer's energy. The trace repeats when the run is longer; `chance` replaces it where arrivals are random."""

    peer: str
    trace: tuple[int, ...]  # joules that arrive in round 0, 1, …
    cost: int  # joules of one round: training, sending, masking
    capacity: int  # joules that the battery holds
    start: int = 0  # joules in it before round 0
    synthetic: bool = True
    chance: Fraction | None = None  # one round's cost arrives with this probability, drawn from `arrivals_seed`
    arrivals_seed: int = 0

    def __post_init__(self) -> None:
        if self.cost < 1:
            raise InputError(f"{self.peer}: a round costs {self.cost} J; it costs 1 J at least")
        if not 1 <= len(self.trace) <= LONGEST_TRACE:
            raise InputError(f"{self.peer}: a profile has 1 to {LONGEST_TRACE} rounds, this one {len(self.trace)}")
        worst = next((j for j in (*self.trace, self.start) if not 0 <= j <= LARGEST_JOULES), None)
        if worst is not None:
            raise InputError(f"{self.peer}: {worst} J in one round is not possible: 0 to {LARGEST_JOULES} are")
        if not self.cost <= self.capacity <= LARGEST_JOULES:
            raise InputError(
                f"{self.peer}: a battery of {self.capacity} J never holds the {self.cost} J of one round"
                if self.capacity < self.cost
                else f"{self.peer}: a battery of {self.capacity} J is not possible"
            )
        if self.start > self.capacity:
            raise InputError(f"{self.peer}: {self.start} J at the start are more than the battery's {self.capacity} J")
        if self.chance is not None and not 0 < self.chance <= 1:
            raise InputError(f"{self.peer}: a chance of arrival of {self.chance} is not above 0 and at most 1")

    def arrives(self, round_: int) -> int:
        """Joules that come in this round, before the battery's limit."""
        if self.chance is None:
            return self.trace[round_ % len(self.trace)]
        drawn = draw_below(self.chance.denominator, self.arrivals_seed, "arrival", self.peer, round_)
        return self.cost if drawn < self.chance.numerator else 0

    def levels(self, until: int, attended: Iterable[int]) -> list[int]:
        """What each round 0..until finds in the battery, its own arrival included; each attended round has cost."""
        spent = frozenset(attended)
        level, found = self.start, list[int]()
        for round_ in range(until + 1):
            level = min(self.capacity, level + self.arrives(round_))
            found.append(level)
            if round_ in spent:
                level = max(0, level - self.cost)  # less than it cost: the battery was not what it said
        return found

    def can_pay(self, round_: int, attended: Iterable[int]) -> bool:
        """Whether the battery holds one round's cost in this round, after the rounds attended before."""
        if self.chance is None and min(self.trace) >= self.cost:
            return True
        return self.levels(round_, attended)[round_] >= self.cost

    @cached_property
    def period(self) -> int:
        """E: the least number of rounds in a row that always bring one round's cost, wherever they begin.

        InputError where the trace never brings it, or arrivals are random and nothing is certain.
        """
        if self.chance is not None and self.chance < 1:
            raise InputError(
                f"{self.peer}: energy that arrives by chance gives no certain window: use the Bernoulli policy or FedAU"
            )
        if self.chance is not None:
            return 1
        total, rounds = sum(self.trace), len(self.trace)
        if total == 0:
            raise InputError(f"{self.peer}: the profile never brings any energy")
        twice = (*self.trace, *self.trace)
        # joules of whole laps first, then the smallest window of what is missing
        laps = (self.cost - 1) // total
        missing = self.cost - laps * total
        longest = end = held = 0
        for begin in range(rounds):
            while held < missing:  # twice the trace is enough: missing <= total
                held += twice[end]
                end += 1
            longest = max(longest, end - begin)
            held -= twice[begin]
        return laps * rounds + longest

    @property
    def rate(self) -> Fraction:
        """beta: rounds that the energy pays for, per round; at most 1."""
        if self.chance is not None:
            return self.chance
        return min(Fraction(1), Fraction(sum(self.trace), self.cost * len(self.trace)))


def always_on(peer: str) -> Profile:
    """Mains power: each round can be paid."""
    return Profile(peer, (1,), cost=1, capacity=2)


def periodic(peer: str, every: int, *, full: bool = False) -> Profile:
    """A round's energy arrives at the end of each `every` rounds (Guler and Yener 2021); `full`: and at first."""
    return Profile(peer, (*(0,) * (every - 1), 1), cost=1, capacity=2, start=1 if full else 0)


def battery(peer: str, *, joules: int, cost: int, capacity: int, charge: int, every: int) -> Profile:
    """A battery that holds `joules` at the start and is charged with `charge` J every `every` rounds."""
    return Profile(peer, (*(0,) * (every - 1), charge), cost=cost, capacity=capacity, start=joules)


def random_arrivals(peer: str, chance: Fraction, seed: int) -> Profile:
    """One round's energy arrives with probability `chance` in each round, drawn from the seed: synthetic."""
    return Profile(peer, (0,), cost=1, capacity=1, chance=chance, arrivals_seed=seed)


def solar(
    peer: str, *, seed: int, day: int = 24, days: int = 30, peak: int = 100, cost: int = 100, capacity: int = 1000
) -> Profile:
    """Invented sunshine: a parabola between dawn and dusk of each day of `day` rounds, under clouds from the seed.

    `peak` is the joules of a clear noon; a day keeps 20 to 100 % of it. Integers alone, so that everybody has the same.
    """
    if day < 2 or days < 1 or day * days > LONGEST_TRACE:
        raise InputError(f"{peer}: {days} days of {day} rounds are no sunshine: use 2 rounds a day at least")
    trace: list[int] = []
    for number in range(days):
        clear = 20 + draw_below(81, seed, "clouds", peer, number)  # per cent
        for hour in range(day):
            x = 4 * hour - 2 * (day - 1)  # quarters of the day from noon: dawn at -day, dusk at +day
            height = max(0, day * day - x * x)
            trace.append(peak * height * clear // (100 * day * day))
    return Profile(peer, tuple(trace), cost=cost, capacity=capacity)
