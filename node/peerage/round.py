"""One peer's rounds as a value: events in, effects out. No clock, no socket, no randomness of its own.

The life of a round, as this file has it (docs/round.md tells it in prose, with the table of states):

    train -> announce (Fresh) -> open or join -> session (session_run) -> result -> acknowledge -> adopt
          -> score (scoring_step) -> close -> stand on the record -> announce again

A peer that missed something chases the chain of transcripts (chase); after the last round the peers settle (settlement).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from peerage import messages as m
from peerage.aggregation import (
    AUXILIARY,
    Grid,
    Metrics,
    base_of,
    canonical,
    carry_over,
    masked_input,
    merge,
    metrics,
    split_sum,
    sum_within_bounds,
    update_of,
)
from peerage.chase import Chase
from peerage.effects import (
    Broadcast,
    Effect,
    EmissionsClosed,
    Event,
    FetchArtefact,
    Fetched,
    Journal,
    PeerDown,
    PeerUp,
    Phase,
    PrivateState,
    Progress,
    Published,
    Received,
    Record,
    Report,
    Save,
    Score,
    Scored,
    Send,
    SetTimer,
    Started,
    Store,
    Timeout,
    Train,
    Trained,
    Unfetched,
)
from peerage.membership import Membership
from peerage.scoring_step import (
    Candidate,
    Scoring,
    agree,
    direction_bytes,
    direction_from,
    my_openings,
)
from peerage.session_run import REMIND_TIMER, STEP_TIMER, SessionRun
from peerage.settlement import Settlement
from peerage.version import OwnVersion, Status
from peerage_crypto import secagg_collector as sc
from peerage_crypto.digest import sha256
from peerage_crypto.secagg_judge import Fault
from peerage_crypto.secagg_member import Member, Stage, update_commitment
from peerage_crypto.session import (
    Ballot,
    Certificate,
    Dealt,
    Frozen,
    Manifest,
    Revealed,
    RosterMessage,
    SessionTranscript,
    Survivors,
)
from peerage_crypto.statements import Abstention, Opened, ResultAck, Signed, session_id, sign
from peerage_ledger.judgement import Evidence, Federation, Judged, Standing, joined, judge_result, judge_round
from peerage_ledger.rewards import Pay, RoundScores, pay_rounds, totals
from peerage_ledger.transcript import MAX_TRANSCRIPT_BYTES, NOTHING, decode_round, decode_session, encode, record_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from peerage.messages import Message
    from peerage_crypto.identity import Account
    from peerage_crypto.session import Plan

    Vector = NDArray[np.float32]

EARLY_MESSAGES = 512  # session messages kept for a session whose opening has not arrived yet


@dataclass(frozen=True, slots=True)
class Rules:
    """The agreed numbers of a federation, and this peer's patience (seconds)."""

    rounds: int
    momentum: float
    grid: Grid
    novelty: int
    cap: int
    window: int
    pool: int
    patience: float  # how long the fresh wait for those who are there but not fresh
    step_seconds: float  # the deadline of each step of a session
    stall_seconds: float  # without a result for so long, a session is left
    stagger: float  # the next in turn waits so much longer


@dataclass(frozen=True, slots=True)
class Manifests:
    """What a join states of this peer's data and code (hashes only)."""

    data: bytes
    code: bytes


@dataclass
class Outcome:
    """A result on its way to being acknowledged: what is still to be fetched, and the acknowledgements so far."""

    result: m.Result | None = None
    session: SessionTranscript | None = None
    session_blob: bytes = b""
    sum_blob: bytes | None = None
    candidate: Candidate | None = None
    acks: dict[bytes, Signed[ResultAck]] = field(default_factory=dict)
    fetches: int = 3  # further attempts at its artefacts


