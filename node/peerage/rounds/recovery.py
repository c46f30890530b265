"""After a lost disk: a peer that has its keys and nothing else takes part in nothing until it cannot contradict itself.

It does not know what it signed, nor which version it put into which sum. So it only follows, until the next record is
closed: a session on the record before may hold a join, a vote or an acknowledgement of its earlier life, one on a new
record cannot. Where no next record comes (three peers cannot close one without it), it waits until every session of
that life must have ended, and joins only sessions that are new to it. It goes on above every version of its own that
the model contains or that the others saw it join with: they send its own signed joins back, so nobody can invent one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from peerage import messages as m
from peerage.effects import Broadcast, Report, Send, SetTimer
from peerage.rounds.results import PATIENT_STALLS
from peerage_crypto.thresholds import colluders, quorum, smallest_roster

if TYPE_CHECKING:
    from peerage.rounds.round_state import RoundState

KEPT_JOINS = 8  # of each peer, the newest: what it needs if it loses its disk
LEAP = 100  # versions left out: more than one record's failed sessions can have used up unheard


@dataclass
class Recovery:
    """What the others have answered since my disk was lost: their rounds, and my own joins."""

    rounds: dict[bytes, int] = field(default_factory=dict[bytes, int])  # each peer's first answer
    version: int = 0  # the highest that I joined with, as far as anybody remembers
    waited: bool = False


def start(s: RoundState) -> None:
    """My state is gone: ask everybody where they stand and what I did."""
    s.recovery = Recovery()
    sentence = "this peer starts with its keys and no state: it follows, and takes part from the next record on"
    s.out += [
        Report("warning", sentence, 0),
        Broadcast(m.HeadRequest()),
        SetTimer("lost", PATIENT_STALLS * s.rules.stall_seconds),
    ]


def remember(s: RoundState, sender: bytes, message: m.Join) -> None:
    """Keep a peer's newest joins for it."""
    kept = s.joins_of.setdefault(sender, deque(maxlen=KEPT_JOINS))
    if message not in kept:
        kept.append(message)


def tell(s: RoundState, peer: bytes) -> None:
    """A peer asks where we stand: it may have lost what it signed."""
    s.out += [Send(peer, join) for join in s.joins_of.get(peer, ())]


def on_own_join(s: RoundState, message: m.Join) -> None:
    """A join that I signed, from somebody who kept it."""
    if s.recovery is not None:
        s.been_in.add(message.signed.statement.sid)
        s.recovery.version = max(s.recovery.version, message.signed.statement.version)


def heard(s: RoundState, peer: bytes, news: m.Fresh) -> None:
    """Where a peer stands; its first answer counts, because later ones may be about the next record."""
    if s.recovery is not None:
        s.recovery.rounds.setdefault(peer, news.round)


def on_timer(s: RoundState) -> None:
    """Whatever my earlier life was in is over by now."""
    if s.recovery is not None:
        s.recovery.waited = True
        s.out += [Broadcast(m.HeadRequest()), SetTimer("lost", s.rules.patience)]


def end_if_safe(s: RoundState) -> None:
    """Take part again on the next record, or after the wait on this one."""
    recovery = s.recovery
    if recovery is None or len(recovery.rounds) < _enough(s):
        return
    newest = max(recovery.rounds.values())
    if s.head.round > newest or (recovery.waited and s.head.round == newest):
        s.recovery = None
        known = max(recovery.version, s.head.versions.get(s.me, 0))
        s.own = replace(s.own, number=known + LEAP)
        s.journal("recovered", version=s.own.number)
        s.save()


def _enough(s: RoundState) -> int:
    """So many others must have answered that one of them was in every session that I can have been in."""
    n = len(s.federation.registered)
    return min(n - 1, n - min(smallest_roster(n), quorum(n, colluders(n))) + 1)
