"""Robust rules in plain exchange: peers merge by them, the auditor merges again, too few models are not merged."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from peerage import effects as fx
from peerage.config import Federation, RobustSettings
from peerage.plain.rules import FEDAVG, FRAC_BITS, MergeRule, merge_rule_of, to_units
from peerage_crypto.errors import InputError


def _plain():
    """tests/node/test_plain.py and its simulated federation."""
    found = sys.modules.get("plain_federation")
    if found is None:
        spec = importlib.util.spec_from_file_location("plain_federation", Path(__file__).with_name("test_plain.py"))
        found = sys.modules["plain_federation"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
    return found


plain = _plain()
Plain, accepted_by_the_contract, finals = plain.Plain, plain.accepted_by_the_contract, plain.finals

RULES = [
    MergeRule("median", 2, 3),
    MergeRule("trimmed-mean", 2, 3),
    MergeRule("krum", 2, 3),
    MergeRule("multi-krum", 2, 3),
    MergeRule("geometric-median", 2, 3),
    MergeRule("local-reference", 0, 3),
]
by_name = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rule)


def poisoned(sim, culprits, value=1e20):
    """These peers' training gives huge weights, which are no NaN: the mean would swallow them."""
    honest = sim.train
    sim.train = lambda s, h, e: np.full(s.parameters, value, np.float32) if h in culprits else honest(s, h, e)
    return sim


@by_name
def test_two_of_seven_with_huge_weights_do_not_move_the_others(rule):
    sim = Plain(7, rounds=3, rule=rule)
    culprits, honest = sim.peers[5:], sim.peers[:5]
    poisoned(sim, culprits).start().run(until=300)
    for host in honest:
        assert host.finished
        assert host.engine.head.round == 3
        assert np.abs(host.engine.head.model).max() < 10
    accepted_by_the_contract(sim)
    history = sim.judge()
    assert not history.faults
    assert not history.unsummed


def test_the_mean_would_have_been_moved():
    """Otherwise the test above would not see an attack."""
    sim = Plain(7, rounds=1, rule=FEDAVG)
    poisoned(sim, sim.peers[5:]).start().run(until=300)
    assert np.abs(sim.peers[0].engine.head.model).max() > 1e10


@by_name
def test_everybody_and_the_auditor_find_the_same_bits(rule):
    sim = Plain(7, rounds=3, rule=rule).start().run()
    assert all(host.finished for host in sim.peers)
    if rule.rule != "local-reference":
        assert len(finals(sim)) == 1
    assert not sim.judge().faults


@by_name
def test_a_merge_by_another_rule_is_found(rule):
    """The auditor judges by the federation's rule, the peers merged by the mean."""
    sim = Plain(7, rounds=2, rule=FEDAVG).start().run()
    sim.rule = rule
    assert {fault.code for _, fault in sim.judge().faults} == {"aggregate"}


def test_a_merge_of_too_few_is_found():
    sim = Plain(3, rounds=1, rule=MergeRule("median", 1, 1)).start().run()
    sim.rule = MergeRule("median", 2, 1)
    faults = [fault for _, fault in sim.judge().faults]
    assert {fault.code for fault in faults} == {"merge-rule"}
    assert "median with f = 2 needs 5 models, there are 3" in faults[0].sentence


def test_with_too_few_a_peer_goes_on_with_its_own_and_takes_the_others_up_later():
    """Two of five are slow: three models are too few for f = 2, and what they brought is merged when five are there."""
    rule = MergeRule("median", 2, 4)
    slow = lambda h: 6.0 if h.name in {"peer-04", "peer-05"} else 0.05  # noqa: E731
    sim = Plain(5, rounds=4, rule=rule, train_seconds=slow).start().run(until=500)
    assert all(host.finished for host in sim.peers)
    members = {r.members for r in sim.records.values()}
    assert members <= {1, 5}
    assert 1 in members
    quick = sim.peers[0]
    assert any("needs 5 models" in report.sentence for report in quick.reports)
    assert not sim.judge().faults


@pytest.mark.parametrize("rule", ["median", "local-reference"])
def test_who_learns_nothing_and_finds_too_few_ends_by_itself(rule):
    sim = Plain(4, rounds=3, rule=MergeRule(rule, 2 if rule == "median" else 0, 3))
    ill, honest = sim.peers[0], sim.train
    sim.train = lambda s, h, e: np.full(s.parameters, np.nan, np.float32) if h is ill else honest(s, h, e)
    sim.start().run(until=500)
    assert all(host.finished for host in sim.peers)
    assert ill.engine.head.round == 0
    assert not sim.judge().faults


@pytest.mark.parametrize("seed", range(6))
def test_robust_merges_in_bad_weather(seed):
    weather = plain.Weather(loss=0.15, repeat=0.1, delay=(0.001, 0.5), fetch_loss=0.15)
    sim = Plain(6, rounds=3, seed=seed, weather=weather, rule=MergeRule("krum", 1, 3)).start()
    sim.at(0.3, lambda: sim.crash(sim.peers[5]))
    sim.run(until=2000)
    assert all(host.finished for host in sim.peers[:5])
    accepted_by_the_contract(sim)
    assert not sim.judge().faults


def test_the_rule_of_a_federation():
    base = Federation(peers=7, exchange="plain", rounds=9)
    rule = merge_rule_of(structs.replace(base, robust=RobustSettings(rule="krum", byzantine=2)))
    assert rule == MergeRule("krum", 2, 9)
    assert merge_rule_of(base) == replace(FEDAVG, merges=9)


def test_ones_own_model_alone_stays_as_it_is():
    model = np.random.default_rng(1).normal(size=9).astype(np.float32)
    for rule in RULES:
        assert rule([model], [5], 0, 1).tobytes() == model.tobytes()
        with pytest.raises(InputError):
            rule([model], [5], None, 1)


def test_sample_counts_say_nothing_to_a_robust_rule():
    models = [np.full(4, v, np.float32) for v in (1, 2, 3, 4, 100)]
    rule = MergeRule("median", 1, 1)
    assert list(rule(models, [1] * 5, 0, 1)) == list(rule(models, [1, 1, 1, 1, 10**9], 0, 1)) == [3.0] * 4


def test_units_keep_a_weights_bits_and_bound_its_size():
    weights = np.array([0.1, -3.7, 2.0**-9, 1e30, -1e30, 0.0], np.float32)
    units = to_units(weights)
    assert np.array_equal((units[:3] / 2.0**FRAC_BITS).astype(np.float32), weights[:3])
    assert list(units[3:]) == [2**52, -(2**52), 0]


def test_the_engine_reports_what_it_left_alone():
    sim = Plain(3, rounds=1, rule=MergeRule("krum", 1, 1)).start().run(until=100)
    reports = [r for host in sim.peers for r in host.reports if isinstance(r, fx.Report)]
    assert all("krum with f = 1 needs 5 models, there are 3" in r.sentence for r in reports)
    assert len(reports) == 3
    assert all(r.members == 1 for r in sim.records.values())
