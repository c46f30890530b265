"""Rounds whose merge has an optimiser: one state for everybody, after restarts and lost disks, and under audit."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Simulation, direction

from peerage import effects as fx
from peerage.audit.maths import RunMathematics
from peerage.config import Federation
from peerage.learning.learner import Learner, rows_of
from peerage.learning.scoring import cosine
from peerage.rounds.merging import Merging
from peerage.rounds.optimisers import AHEAD, FEDAVG, Optimiser
from peerage_ledger.audit.findings import Notebook
from peerage_ledger.audit.rounds import judge_named
from peerage_ledger.audit.terms import CaseFile, Terms
from peerage_ledger.judgement import NO_STATE


def named(optimiser):
    return "scaffold" if optimiser.variates else optimiser.kind


ROUNDS, ADAM = 4, Optimiser("fedadam", rate=0.1)
SCAFFOLD = Optimiser(variates=True, peers=5)
ALL = (FEDAVG, AHEAD, Optimiser("momentum"), ADAM, Optimiser("fedyogi", rate=0.1), SCAFFOLD)


def simulated(optimiser, peers=5):
    return Simulation(peers, seed=11, rounds=ROUNDS, optimiser=optimiser)


def heads(sim):
    return [host.engine.head for host in sim.hosts.values()]


def agree(sim, optimiser):
    first, *others = heads(sim)
    assert first.round == ROUNDS
    rows = 3 if optimiser.adaptive else int(optimiser.variates)
    assert first.state.shape == ((rows, sim.parameters) if rows else (0, 0))
    for head in others:
        assert head.aggregate == first.aggregate
        assert head.state.tobytes() == first.state.tobytes()
    for host in sim.hosts.values():
        head = host.engine.head
        assert np.array_equal(host.engine.own.base, optimiser.training_start(head.model, head.step))


@pytest.mark.parametrize("optimiser", ALL, ids=named)
def test_all_peers_carry_the_same_state(optimiser):
    sim = simulated(optimiser).start().run()
    invariants.check(sim)
    agree(sim, optimiser)


def test_each_optimiser_leads_elsewhere():
    found = {heads(simulated(optimiser).start().run())[0].aggregate for optimiser in ALL}
    assert len(found) == len(ALL) - 1  # peers that do not heed SCAFFOLD's correction end where they did without


def heedful(sim, host, effect):
    """Training that heeds the correction: what a host's own rows would do, and what is added to it."""
    own = np.random.default_rng(len(host.name) + int(host.name[-2:])).normal(size=sim.parameters)
    return (effect.model + 0.1 * own + effect.correction).astype(np.float32)


def test_peers_know_how_they_move_and_the_state_is_their_mean():
    sim = simulated(SCAFFOLD)
    sim.train = heedful
    sim.start().run()
    invariants.check(sim)
    agree(sim, SCAFFOLD)
    hosts = list(sim.hosts.values())
    usual = [host.engine.own.usual for host in hosts]
    assert np.allclose(np.mean(usual, axis=0), hosts[0].engine.head.state[0], atol=1e-4)
    for host, mine in zip(hosts, usual, strict=True):
        own = np.random.default_rng(len(host.name) + int(host.name[-2:])).normal(size=sim.parameters)
        assert np.allclose(mine, 0.1 * own, atol=1e-3)  # what its rows do, not what the correction adds
        assert np.array_equal(host.saved.usual, mine)


@pytest.mark.parametrize("wiped", [False, True], ids=["killed", "disk lost"])
def test_who_is_killed_still_knows_how_it_moves_and_who_lost_its_disk_learns_it_again(wiped):
    sim = simulated(SCAFFOLD)
    sim.train = heedful
    sim.start()
    victim = next(iter(sim.hosts.values()))
    seen = []

    def gone():
        if victim.engine.head.round < 2:
            sim.at(0.01, gone)
            return
        seen.append(victim.saved.usual)
        sim.crash(victim)
        sim.at(0.5, back)

    def back():
        sim.revive(victim, wiped=wiped)
        seen.append(victim.engine.own.usual)

    sim.at(0.01, gone)
    sim.run()
    invariants.check(sim)
    agree(sim, SCAFFOLD)
    assert seen[0] is not None
    assert seen[1] is None if wiped else np.array_equal(seen[1], seen[0])


