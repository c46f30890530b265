"""From opened numbers to pay: integers only, one declared rounding (floor), conserved to the last unit.

Rules (docs/round.md, "Pay"): a round's numbers are cut at `cap` times the median of the positive ones; a peer's weight
is the running mean of what it brought over the last `window` rounds it attended, but never less than an eighth of what
the good ones among them alone would give; a round's pot goes to its members by weight. What nobody earned stays in the
pool. The value is an Aumann-Shapley share (Aumann & Shapley 1974) of the part of the gain that the past steps had not
told everybody.

Pay is a chain of states: each follows from the one before and one round's scores, and has a hash that the contract
`PayRule` computes too. A quorum signs every state, so that one wrong step can be shown by executing it again on chain.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

from peerage_crypto.digest import keccak256

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

DOUBT = 8  # no weight falls below this part of the good rounds
EXPONENT_RANGE = 64  # exponents of directions lie in [-64, 64]; scores of all rounds share the unit 2^-(64 + f)
NO_RECORD = bytes(32)


@dataclass(frozen=True, slots=True)
class Rule:
    """What the rounds of an epoch are paid by: its pool, for how many rounds it was funded, the cap, the window."""

    pool: int
    planned: int
    cap: int
    window: int

    def pot(self, done: int) -> int:
        """What the round after `done` others pays: the pool in `planned` parts equal up to a unit, then nothing."""
        if done >= self.planned:
            return 0
        return self.pool * (done + 1) // self.planned - self.pool * done // self.planned


@dataclass(frozen=True, slots=True)
class RoundScores:
    """What one round opened: per member the number < q_i , g > (None: it stayed closed) and g's exponent.

    Without numbers the round was closed unscored. `record` names the round on the ledger.
    """

    round: int
    numbers: Mapping[bytes, int | None]
    exponent: int
    record: bytes = NO_RECORD


@dataclass(frozen=True, slots=True)
class Pay:
    """The outcome for one round: its pot, and what each member gets of it."""

    round: int
    pot: int
    shares: dict[bytes, int]


@dataclass(frozen=True, slots=True)
class Earner:
    """One account: what it has earned in all, and its last `window` capped values, the oldest first."""

    account: bytes
    cumulative: int = 0
    values: tuple[int, ...] = ()

    @property
    def weight(self) -> int:
        """The mean of the values; but no less than an eighth of what its good rounds alone would give. Floors.

        Held-out rows are few, so an honest peer's values are mostly noise; without any good round nothing is due.
        """
        good = sum(value for value in self.values if value > 0)
        return max(sum(self.values), good // DOUBT) // len(self.values)


@dataclass(frozen=True, slots=True)
class PayState:
    """Where pay stands after `rounds` rounds, the last of them `record`; earners by ascending address."""

    rounds: int
    record: bytes
    earners: tuple[Earner, ...] = ()

    def digest(self) -> bytes:
        """keccak256(abi.encode(state)) of Solidity's (uint64, bytes32, (address, uint256, int256[])[]): 32 bytes."""
        places = accumulate((128 + 32 * len(e.values) for e in self.earners), initial=32 * len(self.earners))
        words = [32, self.rounds, int.from_bytes(self.record), 96, len(self.earners), *list(places)[:-1]]
        for earner in self.earners:
            words += [int.from_bytes(earner.account), earner.cumulative, 96, len(earner.values), *earner.values]
        return keccak256(b"".join((word % (1 << 256)).to_bytes(32, "big") for word in words))

    def totals(self) -> dict[bytes, int]:
        """Cumulative pay by account; accounts that earned nothing are left out."""
        return {e.account: e.cumulative for e in self.earners if e.cumulative > 0}


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


def advance(state: PayState, scores: RoundScores, rule: Rule, *, voided: bool = False) -> tuple[PayState, Pay]:
    """One round: the state after it, and what it paid. An unscored or voided round changes nothing but the count."""
    pot = rule.pot(state.rounds)
    after = replace(state, rounds=state.rounds + 1, record=scores.record)
    if voided or not scores.numbers:
        return after, Pay(scores.round, pot, {})
    values = capped({peer: comparable(n or 0, scores.exponent) for peer, n in scores.numbers.items()}, rule.cap)
    earners = {earner.account: earner for earner in state.earners}
    for peer, value in values.items():
        before = earners.get(peer, Earner(peer))
        earners[peer] = replace(before, values=(*before.values, value)[-rule.window :])
    shares = split(pot, {peer: earners[peer].weight for peer in values})
    for peer, share in shares.items():
        earners[peer] = replace(earners[peer], cumulative=earners[peer].cumulative + share)
    return replace(after, earners=tuple(earners[peer] for peer in sorted(earners))), Pay(scores.round, pot, shares)


def step(state: PayState, scores: RoundScores, rule: Rule, *, voided: bool = False) -> PayState:
    """The state after one more round; what `PayRule.step` computes on chain."""
    return advance(state, scores, rule, voided=voided)[0]


def states(
    start: PayState, rounds: Iterable[RoundScores], rule: Rule, voided: Collection[bytes] = ()
) -> list[PayState]:
    """The state after each round, oldest first; `voided` names records that pay nothing."""
    after: list[PayState] = []
    for scores in rounds:
        start = step(start, scores, rule, voided=scores.record in voided)
        after.append(start)
    return after


def pay_rounds(
    rounds: Sequence[RoundScores], *, pool: int, planned: int, cap: int, window: int, voided: Collection[bytes] = ()
) -> list[Pay]:
    """Every round's pay, oldest round first; `planned` is how many rounds the epoch was funded for."""
    rule, state = Rule(pool, planned, cap, window), PayState(0, NO_RECORD)
    outcome: list[Pay] = []
    for scores in rounds:
        state, pay = advance(state, scores, rule, voided=scores.record in voided)
        outcome.append(pay)
    return outcome


def totals(outcome: Sequence[Pay]) -> dict[bytes, int]:
    """Cumulative pay by account over the rounds given; accounts that earned nothing are left out."""
    earned: defaultdict[bytes, int] = defaultdict(int)
    for pay in outcome:
        for peer, amount in pay.shares.items():
            earned[peer] += amount
    return {peer: amount for peer, amount in sorted(earned.items()) if amount > 0}
