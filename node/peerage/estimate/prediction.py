"""What a whole run will use, from the meter's records of its first rounds.

    flat      k x concurrency x rounds: the form of Green Federated Learning (2303.14604, for CO2e); k: mean energy of a
              peer's round among the first rounds
    start-up  the first round by itself, because it holds joining and imports; after it the mean of the others

Both are told beside what the run then took. Nothing is fitted to rounds that lie ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from peerage.emissions.labels import NOTHING, Band, Label, spread
from peerage.estimate.amounts import Amount, Spread, grams, watt_hours
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerage.emissions.record import EmissionRecord

FIRST_ROUNDS: Final = 3
Form = Literal["flat", "start-up"]


class RoundUse(msgspec.Struct, frozen=True, kw_only=True):
    """Of one round: how many peers have records in it, and what all of them used."""

    round: int
    peers: int
    amount: Amount


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """`error` is predicted over metered less 1, of the middles; None while the run has not got so far."""

    form: Form
    energy_wh: Spread
    co2e_g: Spread
    error: float | None


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """From `first` rounds for `rounds`. `expected_wh` is the middle with the spread of rounds alone: the meter's own
    band is common to prediction and outcome, so the outcome is held against this one.
    """

    first: int
    rounds: int
    peers: int
    wh_per_peer_round: float
    expected_wh: Spread
    forms: tuple[Predicted, ...]
    metered_wh: Spread | None
    metered_g: Spread | None
    metered_label: Label | None
    within: bool | None  # whether the metered middle lies in `expected_wh`
    label: Label = Label.PARAMETRIC


def by_round(records: Sequence[EmissionRecord]) -> tuple[RoundUse, ...]:
    """In order, and without a gap from the first; InputError where there is nothing to begin with."""
    found: dict[int, list[EmissionRecord]] = {}
    for record in records:
        found.setdefault(record.round, []).append(record)
    rounds: list[RoundUse] = []
    for number, part in sorted(found.items()):
        energy = sum((record.energy_uj for record in part), NOTHING)
        emitted = sum((record.co2e_ug for record in part), NOTHING)
        peers = len({record.peer for record in part})
        rounds.append(RoundUse(round=number, peers=peers, amount=Amount(energy, emitted)))
    if not rounds:
        raise InputError("the run has no readable emission record: there is nothing to predict from")
    gone = set(range(rounds[0].round, rounds[-1].round + 1)) - set(found)
    if gone:
        raise InputError(f"no peer has an emission record of round {min(gone)}: a prediction would hide that gap")
    return tuple(rounds)


def predict(rounds: Sequence[RoundUse], first: int, total_rounds: int, label: Label | None = None) -> Prediction:
    """`label`: of the metered energy, where the run is over and may be compared."""
    if not 1 <= first <= len(rounds):
        raise InputError(f"--first {first} cannot be: the meter has records of {len(rounds)} rounds")
    if total_rounds < first:
        raise InputError(f"--rounds {total_rounds} is less than the first {first} rounds, which are metered already")
    seen = tuple(rounds[:first])
    later = seen[1:] or seen
    peers = seen[-1].peers
    ahead = peers * (total_rounds - first)
    steady = tuple((one.amount, one.peers) for one in later)
    flat = _mean(tuple((one.amount, one.peers) for one in seen), peers * total_rounds)
    start_up = sum((one.amount for one in seen), Amount()) + _mean(steady, ahead)
    metered = sum((one.amount for one in rounds[:total_rounds]), Amount()) if total_rounds <= len(rounds) else None
    done = start_up.energy_uj.mid - _mean(steady, ahead).energy_uj.mid
    expected = _expected(done, later, ahead)
    return Prediction(
        first=first,
        rounds=total_rounds,
        peers=peers,
        wh_per_peer_round=watt_hours(_mean(steady, 1).energy_uj).mid,
        expected_wh=watt_hours(expected),
        forms=(_told("start-up", start_up, metered), _told("flat", flat, metered)),
        metered_wh=watt_hours(metered.energy_uj) if metered else None,
        metered_g=grams(metered.co2e_ug) if metered else None,
        metered_label=label if metered else None,
        within=expected.low <= metered.energy_uj.mid <= expected.high if metered else None,
    )


def _mean(parts: Sequence[tuple[Amount, int]], peer_rounds: int) -> Amount:
    """The mean of a peer's round, times so many of them; floors, so that no band is turned over."""
    weight = sum(peers for _, peers in parts)
    whole = sum((amount for amount, _ in parts), Amount())
    return Amount(_scaled(whole.energy_uj, peer_rounds, weight), _scaled(whole.co2e_ug, peer_rounds, weight))


def _scaled(band: Band, by: int, over: int) -> Band:
    return Band(band.low * by // over, band.mid * by // over, band.high * by // over)


def _expected(done: int, later: Sequence[RoundUse], ahead: int) -> Band:
    """What is metered, and ahead of it the least and the most that a round took so far, at least a fifth off the mean
    (`attributed`): few rounds say little of their own spread.
    """
    each = [one.amount.energy_uj.mid / one.peers for one in later]
    weight = sum(one.peers for one in later)
    mean = sum(one.amount.energy_uj.mid for one in later) / weight
    low, high = (part / 1000 for part in spread(Label.ATTRIBUTED))
    return Band(
        done + round(min(*each, mean * low) * ahead),
        done + round(mean * ahead),
        done + round(max(*each, mean * high) * ahead),
    )


def _told(form: Form, amount: Amount, metered: Amount | None) -> Predicted:
    error = None
    if metered and metered.energy_uj.mid:
        error = amount.energy_uj.mid / metered.energy_uj.mid - 1
    return Predicted(form=form, energy_wh=watt_hours(amount.energy_uj), co2e_g=grams(amount.co2e_ug), error=error)
