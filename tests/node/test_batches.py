"""Several rounds in one transaction: the same records on the chain, for less."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from peerage import effects as fx
from peerage_ledger import events

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Bad, Host, Simulation


def recordings(sim: Simulation) -> list[int]:
    """How many rounds each transaction brought; those in which somebody else was faster left out."""
    assert sim.node is not None
    brought = (
        Counter(name for name, event in block.logs if isinstance(event, events.RoundRecorded))
        for block in sim.node.blocks
    )
    return [count for block in brought for count in block.values()]


@pytest.mark.parametrize("batch", [2, 3, 50])
def test_every_round_is_recorded_once_in_fewer_transactions(batch: int) -> None:
    sim = Simulation(5, rounds=7, whole=True, batch=batch).start().run()
    invariants.check(sim)
    sent = recordings(sim)
    assert sum(sent) == 7
    assert len(sent) == -(-7 // batch)


def test_a_round_that_is_no_multiple_waits_for_one_that_is() -> None:
    sim = Simulation(4, rounds=5, whole=True, batch=2)
    handed: dict[int, set[int]] = {}

    def watch(_s: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        if isinstance(effect, fx.RecordLine):
            handed.setdefault(host.engine.head.round, set()).update(r.round for r in effect.records)
        assert not isinstance(effect, fx.Record)
        return [effect]

    sim.cheats |= dict.fromkeys(sim.hosts, watch)
    sim.start().run()
    assert handed == {2: {1, 2}, 4: {1, 2, 3, 4}, 5: {1, 2, 3, 4, 5}}
    assert recordings(sim) == [2, 2, 1]


@pytest.mark.parametrize("seed", range(6))
def test_whoever_dies_and_however_bad_the_chain_is_every_round_is_there_in_the_end(seed: int) -> None:
    bad = Bad(drop=0.2, refuse=0.2, unreachable=0.1, uneven=0.1, shuffle=True, fork=(1.0 + seed / 3, 2))
    sim = Simulation(5, seed=seed, rounds=6, whole=True, batch=3, bad=bad).start()
    victim = list(sim.hosts.values())[seed % 5]
    sim.at(0.8, lambda: sim.crash(victim))
    sim.at(3.0, lambda: sim.revive(victim))
    sim.run()
    invariants.check(sim)
    assert len(recordings(sim)) <= 6
