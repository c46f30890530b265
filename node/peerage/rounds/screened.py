"""What becomes of a peer whose update did not pass a screening (docs/sketches.md), so that it is not tried for ever.

Its own peer drops that update and trains anew from the next model: what has been projected once goes into no other
session. The others go on without it for a while: it sits one round out, two after a second time in a row, up to eight.
That follows from the records, which all who stand on one have alike. Who was convicted of a lie by what it signed is
in no later session of those who saw the proof. Where two contradict each other and the session comes to nothing, both
sit out until the next record: one of them lied, and so the round goes on without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage_crypto.sketch_judge import LIES
from peerage_crypto.sketch_member import SketchingMember
from peerage_crypto.thresholds import smallest_roster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerage.rounds.round_state import RoundState
    from peerage.rounds.session_run import SessionRun
    from peerage_crypto.secagg_judge import Fault, Proven
    from peerage_ledger.judgement import Judged

LONGEST_PAUSE = 8  # rounds


def pauses(history: Sequence[Judged]) -> frozenset[bytes]:
    """Who sits the next round out, by the records so far."""
    streak: dict[bytes, int] = {}
    until: dict[bytes, int] = {}
    for judged in history:
        screening = judged.proven.screening
        failed = screening.failed if screening else {}
        streak |= dict.fromkeys(judged.proven.u3, 0)
        for peer in failed:
            streak[peer] = streak.get(peer, 0) + 1
            until[peer] = judged.transcript.round + min(streak[peer], LONGEST_PAUSE)
    next_round = history[-1].transcript.round + 1 if history else 0
    return frozenset(peer for peer, last in until.items() if next_round <= last)


def refresh(s: RoundState) -> None:
    """Who sits out may have changed. Never so many that a round would be impossible without them."""
    if s.federation.sketches is None:  # no screenings; a schedule, which leaves enough of them, may give turns
        round_ = s.head.round + 1
        s.membership.out = frozenset(p for p in s.federation.registered if s.federation.scale(p, round_) is None)
        return
    room = len(s.federation.registered) - smallest_roster(len(s.federation.registered))
    order = [*sorted(s.convicted), *sorted(pauses(s.history)), *sorted(s.suspected)]
    s.membership.out = frozenset(list(dict.fromkeys(order))[:room])


def suspect(s: RoundState, run: SessionRun) -> None:
    """A session came to nothing: whoever stands in an open contradiction may be why."""
    if isinstance(run.member, SketchingMember) and run.member.disputed:
        s.suspected |= run.member.disputed
        refresh(s)


def convict(s: RoundState, faults: Sequence[Fault]) -> bool:
    """Whether these faults are lies in a screening that name their liars: then it, and not who told me, is to blame."""
    liars = [f for f in faults if f.code in LIES and f.culprit is not None]
    for fault in liars:
        s.fault(fault.culprit, fault.sentence)
        s.convicted |= {fault.culprit} if fault.culprit is not None else set()
    refresh(s)
    return bool(liars) and len(liars) == len(faults)


def release(s: RoundState, sid: bytes, proven: Proven) -> None:
    """A certificate that leaves me out frees my version (nobody gives its self seed), unless it was projected."""
    if s.own.sid != sid or s.me not in proven.u2 or s.me in proven.u3:
        return
    why = proven.screening.failed.get(s.me, "") if proven.screening else ""
    runs = [run for run in (s.session, s.left, s.closing) if run and run.sid == sid]
    sketched = any(isinstance(run.member, SketchingMember) and run.member.sketched for run in runs)
    if why:
        s.journal("screened out", version=s.own.number, sid=sid.hex(), why=why)
        s.own = s.own.dropped()
    elif sketched:
        s.journal("spent", version=s.own.number, sid=sid.hex())
        s.own = s.own.spent()
    else:
        s.journal("released", version=s.own.number, sid=sid.hex())
        s.own = s.own.released()
