"""Whoever hears two contradicting statements has the proof; whoever restarts or repeats what it said gives none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from simulator import Simulation, Weather

from peerage import effects as fx
from peerage import messages as m
from peerage.testimony import Witness, found_in
from peerage_crypto.digest import sha256
from peerage_crypto.equivocation import judge_equivocation
from peerage_crypto.session import Manifest
from peerage_crypto.statements import ResultAck, sign


def proofs(sim: Simulation) -> list[bytes | str]:
    """What somebody who hears every message of a run could prove."""
    witness = Witness(sim.federation.domain, frozenset(sim.hosts))
    found = [evidence for _, _, message in sim.wire for evidence in found_in(witness, message)]
    return [judge_equivocation(sim.federation.domain, evidence) for evidence in found]


@pytest.mark.parametrize("seed", range(12))
def test_restarts_and_a_bad_network_convict_nobody(seed: int) -> None:
    """Each peer in turn is killed in the midst of something and comes back; messages are lost and repeated."""
    sim = Simulation(5, seed=seed, rounds=3, weather=Weather(loss=0.02, repeat=0.1)).start()
    host = list(sim.hosts.values())[seed % 5]
    for number in range(2):
        at = 0.06 + 0.013 * seed + 3.0 * number
        sim.at(at, lambda: sim.crash(host))
        sim.at(at + 0.8, lambda: sim.revive(host))
    sim.run()

    assert len([line for line in host.journal if line.kind == "started"]) >= 2, "it was killed and came back"
    assert any(isinstance(message, Manifest) for _, _, message in sim.wire)
    assert proofs(sim) == []


def test_two_acknowledgements_of_one_session_convict_their_signer() -> None:
    sim = Simulation(5, seed=3, rounds=1)
    liar = max(sim.hosts)

    def cheat(sim: Simulation, host: object, effect: fx.Effect) -> list[fx.Effect]:
        if not isinstance(effect, fx.Broadcast) or not isinstance(effect.message, m.Ack):
            return [effect]
        s = effect.message.signed.statement
        other = ResultAck(s.sid, s.sum_root, sha256(b"mine"))
        return [effect, fx.Broadcast(m.Ack(sign(other, sim.hosts[liar].account, sim.federation.domain)))]

    sim.cheats[liar] = cheat
    sim.start().run()

    assert proofs(sim) == [liar]
