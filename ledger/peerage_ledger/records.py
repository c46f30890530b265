"""What a round leaves on the ledger: one record of roots, and one root of what everybody has earned.

Both are hashed exactly as the contracts hash them (`RoundLedger.recordRound`, `RewardVault.publish`), so that a peer
knows the name of a record before any chain has seen it: the ledger is behind the training, never before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from eth_abi.abi import encode

from peerage_crypto.digest import keccak256
from peerage_crypto.identity import eip712_digest, eip712_domain

# as in IRoundLedger.Round
ROUND_TUPLE = "(uint64,bytes32,uint64[],bytes32[],bytes32,bytes32,bytes32,bytes32,bytes32,bytes32,bytes32,uint16)"
REWARD_ROOT_TYPE = "RewardRoot(uint64 epoch,bytes32 root,uint256 total,bytes32 emissionRoot)"


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One round as the chain keeps it; every hash is 32 bytes.

    `parents` are record hashes (the federation hash stands for the genesis, at round 0) with their rounds beside them.
    `aggregate` is the SHA-256 of the canonical parameter bytes; `transcript` the artefact with every statement of the
    round; the roots are sorted by address, so that an omission shows between two neighbours.
    """

    round: int
    sid: bytes
    parent_rounds: tuple[int, ...]
    parents: tuple[bytes, ...]
    aggregate: bytes
    join_root: bytes
    masked_root: bytes
    ack_root: bytes
    score_root: bytes
    emission_root: bytes
    transcript: bytes
    members: int

    def as_tuple(self) -> tuple[object, ...]:
        """In the order of `IRoundLedger.Round`."""
        return (
            self.round,
            self.sid,
            list(self.parent_rounds),
            list(self.parents),
            self.aggregate,
            self.join_root,
            self.masked_root,
            self.ack_root,
            self.score_root,
            self.emission_root,
            self.transcript,
            self.members,
        )

    def record_hash(self) -> bytes:
        """keccak256(abi.encode(round)): the record's name, on chain and off."""
        return keccak256(encode([ROUND_TUPLE], [self.as_tuple()]))


@dataclass(frozen=True, slots=True)
class RewardRoot:
    """What a quorum of peers signs at the end of an epoch: cumulative claims, and the emissions they stand beside."""

    epoch: int
    root: bytes
    total: int
    emission_root: bytes

    def digest(self, chain_id: int, vault: bytes) -> bytes:
        """The EIP-712 digest under the vault's domain."""
        domain = eip712_domain("PeerageVault", "1", chain_id, vault)
        return eip712_digest(domain, REWARD_ROOT_TYPE, [self.epoch, self.root, self.total, self.emission_root])
