"""A model of the federation as provenance has it: what went into it, what it stands on, where it is written down."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Exchange(Enum):
    """How the updates met; UNKNOWN where no artefact tells."""

    MASKED = "masked"
    PLAIN = "plain"
    GENESIS = "genesis"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Contribution:
    """One peer's update in one model. `update` is its commitment (masked) or the artefact of the weights (plain).

    The manifests are the digests that the peer signed; None where its statement has no place for them.
    """

    peer: bytes
    version: int
    update: bytes
    data_manifest: bytes | None
    code_manifest: bytes | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the chain holds a record: `timestamp` in seconds since 1970, `recorder` who sent it."""

    block: int
    timestamp: int
    transaction: bytes
    recorder: bytes


@dataclass(frozen=True, slots=True)
class ModelNode:
    """One record of the ledger. All hashes are 32 bytes, peers 20.

    `contributions` and `versions` are what the artefacts prove: every list hashes to a root in the record. Where they
    do not, `unproven` says why and the lists are empty. `acknowledged` of a roster of `roster` signed this very model;
    `quorum` is how many had to (1 in plain exchange: the merging peer's own word). `terms` is what the statements are
    bound to: the session's parameters, or the name of the plain exchange (`evidence.binds`).
    """

    record: bytes
    round: int
    parents: tuple[bytes, ...]
    aggregate: bytes
    transcript: bytes
    members: int
    exchange: Exchange = Exchange.UNKNOWN
    initiator: bytes | None = None
    contributions: tuple[Contribution, ...] = ()
    versions: tuple[tuple[bytes, int], ...] = ()
    terms: bytes | None = None
    roster: int = 0
    acknowledged: tuple[bytes, ...] = ()
    quorum: int = 0
    place: Place | None = None
    paid: bool = False
    voided: bool = False
    unproven: str = ""

    def contribution_of(self, peer: bytes) -> Contribution | None:
        return next((c for c in self.contributions if c.peer == peer), None)

    @property
    def version_vector(self) -> Mapping[bytes, int]:
        return dict(self.versions)

    @property
    def is_genesis(self) -> bool:
        return self.exchange is Exchange.GENESIS
