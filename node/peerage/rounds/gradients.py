"""Private validation: the path gradients of an adopted round, from the first commitment to the sums of both halves.

Each survivor measures the round's path on the rows that it holds back, masks what it finds within its half
(`peerage_crypto.crossfit`), and commits. Only with the commitments of *all* survivors at hand does it show its vector:
then nobody can fit his own to what the others say. Everybody fetches all vectors and adds them up itself, because a
direction that somebody else made up could open a coordinate. Whatever is missing, the round is closed without scores;
training does not wait for it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from peerage import messages as m
from peerage.effects import Broadcast, FetchArtefact, Measure, Phase, Report, Score, Send, SetTimer, Store
from peerage_crypto import crossfit
from peerage_crypto.crossfit import ShownGradient
from peerage_crypto.digest import sha256, tagged
from peerage_crypto.statements import sign

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from peerage.effects import Measured
    from peerage.rounds.round_state import RoundState
    from peerage.rounds.scoring_step import Candidate
    from peerage_crypto.crossfit import Halves
    from peerage_crypto.statements import PathGradient, Signed

    Vector = NDArray[np.float32]

FETCH_ATTEMPTS = 4
DEADLINE_STEPS = 2  # one to commit, one to show and to fetch


@dataclass
class Gradients:
    """What one peer has of a round's path gradients; `score` is what it asks for when it has all of them."""

    candidate: Candidate
    halves: Halves
    score: Score
    blob: bytes = b""  # mine, masked; nobody sees it before everybody has committed
    committed: dict[bytes, Signed[PathGradient]] = field(default_factory=dict)
    shown: dict[bytes, bytes] = field(default_factory=dict)  # survivor -> the artefact that it had committed to
    blobs: dict[bytes, bytes] = field(default_factory=dict)
    silent: dict[bytes, str] = field(default_factory=dict)  # who will never deliver, and why, in its own words
    attempts: Counter[bytes] = field(default_factory=Counter)
    done: bool = False  # all vectors are here, so both sums are known

    @property
    def survivors(self) -> tuple[bytes, ...]:
        return self.candidate.proven.u3

    def missing(self) -> tuple[bytes, ...]:
        return tuple(p for p in self.survivors if p not in self.blobs)

    def all_shown(self) -> tuple[ShownGradient, ...]:
        """What the round's transcript keeps: all of them, or none."""
        if not self.done:
            return ()
        return tuple(ShownGradient(self.committed[p], self.shown[p]) for p in self.survivors)


def begin(s: RoundState, candidate: Candidate, base: Vector, path: Vector, slope: NDArray[np.float64] | None) -> bool:
    """The round is adopted; False when its halves would hide too little, and nothing is measured at all."""
    proven, halves = candidate.proven, candidate.proven.halves
    if halves is None:
        return False
    small = halves.too_small(proven.roster.limits.colluders)
    if small:
        _unscored(s, candidate, small)
        return False
    kept = s.rules.sampling.kept(candidate.parent)
    score = Score(candidate.sid, candidate.round, base, path, s.applied, proven.seed(), kept=kept)
    gradients = s.gradients = Gradients(candidate, halves, score)
    if s.me in proven.u3:
        keys = s.closing.member.gradient_keys if s.closing and s.closing.member else {}
        if set(halves.members[halves.of(s.me)]) - {s.me} <= keys.keys():
            dither = tagged("peerage/dither/gradient/v1", s.dither(s.own.number), candidate.sid)
            s.out += [Phase("score"), Measure(candidate.sid, candidate.round, base, path, dither, slope, kept)]
        else:
            _give_up(s, gradients, "the keys of its session died with its earlier life")
    s.out.append(SetTimer(f"gradients:{candidate.sid.hex()}", s.rules.step_seconds / 3))
    if proven.roster.plan.initiator == s.me:
        s.out.append(SetTimer(f"ungraded:{candidate.sid.hex()}", DEADLINE_STEPS * s.rules.step_seconds))
    return True


