"""What a federation's contracts are built with, and where they will stand before the first of them is there. Pure.

Each contract knows others by their addresses, which follow from the deployer and its nonce; so they can point to one
another without an owner who would wire them afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import rlp  # type: ignore[import-untyped]  # ships no types

from peerage_crypto.digest import keccak256
from peerage_crypto.errors import InputError
from peerage_ledger.names import NAMES, OPTIONAL, ORDER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOBODY: Final = bytes(20)


@dataclass(frozen=True, slots=True)
class DeployTerms:
    """Everything that constructors fix for good. Amounts in the token's smallest unit, times in seconds.

    `activation_delay`: from a reward root to the first claim, the time to dispute it. `answer_seconds`: how long a
    bonded challenge of a round waits for its answer; `bond`: what it costs until then. `pool`, `planned_rounds`, `cap`
    and `window` are the terms of pay that the pay arbiter computes with (`rewards.pay_rounds`). `founders`: who may
    register without invitation; none: the register is open to everybody. `delivery_seconds`: how long a buyer waits for
    the key to a model, and may then prove it wrong. `period_seconds`: the least time between two reports on a deployed
    model. The defaults suit a devnet.
    """

    min_stake: int = 10**18
    supply: int = 10**27
    unbonding_seconds: int = 3600
    activation_delay: int = 0
    answer_seconds: int = 600
    bond: int = 10**17
    pool: int = 0
    planned_rounds: int = 10
    cap: int = 2
    window: int = 12
    founders: tuple[bytes, ...] = ()
    delivery_seconds: int = 3600
    period_seconds: int = 0

    def __post_init__(self) -> None:
        disputes = self.activation_delay + self.answer_seconds
        if self.unbonding_seconds < disputes:
            raise InputError(
                f"a stake comes free after {self.unbonding_seconds} s, before a dispute over it ends "
                f"({self.activation_delay} s + {self.answer_seconds} s): raise the unbonding time"
            )
        if self.delivery_seconds < 1 or self.period_seconds < 0:
            raise InputError("a delivery takes at least 1 s, and no period is shorter than 0 s: correct the times")
        if self.pool > self.supply:
            raise InputError(f"a pool of {self.pool} out of a supply of {self.supply}: lower it")
        if len(set(self.founders)) != len(self.founders) or NOBODY in self.founders:
            raise InputError("a founder stands twice, or is the zero address: list each account once")


@dataclass(frozen=True, slots=True)
class Plan:
    """One deployment: who pays for it and gets the tokens, its terms, and where every contract will stand."""

    holder: bytes
    federation: bytes
    terms: DeployTerms
    at: Mapping[str, bytes]

    def names(self) -> tuple[str, ...]:
        """What will be deployed, in that order."""
        return tuple(name for name in _sequence(self.terms) if name in NAMES or name in OPTIONAL)

    def written(self, name: str) -> bytes:
        """Where `name` will stand; the zero address as long as there is no such contract, so that nobody calls it."""
        return self.at[name] if name in NAMES else NOBODY

    def arguments(self, name: str) -> tuple[object, ...]:
        """What the constructor of `name` is called with."""
        return CONSTRUCTORS[name](self)


CONSTRUCTORS: Final[Mapping[str, Callable[[Plan], tuple[object, ...]]]] = {
    "MemberAdmission": lambda p: (p.at["PeerRegistry"], list(p.terms.founders)),
    "PeerageToken": lambda p: (p.holder, p.terms.supply),
    "PeerRegistry": lambda p: (
        p.at["PeerageToken"],
        p.terms.min_stake,
        p.terms.unbonding_seconds,
        p.at["MemberAdmission"] if p.terms.founders else NOBODY,
        [p.at["RoundArbiter"], p.at["PayArbiter"]],
        p.at["RewardVault"],
    ),
    "RoundLedger": lambda p: (p.at["PeerRegistry"], p.federation),
    "RewardVault": lambda p: (
        p.at["PeerageToken"],
        p.at["PeerRegistry"],
        p.terms.activation_delay,
        p.written("PayArbiter"),
    ),
    "RoundArbiter": lambda p: (
        p.at["PeerRegistry"],
        p.at["RoundLedger"],
        p.at["RewardVault"],
        p.at["PeerageToken"],
        p.terms.bond,
        p.terms.answer_seconds,
    ),
    "PayArbiter": lambda p: (
        p.at["PeerRegistry"],
        p.at["RoundLedger"],
        p.at["RewardVault"],
        p.at["RoundArbiter"],
        (p.terms.pool, p.terms.planned_rounds, p.terms.cap, p.terms.window),
    ),
    "ModelMarket": lambda p: (
        p.at["PeerRegistry"],
        p.at["RoundLedger"],
        p.at["RewardVault"],
        p.at["PeerageToken"],
        p.terms.delivery_seconds,
    ),
    "ModelWatch": lambda p: (p.at["PeerRegistry"], p.at["RoundLedger"], p.terms.period_seconds),
}


def plan(deployer: bytes, nonce: int, federation: bytes, terms: DeployTerms) -> Plan:
    """`nonce` is the deployer's next one. Contracts that are not written yet stand after those that are: nowhere."""
    at = {name: created_address(deployer, nonce + i) for i, name in enumerate(_sequence(terms))}
    return Plan(deployer, federation, terms, at)


def created_address(sender: bytes, nonce: int) -> bytes:
    """Where a transaction without recipient puts its contract."""
    encoded: bytes = rlp.encode([sender, nonce])
    return keccak256(encoded)[12:]


def _sequence(terms: DeployTerms) -> tuple[str, ...]:
    unwritten = tuple(name for name in ORDER if name not in NAMES)
    return (*(OPTIONAL if terms.founders else ()), *NAMES, *unwritten)
