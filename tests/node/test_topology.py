"""Graphs of plain exchange: what they are, that all of them end, contract as theory says, and pass the audit."""

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_plain import Plain, Weather, accepted_by_the_contract, mine

from peerage.config import Federation, MergeSettings
from peerage.config_toml import parse_federation
from peerage.plain.topology import Topology, consensus_distance, near_of, spectral_gap, topology_of
from peerage_crypto.errors import InputError

GRAPHS = ("ring", "line", "star", "regular:3", "regular:4", "random:0.5", "sample:2", "pairs")


def settings(graph, peers=8, seed=0):
    return Federation(peers=peers, seed=seed, exchange="plain", merge=MergeSettings(graph=graph))


def graph_of(graph, peers=8, seed=0):
    return topology_of(settings(graph, peers, seed))


def degrees(graph, peers=8, merge=1):
    found = graph_of(graph, peers)
    return [len(found.neighbours(v, merge)) for v in range(peers)]


def test_the_graphs_that_have_names():
    assert topology_of(settings("all")) is None
    assert graph_of("ring").neighbours(0, 1) == {1, 7}
    assert degrees("line") == [1, 2, 2, 2, 2, 2, 2, 1]
    assert degrees("star") == [7, 1, 1, 1, 1, 1, 1, 1]
    assert degrees("regular:3") == [3] * 8
    assert degrees("regular:4", 7) == [4] * 7
    assert degrees("regular:7") == [7] * 8
    assert sum(degrees("random:0.5")) % 2 == 0


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_graph_is_a_function_of_the_seed_and_nobody_is_its_own_neighbour(graph):
    for vertex in range(8):
        near = graph_of(graph).neighbours(vertex, 3)
        assert near == graph_of(graph).neighbours(vertex, 3)
        assert vertex not in near
        assert near <= set(range(8))
    drawn = {graph_of("regular:4", seed=s).edges() for s in range(5)}
    assert len(drawn) > 1


def test_what_is_drawn_for_each_merge_is_drawn_anew():
    sample, pairs = graph_of("sample:2"), graph_of("pairs", 7)
    assert {len(sample.neighbours(v, m)) for v in range(8) for m in range(1, 20)} == {2}
    assert len({sample.neighbours(0, m) for m in range(1, 20)}) > 5
    for merge in range(1, 20):
        near = [pairs.neighbours(v, merge) for v in range(7)]
        assert sum(not one for one in near) == 1  # one of seven has nobody
        assert all(v in near[w] for v in range(7) for w in near[v])
    assert len({pairs.neighbours(0, m) for m in range(1, 40)}) == 7


@pytest.mark.parametrize("n", [3, 4, 8, 15])
def test_spectral_gaps_are_those_of_the_books(n):
    ring = Topology("ring", 0, n, 0)
    values = sorted((abs(1 + 2 * np.cos(2 * np.pi * k / n)) / 3 for k in range(n)), reverse=True)
    assert spectral_gap(ring.mixing()) == pytest.approx(1 - values[1], abs=1e-9)
    whole = Topology("regular", n - 1, n, 0)
    assert spectral_gap(whole.mixing()) == pytest.approx(1.0)
    assert np.allclose(ring.mixing().sum(axis=1), 1)


class Graphed(Plain):
    """Plain exchange over a graph; remembers the model from which each peer trains after each of its merges."""

    def __init__(self, graph, peers=8, **rest):
        super().__init__(peers, **rest)
        self.after = {}
        near = near_of(settings(graph, peers), self.federation.registered)
        self.federation = replace(self.federation, near=near)
        for host in self.hosts.values():
            host.engine.federation = self.federation


def apart_once(sim, host, effect):
    """Each peer moves away by its own amount before its first merge, and never again: what is left is averaging."""
    sim.after.setdefault(host.account.address, []).append(effect.model)
    own = np.random.default_rng(sum(host.account.address)).normal(size=effect.model.size).astype(np.float32)
    return effect.model + own if effect.version == 1 else effect.model


