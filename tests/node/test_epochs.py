"""Epochs of pay: what is earned is settled while training goes on, once, and no branch takes it back."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

import invariants
import sim_ledger
from simulator import Host, Simulation

from peerage import effects as fx
from peerage import messages as m
from peerage.rounds import epochs, standing
from peerage.rounds.epochs import Books
from peerage_crypto.digest import address_root, sha256
from peerage_ledger import events
from peerage_ledger.records import RewardRoot, Steps
from peerage_ledger.rewards import Earner, PayState

ROUNDS, EPOCH = 5, 2
ENDS = [2, 4, 5]


def run(**options: object) -> Simulation:
    return Simulation(5, seed=3, rounds=ROUNDS, epoch=EPOCH, **options).start().run()  # type: ignore[arg-type]


def roots(sim: Simulation) -> list[RewardRoot]:
    return [e.reward for e in sim_ledger.log(sim) if isinstance(e, events.RootPublished)]


# -- where an epoch ends -----------------------------------------------------------------------------------------------


@given(rounds=st.integers(1, 200), length=st.integers(0, 250))
def test_the_epochs_cover_the_rounds_once(rounds: int, length: int) -> None:
    paid, ends = 0, list[int]()
    while paid < rounds:
        end = epochs.end_of(rounds, length, paid)
        assert paid < end <= rounds
        assert end == rounds or end - paid == length
        paid = end
        ends.append(end)
    assert len(ends) == (-(-rounds // length) if length else 1)


# -- a run -------------------------------------------------------------------------------------------------------------


def test_each_epoch_is_paid_once_on_the_chain_and_the_last_is_all_that_was_earned() -> None:
    sim = run(whole=True)
    invariants.check(sim)
    told = roots(sim)
    assert [root.epoch for root in told] == [1, 2, 3]
    one = next(iter(sim.hosts.values())).engine
    after = [one.history[end - 1].standing.record for end in ENDS]
    assert [paid.record for paid in one.paid] == after[:-1]
    assert [paid.books.steps.records[-1] for paid in one.paid] == after[:-1]
    assert [len(paid.books.steps.records) for paid in one.paid] == [2, 2]
    assert [root.emission_root == address_root({}) for root in told] == [True, True, False], "closed once, at the end"
    claimed: dict[bytes, int] = {}
    for event in sim_ledger.log(sim):
        if isinstance(event, events.RewardClaimed):
            claimed[event.account] = event.cumulative
    assert sum(claimed.values()) == told[-1].total > told[0].total > 0


def test_training_goes_on_while_an_epoch_is_settled() -> None:
    sim = Simulation(5, seed=3, rounds=ROUNDS, epoch=EPOCH)
    held: list[int] = []

    def slow(_sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        """Nobody votes before round 4."""
        if isinstance(effect, fx.Send) and isinstance(effect.message, m.RewardVote) and host.engine.head.round < 4:
            held.append(host.engine.head.round)
            return []
        return [effect]

    sim.cheats |= dict.fromkeys(sim.hosts, slow)
    sim.start().run()
    assert held, "they were asked"
    assert {root.epoch for root, _, _ in sim.published} == {1, 2, 3}
    assert all(host.finished and len(host.engine.history) == ROUNDS for host in sim.hosts.values())


def test_one_epoch_is_the_run_as_it_was() -> None:
    plain, same = Simulation(5, seed=3, rounds=3).start().run(), Simulation(5, seed=3, rounds=3, epoch=3).start().run()
    assert [root for root, _, _ in plain.published] == [root for root, _, _ in same.published]


def test_a_peer_that_was_away_for_an_epoch_takes_it_from_the_chain() -> None:
    sim = Simulation(5, seed=3, rounds=ROUNDS, epoch=EPOCH, whole=True)
    late = min(sim.hosts)
    host = sim.hosts[late]

    def vanish(_sim: Simulation, _source: Host, _to: bytes, _message: m.Message) -> None:
        if host.alive and host.life == 0 and host.engine.head.round == 1:
            sim.crash(host)
            sim.at(60.0, lambda: sim.revive(host))

    sim.watchers.append(vanish)
    sim.start().run()
    assert host.life > 0
    invariants.check(sim)
    assert [root.epoch for root in roots(sim)] == [1, 2, 3]
    assert len(host.engine.paid) == 2


# -- what holds --------------------------------------------------------------------------------------------------------


def ended(rounds: int = 3, epoch: int = 2, seed: int = 5, draws: int = 0) -> tuple[Simulation, Host]:
    sim = Simulation(5, seed=seed, rounds=rounds, epoch=epoch)
    sim._draws = draws
    sim.start()
    one = next(iter(sim.hosts.values()))
    while not one.engine.paid:
        sim.run(sim.now + 0.0005)
    return sim, one


def test_no_branch_without_a_settled_epoch_is_taken() -> None:
    _, one = ended()
    other, two = ended(rounds=9, epoch=8, draws=1000)
    other.run()
    branch = two.engine.history
    assert len(branch) > len(one.engine.history), "it would count more"
    assert branch[0].standing.record != one.engine.history[0].standing.record
    head = one.engine.head.record
    for peer in one.engine.federation.registered:
        one.engine.settled_on[peer].append(branch[-1].standing.record)
    one.engine.out = []
    standing._take(one.engine, b"\x01" * 20, list(branch))
    assert one.engine.head.record == head


def test_a_question_about_a_past_epoch_is_answered_with_the_quorums_signatures() -> None:
    _, one = ended()
    asked = m.Settling(one.engine.paid[0].record, bytes(32))
    said = one.engine.handle(fx.Received(next(iter(one.engine.federation.registered - {one.engine.me})), asked))
    (answer,) = (e.message for e in said if isinstance(e, fx.Send) and isinstance(e.message, m.Settled))
    assert answer.record == asked.record


def test_a_round_that_was_voided_too_late_stays_paid_and_one_of_a_later_epoch_is_not() -> None:
    _, one = ended()
    engine = one.engine
    first = engine.history[0].standing.record
    before = engine.books(3).steps
    engine.handle(fx.RoundVoided(first))
    assert engine.unpaid == frozenset()
    assert engine.books(3).steps == before
    if engine.head.round > 2:
        engine.handle(fx.RoundVoided(engine.head.record))
        assert engine.unpaid == {engine.head.record}


def test_an_epochs_root_that_was_voided_is_signed_anew_and_the_next_builds_on_that() -> None:
    sim = Simulation(5, seed=3, rounds=4, epoch=2)
    struck: list[bytes] = []

    def strike(_sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        """The first root of epoch 1 is proven wrong on the chain as soon as it stands, and so is its first round."""
        if not isinstance(effect, fx.Publish) or effect.root.epoch != 1:
            return [effect]
        struck.append(host.engine.me)
        if len(struck) == 1:
            record = host.engine.history[0].standing.record
            for other in sim.hosts.values():
                sim.at(0.005, lambda o=other: sim.event(o, fx.RoundVoided(record)))
                sim.at(0.006, lambda o=other: sim.event(o, fx.RootVoided()))
        return [] if not host.engine.voided else [effect]

    sim.cheats |= dict.fromkeys(sim.hosts, strike)
    sim.start().run()
    assert struck
    assert {root.epoch for root, _, _ in sim.published} == {1, 2}
    for host in sim.hosts.values():
        assert host.finished
        assert host.engine.paid[0].books.voided == {host.engine.history[0].standing.record}
    assert len({root.digest(1, bytes(20)) for root, _, _ in sim.published if root.epoch == 1}) == 1


# -- the chain's word --------------------------------------------------------------------------------------------------


def books_for(left_out: object) -> Books:
    paid = 100 - 10 * len(list(left_out))  # type: ignore[call-overload]
    state = PayState(3, sha256(b"3"), (Earner(b"\x01" * 20, paid, (1,)),))
    return Books(state, Steps((sha256(b"3"),), (state.digest(),)), frozenset(left_out))  # type: ignore[call-overload]


@pytest.mark.parametrize("paid_all_the_same", [0, 1, 2, 3])
def test_of_voided_rounds_those_are_left_out_that_the_quorum_left_out(paid_all_the_same: int) -> None:
    void = [sha256(bytes([i])) for i in range(3)]
    signed = books_for(void[paid_all_the_same:]).root(2, sha256(b"e"))
    found = epochs.matching(signed, void, books_for)
    assert found is not None
    assert found.root(2, sha256(b"e")) == signed


def test_a_root_that_my_rounds_do_not_give_is_not_taken() -> None:
    signed = replace(books_for(()).root(1, bytes(32)), total=99)
    assert epochs.matching(signed, (), books_for) is None


def test_guessing_ends() -> None:
    asked: list[object] = []

    def books(left_out: object) -> Books:
        asked.append(left_out)
        return books_for(left_out)

    signed = replace(books_for(()).root(1, bytes(32)), total=99)
    assert epochs.matching(signed, [sha256(bytes([i])) for i in range(30)], books) is None
    assert len(asked) == epochs.MOST_GUESSES


def test_a_root_on_the_chain_that_is_not_mine_settles_nothing() -> None:
    sim = Simulation(5, seed=5, rounds=3, epoch=2).start()
    one = next(iter(sim.hosts.values()))
    while one.engine.settlement is None:
        sim.run(sim.now + 0.0005)
    mine = one.engine.settlement.books.root(1, address_root({}))
    assert not one.engine.handle(fx.RootsStand((replace(mine, total=mine.total + 1),)))
    waits = one.engine.handle(fx.RootsStand((mine,)))
    assert [type(e) for e in waits] == [fx.SetTimer], "whoever published it claims for all"
    said = one.engine.handle(fx.Timeout("settle:claim:1"))
    (published,) = (e for e in said if isinstance(e, fx.Publish))
    assert not published.signatures
    assert not one.engine.handle(fx.RootsStand((mine,))), "once"
    one.engine.handle(fx.Published(2))
    assert not one.engine.paid, "another epoch's claims"
    one.engine.handle(fx.Published(1))
    assert [p.epoch for p in one.engine.paid] == [1]
