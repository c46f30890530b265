"""What a ledger tells its peer: what happened on the chain, and how our own transactions fare. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from peerage_ledger.records import RewardRoot, RoundRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
class PeerSlashed:
    """`amount` left the stake: `bounty` went to the challenger, the rest into the pool. All of it ends the peer."""

    address: bytes
    challenger: bytes
    amount: int
    bounty: int


@dataclass(frozen=True, slots=True)
class RecoverySet:
    address: bytes
    recovery: bytes


@dataclass(frozen=True, slots=True)
class PeerRecovered:
    """The account is void; stake and rewards are the recovery address's."""

    address: bytes
    recovery: bytes
    withdrawable_at: int


@dataclass(frozen=True, slots=True)
class RoundRecorded:
    record: RoundRecord
    record_hash: bytes
    initiator: bytes


@dataclass(frozen=True, slots=True)
class RootPublished:
    reward: RewardRoot


@dataclass(frozen=True, slots=True)
class RootVoided:
    """The root of an epoch was proven wrong before anybody could claim from it; the one before it serves again."""

    epoch: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class RoundVoided:
    """A recorded round was proven to break a rule: it pays nothing."""

    record: bytes
    round: int
    challenger: bytes
    fault: int


@dataclass(frozen=True, slots=True)
class PeerConvicted:
    """Its own signatures convicted a peer, for one session and fault."""

    peer: bytes
    sid: bytes
    challenger: bytes
    fault: int


@dataclass(frozen=True, slots=True)
class QuestionAsked:
    """Somebody put down a bond: show what stands at `node` of a record's `tree` (fault 3), or acknowledgements (5).

    `deadline` in Unix seconds: from then on silence can be made a verdict.
    """

    question: bytes
    record: bytes
    challenger: bytes
    fault: int
    tree: int
    node: bytes
    deadline: int


@dataclass(frozen=True, slots=True)
class QuestionAnswered:
    question: bytes
    answerer: bytes


@dataclass(frozen=True, slots=True)
class QuestionExpired:
    question: bytes
    challenger: bytes


@dataclass(frozen=True, slots=True)
class RootTakenBack:
    """Beside `RootVoided`: who proved it, and what (6: a step, 7: the tree, 8: the total, 0: a voided round)."""

    epoch: int
    digest: bytes
    challenger: bytes
    fault: int


@dataclass(frozen=True, slots=True)
class PublicationProvenWrong:
    digest: bytes
    challenger: bytes
    fault: int


@dataclass(frozen=True, slots=True)
class SignerConvicted:
    digest: bytes
    signer: bytes
    challenger: bytes


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
    | PeerSlashed
    | RecoverySet
    | PeerRecovered
    | RoundRecorded
    | RootPublished
    | RootVoided
    | RoundVoided
    | PeerConvicted
    | QuestionAsked
    | QuestionAnswered
    | QuestionExpired
    | RootTakenBack
    | PublicationProvenWrong
    | SignerConvicted
    | RewardClaimed
    | VaultFunded
)
LedgerEvent: TypeAlias = ContractEvent | Submitted | Confirmed | Delayed | Refused | ChainLost | ChainBack


# the name of a Solidity event -> the value it becomes, from its arguments
_VALUES: Final[Mapping[str, Callable[[Mapping[str, Any]], ContractEvent]]] = {
    "PeerRegistered": lambda v: PeerRegistered(v["peer"], v["transportKey"], v["endpoint"], v["stake"]),
    "EndpointChanged": lambda v: EndpointChanged(v["peer"], v["endpoint"]),
    "TransportKeyRotated": lambda v: TransportKeyRotated(v["peer"], v["transportKey"]),
    "PeerLeft": lambda v: PeerLeft(v["peer"], v["withdrawableAt"]),
    "StakeWithdrawn": lambda v: StakeWithdrawn(v["peer"], v["amount"]),
    "PeerSlashed": lambda v: PeerSlashed(v["peer"], v["challenger"], v["amount"], v["bounty"]),
    "RecoverySet": lambda v: RecoverySet(v["peer"], v["recovery"]),
    "PeerRecovered": lambda v: PeerRecovered(v["peer"], v["recovery"], v["withdrawableAt"]),
    "RoundRecorded": lambda v: RoundRecorded(RoundRecord(*v["data"]), v["record"], v["initiator"]),
    "RootPublished": lambda v: RootPublished(
        RewardRoot(v["epoch"], v["root"], v["total"], v["emissionRoot"], v["steps"])
    ),
    "RootVoided": lambda v: RootVoided(v["epoch"], v["digest"]),
    "RoundVoided": lambda v: RoundVoided(v["record"], v["round"], v["challenger"], v["fault"]),
    "PeerConvicted": lambda v: PeerConvicted(v["peer"], v["sid"], v["challenger"], v["fault"]),
    "QuestionAsked": lambda v: QuestionAsked(
        v["question"], v["record"], v["challenger"], v["fault"], v["tree"], v["node"], v["deadline"]
    ),
    "QuestionAnswered": lambda v: QuestionAnswered(v["question"], v["answerer"]),
    "QuestionExpired": lambda v: QuestionExpired(v["question"], v["challenger"]),
    "RootTakenBack": lambda v: RootTakenBack(v["epoch"], v["digest"], v["challenger"], v["fault"]),
    "PublicationProvenWrong": lambda v: PublicationProvenWrong(v["digest"], v["challenger"], v["fault"]),
    "SignerConvicted": lambda v: SignerConvicted(v["digest"], v["signer"], v["challenger"]),
    "RewardClaimed": lambda v: RewardClaimed(v["account"], v["amount"], v["cumulative"]),
    "VaultFunded": lambda v: VaultFunded(v["from"], v["amount"]),
}


def from_log(event: Decoded) -> ContractEvent | None:
    """A decoded event of our contracts as a value; None for those that say nothing to a peer (token transfers)."""
    make = _VALUES.get(event.name)
    return None if make is None else make(event.values)
