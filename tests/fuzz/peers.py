"""A peer of a running federation that spoils what it sends, or sends what it never should, at any step of a round."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fuzz.builder import build, tree
from fuzz.draw import Draw, edited
from fuzz.target import target
from peerage import effects as fx
from peerage import messages
from peerage.rounds import round as rounds
from peerage_crypto.buckets import Grouping
from peerage_crypto.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator import Host, Simulation

sys.path.insert(0, str(Path(__file__).parents[1] / "node"))  # the simulator, imported by who plays: it brings caches

KINDS = messages.Message.__args__
PATIENT = 120.0  # virtual seconds: a round that is spoilt is given up long before


def received(message: object) -> object | None:
    """As it arrives elsewhere; None where it is refused at the door."""
    try:
        return messages.decode(b"\x07" * 20, msgspec.msgpack.encode(message))
    except (PeerError, OverflowError, TypeError, RecursionError):
        return None


def hostile(draw: Draw) -> Callable[[Simulation, Host, fx.Effect], list[fx.Effect]]:
    """Spoils some of its messages and puts made ones beside others; made ones speak of the session at hand."""
    every = 1 + draw.below(4)
    count = 0

    def cheat(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        nonlocal count
        if not isinstance(effect, fx.Send | fx.Broadcast):
            return [effect]
        count += 1
        if count % every or count > 40:
            return [effect]
        if draw.below(2):
            said = tree(effect.message) | {"type": effect.message.__struct_config__.tag}
            spoilt: Any = received(edited(said, draw))
            return [] if spoilt is None else [replace(effect, message=spoilt)]
        made = build(draw.pick(KINDS), draw)
        sid = getattr(effect.message, "sid", None)
        if sid is not None and hasattr(made, "sid"):
            made = msgspec.structs.replace(made, sid=sid)
        return [effect, replace(effect, message=made)]

    return cheat


def play(sim: Simulation, draw: Draw) -> None:
    """No honest engine may raise, sign twice or show both secrets of anybody, whatever comes."""
    import invariants

    culprit = sorted(sim.hosts)[draw.below(len(sim.hosts))]
    sim.cheats[culprit] = hostile(draw)
    sim.start().run(until=PATIENT)
    honest = [host for address, host in sim.hosts.items() if address != culprit]
    assert all(isinstance(host.engine, rounds.Engine) for host in honest)
    invariants.signed_once(honest)
    sim.wire = [sent for sent in sim.wire if sent[0] != culprit]
    invariants.never_both_secrets(sim)
    assert all(host.alive for host in honest)


SHAPES = [bytes([n % 5, n % 4, *[(n * k + 1) % 251 for k in range(60)]]) for n in range(8)]


@target("peer.flat", seeds=lambda: SHAPES, memory=96 << 20)  # a whole federation
def flat(data: bytes) -> None:
    from simulator import Simulation

    play(Simulation(4, seed=5, rounds=1), Draw(data))


@target("peer.regional", seeds=lambda: SHAPES[:3], memory=96 << 20)
def regional(data: bytes) -> None:
    """Ten peers in two regions, each with a leader: sums and products of leaders are spoilt too."""
    from simulator import Simulation

    sim = Simulation(10, seed=5, rounds=1)
    order = sorted(sim.hosts)
    regions = (frozenset(order[:5]), frozenset(order[5:]))
    sim.federation = replace(sim.federation, grouping=Grouping(regions=regions, leaders=frozenset(map(min, regions))))
    for index, host in enumerate(sim.hosts.values()):
        host.engine = sim._engine(host.account, index)
    play(sim, Draw(data))
