"""Whose turn it is in each round, from the settings: `[schedule]` and `[[energy]]` (docs/scheduling.md).

Everything here is agreed before the first round, so peers and auditors have the same turns, and a round with a peer out
of turn is refused by both. Scales are agreed as well, but FedAU's, which follow from the record of earlier rounds.
The profiles are models of energy or files of earlier measurements: no battery is read while a run goes on.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from peerage.regions import is_address
from peerage.scheduling import (
    Bernoulli,
    BestEffort,
    Budget,
    CarbonBudget,
    FedAU,
    Policy,
    Windows,
    always_on,
    common_rounds,
    decide,
    plan_budget,
)
from peerage.scheduling.forms import grid_of, profile_of
from peerage.scheduling.policies import chosen
from peerage_crypto.errors import InputError
from peerage_crypto.thresholds import smallest_roster

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peerage.config import Federation

MOST_ROUNDS = 1000  # turns are worked out before the first round
MOST_PLANNED = 20_000  # peers times rounds of a carbon plan: a second or two
MOST_SLOTS = 1 << 16  # that are searched for rounds which all can pay
Turns = tuple["Mapping[bytes, Fraction]", ...]


def check_schedule(federation: Federation) -> None:
    """InputError unless each round has enough peers whose turn it is, and nothing else here needs all of them."""
    settings = federation.schedule
    if settings.policy == "none":
        if federation.energy:
            raise InputError('energy: profiles without a schedule do nothing: choose schedule.policy = "windows"')
        return
    if federation.rounds > MOST_ROUNDS:
        raise InputError(f"schedule: {federation.rounds} rounds are more than the {MOST_ROUNDS} that are worked out")
    _check_company(federation)
    _check_peers(federation)
    _check_numbers(federation)
    least, always = smallest_roster(federation.peers), federation.peers - len(federation.energy)
    if settings.policy == "selection":
        if federation.energy:
            raise InputError("schedule: random selection asks for no energy: leave the energy profiles out")
        if not least <= settings.count <= federation.peers:
            raise InputError(f"schedule.count = {settings.count}: a masked round takes {least} to {federation.peers}")
        return
    for round_, scales in enumerate(_energy_turns(federation), 1):
        if always + len(scales) < least:
            raise InputError(
                f"schedule: round {round_} would have {always + len(scales)} peers and a masked round takes {least}: "
                "give more peers steady power"
            )


def _check_peers(federation: Federation) -> None:
    known, seen = federation.peer_names(), set[str]()
    for entry in federation.energy:
        if entry.peer in seen:
            raise InputError(f"energy: {entry.peer} is listed twice: a peer has one profile")
        if not is_address(entry.peer) and entry.peer not in known:
            raise InputError(f"energy: {entry.peer!r} is neither a peer's name nor its 0x address")
        seen.add(entry.peer)


def _check_company(federation: Federation) -> None:
    """What has not been tried together with a schedule is refused."""
    robust = federation.robust
    together = {
        'exchange = "plain"': federation.exchange == "plain",
        "regions": bool(federation.regions),
        "robust rules, buckets and sketches": robust.rule != "mean" or robust.buckets > 1 or robust.sketches > 0,
        'data.validation = "private"': federation.data.validation == "private",
        "privacy.noise": federation.privacy.noise > 0,
    }
    other = next((name for name, there in together.items() if there), "")
    if other:
        raise InputError(f"schedule: {other} and a schedule have not been tried together: choose one of them")


def _check_numbers(federation: Federation) -> None:
    settings = federation.schedule
    if settings.policy == "fedau" and settings.cutoff > settings.cap:
        raise InputError(
            f"schedule.cutoff = {settings.cutoff} allows scales above schedule.cap = {settings.cap}: choose a cutoff "
            "that is no larger"
        )
    if settings.policy == "carbon-budget" and len(federation.energy) != federation.peers:
        raise InputError(
            f"schedule: a carbon budget needs the grid of each of the {federation.peers} peers "
            f"(energy.profile = grid:KIND:G,G,...), and {len(federation.energy)} are here"
        )
    planned = federation.peers * federation.rounds if settings.policy == "carbon-budget" else 0
    if planned > MOST_PLANNED:
        raise InputError(
            f"schedule: a carbon plan for {federation.peers} peers and {federation.rounds} rounds is larger than the "
            f"{MOST_PLANNED} turns that are worked out: use fewer rounds"
        )
    if settings.policy == "wait-for-all":
        slots_of(federation)
        gone = next((p.peer for p in federation.cast if p.kill_in_round and not p.return_in_round), "")
        if gone:
            raise InputError(
                f"cast: {gone} is killed for good, and wait-for-all never goes on without it: give it a return_in_round"
            )


def over_all(federation: Federation) -> int:
    """What the scaled sum is divided by; 0: the survivors."""
    scaled = federation.schedule.policy in {"windows", "bernoulli", "fedau", "carbon-budget"}
    return federation.peers if scaled else 0


def whole_rosters(federation: Federation) -> bool:
    """Whether a round takes all peers or none."""
    return federation.schedule.policy == "wait-for-all"


def fedau_of(federation: Federation) -> FedAU | None:
    """Where scales follow from the record: how."""
    settings = federation.schedule
    return FedAU(settings.cap, settings.cutoff) if settings.policy == "fedau" else None


def slots_of(federation: Federation) -> tuple[int, ...]:
    """Wait for all: the slot of energy, from 1, in which each round falls; nothing waits for a clock in between."""
    if federation.schedule.policy != "wait-for-all":
        return ()
    profiles = tuple(profile_of(e.profile, k, federation.seed) for k, e in enumerate(federation.energy))
    profiles = profiles or (always_on("everybody"),)
    until = federation.rounds
    while len(found := common_rounds(profiles, until)) < federation.rounds:
        until *= 2
        if until > MOST_SLOTS:
            raise InputError(
                f"schedule: all can pay in {len(found)} of {until // 2} slots, and {federation.rounds} rounds are "
                "asked for: give the scarcest peer more energy, or choose another policy"
            )
    return tuple(slot + 1 for slot in sorted(found)[: federation.rounds])


def turns_of(federation: Federation, registered: frozenset[bytes]) -> Turns | None:
    """For each round, from 1, who has its turn there and with which scale; None where there is no schedule.

    With FedAU each scale here is 1: `peerage.scheduling.policies.mean_interval` of the record has the true one.
    """
    policy = federation.schedule.policy
    if policy == "none":
        return None
    if policy == "selection":
        names = tuple(sorted(address.hex() for address in registered))
        count = federation.schedule.count
        drawn = (chosen(names, count, t, federation.seed) for t in range(federation.rounds))
        return tuple({bytes.fromhex(name): Fraction(1) for name in sorted(who)} for who in drawn)
    unknown = next((entry.peer for entry in federation.energy if not is_address(entry.peer)), "")
    if unknown:
        raise InputError(f"energy: {unknown} is a name: on separate machines list each peer's 0x address")
    addresses = [bytes.fromhex(entry.peer[2:]) for entry in federation.energy]
    steady = dict.fromkeys(sorted(registered.difference(addresses)), Fraction(1))
    return tuple(
        steady | {addresses[k]: scale for k, scale in scales.items() if addresses[k] in registered}
        for scales in _energy_turns(federation)
    )


@lru_cache(maxsize=4)  # asked by the check, by each peer and by the summary
def _energy_turns(federation: Federation) -> tuple[Mapping[int, Fraction], ...]:
    """For each round the places in `energy` whose turn it is, as if all had come whenever it was."""
    places = range(len(federation.energy))
    if federation.schedule.policy == "wait-for-all":
        return tuple(dict.fromkeys(places, Fraction(1)) for _ in range(federation.rounds))
    table: list[dict[int, Fraction]] = [{} for _ in range(federation.rounds)]
    plan = _plan(federation) if federation.schedule.policy == "carbon-budget" else None
    policy = CarbonBudget(plan, federation.schedule.cap) if plan else _policy(federation)
    for place, entry in enumerate(federation.energy):
        profile = always_on(_name(place)) if plan else profile_of(entry.profile, place, federation.seed)
        history = list[int]()
        for t in range(federation.rounds):
            due = decide(policy, profile, t, federation.seed, history)
            if due.capped:
                raise InputError(
                    f"schedule.cap = {federation.schedule.cap} is less than the scale that {entry.peer} needs "
                    f"(energy.profile = {entry.profile[:60]!r}): the model would lean away from it; raise the cap"
                )
            if due.participate:
                history.append(t)
                table[t][place] = due.scale if federation.schedule.policy != "fedau" else Fraction(1)
    return tuple(table)


def _policy(federation: Federation) -> Policy:
    match federation.schedule.policy:
        case "windows":
            return Windows(federation.schedule.cap)
        case "bernoulli":
            return Bernoulli(federation.schedule.cap)
        case _:
            return BestEffort()  # and FedAU, whose scales are not known yet


def _plan(federation: Federation) -> Budget:
    """The carbon plan over all rounds; every round keeps the peers that a masked sum needs."""
    settings, rounds = federation.schedule, federation.rounds
    grids = {_name(k): grid_of(entry.profile).over(rounds) for k, entry in enumerate(federation.energy)}
    whole = sum(map(sum, grids.values()))
    return plan_budget(
        grids,
        budget=whole * settings.percent // 100,
        alpha=Fraction(settings.alpha),
        slack=settings.slack,
        final=settings.final,
        least=smallest_roster(federation.peers),
    )


def _name(place: int) -> str:
    return f"energy-{place:04d}"
