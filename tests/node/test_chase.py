"""Catching up: every round of somebody's chain must prove itself."""

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from peerage.effects import FetchArtefact
from peerage.rounds.chase import FETCH_ATTEMPTS, Chase
from peerage_crypto.digest import sha256
from peerage_ledger.transcript import decode_round, encode

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Host, Simulation


@pytest.fixture(scope="module")
def run() -> tuple[Simulation, Host]:
    sim = Simulation(4, rounds=3).start().run()
    return sim, next(iter(sim.hosts.values()))


def pursuit(sim: Simulation, host: Host) -> tuple[Chase, list[FetchArtefact]]:
    chase = Chase(host.account.address, host.engine.head.transcript, 3, {sim.genesis.record: sim.genesis}, 112)
    return chase, chase.start()


def feed(chase: Chase, wanted: list[FetchArtefact], holdings: dict[bytes, bytes]) -> None:
    while wanted:
        fetch = wanted.pop(0)
        wanted += chase.on_blob(fetch.artefact, holdings[fetch.artefact])


def test_it_walks_back_to_a_record_of_mine_and_hands_out_the_oldest_first(run: tuple[Simulation, Host]) -> None:
    sim, host = run
    chase, wanted = pursuit(sim, host)
    feed(chase, wanted, host.holdings)
    parent, evidence = chase.ready()
    assert parent is sim.genesis
    assert evidence.transcript.round == 1
    assert [t.round for _, t in chase.stack] == [3, 2]


def test_garbage_is_refused(run: tuple[Simulation, Host]) -> None:
    sim, host = run
    chase, wanted = pursuit(sim, host)
    chase.on_blob(wanted[0].artefact, b"{}")
    assert "RoundTranscript" in chase.failed


def test_a_chain_that_skips_a_round_is_refused(run: tuple[Simulation, Host]) -> None:
    sim, host = run
    chase, wanted = pursuit(sim, host)
    head = decode_round(host.holdings[host.engine.head.transcript])
    first = host.engine.history[0].standing.transcript
    link = msgspec.structs.replace(head.parents[0], transcript=first)
    more = chase.on_blob(wanted[0].artefact, encode(msgspec.structs.replace(head, parents=(link,))))
    chase.on_blob(more[0].artefact, host.holdings[first])
    assert chase.failed == "the rounds of the chain do not follow each other"


def test_the_chain_of_another_federation_is_refused(run: tuple[Simulation, Host]) -> None:
    _, host = run
    chase = Chase(host.account.address, host.engine.head.transcript, 3, {}, 112)
    feed(chase, chase.start(), host.holdings)
    assert "another federation" in chase.failed


def test_an_artefact_is_asked_for_a_few_times(run: tuple[Simulation, Host]) -> None:
    sim, host = run
    chase, wanted = pursuit(sim, host)
    for _ in range(FETCH_ATTEMPTS - 1):
        assert chase.on_missing(wanted[0].artefact) == wanted
    assert not chase.on_missing(wanted[0].artefact)
    assert chase.failed


def test_a_peer_that_was_away_catches_up_and_finishes() -> None:
    sim = Simulation(6, rounds=5).start()
    victim = next(iter(sim.hosts.values()))
    sim.at(0.1, lambda: sim.crash(victim))
    sim.at(1.0, lambda: sim.revive(victim))
    sim.run()
    invariants.check(sim)


def test_a_served_chain_that_does_not_hold_names_who_served_it() -> None:
    sim = Simulation(4, rounds=2).start()
    hosts = list(sim.hosts.values())
    victim = hosts[0]
    sim.at(0.01, lambda: sim.crash(victim))
    sim.at(30.0, lambda: sim.revive(victim))
    sim.run(29)
    assert all(h.engine.head.round == 0 for h in hosts), "four of four are needed"
    sim.run()
    server, lagging = hosts[1].engine, sim._engine(victim.account, 0)
    judged = server.history[0]
    false = encode(msgspec.structs.replace(judged.transcript, aggregate=sha256(b"mine")))
    held = {**hosts[1].holdings, sha256(false): false}
    from peerage import effects as fx
    from peerage import messages as m

    closed = m.Closed(judged.transcript.sid, sha256(b"record"), 1, sha256(false))
    queue = lagging.handle(fx.Received(server.me, closed))
    said = list(queue)
    while queue:
        effect = queue.pop(0)
        if isinstance(effect, fx.FetchArtefact):
            more = lagging.handle(fx.Fetched(effect.artefact, held[effect.artefact]))
            queue, said = queue + more, said + more
    faults = [e.fields for e in said if isinstance(e, fx.Journal) and e.kind == "fault"]
    assert [f["culprit"] for f in faults] == ["0x" + server.me.hex()]
    assert "the aggregate is not the merge" in faults[0]["sentence"]
    assert lagging.head.round == 0
    assert np.array_equal(lagging.head.model, sim.genesis.model)
