"""What a ledger tells its peer: what happened on the chain, and how our own transactions fare. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from peerage_ledger.records import RewardRoot, RoundRecord

if TYPE_CHECKING:
    from peerage_ledger.contracts import Decoded


@dataclass(frozen=True, slots=True)
class PeerRegistered:
    address: bytes
    transport_key: bytes
    endpoint: str
    stake: int


@dataclass(frozen=True, slots=True)
class EndpointChanged:
    address: bytes
    endpoint: str


@dataclass(frozen=True, slots=True)
class TransportKeyRotated:
    address: bytes
    transport_key: bytes


@dataclass(frozen=True, slots=True)
class PeerLeft:
    address: bytes
    withdrawable_at: int


@dataclass(frozen=True, slots=True)
class StakeWithdrawn:
    address: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class RoundRecorded:
    record: RoundRecord
    record_hash: bytes
    initiator: bytes


@dataclass(frozen=True, slots=True)
class RootPublished:
    reward: RewardRoot


@dataclass(frozen=True, slots=True)
class RewardClaimed:
    account: bytes
    amount: int
    cumulative: int


@dataclass(frozen=True, slots=True)
class VaultFunded:
    funder: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class Submitted:
    """A transaction of ours left; `key` names the wish behind it, e.g. `round:<record>`."""

    key: str
    transaction: bytes


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The wish is on the chain; without a transaction when somebody else had already made it so (then gas is 0)."""

    key: str
    transaction: bytes | None
    gas_used: int
    block: int


@dataclass(frozen=True, slots=True)
class Delayed:
    """The chain does not take it yet; we go on trying."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The chain will never take it; we stop."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChainLost:
    reason: str


@dataclass(frozen=True, slots=True)
class ChainBack:
    """It answers again; `rewound` when it came back without blocks that we had seen."""

    rewound: bool = False


ContractEvent: TypeAlias = (
    PeerRegistered
    | EndpointChanged
    | TransportKeyRotated
    | PeerLeft
    | StakeWithdrawn
    | RoundRecorded
    | RootPublished
    | RewardClaimed
    | VaultFunded
)
LedgerEvent: TypeAlias = ContractEvent | Submitted | Confirmed | Delayed | Refused | ChainLost | ChainBack


def from_log(event: Decoded) -> ContractEvent | None:
    """A decoded event of our contracts as a value; None for those that say nothing to a peer (token transfers)."""
    v = event.values
    match event.name:
        case "PeerRegistered":
            return PeerRegistered(v["peer"], v["transportKey"], v["endpoint"], v["stake"])
        case "EndpointChanged":
            return EndpointChanged(v["peer"], v["endpoint"])
        case "TransportKeyRotated":
            return TransportKeyRotated(v["peer"], v["transportKey"])
        case "PeerLeft":
            return PeerLeft(v["peer"], v["withdrawableAt"])
        case "StakeWithdrawn":
            return StakeWithdrawn(v["peer"], v["amount"])
        case "RoundRecorded":
            return RoundRecorded(RoundRecord(*v["data"]), v["record"], v["initiator"])
        case "RootPublished":
            return RootPublished(RewardRoot(v["epoch"], v["root"], v["total"], v["emissionRoot"]))
        case "RewardClaimed":
            return RewardClaimed(v["account"], v["amount"], v["cumulative"])
        case "VaultFunded":
            return VaultFunded(v["from"], v["amount"])
        case _:
            return None
