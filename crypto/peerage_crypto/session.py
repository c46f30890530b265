"""One secure-aggregation session as data: its plan, its roster, its messages and its transcript.

Order of a session (Bonawitz et al. 2017, double masking; `docs/round.md` draws it):

    joins -> Roster -> Dealt -> Frozen (U2) -> Manifest -> Survivors (U3) -> Ballot -> Certificate -> Revealed -> sum

The members' side is `secagg_member`, the initiator's `secagg_collector`; neither does I/O. Whoever reads a transcript
later needs `judge_session` only: it believes nothing that is not signed or hashed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated

import msgspec

from peerage_crypto.agreement import BadKey, shared
from peerage_crypto.digest import merkle_proof, merkle_root, merkle_verify, tagged
from peerage_crypto.errors import InputError
from peerage_crypto.identity import BadSignature
from peerage_crypto.statements import (
    Bytes32,
    JoinIntent,
    MaskedUpdate,
    Opened,
    ShareKeys,
    Signed,
    Vote,
    seed_commitment,
)
from peerage_crypto.thresholds import Thresholds, thresholds

if TYPE_CHECKING:
    from peerage_crypto.fixedpoint import Ring

Sealed = Annotated[bytes, msgspec.Meta(min_length=115, max_length=115)]  # three 33-byte shares and the GCM tag
Share = Annotated[bytes, msgspec.Meta(min_length=33, max_length=33)]
Bitmap = Annotated[bytes, msgspec.Meta(min_length=1, max_length=32)]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is fixed before anybody joins. `length` counts ring elements of the masked vector."""

    opened: Opened
    domain: bytes
    registered: frozenset[bytes]
    ring: Ring
    length: int

    @property
    def sid(self) -> bytes:
        return self.opened.sid

    @property
    def initiator(self) -> bytes:
        return self.opened.initiator

    @property
    def vector_bytes(self) -> int:
        return self.length * self.ring.bits // 8


class RosterRefused(ValueError):
    """The initiator's roster breaks a rule; the sentence says which."""


def join_fault(plan: Plan, signed: Signed[JoinIntent]) -> str:
    """Why a join can be in no roster of this session; empty when it can.

    A key that somebody else uses too is legal: nobody can be kept out by copying keys, and a copied key is of no use
    to its copier, who knows no secret for it (every derived key names both ends).
    """
    join = signed.statement
    try:
        signer = signed.signer(plan.domain)
    except BadSignature:
        return "a join is signed by nobody"
    if signer not in plan.registered:
        return "a join is signed by nobody in the registry"
    if join.sid != plan.sid or join.round != plan.opened.round:
        return "a join belongs to another session"
    if join.channel_key == join.mask_key:
        return "a join has one key for its channel and its masks"
    if not (_is_key(join.channel_key) and _is_key(join.mask_key)):
        return "a key of a join is no X25519 key"
    return ""


@lru_cache(maxsize=4096)
def _is_key(public: bytes) -> bool:
    """Whether a secret can be agreed with this key; whose secret it is does not matter (low order fails for all)."""
    try:
        shared(bytes(31) + b"\x40", public)
    except BadKey:
        return False
    return True


