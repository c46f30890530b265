"""Each policy as a value, and `decide`: what one peer does in one round, from what everybody may know.

    best effort        whenever there is energy; those present are averaged: frequent peers dominate
    wait for all       only in rounds that everybody can pay: nobody dominates, and it is slow
    windows            once in each window of E rounds, in a drawn round, with scale E (Guler and Yener 2021)
    Bernoulli          in each round with chance beta, with scale 1 / beta (the same, stochastic arrivals)
    FedAU              whenever there is energy, with the mean of its own past intervals as scale (Wang and Ji 2024)
    carbon budget      in the rounds of an alpha-fair plan, with one over its share of rounds as scale (GreenFL)
    random selection   a drawn few in each round (FedAvg), as far as they have energy

With `over` "all" the scaled updates are added and divided by the number of all peers, present or not; with "present"
the plain mean of those present is taken. The expected scale of windows is exactly 1 in every round of a window that
begins with a paid round in the battery; a cap makes it less, and `Decision.capped` says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from peerage.scheduling.draws import draw_below
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection

    from peerage.scheduling.budget import Budget
    from peerage.scheduling.profiles import Profile

DEFAULT_CAP = 32
Over = Literal["present", "all"]


@dataclass(frozen=True)
class BestEffort:
    over: Over = field(default="present", init=False)


@dataclass(frozen=True)
class WaitForAll:
    """`everybody`: the profiles of all, which every peer must know to wait without asking."""

    everybody: tuple[Profile, ...]
    over: Over = field(default="present", init=False)


@dataclass(frozen=True)
class Windows:
    cap: int = DEFAULT_CAP
    over: Over = field(default="all", init=False)


@dataclass(frozen=True)
class Bernoulli:
    cap: int = DEFAULT_CAP
    over: Over = field(default="all", init=False)


@dataclass(frozen=True)
class FedAU:
    """`cutoff`: K, after so many missed rounds the interval is closed as K."""

    cap: int = DEFAULT_CAP
    cutoff: int = 50
    over: Over = field(default="all", init=False)


@dataclass(frozen=True)
class CarbonBudget:
    budget: Budget
    cap: int = DEFAULT_CAP
    over: Over = field(default="all", init=False)


@dataclass(frozen=True)
class RandomSelection:
    """`count` of `peers` in each round."""

    peers: tuple[str, ...]
    count: int
    over: Over = field(default="present", init=False)


Policy = BestEffort | WaitForAll | Windows | Bernoulli | FedAU | CarbonBudget | RandomSelection


@dataclass(frozen=True, slots=True)
class Decision:
    """`scale` is what the update is multiplied with, exactly; 0 where the peer sits out."""

    participate: bool
    scale: Fraction
    capped: bool = False


OUT = Decision(participate=False, scale=Fraction(0))
PLAIN = Decision(participate=True, scale=Fraction(1))


def decide(  # noqa: C901, PLR0912 - one case for each policy
    policy: Policy, profile: Profile, round_: int, seed: int, history: Collection[int]
) -> Decision:
    """What this peer does in round `round_` (from 0). `history`: the earlier rounds in which it took part."""
    if any(not 0 <= past < round_ for past in history):
        raise InputError(f"{profile.peer}: a history of rounds before {round_} has rounds 0 to {round_ - 1} only")
    match policy:
        case BestEffort():
            return PLAIN if profile.can_pay(round_, history) else OUT
        case WaitForAll():
            return PLAIN if _all_can_pay(policy.everybody, round_) and profile.can_pay(round_, history) else OUT
        case Windows():
            if not has_turn(profile, round_, seed):
                return OUT
            begin = round_ - round_ % profile.period
            if not profile.can_pay(begin, history):  # asked of the window, not of the drawn round: no round is likelier
                return OUT
            return _within(Fraction(profile.period), policy.cap)
        case Bernoulli():
            if not coin(profile, round_, seed) or not profile.can_pay(round_, history):
                return OUT
            return _within(1 / profile.rate, policy.cap)
        case FedAU():
            if not profile.can_pay(round_, history):
                return OUT
            return _within(mean_interval(history, round_, policy.cutoff), policy.cap)
        case CarbonBudget():
            rounds = policy.budget.rounds_of(profile.peer)
            if round_ >= policy.budget.horizon or (round_ < policy.budget.early and round_ not in rounds):
                return OUT
            if not profile.can_pay(round_, history):
                return OUT
            return _within(policy.budget.scale(profile.peer, round_), policy.cap)
        case RandomSelection():
            if not profile.can_pay(round_, history):
                return OUT
            return PLAIN if profile.peer in chosen(policy.peers, policy.count, round_, seed) else OUT


def has_turn(profile: Profile, round_: int, seed: int) -> bool:
    """Whether `round_` is the one drawn of its window; windows are [kE, (k+1)E), E the profile's period.

    InputError where the battery is too small: with less than two rounds' cost, what arrives while a unit waits to be
    spent is lost, and a later window would find nothing.
    """
    if profile.period > 1 and profile.capacity < 2 * profile.cost:
        raise InputError(
            f"{profile.peer}: windows need a battery of two rounds, {2 * profile.cost} J; this one holds "
            f"{profile.capacity} J"
        )
    window, place = divmod(round_, profile.period)
    return place == draw_below(profile.period, seed, "window", profile.peer, window)


def coin(profile: Profile, round_: int, seed: int) -> bool:
    """Bernoulli: one draw with the chance beta. Where energy itself arrives by chance, its arrival is the coin."""
    if profile.chance is not None:
        return profile.arrives(round_) >= profile.cost
    beta = profile.rate
    if beta == 0:
        raise InputError(f"{profile.peer}: the profile never brings any energy")
    return draw_below(beta.denominator, seed, "coin", profile.peer, round_) < beta.numerator


def chosen(peers: tuple[str, ...], count: int, round_: int, seed: int) -> frozenset[str]:
    """`count` of the peers, each set as likely as another: a drawn key each, the lowest are taken."""
    if not 1 <= count <= len(peers):
        raise InputError(f"random selection takes 1 to {len(peers)} of {len(peers)} peers, not {count}")
    keys = sorted((draw_below(1 << 32, seed, "selection", round_, peer), peer) for peer in peers)
    return frozenset(peer for _, peer in keys[:count])


def mean_interval(history: Collection[int], round_: int, cutoff: int) -> Fraction:
    """FedAU's weight: the mean of the closed intervals before `round_`, each at most K long; 1 before the first."""
    if cutoff < 1:
        raise InputError(f"FedAU closes an interval after 1 missed round at least, not {cutoff}")
    attended, intervals, running = frozenset(history), list[int](), 0
    for past in range(round_):
        running += 1
        if past in attended or running == cutoff:
            intervals.append(running)
            running = 0
    return Fraction(sum(intervals), len(intervals)) if intervals else Fraction(1)


