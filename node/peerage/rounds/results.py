"""The result of a session: recompute it, acknowledge it once, adopt it when a quorum has.

A member believes no sum: it checks the session's proof, fetches every survivor's masked vector, adds them up again and
merges. Where that would move more than READ_ALL_BYTES to each of them (large models), it checks proof, bounds and merge
only, and a wrong sum is the auditor's to find, with the initiator's signature under it. On one record it acknowledges
one result. From then on it is *bound*: it tells everybody of that result again and again and joins no other session on
the record, so that a result which one honest peer acknowledged is completed even if its initiator is gone. Only when no
quorum can be had for long is it let go.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from peerage import messages as m
from peerage.effects import Broadcast, FetchArtefact, Phase, Score, Send, SetTimer, Store
from peerage.rounds import gradients, leaves
from peerage.rounds.aggregation import canonical
from peerage.rounds.scoring_step import Candidate
from peerage.rounds.screened import convict, release
from peerage_crypto.digest import sha256
from peerage_crypto.leaf_check import sum_root
from peerage_crypto.opening import Gate
from peerage_crypto.pair_audit import auditable
from peerage_crypto.secagg_judge import Fault, judge_sum
from peerage_crypto.session import Certificate
from peerage_crypto.statements import ResultAck, Signed, sign
from peerage_ledger.judgement import joined, judge_result
from peerage_ledger.transcript import MAX_TRANSCRIPT_BYTES, decode_session

if TYPE_CHECKING:
    from peerage.rounds.leaves import LeafCheck
    from peerage.rounds.round_state import RoundState
    from peerage_crypto.session import SessionTranscript

FETCH_ATTEMPTS = 4
READ_ALL_BYTES = 2 << 20  # all masked vectors of a round together: 32 peers with 16k parameters, 5 with 100k
MANY = 16  # results, and acknowledgements, that one peer may have on one record
PATIENT_STALLS = 2  # a bound peer waits so many stalls for a quorum of acknowledgements


@dataclass
class Outcome:
    """A result on its way to being acknowledged: who told me, what has arrived of it, how often I asked in vain."""

    sender: bytes
    session: SessionTranscript | None = None
    blobs: dict[bytes, bytes] = field(default_factory=dict)
    attempts: Counter[bytes] = field(default_factory=Counter)
    candidate: Candidate | None = None
    refused: bool = False
    awaited: frozenset[bytes] = frozenset()  # the vectors without which there is nothing more to judge
    leaves: LeafCheck | None = None  # of a sum that is too large to be added up by me
    asked: int = 0  # how often I asked for leaves, or for the initiator's signature


def on_result(s: RoundState, sender: bytes, result: m.Result) -> None:
    """Somebody has the result of a session: get its proof and its sum."""
    mine = s.acks.get(result.sid, {}).get(s.me)
    if mine is not None and s.acked == result and sender != s.me:
        s.out.append(Send(sender, m.Ack(mine)))  # asked again: mine was lost
    if result in s.outcomes:
        _ask_again(s, result, sender)
        return
    told = [r for r, o in s.outcomes.items() if r.sid == result.sid and o.sender == sender]
    if result.session_bytes > MAX_TRANSCRIPT_BYTES or told:
        s.fault(sender, "it announced a second or an oversized result of one session")
        return
    if sum(o.sender == sender for o in s.outcomes.values()) >= MANY:
        return
    s.outcomes[result] = Outcome(sender)
    s.out += [
        Phase("unmask"),
        FetchArtefact(sender, result.session, MAX_TRANSCRIPT_BYTES),
        FetchArtefact(sender, result.sum_artefact, s.sum_bytes),
    ]


def _ask_again(s: RoundState, result: m.Result, sender: bytes) -> None:
    outcome = s.outcomes[result]
    if outcome.candidate and s.acked != result and outcome.asked >= leaves.ASKS:
        outcome.asked = 0
        leaves.on_timer(s, result, outcome)
    if outcome.candidate or outcome.refused:
        return
    outcome.attempts.clear()
    outcome.sender, outcome.asked = sender, 0
    if outcome.session is None:
        s.out.append(FetchArtefact(sender, result.session, MAX_TRANSCRIPT_BYTES))
    if result.sum_artefact not in outcome.blobs:
        s.out.append(FetchArtefact(sender, result.sum_artefact, s.sum_bytes))
    _fetch_vectors(s, outcome)
    judge(s, result, outcome)


def _fetch_vectors(s: RoundState, outcome: Outcome) -> None:
    for artefact, owner in _vectors(s, outcome).items():
        if artefact not in outcome.blobs:
            s.out.append(FetchArtefact(owner, artefact, s.vector_bytes))


def _vectors(s: RoundState, outcome: Outcome) -> dict[bytes, bytes]:
    """The masked vectors that I have to add up, and who signed for each; none when I am not a member of the roster."""
    session, domain = outcome.session, s.federation.domain
    if session is None or _too_much(s, session) or s.me not in {join.signer(domain) for join in session.joins}:
        return {}
    return {signed.statement.artefact: signed.signer(domain) for signed in session.manifests}


def _too_much(s: RoundState, session: SessionTranscript) -> bool:
    return len(session.manifests) * s.vector_bytes > READ_ALL_BYTES


def on_fetched(s: RoundState, artefact: bytes, blob: bytes) -> None:
    """A part of a result arrived."""
    for result, outcome in list(s.outcomes.items()):
        if outcome.candidate or outcome.refused:
            continue
        if artefact == result.session and outcome.session is None:
            try:
                outcome.session = decode_session(blob)
                vectors = _vectors(s, outcome)
            except ValueError as error:
                outcome.refused = True
                s.fault(outcome.sender, f"its result came with a session transcript that does not hold: {error}")
                continue
            if len(vectors) <= len(s.federation.registered):
                _fetch_vectors(s, outcome)
        outcome.blobs[artefact] = blob
        judge(s, result, outcome)


def on_unfetched(s: RoundState, artefact: bytes) -> None:
    """Ask again, in turn the owner and whoever told me of the result."""
    for result, outcome in s.outcomes.items():
        vectors = _vectors(s, outcome)
        if outcome.candidate or outcome.refused or artefact not in {result.session, result.sum_artefact, *vectors}:
            continue
        outcome.attempts[artefact] += 1
        tries = outcome.attempts[artefact]
        owner = vectors.get(artefact, outcome.sender) if tries % 2 == 0 else outcome.sender
        if tries < FETCH_ATTEMPTS:
            limit = MAX_TRANSCRIPT_BYTES if artefact == result.session else s.sum_bytes
            s.out.append(FetchArtefact(owner, artefact, limit))


def judge(s: RoundState, result: m.Result, outcome: Outcome) -> None:
    """Once everything is here: does the sum follow from the masked vectors, and the model from the sum?"""
    session, total = outcome.session, outcome.blobs.get(result.sum_artefact)
    if session is None or total is None or outcome.candidate or outcome.refused or s.candidate:
        return
    if session.opened.statement.parent != s.head.record:
        return  # another branch, or I am behind: the round's closing will tell
    if not outcome.blobs.keys() >= outcome.awaited:
        return  # its statements hold: no need to verify all of them again at each vector
    judged = judge_result(s.federation, s.head, session, total, s.merge)
    if isinstance(judged, list):
        _void(s, outcome, judged) if convict(s, judged) else _refuse(s, outcome, judged[0].sentence)
        return
    proven, _, (model, state) = judged
    artefacts = {p: signed.statement.artefact for p, signed in zip(proven.u3, session.manifests, strict=True)}
    # Who is no member cannot acknowledge anyway: it believes a quorum that added up.
    member = s.me in proven.roster.members and not _too_much(s, session)
    outcome.awaited = frozenset(artefacts.values() if member else ())
    if not outcome.blobs.keys() >= outcome.awaited:
        return
    faults = judge_sum(proven, session, {p: outcome.blobs[a] for p, a in artefacts.items()}, total) if member else []
    convict(s, faults)
    aggregate = sha256(canonical(model))
    if faults and faults[0].culprit not in (None, proven.roster.plan.initiator):
        _refuse_leader(s, outcome, faults[0])
        return
    if faults or aggregate != result.model or result.sid != proven.roster.plan.sid:
        _refuse(s, outcome, faults[0].sentence if faults else "its result names another model or session than its sum")
        return
    versions = joined(s.head.versions, {peer: proven.roster.join_of(peer).version for peer in proven.u3})
    root = sum_root(total, s.vector_bytes)
    outcome.candidate = Candidate(s.head, proven, session, result.session, root, model, aggregate, versions, state)
    outcome.blobs = {result.sum_artefact: total}
    _check_and_acknowledge(s, result, outcome)
    maybe_adopt(s, result.sid)


def _void(s: RoundState, outcome: Outcome, faults: list[Fault]) -> None:
    """A lie in its screening voids a round; the result is how everybody learns of the proof."""
    outcome.refused, outcome.blobs = True, {}
    s.journal("void", sid=outcome.session.opened.statement.sid.hex() if outcome.session else "", why=faults[0].sentence)


def _check_and_acknowledge(s: RoundState, result: m.Result, outcome: Outcome) -> None:
    """Sign a candidate; one whose sum I did not add up only after random leaves of it (`leaves`) were right."""
    candidate = outcome.candidate
    if candidate is None or s.candidate:
        return
    initiator, total = candidate.proven.roster.plan.initiator, outcome.blobs[result.sum_artefact]
    unread = s.me in candidate.proven.roster.members and s.me != initiator and _too_much(s, candidate.session)
    if unread and s.rules.leaves and s.acked != result:
        if outcome.leaves is None:
            outcome.leaves = leaves.begin(s, candidate, total, outcome.sender)
        found = outcome.leaves and leaves.verdict(s, outcome.leaves)
        if not found:
            return
        if isinstance(found, Fault):
            outcome.candidate, outcome.leaves = None, None
            if found.culprit == initiator:
                _refuse(s, outcome, found.sentence)
                s.distrusted.add(initiator)
            else:
                _refuse_leader(s, outcome, found)
            return
    _acknowledge(s, result, candidate)


def on_leaves(s: RoundState, sender: bytes, message: m.LeavesTold) -> None:
    """Leaves that I asked for."""
    leaves.on_told(s, sender, message)
    check_again(s)


def on_leaves_timer(s: RoundState, sid: bytes) -> None:
    """Ask again for leaves, or for the initiator's signature."""
    for result, outcome in s.outcomes.items():
        if result.sid == sid and outcome.candidate and s.acked != result and s.candidate is None:
            leaves.on_timer(s, result, outcome)


