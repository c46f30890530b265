"""One peer's side of a secure-aggregation session: a state machine that does no I/O.

Feed it messages, carry out the effects it returns, in order. Its promises, whoever the initiator is:

- one roster, one U2, one vote, one answer per session; what is signed is journaled first;
- its vector leaves only masked for a roster and a U2 that satisfy the thresholds and that all members agree on
  (otherwise the masks do not cancel);
- it votes only for survivors among whom it stands itself, and who include every peer whose manifest it holds, unless
  it tried to fetch that peer's vector and failed;
- it reveals, per member and once, the share of the self seed *or* of the mask key, and only under a certificate of T
  votes. After that the shares are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from peerage_crypto.agreement import BadKey, BadSeal, SessionKeys, derive, seal, shared, unseal
from peerage_crypto.buckets import least_survivors, live, void_members
from peerage_crypto.digest import chunks, merkle_root, sha256, tagged
from peerage_crypto.identity import BadSignature
from peerage_crypto.masking import apply_masks
from peerage_crypto.session import (
    MANIFEST_FAULTS,
    Ballot,
    Certificate,
    Dealt,
    Frozen,
    Manifest,
    Packet,
    Plan,
    Revealed,
    RevealedShare,
    Roster,
    RosterMessage,
    RosterRefused,
    SessionMessage,
    Survivors,
    is_delivery,
    join_fault,
    manifest_fault,
    packets_digest,
    pair_commitment,
    pairs_digest,
    share_commitment,
)
from peerage_crypto.sharing import split
from peerage_crypto.sketch_messages import SeedShare
from peerage_crypto.sketch_terms import late_commitment
from peerage_crypto.statements import (
    Abstention,
    JoinIntent,
    MaskedUpdate,
    Screening,
    ShareKeys,
    Signed,
    Statement,
    Vote,
    seed_commitment,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAF_BYTES = 1024
SELF_SEED, MASK_KEY, RAND = range(3)  # the kinds of share in a packet, in its order


class Stage(Enum):
    """Where a member stands; the table in docs/round.md is this enum."""

    JOINED = "joined"
    DEALT = "dealt"
    MASKED = "masked"
    VOTED = "voted"
    CERTIFIED = "certified"
    SKETCHED = "sketched"
    SCREENED = "screened"
    REVEALED = "revealed"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Sign:
    """Effect: journal (fsync) that this slot of this session is taken by this statement, before it is sent."""

    statement: Statement


@dataclass(frozen=True, slots=True)
class Tell:
    """Effect: send to one member (the initiator, mostly)."""

    to: bytes
    message: SessionMessage


@dataclass(frozen=True, slots=True)
class TellAll:
    """Effect: send to every registered peer."""

    message: SessionMessage


@dataclass(frozen=True, slots=True)
class Keep:
    """Effect: store this artefact and serve it."""

    blob: bytes


@dataclass(frozen=True, slots=True)
class Probe:
    """Effect: try to fetch this masked vector from its owner; answer with `on_probe`."""

    owner: bytes
    artefact: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Effect: this member goes no further in the session; `culprit` is who broke the rule (None: nobody)."""

    culprit: bytes | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Accuse:
    """Effect: write down what this peer did (None: one of two, named in the sentence); the session goes on."""

    culprit: bytes | None
    sentence: str


Effect = Sign | Tell | TellAll | Keep | Probe | Accuse | Refuse
SignWith = Callable[[bytes], bytes]  # digest -> 65-byte signature


def session_keys(root: bytes) -> tuple[SessionKeys, SessionKeys, bytes, bytes]:
    """Channel keys, mask keys, self seed and late randomness of one session, from one 32-byte secret in memory only."""
    return (
        SessionKeys.from_secret(derive(root, b"", b"peerage/v1/channel")),
        SessionKeys.from_secret(derive(root, b"", b"peerage/v1/mask")),
        derive(root, b"", b"peerage/v1/self-seed"),
        derive(root, b"", b"peerage/v1/rand"),
    )