class Engine:
    """State of one peer. `draw` gives 32 fresh secret bytes; `dither` the seed of a version's stochastic rounding."""

    def __init__(
        self,
        *,
        rules: Rules,
        federation: Federation,
        account: Account,
        genesis: Standing,
        manifests: Manifests,
        draw: Callable[[], bytes],
        dither: Callable[[int], bytes],
    ) -> None:
        self.rules, self.federation, self.account, self.me = rules, federation, account, account.address
        self.manifests, self._draw, self._dither = manifests, draw, dither
        self.genesis = self.head = genesis
        self.previous: Standing | None = None
        base = base_of(genesis.model, genesis.step, rules.momentum)
        self.own = OwnVersion(0, Status.TRAINING, b"", base.copy(), base, Metrics(1, 0, 0, 0))
        self.membership = Membership(self.me, federation.registered)
        self.session: SessionRun | None = None
        self.candidate: Candidate | None = None
        self.closing: SessionRun | None = None  # the adopted round's session: its pair keys, its vectors
        self.scoring: Scoring | None = None
        self.chase: Chase | None = None
        self.settlement: Settlement | None = None
        self.applied: deque[Vector] = deque(maxlen=max(1, rules.novelty))
        self.scores: list[RoundScores] = []
        self.history: list[Judged] = []
        self.finished = False
        self._outcomes: dict[bytes, Outcome] = {}
        self._acked: dict[bytes, bytes] = {}  # parent record -> the one sid that I acknowledged on it
        self._abstentions: dict[bytes, set[bytes]] = {}
        self._early: deque[tuple[bytes, Message]] = deque(maxlen=EARLY_MESSAGES)
        self._update: NDArray[np.int64] | None = None  # what I put into the current or adopted session
        self._training_base: Vector | None = None
        self._scored: Scored | None = None
        self._directed: m.Direction | None = None
        self._attempts = 0
        self._joined: m.Join | None = None
        self._left: SessionRun | None = None  # a session left after masking: its version waits for abstentions
        self._out: list[Effect] = []

    # -- the one door --------------------------------------------------------------------------------------------------

    def handle(self, event: Event) -> list[Effect]:
        """Take one event; returns the effects to carry out, in order."""
        self._out = []
        match event:
            case Started(saved):
                self._on_started(saved)
            case Trained():
                self._on_trained(event)
            case Received(sender, message):
                self._on_message(sender, message)
            case Fetched(artefact, blob):
                self._on_fetched(artefact, blob)
            case Unfetched(owner, artefact):
                self._on_unfetched(owner, artefact)
            case PeerUp(peer):
                self.membership.back(peer)
                self._out.append(Send(peer, self._news()))
            case PeerDown(peer):
                self._on_down(peer)
            case Timeout(name):
                self._on_timeout(name)
            case Scored():
                self._on_scored(event)
            case EmissionsClosed() | Published():
                if self.settlement:
                    self._out += self.settlement.handle(event)
        return self._out

    # -- training and freshness ----------------------------------------------------------------------------------------

    def _on_started(self, saved: PrivateState | None) -> None:
        self._journal("started", version=saved.version if saved else 0)
        if saved is None:
            self._train()
            return
        own = Metrics(1, *saved.metrics)
        self.own = OwnVersion(saved.version, Status(saved.status), saved.sid, saved.local, saved.base, own)
        if self.own.status is Status.LOCKED:
            # Its session's secrets died with the earlier life: unless an aggregate contains it, this version is spent.
            self.own = self.own.spent()
        if saved.head_transcript != NOTHING:
            self._pursue(self.me, saved.head_transcript, saved.head_round)
        else:
            self._resume()
        self._out.append(Broadcast(m.HeadRequest()))

    def _resume(self) -> None:
        """After a restart and the catching up: go on where the version stands."""
        if self.own.status is Status.FREE:
            self._announce()
        else:
            self._train()

    def _train(self) -> None:
        self._training_base = self.own.base
        self._out += [Phase("train"), Train(self.own.local, self.own.number + 1)]

    def _on_trained(self, event: Trained) -> None:
        if self.finished or self._training_base is None:
            return
        started_from, self._training_base = self._training_base, None
        if not np.isfinite(event.model).all():
            self._fault(self.me, "training left a NaN or an infinity in the model: this peer sits the round out")
            self._out.append(Phase("wait"))
            return
        local = event.model if started_from is self.own.base else carry_over(event.model, started_from, self.own.base)
        self.own = self.own.trained(local, metrics(event.examples, event.correct, event.mean_loss))
        self._journal("trained", version=self.own.number)
        self._save()
        self._out.append(Phase("wait"))
        self._announce()

    def _news(self) -> m.Fresh:
        ready = self.own.status is Status.FREE and self.candidate is None and self.head.round < self.rules.rounds
        return m.Fresh(self.head.record, self.head.round, self.head.transcript, self.own.number, ready)

    def _announce(self) -> None:
        news = self._news()
        if not news.ready or self.session is not None:
            return
        self.membership.heard(self.me, news)
        wait = self.rules.patience + self.rules.stagger * self.membership.rank(self.head.record)
        self._out += [Broadcast(news), SetTimer("open", wait)]
        self._maybe_open(waited=False)

    def _maybe_open(self, *, waited: bool) -> None:
        if self.session or self.candidate or self.own.status is not Status.FREE or self.head.round >= self.rules.rounds:
            return
        fresh = self.membership.fresh(self.head.record)
        if not self.membership.enough(fresh) or self.me not in fresh:
            return
        everybody = self.membership.live() <= fresh and self._attempts == 0
        if waited or (everybody and self.membership.turn(self.head.record, fresh) == self.me):
            self._open(fresh)

    # -- opening and joining -------------------------------------------------------------------------------------------

    def _open(self, fresh: frozenset[bytes]) -> None:
        nonce, round_ = self._draw(), self.head.round + 1
        sid = session_id(
            chain_id=self.federation.chain_id,
            registry=self.federation.registry,
            round_=round_,
            initiator=self.me,
            parent=self.head.record,
            params=self.federation.terms,
            nonce=nonce,
        )
        opened = Opened(sid, round_, self.me, self.head.record, self.federation.terms, nonce)
        plan = self.federation.plan(opened)
        if plan is None:
            raise AssertionError("our own opening breaks our own terms")
        signed = sign(opened, self.account, self.federation.domain)
        self._journal("signed", type="Opened", sid=sid.hex(), digest=opened.digest(self.federation.domain).hex())
        self._out.append(Broadcast(m.Open(signed)))
        self._join(plan, sc.Collector(plan, signed, fresh))

    def _on_open(self, sender: bytes, signed: Signed[Opened]) -> None:
        opened = signed.statement
        plan = self.federation.plan(opened)
        if plan is None or opened.initiator != sender or not signed.is_by(sender, self.federation.domain):
            self._fault(sender, "it opened a session that is not signed by it under this federation's terms")
            return
        if opened.parent != self.head.record:
            if opened.round > self.head.round:
                self._out.append(Send(sender, m.HeadRequest()))
            return
        if self.candidate is not None or self.head.round >= self.rules.rounds:
            return
        if self.session is not None and self.session.sid == opened.sid and self._joined is not None:
            self._out.append(Send(sender, self._joined))  # asked again: mine was lost
            return
        if self.session is not None and not self._yields_to(opened.sid):
            return
        if self.own.status is Status.FREE:
            self._join(plan, None)

    def _yields_to(self, sid: bytes) -> bool:
        """Of two opens on one parent the lower H(sid) wins, as long as nothing but a join has left this peer."""
        run = self.session
        if run is None or (run.member and run.member.stage is not Stage.JOINED) or sha256(sid) >= sha256(run.sid):
            return False
        if run.collector:
            self._out.append(Broadcast(m.Abandoned(run.sid, "another session on this parent has the lower name")))
        self.session = None
        self.own = self.own.released()
        return True

    def _join(self, plan: Plan, collector: sc.Collector | None) -> None:
        try:
            self._update = update_of(self.own.local, self.own.base, self.rules.grid, self._dither(self.own.number))
        except ValueError as error:
            self._fault(self.me, f"no join: {error}")
            return
        vector = masked_input(self._update, self.own.own, self.rules.grid)
        root = self._draw()
        self.own = self.own.locked(plan.sid)
        self._journal("locked", version=self.own.number, sid=plan.sid.hex())
        self._save()
        member = Member(plan, self.me, self.account.sign, root, vector)
        joined_ = member.join(
            version=self.own.number,
            update=update_commitment(root, vector),
            data_manifest=self.manifests.data,
            code_manifest=self.manifests.code,
        )
        digest = joined_.statement.digest(plan.domain).hex()
        self._journal("signed", type="JoinIntent", sid=plan.sid.hex(), digest=digest)
        run = SessionRun(plan, self.me, member, collector, self.rules.step_seconds)
        self.session, self._joined = run, m.Join(joined_)
        self._out += [
            Phase("mask"),
            Broadcast(self._joined),
            SetTimer(f"session:{plan.sid.hex()}", self.rules.stall_seconds),
        ]
        member.on_join(joined_)
        early, self._early = list(self._early), deque(maxlen=EARLY_MESSAGES)
        if collector:
            self._run(run.joins(collector.on_join(joined_)))
        for sender, message in early:
            self._on_message(sender, message)

    # -- messages ------------------------------------------------------------------------------------------------------

    def _on_message(self, sender: bytes, message: Message) -> None:
        if sender not in self.federation.registered or sender == self.me:
            return
        match message:
            case m.Fresh():
                self._on_fresh(sender, message)
            case m.HeadRequest():
                self._out.append(Send(sender, self._news()))
            case m.Open(signed):
                self._on_open(sender, signed)
            case m.Join(signed):
                self._on_join(sender, message)
            case (
                RosterMessage() | Dealt() | Frozen() | Manifest() | Survivors() | Ballot() | Certificate() | Revealed()
            ):
                if self.session and self.session.sid == message.sid:
                    self._run(self.session.receive(sender, message))
                elif self.closing is None or self.closing.sid != message.sid:
                    self._early.append((sender, message))
            case m.Refusal(sid, sentence):
                self._journal("refusal", sid=sid.hex(), peer="0x" + sender.hex(), sentence=sentence)
                if self.session and self.session.sid == sid and self.session.collector:
                    self._run(self.session.joins(self.session.collector.on_refusal(sender)))
            case m.Abandoned(sid, sentence):
                if self.session and self.session.sid == sid and sender == self.session.plan.initiator:
                    self._leave(f"its initiator gave it up: {sentence}")
            case m.Abstained(signed):
                self._on_abstained(sender, signed)
            case m.Result():
                self._on_result(sender, message)
            case m.Ack(signed):
                self._on_ack(sender, signed)
            case m.Direction():
                self._on_direction(sender, message)
            case m.Openings():
                self._on_openings(sender, message)
            case m.Closed(_, record, round_, transcript):
                if record != self.head.record and round_ >= self.head.round:
                    self._pursue(sender, transcript, round_)
            case m.Settling(record, _) if self.settlement and record != self.head.record:
                self._out.append(Send(sender, self._closed()))  # it closed the last round in another way than I
            case m.Settling() | m.Proposal() | m.RewardVote() | m.Settled():
                if self.settlement:
                    self._out += self.settlement.receive(sender, message)
                else:
                    self._early.append((sender, message))

    def _on_fresh(self, sender: bytes, news: m.Fresh) -> None:
        self.membership.heard(sender, news)
        if news.round > self.head.round or (
            news.round == self.head.round and news.record != self.head.record and self.previous is not None
        ):
            self._pursue(sender, news.transcript, news.round)
        elif news.round < self.head.round:
            self._out.append(Send(sender, self._news()))
        self._maybe_open(waited=False)

    def _on_join(self, sender: bytes, message: m.Join) -> None:
        run = self.session
        if run is None or message.signed.statement.sid != run.sid:
            self._early.append((sender, message))
            return
        if not message.signed.is_by(sender, run.plan.domain):
            self._fault(sender, "it sent a join that it did not sign")
            return
        if run.member:
            run.member.on_join(message.signed)
        if run.collector:
            self._run(run.joins(run.collector.on_join(message.signed)))

    def _on_down(self, peer: bytes) -> None:
        self.membership.lost(peer)
        if self.session:
            self._run(self.session.down(peer))
        if self.scoring and peer in self.scoring.expected:
            self.scoring.expected.discard(peer)
            self._maybe_close()
        if self.chase and self.chase.owner == peer:
            self._end_chase("its owner is gone")
        if self.settlement:
            self._out += self.settlement.handle(PeerDown(peer))
        self._maybe_open(waited=False)

    def _on_timeout(self, name: str) -> None:
        kind, _, rest = name.partition(":")
        run = self.session
        if kind == "open":
            self._maybe_open(waited=True)
            if self.session is None and self.own.status is Status.FREE and self.head.round < self.rules.rounds:
                self._out.append(SetTimer("open", self.rules.patience))
                self._out.append(Broadcast(self._news()))
        elif kind == STEP_TIMER and run and rest.startswith(run.sid.hex()):
            self._run(run.deadline(rest.rpartition(":")[2]))
        elif kind == REMIND_TIMER and run and rest.startswith(run.sid.hex()):
            self._run(run.remind(rest.rpartition(":")[2]))
        elif (
            kind == "result"
            and run
            and rest == run.sid.hex()
            and (outcome := self._outcomes.get(run.sid))
            and outcome.result
        ):
            self._out.append(Broadcast(outcome.result))
        elif kind == "session" and run and rest == run.sid.hex():
            self._leave("no result came in time")
        elif kind == "abort" and self.own.status is Status.LOCKED and rest == self.own.sid.hex():
            self._spend()
        elif kind == "numbers" and self.scoring and rest == self.scoring.candidate.sid.hex():
            self.scoring.expected.clear()
            self._maybe_close()
        elif kind == "close" and self.candidate and rest == self.candidate.sid.hex():
            self._close_unscored(self.candidate)
        elif kind == "settle" and self.settlement:
            self._out += self.settlement.handle(Timeout(name))

    # -- the session's end ---------------------------------------------------------------------------------------------

    def _run(self, effects: list[Effect]) -> None:
        """Carry a session's effects on, and look at what became of it."""
        self._out += effects
        run = self.session
        if run is None:
            return
        if run.summed is not None:
            summed, run.summed = run.summed, None
            self._on_summed(run, summed)
        elif run.over:
            collecting = run.collector is not None and run.collector.step is not sc.Step.ABANDONED
            if not collecting:
                self._leave(run.over)

    def _leave(self, why: str) -> None:
        """The session ends here without a result: what becomes of my version?"""
        run, self.session = self.session, None
        if run is None:
            return
        self._attempts += 1
        self._journal("left", sid=run.sid.hex(), why=why)
        self._out.append(
            Report("warning", f"round {run.plan.opened.round} was not completed: {why}", run.plan.opened.round)
        )
        self._out.append(Phase("wait"))
        member = run.member
        if member is None or not member.u2:  # no masked vector has left: the version is free at once
            self.own = self.own.released()
            self._save()
            self._announce()
            return
        statement = member.abstain()
        if isinstance(statement, Signed):
            digest = statement.statement.digest(run.plan.domain).hex()
            self._journal("signed", type="Abstention", sid=run.sid.hex(), digest=digest)
            self._out.append(Broadcast(m.Abstained(statement)))
            self._abstentions.setdefault(run.sid, set()).add(self.me)
        self._left = run
        self._out.append(SetTimer(f"abort:{run.sid.hex()}", self.rules.step_seconds))
        self._maybe_aborted(run.sid)

    def _on_abstained(self, sender: bytes, signed: Signed[Abstention]) -> None:
        if signed.is_by(sender, self.federation.domain):
            self._abstentions.setdefault(signed.statement.sid, set()).add(sender)
            self._maybe_aborted(signed.statement.sid)

    def _maybe_aborted(self, sid: bytes) -> None:
        """N - T + 1 + c abstentions: then no certificate can ever exist, and the version is free again."""
        run = self._left
        if run is None or run.sid != sid or self.own.status is not Status.LOCKED or self.own.sid != sid:
            return
        roster = run.member.roster if run.member else None
        if roster is None:
            return
        limits = roster.limits
        if len(self._abstentions.get(sid, set()) & set(roster.members)) >= limits.losses + 1 + limits.colluders:
            self._journal("released", version=self.own.number, sid=sid.hex())
            self.own = self.own.released()
            self._save()
            self._announce()

    def _spend(self) -> None:
        self._journal("spent", version=self.own.number, sid=self.own.sid.hex())
        self.own = self.own.spent()
        self._save()
        self._train()

    # -- result and acknowledgement ------------------------------------------------------------------------------------

    def _on_summed(self, run: SessionRun, summed: sc.Summed) -> None:
        blob, total = encode(summed.transcript), sc.ring_bytes(summed.total)
        result = judge_result(self.federation, self.head, summed.transcript, total, self._merge)
        if isinstance(result, list):
            self._out.append(Broadcast(m.Abandoned(run.sid, result[0].sentence[:300])))
            self._blame(result)
            self._leave(result[0].sentence)
            return
        model = canonical(result[2])
        self._out += [Store(blob), Store(total), Store(model)]
        message = m.Result(run.sid, sha256(blob), len(blob), summed.transcript.sum_artefact, sha256(model))
        self._out += [Broadcast(message), SetTimer(f"result:{run.sid.hex()}", self.rules.step_seconds / 3)]
        self._on_result(self.me, message)

    def _on_result(self, sender: bytes, result: m.Result) -> None:
        outcome = self._outcomes.setdefault(result.sid, Outcome())
        if outcome.result == result and self.me in outcome.acks:
            self._out.append(Send(sender, m.Ack(outcome.acks[self.me])))  # asked again: mine was lost
        if outcome.result is not None or result.session_bytes > MAX_TRANSCRIPT_BYTES:
            return
        outcome.result = result
        self._out += [
            Phase("unmask"),
            FetchArtefact(sender, result.session, MAX_TRANSCRIPT_BYTES),
            FetchArtefact(sender, result.sum_artefact, self._sum_bytes()),
        ]

    def _judge_outcome(self, outcome: Outcome) -> None:
        session, blob = outcome.session, outcome.sum_blob
        if session is None or blob is None or outcome.candidate is not None or outcome.result is None:
            return
        opened = session.opened.statement
        if opened.parent != self.head.record or self.candidate is not None:
            return  # another branch, or I am behind: the round's closing will tell
        result = judge_result(self.federation, self.head, session, blob, self._merge)
        if isinstance(result, list):
            self._blame(result)
            return
        proven, _, model = result
        versions = {peer: proven.roster.join_of(peer).version for peer in proven.u3}
        aggregate = sha256(canonical(model))
        outcome.candidate = Candidate(
            self.head,
            proven,
            session,
            outcome.result.session,
            model,
            aggregate,
            joined(self.head.versions, versions),
        )
        sid = proven.roster.plan.sid
        if self.me in proven.roster.members and self._acked.setdefault(self.head.record, sid) == sid:
            ack = ResultAck(sid, session.sum_artefact, aggregate)
            digest = ack.digest(self.federation.domain).hex()
            self._journal("signed", type="ResultAck", sid=sid.hex(), digest=digest)
            signed = sign(ack, self.account, self.federation.domain)
            self._out += [Store(canonical(model)), Broadcast(m.Ack(signed))]
            outcome.acks[self.me] = signed
        self._maybe_adopt(outcome)

    def _on_ack(self, sender: bytes, signed: Signed[ResultAck]) -> None:
        if not signed.is_by(sender, self.federation.domain):
            self._fault(sender, "it sent an acknowledgement that it did not sign")
            return
        outcome = self._outcomes.setdefault(signed.statement.sid, Outcome())
        outcome.acks[sender] = signed
        self._maybe_adopt(outcome)

    def _matching_acks(self, candidate: Candidate) -> tuple[Signed[ResultAck], ...]:
        wanted = (candidate.sid, candidate.session.sum_artefact, candidate.aggregate)
        acks = self._outcomes[candidate.sid].acks
        return tuple(
            acks[peer]
            for peer in candidate.proven.roster.members
            if peer in acks
            and (acks[peer].statement.sid, acks[peer].statement.sum_root, acks[peer].statement.model) == wanted
        )

    def _maybe_adopt(self, outcome: Outcome) -> None:
        candidate = outcome.candidate
        if candidate is None or self.candidate is not None or candidate.parent.record != self.head.record:
            return
        if len(self._matching_acks(candidate)) < candidate.proven.roster.limits.quorum:
            return
        self.candidate = candidate
        run, self.session = self.session, None
        self.closing = run if run and run.sid == candidate.sid else None
        self._journal("adopted", sid=candidate.sid.hex(), aggregate=candidate.aggregate.hex())
        step = (candidate.model.astype(np.float64) - self.head.model.astype(np.float64)).astype(np.float32)
        self._stand_on(candidate.model, step, consumed=self._is_consumed(candidate.sid, candidate.proven.u3))
        base = base_of(self.head.model, self.head.step, self.rules.momentum)
        if self.me in candidate.proven.u3 or candidate.proven.roster.plan.initiator == self.me:
            path = (candidate.model.astype(np.float64) - base.astype(np.float64)).astype(np.float32)
            seed = candidate.proven.seed()
            self._scored = None
            self._out.append(Score(candidate.sid, candidate.round, base, path, tuple(self.applied), seed))
        wait = self.rules.stall_seconds + self.rules.stagger * self.membership.rank(self.head.record)
        self._out.append(SetTimer(f"close:{candidate.sid.hex()}", wait))
        if candidate.round < self.rules.rounds:
            self._train()

    def _is_consumed(self, sid: bytes, u3: tuple[bytes, ...]) -> bool:
        return self.me in u3 and self.own.sid == sid

    def _stand_on(self, model: Vector, step: Vector, *, consumed: bool) -> None:
        self.own = self.own.adopted(base_of(model, step, self.rules.momentum), consumed=consumed)
        self._save()

    # -- scoring and closing -------------------------------------------------------------------------------------------

    def _on_scored(self, event: Scored) -> None:
        candidate = self.candidate
        if candidate is None or event.sid != candidate.sid:
            return
        self._scored = event
        self._out.append(Phase("score"))
        if candidate.proven.roster.plan.initiator == self.me and self.closing and self.closing.collector:
            blob = direction_bytes(event.direction)
            message = m.Direction(candidate.sid, sha256(blob), event.exponent)
            vectors = self.closing.collector.vectors
            expected = set(candidate.proven.u3) - self.membership.gone
            self.scoring = Scoring(candidate, vectors, event.direction, event.exponent, expected)
            self._out += [
                Store(blob),
                Broadcast(message),
                SetTimer(f"numbers:{candidate.sid.hex()}", self.rules.step_seconds),
            ]
            self._directed = message
        self._maybe_open_numbers()

    def _on_direction(self, sender: bytes, message: m.Direction) -> None:
        candidate = self.candidate
        if candidate and message.sid == candidate.sid and sender == candidate.proven.roster.plan.initiator:
            if self._directed is not None and self._directed.sid == message.sid:
                if self._directed != message:
                    self._fault(sender, "it asked to open the same session for a second direction")
                return
            self._directed = message
            self._maybe_open_numbers()
        elif candidate is None or message.sid != candidate.sid:
            self._early.append((sender, message))

    def _maybe_open_numbers(self) -> None:
        candidate, directed, scored = self.candidate, self._directed, self._scored
        if candidate is None or directed is None or scored is None or directed.sid != candidate.sid:
            return
        if self.me not in candidate.proven.u3:
            return
        initiator = candidate.proven.roster.plan.initiator
        if directed.exponent != scored.exponent:
            self._refuse_to_open(initiator, "the scale of the direction is not the one that the public path gives")
        elif directed.direction == sha256(direction_bytes(scored.direction)):
            self._open_numbers(scored.direction, is_mine=True)
        else:
            self._out.append(FetchArtefact(initiator, directed.direction, 4 * self._parameters()))

    def _open_numbers(self, direction: NDArray[np.int64], *, is_mine: bool) -> None:
        candidate, run, scored = self.candidate, self.closing, self._scored
        if candidate is None or run is None or run.member is None or scored is None or self._directed is None:
            return
        initiator = candidate.proven.roster.plan.initiator
        why_not = run.member.may_open(self._directed.direction, is_mine=is_mine)
        if why_not:
            self._refuse_to_open(initiator, why_not)
            return
        statement, message = my_openings(
            candidate, self.me, run.member.pair_keys, direction, scored.emissions, self.account.sign
        )
        digest = statement.digest(self.federation.domain).hex()
        self._journal("signed", type="Opening", sid=candidate.sid.hex(), digest=digest)
        if initiator == self.me:
            self._on_openings(self.me, message)
        else:
            self._out.append(Send(initiator, message))
        self._out.append(Phase("train" if self._training_base is not None else "wait"))

    def _refuse_to_open(self, initiator: bytes, why: str) -> None:
        self._fault(initiator, f"this peer does not open its number: {why}")

    def _on_openings(self, sender: bytes, message: m.Openings) -> None:
        if self.scoring is None or message.sid != self.scoring.candidate.sid:
            return
        wrong = self.scoring.on_openings(sender, message)
        if wrong:
            self._fault(sender, wrong)
        self._maybe_close()

    def _maybe_close(self) -> None:
        scoring = self.scoring
        if scoring is None or not scoring.complete:
            return
        self.scoring = None
        transcript, opened = scoring.close(self._matching_acks(scoring.candidate))
        for liar in opened.liars:
            self._fault(liar, "its pair numbers contradict those of more peers than can collude")
        for a, b in opened.disputed:
            self._fault(a, f"its pair number contradicts that of 0x{b.hex()}: both stay unpaid this round")
        self._close(encode(transcript))

    def _close_unscored(self, candidate: Candidate) -> None:
        """The initiator went silent after the sum: close the round without scores, so that training goes on."""
        self._close(encode(candidate.base_transcript(self._matching_acks(candidate))))

    def _close(self, blob: bytes) -> None:
        candidate = self.candidate
        if candidate is None:
            return
        transcript, transcript_id = decode_round(blob), sha256(blob)
        record = record_of(transcript, transcript_id, candidate.proven, candidate.session)
        self._out.append(Store(blob))
        evidence = Evidence(transcript_id, transcript, candidate.session_id, candidate.session, self._sum_of(candidate))
        self._apply(evidence, self.me)
        self._out += [
            Record(record),
            Broadcast(m.Closed(candidate.sid, record.record_hash(), candidate.round, transcript_id)),
        ]
        self._after_apply()

    def _sum_of(self, candidate: Candidate) -> bytes:
        blob = self._outcomes[candidate.sid].sum_blob
        if blob is None:
            raise AssertionError("a candidate without its sum")
        return blob

    # -- standing on records -------------------------------------------------------------------------------------------

    def _pursue(self, owner: bytes, transcript: bytes, round_: int) -> None:
        if self.chase is not None or transcript == NOTHING or self.finished:
            return
        known = self.head if round_ > self.head.round else self.previous
        if known is None:
            return
        self.chase = Chase(owner, transcript, known.record, known.round, self._sum_bytes())
        self._out += self.chase.start()

    def _end_chase(self, why: str) -> None:
        if self.chase is None:
            return
        own_past = self.chase.owner == self.me
        self._journal("chase", owner="0x" + self.chase.owner.hex(), why=why)
        self.chase = None
        if own_past:
            self._resume()

    def _drive_chase(self) -> None:
        chase = self.chase
        if chase is None:
            return
        try:
            while (evidence := chase.ready()) is not None:
                if not self._apply(evidence, chase.owner):
                    chase.failed = "a round of the chain does not hold"
                    break
        except ValueError as error:
            chase.failed = str(error)
            self._fault(chase.owner, f"it served a chain that does not hold: {error}")
        if chase.done:
            self.chase = None
            if chase.failed:
                self._journal("chase", owner="0x" + chase.owner.hex(), why=chase.failed)
            if not chase.failed or chase.owner == self.me:
                self._after_apply()

    def _apply(self, evidence: Evidence, owner: bytes) -> bool:
        """Judge one round on its parent, and stand on it. False when it does not hold (its owner is blamed)."""
        parent = self.head if evidence.transcript.round > self.head.round else self.previous
        if parent is None:
            return False
        judged = judge_round(self.federation, parent, evidence, self._merge)
        if isinstance(judged, list):
            self._blame(judged, owner)
            return False
        if judged.standing.record == self.head.record:
            return True
        replaces = parent is self.previous
        if replaces and judged.transcript.sid != self.history[-1].transcript.sid:
            self._fault(None, "another round was closed on the same parent: this peer keeps the first it saw")
            return False
        if replaces and _preference(judged) > _preference(self.history[-1]):
            self._out.append(Send(owner, self._closed()))  # one round closed in two ways: everybody takes the same
            return False
        self._check_my_number(judged)
        if replaces:
            self.history.pop()
            self.scores.pop()
            self.settlement = None
        elif self.candidate is not None and self.candidate.sid == judged.transcript.sid:
            self.applied.appendleft(judged.standing.step)
        else:
            self._drop_session(judged)
            consumed = self._is_consumed(judged.transcript.sid, judged.proven.u3) or (
                judged.standing.versions.get(self.me, 0) >= self.own.number > 0
            )
            self.applied.appendleft(judged.standing.step)
            self._stand_on(judged.standing.model, judged.standing.step, consumed=consumed)
        self.previous, self.head = parent, judged.standing
        self.history.append(judged)
        numbers = dict(zip(judged.proven.u3, judged.transcript.numbers, strict=True))
        scored = judged.transcript.direction != NOTHING
        self.scores.append(RoundScores(judged.transcript.round, numbers if scored else {}, judged.transcript.exponent))
        self.candidate = self.scoring = self._directed = None
        self._attempts = 0
        self._keep_artefacts(judged)
        self._out.append(
            Journal(
                "closed",
                judged.transcript.round,
                {
                    "record": judged.standing.record.hex(),
                    "transcript": judged.standing.transcript.hex(),
                    "aggregate": judged.standing.aggregate.hex(),
                },
            )
        )
        self._progress(judged)
        self._save()
        return True

    def _after_apply(self) -> None:
        """Standing on a new record: train, announce, or settle."""
        if self.head.round >= self.rules.rounds:
            self._settle()
        elif self.own.status is Status.FREE:
            self._announce()
        elif self.own.status in (Status.TRAINING, Status.SPENT) and self._training_base is None:
            self._train()
        self._replay_early()

    def _replay_early(self) -> None:
        early, self._early = list(self._early), deque(maxlen=EARLY_MESSAGES)
        for sender, message in early:
            self._on_message(sender, message)

    def _closed(self) -> m.Closed:
        sid = self.history[-1].transcript.sid if self.history else NOTHING
        return m.Closed(sid, self.head.record, self.head.round, self.head.transcript)

    def _drop_session(self, judged: Judged) -> None:
        run, self.session, self.candidate = self.session, None, None
        if run is not None:
            self._journal("left", sid=run.sid.hex(), why=f"round {judged.transcript.round} was closed meanwhile")

    def _check_my_number(self, judged: Judged) -> None:
        scored = self._scored
        mine = self.me in judged.proven.u3 and scored is not None and scored.sid == judged.transcript.sid
        if not mine or scored is None or self._update is None:
            return
        if judged.transcript.direction != sha256(direction_bytes(scored.direction)):
            return
        number = judged.transcript.numbers[judged.proven.u3.index(self.me)]
        own = sum(int(q) * int(g) for q, g in zip(self._update, scored.direction, strict=True))
        if number is not None and number != own:
            self._fault(judged.proven.roster.plan.initiator, "the number recorded for this peer is not its own")

    def _keep_artefacts(self, judged: Judged) -> None:
        self._out.append(Store(canonical(judged.standing.model)))
        for sid in [s for s in self._outcomes if s != judged.transcript.sid]:
            del self._outcomes[sid]

    def _progress(self, judged: Judged) -> None:
        sums, _ = split_sum(judged.update_sum)
        accuracy = sums.correct * 1_000_000 // sums.examples if sums.examples else 0
        missing = tuple(sorted(self.federation.registered - set(judged.proven.u3)))
        earned = totals(self._pay())
        self._out.append(
            Progress(judged.transcript.round, judged.proven.u3, missing, earned, judged.standing.aggregate, accuracy)
        )

    def _pay(self) -> list[Pay]:
        r = self.rules
        return pay_rounds(self.scores, pool=r.pool, planned=r.rounds, cap=r.cap, window=r.window)

    # -- settling ------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        if self.settlement is None:
            self.settlement = Settlement(
                me=self.me,
                account=self.account,
                federation=self.federation,
                head=self.head,
                totals=totals(self._pay()),
                records=tuple(j.record for j in self.history),
                membership=self.membership,
                patience=self.rules.patience,
                stagger=self.rules.stagger,
            )
            self._out += self.settlement.start()
            self._replay_early()

    # -- artefacts -----------------------------------------------------------------------------------------------------

    def _on_fetched(self, artefact: bytes, blob: bytes) -> None:
        if self.session:
            self._run(self.session.fetched(artefact, blob))
        for outcome in list(self._outcomes.values()):
            result = outcome.result
            if result is None or outcome.candidate is not None:
                continue
            if artefact == result.session and outcome.session is None:
                try:
                    outcome.session = decode_session(blob)
                except ValueError as error:
                    self._fault(None, f"a result came with a session transcript that does not hold: {error}")
                    continue
            if artefact == result.sum_artefact:
                outcome.sum_blob = blob
            self._judge_outcome(outcome)
        if self._directed and artefact == self._directed.direction and self._scored:
            try:
                theirs = direction_from(blob, self._parameters())
            except ValueError as error:
                self._fault(None, str(error))
            else:
                self._open_numbers(theirs, is_mine=agree(theirs, self._scored.direction))
        if self.chase:
            self._out += self.chase.on_blob(artefact, blob)
            self._drive_chase()
        if self.settlement:
            self._out += self.settlement.handle(Fetched(artefact, blob))

    def _on_unfetched(self, owner: bytes, artefact: bytes) -> None:
        for outcome in self._outcomes.values():
            r = outcome.result
            if r and outcome.candidate is None and artefact in (r.session, r.sum_artefact) and outcome.fetches > 0:
                outcome.fetches -= 1
                limit = MAX_TRANSCRIPT_BYTES if artefact == r.session else self._sum_bytes()
                self._out.append(FetchArtefact(owner, artefact, limit))
        if self.session:
            self._run(self.session.unfetched(artefact))
        if self.chase:
            self.chase.on_missing(artefact)
            self._drive_chase()

    # -- small things --------------------------------------------------------------------------------------------------

    def _merge(self, model: Vector, step: Vector, total: NDArray[np.unsignedinteger], members: int) -> Vector | str:
        sums, update = split_sum(total)
        if sums.peers != members:
            return f"the sum counts {sums.peers} peers where {members} survived"
        if not sum_within_bounds(update, members, self.rules.grid):
            return "the sum lies outside what honest peers can add up to"
        return merge(base_of(model, step, self.rules.momentum), update, members, self.rules.grid)

    def _parameters(self) -> int:
        return int(self.head.model.size)

    def _sum_bytes(self) -> int:
        return (AUXILIARY + self._parameters()) * self.rules.grid.ring_bits // 8

    def _journal(self, kind: str, **fields: object) -> None:
        self._out.append(Journal(kind, self.head.round + 1, dict(fields)))

    def _fault(self, culprit: bytes | None, sentence: str) -> None:
        self._journal("fault", culprit="0x" + culprit.hex() if culprit else "", sentence=sentence)
        self._out.append(Report("warning", sentence, self.head.round + 1, culprit))

    def _blame(self, faults: list[Fault], owner: bytes | None = None) -> None:
        for fault in faults:
            self._fault(fault.culprit or owner, fault.sentence)

    def _save(self) -> None:
        own, head = self.own, self.head
        state = PrivateState(
            version=own.number,
            status=own.status.value,
            sid=own.sid,
            head=head.record,
            head_transcript=head.transcript,
            head_round=head.round,
            local=own.local,
            base=own.base,
            metrics=(own.own.examples, own.own.correct, own.own.loss),
        )
        self._out.append(Save(state))


def _preference(judged: Judged) -> tuple[bool, bytes]:
    """Of two ways to close one session the scored one counts, then the lower record: the smaller tuple wins."""
    return judged.transcript.direction == NOTHING, judged.standing.record