def check_again(s: RoundState) -> None:
    """Something arrived that a leaf check may have waited for."""
    for result, outcome in list(s.outcomes.items()):
        if outcome.candidate and s.acked != result and s.candidate is None:
            _check_and_acknowledge(s, result, outcome)
            maybe_adopt(s, result.sid)


def _refuse(s: RoundState, outcome: Outcome, sentence: str) -> None:
    outcome.refused, outcome.blobs = True, {}
    s.distrust(outcome.sender, sentence)


def _refuse_leader(s: RoundState, outcome: Outcome, fault: Fault) -> None:
    """Somebody else than the initiator made the sum wrong (its vector, or the sum of its bucket)."""
    outcome.refused, outcome.blobs = True, {}
    s.fault(fault.culprit, fault.sentence)
    if fault.code in {"sum-leader", "leaf-leader"} and fault.culprit:
        s.false_leaders.add(fault.culprit)


def _acknowledge(s: RoundState, result: m.Result, candidate: Candidate) -> None:
    if s.recovery is not None:
        return  # in its earlier life it may have acknowledged another
    again = s.acked is not None and (s.acked == result or not s.bound)
    if s.me not in candidate.proven.roster.members or (s.acked is not None and not again):
        return
    ack = ResultAck(result.sid, candidate.sum_root, candidate.aggregate)
    if _contradicts(s, result, ack):
        return
    s.acked, s.bound = result, True
    s.save()
    s.signing(ack)
    signed = sign(ack, s.account, s.federation.domain)
    s.acks.setdefault(result.sid, {})[s.me] = signed
    s.out += [Store(canonical(candidate.model)), Broadcast(m.Ack(signed))]
    first = s.rules.step_seconds / 3 if candidate.proven.roster.plan.initiator == s.me else s.rules.step_seconds
    s.out.append(SetTimer(f"result:{result.sid.hex()}", first))
    s.out.append(SetTimer(f"bound:{result.sid.hex()}", PATIENT_STALLS * s.rules.stall_seconds))