@pytest.mark.parametrize("graph", ["ring", "line", "star", "regular:4", "random:0.5"])
def test_merges_average_as_the_mixing_matrix_says(graph):
    sim = Graphed(graph, rounds=8, train=apart_once).start().run()
    assert all(host.finished for host in sim.peers)
    order, mixing = sorted(sim.hosts), graph_of(graph).mixing()
    models = np.stack([sim.genesis.model + np.random.default_rng(sum(p)).normal(size=24) for p in order])
    for merge in range(1, 8):
        models = mixing @ models
        found = np.stack([sim.after[peer][merge] for peer in order])
        assert np.allclose(found, models, atol=1e-4)


@pytest.mark.parametrize("graph", ["ring", "regular:4"])
def test_where_all_have_as_many_neighbours_the_distance_to_consensus_falls_by_the_spectral_gap(graph):
    sim = Graphed(graph, rounds=8, train=apart_once).start().run()
    distances = [consensus_distance([sim.after[peer][merge] for peer in sim.hosts]) for merge in range(1, 8)]
    kept = 1 - spectral_gap(graph_of(graph).mixing())
    assert all(after <= kept * before * 1.001 for before, after in pairwise(distances))
    means = [np.mean([sim.after[peer][merge] for peer in sim.hosts], axis=0) for merge in (1, 7)]
    assert np.allclose(*means, atol=1e-4)


def test_what_is_drawn_anew_reaches_consensus_too():
    for graph in ("sample:2", "pairs"):
        sim = Graphed(graph, rounds=12, train=apart_once).start().run()
        before, after = (consensus_distance([sim.after[p][m] for p in sim.hosts]) for m in (1, 11))
        assert after < 0.05 * before


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("seed", range(4))
def test_every_graph_ends_in_bad_weather_and_passes_the_audit(graph, seed):
    weather = Weather(loss=0.02, repeat=0.05, delay=(0.001, 0.1), fetch_loss=0.05)
    sim = Graphed(graph, seed=seed, rounds=3, weather=weather).start()
    hosts = sim.peers
    sim.at(0.05 + seed / 10, lambda: sim.crash(hosts[seed]))
    if seed % 2:
        sim.at(3 + seed, lambda: sim.revive(hosts[seed]))
    sim.run()
    assert all(host.finished for host in hosts if host.alive)
    accepted_by_the_contract(sim)
    told = sim.judge()
    assert not told.faults
    near = sim.federation.near
    for judged in told.judged.values():
        who = judged.body.initiator
        assert set(judged.participants.peers) <= near(who, judged.body.merge) | {who}


def test_a_peer_that_merges_beyond_its_neighbours_is_found():
    sim = Graphed("ring", rounds=2)
    liar = sim.peers[0]
    liar.engine.federation = replace(sim.federation, near=None)
    sim.start().run()
    told = sim.judge()
    assert {(fault.code, fault.culprit) for _, fault in told.faults} >= {("merge-neighbours", liar.account.address)}
    honest = [record for record in sim.records.values() if not mine(sim, record, liar)]
    assert honest


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[merge]\ngraph = "ring"', 'choose exchange = "plain"'),
        ('peers = 2\nexchange = "plain"\n[merge]\ngraph = "ring"', "two peers"),
        ('peers = 7\nexchange = "plain"\n[merge]\ngraph = "regular:3"', "choose K of 2, 4, 6"),
        ('peers = 8\nexchange = "plain"\n[merge]\ngraph = "sample:8"', "1 to 7 others"),
        ('peers = 8\nexchange = "plain"\n[merge]\ngraph = "random:0.05"', "falls apart with seed 0"),
        ('peers = 8\nexchange = "plain"\n[merge]\ngraph = "torus"', "takes all, ring, line"),
        ('peers = 8\nexchange = "plain"\n[merge]\ngraph = "ring"\n[robust]\nrule = "median"', "not tried on graphs"),
    ],
)
def test_a_graph_that_cannot_be_is_refused(text, why):
    with pytest.raises(InputError, match=why):
        parse_federation(text, where="here")
