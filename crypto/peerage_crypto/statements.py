"""What a peer signs during a round (EIP-712), and nothing else.

Every statement names its session (sid). Equivocation is two different statements of one type by one signer for one
sid: provable with two signatures, on chain too, since the EVM recovers the same signer from the same digest. The
signing domain is the RoundLedger contract of one chain, so a statement means nothing in any other federation.
"""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

import msgspec

from peerage_crypto.digest import tagged
from peerage_crypto.identity import Account, BadSignature, eip712_digest, eip712_domain, recover

Bytes20 = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Bytes65 = Annotated[bytes, msgspec.Meta(min_length=65, max_length=65)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Uint8 = Annotated[int, msgspec.Meta(ge=0, le=2**8 - 1)]
Uint32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]

DOMAIN_NAME, DOMAIN_VERSION = "Peerage", "1"


def signing_domain(chain_id: int, round_ledger: bytes) -> bytes:
    """The EIP-712 separator of one federation: 32 bytes."""
    return eip712_domain(DOMAIN_NAME, DOMAIN_VERSION, chain_id, round_ledger)


class Statement(msgspec.Struct, frozen=True):
    """A typed sentence about one session; subclasses list their fields in the order in which they are hashed."""

    sid: Bytes32

    @classmethod
    def type_string(cls) -> str:
        """The EIP-712 type, e.g. `Vote(bytes32 sid,bytes32 survivors)`."""
        return TYPE_STRINGS[cls.__name__]

    def digest(self, domain: bytes) -> bytes:
        """The 32 bytes that are signed."""
        return eip712_digest(domain, self.type_string(), list(msgspec.structs.astuple(self)))


class Opened(Statement, frozen=True):
    """The initiator opens a session on a parent record, with the hash of the parameters that all share."""

    round: Count
    initiator: Bytes20
    parent: Bytes32
    params: Bytes32
    nonce: Bytes32


class JoinIntent(Statement, frozen=True):
    """I join with this version; these are my keys for this session only. Never slashable.

    `channel_key` and `mask_key` are X25519 public keys (two pairs, because the mask secret is revealed when a peer
    drops, and must not open its recorded share packets); `self_seed` and `rand` are commitments (tagged SHA-256).
    """

    round: Count
    version: Count
    update: Bytes32
    data_manifest: Bytes32
    code_manifest: Bytes32
    channel_key: Bytes32
    mask_key: Bytes32
    self_seed: Bytes32
    rand: Bytes32


class ShareKeys(Statement, frozen=True):
    """I dealt these sealed shares to this roster; `packets` is the digest of all packets and commitments."""

    roster: Bytes32
    packets: Bytes32


class MaskedUpdate(Statement, frozen=True):
    """My masked vector: its Merkle root over 1 KiB leaves, its artefact id, its length in bytes; and my randomness."""

    u2: Bytes32
    bucket: Uint8
    masked_root: Bytes32
    artefact: Bytes32
    length: Uint32
    rand: Bytes32


class BucketSum(Statement, frozen=True):
    """A leader: these members of my bucket (a bitmap over the roster) have masked vectors that add up to this.

    `masked_root` is the Merkle root of the digests of their manifests (`session.gathered_root`): a member that showed
    another manifest to others than to its leader makes no liar of the leader.
    """

    bucket: Uint8
    members: Bytes32
    masked_root: Bytes32
    artefact: Bytes32


class Vote(Statement, frozen=True):
    """These, and nobody else, are the survivors. Signed once per session."""

    survivors: Bytes32


class Abstention(Statement, frozen=True):
    """I have not voted in this session and never will."""

    round: Count


class ResultAck(Statement, frozen=True):
    """That this model follows from the sum with this Merkle root (over 1 KiB leaves: `leaf_check.sum_root`)."""

    sum_root: Bytes32
    model: Bytes32


class Opening(Statement, frozen=True):
    """My pair numbers for the direction g (`values` is their digest), and the record of my emissions so far."""

    direction: Bytes32
    values: Bytes32
    emissions: Bytes32


