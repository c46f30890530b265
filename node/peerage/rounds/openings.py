"""Opening the numbers of an adopted round (rules in `scoring_step`), and closing it with its record.

The initiator names the direction and collects. A member pledges first (signs the direction and the digest of its
numbers, to all); its numbers leave when a quorum of the survivors has pledged the same direction. When the initiator
goes silent anybody closes the round without scores, so that training goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from peerage import messages as m
from peerage.effects import Broadcast, FetchArtefact, Phase, Record, RecordLine, Send, SetTimer, Store
from peerage.rounds import pair_audits
from peerage.rounds.pair_audits import Audit
from peerage.rounds.results import matching_acks
from peerage.rounds.scoring_step import (
    Candidate,
    Scoring,
    agree,
    direction_bytes,
    direction_from,
    my_openings,
    ring_direction,
)
from peerage.rounds.standing import close
from peerage_crypto.digest import sha256
from peerage_crypto.opening import Pledge, products_of
from peerage_crypto.pair_audit import enough
from peerage_ledger.judgement import Evidence
from peerage_ledger.transcript import decode_round, encode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from peerage.effects import Effect, Scored
    from peerage.rounds.round_state import RoundState
    from peerage_crypto.crossfit import ShownGradient
    from peerage_crypto.opening import Openings
    from peerage_crypto.pair_audit import Late, Shown

LEDGER_WINDOW = 256  # further back the ledger knows no parents


def on_scored(s: RoundState, event: Scored) -> None:
    """My own direction of the adopted round is known; the initiator's becomes everybody's."""
    candidate = s.candidate
    if candidate is None or event.sid != candidate.sid:
        return
    s.scored = event
    s.out.append(Phase("score"))
    if candidate.proven.roster.plan.initiator == s.me and s.closing and s.closing.collector:
        blob = direction_bytes(event.direction)
        words = tuple(one.signed for one in shown_of(s, candidate))
        s.directed = m.Direction(candidate.sid, sha256(blob), event.exponent, words)
        expected = set(candidate.proven.u3) - s.membership.gone
        collector, g = s.closing.collector, ring_direction(event.direction, candidate.proven)
        products = products_of(collector.vectors, g, candidate.proven)
        s.scoring = Scoring(candidate, products, event.direction, event.exponent, expected, collector.gathering.sums)
        s.scoring.audit = Audit.of(candidate, collector)
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
    elif candidate.proven.halves is not None:  # made of integers that all know: there is nothing to be generous about
        _refuse(s, initiator, "the direction is not the one that the sums of the path gradients give")
    else:
        s.out.append(FetchArtefact(initiator, directed.direction, 4 * s.exchanged))


def on_fetched(s: RoundState, artefact: bytes, blob: bytes) -> None:
    """The initiator's direction differs from mine in bytes: is it the same for our purpose? Or a vector to score."""
    _product_of(s, artefact, blob)
    if s.directed is None or s.scored is None or s.candidate is None or artefact != s.directed.direction:
        return
    if s.directed.sid != s.candidate.sid or s.me not in s.candidate.proven.u3:
        return
    try:
        theirs = direction_from(blob, s.exchanged)
    except ValueError as error:
        s.fault(s.candidate.proven.roster.plan.initiator, str(error))
    else:
        _open(s, theirs, is_mine=agree(theirs, s.scored.direction))


def _product_of(s: RoundState, artefact: bytes, blob: bytes) -> None:
    scoring = s.scoring
    if scoring is None:
        return
    proven, manifests = scoring.candidate.proven, scoring.candidate.session.manifests
    ring = proven.roster.plan.ring
    for owner, signed in zip(proven.u3, manifests, strict=True):
        if signed.statement.artefact == artefact and owner not in scoring.products and len(blob) == s.vector_bytes:
            vector = np.frombuffer(blob, ring.dtype.newbyteorder("<"))
            g = ring_direction(scoring.direction, proven)
            scoring.products |= products_of({owner: vector}, g, proven)
            _maybe_close(s)


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
    s.opened_along = direction
    statement, message = my_openings(
        candidate, s.me, session.member.pair_keys, direction, scored.emissions, s.account.sign
    )
    s.signing(statement)
    s.pledged = message
    s.out += [
        Broadcast(Pledge(candidate.sid, message.signed)),
        Phase("train" if s.training_from is not None else "wait"),
    ]
    if session.leader and s.directed:
        vectors = dict(sorted(session.leader.vectors.items()))
        numbers = products_of(vectors, ring_direction(direction, candidate.proven), candidate.proven)
        s.out.append(Send(initiator, m.Products(candidate.sid, s.directed.direction, tuple(numbers.values()))))
    if s.gate:
        _let_go(s, s.gate.pledge(message))


def on_products(s: RoundState, sender: bytes, message: m.Products) -> None:
    """A leader's numbers for the vectors that it gathered, at the initiator."""
    if s.scoring is None or message.sid != s.scoring.candidate.sid:
        return
    wrong = s.scoring.on_products(sender, message)
    if wrong:
        s.fault(sender, wrong)
    _maybe_close(s)


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
        pair_audits.answer(s)


def _refuse(s: RoundState, initiator: bytes, why: str) -> None:
    s.fault(initiator, f"this peer does not open its number: {why}")


def on_openings(s: RoundState, sender: bytes, message: Openings) -> None:
    """One survivor's pair numbers, at the initiator."""
    if s.scoring is None or message.sid != s.scoring.candidate.sid:
        return
    if s.scoring.audit and s.scoring.audit.spoken:
        return  # too late: pairs may be drawn by now
    wrong = s.scoring.on_openings(sender, message)
    if wrong:
        s.fault(sender, wrong)
    _maybe_close(s)


