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
from peerage_crypto.buckets import FLAT, Buckets, Grouping, tolerated
from peerage_crypto.digest import merkle_proof, merkle_root, merkle_verify, tagged
from peerage_crypto.errors import InputError
from peerage_crypto.identity import BadSignature
from peerage_crypto.sketch_messages import (
    Approval,
    Bitmap,
    Cleared,
    Screened,
    ScreeningRecord,
    Seeded,
    SeedShares,
    Share,
    Sketched,
)
from peerage_crypto.statements import (
    BucketSum,
    Bytes32,
    JoinIntent,
    MaskedUpdate,
    Opened,
    ShareKeys,
    Signed,
    Vote,
    seed_commitment,
)
from peerage_crypto.thresholds import Thresholds, degree, neighbours, thresholds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peerage_crypto.fixedpoint import Ring
    from peerage_crypto.sketch_terms import Sketching

UNDRAWN = bytes(32)
Sealed = Annotated[bytes, msgspec.Meta(min_length=115, max_length=115)]  # three 33-byte shares and the GCM tag


@dataclass(frozen=True, slots=True)
class Plan:
    """What is fixed before anybody joins. `length` counts ring elements of a masked vector, `draw` divides buckets."""

    opened: Opened
    domain: bytes
    registered: frozenset[bytes]
    ring: Ring
    length: int
    grouping: Grouping = FLAT
    sketches: Sketching | None = None  # None: nothing is projected, and no vote but the first
    draw: bytes = bytes(32)  # the seed of the parent's session
    crossfit: bool = False  # validation is private: numbers are opened along one direction for each half
    audited: bool = False  # random pairs show the key of their mask after their numbers
    halving: bytes = UNDRAWN  # the seed of the first round's session, which drew the halves; UNDRAWN in that round

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
        roster = cls(plan, joins, members, limits)
        if len(roster.buckets) < plan.grouping.least:
            raise RosterRefused(
                f"{len(members)} members make {len(roster.buckets)} buckets where the rule needs {plan.grouping.least}"
            )
        return roster

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

    @cached_property
    def buckets(self) -> Buckets:
        """Whose vectors are summed together."""
        return self.plan.grouping.split(self.members, self.plan.draw)

    @cached_property
    def _bucket_of(self) -> dict[bytes, int]:
        return {m: at for at, bucket in enumerate(self.buckets) for m in bucket}

    def bucket_of(self, member: bytes) -> int:
        return self._bucket_of[member]

    def leader_of(self, bucket: int) -> bytes | None:
        """Who gathers a bucket for the initiator; None: the initiator itself does."""
        leader = next((m for m in self.buckets[bucket] if m in self.plan.grouping.leaders), None)
        return None if self.plan.initiator in self.buckets[bucket] else leader

    @cached_property
    def _holders(self) -> dict[bytes, tuple[bytes, ...]]:
        return _graph(self.members, self.limits.degree)

    @cached_property
    def _partners(self) -> dict[bytes, tuple[bytes, ...]]:
        if len(self.buckets) == 1:
            return self._holders
        c = self.limits.colluders
        return {
            member: partners
            for bucket in self.buckets
            for member, partners in _graph(bucket, degree(len(bucket), tolerated(len(bucket)), c)).items()
        }

    def holders(self, dealer: bytes) -> tuple[bytes, ...]:
        """Who holds shares of a member's secrets, in roster order; whose shares it holds, too."""
        return self._holders[dealer]

    def partners(self, member: bytes) -> tuple[bytes, ...]:
        """With whom a member shares a mask, in roster order: with nobody outside its bucket."""
        return self._partners[member]

    def place(self, dealer: bytes, holder: bytes) -> int:
        """Where the holder's packet stands in a dealing; ValueError for a peer that holds none."""
        return self.holders(dealer).index(holder)

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


def _graph(members: tuple[bytes, ...], k: int) -> dict[bytes, tuple[bytes, ...]]:
    return {m: tuple(members[j] for j in neighbours(i, len(members), k)) for i, m in enumerate(members)}


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
    """Member to initiator: one packet for every holder of its shares, in roster order.

    `pairs` commits to the keys of all its masks (`pairs_digest`); the dealer signs it with its packets.
    """

    sid: Bytes32
    signed: Signed[ShareKeys]
    packets: tuple[Packet, ...]
    pairs: Bytes32


