"""A member of a session that screens its survivors before it unmasks them (docs/sketches.md).

Between the first certificate and the reveal, and once each: it shows what stands behind its randomness and its shares
of the others'; it opens the projections of its own update along directions that follow from all of it; it votes for the
survivors that pass by what all have signed. Its shares leave under a certificate of that second vote only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from peerage_crypto.screening import Screen
from peerage_crypto.secagg_member import (
    RAND,
    Accuse,
    Effect,
    Member,
    Probe,
    Sign,
    Stage,
    Tell,
    TellAll,
    is_certificate,
    self_key,
)
from peerage_crypto.session import Certificate, Roster, RosterRefused
from peerage_crypto.sketch_messages import Approval, Cleared, Screened, Seeded, SeedShare, SeedShares, Sketched
from peerage_crypto.sketches import SENTENCES, SILENT, Directions, Stated, numbers_digest, project
from peerage_crypto.statements import Screening, Signed, Sketch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from peerage_crypto.secagg_member import SignWith
    from peerage_crypto.session import Plan
    from peerage_crypto.sketches import Verdict

READ_ALL_BYTES = 2 << 20  # up to so many bytes of masked vectors a member compares the stated < y_i , u > with them


def member_of(plan: Plan, me: bytes, sign: SignWith, root: bytes, vector: NDArray[np.unsignedinteger]) -> Member:
    """The member that a plan asks for."""
    return (SketchingMember if plan.sketches else Member)(plan, me, sign, root, vector)


class SketchingMember(Member):
    """`Member` with the stages certified, sketched and screened."""

    def __init__(self, plan: Plan, me: bytes, sign: SignWith, root: bytes, vector: NDArray[np.unsignedinteger]) -> None:
        super().__init__(plan, me, sign, root, vector)
        self._case: Screen | None = None
        self._first: Certificate | None = None
        self._directions: Directions | None = None
        self._heard: dict[bytes, Sketched] = {}  # by sender, looked at when the screening comes
        self._words: dict[bytes, Stated] = {}
        self._proposed: Screened | None = None
        self.disputed: frozenset[bytes] = frozenset()  # ends of pairs whose sketches contradict each other
        self._checking: dict[bytes, bool] = {}  # whose vector I wait for -> whether the initiator calls its word false

    @property
    def sketched(self) -> bool:
        """Whether projections of my update may be known: then this version goes into no other session."""
        return self._directions is not None

    @property
    def checking(self) -> frozenset[bytes]:
        """Whose masked vectors I wait for before I vote on the screening."""
        return frozenset(self._checking)

    # -- the seed ------------------------------------------------------------------------------------------------------

    def _on_quorum(self, roster: Roster, message: Certificate) -> list[Effect]:
        if self.plan.sketches is None or self._waiting is None:
            raise AssertionError("a sketching member needs terms, and a vote")
        u3 = roster.select(message.u3)
        manifests = dict(zip(u3, self._waiting.manifests, strict=True))
        view = self._manifests[self.me].statement.u2
        self._case = Screen(roster, self.plan.sketches, self.u2, view, u3, message.survivors, manifests)
        self._first, self.stage = message, Stage.CERTIFIED
        shares = tuple(SeedShare(o, s[RAND]) for o, s in sorted(self._shares.items()) if o in u3)
        answer: list[Effect] = [Tell(self.plan.initiator, SeedShares(self.plan.sid, self.late, shares))]
        self._answers[message] = answer
        return answer

    def on_seeded(self, message: Seeded) -> list[Effect]:
        """Everybody's late randomness: open the projections of my update along what follows from it, once."""
        case = self._case
        if self.stage is not Stage.CERTIFIED or case is None:
            return self._answers.get(message, [])
        if len(message.lates) != len(case.u3) or not all(map(case.is_late, case.u3, message.lates)):
            return self._refuse(self.plan.initiator, "the late randomness is not what stands behind the manifests")
        self._directions = case.directions(message.lates)
        stated = self._project(case, self._directions)
        numbers = stated.to_bytes(self.plan.ring)
        statement = Sketch(self.plan.sid, case.survivors, numbers_digest(numbers))
        mine = Sketched(self.plan.sid, self._signed(statement), numbers)
        self.stage = Stage.SKETCHED
        self._answers[message] = [TellAll(mine)]
        return [Sign(statement), TellAll(mine)]

    def _project(self, case: Screen, directions: Directions) -> Stated:
        """My numbers; < y , u > follows from those of my vector and of its masks."""
        ring = self.plan.ring
        partners = case.partners(self.me)
        own = self_key(self.self_seed, case.u2_digest, self.me, ring.bits)
        masks = project([own, *(self.pair_keys[j] for j in partners)], [self._vector], directions, ring)
        pairs = dict(zip(partners, masks[1:-1], strict=True))
        plain = masks[-1]
        masked = [q + b for q, b in zip(plain, masks[0], strict=True)]
        for j, z in pairs.items():
            masked = [y + (v if j > self.me else -v) for y, v in zip(masked, z, strict=True)]
        return Stated(tuple(y % ring.modulus for y in masked), masks[0], pairs)

    def on_sketched(self, sender: bytes, message: Sketched) -> None:
        """Somebody's sketch: it will not be left out unheard."""
        if self.stage in (Stage.VOTED, Stage.CERTIFIED, Stage.SKETCHED) and sender in self.u2:
            self._heard.setdefault(sender, message)

    # -- the second vote -----------------------------------------------------------------------------------------------

    def on_screened(self, message: Screened) -> list[Effect]:
        """Screen the survivors myself; vote for exactly those that pass, once."""
        case = self._case
        if self.stage is not Stage.SKETCHED or case is None or self._directions is None or self._proposed is not None:
            return self._answers.get(message, [])
        initiator = self.plan.initiator
        try:
            u4, false = case.roster.select(message.u4), frozenset(case.roster.select(message.false))
        except RosterRefused as error:
            return self._refuse(initiator, f"the screening is refused: {error}")
        fault = self._read(case, message)
        if fault:
            return self._refuse(initiator, fault)
        verdict = case.verdict(self._words, false)
        self.disputed = frozenset(m for pair in verdict.disputed for m in pair if not set(pair) & set(verdict.failed))
        passing = case.passing(verdict)
        if self.me not in u4:
            if self.me in passing:
                return self._refuse(initiator, "the screening leaves me out, and I pass it")
            return self._refuse(None, "screened out: " + SENTENCES[verdict.failed.get(self.me, SILENT)])
        if set(u4) != set(passing):
            wrong = "leaves out a peer that passes" if set(passing) - set(u4) else "keeps a peer that fails"
            return self._refuse(initiator, f"the screening {wrong}")
        if case.too_few(u4):
            return self._refuse(initiator, case.too_few(u4))
        self._proposed = message
        self._checking = dict.fromkeys(false, True)
        if len(case.u3) * self.plan.vector_bytes <= READ_ALL_BYTES:
            self._checking |= {m: False for m in u4 if m != self.me}
        accused = self._accusations(message, verdict, false)
        probes = (case.manifests[m].statement for m in sorted(self._checking))
        asked = [Probe(m, s.artefact, s.length) for m, s in zip(sorted(self._checking), probes, strict=True)]
        return [*accused, *(asked or self._approve())]

    def _read(self, case: Screen, message: Screened) -> str:
        """Take the sketches of a screening in; what is wrong with them."""
        self._words = {}
        for sketch in message.sketches:
            found = case.stated(sketch)
            if found is None or found[0] in self._words:
                return "the screening rests on a sketch that nobody signed for it, or on two of one peer"
            self._words[found[0]] = found[1]
        if list(self._words) != sorted(self._words):
            return "the sketches of a screening are not sorted by their signers"
        heard = {m for m, sketch in self._heard.items() if (found := case.stated(sketch)) and found[0] == m}
        if not heard <= self._words.keys():
            return "the screening leaves out a sketch that I hold"
        return ""

    def _accusations(self, message: Screened, verdict: Verdict, false: frozenset[bytes]) -> list[Effect]:
        """Who failed for what it sent (if called false: later), who signed two sketches, who contradicts."""
        found = [Accuse(m, SENTENCES[code]) for m, code in verdict.failed.items() if code != SILENT and m not in false]
        shown = dict(zip(self._words, message.sketches, strict=True))
        mine = {m: sketch for m, sketch in self._heard.items() if sketch.signed.is_by(m, self.plan.domain)}
        two = (m for m in shown if m in mine and mine[m].signed.statement != shown[m].signed.statement)
        found += [Accuse(m, "it signed two different sketches of one session") for m in two]
        for a, b in verdict.disputed:
            if self.me in (a, b):
                found.append(Accuse(b if a == self.me else a, "its sketch contradicts mine"))
            elif a not in verdict.failed and b not in verdict.failed:
                found.append(
                    Accuse(None, f"the sketches of 0x{a.hex()} and 0x{b.hex()} contradict: one of the two lies")
                )
        return [*found]

    def on_checked(self, owner: bytes, blob: bytes | None) -> list[Effect]:
        """A masked vector that a Probe asked for (None: it cannot be had): is what its owner stated true?"""
        case = self._case
        if self.stage is not Stage.SKETCHED or case is None or self._directions is None or owner not in self._checking:
            return []
        called_false = self._checking.pop(owner)
        if blob is not None and len(blob) == self.plan.vector_bytes:
            vector = np.frombuffer(blob, self.plan.ring.dtype.newbyteorder("<")).astype(self.plan.ring.dtype)
            lies = owner in case.false_among({owner: vector}, self._words, self._directions)
            if called_false and not lies:
                return self._refuse(self.plan.initiator, "the screening calls a true sketch false")
            if lies and not called_false:
                return self._refuse(self.plan.initiator, "the screening keeps a peer whose sketch is not of its vector")
        said: list[Effect] = [Accuse(owner, SENTENCES["false"])] if called_false and blob is not None else []
        return said if self._checking else [*said, *self._approve()]

    def _approve(self) -> list[Effect]:
        case, message = self._case, self._proposed
        if case is None or message is None:
            raise AssertionError("no screening to approve")
        statement = Screening(self.plan.sid, case.digest(message.u4, message.false, message.sketches))
        signed: Signed[Screening] = self._signed(statement)
        self.stage = Stage.SCREENED
        answer: list[Effect] = [Tell(self.plan.initiator, Approval(self.plan.sid, signed))]
        self._answers[message] = answer
        return [Sign(statement), *answer]

    def on_cleared(self, message: Cleared) -> list[Effect]:
        """Under a certificate of T votes for the screening that I approved: reveal, as without sketches."""
        case, proposed = self._case, self._proposed
        if self.stage is not Stage.SCREENED or case is None or proposed is None:
            return self._answers.get(message, [])
        approved = case.digest(proposed.u4, proposed.false, proposed.sketches)
        if (message.u4, message.screening) != (proposed.u4, approved):
            return self._refuse(self.plan.initiator, "the second certificate names another screening than the vote")
        if not is_certificate(case.roster, approved, message.votes):
            return self._refuse(self.plan.initiator, "the second certificate has too few valid votes")
        self.certificate = self._first
        return self._reveal(case.roster.select(message.u4), message)