def _contradicts(s: RoundState, result: m.Result, ack: ResultAck) -> bool:
    """Whether I have acknowledged another result of this session: two of one session convict me, bound or not.

    A sum of which members read leaves alone can be wrong in one place, so that an initiator may hand out two of them.
    """
    mine, before = s.acks.get(result.sid, {}).get(s.me), s.acked
    if mine is not None:
        return mine.statement != ack
    other = before is not None and (before.sum_artefact, before.model) != (result.sum_artefact, result.model)
    return other and before is not None and before.sid == result.sid


def remember(s: RoundState, result: m.Result) -> None:
    """After a restart: I acknowledged this result in my earlier life; its artefacts are in my store."""
    s.acked, s.bound = result, True
    s.out.append(SetTimer(f"bound:{result.sid.hex()}", PATIENT_STALLS * s.rules.stall_seconds))
    on_result(s, s.me, result)


def tell(s: RoundState, to: bytes) -> None:
    """Tell one peer of the result that I am bound to."""
    mine = s.acks.get(s.acked.sid, {}).get(s.me) if s.acked else None
    if s.bound and s.acked and mine:  # after a restart mine is there when the result was judged again
        s.out += [Send(to, s.acked), Send(to, m.Ack(mine))]


def on_result_timer(s: RoundState, sid: bytes) -> None:
    """Still no quorum: tell everybody again."""
    if s.bound and s.candidate is None and s.acked and s.acked.sid == sid:
        s.out += [Broadcast(s.acked), SetTimer(f"result:{sid.hex()}", s.rules.step_seconds)]


