"""One peer's rounds as a value: events in, effects out. No clock, no socket, no randomness of its own.

The life of a round (docs/round.md tells it in prose, with the table of states), one module for each step:

    freshness   train, and tell the others that my version is newer than what the model contains
    joining     open a session, or join one
    leaving     carry a session on (session_run), and decide what becomes of my version when it fails
    results     recompute the sum, acknowledge the result, adopt it when a quorum has
    gradients   where validation is private: the sums that the direction is made of
    openings    open one number of each update for the scores (scoring_step), close the round
    pair_audits drawn pairs show the keys of their masks before it is closed
    standing    stand on its record; catch up with a longer chain (chase)
    settlement  after an epoch's last round: agree on the rewards (epochs says where one ends, and what it pays)

What they share is `round_state`. This module is the door: it hands each event to its step, and then looks at what is
due next, so that no step needs to know who comes after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peerage import effects as fx
from peerage import messages as m
from peerage.rounds import (
    epochs,
    freshness,
    gradients,
    joining,
    leaves,
    leaving,
    openings,
    pair_audits,
    recovery,
    results,
    screened,
    standing,
)
from peerage.rounds.aggregation import Metrics
from peerage.rounds.round_state import Manifests, RoundState, Rules
from peerage.rounds.session_run import LEAD_TIMER, REMIND_TIMER, STEP_TIMER
from peerage.rounds.settlement import Settlement
from peerage.rounds.version import OwnVersion, Status
from peerage_crypto.opening import Openings, Pledge
from peerage_crypto.pair_audit import Drawn, Late, Shown, Spoken
from peerage_crypto.session import (
    Ballot,
    Certificate,
    Dealt,
    Frozen,
    Gathered,
    Manifest,
    Revealed,
    RosterMessage,
    Survivors,
)
from peerage_crypto.sketch_messages import Approval, Cleared, Screened, Seeded, SeedShares, Sketched
from peerage_ledger.transcript import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    from peerage.messages import Message

__all__ = ["Engine", "Manifests", "Rules"]


class Engine(RoundState):
    """One peer. Others use `handle`, and read `me`, `head`, `history`, `membership`."""

    def handle(self, event: fx.Event) -> list[fx.Effect]:  # noqa: C901, PLR0912 - one line for each event
        """Take one event; returns the effects to carry out, in order."""
        self.out = []
        match event:
            case fx.Started(saved, lost):
                self._on_started(saved)
                if lost:
                    recovery.start(self)
            case fx.Trained():
                freshness.on_trained(self, event)
            case fx.Received(sender, message):
                self._on_message(sender, message)
            case fx.Fetched(artefact, blob):
                self._on_fetched(artefact, blob)
            case fx.Unfetched(owner, artefact):
                self._on_unfetched(owner, artefact)
            case fx.PeerUp(peer):
                freshness.on_up(self, peer)
            case fx.PeerDown(peer):
                self._on_down(peer)
            case fx.Timeout(name):
                self._on_timeout(name)
            case fx.Measured():
                gradients.on_measured(self, event)
            case fx.Scored():
                openings.on_scored(self, event)
            case fx.RoundVoided(record):
                self._on_voided(record)
            case fx.RootsStand(roots):
                self.roots = roots
                self._heed_roots()
            case fx.EmissionsClosed() | fx.Published() | fx.RootVoided():
                pass  # the settlement's own
        if self.settlement:
            self.out += self.settlement.handle(event)
        self._go_on()
        return self.out

    # -- what is due next ----------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        while self.replay:
            self.replay = False
            early, self.early = self.early, {}
            for sender, messages in early.items():
                for message in messages:
                    self._on_message(sender, message)
        if self.chase and self.chase.owner == self.me:
            return  # first find out where I stood in my earlier life
        recovery.end_if_safe(self)
        if self.recovery is None:
            freshness.train_if_due(self)
            freshness.announce_if_new(self)
        if self.settlement is not None and self.settlement.over and not self.settlement.final:
            self._end_epoch(self.settlement)
        if self.settlement is None and self.head.round >= self._epoch_end():
            self._settle(self._epoch_end())

    def _epoch_end(self) -> int:
        return epochs.end_of(self.rules.rounds, self.rules.epoch, self.paid_rounds)

    def _settle(self, end: int) -> None:
        """Agree on the pay of the epoch that ends with round `end`; training goes on beside it."""
        line = self.history[:end]
        self.settlement = Settlement(
            me=self.me,
            account=self.account,
            federation=self.federation,
            head=line[-1].standing if line else self.genesis,
            books=self.books(end),
            records=tuple(j.record for j in line[self.paid_rounds :]),
            membership=self.membership,
            patience=self.rules.patience,
            stagger=self.rules.stagger,
            hold=results.PATIENT_STALLS * self.rules.stall_seconds,
            disputed=next((self.disputed[r] for j in line if (r := j.standing.record) in self.disputed), ""),
            epoch=len(self.paid) + 1,
            final=end == self.rules.rounds,
        )
        self._heed_roots()
        self.out += self.settlement.start()
        self.replay = True
        self._go_on()

    def _end_epoch(self, settled: Settlement) -> None:
        """Its root can be voided no more: what follows builds on it."""
        self.paid.append(epochs.Paid(settled.epoch, settled.head.record, settled.books))
        self.proofs[settled.head.record] = settled.answer
        self.settlement = None
        self.journal("paid", epoch=settled.epoch, record=settled.head.record.hex())

    def _heed_roots(self) -> None:
        """The chain may have the root of my epoch already: I was away, or hear of it before its signatures reach me."""
        settlement = self.settlement
        if settlement is None or settlement.over or len(self.roots) < settlement.epoch:
            return
        end, root = self._epoch_end(), self.roots[settlement.epoch - 1]
        void = self.voided.intersection(j.standing.record for j in self.history[self.paid_rounds : end])
        books = epochs.matching(root, void, lambda left_out: self.books(end, left_out))
        if books is not None:
            self.out += settlement.shown(root, books)

    # -- events that concern more than one step ------------------------------------------------------------------------

    def _on_started(self, saved: fx.PrivateState | None) -> None:
        screened.refresh(self)
        self.journal("started", version=saved.version if saved else 0)
        if saved is None:
            return
        status = Status(saved.status)
        held = status in (Status.LOCKED, Status.SPENT)
        self.own = OwnVersion(
            saved.version,
            Status.SPENT if held else status,  # the secrets of its session died with the earlier life
            saved.sid,
            saved.local,
            saved.base,
            Metrics(1, *saved.metrics),
            sent=saved.local if held else None,
            sent_sid=saved.sid if held else b"",
            usual=saved.usual,
        )
        self.been_in = {saved.sid, *saved.been_in}
        if saved.head_transcript != NOTHING:
            self.awaiting = saved.head
            standing.pursue(self, self.me, saved.head_transcript, saved.head_round)
        if saved.acked:
            self._remember(saved.acked)
        self.out.append(fx.Broadcast(m.HeadRequest()))

    def _remember(self, acked: bytes) -> None:
        message = m.decode(self.me, acked)
        if isinstance(message, m.Result):
            results.remember(self, message)

    def _on_fetched(self, artefact: bytes, blob: bytes) -> None:
        if self.session:
            leaving.run(self, self.session.fetched(artefact, blob))
        if leaves.on_fetched(self, artefact, blob):
            results.check_again(self)
        results.on_fetched(self, artefact, blob)
        gradients.on_fetched(self, artefact, blob)
        openings.on_fetched(self, artefact, blob)
        standing.on_fetched(self, artefact, blob)

    def _on_unfetched(self, owner: bytes, artefact: bytes) -> None:
        if self.session:
            leaving.run(self, self.session.unfetched(owner, artefact))
        leaves.on_unfetched(self, artefact)
        results.on_unfetched(self, artefact)
        gradients.on_unfetched(self, artefact)
        standing.on_unfetched(self, artefact)

    def _on_voided(self, record: bytes) -> None:
        """Training stands on it all the same; pay does not."""
        self.voided.add(record)
        if self.settlement:
            self.out += self.settlement.rebook(self.books(self._epoch_end()))

    def _on_down(self, peer: bytes) -> None:
        self.membership.lost(peer)
        leaving.on_down(self, peer)
        openings.on_down(self, peer)
        standing.on_down(self, peer)

    def _on_timeout(self, name: str) -> None:
        kind, _, rest = name.partition(":")
        sid, _, step = rest.partition(":")
        session = self.session
        if kind == "open":
            freshness.on_open_timer(self)
        elif kind == "lost":
            recovery.on_timer(self)
        elif kind in _TIMERS:
            _TIMERS[kind](self, bytes.fromhex(sid))
        elif session is None or session.sid.hex() != sid:
            return
        elif kind == LEAD_TIMER:
            leaving.run(self, session.lead_deadline())
        elif kind == STEP_TIMER:
            leaving.run(self, session.deadline(step))
        elif kind == REMIND_TIMER:
            leaving.run(self, session.remind(step))
        elif kind == "session":
            leaving.leave(self, "no step of it came in time")

    # -- messages ------------------------------------------------------------------------------------------------------

    def _on_message(self, sender: bytes, message: Message) -> None:
        if sender not in self.federation.registered or sender == self.me:
            return
        take = _MESSAGES.get(type(message))
        if take is None:
            self.fault(sender, "it sent a message of plain exchange, and updates are masked here")
            return
        take(self, sender, message)

    def on_session_message(self, sender: bytes, message: Any) -> None:  # noqa: ANN401 - one of eight session messages
        """A message of the session's own machines; one that comes before its opening waits."""
        if self.session and self.session.sid == message.sid:
            leaving.run(self, self.session.receive(sender, message))
        elif self.closing is None or self.closing.sid != message.sid:
            self.keep_early(sender, message)

    def on_settling(self, sender: bytes, message: Any) -> None:  # noqa: ANN401 - one of four settlement messages
        """A message of a settlement. One of an epoch that I have not closed waits; one of a past epoch is answered."""
        settlement, asks = self.settlement, isinstance(message, m.Settling | m.Proposal)
        record = None if isinstance(message, m.RewardVote) else message.record
        if isinstance(message, m.Settled):
            self.settled_on[sender].append(message.record)
            if self.settles(message.record) and not self.contains(message.record):
                self.rejected.clear()  # what follows that record counts more than mine: look at it again
        if record in self.proofs:
            self.out += [fx.Send(sender, self.proofs[record])] if asks else []
            return
        if settlement is not None and record in {None, settlement.head.record}:
            self.out += settlement.receive(sender, message)
            return
        if settlement is None or not settlement.final:
            self.keep_early(sender, message)
        if record is not None and asks and not self.contains(record) and (settlement or self.paid):
            self.out.append(fx.Send(sender, self.closed()))  # it closed that round in another way than I
            told = settlement.answer if settlement and settlement.over else self.settled() if self.paid else None
            self.out += [fx.Send(sender, told)] if told else []


