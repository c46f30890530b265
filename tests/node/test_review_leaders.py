"""Leaders and members of regions that lie: who is named, whose word is asked for again, and whether rounds go on."""

import sys
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Host, Simulation
from test_regions import a_leader, regional

from peerage import effects as fx
from peerage import messages as m
from peerage_crypto.digest import chunks, merkle_root, sha256
from peerage_crypto.secagg_member import LEAF_BYTES
from peerage_crypto.session import Gathered, Manifest
from peerage_crypto.statements import sign

change = msgspec.structs.replace


def named_by_the_honest(sim: Simulation, *liars: Host) -> set[str]:
    """Who stands as culprit in the journals of everybody else."""
    names = {h.name for h in liars}
    return {culprit for who, culprit, _ in invariants.faults(sim) if who not in names} - {""}


def gathered_as(sim: Simulation, leader: Host, words_of) -> None:
    """The leader hands over another sum, well signed."""

    def cheat(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        if isinstance(effect, fx.Send) and isinstance(effect.message, Gathered):
            s = effect.message.signed.statement
            artefact, kept = words_of(sim, host, s)
            signed = sign(change(s, artefact=artefact), host.account, sim.federation.domain)
            return [*kept, fx.Send(effect.to, Gathered(s.sid, signed))]
        return [effect]

    sim.cheats[leader.account.address] = cheat


def test_a_leader_of_random_bytes_stops_each_initiator_once_at_most() -> None:
    sim = regional()
    leader = a_leader(sim)

    def noise(_sim, _host, s):
        words = np.frombuffer(sha256(s.sid) * 200, "<u4")[: sim.federation.length]
        return sha256(words.tobytes()), [fx.Store(words.tobytes())]

    gathered_as(sim, leader, noise)
    sim.start().run()

    alive = list(sim.hosts.values())
    assert all(h.finished for h in alive), "rounds go on"
    invariants.agreed(sim, alive)
    assert named_by_the_honest(sim, leader) <= {leader.name}


def test_a_member_with_two_manifests_cannot_make_an_honest_leader_a_liar() -> None:
    """It shows its leader one vector and everybody else another, and serves both."""
    sim = regional()
    leader = a_leader(sim)
    region = next(r for r in sim.federation.grouping.regions if leader.account.address in r)
    liar = sim.hosts[max(region)]

    def cheat(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        if isinstance(effect, fx.Broadcast) and isinstance(effect.message, Manifest):
            s = effect.message.signed.statement
            words = np.frombuffer(host.holdings[s.artefact], "<u4").copy()
            words[-1] += 1
            other = words.tobytes()
            two = change(s, artefact=sha256(other), masked_root=merkle_root(chunks(other, LEAF_BYTES)))
            second = Manifest(s.sid, sign(two, host.account, sim.federation.domain))
            first = effect.message
            return [
                fx.Store(other),
                *(
                    fx.Send(to, first if to == leader.account.address else second)
                    for to in sim.hosts
                    if to != host.account.address
                ),
            ]
        return [effect]

    sim.cheats[liar.account.address] = cheat
    sim.start().run()

    assert leader.name not in named_by_the_honest(sim, liar)
    assert not any(leader.account.address in h.engine.false_leaders for h in sim.hosts.values())
    assert all(h.finished for h in sim.hosts.values())


def test_a_leader_cannot_make_the_initiator_leave_out_a_member_by_naming_its_vector() -> None:
    """Its signed sum has the name of a member's masked vector, and never comes."""
    sim = regional()
    leader = a_leader(sim)
    region = next(r for r in sim.federation.grouping.regions if leader.account.address in r)
    victim = sim.hosts[max(region)]
    fetch = sim._fetch
    named: set[bytes] = set()

    def of_the_victim(_sim, _host, s):
        artefact = next(
            x.signed.statement.artefact
            for who, _, x in sim.wire
            if isinstance(x, Manifest) and who == victim.account.address and x.sid == s.sid
        )
        named.add(artefact)
        return artefact, []

    def refuse(host: Host, owner: bytes, artefact: bytes, limit: int) -> None:
        if owner == leader.account.address and artefact in named:
            sim.at(3.0, lambda: sim.event(host, fx.Unfetched(owner, artefact)))
        else:
            fetch(host, owner, artefact, limit)

    sim._fetch = refuse
    gathered_as(sim, leader, of_the_victim)
    sim.start().run()

    assert named
    assert named_by_the_honest(sim, leader) <= {leader.name}
    assert all(h.finished for h in sim.hosts.values())
    assert all(victim.account.address in j.proven.u3 for h in sim.hosts.values() for j in h.engine.history), (
        "the victim's work is in"
    )


def test_a_leader_that_shifts_numbers_inside_its_region_has_nobody_else_named() -> None:
    sim = regional()
    leader = a_leader(sim)

    def cheat(_sim: Simulation, _host: Host, effect: fx.Effect) -> list[fx.Effect]:
        if isinstance(effect, fx.Send) and isinstance(effect.message, m.Products):
            first, second, *rest = effect.message.numbers
            shifted = ((first + 7) % 2**32, (second - 7) % 2**32, *rest)
            return [fx.Send(effect.to, change(effect.message, numbers=shifted))]
        return [effect]

    sim.cheats[leader.account.address] = cheat
    sim.start().run()

    print(sorted(set(invariants.faults(sim))))
    assert named_by_the_honest(sim, leader) <= {leader.name}
