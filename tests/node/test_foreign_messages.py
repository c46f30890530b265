"""Messages of one kind of exchange in a federation of the other: a fault of the sender's, and nobody's end."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Host, Simulation

from fuzz.builder import build
from fuzz.draw import Draw
from peerage import effects as fx
from peerage import messages as m
from peerage.plain.messages import PlainNews


def test_a_message_of_plain_exchange_ends_no_masked_round() -> None:
    sim = Simulation(4, seed=6, rounds=2)
    liar = next(iter(sim.hosts.values()))
    news = build(PlainNews, Draw(bytes(range(200))))

    def cheat(_sim: Simulation, _host: Host, effect: fx.Effect) -> list[fx.Effect]:
        return [fx.Broadcast(news), effect] if isinstance(effect, fx.Broadcast) else [effect]

    sim.cheats[liar.account.address] = cheat
    sim.start().run()
    invariants.check(sim)
    told = {
        (j.fields["culprit"], j.fields["sentence"]) for h in sim.hosts.values() for j in h.journal if j.kind == "fault"
    }
    (culprit,) = {who for who, sentence in told if "message of plain exchange" in sentence}
    assert culprit == "0x" + liar.account.address.hex()


@pytest.mark.parametrize("kind", m.Message.__args__)
def test_no_engine_ends_at_a_message_of_any_kind_before_its_first_round(kind: type) -> None:
    sim = Simulation(3, seed=6, rounds=1)
    one, other, *_ = sim.hosts.values()
    one.engine.handle(fx.Started(None))
    one.engine.handle(fx.Received(other.account.address, build(kind, Draw(kind.__name__.encode() * 60))))