def on_measured(s: RoundState, event: Measured) -> None:
    """My own gradient: mask it and commit to it."""
    gradients = _current(s, event.sid)
    if gradients is None or gradients.blob or s.closing is None or s.closing.member is None:
        return
    s.out.append(Phase("train" if s.training_from is not None else "wait"))
    if event.units is None:
        _give_up(s, gradients, "its path gradient is no finite number")
        return
    gradients.blob = crossfit.mask(event.units, s.me, s.closing.member.gradient_keys, gradients.halves)
    statement = crossfit.statement_of(gradients.halves, s.me, gradients.blob)
    s.signing(statement)
    signed = gradients.committed[s.me] = sign(statement, s.account, s.federation.domain)
    s.out.append(Broadcast(m.Gradient(event.sid, signed, None)))
    _maybe_show(s, gradients)


def on_gradient(s: RoundState, sender: bytes, message: m.Gradient) -> None:
    """A survivor's commitment, or what it opens to."""
    gradients = _reached(s, sender, message)
    if gradients is None or sender not in gradients.survivors:
        return
    statement, domain = message.signed.statement, s.federation.domain
    known = gradients.committed.get(sender)
    if known is None or known.statement != statement:
        if not message.signed.is_by(sender, domain):
            s.fault(sender, "it sent a path gradient that it did not sign")
            return
        if known is not None:
            s.fault(sender, "it committed to two path gradients in one session")
            return
        fault = crossfit.statement_fault(gradients.halves, s.exchanged, statement, sender)
        if fault:
            s.fault(sender, fault)
            return
        gradients.committed[sender] = message.signed
    if message.artefact is not None and sender not in gradients.shown:
        if statement.commitment != crossfit.commitment(message.sid, sender, message.artefact):
            s.fault(sender, "it showed another path gradient than the one that it had committed to")
            return
        gradients.shown[sender] = message.artefact
        s.out.append(FetchArtefact(sender, message.artefact, statement.length))
    _maybe_show(s, gradients)


def _maybe_show(s: RoundState, gradients: Gradients) -> None:
    """My vector leaves when everybody has committed, and then only."""
    mine = gradients.committed.get(s.me)
    if mine is None or s.me in gradients.shown or len(gradients.committed) < len(gradients.survivors):
        return
    artefact = gradients.shown[s.me] = sha256(gradients.blob)
    gradients.blobs[s.me] = gradients.blob
    s.out += [Store(gradients.blob), Broadcast(m.Gradient(gradients.candidate.sid, mine, artefact))]
    _maybe_add_up(s, gradients)


def on_fetched(s: RoundState, artefact: bytes, blob: bytes) -> None:
    """A survivor's masked vector."""
    gradients = s.gradients
    if gradients is None or artefact not in gradients.shown.values():
        return
    for owner in [p for p, a in gradients.shown.items() if a == artefact and p not in gradients.blobs]:
        if len(blob) == gradients.committed[owner].statement.length:
            gradients.blobs[owner] = blob
        elif owner not in gradients.silent:
            gradients.silent[owner] = "the path gradient that it shows has another length than it signed"
            s.fault(owner, gradients.silent[owner])
    _maybe_add_up(s, gradients)


def on_unfetched(s: RoundState, artefact: bytes) -> None:
    """Ask again, in turn its owner and the initiator."""
    gradients = s.gradients
    if gradients is None or gradients.done:
        return
    for owner, shown in gradients.shown.items():
        if shown == artefact and owner not in gradients.blobs:
            gradients.attempts[artefact] += 1
            if gradients.attempts[artefact] < FETCH_ATTEMPTS:
                initiator = gradients.candidate.proven.roster.plan.initiator
                whom = initiator if gradients.attempts[artefact] % 2 else owner
                s.out.append(FetchArtefact(whom, artefact, gradients.committed[owner].statement.length))


