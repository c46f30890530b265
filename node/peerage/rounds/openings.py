"""Opening the numbers of an adopted round (rules in `scoring_step`), and closing it with its record.

The initiator names the direction and collects. A member pledges first (signs the direction and the digest of its
numbers, to all); its numbers leave when a quorum of the survivors has pledged the same direction. When the initiator
goes silent anybody closes the round without scores, so that training goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage import messages as m
from peerage.effects import Broadcast, FetchArtefact, Phase, Record, Send, SetTimer, Store
from peerage.rounds.results import matching_acks
from peerage.rounds.scoring_step import Candidate, Scoring, agree, direction_bytes, direction_from, my_openings
from peerage.rounds.standing import close
from peerage_crypto.digest import sha256
from peerage_crypto.opening import Pledge
from peerage_ledger.judgement import Evidence
from peerage_ledger.transcript import decode_round, encode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from peerage.effects import Scored
    from peerage.rounds.round_state import RoundState
    from peerage_crypto.opening import Openings


def on_scored(s: RoundState, event: Scored) -> None:
    """My own direction of the adopted round is known; the initiator's becomes everybody's."""
    candidate = s.candidate
    if candidate is None or event.sid != candidate.sid:
        return
    s.scored = event
    s.out.append(Phase("score"))
    if candidate.proven.roster.plan.initiator == s.me and s.closing and s.closing.collector:
        blob = direction_bytes(event.direction)
        s.directed = m.Direction(candidate.sid, sha256(blob), event.exponent)
        expected = set(candidate.proven.u3) - s.membership.gone
        s.scoring = Scoring(candidate, s.closing.collector.vectors, event.direction, event.exponent, expected)
        timers = [
            SetTimer(f"numbers:{candidate.sid.hex()}", s.rules.step_seconds),
            SetTimer(f"direct:{candidate.sid.hex()}", s.rules.step_seconds / 3),
        ]
        s.out += [Store(blob), Broadcast(s.directed), *timers]
    _open_if_asked(s)


def on_direction(s: RoundState, sender: bytes, message: m.Direction) -> None:
    """The initiator asks everybody to open for this direction: one per session."""
    candidate = s.candidate
    if candidate is None or message.sid != candidate.sid:
        s.keep_early(sender, message)
        return
    if sender != candidate.proven.roster.plan.initiator:
        return
    if s.directed is not None and s.directed.sid == message.sid and s.directed != message:
        s.fault(sender, "it asked to open the same session for a second direction")
        return
    s.directed = message
    _open_if_asked(s)


def _open_if_asked(s: RoundState) -> None:
    candidate, directed, scored = s.candidate, s.directed, s.scored
    if candidate is None or directed is None or scored is None or directed.sid != candidate.sid:
        return
    if s.me not in candidate.proven.u3:
        return
    initiator = candidate.proven.roster.plan.initiator
    if directed.exponent != scored.exponent:
        _refuse(s, initiator, "the scale of the direction is not the one that the public path gives")
    elif directed.direction == sha256(direction_bytes(scored.direction)):
        _open(s, scored.direction, is_mine=True)
    else:
        s.out.append(FetchArtefact(initiator, directed.direction, 4 * s.parameters))


def on_fetched(s: RoundState, artefact: bytes, blob: bytes) -> None:
    """The initiator's direction differs from mine in bytes: is it the same for our purpose?"""
    if s.directed is None or s.scored is None or s.candidate is None or artefact != s.directed.direction:
        return
    if s.directed.sid != s.candidate.sid or s.me not in s.candidate.proven.u3:
        return
    try:
        theirs = direction_from(blob, s.parameters)
    except ValueError as error:
        s.fault(s.candidate.proven.roster.plan.initiator, str(error))
    else:
        _open(s, theirs, is_mine=agree(theirs, s.scored.direction))