def on_bound_timer(s: RoundState, sid: bytes) -> None:
    """Too few of its members are left to acknowledge it: other sessions on this record are open to me again."""
    if s.bound and s.candidate is None and s.acked and s.acked.sid == sid:
        s.bound = False
        s.journal("left", sid=sid.hex(), why="its result found no quorum of acknowledgements")


def on_ack(s: RoundState, sender: bytes, message: m.Ack) -> None:
    """One acknowledgement; a second one that differs convicts its signer."""
    signed = message.signed
    if not signed.is_by(sender, s.federation.domain):
        s.fault(sender, "it sent an acknowledgement that it did not sign")
        return
    if sum(sender in acks for acks in s.acks.values()) >= MANY and sender not in s.acks.get(signed.statement.sid, {}):
        return
    known = s.acks.setdefault(signed.statement.sid, {}).setdefault(sender, signed)
    if known.statement != signed.statement:
        s.fault(sender, "it acknowledged two different results of one session")
    check_again(s)  # it may be the initiator's, before which no leaf is asked for
    maybe_adopt(s, signed.statement.sid)


def matching_acks(s: RoundState, candidate: Candidate) -> tuple[Signed[ResultAck], ...]:
    """The acknowledgements of exactly this sum and this model, in roster order."""
    wanted = ResultAck(candidate.sid, candidate.sum_root, candidate.aggregate)
    acks = s.acks.get(candidate.sid, {})
    return tuple(acks[p] for p in candidate.proven.roster.members if p in acks and acks[p].statement == wanted)


def maybe_adopt(s: RoundState, sid: bytes) -> None:
    """A quorum acknowledged it: train on it, and compute the direction along which it is scored."""
    for result, outcome in s.outcomes.items():
        candidate = outcome.candidate
        if result.sid != sid or candidate is None or s.candidate or candidate.parent.record != s.head.record:
            continue
        if len(matching_acks(s, candidate)) >= candidate.proven.roster.limits.quorum:
            _adopt(s, candidate)


def _adopt(s: RoundState, candidate: Candidate) -> None:
    proven = candidate.proven
    s.closing = next((run for run in (s.session, s.left) if run and run.sid == candidate.sid), None)
    if s.session is s.closing:
        s.session = None
    s.drop_session("another result on its record found its quorum")
    if s.closing and s.closing.member and s.closing.member.certificate is None:
        survivors = proven.roster.survivors_digest(candidate.session.u3, candidate.session.manifests)
        proof = Certificate(candidate.sid, candidate.session.u3, survivors, candidate.session.votes)
        s.closing.member.certificate = proof  # its message was lost, but the proof of the sum contains its votes
    s.opened_update = s.update if s.own.sent_sid == candidate.sid else None
    s.candidate, s.bound, s.scored, s.pledged, s.replay = candidate, False, None, None, True
    s.opened_along = None
    s.gate, s.let_go, s.spoken, s.drawn, s.shown = Gate(proven), False, None, None, None
    s.journal("adopted", sid=candidate.sid.hex(), aggregate=candidate.aggregate.hex())
    base = s.rules.optimiser.path_start(s.head.model, s.head.step, s.head.state)
    slope = s.rules.optimiser.slope(s.head.state, candidate.state)
    step = (candidate.model.astype(np.float64) - s.head.model.astype(np.float64)).astype(np.float32)
    release(s, candidate.sid, proven)
    consumed, kept = s.own.sent_sid == candidate.sid and s.me in proven.u3, s.kept
    if consumed:
        s.learn_how_i_move()
    s.stand_on(candidate.model, step, consumed=consumed)
    opens, initiates = s.rules.openings, proven.roster.plan.initiator == s.me
    wait = s.rules.stall_seconds + s.rules.stagger * s.membership.rank(s.head.record)
    path = (candidate.model.astype(np.float64) - base.astype(np.float64)).astype(np.float32)
    if opens and proven.halves is not None:
        wait += gradients.DEADLINE_STEPS * s.rules.step_seconds
        opens = gradients.begin(s, candidate, base, path, slope)
    elif opens and (s.me in proven.u3 or initiates):
        s.out.append(
            Score(candidate.sid, candidate.round, base, path, s.applied, proven.seed(), slope=slope, kept=kept)
        )
    if opens and auditable(proven):
        wait += 2 * s.rules.step_seconds  # what draws pairs is waited for, and the keys
    wait = wait if opens or not initiates else 0.0  # nothing to wait for: the initiator closes at once
    s.out.append(SetTimer(f"close:{candidate.sid.hex()}", wait))
