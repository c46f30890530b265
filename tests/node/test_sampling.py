"""Random-k: which coordinates a round exchanges, what becomes of the others, and that the audit follows."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import invariants
import schedules
from simulator import Simulation, cross_directions, direction

from peerage.audit.maths import RunMathematics
from peerage.cli.run import _compression, assemble
from peerage.config import Federation, MaskingSettings
from peerage.config_toml import federation_hash, parse_federation
from peerage.optimising import learning_words
from peerage.rounds.aggregation import Grid, Metrics, masked_input, update_of
from peerage.rounds.merging import Merging
from peerage.rounds.optimisers import AHEAD, FEDAVG
from peerage.rounds.sampling import ALL, Sampling, only, put, sampling_of, spread
from peerage.rounds.version import OwnVersion, Status
from peerage_crypto.errors import InputError
from peerage_ledger.audit.findings import Notebook
from peerage_ledger.audit.rounds import judge_named
from peerage_ledger.audit.terms import CaseFile, Terms
from peerage_ledger.judgement import genesis

QUARTER, ROUNDS = Sampling(0.25), 5
VECTOR = [2, 6, 7, 17, 18, 21]  # of 24 coordinates after the parent below


def parent(record=b"r" * 32, size=24):
    return genesis(record, np.zeros(size, np.float32), b"a" * 32)


def test_the_coordinates_follow_from_the_parent_alone():
    """The vector: what another implementation must draw."""
    assert QUARTER.kept(parent()).tolist() == VECTOR
    assert QUARTER.kept(replace(parent(), model=np.ones(24, np.float32))).tolist() == VECTOR
    assert QUARTER.kept(replace(parent(), record=b"w" * 32)).tolist() == VECTOR  # whoever writes it chooses nothing
    assert QUARTER.kept(replace(parent(), seed=b"s" * 32)).tolist() != VECTOR
    assert QUARTER.kept(parent(b"q" * 32)).tolist() != VECTOR


def test_a_share_is_rounded_up_and_all_are_none():
    assert [Sampling(f).exchanged(10) for f in (0.01, 0.1, 0.11, 0.5, 1.0)] == [1, 1, 2, 5, 10]
    assert ALL.kept(parent()) is None
    assert ALL.exchanged(24) == 24


def test_every_coordinate_comes_as_often_as_another():
    counts = np.zeros(24)
    for seed in range(1000):
        kept = QUARTER.kept(replace(parent(), seed=seed.to_bytes(32, "big")))
        assert len(set(kept.tolist())) == 6
        counts[kept] += 1
    assert counts.min() > 190  # 250 expected, sd 13.7: four deviations are 195
    assert counts.max() < 310


def test_what_is_spread_is_what_was_taken():
    kept, vector = np.array([1, 4, 5]), np.arange(8, dtype=np.float64)
    whole = spread(only(vector, kept), kept, 8)
    assert whole.tolist() == [0, 1, 0, 0, 4, 5, 0, 0]
    assert put(np.zeros(8), vector, kept).tolist() == whole.tolist()
    assert spread(vector, None, 8) is vector
    assert only(vector, None) is vector


def test_a_merge_moves_what_was_exchanged_and_nothing_else():
    grid, start = Grid(32, 16, 4.0), parent()
    kept = QUARTER.kept(start)
    work = np.full(24, 0.5, np.float32)
    update = update_of(only(work, kept), np.zeros(6, np.float32), grid, b"d" * 32)
    vector = masked_input(update, Metrics(1, 1, 1, 0), grid)
    assert vector.size == grid.length(6)
    merged = Merging(grid, FEDAVG, sampling=QUARTER).merge(start, [vector], [1])
    assert np.allclose(merged.model[kept], 0.5, atol=1e-4)
    assert np.count_nonzero(merged.model) == 6


def test_what_was_not_exchanged_goes_with_a_later_round():
    base, work, kept = np.zeros(4, np.float32), np.array([1, 2, 3, 4], np.float32), np.array([0, 2])
    own = OwnVersion(0, Status.TRAINING, b"", base, base, Metrics(1, 0, 0, 0)).trained(work, Metrics(1, 0, 0, 0))
    after = own.locked(b"s").adopted(np.array([10, 0, 30, 0], np.float32), consumed=True, kept=kept)
    assert after.local.tolist() == [10, 2, 30, 4]
    assert after.status is Status.TRAINING
    free = own.locked(b"s").released().adopted(base, consumed=True, kept=kept)
    assert free.status is Status.TRAINING, "a version that is in a sum is never free again"
    newer = own.locked(b"s").spent().trained(work + 1, Metrics(1, 0, 0, 0)).adopted(base, consumed=True, kept=kept)
    assert newer.status is Status.FREE
    assert newer.local.tolist() == [1, 3, 1, 5]


@pytest.fixture(scope="module")
def played():
    return Simulation(5, seed=3, rounds=ROUNDS, random_k=0.25).start().run()


def test_a_run_moves_a_quarter_a_round_and_loses_nothing(played):
    """Beside what momentum does to all of it; the simulation watches that no work is lost."""
    invariants.check(played)
    for host in played.hosts.values():
        before = host.engine.genesis
        for judged in host.engine.history:
            kept = QUARTER.kept(before)
            base = AHEAD.training_start(before.model, before.step)
            moved = np.flatnonzero(judged.standing.model != base)
            assert set(moved.tolist()) <= set(kept.tolist())
            before = judged.standing
        assert {j.update_sum.size for j in host.engine.history} == {played.rules.grid.length(6)}


def test_a_killed_peer_keeps_what_no_round_has_exchanged():
    """What waits is in its saved model: a second life sends it as the first would have."""
    sim = Simulation(5, seed=4, rounds=3, random_k=0.25).start()
    host = next(iter(sim.hosts.values()))
    sim.run(until=0.3)
    waiting = host.saved.local - host.saved.base
    assert np.count_nonzero(waiting) > 6
    host.absence = 0.5
    sim.crash(host)
    assert np.array_equal(host.saved.local - host.saved.base, waiting)
    sim.run()
    invariants.check(sim)


@pytest.mark.parametrize("seed", range(25))
def test_faulty_schedules(seed):
    invariants.check(schedules.play("sampled", seed), everybody=False)


@dataclass(frozen=True)
class Mathematics(RunMathematics):
    """The simulator's stand-in for directions."""

    def direction(self, parent, judged, applied, /):
        base = self.merging.optimiser.path_start(parent.model, parent.step, parent.state)
        path = (judged.standing.model.astype(np.float64) - base.astype(np.float64)).astype(np.float32)
        g, exponent = direction(base, path, tuple(applied))
        return only(g, self.merging.sampling.kept(parent)), exponent

    def cross_directions(self, _parent, sums, _seed, _applied, /):
        return cross_directions(sums)