def pair_root(mine: SessionKeys | bytes, theirs: bytes, a: bytes, b: bytes) -> bytes:
    """The 32 bytes that the mask key of the pair (a, b) follows from, equal on both sides: what an audited pair shows.

    `mine` is a mask key pair or its secret.
    """
    secret = mine if isinstance(mine, bytes) else mine.secret
    return derive(shared(secret, theirs), b"", b"peerage/v1/pair-root" + min(a, b) + max(a, b))


def mask_key(root: bytes, u2_digest: bytes, a: bytes, b: bytes, bits: int) -> bytes:
    """The 32-byte mask key of the pair (a, b) from its root."""
    return derive(root, u2_digest, b"peerage/v1/pair" + min(a, b) + max(a, b) + bytes([bits]))


def pair_key(mine: SessionKeys | bytes, theirs: bytes, u2_digest: bytes, a: bytes, b: bytes, bits: int) -> bytes:
    """Both steps at once."""
    return mask_key(pair_root(mine, theirs, a, b), u2_digest, a, b, bits)


def gradient_root(mine: SessionKeys, theirs: bytes, u2_digest: bytes, a: bytes, b: bytes) -> bytes:
    """What masks of path gradients follow from: no pair that is audited shows anything of it."""
    return derive(shared(mine.secret, theirs), u2_digest, b"peerage/v1/gradient-root" + min(a, b) + max(a, b))


def self_key(self_seed: bytes, u2_digest: bytes, owner: bytes, bits: int) -> bytes:
    """The 32-byte key of a member's own mask."""
    return derive(self_seed, u2_digest, b"peerage/v1/self" + owner + bytes([bits]))