def own_scale(policy: FedAU, history: Collection[int], round_: int) -> Fraction:
    """FedAU's scale in round `round_` (from 0) of whoever took part in the rounds of `history`."""
    return min(mean_interval(history, round_, policy.cutoff), Fraction(policy.cap))


def _within(scale: Fraction, cap: int) -> Decision:
    if cap < 1:
        raise InputError(f"a cap of {cap} would shrink every update: use 1 or more")
    return Decision(participate=True, scale=min(scale, Fraction(cap)), capped=scale > cap)


def _all_can_pay(everybody: tuple[Profile, ...], round_: int) -> bool:
    return round_ in common_rounds(everybody, 1 << round_.bit_length())


@lru_cache(maxsize=64)
def common_rounds(everybody: tuple[Profile, ...], until: int) -> frozenset[int]:
    """The rounds below `until` that all can pay, if they spend on nothing else."""
    levels, common = [profile.start for profile in everybody], set[int]()
    for round_ in range(until):
        levels = [min(p.capacity, level + p.arrives(round_)) for p, level in zip(everybody, levels, strict=True)]
        if all(level >= p.cost for p, level in zip(everybody, levels, strict=True)):
            common.add(round_)
            levels = [level - p.cost for p, level in zip(everybody, levels, strict=True)]
    return frozenset(common)
