"""Sums too large to be added up by everybody: random leaves catch a wrong one as often as theory says."""

import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from peerage import effects as fx
from peerage import messages as m
from peerage.rounds import leaves, results
from peerage.rounds.aggregation import canonical
from peerage.rounds.leaves import draw_leaves
from peerage_crypto.digest import sha256
from peerage_crypto.leaf_check import LeafEvidence, decode, judge_leaf, leaves_of, sum_root
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.statements import ResultAck, sign
from peerage_ledger.transcript import decode_session, encode

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Simulation, Weather

PARAMETERS = 2500  # in 64 bits, where the stand-in for g cannot wrap: 20 048 bytes, 20 leaves


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every round is one that nobody adds up again."""
    monkeypatch.setattr(results, "READ_ALL_BYTES", 0)


def simulation(peers: int = 5, drawn: int = 4, **how: object) -> Simulation:
    sim = Simulation(peers, rounds=1, parameters=PARAMETERS, ring_bits=64, **how)
    sim.rules = replace(sim.rules, leaves=drawn)
    for host in sim.hosts.values():
        host.engine.rules = sim.rules
    return sim


def lying(words: list[int]):
    """An initiator that raises these words of the first sum and signs what it announces."""
    done: list[object] = []

    def cheat(sim: Simulation, host: object, effect: fx.Effect) -> list[fx.Effect]:
        message = effect.message if isinstance(effect, fx.Broadcast | fx.Send) else None
        engine, ring = host.engine, sim.federation.ring
        if isinstance(message, m.Result):
            if not done:
                total = np.frombuffer(host.holdings[message.sum_artefact], ring.dtype).copy()
                total[words] += 1
                blob = ring_bytes(total)
                session = decode_session(host.holdings[message.session])
                proof = encode(msgspec.structs.replace(session, sum_artefact=sha256(blob)))
                merged = engine.merge(sim.genesis, [total], [len(session.manifests)]).model
                model = sha256(canonical(merged))
                host.holdings |= {sha256(blob): blob, sha256(proof): proof, model: canonical(merged)}
                size = sim.federation.length * ring.word_bytes
                ack = sign(ResultAck(message.sid, sum_root(blob, size), model), host.account, sim.federation.domain)
                done.append((m.Result(message.sid, sha256(proof), len(proof), sha256(blob), model), m.Ack(ack)))
            if message.sid == done[0][0].sid:
                return [replace(effect, message=done[0][0])]
        if isinstance(message, m.Ack) and done and message.signed.statement.sid == done[0][0].sid:
            return [replace(effect, message=done[0][1])]
        return [effect]

    return cheat, done


def play_lie(words: list[int], seed: int, drawn: int):
    """(who asked for leaves, who refused with evidence, the evidence) of the first session of a lying initiator."""
    sim = simulation(seed=seed, drawn=drawn).start()
    cheat, done = lying(words)
    sim.cheats = dict.fromkeys(sim.hosts, cheat)  # whoever opens first, lies; the others never announce a sum
    acks = []
    sim.watchers.append(
        lambda _s, host, _to, x: acks.append((host.account.address, x)) if isinstance(x, m.Ack) else None
    )
    while not (done and sim.now > done_at(sim, done) + 4):
        before = sim.now
        sim.run(sim.now + 0.5)
        if sim.now == before:
            break
    return sim, done[0][0], acks


def done_at(sim: Simulation, done: list) -> float:
    if len(done) == 1:
        done.append(sim.now)
    return done[1]


def evidence(sim: Simulation) -> list[tuple[str, LeafEvidence]]:
    found = []
    for host in sim.hosts.values():
        for entry in host.journal:
            if entry.kind == "leaf-evidence":
                blob = host.holdings[bytes.fromhex(entry.fields["artefact"])]
                found.append((host.name, decode(blob)))
    return found


def test_leaves_are_drawn_evenly_without_repetition_and_not_more_than_there_are() -> None:
    counts = np.zeros(20, int)
    for number in range(2000):
        drawn = draw_leaves(number.to_bytes(32, "big"), 5, 2, 10)
        assert len(set(drawn)) == 5
        for group, leaf in drawn:
            counts[10 * group + leaf] += 1
    assert counts.sum() == 10_000
    assert np.abs(counts - 500).max() < 5 * np.sqrt(500)
    assert draw_leaves(bytes(32), 99, 1, 3) == ((0, 0), (0, 1), (0, 2))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weather", [Weather(), Weather(loss=0.15, delay=(0.001, 0.2))])
def test_an_honest_sum_is_acknowledged_after_its_leaves_and_never_refused(seed: int, weather: Weather) -> None:
    sim = simulation(seed=seed, weather=weather).start().run()
    invariants.check(sim)
    assert all(len(host.engine.history) == 1 for host in sim.hosts.values())
    assert not evidence(sim)
    told = [x for _, _, x in sim.wire if isinstance(x, m.LeavesTold)]
    assert told
    assert max(len(m.encode(x)) for x in told) < m.MAX_FRAME_BYTES


def test_a_wrong_leaf_that_was_drawn_convicts_the_initiator_and_nobody_signs() -> None:
    sim, lie, acks = play_lie([12 + 1000], seed=1, drawn=20)
    liar = next(e for _, e in evidence(sim)).session.opened.statement.initiator
    found = evidence(sim)
    assert len(found) == 4
    for _, brought in found:
        plan = sim.federation.plan(brought.session.opened.statement)
        fault = judge_leaf(plan, brought)
        assert (fault.code, fault.culprit) == ("leaf-wrong", liar)
    assert {who for who, x in acks if x.signed.statement.model == lie.model} <= {liar}


def test_a_lie_is_caught_as_often_as_the_draws_say() -> None:
    """One of 20 leaves wrong, 4 drawn by each of 4 others: each catches it with probability 4/20."""
    caught, seeds = 0, 40
    for seed in range(seeds):
        sim, _, _ = play_lie([12 + 2000], seed=seed, drawn=4)
        caught += len(evidence(sim))
    expected, deviation = 4 * seeds * 0.2, np.sqrt(4 * seeds * 0.2 * 0.8)
    assert abs(caught - expected) < 3 * deviation


def test_a_survivor_that_is_gone_is_answered_for_by_the_initiator() -> None:
    sim = simulation(seed=2).start()
    gone: list[bytes] = []
    first: list[bytes] = []

    def crash(sim: Simulation, host: object, _to: bytes, x: m.Message) -> None:
        if isinstance(x, m.Result) and not gone:
            victim = next(h for h in sim.hosts.values() if h is not host)
            gone.append(victim.account.address)
            first.append(x.sid)
            sim.at(0.0, lambda: sim.crash(victim))

    sim.watchers.append(crash)
    sim.run()
    alive = [h for h in sim.hosts.values() if h.account.address not in gone]
    assert gone
    assert {h.engine.history[0].transcript.sid for h in alive} == set(first), "no second session was needed"
    assert gone[0] in alive[0].engine.history[0].proven.u3


def test_a_leaf_under_another_root_is_no_answer_and_its_senders_fault() -> None:
    sim = simulation(seed=3).start()

    def forge(sim: Simulation, host: object, effect: fx.Effect) -> list[fx.Effect]:
        message = effect.message if isinstance(effect, fx.Send) else None
        if isinstance(message, m.LeavesTold):
            piece = message.pieces[0]
            wrong = msgspec.structs.replace(piece, leaf=bytes([piece.leaf[0] ^ 1]) + piece.leaf[1:])
            return [replace(effect, message=msgspec.structs.replace(message, pieces=(wrong, *message.pieces[1:])))]
        return [effect]

    liar = next(iter(sim.hosts))
    sim.cheats[liar] = forge
    sim.run()
    honest = [h for a, h in sim.hosts.items() if a != liar]
    assert all(len(h.engine.history) == 1 for h in honest)
    sentences = [(e.fields["culprit"], e.fields["sentence"]) for h in honest for e in h.journal if e.kind == "fault"]
    assert ("0x" + liar.hex(), "it sent a leaf that does not stand under the root that its owner signed") in sentences
    assert {culprit for culprit, _ in sentences} == {"0x" + liar.hex()}


def test_the_numbers_of_the_decision() -> None:
    """The table of docs/adr/0009: who draws 8 of a million parameters' 3907 leaves."""
    assert leaves_of(48 + 4 * 10**6) == 3907
    assert leaves.ASKS > 4  # each of the four who may hold a vector is asked more than once