@pytest.mark.parametrize("wiped", [False, True], ids=["killed", "disk lost"])
def test_whoever_returns_has_the_state_from_the_records(wiped):
    sim = simulated(ADAM).start()
    victim = next(iter(sim.hosts.values()))

    def gone():
        if victim.engine.head.round < 2:
            sim.at(0.01, gone)
            return
        sim.crash(victim)
        sim.at(1.0, lambda: sim.revive(victim, wiped=wiped))

    sim.at(0.01, gone)
    sim.run()
    assert victim.life == 1
    invariants.check(sim)
    agree(sim, ADAM)


class Forgetful(Optimiser):
    """It merges as if every round were the first."""

    def follow(self, model, step, state, mean, members=0):
        return Optimiser.follow(self, model, step, NO_STATE, mean, members)


def test_a_peer_with_another_state_finds_no_quorum_and_the_others_go_on():
    sim = simulated(ADAM, peers=6).start()
    odd = next(iter(sim.hosts.values()))
    odd.engine.rules = replace(sim.rules, optimiser=Forgetful("fedadam", rate=0.1))
    sim.run(until=300.0)
    honest = [host for host in sim.hosts.values() if host is not odd]
    assert {host.engine.head.round for host in honest} == {ROUNDS}
    assert len({host.engine.head.aggregate for host in honest}) == 1
    refused = [entry for host in honest for entry in host.journal if entry.kind == "fault"]
    stuck = [entry for entry in odd.journal if entry.kind == "fault"]
    assert refused or stuck  # whoever was the initiator was told of
    assert odd.engine.head.round < ROUNDS  # it refuses what the others hold


class Watched(Simulation):
    """Keeps what its peers were asked to score."""

    def carry(self, host, effect):
        if isinstance(effect, fx.Score):
            self.asked = [*getattr(self, "asked", []), effect]
        super().carry(host, effect)


@pytest.mark.parametrize("optimiser", ALL, ids=named)
def test_a_round_is_scored_along_what_its_updates_did(optimiser):
    sim = Watched(5, seed=11, rounds=ROUNDS, optimiser=optimiser).start().run()
    history = next(iter(sim.hosts.values())).engine.history
    standings = [sim.genesis, *(judged.standing for judged in history)]
    assert len(sim.asked) == 5 * ROUNDS
    for effect in sim.asked:
        before, after = standings[effect.round - 1 : effect.round + 1]
        start = optimiser.path_start(before.model, before.step, before.state)
        assert np.array_equal(effect.base, start)
        assert np.allclose(effect.base + effect.step, after.model, atol=1e-6)
        assert len(effect.applied) == min(3, effect.round - 1) * (2 if optimiser.remembers else 1)
        slope = optimiser.slope(before.state, after.state)
        assert (slope is None) == (effect.slope is None) == (not optimiser.adaptive)
        if slope is not None:
            assert np.array_equal(effect.slope, slope)
            assert np.allclose(after.state[2] * slope, after.model - start, atol=1e-5)


def test_learners_and_auditors_weigh_the_gradient_by_the_slope():
    federation, told = Federation(peers=3), []
    learner = Learner(federation, rows_of(federation, 0, "honest"), 0, "honest", told.append)
    try:
        base = learner.initial
        step, seed = np.full(base.size, 1e-3, np.float32), bytes(32)
        slope = np.where(np.arange(base.size) % 2, 3.0, 0.0)
        plain, steep = (
            learner._answer(fx.Score(b"", 1, base, step, (), seed, slope=s)).direction for s in (None, slope)
        )
        assert plain[::2].any()
        assert not steep[::2].any()
        assert cosine(plain[1::2], steep[1::2]) > 0.999
        measured = learner._answer(fx.Measure(b"", 1, base, step, seed, slope)).units
        assert not (np.abs(measured[::2]) > 1).any()  # nothing but rounding
    finally:
        learner.close()


