"""What a round leaves on the ledger: one record of roots, and one root of what everybody has earned.

Both are hashed exactly as the contracts hash them (`RoundLedger.recordRound`, `RewardVault.publish`), so that a peer
knows the name of a record before any chain has seen it: the ledger is behind the training, never before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_abi.abi import encode

from peerage_crypto.digest import keccak256
from peerage_crypto.identity import eip712_digest, eip712_domain

if TYPE_CHECKING:
    from collections.abc import Sequence

# as in IRoundLedger.Round
ROUND_TUPLE = "(uint64,bytes32,uint64[],bytes32[],bytes32,bytes32,bytes32,bytes32,bytes32,bytes32,bytes32,uint16)"
REWARD_ROOT_TYPE = "RewardRoot(uint64 epoch,bytes32 root,uint256 total,bytes32 emissionRoot,bytes32 steps)"


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
class Steps:
    """How an epoch's pay was computed: the line of records that it pays, and the hash of the pay state after each."""

    records: tuple[bytes, ...] = ()
    states: tuple[bytes, ...] = ()

    def digest(self) -> bytes:
        """keccak256(abi.encodePacked(records, states)), as the vault hashes what it is sent."""
        return keccak256(b"".join((*self.records, *self.states)))


@dataclass(frozen=True, slots=True)
class RewardRoot:
    """What a quorum of peers signs at the end of an epoch: cumulative claims, the emissions they stand beside, and the
    steps (`Steps.digest`) by which the claims follow from the rounds.
    """

    epoch: int
    root: bytes
    total: int
    emission_root: bytes
    steps: bytes

    def digest(self, chain_id: int, vault: bytes) -> bytes:
        """The EIP-712 digest under the vault's domain."""
        domain = eip712_domain("PeerageVault", "1", chain_id, vault)
        values: list[bytes | int | str] = [self.epoch, self.root, self.total, self.emission_root, self.steps]
        return eip712_digest(domain, REWARD_ROOT_TYPE, values)


def packed(signatures: Sequence[bytes]) -> bytes:
    """65-byte signatures (r, s, v) as the vault takes them: 64 bytes each, the parity in the top bit (EIP-2098)."""
    return b"".join(s[:32] + bytes([s[32] | (s[64] - 27) << 7]) + s[33:64] for s in signatures)


def unpacked(blob: bytes) -> list[bytes]:
    """The other way round; ValueError when the length is no multiple of 64."""
    if len(blob) % 64:
        raise ValueError(f"{len(blob)} bytes are no signatures of 64 bytes each")
    parts = (blob[i : i + 64] for i in range(0, len(blob), 64))
    return [p[:32] + bytes([p[32] & 0x7F]) + p[33:] + bytes([27 + (p[32] >> 7)]) for p in parts]
