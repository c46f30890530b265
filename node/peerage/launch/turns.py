"""What people are told of a schedule: who rests when, and which energy is measured and which is made up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from eth_utils.address import to_checksum_address

from peerage.schedule import slots_of, turns_of
from peerage.scheduling.forms import cost_of, is_synthetic, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from fractions import Fraction

    from peerage.config import Federation


class ProfileTold(msgspec.Struct, frozen=True, kw_only=True):
    """One peer's energy as the settings have it; `synthetic`: nobody measured it."""

    peer: str  # checksummed address
    profile: str
    synthetic: bool
    cost_j: int | None = None  # of one round, as agreed; null: the profile is in rounds


class ScheduleTold(msgspec.Struct, frozen=True, kw_only=True):
    """What decided who took part. `slots`: wait for all, the slot of energy in which each round fell."""

    policy: str
    profiles: tuple[ProfileTold, ...] = ()
    slots: tuple[int, ...] = ()


def told_of(federation: Federation) -> ScheduleTold | None:
    """None without a schedule; peers must be addresses by now."""
    if federation.schedule.policy == "none":
        return None
    profiles = tuple(
        ProfileTold(
            peer=str(to_checksum_address(entry.peer)),
            profile=words_of(entry.profile),
            synthetic=is_synthetic(entry.profile),
            cost_j=cost_of(entry.profile),
        )
        for entry in federation.energy
    )
    return ScheduleTold(policy=federation.schedule.policy, profiles=profiles, slots=slots_of(federation))


def scales(federation: Federation, accounts: Mapping[str, str]) -> dict[tuple[str, int], Fraction] | None:
    """By peer name and round, from 1, where a turn counts for more than one; None where the record alone has them."""
    if federation.schedule.policy == "fedau":
        return None
    names = {bytes.fromhex(address[2:]): name for name, address in accounts.items()}
    table = turns_of(federation, frozenset(names)) or ()
    return {(names[who], t): scale for t, due in enumerate(table, 1) for who, scale in due.items() if scale != 1}


def rests(federation: Federation, accounts: Mapping[str, str]) -> dict[str, frozenset[int]]:
    """By checksummed address: the rounds, from 1, in which this peer has no turn. `accounts`: address by name."""
    registered = frozenset(bytes.fromhex(address[2:]) for address in accounts.values())
    table = turns_of(federation, registered) or ()
    return {
        address: frozenset(t for t, due in enumerate(table, 1) if bytes.fromhex(address[2:]) not in due)
        for address in accounts.values()
    }


def made_up(federation: Federation) -> Iterator[str]:
    """A sentence for each peer whose energy is an invention, before the run starts."""
    for entry in federation.energy:
        if is_synthetic(entry.profile):
            yield f"SYNTHETIC: the energy of {entry.peer} ({words_of(entry.profile)}) is made up, not measured."
