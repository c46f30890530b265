"""Seeded faulty schedules over whole federations in virtual time. PEERAGE_SCHEDULES=50000 plays that many."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import invariants
import sim_runner
from schedules import FAMILIES, STEPS, kill_at, play
from simulator import Simulation, Weather

SCHEDULES = int(os.environ.get("PEERAGE_SCHEDULES", "2000" if "CI" in os.environ else "1300"))


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with sim_runner.workers() as workers:
        yield workers


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("family", FAMILIES)
def test_whatever_happens_the_rules_hold_and_the_rounds_complete(pool: ProcessPoolExecutor, family: str) -> None:
    found = [f"{f.command}  # {f.why}" for f in sim_runner.many(pool, family, sim_runner.share(SCHEDULES))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("step", STEPS, ids=lambda kind: kind.__name__)
def test_the_initiator_dies_in_every_step_and_the_others_finish_without_it(step: type) -> None:
    sim = Simulation(5, seed=1, rounds=2).start()
    kill_at(sim, step, 2, None)
    sim.run()
    invariants.check(sim, everybody=False)


def test_a_schedule_is_a_function_of_its_seed() -> None:
    first, again = play("everything", 7), play("everything", 7)
    assert first.now == again.now
    assert [(a, b, type(c)) for a, b, c in first.wire] == [(a, b, type(c)) for a, b, c in again.wire]
    assert first.records.keys() == again.records.keys()


def test_a_slow_peer_is_neither_refused_nor_lost() -> None:
    sim = Simulation(5, rounds=12, train_seconds=lambda h: 0.05 * (200 if h.name == "peer-03" else 1)).start().run()
    invariants.check(sim)
    snail = next(h for h in sim.hosts.values() if h.name == "peer-03")
    taken = [j for j in snail.engine.history if snail.account.address in j.proven.u3]
    assert taken, "its work went into some round"
    assert len(taken) < 12, "nobody waited for it every time"
    assert not [f for f in invariants.faults(sim) if f[1] == "peer-03"]


def test_a_partition_that_heals_leaves_one_history() -> None:
    sim = Simulation(12, rounds=3).start()
    hosts = list(sim.hosts.values())
    sim.at(0.02, lambda: sim.partition(hosts[:6], hosts[6:]))
    sim.at(40.0, sim.heal)
    sim.run(2000)
    invariants.check(sim)
    split = [e for h in hosts for e in h.journal if e.kind == "fault" and "another branch" in e.fields["sentence"]]
    assert split, "both halves closed rounds, and whoever changed sides says so"


def test_in_good_weather_nobody_is_blamed_and_every_number_is_opened() -> None:
    sim = Simulation(8, rounds=2, weather=Weather(delay=(0.001, 0.02))).start().run()
    invariants.check(sim)
    assert not invariants.faults(sim)
    assert all(None not in j.transcript.numbers for h in sim.hosts.values() for j in h.engine.history)