class PathGradient(Statement, frozen=True):
    """My masked path gradient, before anybody's is shown: a commitment to its artefact id, its length in bytes."""

    half: Uint8
    commitment: Bytes32
    length: Uint32


class Sketch(Statement, frozen=True):
    """My sketch numbers (`values` is their digest) under the certificate of exactly these survivors."""

    survivors: Bytes32
    values: Bytes32


class Screening(Statement, frozen=True):
    """Of the certified survivors these pass the screening. Signed once per session."""

    survivors: Bytes32


TYPE_STRINGS = {
    "Opened": "Opened(bytes32 sid,uint64 round,address initiator,bytes32 parent,bytes32 params,bytes32 nonce)",
    "JoinIntent": (
        "JoinIntent(bytes32 sid,uint64 round,uint64 version,bytes32 update,bytes32 dataManifest,bytes32 codeManifest,"
        "bytes32 channelKey,bytes32 maskKey,bytes32 selfSeed,bytes32 rand)"
    ),
    "ShareKeys": "ShareKeys(bytes32 sid,bytes32 roster,bytes32 packets)",
    "MaskedUpdate": (
        "MaskedUpdate(bytes32 sid,bytes32 u2,uint8 bucket,bytes32 maskedRoot,bytes32 artefact,uint32 length,"
        "bytes32 rand)"
    ),
    "BucketSum": "BucketSum(bytes32 sid,uint8 bucket,bytes32 members,bytes32 maskedRoot,bytes32 artefact)",
    "Vote": "Vote(bytes32 sid,bytes32 survivors)",
    "Abstention": "Abstention(bytes32 sid,uint64 round)",
    "ResultAck": "ResultAck(bytes32 sid,bytes32 sumRoot,bytes32 model)",
    "Opening": "Opening(bytes32 sid,bytes32 direction,bytes32 values,bytes32 emissions)",
    "PathGradient": "PathGradient(bytes32 sid,uint8 half,bytes32 commitment,uint32 length)",
    "Sketch": "Sketch(bytes32 sid,bytes32 survivors,bytes32 values)",
    "Screening": "Screening(bytes32 sid,bytes32 survivors)",
}

S = TypeVar("S", bound=Statement)


class Signed(msgspec.Struct, Generic[S], frozen=True):
    """A statement with its signature; the signer is recovered, never believed."""

    statement: S
    signature: Bytes65

    def signer(self, domain: bytes) -> bytes:
        """The 20-byte address that signed this; BadSignature when none did, or when a field does not fit its type."""
        try:
            digest = self.statement.digest(domain)
        except ValueError as error:
            raise BadSignature(f"a statement that nobody can sign: {error}") from error
        return recover(digest, self.signature)

    def is_by(self, address: bytes, domain: bytes) -> bool:
        """Whether `address` signed exactly this statement."""
        try:
            return self.signer(domain) == address
        except BadSignature:
            return False


def sign(statement: S, account: Account, domain: bytes) -> Signed[S]:
    """Sign one statement; the caller journals its digest first."""
    return Signed(statement, account.sign(statement.digest(domain)))


def seed_commitment(sid: bytes, owner: bytes, kind: str, secret: bytes) -> bytes:
    """What a JoinIntent says of a 32-byte secret that may be revealed later (`kind`: self-seed or rand)."""
    return tagged(f"peerage/{kind}/v1", sid, owner, secret)


def session_id(
    *, chain_id: int, registry: bytes, round_: int, initiator: bytes, parent: bytes, params: bytes, nonce: bytes
) -> bytes:
    """The name of a session: all that its masks depend on. No chain value (block, time) enters it."""
    return tagged(
        "peerage/secagg/v1",
        chain_id.to_bytes(8, "little"),
        registry,
        round_.to_bytes(8, "little"),
        initiator,
        parent,
        params,
        nonce,
    )
