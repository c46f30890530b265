"""Rounds that open at k fresh peers: a slow one delays nobody and is not lost."""

import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import invariants
import schedules
from simulator import Simulation

from peerage.config_toml import parse_federation
from peerage.scheduling import FedAU
from peerage_crypto.errors import InputError

FAST = 0.5  # seconds of a fine-tune; the slow peer takes ten times as long


def played(open_at, *, peers=6, rounds=12, seed=1, slow=("peer-06",), **rules):
    sim = Simulation(peers, seed=seed, rounds=rounds, train_seconds=lambda h: FAST * (10 if h.name in slow else 1))
    sim.rules = replace(sim.rules, open_at=open_at, **rules)
    for host in sim.hosts.values():
        host.engine.rules = sim.rules
    sim.start().run()
    invariants.check(sim)
    return sim


def rounds_of(sim, name):
    """In which rounds' sums a peer is."""
    host = next(host for host in sim.hosts.values() if host.name == name)
    return [j.transcript.round for j in host.engine.history if host.account.address in j.proven.u3]


def test_a_slow_peer_neither_delays_the_others_nor_is_lost():
    waiting, early = played(0), played(5)
    assert early.now < waiting.now / 2
    assert 1 <= len(rounds_of(early, "peer-06")) <= 4
    assert all(len(rounds_of(early, f"peer-0{n}")) >= 11 for n in range(1, 6))
    assert {len(j.proven.roster.members) for h in early.hosts.values() for j in h.engine.history} <= {5, 6}


def test_its_work_is_that_of_all_the_time_it_was_away():
    """Nothing that it trained on an older model is dropped: the simulation would say so, and its version counts up."""
    sim = played(5, rounds=24)
    times = rounds_of(sim, "peer-06")
    assert len(times) >= 2
    host = next(host for host in sim.hosts.values() if host.name == "peer-06")
    assert host.engine.head.versions[host.account.address] == len(times)


def test_without_a_setting_everybody_who_is_there_is_waited_for():
    sim = played(0, rounds=3, patience=60.0)
    assert rounds_of(sim, "peer-06") == [1, 2, 3]


def test_fedau_lets_the_seldom_count_for_what_they_missed():
    """Its scale is the mean of its own intervals, and a peer that is always there keeps a scale of one."""
    sim = Simulation(6, seed=1, rounds=12, train_seconds=lambda h: FAST * (10 if h.name == "peer-06" else 1))
    sim.rules = replace(sim.rules, open_at=5, over=6, fedau=FedAU(cap=8, cutoff=8))
    for host in sim.hosts.values():
        host.engine.rules = sim.rules
    sim.federation = replace(sim.federation, turns=tuple(dict.fromkeys(sim.hosts, 1) for _ in range(12)))
    for host in sim.hosts.values():
        host.engine.federation = sim.federation
    sim.start().run()
    declared = {
        host.name: [entry.fields["scale"] for entry in host.journal if entry.kind == "locked"]
        for host in sim.hosts.values()
    }
    assert set(declared["peer-01"]) == {"1"}
    assert any(scale != "1" for scale in declared["peer-06"])


@pytest.mark.parametrize("seed", range(40))
def test_early_rounds_hold_in_any_weather(seed):
    draw = random.Random(f"open_at/{seed}")
    peers = draw.choice([5, 6, 7, 8])
    kind = draw.choice([schedules.slow, schedules.stormy, schedules.killed, schedules.parted, schedules.comings])
    sim = kind(seed, draw, peers)
    sim.rules = replace(sim.rules, open_at=draw.randint(3 + peers // 4, peers))
    for host in sim.hosts.values():
        host.engine.rules = sim.rules
    sim.start().run(schedules.PATIENT, schedules.MOST)
    alive = [host for host in sim.hosts.values() if host.alive]
    assert all(host.finished for host in alive)
    invariants.agreed(sim, alive)
    sums = invariants.revealed_sums(sim)
    invariants.versions_in_one_sum(sim, sums)
    invariants.legal_rosters(sim, sums)
    invariants.plain_sums(sim, sums)
    assert not sim.broken


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("peers = 8\n[timing]\nopen_at = 2", "takes 5 to 8"),
        ("peers = 8\n[timing]\nopen_at = 9", "takes 5 to 8"),
        ('peers = 8\nexchange = "plain"\n[timing]\nopen_at = 6', "no roster to wait for"),
        ('peers = 8\n[timing]\nopen_at = 6\n[schedule]\npolicy = "wait-for-all"', "waits for all"),
        ("peers = 8\n[timing]\nopen_at = 6\n[privacy]\nleast_roster_change = 3", "differ seldom"),
        ('peers = 8\n[timing]\nopen_at = 6\n[privacy]\nnoise = 1.0\n[scores]\nopenings = "off"', "too little of it"),
        ('peers = 12\n[timing]\nopen_at = 6\n[data]\nvalidation = "private"', "scores no round of 6"),
    ],
)
def test_a_round_that_could_not_be_is_refused(text, why):
    with pytest.raises(InputError, match=why):
        parse_federation(text, where="here")