@dataclass(frozen=True)
class Roster:
    """Who takes part: joins sorted by address. Built only through `assemble`, which checks every rule."""

    plan: Plan
    joins: tuple[Signed[JoinIntent], ...]
    members: tuple[bytes, ...]
    limits: Thresholds

    @classmethod
    def assemble(cls, plan: Plan, joins: tuple[Signed[JoinIntent], ...]) -> Roster:
        """Check the size rule, signatures, registration, keys and order; RosterRefused otherwise."""
        try:
            limits = thresholds(len(plan.registered), len(joins))  # first, so that nothing is paid for a giant list
        except InputError as error:
            raise RosterRefused(str(error)) from error
        fault = next((fault for join in joins if (fault := join_fault(plan, join))), "")
        if fault:
            raise RosterRefused(fault)
        members = tuple(join.signer(plan.domain) for join in joins)
        if list(members) != sorted(set(members)):
            raise RosterRefused("the joins are not sorted by distinct signers")
        return cls(plan, joins, members, limits)

    @cached_property
    def digest(self) -> bytes:
        """Binds every key and every version to the masks: peers who saw different rosters cannot cancel."""
        return tagged(
            "peerage/roster/v1",
            self.plan.sid,
            *(j.statement.digest(self.plan.domain) + j.signature for j in self.joins),
        )

    def join_of(self, address: bytes) -> JoinIntent:
        return self.joins[self.members.index(address)].statement

    def place(self, dealer: bytes, holder: bytes) -> int:
        """Where the holder's packet stands in a dealing: holders are all members but the dealer, in order."""
        return self.members.index(holder) - (holder > dealer)

    def bitmap(self, addresses: frozenset[bytes]) -> bytes:
        """Which members are meant, bit i for member i, little-endian."""
        bits = sum(1 << i for i, member in enumerate(self.members) if member in addresses)
        return bits.to_bytes((len(self.members) + 7) // 8, "little")

    def select(self, bitmap: bytes) -> tuple[bytes, ...]:
        """The members of a bitmap; RosterRefused when it does not fit the roster."""
        bits = int.from_bytes(bitmap, "little")
        if len(bitmap) != (len(self.members) + 7) // 8 or bits >> len(self.members):
            raise RosterRefused("a bitmap does not fit the roster")
        return tuple(member for i, member in enumerate(self.members) if bits >> i & 1)

    def u2_digest(self, bitmap: bytes) -> bytes:
        """The salt of every mask key: masks cancel only among peers who agree on roster and U2."""
        return tagged("peerage/u2/v1", self.digest, bitmap)

    def survivors_digest(self, bitmap: bytes, manifests: tuple[Signed[MaskedUpdate], ...]) -> bytes:
        """What a vote certifies: who is in, and exactly which masked vectors."""
        return tagged("peerage/u3/v1", self.digest, bitmap, *(m.statement.digest(self.plan.domain) for m in manifests))


# -- messages ----------------------------------------------------------------------------------------------------------


class RosterMessage(msgspec.Struct, frozen=True, tag="roster"):
    """Initiator to all: the joins that make the round."""

    sid: Bytes32
    joins: tuple[Signed[JoinIntent], ...]


class Packet(msgspec.Struct, frozen=True, array_like=True):
    """One dealer's sealed shares for one holder, and the commitments to the shares (self seed, mask key, rand)."""

    sealed: Sealed
    commitments: tuple[Bytes32, Bytes32, Bytes32]


class Dealt(msgspec.Struct, frozen=True, tag="dealt"):
    """Member to initiator: one packet for every other member in roster order."""

    sid: Bytes32
    signed: Signed[ShareKeys]
    packets: tuple[Packet, ...]


class Delivery(msgspec.Struct, frozen=True, array_like=True):
    """One packet on its way to its holder, with its dealer's word for it: a bad packet then names who made it bad."""

    packet: Packet
    signed: Signed[ShareKeys]
    proof: Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=5)]  # of the packet under the dealer's root


class Frozen(msgspec.Struct, frozen=True, tag="frozen"):
    """Initiator to one member: whose shares arrived (U2), and that member's packets from the others in U2, in order."""

    sid: Bytes32
    u2: Bitmap
    deliveries: tuple[Delivery, ...]


class Manifest(msgspec.Struct, frozen=True, tag="manifest"):
    """Member to all: my masked vector is ready and is exactly this."""

    sid: Bytes32
    signed: Signed[MaskedUpdate]


class Survivors(msgspec.Struct, frozen=True, tag="survivors"):
    """Initiator to all: whose vectors arrived (U3), with their manifests in roster order."""

    sid: Bytes32
    u3: Bitmap
    manifests: tuple[Signed[MaskedUpdate], ...]


class Ballot(msgspec.Struct, frozen=True, tag="ballot"):
    """Member to initiator: my one vote."""

    sid: Bytes32
    signed: Signed[Vote]