def on_late(s: RoundState, sender: bytes, message: Late) -> None:
    """What stands behind one survivor's randomness, at the initiator."""
    if s.scoring is None or s.scoring.audit is None or message.sid != s.scoring.candidate.sid:
        return
    wrong = s.scoring.audit.lates.on_late(sender, message)
    if wrong:
        s.fault(sender, wrong)
    _maybe_close(s)


def on_shown(s: RoundState, sender: bytes, message: Shown) -> None:
    """The keys of one survivor's audited pairs, at the initiator."""
    if s.scoring is None or s.scoring.audit is None or message.sid != s.scoring.candidate.sid:
        return
    wrong = s.scoring.audit.take(sender, message)
    if wrong:
        s.fault(sender, wrong)
    _maybe_close(s)


def on_redraw_timer(s: RoundState, sid: bytes) -> None:
    """Ask the silent for their keys again, in case a message was lost."""
    if s.scoring and s.scoring.audit and s.scoring.candidate.sid == sid:
        s.scoring.audit.again(s)


def on_audit_timer(s: RoundState, sid: bytes) -> None:
    """Close with the keys that are here; without scores while nothing is drawn."""
    audit = s.scoring.audit if s.scoring and s.scoring.candidate.sid == sid else None
    if audit is None:
        return
    if audit.drawn is None:
        s.scoring = None
        on_close_timer(s, sid)
        return
    audit.expected.clear()
    _maybe_close(s)


def on_down(s: RoundState, peer: bytes) -> None:
    """A peer is gone: its neighbours' words must do; without its initiator a round is soon closed without scores."""
    if s.candidate and s.candidate.proven.roster.plan.initiator == peer:
        wait = s.rules.patience + s.rules.stagger * s.membership.rank(s.head.record)
        s.out.append(SetTimer(f"close:{s.candidate.sid.hex()}", wait))
    if s.scoring:
        s.scoring.expected.discard(peer)
        if s.scoring.audit:
            s.scoring.audit.expected.discard(peer)
        _maybe_close(s)


def on_direct_timer(s: RoundState, sid: bytes) -> None:
    """Ask the silent again, in case a message was lost."""
    if s.scoring and s.directed and s.scoring.candidate.sid == sid:
        s.out += [Send(peer, s.directed) for peer in sorted(s.scoring.expected - {s.me})]
        vectors = zip(s.scoring.candidate.proven.u3, s.scoring.candidate.session.manifests, strict=True)
        s.out += [  # a leader that says nothing: ask the owners themselves
            FetchArtefact(owner, signed.statement.artefact, s.vector_bytes)
            for owner, signed in vectors
            if owner in s.scoring.missing()
        ]


def on_numbers_timer(s: RoundState, sid: bytes) -> None:
    """Close with the numbers that are here."""
    if s.scoring and s.scoring.candidate.sid == sid:
        s.scoring.expected.clear()
        if s.scoring.missing():
            s.scoring = None
            on_close_timer(s, sid)
        else:
            _maybe_close(s)


def _maybe_close(s: RoundState) -> None:
    scoring = s.scoring
    if scoring is None or not scoring.complete:
        return
    if not scoring.quorate:
        s.scoring = None
        on_close_timer(s, scoring.candidate.sid)
        return
    audit = scoring.audit
    if audit is not None and not audit.go_on(s, scoring.openings):
        return
    s.scoring = None
    if audit is not None and not enough(scoring.candidate.proven, len(audit.shown)):
        on_close_timer(s, scoring.candidate.sid)
        return
    transcript, opened = scoring.close(matching_acks(s, scoring.candidate), shown_of(s, scoring.candidate))
    for liar in opened.liars:
        s.fault(liar, "its pair numbers contradict those of more peers than can collude")
    for a, b in opened.disputed:
        sentence = f"the pair numbers of 0x{a.hex()} and 0x{b.hex()} contradict each other: both stay unpaid this round"
        s.fault(None, sentence)  # one of them lies, and nobody else can tell which
    for pair in transcript.unconfirmed:
        sentence = f"neither 0x{pair.a.hex()} nor 0x{pair.b.hex()} has shown the key of their mask: both are charged"
        s.fault(None, sentence)  # they agree on a number that is wrong, or are both gone
    _close(s, scoring.candidate, encode(transcript))


def on_close_timer(s: RoundState, sid: bytes) -> None:
    """The initiator went silent after the sum: close the round without scores, so that training goes on."""
    if s.candidate and s.candidate.sid == sid:
        bare = s.candidate.base_transcript(matching_acks(s, s.candidate), shown_of(s, s.candidate))
        _close(s, s.candidate, encode(bare))


def shown_of(s: RoundState, candidate: Candidate) -> tuple[ShownGradient, ...]:
    """The path gradients of a round, if all of them are here."""
    gradients = s.gradients
    return gradients.all_shown() if gradients is not None and gradients.candidate is candidate else ()


def _close(s: RoundState, candidate: Candidate, blob: bytes) -> None:
    if s.candidate is not candidate:
        return
    transcript = decode_round(blob)
    total = next(o.blobs[r.sum_artefact] for r, o in s.outcomes.items() if o.candidate is candidate)
    s.out.append(Store(blob))
    close(s, Evidence(sha256(blob), transcript, candidate.session_id, candidate.session, total))
    s.out += [*_to_the_ledger(s), Broadcast(s.closed())]


def _to_the_ledger(s: RoundState) -> list[Effect]:
    """The record of the round that I closed; with `batch` above one only every so many rounds, with all that lack."""
    batch, done = s.rules.batch, s.head.round
    if batch == 1:
        return [Record(s.history[-1].record)]
    if done % batch and done < s.rules.rounds:
        return []
    return [RecordLine(tuple(j.record for j in s.history[-LEDGER_WINDOW:]))]
