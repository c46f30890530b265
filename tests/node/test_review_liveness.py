"""One member that lies again and again: rounds may fail, but not for ever, and nobody honest is shut out for it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from simulator import Host, Simulation

from peerage import effects as fx
from peerage import messages as m


def going_on(sim: Simulation, liar: Host) -> bool:
    return all(h.finished for h in sim.hosts.values() if h is not liar)


def test_a_member_whose_joins_never_reach_the_initiator_in_time_does_not_stop_rounds_for_ever() -> None:
    """Each initiator hears of it late, the others at once: every roster lacks a join that others saw."""
    sim = Simulation(5, rounds=1, seed=3)
    liar = sim.hosts[max(sim.hosts)]

    def cheat(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        if isinstance(effect, fx.Broadcast) and isinstance(effect.message, m.Join):
            session = host.engine.session
            if session is None or session.collector:
                return [effect]
            to = [a for a in sim.hosts if a not in (host.account.address, session.plan.initiator)]
            return [fx.Send(a, effect.message) for a in to]
        if isinstance(effect, fx.Send) and isinstance(effect.message, m.Join):
            return []
        if isinstance(effect, fx.Broadcast) and isinstance(effect.message, m.Open):
            return []
        return [effect]

    until = 120.0
    sim.cheats[liar.account.address] = cheat
    sim.start().run(until)
    sim.cheats.clear()
    sim.run(until + 300)
    assert going_on(sim, liar), "when it stops, rounds go on"


def test_a_member_whose_vectors_never_reach_the_initiator_does_not_stop_rounds_for_ever() -> None:
    sim = Simulation(5, rounds=1, seed=3)
    liar = sim.hosts[max(sim.hosts)]
    fetch, lying = sim._fetch, [True]

    def deaf(host: Host, owner: bytes, artefact: bytes, limit: int) -> None:
        session = host.engine.session
        if lying and owner == liar.account.address and session and session.collector:
            sim.at(0.01, lambda: sim.event(host, fx.Unfetched(owner, artefact)))
        else:
            fetch(host, owner, artefact, limit)

    def no_turn(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        return [] if isinstance(effect, fx.Broadcast) and isinstance(effect.message, m.Open) else [effect]

    sim._fetch = deaf
    sim.cheats[liar.account.address] = no_turn
    sim.start().run(120)
    lying.clear()
    sim.cheats.clear()
    sim.run(600)
    assert going_on(sim, liar), "when it stops, rounds go on"


def test_more_bad_initiators_than_can_collude_are_the_sign_of_another_lie() -> None:
    engine = next(iter(Simulation(8).hosts.values())).engine
    peers = sorted(engine.federation.registered - {engine.me})
    for peer in peers[:2]:
        engine.distrust(peer, "its session broke a rule")
    assert engine.distrusted == set(peers[:2]), "two of eight may collude"
    engine.distrust(peers[2], "its session broke a rule")
    assert not engine.distrusted
