"""The initiator's side of a session: it collects, and is believed in nothing.

Like the member it does no I/O. It waits for what is expected of the peers that are still there; `on_down` and
`on_deadline` shrink what is expected. Beyond the tolerated losses it gives the round up (`Abandon`): nobody's training
is lost. Garbage from a peer is that peer's fault (`Blame`) and counts as its absence.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from peerage_crypto.agreement import SessionKeys
from peerage_crypto.buckets import live, void_members
from peerage_crypto.digest import sha256
from peerage_crypto.secagg_gathering import Fetch, Gathering
from peerage_crypto.secagg_member import MASK_KEY, RAND, SELF_SEED, TellAll
from peerage_crypto.secagg_member import Tell as TellOne
from peerage_crypto.secagg_sum import ring_bytes, unmask
from peerage_crypto.session import (
    MANIFEST_FAULTS,
    Ballot,
    Certificate,
    Dealt,
    Frozen,
    Gathered,
    Plan,
    Revealed,
    RevealedShare,
    Roster,
    RosterMessage,
    SessionTranscript,
    Survivors,
    deliver,
    join_fault,
    manifest_fault,
    packets_digest,
    share_commitment,
)
from peerage_crypto.sharing import combine
from peerage_crypto.sketch_terms import late_commitment
from peerage_crypto.statements import JoinIntent, MaskedUpdate, Opened, Signed, Vote, seed_commitment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peerage_crypto.secagg_sum import Words


class Step(Enum):
    """What the collector waits for; each has its deadline."""

    JOINS = "joins"
    SHARES = "shares"
    VECTORS = "vectors"
    VOTES = "votes"
    SEEDS = "seeds"
    SKETCHES = "sketches"
    SCREENINGS = "screenings"
    REVEALS = "reveals"
    DONE = "done"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Blame:
    """Effect: record that this peer sent what it must not."""

    culprit: bytes
    sentence: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """Effect: the round cannot complete; tell everybody and try again later."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Summed:
    """Effect: the sum is known and proven by its transcript."""

    total: Words
    transcript: SessionTranscript


Effect = TellOne | TellAll | Fetch | Blame | Abandon | Summed


