"""Records that somebody makes up: numbers along a direction that nobody opened, or that is not quite everybody's."""

import sys
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from simulator import Host, Simulation
from test_liars import first_initiator, others

from peerage import effects as fx
from peerage import messages as m
from peerage.rounds.results import matching_acks
from peerage_crypto.digest import sha256
from peerage_crypto.opening import Openings
from peerage_ledger.transcript import NOTHING, decode_round, encode, record_of

change = msgspec.structs.replace


def forged_record(sim: Simulation, host: Host, transcript: bytes) -> m.Closed:
    """Its transcript is served, and it is announced."""
    engine = host.engine
    judged = engine.candidate or engine.history[-1]
    session = judged.session
    record = record_of(decode_round(transcript), sha256(transcript), judged.proven, session)
    host.home.store(transcript)
    return m.Closed(judged.proven.roster.plan.sid, record.record_hash(), 1, sha256(transcript))


def test_a_record_scored_along_a_direction_that_no_quorum_pledged_does_not_stand() -> None:
    """Any member writes one as soon as the round is adopted: no opening in it, and everything for itself."""
    sim = Simulation(5, rounds=1, seed=3)
    liar = others(sim, first_initiator(sim))[0]
    told: list[m.Closed] = []

    def cheat(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        candidate = host.engine.candidate
        if candidate is None or told:
            return [effect]
        u3 = candidate.proven.u3
        numbers = tuple(10**6 if p == host.account.address else 0 for p in u3)
        bare = candidate.base_transcript(matching_acks(host.engine, candidate))
        forged = encode(change(bare, direction=sha256(b"mine"), exponent=3, numbers=numbers))
        told.append(forged_record(sim, host, forged))
        return [effect, fx.Broadcast(told[0])]

    sim.cheats[liar.account.address] = cheat
    sim.start().run(120)

    assert told
    honest = others(sim, liar)
    assert all(h.finished for h in honest)
    assert all(told[0].record not in {j.standing.record for j in h.engine.history} for h in honest)
    for _, _, totals in sim.published:
        assert totals.get(liar.account.address, 0) < sum(totals.values())


def test_numbers_along_the_initiators_own_direction_are_checked_too() -> None:
    """Its g differs in one step of one coordinate: everybody opens along it, and it writes other numbers down."""
    sim = Simulation(5, rounds=1, seed=3)
    liar = first_initiator(sim)
    victim = others(sim, liar)[0].account.address
    renamed: dict[bytes, bytes] = {}

    def cheat(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        match effect:
            case fx.Score(sid, _, base, step, applied, _):
                from simulator import direction

                g, exponent = direction(base, step, applied)
                other = g.copy()
                other[int(np.argmax(np.abs(g)))] += 1
                done = fx.Scored(sid, other, exponent, sha256(host.account.address, sid))
                sim.at(0.001, lambda: sim.event(host, done))
                return []
            case fx.Store(blob) if blob.startswith(b'{"schema":1,"round"') and b'"aggregate"' in blob:
                t = decode_round(blob)
                judged = host.engine.history[-1] if host.engine.history else None
                u3 = judged.proven.u3 if judged else host.engine.candidate.proven.u3
                moved = dict(zip(u3, t.numbers, strict=True))
                moved[victim] -= 1000
                moved[liar.account.address] += 1000
                renamed[sha256(blob)] = encode(change(t, numbers=tuple(moved[p] for p in u3)))
                return [fx.Store(renamed[sha256(blob)])]
            case fx.Broadcast(m.Closed(sid, _, round_, transcript)) if transcript in renamed:
                judged, forged = host.engine.history[-1], renamed[transcript]
                record = record_of(decode_round(forged), sha256(forged), judged.proven, judged.session)
                return [fx.Broadcast(m.Closed(sid, record.record_hash(), round_, sha256(forged)))]
            case _:
                return [effect]

    sim.cheats[liar.account.address] = cheat
    sim.start().run(120)
    told = [j.fields["sentence"] for j in sim.hosts[victim].journal if j.kind == "fault"]
    assert renamed
    assert any("not its own" in sentence for sentence in told)
    assert all(victim not in signatures for _, signatures, _ in sim.published)


def test_with_fewer_openings_than_a_quorum_a_round_closes_without_scores() -> None:
    """Two of five pledge and then keep their numbers: the initiator writes no record that nobody would take."""
    sim = Simulation(5, rounds=1, seed=3)

    def keep(_sim: Simulation, _host: Host, effect: fx.Effect) -> list[fx.Effect]:
        return [] if isinstance(effect, fx.Send) and isinstance(effect.message, Openings) else [effect]

    for host in others(sim, first_initiator(sim))[:2]:
        sim.cheats[host.account.address] = keep
    sim.start().run(120)

    assert all(h.finished for h in sim.hosts.values())
    assert {h.engine.history[0].transcript.direction for h in sim.hosts.values()} == {NOTHING}
