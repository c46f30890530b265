"""One secure-aggregation session as this peer lives it: its member, its collector if it is the initiator, its timers.

Translates between the session's machines (crypto) and the peer's effects; what the initiator says to all it also says
to its own member.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING

from peerage.effects import Broadcast, Effect, FetchArtefact, Journal, Report, Send, SetTimer, Store
from peerage.messages import Abandoned, Open, Refusal
from peerage.privacy.caution import Caution
from peerage_crypto import secagg_collector as sc
from peerage_crypto import secagg_leader as sl
from peerage_crypto import secagg_member as sm
from peerage_crypto.secagg_gathering import Fetch
from peerage_crypto.secagg_leader import Leader
from peerage_crypto.session import (
    Ballot,
    Certificate,
    Dealt,
    Frozen,
    Gathered,
    Manifest,
    Revealed,
    RosterMessage,
    SessionMessage,
    Survivors,
)
from peerage_crypto.sketch_collector import SketchingCollector
from peerage_crypto.sketch_member import SketchingMember
from peerage_crypto.sketch_messages import Approval, Cleared, Screened, Seeded, SeedShares, Sketched

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peerage_crypto.session import Plan

STEP_TIMER, REMIND_TIMER, LEAD_TIMER = "step", "remind", "lead"
FETCH_ATTEMPTS = 4


class SessionRun:
    """`summed` is set when the sum is known (initiator), `over` when the session ended here without one."""

    def __init__(
        self,
        plan: Plan,
        me: bytes,
        member: sm.Member | None,
        collector: sc.Collector | None,
        step_seconds: float,
        caution: Caution = Caution(),  # noqa: B008 - a frozen value
    ) -> None:
        self.caution = caution
        self.asked_for: tuple[tuple[bytes, ...], tuple[bytes, ...]] | None = None  # roster, survivors to vote for
        self.plan, self.me, self.member, self.collector = plan, me, member, collector
        self.summed: sc.Summed | None = None
        self.over = ""
        self.broken_by: bytes | None = None  # the initiator, once my member refused a step of its for its fault
        self._stage = member.stage if member else None
        self._step_seconds = step_seconds
        self._timer_for: sc.Step | None = None
        # artefact -> owners (two, when one copies the other's manifest), for the collector
        self._fetching: defaultdict[bytes, set[bytes]] = defaultdict(set)
        self._probing: defaultdict[bytes, set[bytes]] = defaultdict(set)  # the same, for the member
        self.leader: Leader | None = None  # when I gather my bucket for the initiator
        self._leading: defaultdict[bytes, set[bytes]] = defaultdict(set)  # artefact -> owners, for the leader
        self._local: deque[SessionMessage] = deque()
        self._retries: Counter[bytes] = Counter()

    @property
    def sid(self) -> bytes:
        return self.plan.sid

    def advanced(self) -> bool:
        """Whether my member took a step since the last call: then the session is alive."""
        stage = self.member.stage if self.member else None
        before, self._stage = self._stage, stage
        return stage is not before

    def receive(self, sender: bytes, message: SessionMessage) -> list[Effect]:
        """A session message from a peer (or from myself)."""
        effects: list[Effect] = []
        self._dispatch(effects, sender, message)
        return self._drain(effects)

    def joins(self, effects_of_collector: list[sc.Effect]) -> list[Effect]:
        """Effects of a collector event that the engine fed directly (joins, refusals, deadlines, losses)."""
        effects: list[Effect] = []
        self._collector_effects(effects, effects_of_collector)
        return self._drain(effects)

    def down(self, peer: bytes) -> list[Effect]:
        """A peer is gone."""
        effects = self.joins(self.collector.on_down(peer)) if self.collector else []
        return [*effects, *self._led(self.leader.on_down(peer))] if self.leader else effects

    def lead_deadline(self) -> list[Effect]:
        """As my bucket's leader I hand over what is here."""
        return self._led(self.leader.on_deadline()) if self.leader else []

    def deadline(self, step_name: str) -> list[Effect]:
        """A step's deadline."""
        return self.joins(self.collector.on_deadline(sc.Step(step_name))) if self.collector else []

    def remind(self, step_name: str) -> list[Effect]:
        """A third of a step's time is over: ask the silent again, in case a message was lost."""
        if not self.collector or self.collector.step is not sc.Step(step_name):
            return []
        if self.collector.step is sc.Step.JOINS:
            return [Broadcast(Open(self.collector.opened))]
        return self.joins(self.collector.remind())

    def fetched(self, artefact: bytes, blob: bytes) -> list[Effect]:
        """A masked vector arrived, for the collector, or for the member that probed it."""
        effects: list[Effect] = []
        if self.member:
            for owner in sorted(self._probing.pop(artefact, ())):
                self._probed(effects, self.member, owner, blob)
        if self.leader:
            for owner in sorted(self._leading.pop(artefact, ())):
                effects += self._led(self.leader.on_vector(owner, blob))
        if self.collector:
            for owner in sorted(self._fetching.pop(artefact, ())):
                self._collector_effects(effects, self.collector.on_vector(owner, blob))
        return self._drain(effects)

    def unfetched(self, owner: bytes, artefact: bytes) -> list[Effect]:
        """A masked vector cannot be had from this owner."""
        effects: list[Effect] = []
        if self.member and owner in self._probing.get(artefact, ()):
            self._probing[artefact].discard(owner)
            self._probed(effects, self.member, owner, None)
        if self.leader and owner in self._leading.get(artefact, ()):
            self._leading[artefact].discard(owner)
            effects += self._led(self.leader.on_down(owner))
        if self.collector and owner in self._fetching.get(artefact, ()):
            self._retries[owner] += 1
            if self._retries[owner] < FETCH_ATTEMPTS and self.collector.expects(owner):
                effects.append(FetchArtefact(owner, artefact, self.plan.vector_bytes))
            else:
                self._fetching[artefact].discard(owner)
                self._collector_effects(effects, self.collector.on_lost_vector(owner))
        return self._drain(effects)

    # -- translation ---------------------------------------------------------------------------------------------------

    def _drain(self, effects: list[Effect]) -> list[Effect]:
        while self._local:
            self._dispatch(effects, self.me, self._local.popleft())
        step = self.collector.step if self.collector else None
        if self.collector and step is not self._timer_for:
            self._timer_for = step
            if step is not None and step not in (sc.Step.DONE, sc.Step.ABANDONED):
                effects.append(SetTimer(f"{STEP_TIMER}:{self.sid.hex()}:{step.value}", self._step_seconds))
                effects.append(SetTimer(f"{REMIND_TIMER}:{self.sid.hex()}:{step.value}", self._step_seconds / 3))
        return effects

    def _dispatch(  # noqa: C901, PLR0912 - one line for each message
        self, effects: list[Effect], sender: bytes, message: SessionMessage
    ) -> None:
        collector, member = self.collector, self.member
        from_initiator = sender == self.plan.initiator
        match message:
            case RosterMessage() if member and from_initiator:
                self._member_effects(effects, self._unwanted(member, message) or member.on_roster(message))
            case Frozen() if member and from_initiator:
                self._member_effects(effects, member.on_frozen(message))
                self._maybe_lead(effects, member)
            case Survivors() if member and from_initiator:
                self._member_effects(effects, self._unwanted(member, message) or member.on_survivors(message))
            case Certificate() if member and from_initiator:
                self._member_effects(effects, member.on_certificate(message))
            case Dealt() if collector:
                self._collector_effects(effects, collector.on_dealt(sender, message))
            case Ballot() if collector:
                self._collector_effects(effects, collector.on_ballot(sender, message))
            case Revealed() if collector:
                self._collector_effects(effects, collector.on_revealed(sender, message))
            case Manifest():
                if member:
                    member.on_manifest(message.signed)
                if collector:
                    self._collector_effects(effects, collector.on_manifest(sender, message.signed))
                if self.leader:
                    effects += self._led(self.leader.on_manifest(sender, message.signed))
            case Gathered() if collector:
                self._collector_effects(effects, collector.on_gathered(sender, message))
            case _:
                self._dispatch_sketch(effects, sender, message)

    def _dispatch_sketch(self, effects: list[Effect], sender: bytes, message: SessionMessage) -> None:
        member = self.member if isinstance(self.member, SketchingMember) else None
        collector = self.collector if isinstance(self.collector, SketchingCollector) else None
        from_initiator = sender == self.plan.initiator
        match message:
            case Seeded() if member and from_initiator:
                self._member_effects(effects, member.on_seeded(message))
            case Screened() if member and from_initiator:
                self._member_effects(effects, self._unwanted(member, message) or member.on_screened(message))
            case Cleared() if member and from_initiator:
                self._member_effects(effects, member.on_cleared(message))
            case SeedShares() if collector:
                self._collector_effects(effects, collector.on_seed_shares(sender, message))
            case Approval() if collector:
                self._collector_effects(effects, collector.on_approval(sender, message))
            case Sketched():
                if member:
                    member.on_sketched(sender, message)
                if collector:
                    self._collector_effects(effects, collector.on_sketched(sender, message))
            case _:
                pass  # a session message in the wrong direction says nothing

    def _probed(self, effects: list[Effect], member: sm.Member, owner: bytes, blob: bytes | None) -> None:
        if isinstance(member, SketchingMember) and owner in member.checking:
            self._member_effects(effects, member.on_checked(owner, blob))
        else:
            alive = blob is not None and member.is_vector_of(owner, blob)
            self._member_effects(effects, member.on_probe(owner, alive=alive))

    def _maybe_lead(self, effects: list[Effect], member: sm.Member) -> None:
        """Once I have masked: if I am my bucket's leader, gather its vectors."""
        roster = member.roster
        if self.leader or roster is None or member.stage is not sm.Stage.MASKED:
            return
        if roster.leader_of(roster.bucket_of(self.me)) != self.me:
            return
        self.leader = Leader(roster, member.u2, self.me, member.sign)
        effects.append(SetTimer(f"{LEAD_TIMER}:{self.sid.hex()}", self._step_seconds / 6))
        for owner, signed in sorted(member.manifests.items()):
            effects += self._led(self.leader.on_manifest(owner, signed))

    def _led(self, given: Iterable[sl.Effect]) -> list[Effect]:
        effects: list[Effect] = []
        for effect in given:
            match effect:
                case Fetch(owner, artefact, length):
                    self._leading[artefact].add(owner)
                    effects.append(FetchArtefact(owner, artefact, length))
                case sc.Blame(culprit, sentence):
                    self._fault(effects, culprit, sentence)
                case sm.Sign() | sm.Keep() | sm.Tell():
                    self._member_effects(effects, [effect])
        return effects

    def _unwanted(self, member: sm.Member, message: RosterMessage | Survivors | Screened) -> list[sm.Effect]:
        """My own refusal of a legal step: nobody is to blame. What is not even legal is the member's to say."""
        try:
            if isinstance(message, RosterMessage) and member.stage is sm.Stage.JOINED:
                why = self.caution.of_roster([signed.signer(self.plan.domain) for signed in message.joins])
            elif isinstance(message, Survivors) and member.stage is sm.Stage.MASKED and member.roster:
                survivors = member.roster.select(message.u3)
                why = self.caution.of_survivors(survivors)
                # the first set is the one that my vote is for: another may come while I still try vectors
                self.asked_for = self.asked_for or (member.roster.members, survivors)
            elif isinstance(message, Screened) and member.stage is sm.Stage.SKETCHED and member.roster:
                passed = member.roster.select(message.u4)
                why = self.caution.of_survivors(passed)
                if isinstance(member, SketchingMember) and not member.checking:  # again the first one counts
                    self.asked_for = (member.roster.members, passed)
            else:
                return []
        except ValueError:
            return []
        return [sm.Refuse(None, why)] if why else []

    def _member_effects(  # noqa: C901 - one line for each effect
        self, effects: list[Effect], given: Iterable[sm.Effect]
    ) -> None:
        for effect in given:
            match effect:
                case sm.Sign(statement):
                    digest = statement.digest(self.plan.domain)
                    fields = {"type": type(statement).__name__, "sid": self.sid.hex(), "digest": digest.hex()}
                    effects.append(Journal("signed", self.plan.opened.round, fields))
                case sm.Tell(to, message):
                    self._send(effects, to, message)
                case sm.TellAll(message):
                    effects.append(Broadcast(message))
                    self._local.append(message)
                case sm.Keep(blob):
                    effects.append(Store(blob))
                case sm.Probe(owner, artefact, length):
                    self._probing[artefact].add(owner)
                    effects.append(FetchArtefact(owner, artefact, length))
                case sm.Accuse(culprit, sentence):
                    self._fault(effects, culprit, sentence)
                case sm.Refuse(culprit, sentence):
                    self.over = sentence
                    if culprit == self.plan.initiator:
                        self.broken_by = culprit
                    if culprit is not None:
                        self._fault(effects, culprit, sentence)
                    if self.collector:
                        self._collector_effects(effects, self.collector.on_refusal(self.me))
                    else:
                        effects.append(Send(self.plan.initiator, Refusal(self.sid, sentence[:300])))

    def _collector_effects(self, effects: list[Effect], given: Iterable[sc.Effect]) -> None:
        for effect in given:
            match effect:
                case sm.Tell(to, message):
                    self._send(effects, to, message)
                case sm.TellAll(message):
                    effects.append(Broadcast(message))
                    self._local.append(message)
                case Fetch(owner, artefact, length):
                    self._fetching[artefact].add(owner)
                    effects.append(FetchArtefact(owner, artefact, length))
                case sc.Blame(culprit, sentence):
                    self._fault(effects, culprit, sentence)
                case sc.Abandon(sentence):
                    self.over = sentence
                    effects.append(Broadcast(Abandoned(self.sid, sentence[:300])))
                case sc.Summed():
                    self.summed = effect

    def _send(self, effects: list[Effect], to: bytes, message: SessionMessage) -> None:
        if to == self.me:
            self._local.append(message)
        else:
            effects.append(Send(to, message))

    def _fault(self, effects: list[Effect], culprit: bytes | None, sentence: str) -> None:
        fields = {"sid": self.sid.hex(), "culprit": "0x" + culprit.hex() if culprit else "", "sentence": sentence}
        effects.append(Journal("fault", self.plan.opened.round, fields))
        effects.append(Report("warning", sentence, self.plan.opened.round, culprit))