class Member:
    """State of one member; `vector` holds its ring elements (shape (plan.length,), the ring's dtype)."""

    def __init__(self, plan: Plan, me: bytes, sign: SignWith, root: bytes, vector: NDArray[np.unsignedinteger]) -> None:
        if vector.shape != (plan.length,) or vector.dtype != plan.ring.dtype:
            msg = f"the vector is {vector.dtype}{vector.shape}, the session wants {plan.ring.dtype}({plan.length},)"
            raise ValueError(msg)
        self.plan, self.me, self.stage = plan, me, Stage.JOINED
        self.channel, self.mask, self.self_seed, self.late = session_keys(root)
        # the manifest shows what follows from the late randomness, where something is drawn after it
        self.rand = late_commitment(self.late) if plan.sketches or plan.audited else self.late
        self.voted = False
        self.abstained = False
        self.certificate: Certificate | None = None
        self.roster: Roster | None = None
        self.u2: tuple[bytes, ...] = ()
        self.pair_roots: dict[bytes, bytes] = {}  # with each partner in the roster
        self.pair_keys: dict[bytes, bytes] = {}  # with each partner in U2; kept for the opening
        self.gradient_keys: dict[bytes, bytes] = {}  # the same, for path gradients
        self.dealt: Dealt | None = None  # what I dealt
        self.late_shares: tuple[SeedShare, ...] = ()  # of what stands behind the survivors' randomness
        self.sign, self._root, self._vector = sign, root, vector
        self._seen_joins: dict[bytes, Signed[JoinIntent]] = {}
        self._manifests: dict[bytes, Signed[MaskedUpdate]] = {}
        self._shares: dict[bytes, tuple[bytes, bytes, bytes]] = {}
        self._unreachable: set[bytes] = set()
        self._probing: set[bytes] = set()
        self._alive: set[bytes] = set()  # left out, and yet their vectors can be had
        self._waiting: Survivors | None = None
        self._opened_for: bytes | None = None
        self._answers: dict[SessionMessage, list[Effect]] = {}  # a repeated request gets the same bytes again

    # -- joining -------------------------------------------------------------------------------------------------------

    def join(self, *, version: int, update: bytes, data_manifest: bytes, code_manifest: bytes) -> Signed[JoinIntent]:
        """My JoinIntent; the caller has locked the version and journaled it already."""
        sid = self.plan.sid
        intent = JoinIntent(
            sid=sid,
            round=self.plan.opened.round,
            version=version,
            update=update,
            data_manifest=data_manifest,
            code_manifest=code_manifest,
            channel_key=self.channel.public,
            mask_key=self.mask.public,
            self_seed=seed_commitment(sid, self.me, "self-seed", self.self_seed),
            rand=seed_commitment(sid, self.me, "rand", self.rand),
        )
        return self._signed(intent)

    def on_join(self, signed: Signed[JoinIntent]) -> None:
        """A join that was gossiped to me before the roster: the roster must contain it."""
        if self.stage is Stage.JOINED and not join_fault(self.plan, signed):
            self._seen_joins.setdefault(signed.signer(self.plan.domain), signed)

    # -- shares --------------------------------------------------------------------------------------------------------

    def on_roster(self, message: RosterMessage) -> list[Effect]:
        """Accept one legal roster, and deal my three secrets to it."""
        if self.stage is not Stage.JOINED:
            return self._answers.get(message, [])
        try:
            roster = Roster.assemble(self.plan, message.joins)
        except RosterRefused as error:
            return self._refuse(self.plan.initiator, f"the roster is refused: {error}")
        if self.me not in roster.members:
            return self._refuse(None, "the roster closed without my join")
        missing = [a for a in self._seen_joins if a not in roster.members]
        if missing:
            return self._refuse(self.plan.initiator, f"the roster leaves out {len(missing)} join(s) that I saw")
        mine = roster.join_of(self.me)
        if (mine.mask_key, mine.channel_key) != (self.mask.public, self.channel.public):
            return self._refuse(self.plan.initiator, "the roster shows another join of mine")
        self.roster, self.stage = roster, Stage.DEALT
        packets, pairs = self._deal(roster), self._pairs(roster)
        statement = ShareKeys(self.plan.sid, roster.digest, packets_digest(packets, pairs))
        self.dealt = Dealt(self.plan.sid, self._signed(statement), packets, pairs)
        answer: list[Effect] = [Tell(self.plan.initiator, self.dealt)]
        self._answers[message] = answer
        return [Sign(statement), *answer]

    def _deal(self, roster: Roster) -> tuple[Packet, ...]:
        others = roster.holders(self.me)
        xs = [roster.members.index(m) + 1 for m in others]
        t = roster.limits.shares
        kinds = [
            split(secret, xs, t, derive(self._root, roster.digest, b"peerage/v1/polynomial" + bytes([kind])))
            for kind, secret in enumerate(self._secrets())
        ]
        packets: list[Packet] = []
        for holder, shares in zip(others, zip(*kinds, strict=True), strict=True):
            key = self._channel_key(roster, self.me, holder, roster.join_of(holder).channel_key)
            a, b, c = (share_commitment(self.plan.sid, self.me, holder, k, s) for k, s in enumerate(shares))
            packets.append(Packet(seal(key, bytes(12), b"".join(shares), self.plan.sid), (a, b, c)))
        return tuple(packets)

    def _pairs(self, roster: Roster) -> bytes:
        """My commitment to the keys of all my masks."""
        sid = self.plan.sid
        for other in roster.partners(self.me):
            self.pair_roots[other] = pair_root(self.mask, roster.join_of(other).mask_key, self.me, other)
        return pairs_digest(
            sid, self.me, tuple(pair_commitment(sid, self.me, o, r) for o, r in self.pair_roots.items())
        )

    def _secrets(self) -> tuple[bytes, bytes, bytes]:
        """What is dealt, in the order of the kinds."""
        return self.self_seed, self.mask.secret, self.late

    def _channel_key(self, roster: Roster, dealer: bytes, holder: bytes, their_public: bytes) -> bytes:
        info = b"peerage/v1/shares" + dealer + holder
        return derive(shared(self.channel.secret, their_public), roster.digest, info)

    # -- masking -------------------------------------------------------------------------------------------------------

    def on_frozen(self, message: Frozen) -> list[Effect]:
        """Check U2 and my packets; then mask, and publish the manifest to all."""
        if self.stage is not Stage.DEALT or self.roster is None:
            return self._answers.get(message, [])
        roster, initiator = self.roster, self.plan.initiator
        try:
            u2 = roster.select(message.u2)
        except RosterRefused as error:
            return self._refuse(initiator, f"U2 is refused: {error}")
        if self.me not in u2:
            return self._refuse(None, "my shares did not arrive in time")
        if len(u2) < len(roster.members) - roster.limits.losses:
            return self._refuse(
                initiator, f"U2 has {len(u2)} of {len(roster.members)} members: more lost than tolerated"
            )
        dealers = [m for m in roster.holders(self.me) if m in u2]
        if len(message.deliveries) != len(dealers):
            return self._refuse(initiator, "the initiator withheld share packets")
        for dealer, delivery in zip(dealers, message.deliveries, strict=True):
            if not is_delivery(roster, delivery, dealer, self.me):
                return self._refuse(initiator, "a share packet is not what its dealer signed for this roster")
            shares = self._unsealed(roster, dealer, delivery.packet)
            if shares is None:
                return self._refuse(dealer, "a share packet does not open or breaks its commitment")
            self._shares[dealer] = shares
        effects = self._mask(roster, u2, message.u2)
        self._answers[message] = effects[-1:]
        return effects

    def _unsealed(self, roster: Roster, dealer: bytes, packet: Packet) -> tuple[bytes, bytes, bytes] | None:
        try:
            key = self._channel_key(roster, dealer, self.me, roster.join_of(dealer).channel_key)
            plain = unseal(key, bytes(12), packet.sealed, self.plan.sid)
        except (BadSeal, BadKey):
            return None
        shares = (plain[:33], plain[33:66], plain[66:99])
        for kind, share in enumerate(shares):
            if share_commitment(self.plan.sid, dealer, self.me, kind, share) != packet.commitments[kind]:
                return None
        return shares

    def _mask(self, roster: Roster, u2: tuple[bytes, ...], bitmap: bytes) -> list[Effect]:
        u2_digest, bits = roster.u2_digest(bitmap), self.plan.ring.bits
        for other in roster.partners(self.me):
            if other in u2:
                theirs = roster.join_of(other).mask_key
                self.pair_keys[other] = mask_key(self.pair_roots[other], u2_digest, self.me, other, bits)
                if self.plan.crossfit:
                    self.gradient_keys[other] = gradient_root(self.mask, theirs, u2_digest, self.me, other)
        plus = [self_key(self.self_seed, u2_digest, self.me, bits)]
        plus += [key for other, key in self.pair_keys.items() if other > self.me]
        minus = [key for other, key in self.pair_keys.items() if other < self.me]
        masked = apply_masks(self._vector, plus, minus, self.plan.ring)
        blob = masked.astype(masked.dtype.newbyteorder("<"), copy=False).tobytes()
        self.u2, self.stage = u2, Stage.MASKED
        statement = MaskedUpdate(
            sid=self.plan.sid,
            u2=u2_digest,
            bucket=roster.bucket_of(self.me),
            masked_root=merkle_root(chunks(blob, LEAF_BYTES)),
            artefact=sha256(blob),
            length=len(blob),
            rand=self.rand,
        )
        signed = self._signed(statement)
        self._manifests[self.me] = signed
        return [Sign(statement), Keep(blob), TellAll(Manifest(self.plan.sid, signed))]

    @property
    def manifests(self) -> Mapping[bytes, Signed[MaskedUpdate]]:
        """The manifests that I have heard, by owner."""
        return self._manifests

    # -- voting --------------------------------------------------------------------------------------------------------

    def on_manifest(self, signed: Signed[MaskedUpdate]) -> None:
        """Somebody's masked vector exists: I will not vote it away unheard. U2 is compared when the vote comes."""
        roster = self.roster
        if roster is None or self.stage not in (Stage.DEALT, Stage.MASKED):
            return
        try:
            signer = signed.signer(self.plan.domain)
        except BadSignature:
            return
        if signer in roster.members and not manifest_fault(roster, signed.statement.u2, signer, signed):
            self._manifests.setdefault(signer, signed)

    def on_survivors(self, message: Survivors) -> list[Effect]:
        """Check the survivor set; probe who is left out; vote once."""
        roster = self.roster
        if self.stage is not Stage.MASKED or roster is None or self._waiting is not None or self.abstained:
            return self._answers.get(message, [])
        try:
            u3 = roster.select(message.u3)
        except RosterRefused as error:
            return self._refuse(self.plan.initiator, f"the survivor set is refused: {error}")
        if self.me not in u3:
            return self._refuse(None, "the survivor set leaves me out: my vector came too late, or was left out")
        fault = self._survivors_fault(roster, u3, message)
        if fault:
            return self._refuse(self.plan.initiator, fault)
        view = self._manifests[self.me].statement.u2
        left_out = {a for a, s in self._manifests.items() if s.statement.u2 == view and a not in u3}
        self._waiting, self._probing, self._alive = message, left_out - self._unreachable, set()
        if self._probing:
            return [
                Probe(a, self._manifests[a].statement.artefact, self._manifests[a].statement.length)
                for a in sorted(self._probing)
            ]
        return self._vote(roster, message)

    def is_vector_of(self, owner: bytes, blob: bytes) -> bool:
        """Whether these bytes are what the owner's manifest names, in both ways: the collector takes nothing else."""
        signed = self._manifests.get(owner)
        if signed is None or sha256(blob) != signed.statement.artefact:
            return False
        return merkle_root(chunks(blob, LEAF_BYTES)) == signed.statement.masked_root

    def on_probe(self, owner: bytes, *, alive: bool) -> list[Effect]:
        """The outcome of a Probe: a vector that can be had must not be voted away."""
        if self.abstained or self.stage is not Stage.MASKED or self.roster is None:
            return []
        if self._waiting is None or owner not in self._probing:
            return []
        self._probing.discard(owner)
        (self._alive if alive else self._unreachable).add(owner)
        if alive and self._is_wronged(self.roster, owner, self._waiting):
            return self._refuse(self.plan.initiator, "the initiator left out a peer whose vector can be had")
        return [] if self._probing else self._vote(self.roster, self._waiting)

    def _is_wronged(self, roster: Roster, owner: bytes, message: Survivors) -> bool:
        """Whether a peer whose vector can be had should be in: it may share the fate of a void bucket."""
        bucket = roster.buckets[roster.bucket_of(owner)]
        void = len(roster.buckets) > 1 and not set(bucket) & set(roster.select(message.u3))
        return not void or len(self._alive & set(bucket)) >= least_survivors(len(bucket))

    def _survivors_fault(self, roster: Roster, u3: tuple[bytes, ...], message: Survivors) -> str:
        if not set(u3) <= set(self.u2) or len(u3) < len(roster.members) - roster.limits.losses:
            return f"the survivor set has {len(u3)} of {len(roster.members)} members: more lost than tolerated"
        if void_members(roster.buckets, u3):
            return "the survivor set keeps a bucket that has lost too many"
        if live(roster.buckets, u3) < self.plan.grouping.least:
            return "the survivor set has too few buckets for the rule"
        if len(message.manifests) != len(u3):
            return "the survivor set does not come with its manifests"
        view = self._manifests[self.me].statement.u2
        faults = (manifest_fault(roster, view, a, s) for a, s in zip(u3, message.manifests, strict=True))
        return next((f"the survivor set does not hold: {MANIFEST_FAULTS[fault]}" for fault in faults if fault), "")

    def _vote(self, roster: Roster, message: Survivors) -> list[Effect]:
        statement = Vote(self.plan.sid, roster.survivors_digest(message.u3, message.manifests))
        self.voted, self.stage = True, Stage.VOTED
        answer: list[Effect] = [Tell(self.plan.initiator, Ballot(self.plan.sid, self._signed(statement)))]
        self._answers[message] = answer
        return [Sign(statement), *answer]

    def abstain(self) -> list[Effect] | Signed[Abstention]:
        """Sign that I have not voted and never will; an empty list when I have."""
        if self.voted:
            return []
        self.abstained = True
        return self._signed(Abstention(self.plan.sid, self.plan.opened.round))

    # -- unmasking -----------------------------------------------------------------------------------------------------

    def on_certificate(self, message: Certificate) -> list[Effect]:
        """Under a certificate of T votes: reveal one kind of share per member, once; then forget the shares."""
        roster = self.roster
        if roster is None or self.stage is not Stage.VOTED or self._waiting is None:
            # Who did not vote cannot know which bitmap the votes certify, and T voters suffice to unmask.
            return self._answers.get(message, [])
        voted_for = roster.survivors_digest(self._waiting.u3, self._waiting.manifests)
        if message.u3 != self._waiting.u3 or message.survivors != voted_for:
            return self._refuse(self.plan.initiator, "the certificate names other survivors than the vote")
        if not is_certificate(roster, message.survivors, message.votes):
            return self._refuse(self.plan.initiator, "the certificate has too few valid votes")
        return self._on_quorum(roster, message)

    def _on_quorum(self, roster: Roster, message: Certificate) -> list[Effect]:
        self.certificate = message
        return self._reveal(roster.select(message.u3), message)

    def _reveal(self, u3: tuple[bytes, ...], message: SessionMessage) -> list[Effect]:
        self.stage = Stage.REVEALED
        shares = tuple(
            RevealedShare(owner, s[SELF_SEED], None, None)
            if owner in u3
            else RevealedShare(owner, None, s[MASK_KEY], s[RAND])
            for owner, s in sorted(self._shares.items())
        )
        if self.plan.audited:
            self.late_shares = tuple(SeedShare(o, s[RAND]) for o, s in sorted(self._shares.items()) if o in u3)
        self._shares.clear()
        answer: list[Effect] = [Tell(self.plan.initiator, Revealed(self.plan.sid, shares))]
        self._answers[message] = answer
        return answer

    # -- opening -------------------------------------------------------------------------------------------------------

    def may_open(self, direction: bytes, *, is_mine: bool) -> str:
        """Why I do not open for this direction (its artefact id); empty when I do, which I do once per session.

        `is_mine` says that my own direction, computed from the public path, agrees (cosine at least 0.99).
        """
        if self.certificate is None:
            return "no certificate of a quorum shows who survived"
        if not is_mine:
            return "the direction is not the one that the public path gives"
        if self._opened_for not in (None, direction):
            return "this session was opened for another direction already"
        self._opened_for = direction
        return ""

    # -- helpers of all stages -----------------------------------------------------------------------------------------

    def _signed(self, statement: Statement) -> Signed:  # type: ignore[type-arg]
        return Signed(statement, self.sign(statement.digest(self.plan.domain)))

    def _refuse(self, culprit: bytes | None, sentence: str) -> list[Effect]:
        self.stage = Stage.LEFT
        self._shares.clear()
        return [Refuse(culprit, sentence)]


def is_certificate(
    roster: Roster, survivors: bytes, votes: tuple[Signed[Vote], ...] | tuple[Signed[Screening], ...]
) -> bool:
    """Whether at least T distinct members of the roster voted for exactly these survivors."""
    domain, sid = roster.plan.domain, roster.plan.sid
    voters: set[bytes] = set()
    if len(votes) > len(roster.members):
        return False
    for vote in votes:
        if vote.statement.sid != sid or vote.statement.survivors != survivors:
            return False
        try:
            voters.add(vote.signer(domain))
        except BadSignature:
            return False
    return voters <= set(roster.members) and roster.limits.quorum <= len(voters) == len(votes)


def update_commitment(salt: bytes, vector: NDArray[np.unsignedinteger]) -> bytes:
    """The name of a version's update in its JoinIntent; the salt keeps it from being guessed."""
    return tagged("peerage/update/v1", salt, vector.astype(vector.dtype.newbyteorder("<"), copy=False).tobytes())
