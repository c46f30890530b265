"""A session on its way and at its end: carry its effects on, and decide what becomes of my version when it fails.

Before the masked vector has left, the version is free at once. After it, only an abort certificate frees it: enough
members signed that they have not voted and never will, so no certificate of survivors can exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage import messages as m
from peerage.effects import Broadcast, Phase, Report, SetTimer, Store
from peerage.rounds.aggregation import canonical
from peerage.rounds.results import on_result
from peerage.rounds.screened import convict, suspect
from peerage.rounds.version import Status
from peerage_crypto import secagg_collector as sc
from peerage_crypto.digest import sha256
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.statements import Signed
from peerage_ledger.judgement import judge_result
from peerage_ledger.transcript import NOTHING, encode

if TYPE_CHECKING:
    from peerage.effects import Effect
    from peerage.rounds.round_state import RoundState
    from peerage.rounds.session_run import SessionRun


def run(s: RoundState, effects: list[Effect]) -> None:
    """Carry a session's effects on, and look at what became of it."""
    s.out += effects
    session = s.session
    if session is None:
        return
    if session.member and session.member.voted and session.asked_for:
        s.voted_for[session.sid] = session.asked_for  # from now on their sum may become known
    if session.advanced():
        s.out.append(SetTimer(f"session:{session.sid.hex()}", s.rules.stall_seconds))
    if session.broken_by is not None:
        broken_by, session.broken_by = session.broken_by, None
        s.avoid(broken_by)
    if session.summed is not None:
        summed, session.summed = session.summed, None
        _on_summed(s, session, summed)
    elif session.over:
        still_collecting = session.collector is not None and session.collector.step is not sc.Step.ABANDONED
        if not still_collecting:
            leave(s, session.over)


def _on_summed(s: RoundState, session: SessionRun, summed: sc.Summed) -> None:
    """The initiator knows the sum: publish its proof, and treat it like everybody else does."""
    blob, total = encode(summed.transcript), ring_bytes(summed.total)
    judged = judge_result(s.federation, s.head, summed.transcript, total, s.merge)
    if isinstance(judged, list):
        if convict(s, judged):  # the proof, so that all go on without the liar
            void = m.Result(session.sid, sha256(blob), len(blob), summed.transcript.sum_artefact, NOTHING)
            s.out += [Store(blob), Store(total), Broadcast(void)]
        s.out.append(Broadcast(m.Abandoned(session.sid, judged[0].sentence[:300])))
        for fault in judged:
            if fault.culprit not in s.convicted:
                s.fault(fault.culprit, fault.sentence)
        if judged[0].code == "sum-bounds":  # a member's vector, or a leader's sum: the next one I add up myself
            s.false_leaders |= {signed.signer(session.plan.domain) for signed in summed.transcript.gathered}
        leave(s, judged[0].sentence)
        return
    model = canonical(judged[2].model)
    result = m.Result(session.sid, sha256(blob), len(blob), summed.transcript.sum_artefact, sha256(model))
    s.out += [Store(blob), Store(total), Store(model), Broadcast(result)]
    on_result(s, s.me, result)


def on_abandoned(s: RoundState, sender: bytes, message: m.Abandoned) -> None:
    """The initiator gave it up."""
    if s.session and s.session.sid == message.sid and sender == s.session.plan.initiator:
        leave(s, f"its initiator gave it up: {message.sentence}")


def on_refusal(s: RoundState, sender: bytes, message: m.Refusal) -> None:
    """A member goes no further in my session."""
    s.journal("refusal", sid=message.sid.hex(), by="0x" + sender.hex(), sentence=message.sentence)
    if s.session and s.session.sid == message.sid and s.session.collector:
        run(s, s.session.joins(s.session.collector.on_refusal(sender)))


def on_down(s: RoundState, peer: bytes) -> None:
    """A peer is gone: nothing more is expected of it; without its initiator a session goes nowhere."""
    session = s.session
    if session is None:
        return
    if peer == session.plan.initiator and all(result.sid != session.sid for result in s.outcomes):
        leave(s, "its initiator is gone")
    else:
        run(s, session.down(peer))


def leave(s: RoundState, why: str) -> None:
    """The session ends here without a result: what becomes of my version?"""
    session, s.session = s.session, None
    if session is None:
        return
    s.attempts += 1
    s.journal("left", sid=session.sid.hex(), why=why)
    number = session.plan.opened.round
    s.out += [Report("warning", f"round {number} was not completed: {why}", number), Phase("wait")]
    suspect(s, session)
    member = session.member
    if s.own.status is not Status.LOCKED or s.own.sid != session.sid:
        return
    if member is None or not member.u2:
        s.own = s.own.released()
        s.save()
        return
    statement = member.abstain()
    if isinstance(statement, Signed):
        s.signing(statement.statement)
        s.out.append(Broadcast(m.Abstained(statement)))
        s.abstentions.setdefault(session.sid, set()).add(s.me)
    s.left = session
    s.out.append(SetTimer(f"abort:{session.sid.hex()}", s.rules.step_seconds))
    _maybe_aborted(s, session.sid)


def on_abstained(s: RoundState, sender: bytes, message: m.Abstained) -> None:
    """Somebody signed that it has not voted and never will."""
    signed = message.signed
    mine = {session.sid for session in (s.left, s.session) if session}
    if signed.statement.sid in mine and signed.is_by(sender, s.federation.domain):
        s.abstentions.setdefault(signed.statement.sid, set()).add(sender)
        _maybe_aborted(s, signed.statement.sid)


def _maybe_aborted(s: RoundState, sid: bytes) -> None:
    """N - T + 1 + c abstentions: then no certificate can ever exist, and the version is free again."""
    session = s.left
    if session is None or session.sid != sid or s.own.status is not Status.LOCKED or s.own.sid != sid:
        return
    roster = session.member.roster if session.member else None
    if roster is None:
        return
    limits = roster.limits
    if len(s.abstentions.get(sid, set()) & set(roster.members)) >= limits.losses + 1 + limits.colluders:
        s.journal("released", version=s.own.number, sid=sid.hex())
        s.own = s.own.released()
        s.save()


def on_abort_timer(s: RoundState, sid: bytes) -> None:
    """No abort certificate in time: a certificate of survivors may exist somewhere, so the version is spent."""
    if s.own.status is Status.LOCKED and s.own.sid == sid and s.session is None:
        s.journal("spent", version=s.own.number, sid=sid.hex())
        s.own = s.own.spent()
        s.save()
