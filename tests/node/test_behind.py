"""A slow peer that hears of rounds only when they are closed: what it brings next is its work and nothing else."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Simulation

from peerage.rounds.aggregation import split_sum
from peerage.rounds.optimisers import FEDAVG

SNAIL = "peer-05"


def by_number(sim, host, effect):
    """Each fine-tune moves a peer's model by its own hundredths."""
    return (effect.model + np.float32(int(host.name[-2:]) / 100)).astype(np.float32)


def test_rounds_closed_without_it_take_nothing_off_the_work_in_hand():
    slow = 3.0
    sim = Simulation(
        5,
        seed=3,
        rounds=30,
        train=by_number,
        optimiser=FEDAVG,
        train_seconds=lambda h: slow if h.name == SNAIL and h.engine.own.number >= 1 else 0.05,
    ).start()
    snail = next(h for h in sim.hosts.values() if h.name == SNAIL)
    others = [h for h in sim.hosts.values() if h is not snail]

    def cut_off():
        if snail.engine.head.round < 1 or snail.engine.training_from is None:
            sim.at(0.01, cut_off)
            return
        sim.partition([snail], others)
        sim.at(1.0, sim.heal)

    sim.at(0.01, cut_off)
    sim.run(until=400.0)
    invariants.check(sim)
    brought = [split_sum(vector)[1] / 2**16 for (_, peer), vector in sim.plain.items() if peer == snail.account.address]
    assert len(brought) > 5
    missed = [j for j in snail.engine.history if snail.account.address not in j.proven.u3]
    assert len(missed) > 5
    for update in brought:
        assert np.allclose(update, 0.05, atol=1e-3)
