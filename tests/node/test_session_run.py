"""One session among peers: reminders, retries, and the order in which things are written down and said."""

import sys
from pathlib import Path

import pytest

from peerage import effects as fx
from peerage import messages as m
from peerage_crypto.session import Ballot, Certificate, Dealt, Frozen, Manifest, Revealed, RosterMessage, Survivors

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Host, Simulation

STEPS = (RosterMessage, Dealt, Frozen, Manifest, Survivors, Ballot, Certificate, Revealed)


def swallow_first(kind: type, lost: list[m.Message]) -> object:
    """A peer whose first message of this type to one receiver never arrives."""

    def cheat(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        if lost or not isinstance(effect, fx.Send | fx.Broadcast) or not isinstance(effect.message, kind):
            return [effect]
        lost.append(effect.message)
        to = effect.to if isinstance(effect, fx.Send) else next(a for a in sim.hosts if a != host.account.address)
        rest = [a for a in sim.hosts if a not in (to, host.account.address)]
        return [] if isinstance(effect, fx.Send) else [fx.Send(a, effect.message) for a in rest]

    return cheat


@pytest.mark.parametrize("kind", STEPS, ids=lambda k: k.__name__)
def test_a_lost_message_is_asked_for_again_and_costs_no_round(kind: type) -> None:
    sim = Simulation(4, rounds=1)
    lost: list[m.Message] = []
    for host in sim.hosts.values():
        sim.cheats[host.account.address] = swallow_first(kind, lost)
    sim.start().run()
    assert lost
    assert all(h.finished for h in sim.hosts.values())
    assert len({x.signed.statement.sid for _, _, x in sim.wire if isinstance(x, m.Open)}) == 1, "one session was enough"
    assert all(len(h.engine.history[0].proven.u3) == 4 for h in sim.hosts.values())


def test_what_is_signed_is_written_down_before_it_is_said() -> None:
    sim = Simulation(4, rounds=1)
    said: list[tuple[str, str]] = []
    watched = next(iter(sim.hosts.values()))

    def note(_s: Simulation, _h: Host, effect: fx.Effect) -> list[fx.Effect]:
        if isinstance(effect, fx.Journal):
            said.append(("written", str(effect.fields.get("type", effect.kind))))
        elif isinstance(effect, fx.Save):
            said.append(("saved", effect.state.status))
        elif isinstance(effect, fx.Send | fx.Broadcast):
            said.append(("said", type(effect.message).__name__))
        return [effect]

    sim.cheats[watched.account.address] = note
    sim.start().run()
    for statement, message in [
        ("JoinIntent", "Join"),
        ("ShareKeys", "Dealt"),
        ("MaskedUpdate", "Manifest"),
        ("Vote", "Ballot"),
        ("ResultAck", "Ack"),
        ("Opening", "Pledge"),
    ]:
        if ("said", message) in said:
            assert said.index(("written", statement)) < said.index(("said", message)), statement
    assert said.index(("saved", "locked")) < said.index(("said", "Join")), "locked on disk before anything leaves"


def test_a_lost_vector_is_fetched_again() -> None:
    sim = Simulation(4, rounds=1).start()
    fetch, failed = sim._fetch, []

    def flaky(host: Host, owner: bytes, artefact: bytes, limit: int) -> None:
        if owner != host.account.address and artefact not in failed:
            failed.append(artefact)
            sim.at(0.001, lambda: sim.event(host, fx.Unfetched(owner, artefact)))
        else:
            fetch(host, owner, artefact, limit)

    sim._fetch = flaky
    sim.run()
    assert failed
    invariants.check(sim)
    assert all(len(h.engine.history[0].proven.u3) == 4 for h in sim.hosts.values())