class Certificate(msgspec.Struct, frozen=True, tag="certificate"):
    """Initiator to all: at least T votes for one survivor set (QC)."""

    sid: Bytes32
    u3: Bitmap
    survivors: Bytes32
    votes: tuple[Signed[Vote], ...]


class RevealedShare(msgspec.Struct, frozen=True, array_like=True):
    """Shares of one member's secrets: of its self seed if it survived; of its mask key and rand if it dropped."""

    owner: Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
    self_seed: Share | None
    mask_key: Share | None
    rand: Share | None


class Revealed(msgspec.Struct, frozen=True, tag="revealed"):
    """Member to initiator: for each other member in U2 one kind of share, never both."""

    sid: Bytes32
    shares: tuple[RevealedShare, ...]


SessionMessage = RosterMessage | Dealt | Frozen | Manifest | Survivors | Ballot | Certificate | Revealed


class SessionTranscript(msgspec.Struct, frozen=True):
    """Everything that proves a sum, and nothing that proves more. Lists follow the roster's order.

    `self_seeds` are those of the survivors, `mask_secrets` and `rands` those of the peers in U2 that dropped.
    `sum_artefact` is the SHA-256 of the unmasked sum in ring elements, little-endian.
    """

    schema: int
    opened: Signed[Opened]
    joins: tuple[Signed[JoinIntent], ...]
    u2: Bitmap
    u3: Bitmap
    manifests: tuple[Signed[MaskedUpdate], ...]
    votes: tuple[Signed[Vote], ...]
    self_seeds: tuple[Bytes32, ...]
    mask_secrets: tuple[Bytes32, ...]
    rands: tuple[Bytes32, ...]
    sum_artefact: Bytes32


def share_commitment(sid: bytes, dealer: bytes, holder: bytes, kind: int, share: bytes) -> bytes:
    """A dealer's public word for one share, so that a wrong share names its liar."""
    return tagged("peerage/share/v1", sid, dealer, holder, bytes([kind]), share)


def packets_digest(packets: tuple[Packet, ...]) -> bytes:
    """What a dealer signs for all its packets: their Merkle root, in the order of their holders."""
    return merkle_root([_packet_bytes(p) for p in packets])


def _packet_bytes(packet: Packet) -> bytes:
    return packet.sealed + b"".join(packet.commitments)


def deliver(roster: Roster, dealt: Dealt, dealer: bytes, holder: bytes) -> Delivery:
    """One holder's packet of a dealing, with the proof that its dealer signed it."""
    at = roster.place(dealer, holder)
    proof = merkle_proof([_packet_bytes(p) for p in dealt.packets], at)
    return Delivery(dealt.packets[at], dealt.signed, proof)


def is_delivery(roster: Roster, delivery: Delivery, dealer: bytes, holder: bytes) -> bool:
    """Whether a dealer signed exactly this packet for this holder and this roster."""
    s, at, count = delivery.signed.statement, roster.place(dealer, holder), len(roster.members) - 1
    return (
        s.sid == roster.plan.sid
        and s.roster == roster.digest
        and merkle_verify(s.packets, _packet_bytes(delivery.packet), at, count, delivery.proof)
        and delivery.signed.is_by(dealer, roster.plan.domain)
    )


MANIFEST_FAULTS = {
    "manifest-signature": "a manifest is not signed by its owner for this session",
    "manifest-view": "a manifest speaks of another view of the round",
    "manifest-rand": "the randomness in a manifest is not what its owner committed to",
}


def manifest_fault(roster: Roster, u2_digest: bytes, owner: bytes, signed: Signed[MaskedUpdate]) -> str:
    """What is wrong with a manifest, as a key of MANIFEST_FAULTS; empty when it fits the session."""
    s, plan = signed.statement, roster.plan
    if s.sid != plan.sid or not signed.is_by(owner, plan.domain):
        return "manifest-signature"
    if s.u2 != u2_digest or s.length != plan.vector_bytes or s.bucket != 0:
        return "manifest-view"
    if seed_commitment(s.sid, owner, "rand", s.rand) != roster.join_of(owner).rand:
        return "manifest-rand"
    return ""
