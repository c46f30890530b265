"""Training, and being fresh: a peer whose version is newer than what the model contains is news to the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from peerage.effects import Broadcast, Phase, Send, SetTimer, Train
from peerage.rounds import recovery
from peerage.rounds.aggregation import carry_over, metrics
from peerage.rounds.joining import open_session
from peerage.rounds.results import tell
from peerage.rounds.standing import pursue
from peerage.rounds.version import Status

if TYPE_CHECKING:
    from peerage import messages as m
    from peerage.effects import Trained
    from peerage.rounds.round_state import RoundState

RETRY_SECONDS = 0.5  # after a session that failed, doubled with each further one


def train_if_due(s: RoundState) -> None:
    """Fine-tune the local model unless a version waits to be used, or training failed on this very record."""
    due = s.own.status in (Status.TRAINING, Status.SPENT) and s.target < s.rules.rounds
    due = due and s.federation.scale(s.me, s.target + 1) is not None  # nothing is trained in a round without a turn
    if due and s.training_from is None and s.ill_on != s.head.record:
        s.training_from = s.own.base
        state = s.candidate.state if s.candidate else s.head.state  # of the model that my work counts from
        correction = s.rules.optimiser.correction(state, s.own.usual, s.parameters)
        s.out += [Phase("train"), Train(s.own.local, s.own.number + 1, correction)]


def on_trained(s: RoundState, event: Trained) -> None:
    """A fine-tune is done; what was merged meanwhile moves it along."""
    if s.training_from is None:
        return
    started_from, s.training_from = s.training_from, None
    s.out.append(Phase("wait"))
    if not np.isfinite(event.model).all():
        s.ill_on = s.head.record
        s.fault(s.me, "training left a NaN or an infinity in the model: this peer sits the round out")
        return
    local = event.model if started_from is s.own.base else carry_over(event.model, started_from, s.own.base)
    told = (event.examples, event.correct, event.mean_loss) if s.rules.noise is None else (0, 0, 0.0)
    s.own = s.own.trained(local, metrics(*told))  # with noise, what no noise covers stays at home
    s.journal("trained", version=s.own.number)
    s.save()


def announce_if_new(s: RoundState) -> None:
    """Tell everybody of my free version, once; open a round when it is my turn."""
    news = s.news()
    if not news.ready or s.session is not None:
        return
    if news != s.announced:
        s.announced = news
        s.membership.heard(s.me, news)
        s.retrying = s.attempts > 0
        patience = min(s.rules.patience, RETRY_SECONDS * 2.0 ** (s.attempts - 1)) if s.retrying else s.rules.patience
        s.out += [Broadcast(news), SetTimer("open", patience + s.rules.stagger * s.membership.rank(s.head.record))]
    maybe_open(s, waited=False)


def maybe_open(s: RoundState, *, waited: bool) -> None:
    """Open when everybody who is there is fresh, or as many as wait for nobody, and it is my turn; or when I have
    waited long enough for them.
    """
    if s.session or not s.news().ready:
        return
    fresh = s.membership.fresh(s.head.record)
    if not s.membership.enough(fresh) or s.me not in fresh:
        return
    complete = s.membership.live() <= fresh or 0 < s.rules.open_at <= len(fresh)
    if waited or (complete and s.attempts == 0 and s.membership.turn(s.head.record, fresh) == s.me):
        open_session(s, fresh)


def on_open_timer(s: RoundState) -> None:
    """I have waited for the others: open with those who are fresh, or tell them again that I am.

    After a session that failed the first wait is short, and opens only when everybody who is there is fresh again.
    """
    if s.retrying and not s.membership.live() <= s.membership.fresh(s.head.record):
        s.retrying = False
        s.out.append(SetTimer("open", s.rules.patience + s.rules.stagger * s.membership.rank(s.head.record)))
        return
    maybe_open(s, waited=True)
    if s.session is None and s.own.status is Status.FREE and s.head.round < s.rules.rounds:
        s.out += [SetTimer("open", s.rules.patience), Broadcast(s.news())]


def on_fresh(s: RoundState, sender: bytes, news: m.Fresh) -> None:
    """A peer says where it stands: catch up with it, or let it catch up with me."""
    s.membership.heard(sender, news)
    recovery.heard(s, sender, news)
    if news.record != s.head.record:
        if news.round >= s.head.round and news.round > 0 and news.record not in s.rejected:
            pursue(s, sender, news.transcript, news.round)
        elif news.round <= s.head.round:
            s.out.append(Send(sender, s.news()))
    elif news.ready:
        tell(s, sender)


def on_head_request(s: RoundState, sender: bytes, _: m.HeadRequest) -> None:
    s.out.append(Send(sender, s.news()))
    tell(s, sender)
    recovery.tell(s, sender)


def on_up(s: RoundState, peer: bytes) -> None:
    """A peer is back: tell it where I stand."""
    s.membership.back(peer)
    s.out.append(Send(peer, s.news()))
    tell(s, peer)
