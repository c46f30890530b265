"""The initiator of a session with sketches: between vote and reveals it gathers seeds, sketches and approvals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from peerage_crypto.screening import Screen
from peerage_crypto.secagg_collector import Blame, CannotOpen, Collector, Effect, Step, Summed
from peerage_crypto.secagg_member import RAND, TellAll
from peerage_crypto.session import share_commitment
from peerage_crypto.sharing import combine
from peerage_crypto.sketch_messages import Approval, Cleared, Screened, ScreeningRecord, Seeded, SeedShares, Sketched
from peerage_crypto.sketches import SENTENCES, SILENT

if TYPE_CHECKING:
    from peerage_crypto.session import Plan
    from peerage_crypto.sketches import Directions, Stated
    from peerage_crypto.statements import Opened, Screening, Signed


def collector_of(
    plan: Plan, opened: Signed[Opened], expected: frozenset[bytes], false_leaders: frozenset[bytes] = frozenset()
) -> Collector:
    """The collector that a plan asks for."""
    if plan.sketches:
        return SketchingCollector(plan, opened, expected)  # sketches and leaders exclude each other
    return Collector(plan, opened, expected, false_leaders)


class SketchingCollector(Collector):
    """`Collector` with the steps seeds, sketches and screenings."""

    def __init__(self, plan: Plan, opened: Signed[Opened], expected: frozenset[bytes]) -> None:
        super().__init__(plan, opened, expected)
        self._case: Screen | None = None
        self._directions: Directions | None = None
        self._lates: dict[bytes, bytes] = {}
        self._seed_shares: dict[bytes, dict[int, bytes]] = {}  # owner -> place of the holder -> its share
        self._seeded: set[bytes] = set()  # who has sent its shares
        self._sketches: dict[bytes, Sketched] = {}
        self._words: dict[bytes, Stated] = {}
        self._screened: Screened | None = None
        self._approvals: dict[bytes, Signed[Screening]] = {}
        self._record: ScreeningRecord | None = None

    # -- events --------------------------------------------------------------------------------------------------------

    def on_seed_shares(self, sender: bytes, message: SeedShares) -> list[Effect]:
        """What stands behind a voter's randomness, and its shares of the others'."""
        roster, case = self.roster, self._case
        if self.step is not Step.SEEDS or roster is None or case is None or sender not in self._votes:
            return []
        if sender in self._seeded:
            return []
        good = [s for s in message.shares if self._is_seed_share(sender, s.owner, s.share)]
        right = {s.owner for s in good} == set(case.u3) & set(roster.holders(sender))
        if len(good) < len(message.shares) or not right or not case.is_late(sender, message.late):
            return [
                *self._fault(sender, "what it revealed is not what it committed to, or was dealt"),
                *self._advance(),
            ]
        self._lates[sender] = message.late
        for share in good:
            self._seed_shares.setdefault(share.owner, {})[roster.members.index(sender) + 1] = share.share
        self._seeded.add(sender)
        return self._advance()

    def _is_seed_share(self, holder: bytes, owner: bytes, share: bytes) -> bool:
        roster = self._roster()
        if owner not in self.u3 or owner not in roster.holders(holder):
            return False
        promised = self._dealt[owner].packets[roster.place(owner, holder)].commitments[RAND]
        return share_commitment(self.plan.sid, owner, holder, RAND, share) == promised

    def on_sketched(self, sender: bytes, message: Sketched) -> list[Effect]:
        """One survivor's numbers."""
        case = self._case
        if self.step is not Step.SKETCHES or case is None or sender not in case.u3 or sender in self._sketches:
            return []
        found = case.stated(message)
        if found is None or found[0] != sender:
            return [*self._fault(sender, "its sketch is not signed by it for these survivors"), *self._advance()]
        self._sketches[sender], self._words[sender] = message, found[1]
        return self._advance()

    def on_approval(self, sender: bytes, message: Approval) -> list[Effect]:
        """One vote for the screening; T of them certify it."""
        screened, case, signed = self._screened, self._case, message.signed
        if self.step is not Step.SCREENINGS or screened is None or case is None or sender not in case.roster.members:
            return []
        wanted = case.digest(screened.u4, screened.false, screened.sketches)
        right = signed.is_by(sender, self.plan.domain) and signed.statement.sid == self.plan.sid
        if not right or signed.statement.survivors != wanted:
            return [*self._fault(sender, "its vote is for another screening"), *self._advance()]
        self._approvals[sender] = signed
        return self._advance()

    def _delivered(self) -> set[bytes]:
        more = {Step.SEEDS: self._seeded, Step.SKETCHES: set(self._words), Step.SCREENINGS: set(self._approvals)}
        return more.get(self.step) or super()._delivered()

    # -- progress ------------------------------------------------------------------------------------------------------

    def _advance(self) -> list[Effect]:
        match self.step:
            case Step.SEEDS:
                return self._show_seeds() if self._expected <= self._seeded else []
            case Step.SKETCHES:
                return self._screen() if self._expected <= self._words.keys() else []
            case Step.SCREENINGS:
                return self._clear() if self._expected <= self._approvals.keys() else []
            case _:
                return super()._advance()

    def _certify(self) -> list[Effect]:
        effects = super()._certify()
        if self.step is not Step.REVEALS or self.plan.sketches is None:
            return effects
        roster, manifests = self._roster(), {m: self._manifests[m] for m in self.u3}
        u2_digest = roster.u2_digest(self._bitmaps[0])
        self._case = Screen(roster, self.plan.sketches, self.u2, u2_digest, self.u3, self._survivors, manifests)
        self.step = Step.SEEDS
        return effects

    def _show_seeds(self) -> list[Effect]:
        case = self._screen_case()
        try:
            lates = tuple(self._lates[m] if m in self._lates else self._late_of(m) for m in self.u3)
        except CannotOpen as error:
            blame = self._fault(error.culprit, str(error)) if error.culprit else []
            return [*blame, *self._abandon(str(error))]
        self._lates = dict(zip(self.u3, lates, strict=True))
        self._directions = case.directions(lates)
        self._next(Step.SKETCHES, tuple(sorted(self._votes)))
        return self._ask([TellAll(Seeded(self.plan.sid, lates))])

    def _late_of(self, owner: bytes) -> bytes:
        """From the shares that the others revealed: nobody changes the seed by going silent."""
        t, given = self._roster().limits.shares, self._seed_shares.get(owner, {})
        if len(given) < t:
            raise CannotOpen(None, f"only {len(given)} of {t} shares of one peer's randomness were revealed")
        try:
            late = combine(dict(sorted(given.items())[:t]))
        except ValueError as error:
            raise CannotOpen(owner, "the shares that it dealt do not combine") from error
        if not self._screen_case().is_late(owner, late):
            raise CannotOpen(owner, "the shares that it dealt combine to a secret that it did not commit to")
        return late

    def _screen(self) -> list[Effect]:
        case, roster = self._screen_case(), self._roster()
        if self._directions is None:
            raise AssertionError("no directions yet")
        false = case.false_among(self.vectors, self._words, self._directions)
        verdict = case.verdict(self._words, false)
        u4 = case.passing(verdict)
        blames: list[Effect] = [Blame(m, SENTENCES[code]) for m, code in verdict.failed.items() if code != SILENT]
        if case.too_few(u4):
            return [*blames, *self._abandon(case.too_few(u4))]
        sketches = tuple(self._sketches[m] for m in self.u3 if m in self._sketches)
        self._screened = Screened(self.plan.sid, roster.bitmap(frozenset(u4)), roster.bitmap(false), sketches)
        self._next(Step.SCREENINGS, u4)
        return [*blames, *self._ask([TellAll(self._screened)])]

    def _clear(self) -> list[Effect]:
        case, roster, screened = self._screen_case(), self._roster(), self._screened
        if screened is None:
            raise AssertionError("nothing was screened yet")
        if len(self._approvals) < roster.limits.quorum:
            few = f"only {len(self._approvals)} of the {roster.limits.quorum} votes that a screening needs"
            return self._abandon(few)
        votes = tuple(self._approvals[a] for a in sorted(self._approvals))
        u4 = roster.select(screened.u4)
        self._record = ScreeningRecord(
            u3=self._bitmaps[1],
            left_out=tuple(self._manifests[m] for m in self.u3 if m not in u4),
            lates=tuple(self._lates[m] for m in self.u3),
            false=screened.false,
            sketches=screened.sketches,
            votes=votes,
        )
        digest = case.digest(screened.u4, screened.false, screened.sketches)
        self.u3, self._bitmaps = u4, (self._bitmaps[0], screened.u4)
        self._next(Step.REVEALS, tuple(sorted(self._approvals)))
        return self._ask([TellAll(Cleared(self.plan.sid, screened.u4, digest, votes))])

    def _unmask(self) -> list[Effect]:
        return [
            Summed(e.total, msgspec.structs.replace(e.transcript, screening=self._record))
            if isinstance(e, Summed)
            else e
            for e in super()._unmask()
        ]

    def _screen_case(self) -> Screen:
        if self._case is None:
            raise AssertionError("no certificate yet")
        return self._case
