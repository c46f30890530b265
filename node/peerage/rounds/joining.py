"""Opening a session, and joining one: the version is locked on disk before anything leaves this peer."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from peerage import messages as m
from peerage.effects import Broadcast, Phase, Send, SetTimer
from peerage.privacy.caution import Caution
from peerage.privacy.noise import with_noise
from peerage.rounds import recovery
from peerage.rounds.aggregation import masked_input, update_of
from peerage.rounds.leaving import run
from peerage.rounds.results import tell
from peerage.rounds.sampling import only
from peerage.rounds.session_run import SessionRun
from peerage.rounds.version import Status
from peerage.scheduling.policies import own_scale
from peerage_crypto.digest import sha256
from peerage_crypto.secagg_member import Stage, update_commitment
from peerage_crypto.sketch_collector import collector_of
from peerage_crypto.sketch_member import member_of
from peerage_crypto.statements import Opened, session_id, sign

if TYPE_CHECKING:
    from peerage.rounds.round_state import RoundState
    from peerage_crypto import secagg_collector as sc
    from peerage_crypto.session import Plan


def caution_of(s: RoundState) -> Caution:
    """Which rosters and survivors I would refuse: earlier ones are in my history, or I voted for them in vain."""
    closed = ((j.proven.roster.members, j.proven.u3) for j in s.history)
    noise = s.rules.noise
    return Caution.after(
        s.me,
        (*closed, *s.voted_for.values()),
        least_change=s.rules.least_roster_change,
        least_roster=noise.least_roster if noise else 0,
        whole=len(s.federation.registered) if s.federation.whole else 0,
    )


def scale_of(s: RoundState) -> Fraction:
    """What my update of the next round is multiplied with; others compute it from the same record."""
    due = s.federation.scale(s.me, s.head.round + 1) or Fraction(0)
    if not due or s.rules.fedau is None:
        return due
    attended = [j.transcript.round - 1 for j in s.history if s.me in j.proven.u3]
    return own_scale(s.rules.fedau, attended, s.head.round)


def open_session(s: RoundState, fresh: frozenset[bytes]) -> None:
    """Announce a session on my head, and be the first to join it; not with a roster that I would refuse myself."""
    why_not = caution_of(s).of_roster(fresh)
    if why_not:
        if why_not != s.cautioned:
            s.fault(None, f"no round is opened: {why_not}")
        s.cautioned = why_not
        return
    nonce, round_ = s.draw(), s.head.round + 1
    sid = session_id(
        chain_id=s.federation.chain_id,
        registry=s.federation.registry,
        round_=round_,
        initiator=s.me,
        parent=s.head.record,
        params=s.federation.terms,
        nonce=nonce,
    )
    opened = Opened(sid, round_, s.me, s.head.record, s.federation.terms, nonce)
    plan = s.federation.plan(opened, s.head.seed, s.head.halving)
    if plan is None:
        raise AssertionError("our own opening breaks our own terms")
    s.signing(opened)
    signed = sign(opened, s.account, s.federation.domain)
    s.out.append(Broadcast(m.Open(signed)))
    _join(s, plan, collector_of(plan, signed, fresh, frozenset(s.false_leaders)))


def on_open(  # noqa: C901 - one reason for each way not to join
    s: RoundState, sender: bytes, message: m.Open
) -> None:
    """Somebody opened a session: join it with my free version, if it is the one to join."""
    opened = message.signed.statement
    plan = s.federation.plan(opened, s.head.seed, s.head.halving)
    if plan is None or opened.initiator != sender or not message.signed.is_by(sender, s.federation.domain):
        s.fault(sender, "it opened a session that is not signed by it under this federation's terms")
        return
    if opened.parent != s.head.record or opened.round != s.head.round + 1:
        if opened.round > s.head.round:
            s.out.append(Send(sender, m.HeadRequest()))
        return
    if s.candidate is not None or s.head.round >= s.rules.rounds:
        return
    if s.recovery is not None:
        s.out.append(Send(sender, m.Refusal(opened.sid, "this peer lost its disk and sits out this record")))
        return
    if s.session is not None and s.session.sid == opened.sid and s.joined is not None:
        s.out.append(Send(sender, s.joined))  # asked again: mine was lost
        return
    if s.bound:
        s.out.append(Send(sender, m.Refusal(opened.sid, "a result on this record waits for its quorum")))
        tell(s, sender)
        return
    if sender in s.distrusted | s.membership.out:
        s.out.append(Send(sender, m.Refusal(opened.sid, "an earlier session of its on this record broke a rule")))
        return
    if s.session is not None and (opened.sid in s.been_in or not _yields_to(s, opened.sid)):
        return
    if s.own.status is Status.FREE and opened.sid not in s.been_in and s.me not in s.membership.out:
        _join(s, plan, None)


def _yields_to(s: RoundState, sid: bytes) -> bool:
    """Of two opens on one parent the lower H(sid) wins, as long as nothing but a join has left this peer."""
    session = s.session
    if session is None or sha256(sid) >= sha256(session.sid):
        return False
    if session.member and session.member.stage is not Stage.JOINED:
        return False
    if session.collector:
        s.out.append(Broadcast(m.Abandoned(session.sid, "another session on this parent has the lower name")))
    s.session = None
    s.own = s.own.released()
    return True


def _join(s: RoundState, plan: Plan, collector: sc.Collector | None) -> None:
    try:
        scale, kept = scale_of(s), s.kept
        local, base = only(s.own.local, kept), only(s.own.base, kept)
        s.update = update_of(local, base, s.rules.grid, s.dither(s.own.number), scale)
    except ValueError as error:
        s.fault(s.me, f"no join: {error}")
        return
    if s.rules.noise:
        s.update = replace(s.update, units=with_noise(s.update.units, s.rules.noise, s.draw()))
    vector = masked_input(s.update, s.own.own, s.rules.grid)
    root = s.draw()
    s.own, s.announced = s.own.locked(plan.sid), None
    s.been_in.add(plan.sid)
    declared = {"scale": str(scale)} if s.federation.turns is not None else {}
    s.journal("locked", version=s.own.number, sid=plan.sid.hex(), **declared)
    s.save()
    member = member_of(plan, s.me, s.account.sign, root, vector)
    signed = member.join(
        version=s.own.number,
        update=update_commitment(root, vector),
        data_manifest=s.manifests.data,
        code_manifest=s.manifests.code,
    )
    s.signing(signed.statement)
    session = SessionRun(plan, s.me, member, collector, s.rules.step_seconds, caution_of(s))
    s.session, s.joined, s.replay = session, m.Join(signed), True
    timer = SetTimer(f"session:{plan.sid.hex()}", s.rules.stall_seconds)
    s.out += [Phase("mask"), Broadcast(s.joined), timer]
    member.on_join(signed)
    if collector:
        run(s, session.joins(collector.on_join(signed)))


def on_join(s: RoundState, sender: bytes, message: m.Join) -> None:
    """A join is gossiped to all: the roster must contain every one that I saw."""
    session = s.session
    if message.signed.is_by(s.me, s.federation.domain):
        recovery.on_own_join(s, message)
        return
    recovery.remember(s, sender, message)
    if session is None or message.signed.statement.sid != session.sid:
        s.keep_early(sender, message)
        return
    if not message.signed.is_by(sender, session.plan.domain):
        s.fault(sender, "it sent a join that it did not sign")
        return
    if sender in s.membership.out:
        return  # no roster needs to contain it
    if message.signed.statement.version <= s.head.versions.get(sender, 0):
        s.fault(sender, "it joined with a version that the model contains already")
        return
    if session.member:
        session.member.on_join(message.signed)
    if session.collector:
        run(s, session.joins(session.collector.on_join(message.signed)))