def _open(s: RoundState, direction: NDArray[np.int64], *, is_mine: bool) -> None:
    candidate, session, scored = s.candidate, s.closing, s.scored
    if candidate is None or session is None or session.member is None or scored is None or s.directed is None:
        return
    if s.pledged is not None:
        s.out.append(Broadcast(Pledge(candidate.sid, s.pledged.signed)))  # asked again: mine was lost
        _let_go(s, s.pledged if s.let_go else None)
        return
    initiator = candidate.proven.roster.plan.initiator
    why_not = session.member.may_open(s.directed.direction, is_mine=is_mine)
    if why_not:
        _refuse(s, initiator, why_not)
        return
    statement, message = my_openings(
        candidate, s.me, session.member.pair_keys, direction, scored.emissions, s.account.sign
    )
    s.signing(statement)
    s.pledged = message
    s.out += [
        Broadcast(Pledge(candidate.sid, message.signed)),
        Phase("train" if s.training_from is not None else "wait"),
    ]
    if s.gate:
        _let_go(s, s.gate.pledge(message))


def on_pledge(s: RoundState, sender: bytes, message: Pledge) -> None:
    """A survivor signed the direction for which it will open; a second one that differs convicts it."""
    if s.candidate is None or s.gate is None or message.sid != s.candidate.sid:
        s.keep_early(sender, message)
        return
    if not message.signed.is_by(sender, s.federation.domain):
        s.fault(sender, "it sent a pledge that it did not sign")
        return
    _let_go(s, s.gate.on_pledge(message.signed))


def _let_go(s: RoundState, numbers: Openings | None) -> None:
    """My numbers may leave."""
    if numbers is None or s.candidate is None:
        return
    s.let_go = True
    initiator = s.candidate.proven.roster.plan.initiator
    if initiator == s.me:
        on_openings(s, s.me, numbers)
    else:
        s.out.append(Send(initiator, numbers))


def _refuse(s: RoundState, initiator: bytes, why: str) -> None:
    s.fault(initiator, f"this peer does not open its number: {why}")


def on_openings(s: RoundState, sender: bytes, message: Openings) -> None:
    """One survivor's pair numbers, at the initiator."""
    if s.scoring is None or message.sid != s.scoring.candidate.sid:
        return
    wrong = s.scoring.on_openings(sender, message)
    if wrong:
        s.fault(sender, wrong)
    _maybe_close(s)


def on_down(s: RoundState, peer: bytes) -> None:
    """A peer is gone: its neighbours' words must do."""
    if s.scoring and peer in s.scoring.expected:
        s.scoring.expected.discard(peer)
        _maybe_close(s)


def on_direct_timer(s: RoundState, sid: bytes) -> None:
    """Ask the silent again, in case a message was lost."""
    if s.scoring and s.directed and s.scoring.candidate.sid == sid:
        s.out += [Send(peer, s.directed) for peer in sorted(s.scoring.expected - {s.me})]


def on_numbers_timer(s: RoundState, sid: bytes) -> None:
    """Close with the numbers that are here."""
    if s.scoring and s.scoring.candidate.sid == sid:
        s.scoring.expected.clear()
        _maybe_close(s)


def _maybe_close(s: RoundState) -> None:
    scoring = s.scoring
    if scoring is None or not scoring.complete:
        return
    s.scoring = None
    transcript, opened = scoring.close(matching_acks(s, scoring.candidate))
    for liar in opened.liars:
        s.fault(liar, "its pair numbers contradict those of more peers than can collude")
    for a, b in opened.disputed:
        s.fault(a, f"its pair number contradicts that of 0x{b.hex()}: both stay unpaid this round")
    _close(s, scoring.candidate, encode(transcript))


def on_close_timer(s: RoundState, sid: bytes) -> None:
    """The initiator went silent after the sum: close the round without scores, so that training goes on."""
    if s.candidate and s.candidate.sid == sid:
        _close(s, s.candidate, encode(s.candidate.base_transcript(matching_acks(s, s.candidate))))


def _close(s: RoundState, candidate: Candidate, blob: bytes) -> None:
    if s.candidate is not candidate:
        return
    transcript = decode_round(blob)
    total = next(o.blobs[r.sum_artefact] for r, o in s.outcomes.items() if o.candidate is candidate)
    s.out.append(Store(blob))
    close(s, Evidence(sha256(blob), transcript, candidate.session_id, candidate.session, total))
    s.out += [Record(s.history[-1].record), Broadcast(s.closed())]
