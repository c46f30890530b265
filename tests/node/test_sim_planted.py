"""The harness under test: for every invariant a known bug is planted, and the schedules find it."""

from __future__ import annotations

import sys
from collections.abc import Callable  # noqa: TC003 - a dataclass's field
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from schedules import MOST, PATIENT, play
from simulator import Cheat, Host, Simulation

from peerage import effects as fx
from peerage.rounds import leaving, openings, recovery, results, scoring_step, settlement, standing
from peerage.rounds.round_state import RoundState
from peerage.rounds.version import OwnVersion, Status
from peerage_crypto import secagg_member as sm
from peerage_crypto import thresholds
from peerage_crypto.digest import sha256
from peerage_crypto.opening import Gate
from peerage_crypto.session import Revealed, RosterMessage, Survivors
from peerage_ledger import events, listener, outbox, rewards, sender, wishes
from peerage_ledger.rewards import split
from peerage_ledger.view import View

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Planted:
    """A bug, the family (or the liar) that meets it, the sentence in which it is found, and within how many seeds."""

    plant: Callable[[Patch], None]
    family: str | Cheat
    finds: str
    within: int


def lock_not_saved(patch: Patch) -> None:
    """The version is locked in memory only before the join leaves."""
    save = RoundState.save

    def forgetful(self: RoundState) -> None:
        if self.own.status is not Status.LOCKED:
            save(self)

    patch.setattr(RoundState, "save", forgetful)


def both_secrets(patch: Patch) -> None:
    """A member shows the mask keys of survivors too."""
    real = sm.Member.on_certificate

    def greedy(self: sm.Member, message: Any) -> list[Any]:
        shares = dict(self._shares)
        effects = real(self, message)
        more = tuple(sm.RevealedShare(o, None, s[sm.MASK_KEY], s[sm.RAND]) for o, s in sorted(shares.items()))
        return [*effects, sm.Tell(self.plan.initiator, Revealed(self.plan.sid, more))] if shares else effects

    patch.setattr(sm.Member, "on_certificate", greedy)


def abstains_after_voting(patch: Patch) -> None:
    def abstain(self: sm.Member) -> Any:
        return self._signed(sm.Abstention(self.plan.sid, self.plan.opened.round))

    patch.setattr(sm.Member, "abstain", abstain)


def fewer_acknowledgements(patch: Patch) -> None:
    """A result is adopted with one acknowledgement less than a quorum."""

    def adopt(s: Any, sid: bytes) -> None:
        for result, outcome in s.outcomes.items():
            candidate = outcome.candidate
            if result.sid != sid or candidate is None or s.candidate or candidate.parent.record != s.head.record:
                continue
            if len(results.matching_acks(s, candidate)) >= candidate.proven.roster.limits.quorum - 1:
                results._adopt(s, candidate)

    patch.setattr(results, "maybe_adopt", adopt)


def no_gate(patch: Patch) -> None:
    patch.setattr(Gate, "pledge", lambda _self, mine: mine)


def work_dropped(patch: Patch) -> None:
    """A slow peer's free version is not carried over to the next model."""
    real = OwnVersion.adopted

    def adopted(self: OwnVersion, base: Any, **how: Any) -> OwnVersion:
        return replace(real(self, base, **how), local=base.copy())

    patch.setattr(OwnVersion, "adopted", adopted)


def merged_again(patch: Patch) -> None:
    """A version that a model contains stays free: it would go into the next sum too."""
    real = OwnVersion.adopted

    def adopted(self: OwnVersion, base: Any, *, consumed: bool, **how: Any) -> OwnVersion:
        after = real(self, base, consumed=consumed, **how)
        return replace(after, status=Status.FREE) if consumed else after

    patch.setattr(OwnVersion, "adopted", adopted)


def never_spent(patch: Patch) -> None:
    """A version whose session failed after masking stays locked for good."""
    patch.setattr(leaving, "on_abort_timer", lambda *_: None)
    from peerage.rounds import round as door

    patch.setitem(door._TIMERS, "abort", lambda *_: None)


