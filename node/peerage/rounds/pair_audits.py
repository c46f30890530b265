"""Audited pairs of an adopted round (rules in `peerage_crypto.pair_audit`): the draw, and the keys that it asks for.

The initiator fixes the numbers that it has. Only then a member tells it what stands behind its randomness: who could
state a number after that would know whether its pair is drawn. From all of that together follows which pairs are
audited; the initiator tells everybody, and each member shows the keys of its own drawn pairs, once. Whatever does not
come in time is missing in the transcript, and a pair without a key is paid for by both of its ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peerage.effects import Broadcast, Send, SetTimer
from peerage_crypto.pair_audit import (
    Drawn,
    Late,
    Lates,
    Shown,
    Spoken,
    auditable,
    audited_pairs,
    is_committed,
    lates_fault,
    owners_of,
    shown_by,
    shown_fault,
    spoken_digest,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peerage.rounds.round_state import RoundState
    from peerage.rounds.scoring_step import Candidate
    from peerage_crypto.opening import Openings
    from peerage_crypto.secagg_collector import Collector
    from peerage_ledger.judgement import Judged


@dataclass
class Audit:
    """The initiator's: from fixed numbers over everybody's randomness to the keys of the drawn pairs."""

    candidate: Candidate
    lates: Lates
    spoken: Spoken | None = None
    drawn: Drawn | None = None
    expected: set[bytes] = field(default_factory=set[bytes])  # who has still to show its keys
    shown: dict[bytes, Shown] = field(default_factory=dict[bytes, Shown])

    @classmethod
    def of(cls, candidate: Candidate, collector: Collector) -> Audit | None:
        """None where no pair can be audited."""
        if not auditable(candidate.proven):
            return None
        return cls(candidate, Lates(candidate.proven, collector.dealings))

    def go_on(self, s: RoundState, openings: Mapping[bytes, Openings]) -> bool:
        """The next step, if it is due; True when all keys that are waited for are here."""
        if self.spoken is None:
            self._fix(s, openings)
        lates = self.lates.all() if self.drawn is None else None
        if lates is not None:
            self.expected = {*openings} - s.membership.gone
            self.drawn = s.drawn = Drawn(self.candidate.sid, lates)
            self._tell(s, self.drawn)
            show(s, self)
        return self.drawn is not None and not self.expected

    def _fix(self, s: RoundState, openings: Mapping[bytes, Openings]) -> None:
        """From here on no other number is taken: then members may say what draws the pairs."""
        self.spoken = s.spoken = Spoken(self.candidate.sid, spoken_digest(openings[p] for p in sorted(openings)))
        self._tell(s, self.spoken)
        late = my_late(s)
        if late is not None:
            self.lates.on_late(s.me, late)

    def _tell(self, s: RoundState, message: Spoken | Drawn) -> None:
        sid = self.candidate.sid.hex()
        step = s.rules.step_seconds
        s.out += [Broadcast(message), SetTimer(f"redraw:{sid}", step / 3), SetTimer(f"audit:{sid}", step)]

    def again(self, s: RoundState) -> None:
        """Ask the silent once more, in case a message was lost."""
        silent = self.expected if self.drawn else {*self.candidate.proven.u3} - self.lates.told.keys()
        message = self.drawn or self.spoken
        if message is not None:
            s.out += [Send(peer, message) for peer in sorted(silent - {s.me} - s.membership.gone)]

    def take(self, sender: bytes, message: Shown) -> str:
        """One member's keys; returns what is wrong with them (then their owner counts as silent)."""
        proven = self.candidate.proven
        if self.drawn is None or sender not in proven.u3:
            return ""
        self.expected.discard(sender)
        if (owners_of(proven, (message,)) or {}).keys() != {sender}:
            return "the keys of its pairs are not signed by it"
        fault = shown_fault(proven, sender, message)
        if not fault and not is_committed(proven, sender, message, audited_pairs(proven, self.drawn.lates)):
            fault = "the keys that it shows are not those to which it had committed"
        if not fault:
            self.shown.setdefault(sender, message)
        return fault


def on_drawn(s: RoundState, sender: bytes, message: Drawn) -> None:
    """The initiator says what was drawn: one draw per session, and nothing that an initiator could choose."""
    candidate = s.candidate
    if candidate is None or candidate.sid != message.sid:
        s.keep_early(sender, message)
        return
    if sender != candidate.proven.roster.plan.initiator or not auditable(candidate.proven):
        return
    fault = lates_fault(candidate.proven, message.lates)
    if fault:
        s.fault(sender, f"this peer shows no key: {fault}")
        return
    s.drawn = message
    show(s)


def on_spoken(s: RoundState, sender: bytes, message: Spoken) -> None:
    """The initiator has fixed the numbers: one set per session."""
    candidate = s.candidate
    if candidate is None or candidate.sid != message.sid:
        s.keep_early(sender, message)
        return
    if sender != candidate.proven.roster.plan.initiator or not auditable(candidate.proven):
        return
    if s.spoken is not None and s.spoken != message:
        s.fault(sender, "it fixed the numbers of one session twice")
        return
    s.spoken = message
    answer(s)


def answer(s: RoundState) -> None:
    """Tell the initiator what it may know by now."""
    late = my_late(s)
    if late is not None and s.candidate is not None:
        s.out.append(Send(s.candidate.proven.roster.plan.initiator, late))
    show(s)


def show(s: RoundState, audit: Audit | None = None) -> None:
    """My keys leave once my numbers have."""
    candidate, drawn, session = s.candidate, s.drawn, s.closing
    if candidate is None or drawn is None or not s.let_go or session is None or session.member is None:
        return
    member, proven = session.member, candidate.proven
    if member.dealt is None or s.me not in proven.u3:
        return
    s.shown = shown_by(proven, s.me, member.pair_roots, member.dealt, drawn.lates)
    if audit is not None:
        audit.take(s.me, s.shown)
    elif proven.roster.plan.initiator != s.me:
        s.out.append(Send(proven.roster.plan.initiator, s.shown))


def my_late(s: RoundState) -> Late | None:
    """What draws the pairs, as far as it is mine to say: once my numbers have left, and once all numbers are fixed."""
    member = s.closing.member if s.closing else None
    if s.spoken is None or not s.let_go or member is None:
        return None
    return Late(s.spoken.sid, member.late, member.late_shares)


def wrongs_me(s: RoundState, judged: Judged) -> bool:
    """Whether a record calls a pair of mine unconfirmed, though I have shown its key."""
    shown = s.shown is not None and s.shown.sid == judged.transcript.sid
    return shown and any(s.me in {pair.a, pair.b} for pair in judged.transcript.unconfirmed)


def was_refixed(s: RoundState, judged: Judged) -> bool:
    """Whether a record has other numbers than those that were fixed before I said what draws the pairs."""
    t, spoken = judged.transcript, s.spoken
    return spoken is not None and spoken.sid == t.sid and t.lates != () and spoken_digest(t.openings) != spoken.openings