_SESSION = (
    *(RosterMessage, Dealt, Frozen, Manifest, Gathered, Survivors, Ballot, Certificate, Revealed),
    *(SeedShares, Seeded, Sketched, Screened, Approval, Cleared),
)
_SETTLEMENT = (m.Settling, m.Proposal, m.RewardVote, m.Settled)
_MESSAGES: dict[type, Callable[[Engine, bytes, Any], None]] = {
    m.Fresh: freshness.on_fresh,
    m.HeadRequest: freshness.on_head_request,
    m.Open: joining.on_open,
    m.Join: joining.on_join,
    m.Refusal: leaving.on_refusal,
    m.Abandoned: leaving.on_abandoned,
    m.Abstained: leaving.on_abstained,
    m.Result: results.on_result,
    m.Ack: results.on_ack,
    m.LeavesAsked: leaves.on_asked,
    m.LeavesTold: results.on_leaves,
    m.Gradient: gradients.on_gradient,
    m.GradientAsked: gradients.on_asked,
    m.NoGradient: gradients.on_none,
    m.Direction: openings.on_direction,
    Pledge: openings.on_pledge,
    Openings: openings.on_openings,
    m.Products: openings.on_products,
    Spoken: pair_audits.on_spoken,
    Late: openings.on_late,
    Drawn: pair_audits.on_drawn,
    Shown: openings.on_shown,
    m.Closed: standing.on_closed,
    **dict.fromkeys(_SESSION, Engine.on_session_message),
    **dict.fromkeys(_SETTLEMENT, Engine.on_settling),
}
_TIMERS: dict[str, Callable[[Engine, bytes], None]] = {
    "result": results.on_result_timer,
    "bound": results.on_bound_timer,
    "leaves": results.on_leaves_timer,
    "abort": leaving.on_abort_timer,
    "gradients": gradients.on_timer,
    "ungraded": gradients.on_deadline,
    "direct": openings.on_direct_timer,
    "numbers": openings.on_numbers_timer,
    "redraw": openings.on_redraw_timer,
    "audit": openings.on_audit_timer,
    "close": openings.on_close_timer,
}