def lost_disk_unnoticed(patch: Patch) -> None:
    patch.setattr(recovery, "start", lambda _s: None)


def wrong_update_checked(patch: Patch) -> None:
    """The recorded number is compared with the newest update, not with the one in the sum."""
    patch.setattr(RoundState, "opened_update", property(lambda s: s.update, lambda *_: None), raising=False)


def dust_kept(patch: Patch) -> None:
    """A pot is rounded down for everybody."""
    patch.setattr(rewards, "split", lambda pot, weights: {p: s * 999 // 1000 for p, s in split(pot, weights).items()})


def records_forgotten(patch: Patch) -> None:
    """A closed round is not handed to the outbox."""
    patch.setattr(openings, "Record", lambda _record: fx.Phase("ledger"))
    patch.setattr(settlement, "RecordLine", lambda _records: fx.Phase("ledger"))


def impatient(patch: Patch) -> None:
    """What has no receipt yet is sent again with a new nonce."""

    def resend(self: Any, _rpc: Any, _on_chain: int, now: float) -> None:
        if now - self._sent_at >= 0.2:
            for wish in self._file.outbox.in_flight():
                self._record(outbox.Voided(wish.key, "impatient"), now)

    patch.setattr(sender.Sender, "_resend", resend)


def claims_short(patch: Patch) -> None:
    """The last account is never claimed for."""
    real = wishes.claims

    def claims(totals: Any) -> Any:
        found = real(totals)
        for wish in found:
            wish.arguments["accounts"].pop()
        return found

    patch.setattr(wishes, "claims", claims)


def rewound_unnoticed(patch: Patch) -> None:
    """A chain that forgot blocks is not looked at again."""
    from peerage_ledger.listener import Listener, Look

    def shrug(self: Any, _rpc: Any, head: int, name: str) -> Look:
        self.seen = (head, name)
        return Look.QUIET

    patch.setattr(Listener, "_rewound", shrug)
    patch.setattr(outbox.Outbox, "forgotten", lambda *_: [])


def signature_holds_nobody(patch: Patch) -> None:
    """Who has signed rewards on one branch goes to another at once."""
    patch.setattr(settlement.Settlement, "_holds", lambda _self: [])


def one_example_more(patch: Patch) -> None:
    """What goes under the masks counts an example that was not there."""
    from peerage.rounds import joining
    from peerage.rounds.aggregation import masked_input

    def more(update: Any, own: Any, grid: Any) -> Any:
        return masked_input(update, replace(own, examples=own.examples + 1), grid)

    patch.setattr(joining, "masked_input", more)


def numbers_swapped(patch: Patch) -> None:
    """Two opened numbers change places, and nobody looks at its own."""
    real = scoring_step.open_numbers

    def swapped(*everything: Any) -> Any:
        opened = real(*everything)
        first, second, *_ = sorted(opened.numbers)
        numbers = opened.numbers | {first: opened.numbers[second], second: opened.numbers[first]}
        return replace(opened, numbers=numbers)

    patch.setattr(scoring_step, "open_numbers", swapped)
    patch.setattr(standing, "_check_my_number", lambda *_: None)


def claims_not_seen(patch: Patch) -> None:
    """A client does not count what the vault has paid."""

    class Shortsighted(View):
        def apply(self, event: Any) -> None:
            if not isinstance(event, events.RewardClaimed):
                super().apply(event)

    patch.setattr(listener, "View", Shortsighted)


def votes_again(patch: Patch) -> None:
    """A member votes for whatever it is shown, as often as it is shown something new."""
    real = sm.Member.on_survivors

    def vote(self: sm.Member, message: Any) -> list[Any]:
        again = self.stage is sm.Stage.VOTED and self.roster is not None and message not in self._answers
        return self._vote(self.roster, message) if again and self.roster else real(self, message)

    patch.setattr(sm.Member, "on_survivors", vote)


def any_roster(patch: Patch) -> None:
    """A roster of any size is as good as another."""
    patch.setattr(thresholds, "smallest_roster", lambda _registered: 3)


def two_survivor_sets(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
    """A lying initiator asks for votes on a set, and then on the same without one of its peers."""
    if not isinstance(effect, fx.Broadcast | fx.Send) or not isinstance(effect.message, Survivors):
        return [effect]
    x, roster, domain = effect.message, host.engine.session.collector.roster, sim.federation.domain
    victim = min({s.signer(domain) for s in x.manifests} - {host.account.address})
    u3 = roster.bitmap(frozenset(roster.select(x.u3)) - {victim})
    fewer = Survivors(x.sid, u3, tuple(s for s in x.manifests if s.signer(domain) != victim))
    return [effect, replace(effect, message=fewer)]


def roster_of_friends(_sim: Simulation, _host: Host, effect: fx.Effect) -> list[fx.Effect]:
    """A lying initiator knows of two joins besides its own."""
    if isinstance(effect, fx.Broadcast | fx.Send) and isinstance(effect.message, RosterMessage):
        x = effect.message
        return [replace(effect, message=msgspec.structs.replace(x, joins=x.joins[:3]))]
    return [effect]


def lied_to(cheat: Cheat, seed: int) -> Simulation:
    """Two rounds of five peers, whose first initiator lies."""
    sim = Simulation(5, seed=seed, rounds=2, whole=True)
    liar = min(sim.hosts, key=lambda a: sha256(sim.federation.genesis, a))
    sim.cheats[liar] = cheat
    return sim.start().run(PATIENT, MOST)


PLANTED = (
    Planted(lock_not_saved, "killed", "version", 60),
    Planted(both_secrets, "slow", "both secrets", 1),
    Planted(abstains_after_voting, "killed", "voted and abstained", 60),
    Planted(fewer_acknowledgements, "stormy", "does not hold", 300),
    Planted(no_gate, "slow", "numbers left before", 5),
    Planted(work_dropped, "slow", "lost work", 20),
    Planted(merged_again, "slow", "", 5),
    Planted(never_spent, "killed_twice", "", 60),
    Planted(lost_disk_unnoticed, "wiped", "locked before is trained again", 10),
    Planted(wrong_update_checked, "succession", "finish", 250),
    Planted(dust_kept, "slow", "", 5),
    Planted(records_forgotten, "slow", "alive peers finish", 2),  # a vault takes no line that the ledger lacks
    Planted(impatient, "bad_chain", "", 60),
    Planted(claims_short, "slow", "", 2),
    Planted(rewound_unnoticed, "bad_chain", "", 60),
    Planted(signature_holds_nobody, "everything", "alive peers finish", 150),
    Planted(one_example_more, "slow", "the sum is not the sum", 1),
    Planted(numbers_swapped, "slow", "an opened number is not", 5),
    Planted(claims_not_seen, "slow", "another vault", 1),
    Planted(votes_again, two_survivor_sets, "'Vote'", 5),
    Planted(any_roster, roster_of_friends, "smaller than is legal", 5),
)


def seeds_needed(planted: Planted) -> tuple[int, str]:
    """How many seeds were played until the bug showed, and in which words."""
    for seed in range(planted.within):
        try:
            family = planted.family
            sim = play(family, seed) if isinstance(family, str) else lied_to(family, seed)
            invariants.check(sim, everybody=False)
        except Exception as error:  # noqa: BLE001 - a bug may show as anything
            return seed + 1, f"{type(error).__name__}: {error}"
    return 0, ""


@pytest.mark.parametrize("planted", PLANTED, ids=lambda p: p.plant.__name__)
def test_a_planted_bug_is_found(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.plant(monkeypatch)
    seeds, words = seeds_needed(planted)
    assert seeds, f"not found within {planted.within} seeds"
    assert planted.finds in words


@pytest.mark.parametrize("cheat", [two_survivor_sets, roster_of_friends], ids=lambda c: c.__name__)
@pytest.mark.parametrize("seed", range(5))
def test_without_a_bug_the_same_liars_break_nothing(cheat: Cheat, seed: int) -> None:
    invariants.check(lied_to(cheat, seed))