class Collector:
    """State of the initiator; it is usually a member too, and then talks to itself like to any other."""

    def __init__(
        self,
        plan: Plan,
        opened: Signed[Opened],
        expected: frozenset[bytes],
        false_leaders: frozenset[bytes] = frozenset(),
    ) -> None:
        self.plan, self.step = plan, Step.JOINS
        self.roster: Roster | None = None
        self.u2: tuple[bytes, ...] = ()
        self.u3: tuple[bytes, ...] = ()
        self.opened = opened
        self._asked: list[TellOne | TellAll] = []  # what the current step waits for an answer to
        self._expected = set(expected)  # who may still deliver in this step
        self._gone: set[bytes] = set()  # nothing more is expected of these, whatever they still send counts
        self.gathering = Gathering(false_leaders, self._gone)
        self._joins: dict[bytes, Signed[JoinIntent]] = {}
        self._dealt: dict[bytes, Dealt] = {}
        self._votes: dict[bytes, Signed[Vote]] = {}
        self._revealed: dict[bytes, dict[bytes, RevealedShare]] = {}
        self._survivors = b""
        self._bitmaps: tuple[bytes, bytes] = (b"", b"")

    @property
    def vectors(self) -> dict[bytes, Words]:
        """The masked vectors that are here by themselves."""
        return self.gathering.vectors

    @property
    def _manifests(self) -> dict[bytes, Signed[MaskedUpdate]]:
        return self.gathering.manifests

    # -- events --------------------------------------------------------------------------------------------------------

    def on_join(self, signed: Signed[JoinIntent]) -> list[Effect]:
        """A fresh peer joins; the roster closes when all expected have. A join that fits no roster counts as none."""
        if self.step is not Step.JOINS or join_fault(self.plan, signed):
            return []
        self._joins.setdefault(signed.signer(self.plan.domain), signed)
        return self._advance()

    def on_dealt(self, sender: bytes, message: Dealt) -> list[Effect]:
        """A member's sealed shares."""
        roster = self.roster
        if self.step is not Step.SHARES or roster is None or sender not in roster.members:
            return []
        signed = message.signed
        right = (
            signed.is_by(sender, self.plan.domain)
            and signed.statement.sid == self.plan.sid
            and signed.statement.roster == roster.digest
            and signed.statement.packets == packets_digest(message.packets, message.pairs)
            and len(message.packets) == len(roster.holders(sender))
        )
        if not right:
            return [*self._fault(sender, "its share packets are not what it signed for this roster"), *self._advance()]
        self._dealt[sender] = message
        return self._advance()

    @property
    def dealings(self) -> Mapping[bytes, Dealt]:
        """What was dealt, by dealer."""
        return self._dealt

    def on_manifest(self, sender: bytes, signed: Signed[MaskedUpdate]) -> list[Effect]:
        """A masked vector is ready at its owner: fetch it."""
        if self.step is not Step.VECTORS or self.roster is None or sender not in self.u2 or sender in self._manifests:
            return []
        fault = manifest_fault(self.roster, self.roster.u2_digest(self._bitmaps[0]), sender, signed)
        if fault:
            return [*self._fault(sender, MANIFEST_FAULTS[fault]), *self._advance()]
        return list(self.gathering.manifest(sender, signed))

    def on_gathered(self, sender: bytes, message: Gathered) -> list[Effect]:
        """A leader has the masked sum of its bucket; the vectors that it lacks are fetched from their owners."""
        if self.step is not Step.VECTORS or not self.gathering.expects_word(sender):
            return []
        fetches = self.gathering.word(sender, message.signed)
        if fetches is None:
            blame = self._fault(sender, "its sum is not signed by it for members of its bucket in this session")
            return [*blame, *self.gathering.lost(sender), *self._advance()]
        return list(fetches)

    def on_vector(self, owner: bytes, blob: bytes) -> list[Effect]:
        """A whole masked vector arrived; its bytes must be those of the manifest."""
        if self.step is not Step.VECTORS or owner not in self._manifests:
            return []
        if not self.gathering.vector(owner, blob):
            return [*self._fault(owner, "its masked vector is not the one of its manifest"), *self._advance()]
        return self._advance()

    def on_lost_vector(self, owner: bytes) -> list[Effect]:
        """The vector (or the sum of a leader) cannot be had: its owner counts as dropped."""
        return self.on_down(owner) if self.step is Step.VECTORS else []

    def on_ballot(self, sender: bytes, message: Ballot) -> list[Effect]:
        """One vote; T of them certify the survivors."""
        roster = self.roster
        if self.step is not Step.VOTES or roster is None or sender not in roster.members:
            return []
        signed = message.signed
        right = signed.is_by(sender, self.plan.domain) and signed.statement.sid == self.plan.sid
        if not right or signed.statement.survivors != self._survivors:
            return [*self._fault(sender, "its vote is for something else"), *self._advance()]
        self._votes[sender] = signed
        return self._advance()

    def on_revealed(self, sender: bytes, message: Revealed) -> list[Effect]:
        """A member's shares; each is checked against its dealer's commitment, so a wrong one names its liar."""
        roster = self.roster
        if self.step is not Step.REVEALS or roster is None or sender not in self._votes:
            return []
        good = [share for share in message.shares if self._is_committed(roster, sender, share)]
        for share in good:
            self._revealed.setdefault(share.owner, {})[sender] = share
        self._expected.discard(sender)
        effects: list[Effect] = []
        if len(good) < len(message.shares):
            effects = self._fault(sender, "a share that it revealed is not the one it was dealt")
        elif {share.owner for share in good} != set(self.u2) & set(roster.holders(sender)):
            effects = self._fault(sender, "it did not reveal its shares of all its neighbours in U2")
        return [*effects, *self._advance()]

    def on_refusal(self, sender: bytes) -> list[Effect]:
        """A member goes no further: like a peer that is gone."""
        return self.on_down(sender)

    def on_down(self, peer: bytes) -> list[Effect]:
        """A peer is gone: nothing more is expected of it in this session."""
        self._gone.add(peer)
        self._expected.discard(peer)
        alone = self.gathering.lost(peer) if self.step is Step.VECTORS else []
        return [*alone, *self._advance()]

    def on_deadline(self, step: Step) -> list[Effect]:
        """The deadline of a step: go on with those who delivered. A deadline of an earlier step means nothing."""
        if step is not self.step:
            return []
        self._expected.clear()
        return self._advance()

    def expects(self, peer: bytes) -> bool:
        """Whether this peer may still deliver in the current step."""
        return peer in self._expected

    def remind(self) -> list[Effect]:
        """Say the current step's message again to those who have not answered; they repeat the same bytes.

        A bucket whose leader has not handed its sum over by now is gathered here.
        """
        alone = self.gathering.late() if self.step is Step.VECTORS else []
        missing = self._expected - self._delivered()
        again: list[Effect] = [
            TellOne(effect.to, effect.message) if isinstance(effect, TellOne) else TellOne(peer, effect.message)
            for effect in self._asked
            for peer in sorted(missing)
            if isinstance(effect, TellAll) or effect.to == peer
        ]
        return [*alone, *again]

    def _delivered(self) -> set[bytes]:
        return {
            Step.SHARES: set(self._dealt),
            Step.VECTORS: set(self._manifests),
            Step.VOTES: set(self._votes),
        }.get(self.step, set())

    def _ask(self, effects: list[TellOne | TellAll]) -> list[Effect]:
        self._asked = effects
        return list(effects)

    # -- progress ------------------------------------------------------------------------------------------------------

    def _advance(self) -> list[Effect]:
        match self.step:
            case Step.JOINS:
                return self._close_roster() if self._expected <= self._joins.keys() else []
            case Step.SHARES:
                return self._freeze() if self._expected <= self._dealt.keys() else []
            case Step.VECTORS:
                return self._call_vote() if self._expected <= self.gathering.arrived() else []
            case Step.VOTES:
                return self._certify() if self._expected <= self._votes.keys() else []
            case Step.REVEALS:
                return self._unmask() if not self._expected else []
            case _:
                return []

    def _close_roster(self) -> list[Effect]:
        joins = tuple(self._joins[a] for a in sorted(self._joins))
        try:
            self.roster = Roster.assemble(self.plan, joins)
        except ValueError as error:
            return self._abandon(str(error))
        self._next(Step.SHARES, self.roster.members)
        return self._ask([TellAll(RosterMessage(self.plan.sid, joins))])

    def _freeze(self) -> list[Effect]:
        roster = self._roster()
        self.u2 = tuple(m for m in roster.members if m in self._dealt)
        if len(self.u2) < len(roster.members) - roster.limits.losses:
            return self._abandon(f"only {len(self.u2)} of {len(roster.members)} members dealt their shares")
        bitmap = roster.bitmap(frozenset(self.u2))
        self.gathering.begin(roster, self.u2)
        self._bitmaps = (bitmap, b"")
        self._next(Step.VECTORS, self.u2)
        frozen: list[TellOne | TellAll] = []
        for holder in self.u2:
            deliveries = tuple(
                deliver(roster, self._dealt[dealer], dealer, holder)
                for dealer in roster.holders(holder)
                if dealer in self._dealt
            )
            frozen.append(TellOne(holder, Frozen(self.plan.sid, bitmap, deliveries)))
        return self._ask(frozen)

    def _call_vote(self) -> list[Effect]:
        roster = self._roster()
        arrived = self.gathering.arrived()
        void = void_members(roster.buckets, arrived)
        self.u3 = tuple(m for m in self.u2 if m in arrived and m not in void)
        if len(self.u3) < len(roster.members) - roster.limits.losses:
            return self._abandon(f"only {len(self.u3)} of {len(roster.members)} masked vectors arrived")
        if live(roster.buckets, self.u3) < self.plan.grouping.least:
            return self._abandon("too few buckets kept enough of their members for the rule")
        bitmap = roster.bitmap(frozenset(self.u3))
        manifests = tuple(self._manifests[m] for m in self.u3)
        self._bitmaps = (self._bitmaps[0], bitmap)
        self._survivors = roster.survivors_digest(bitmap, manifests)
        self._next(Step.VOTES, self.u3)
        return self._ask([TellAll(Survivors(self.plan.sid, bitmap, manifests))])

    def _certify(self) -> list[Effect]:
        roster = self._roster()
        if len(self._votes) < roster.limits.quorum:
            return self._abandon(f"only {len(self._votes)} of the {roster.limits.quorum} votes that a quorum needs")
        votes = tuple(self._votes[a] for a in sorted(self._votes))
        self._next(Step.REVEALS, tuple(sorted(self._votes)))
        return self._ask([TellAll(Certificate(self.plan.sid, self._bitmaps[1], self._survivors, votes))])

    def _unmask(self) -> list[Effect]:
        roster = self._roster()
        dropped = tuple(m for m in self.u2 if m not in self.u3)
        try:
            seeds = tuple(self._reconstruct(roster, owner, SELF_SEED) for owner in self.u3)
            secrets = tuple(self._reconstruct(roster, owner, MASK_KEY) for owner in dropped)
            rands = tuple(self._reconstruct(roster, owner, RAND) for owner in dropped)
        except CannotOpen as error:
            blame = self._fault(error.culprit, str(error)) if error.culprit else []
            return [*blame, *self._abandon(str(error))]
        masked = self.gathering.masked(self.u3)
        total = unmask(roster, self.u2, self._bitmaps[0], self.u3, masked, seeds, secrets)
        self.step = Step.DONE
        transcript = SessionTranscript(
            schema=1,
            opened=self.opened,
            joins=roster.joins,
            u2=self._bitmaps[0],
            u3=self._bitmaps[1],
            manifests=tuple(self._manifests[m] for m in self.u3),
            votes=tuple(self._votes[a] for a in sorted(self._votes)),
            self_seeds=seeds,
            mask_secrets=secrets,
            rands=rands,
            sum_artefact=sha256(ring_bytes(total)),
            gathered=self.gathering.words(),
        )
        return [Summed(total, transcript)]

    def _reconstruct(self, roster: Roster, owner: bytes, kind: int) -> bytes:
        held = self._revealed.get(owner, {})
        points = {roster.members.index(h) + 1: _share_of(s, kind) for h, s in sorted(held.items())}
        given = {x: share for x, share in points.items() if share is not None}
        t = roster.limits.shares
        if len(given) < t:
            raise CannotOpen(None, f"only {len(given)} of {t} shares of one peer's secret were revealed")
        try:
            secret = combine(dict(list(given.items())[:t]))
        except ValueError as error:
            raise CannotOpen(owner, "the shares that it dealt do not combine") from error
        if not opens_commitment(roster, owner, kind, secret):
            raise CannotOpen(owner, "the shares that it dealt combine to a secret that it did not commit to")
        return secret

    def _is_committed(self, roster: Roster, holder: bytes, share: RevealedShare) -> bool:
        if share.owner not in self.u2 or share.owner not in roster.holders(holder):
            return False
        promised = self._dealt[share.owner].packets[roster.place(share.owner, holder)].commitments
        kinds = (SELF_SEED,) if share.owner in self.u3 else (MASK_KEY, RAND)
        for kind in (SELF_SEED, MASK_KEY, RAND):
            value = _share_of(share, kind)
            if (value is not None) != (kind in kinds):
                return False
            if (
                value is not None
                and share_commitment(self.plan.sid, share.owner, holder, kind, value) != promised[kind]
            ):
                return False
        return True

    def _roster(self) -> Roster:
        if self.roster is None:
            raise AssertionError("no roster yet")
        return self.roster

    def _next(self, step: Step, expected: tuple[bytes, ...]) -> None:
        self.step, self._expected = step, set(expected) - self._gone

    def _fault(self, culprit: bytes, sentence: str) -> list[Effect]:
        self._gone.add(culprit)
        self._expected.discard(culprit)
        return [Blame(culprit, sentence)]

    def _abandon(self, sentence: str) -> list[Effect]:
        self.step = Step.ABANDONED
        return [Abandon(sentence)]


class CannotOpen(ValueError):
    """Too few or wrong shares: the round is lost, nobody's training is. `culprit` dealt them wrong (None: too few)."""

    def __init__(self, culprit: bytes | None, sentence: str) -> None:
        super().__init__(sentence)
        self.culprit = culprit


def _share_of(share: RevealedShare, kind: int) -> bytes | None:
    return (share.self_seed, share.mask_key, share.rand)[kind]


def opens_commitment(roster: Roster, owner: bytes, kind: int, secret: bytes) -> bool:
    """Whether a reconstructed secret is the one its owner committed to in its join."""
    join, sid = roster.join_of(owner), roster.plan.sid
    if kind == MASK_KEY:
        return SessionKeys.from_secret(secret).public == join.mask_key
    if kind == SELF_SEED:
        return seed_commitment(sid, owner, "self-seed", secret) == join.self_seed
    rand = late_commitment(secret) if roster.plan.sketches or roster.plan.audited else secret
    return seed_commitment(sid, owner, "rand", rand) == join.rand
