"""One peer's rounds as a value: events in, effects out. No clock, no socket, no randomness of its own.

The life of a round (docs/round.md tells it in prose, with the table of states), one module for each step:

    freshness   train, and tell the others that my version is newer than what the model contains
    joining     open a session, or join one
    leaving     carry a session on (session_run), and decide what becomes of my version when it fails
    results     recompute the sum, acknowledge the result, adopt it when a quorum has
    openings    open one number of each update for the scores (scoring_step), close the round
    standing    stand on its record; catch up with a longer chain (chase)
    settlement  after the last round: agree on the rewards

What they share is `round_state`. This module is the door: it hands each event to its step, and then looks at what is
due next, so that no step needs to know who comes after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peerage import effects as fx
from peerage import messages as m
from peerage.rounds import freshness, joining, leaving, openings, results, standing
from peerage.rounds.aggregation import Metrics
from peerage.rounds.round_state import Manifests, RoundState, Rules
from peerage.rounds.session_run import REMIND_TIMER, STEP_TIMER
from peerage.rounds.settlement import Settlement
from peerage.rounds.version import OwnVersion, Status
from peerage_crypto.opening import Openings, Pledge
from peerage_crypto.session import (
    Ballot,
    Certificate,
    Dealt,
    Frozen,
    Manifest,
    Revealed,
    RosterMessage,
    Survivors,
)
from peerage_ledger.rewards import totals
from peerage_ledger.transcript import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    from peerage.messages import Message

__all__ = ["Engine", "Manifests", "Rules"]


class Engine(RoundState):
    """One peer. Others use `handle`, and read `me`, `head`, `history`, `membership`."""

    def handle(self, event: fx.Event) -> list[fx.Effect]:  # noqa: C901 - one line for each event
        """Take one event; returns the effects to carry out, in order."""
        self.out = []
        match event:
            case fx.Started(saved):
                self._on_started(saved)
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
            case fx.Scored():
                openings.on_scored(self, event)
            case fx.EmissionsClosed() | fx.Published():
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
        freshness.train_if_due(self)
        freshness.announce_if_new(self)
        if self.head.round >= self.rules.rounds and self.settlement is None:
            self._settle()

    def _settle(self) -> None:
        self.settlement = Settlement(
            me=self.me,
            account=self.account,
            federation=self.federation,
            head=self.head,
            totals=totals(self.pay),
            records=tuple(j.record for j in self.history),
            membership=self.membership,
            patience=self.rules.patience,
            stagger=self.rules.stagger,
            disputed=next((self.disputed[r] for j in self.history if (r := j.standing.record) in self.disputed), ""),
        )
        self.out += self.settlement.start()
        self.replay = True
        self._go_on()

    # -- events that concern more than one step ------------------------------------------------------------------------

    def _on_started(self, saved: fx.PrivateState | None) -> None:
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
        results.on_fetched(self, artefact, blob)
        openings.on_fetched(self, artefact, blob)
        standing.on_fetched(self, artefact, blob)

    def _on_unfetched(self, owner: bytes, artefact: bytes) -> None:
        if self.session:
            leaving.run(self, self.session.unfetched(owner, artefact))
        results.on_unfetched(self, artefact)
        standing.on_unfetched(self, artefact)

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
        elif kind in _TIMERS:
            _TIMERS[kind](self, bytes.fromhex(sid))
        elif session is None or session.sid.hex() != sid:
            return
        elif kind == STEP_TIMER:
            leaving.run(self, session.deadline(step))
        elif kind == REMIND_TIMER:
            leaving.run(self, session.remind(step))
        elif kind == "session":
            leaving.leave(self, "no step of it came in time")

    # -- messages ------------------------------------------------------------------------------------------------------

    def _on_message(self, sender: bytes, message: Message) -> None:
        if sender in self.federation.registered and sender != self.me:
            _MESSAGES[type(message)](self, sender, message)

    def on_session_message(self, sender: bytes, message: Any) -> None:  # noqa: ANN401 - one of eight session messages
        """A message of the session's own machines; one that comes before its opening waits."""
        if self.session and self.session.sid == message.sid:
            leaving.run(self, self.session.receive(sender, message))
        elif self.closing is None or self.closing.sid != message.sid:
            self.keep_early(sender, message)

    def on_settling(self, sender: bytes, message: Any) -> None:  # noqa: ANN401 - one of four settlement messages
        """A message of the settlement; one that comes before the last round is closed waits."""
        if self.settlement is None:
            self.keep_early(sender, message)
            return
        if isinstance(message, m.Settling | m.Proposal) and message.record != self.head.record:
            self.out.append(fx.Send(sender, self.closed()))  # it closed the last round in another way than I
        if isinstance(message, m.Settled):
            self.settled_on.setdefault(message.record, set()).add(sender)
            if self.settles(message.record):
                self.rejected.discard(message.record)
        self.out += self.settlement.receive(sender, message)


_SESSION = (RosterMessage, Dealt, Frozen, Manifest, Survivors, Ballot, Certificate, Revealed)
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
    m.Direction: openings.on_direction,
    Pledge: openings.on_pledge,
    Openings: openings.on_openings,
    m.Closed: standing.on_closed,
    **dict.fromkeys(_SESSION, Engine.on_session_message),
    **dict.fromkeys(_SETTLEMENT, Engine.on_settling),
}
_TIMERS: dict[str, Callable[[Engine, bytes], None]] = {
    "result": results.on_result_timer,
    "bound": results.on_bound_timer,
    "abort": leaving.on_abort_timer,
    "direct": openings.on_direct_timer,
    "numbers": openings.on_numbers_timer,
    "close": openings.on_close_timer,
}