class Delivery(msgspec.Struct, frozen=True, array_like=True):
    """One packet on its way to its holder, with its dealer's word for it: a bad packet then names who made it bad."""

    packet: Packet
    signed: Signed[ShareKeys]
    proof: Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=8)]  # of the packet under the dealer's root


class Frozen(msgspec.Struct, frozen=True, tag="frozen"):
    """Initiator to one member: whose shares arrived (U2), and its packets from its neighbours in U2, in order."""

    sid: Bytes32
    u2: Bitmap
    deliveries: tuple[Delivery, ...]


class Manifest(msgspec.Struct, frozen=True, tag="manifest"):
    """Member to all: my masked vector is ready and is exactly this."""

    sid: Bytes32
    signed: Signed[MaskedUpdate]


class Gathered(msgspec.Struct, frozen=True, tag="gathered"):
    """Leader to initiator: the masked sum of my bucket."""

    sid: Bytes32
    signed: Signed[BucketSum]


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
    """Member to initiator: for each neighbour in U2 one kind of share, never both."""

    sid: Bytes32
    shares: tuple[RevealedShare, ...]


SketchMessage = SeedShares | Seeded | Sketched | Screened | Approval | Cleared
PlainMessage = RosterMessage | Dealt | Frozen | Manifest | Gathered | Survivors | Ballot | Certificate | Revealed
SessionMessage = PlainMessage | SketchMessage


class SessionTranscript(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that proves a sum, and nothing that proves more. Lists follow the roster's order.

    `self_seeds` are those of the survivors, `mask_secrets` and `rands` those of the peers in U2 that dropped.
    `sum_artefact` is the SHA-256 of the unmasked sums, one for each bucket with survivors, in ring elements,
    little-endian, one after the other. `gathered` are the words of leaders on whose sums it rests.
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
    screening: ScreeningRecord | None = None  # with sketches: `u3` and `manifests` are then of those who passed
    gathered: tuple[Signed[BucketSum], ...] = ()


def gathered_root(roster: Roster, manifests: Iterable[Signed[MaskedUpdate]]) -> bytes:
    """Which masked vectors a leader has added up: the root of its members' manifests, in roster order."""
    return merkle_root([signed.statement.digest(roster.plan.domain) for signed in manifests])


def share_commitment(sid: bytes, dealer: bytes, holder: bytes, kind: int, share: bytes) -> bytes:
    """A dealer's public word for one share, so that a wrong share names its liar."""
    return tagged("peerage/share/v1", sid, dealer, holder, bytes([kind]), share)


def pair_commitment(sid: bytes, a: bytes, b: bytes, root: bytes) -> bytes:
    """What either end of a pair says of the root of their mask's key."""
    return tagged("peerage/pair/v1", sid, min(a, b), max(a, b), root)


def pairs_digest(sid: bytes, owner: bytes, commitments: tuple[bytes, ...]) -> bytes:
    """A member's word for all its pairs: their commitments, in the order of its partners in the roster."""
    return tagged("peerage/pairs/v1", sid, owner, *commitments)


def packets_digest(packets: tuple[Packet, ...], pairs: bytes) -> bytes:
    """What a dealer signs: the Merkle root of its packets in the order of their holders, and of `pairs` behind them."""
    return merkle_root(packet_leaves(packets, pairs))


def packet_leaves(packets: tuple[Packet, ...], pairs: bytes) -> list[bytes]:
    """The leaves of that root."""
    return [*(_packet_bytes(p) for p in packets), pairs]


def _packet_bytes(packet: Packet) -> bytes:
    return packet.sealed + b"".join(packet.commitments)


def deliver(roster: Roster, dealt: Dealt, dealer: bytes, holder: bytes) -> Delivery:
    """One holder's packet of a dealing, with the proof that its dealer signed it."""
    at = roster.place(dealer, holder)
    proof = merkle_proof(packet_leaves(dealt.packets, dealt.pairs), at)
    return Delivery(dealt.packets[at], dealt.signed, proof)


def is_delivery(roster: Roster, delivery: Delivery, dealer: bytes, holder: bytes) -> bool:
    """Whether a dealer signed exactly this packet for this holder and this roster."""
    s, at, count = delivery.signed.statement, roster.place(dealer, holder), len(roster.holders(dealer)) + 1
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
    if s.u2 != u2_digest or s.length != plan.vector_bytes or s.bucket != roster.bucket_of(owner):
        return "manifest-view"
    if seed_commitment(s.sid, owner, "rand", s.rand) != roster.join_of(owner).rand:
        return "manifest-rand"
    return ""