def _maybe_add_up(s: RoundState, gradients: Gradients) -> None:
    if gradients.done or gradients.missing():
        return
    gradients.done = True
    sums = crossfit.sums_of(gradients.halves, gradients.blobs)
    if isinstance(sums, str):
        _unscored(s, gradients.candidate, sums)
        return
    s.out.append(replace(gradients.score, sums=sums))


def on_asked(s: RoundState, sender: bytes, message: m.GradientAsked) -> None:
    """Somebody has not heard me."""
    gradients = _current(s, message.sid)
    if gradients is None:
        return
    mine = gradients.committed.get(s.me)
    if mine is not None:
        s.out.append(Send(sender, m.Gradient(message.sid, mine, gradients.shown.get(s.me))))
    elif s.me in gradients.silent:
        s.out.append(Send(sender, m.NoGradient(message.sid, gradients.silent[s.me])))


def on_none(s: RoundState, sender: bytes, message: m.NoGradient) -> None:
    """A survivor has nothing to deliver: its half never opens, and neither is scored."""
    gradients = _reached(s, sender, message)
    if gradients is None or sender not in gradients.survivors or sender in gradients.shown:
        return
    if gradients.silent.setdefault(sender, message.sentence) == message.sentence:
        s.out.append(Report("warning", f"it says: {message.sentence}", s.head.round + 1, sender))
        _unscored(s, gradients.candidate, "a survivor has no path gradient", (sender,))


def on_timer(s: RoundState, sid: bytes) -> None:
    """Ask those whom I have not heard, and fetch again what I could not have.

    Who has not even committed may not have adopted the round yet: it is told what I acknowledged, too.
    """
    gradients = _current(s, sid)
    if gradients is None or gradients.done:
        return
    mine = s.acks.get(sid, {}).get(s.me)
    told = (s.acked, m.Ack(mine)) if s.acked and s.acked.sid == sid and mine else ()
    for peer in gradients.missing():
        if peer in gradients.shown:
            s.out.append(FetchArtefact(peer, gradients.shown[peer], gradients.committed[peer].statement.length))
        elif peer != s.me:
            s.out += [Send(peer, said) for said in told if peer not in gradients.committed]
            s.out.append(Send(peer, m.GradientAsked(sid)))
    s.out.append(SetTimer(f"gradients:{sid.hex()}", s.rules.step_seconds / 3))


def on_deadline(s: RoundState, sid: bytes) -> None:
    """The initiator waits no longer."""
    gradients = _current(s, sid)
    if gradients is not None and not gradients.done:
        _unscored(s, gradients.candidate, "path gradients are missing", gradients.missing())


def _give_up(s: RoundState, gradients: Gradients, why: str) -> None:
    gradients.silent[s.me] = why
    s.out.append(Broadcast(m.NoGradient(gradients.candidate.sid, why)))
    _unscored(s, gradients.candidate, why, (s.me,))


def _unscored(s: RoundState, candidate: Candidate, why: str, missing: tuple[bytes, ...] = ()) -> None:
    """No direction comes of this round: written down without blame, and its initiator closes it at once."""
    names = ["0x" + peer.hex() for peer in missing]
    s.journal("unscored", sid=candidate.sid.hex(), why=why, missing=names)
    said = f"the round is not scored: {why}{' (' + ', '.join(names) + ')' if names else ''}"
    s.out.append(Report("warning", said, s.head.round + 1))
    if candidate.proven.roster.plan.initiator == s.me:
        s.out.append(SetTimer(f"close:{candidate.sid.hex()}", 0.0))


def _current(s: RoundState, sid: bytes) -> Gradients | None:
    return s.gradients if s.gradients is not None and s.gradients.candidate.sid == sid else None


def _reached(s: RoundState, sender: bytes, message: m.Gradient | m.NoGradient) -> Gradients | None:
    """The gradients that a message is about; kept for later when I have not adopted its round yet."""
    if s.candidate is None or s.candidate.sid != message.sid:
        s.keep_early(sender, message)
        return None
    return _current(s, message.sid)