def audited(sim, sampling):
    host = next(iter(sim.hosts.values()))
    f, grid, rules = sim.federation, sim.rules.grid, sim.rules
    terms = Terms(
        record=f.genesis,
        session=f.terms,
        initial=sim.genesis.model,
        exchanged=sampling.exchanged(sim.parameters),
        rounds=rules.rounds,
        ring=grid.ring,
        frac_bits=grid.frac_bits,
        clip=grid.clip,
        novelty=3,
        cap=rules.cap,
        window=rules.window,
        pool=rules.pool,
        crossfit=f.crossfit,
        audited=f.audited,
    )
    deployment = SimpleNamespace(chain_id=f.chain_id, registry=f.registry, ledger=f.round_ledger, vault=f.vault)
    case = CaseFile(terms, deployment, None, sim.archive, {}, ())
    head, book = host.engine.history[-1].standing, Notebook()
    maths = Mathematics(Merging(grid, AHEAD, sampling=sampling), None, None)
    return judge_named(case, f.registered, [(head.transcript, head.round, None, "a test")], maths, book), book


def test_an_audit_finds_the_same_models_directions_and_numbers(played):
    rounds, book = audited(played, QUARTER)
    assert not book.findings
    assert len(rounds.judged) == ROUNDS
    assert {(c.sum.value, c.direction.value, c.numbers.value) for c in rounds.checks} == {("passed",) * 3}


def test_private_validation_measures_along_what_was_exchanged():
    sim = Simulation(10, seed=5, rounds=2, random_k=0.25, private=True).start().run()
    invariants.check(sim)
    rounds, book = audited(sim, QUARTER)
    assert not book.findings
    assert {(c.direction.value, c.numbers.value) for c in rounds.checks} == {("passed", "passed")}


@dataclass(frozen=True, slots=True)
class Chosen(Sampling):
    """A quorum that exchanges the first coordinates, whatever was drawn."""

    def kept(self, parent):
        return np.arange(self.exchanged(parent.model.size))


def test_an_audit_finds_a_quorum_that_chose_its_coordinates():
    sim = Simulation(5, seed=6, rounds=2, random_k=0.25)
    sim.rules = replace(sim.rules, sampling=Chosen(0.25))
    for host in sim.hosts.values():
        host.engine.rules = sim.rules
    sim.start().run()
    assert {host.engine.head.round for host in sim.hosts.values()} == {2}
    _, book = audited(sim, QUARTER)
    assert {(finding.code, finding.round) for finding in book.findings} == {("aggregate", 1)}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('exchange = "plain"\n[masking]\nrandom_k = 0.5', "plain exchange sends whole models"),
        ("[masking]\nrandom_k = 0.5\n[training]\nscaffold = true", "SCAFFOLD corrects by the mean of whole updates"),
        ('[masking]\nrandom_k = 0.5\n[privacy]\nnoise = 1.0\n[scores]\nopenings = "off"', "no privacy cost"),
        ("[masking]\nrandom_k = 0.0", "masking.random_k"),
        ("[masking]\nrandom_k = 1.5", "masking.random_k"),
    ],
)
def test_what_does_not_go_with_it_is_refused_in_a_sentence(text, why):
    with pytest.raises(InputError, match=why):
        parse_federation(text, where="here")


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ("none", (32, 16, 1.0)),
        ("u16", (16, 6, 1.0)),
        ("randk:0.25", (32, 16, 0.25)),
        ("u16+randk:0.1", (16, 6, 0.1)),
    ],
)
def test_compress_stands_for_settings(how, wanted):
    masking = assemble(None, _compression(how)).masking
    assert (masking.ring_bits, masking.frac_bits, masking.random_k) == wanted


@pytest.mark.parametrize("how", ["", "randk", "randk:0", "randk:2", "randk:x", "topk:0.1", "none+u16"])
def test_another_word_is_refused(how):
    with pytest.raises(InputError, match="randk:F"):
        _compression(how)


def test_a_federation_without_it_keeps_its_name_and_one_with_it_says_so():
    plain, quarter = Federation(), Federation(masking=MaskingSettings(random_k=0.25))
    assert federation_hash(plain) != federation_hash(quarter)
    assert sampling_of(quarter) == QUARTER
    assert "25 % of the coordinates a round" in learning_words(quarter)
    assert "coordinates" not in learning_words(plain)
