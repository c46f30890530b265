"""A bad night of 24 peers, and a round of a hundred: whole federations from signatures to chain, in virtual time."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Host, Simulation, Weather

from peerage import effects as fx
from peerage import messages as m
from peerage_crypto.digest import sha256
from peerage_crypto.session import Ballot, Revealed, Survivors
from peerage_crypto.statements import Signed

ROUNDS = 12  # long enough for one training of the slow peer
CUT, HEALED = 20.0, 80.0
NIGHT = 1500.0  # virtual seconds in which it must have ended by itself
SLOW, GARBAGE, GONE = "peer-07", "peer-13", ("peer-20", "peer-24")


def garbage(_sim: Simulation, _host: Host, effect: fx.Effect) -> list[fx.Effect]:
    """What the others would build on is bytes that mean nothing."""
    if not isinstance(effect, fx.Send | fx.Broadcast):
        return [effect]
    match effect.message:
        case Revealed(sid, shares):
            junk: m.Message = Revealed(sid, tuple(msgspec.structs.replace(s, self_seed=bytes(33)) for s in shares))
        case Ballot() | m.Ack() as signed:
            junk = msgspec.structs.replace(signed, signed=Signed(signed.signed.statement, bytes(64) + b"\x1b"))
        case _:
            return [effect]
    return [fx.Send(effect.to, junk) if isinstance(effect, fx.Send) else fx.Broadcast(junk)]


class LyingInitiator:
    """In the first session that it leads it declares a live peer lost."""

    def __init__(self) -> None:
        self.victim, self.sid = b"", b""

    def __call__(self, sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        if not isinstance(effect, fx.Broadcast | fx.Send) or not isinstance(effect.message, Survivors):
            return [effect]
        x, roster, domain = effect.message, host.engine.session.collector.roster, sim.federation.domain
        self.sid = self.sid or x.sid
        if x.sid != self.sid:
            return [effect]
        self.victim = self.victim or min({s.signer(domain) for s in x.manifests} - {host.account.address})
        u3 = roster.bitmap(frozenset(roster.select(x.u3)) - {self.victim})
        lie = Survivors(x.sid, u3, tuple(s for s in x.manifests if s.signer(domain) != self.victim))
        return [fx.Send(effect.to, lie) if isinstance(effect, fx.Send) else fx.Broadcast(lie)]


def night(seed: int) -> tuple[Simulation, Host, LyingInitiator]:
    """24 peers: two vanish for good, one is ten times slower, one sends garbage, an initiator lies, half is cut off."""
    sim = Simulation(
        24,
        seed=seed,
        rounds=ROUNDS,
        weather=Weather(repeat=0.02, delay=(0.005, 0.05)),
        whole=True,
        train_seconds=lambda h: 10.0 * (10 if h.name == SLOW else 1),
    )
    named = {h.name: h for h in sim.hosts.values()}
    turns = sorted(sim.hosts, key=lambda a: sha256(sim.federation.genesis, a))
    liar = next(sim.hosts[a] for a in turns if sim.hosts[a].name not in {SLOW, GARBAGE, *GONE})
    lie = LyingInitiator()
    sim.cheats |= {named[GARBAGE].account.address: garbage, liar.account.address: lie}
    hosts = list(sim.hosts.values())
    sim.at(3.0, lambda: sim.crash(named[GONE[0]]))
    sim.at(4.5, lambda: sim.crash(named[GONE[1]]))
    sim.at(CUT, lambda: sim.partition(hosts[::2], hosts[1::2]))
    sim.at(HEALED, sim.heal)
    return sim.start().run(NIGHT), liar, lie


def test_a_bad_night_ends_by_itself_with_all_honest_work_in_the_model_and_the_guilty_named() -> None:
    sim, liar, lie = night(11)
    assert CUT < HEALED < sim.now < NIGHT
    invariants.check(sim, everybody=False)
    honest = [h for h in sim.hosts.values() if h.account.address not in sim.cheats]
    living = [h for h in honest if h.alive]
    assert {h.name for h in honest} - {h.name for h in living} == set(GONE)
    for host in living:
        inside = [j.transcript.round for j in host.engine.history if host.account.address in j.proven.u3]
        assert inside, f"{host.name} is in no round"
        assert host.name == SLOW or inside[-1] > ROUNDS - invariants.WITHIN, (
            f"{host.name} was not merged after the halves met again"
        )
    guilty = {GARBAGE, liar.name}
    faults = [f for f in invariants.faults(sim) if f[0] not in guilty]
    assert {culprit for _, culprit, _ in faults} - {""} == guilty, "both are named, and nobody who is honest"
    assert len({who for who, culprit, words in faults if culprit == liar.name and "left out a peer" in words}) > 15
    assert not [x for who, _, x in sim.wire if isinstance(x, Revealed) and x.sid == lie.sid and who not in sim.cheats]
    lost = {n for h in living for j in h.progress for n in j.missing}
    assert {next(h for h in honest if h.name == name).account.address for name in GONE} <= lost, "and who vanished"


def test_a_hundred_peers_on_a_sparse_graph_have_the_exact_sum_and_blame_nobody() -> None:
    sim = Simulation(100, seed=1, rounds=1).start().run()
    invariants.check(sim)
    assert not invariants.faults(sim)
    (judged,) = next(iter(sim.hosts.values())).engine.history
    assert len(judged.proven.u3) == 100
    assert judged.proven.roster.limits.degree < 99, "not everybody shares with everybody"
    words = [sim.plain[judged.transcript.sid, peer] for peer in judged.proven.u3]
    cut = sim.federation.ring.lane_words  # the counts before it carry further than a word
    exact = np.stack(words)[:, cut:].astype(np.uint64).sum(axis=0) % 2**32
    assert np.array_equal(judged.update_sum[cut:], exact)
    assert None not in judged.transcript.numbers