# -- the audit ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mathematics(RunMathematics):
    """The simulator's stand-in for the path gradient."""

    def direction(self, parent, judged, applied, /):
        base = self.merging.optimiser.path_start(parent.model, parent.step, parent.state)
        path = (judged.standing.model.astype(np.float64) - base.astype(np.float64)).astype(np.float32)
        return direction(base, path, tuple(applied))


@dataclass
class Remembered:
    """What an earlier audit left."""

    known: dict = field(default_factory=dict)
    code: bytes = b"code"

    def get(self, key, /):
        return self.known.get(key)

    def put(self, key, value, /):
        self.known[key] = value


def audited(sim, optimiser, memory=None):
    host = next(iter(sim.hosts.values()))
    f, grid, rules = sim.federation, sim.rules.grid, sim.rules
    terms = Terms(
        record=f.genesis,
        session=f.terms,
        initial=sim.genesis.model,
        rounds=ROUNDS,
        ring=grid.ring,
        frac_bits=grid.frac_bits,
        clip=grid.clip,
        novelty=3,
        cap=rules.cap,
        window=rules.window,
        pool=rules.pool,
        audited=sim.federation.audited,
    )
    deployment = SimpleNamespace(chain_id=f.chain_id, registry=f.registry, ledger=f.round_ledger, vault=f.vault)
    case = CaseFile(terms, deployment, None, sim.archive, {}, (), memory=memory)
    head, book = host.engine.history[-1].standing, Notebook()
    maths = Mathematics(Merging(grid, optimiser), None, None)
    return judge_named(case, f.registered, [(head.transcript, head.round, None, "a test")], maths, book), book


@pytest.fixture(scope="module")
def run():
    return simulated(ADAM).start().run()


@pytest.mark.parametrize("optimiser", ALL, ids=named)
def test_an_audit_finds_the_same_models_and_directions(optimiser):
    sim = simulated(optimiser).start().run()
    rounds, book = audited(sim, optimiser)
    assert not book.findings
    assert len(rounds.judged) == ROUNDS
    assert {check.direction.value for check in rounds.checks} == {"passed"}


def test_an_audit_finds_a_quorum_that_used_another_state():
    sim = simulated(Forgetful("fedadam", rate=0.1)).start().run()
    assert {head.round for head in heads(sim)} == {ROUNDS}
    rounds, book = audited(sim, ADAM)
    assert [(finding.code, finding.round) for finding in book.findings] == [("aggregate", 2)]
    assert len(rounds.judged) == 1  # in the first round there is nothing to forget


@pytest.mark.parametrize("other", [Optimiser("fedadam", rate=0.1, tau=2e-3), Optimiser("fedyogi", rate=0.1)])
def test_an_audit_finds_other_numbers_than_those_agreed_on(run, other):
    assert {finding.code for finding in audited(run, other)[1].findings} == {"aggregate"}


def test_where_a_round_is_read_again_its_state_is_merged_again(run):
    rounds, _ = audited(run, ADAM)
    last = max(rounds.judged.values(), key=lambda told: told.round)
    known = rounds.standing_of(last)
    rounds.standings.clear()
    again = rounds.standing_of(last)
    assert again is not known
    assert again.state.tobytes() == known.state.tobytes()
    assert (again.model.tobytes(), again.step.tobytes()) == (known.model.tobytes(), known.step.tobytes())
    assert again.state.tobytes() == heads(run)[0].state.tobytes()


def test_an_audit_that_recalls_the_earlier_rounds_judges_the_last_one_with_the_right_state(run):
    memory = Remembered()
    audited(run, ADAM, memory)
    assert len(memory.known) == ROUNDS
    newest = list(memory.known)[-1]
    del memory.known[newest]
    rounds, book = audited(run, ADAM, memory)
    assert not book.findings
    assert newest in memory.known
    assert len(rounds.judged) == ROUNDS
