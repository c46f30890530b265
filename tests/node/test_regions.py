"""Regions with leaders: one sum for each, gathered by its leader; the model is that of a flat round, bit for bit."""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Host, Simulation

from peerage import effects as fx
from peerage.config import Federation, Region, RobustSettings
from peerage.config_toml import parse_federation, to_toml
from peerage.regions import check_regions, grouping_of, with_addresses
from peerage_crypto.buckets import Grouping
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_crypto.session import Gathered
from peerage_crypto.statements import sign


def regional(peers: int = 12, *, leaders: bool = True, rounds: int = 2, seed: int = 3, groups: int = 2) -> Simulation:
    """A federation whose peers, sorted by address, fall into regions; the first of each region leads it."""
    sim = Simulation(peers, seed=seed, rounds=rounds)
    order = sorted(sim.hosts)
    size = peers // groups
    regions = tuple(frozenset(order[i * size : (i + 1) * size]) for i in range(groups))
    led = frozenset(min(r) for r in regions) if leaders else frozenset()
    sim.federation = replace(sim.federation, grouping=Grouping(regions=regions, leaders=led))
    for index, host in enumerate(sim.hosts.values()):
        host.engine = sim._engine(host.account, index)
    return sim


def aggregates(sim: Simulation) -> list[bytes]:
    return [j.standing.aggregate for j in next(h for h in sim.hosts.values() if h.alive).engine.history]


def first_initiator(sim: Simulation) -> Host:
    return sim.hosts[min(sim.hosts, key=lambda a: sha256(sim.federation.genesis, a))]


def a_leader(sim: Simulation) -> Host:
    """One that leads a region in which the first initiator is not."""
    initiator = first_initiator(sim).account.address
    region = next(r for r in sim.federation.grouping.regions if initiator not in r)
    return sim.hosts[min(region)]


def fetched(sim: Simulation) -> Counter:
    """How many masked vectors and sums of leaders each peer fetches for a collector or a leader (before the result)."""
    counted: Counter = Counter()
    carry = sim._fetch

    def count(host: Host, owner: bytes, artefact: bytes, limit: int) -> None:
        session = host.engine.session
        if session and session.collector and artefact in session._fetching:
            counted[host.name] += 1
        carry(host, owner, artefact, limit)

    sim._fetch = count
    return counted


@pytest.mark.parametrize("leaders", [False, True], ids=["without leaders", "with leaders"])
def test_regions_end_in_the_model_of_a_flat_round_bit_for_bit(leaders: bool) -> None:
    flat = Simulation(12, seed=3, rounds=2).start().run()
    sim = regional(leaders=leaders).start().run()

    invariants.check(sim)
    assert aggregates(sim) == aggregates(flat)
    assert not invariants.faults(sim)
    assert all(None not in j.transcript.numbers for h in sim.hosts.values() for j in h.engine.history)


def test_an_initiator_fetches_one_sum_from_a_leader_instead_of_its_regions_vectors() -> None:
    flat, sim = Simulation(12, seed=3, rounds=1), regional(rounds=1)
    many, few = fetched(flat), fetched(sim)
    flat.start().run()
    sim.start().run()

    name = first_initiator(sim).name
    assert many[name] == 12
    assert few[name] == 6 + 1
    session = sim.hosts[min(sim.hosts)].engine.history[0].session
    assert len(session.gathered) == 1


def silent(sim: Simulation, leader: Host) -> None:
    sim.cheats[leader.account.address] = lambda _s, _h, e: (
        [] if isinstance(e, fx.Send) and isinstance(e.message, Gathered) else [e]
    )


def test_a_leader_that_says_nothing_costs_time_and_no_work() -> None:
    sim = regional()
    silent(sim, a_leader(sim))
    sim.start().run()

    assert aggregates(sim) == aggregates(Simulation(12, seed=3, rounds=2).start().run())


def test_a_leader_that_dies_is_done_without() -> None:
    sim = regional()
    leader = a_leader(sim)

    def watch(sim: Simulation, host: Host, _to: bytes, message: object) -> None:
        if host is leader and isinstance(message, Gathered) and host.alive:
            sim.crash(host)

    sim.watchers.append(watch)
    sim.start().run()

    invariants.check(sim, everybody=False)
    region = next(r for r in sim.federation.grouping.regions if leader.account.address in r)
    first = next(h for h in sim.hosts.values() if h.alive).engine.history[0].proven.u3
    assert region - {leader.account.address} <= set(first), "the others of its region are in the sum"


def lying(sim: Simulation, leader: Host) -> None:
    """Its sum is off by one in one place, and signed."""

    def cheat(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        if isinstance(effect, fx.Send) and isinstance(effect.message, Gathered):
            s = effect.message.signed.statement
            words = np.frombuffer(host.holdings[s.artefact], "<u4").copy()
            words[-1] += 1
            wrong = replace_struct(s, artefact=sha256(words.tobytes()))
            signed = sign(wrong, host.account, sim.federation.domain)
            return [fx.Store(words.tobytes()), fx.Send(effect.to, Gathered(s.sid, signed))]
        return [effect]

    sim.cheats[leader.account.address] = cheat


def replace_struct(struct, **changes):
    import msgspec

    return msgspec.structs.replace(struct, **changes)


def test_a_leader_with_a_wrong_sum_is_named_and_nothing_of_it_is_adopted() -> None:
    sim = regional()
    leader = a_leader(sim)
    lying(sim, leader)
    sim.start().run()

    alive = list(sim.hosts.values())
    assert all(h.finished for h in alive)
    invariants.agreed(sim, alive)
    invariants.never_both_secrets(sim)
    closed = {j.proven.roster.plan.sid for j in alive[0].engine.history}
    sums = {sid: t for sid, t in invariants.revealed_sums(sim).items() if sid in closed}
    invariants.plain_sums(sim, sums)
    assert invariants.plain_numbers(sim, alive, sums)
    named = [f for f in invariants.faults(sim) if f[1] == leader.name and "a leader handed over" in f[2]]
    assert len({who for who, _, _ in named} - {leader.name}) >= 8
    honest = {h.name for h in sim.hosts.values()} - {leader.name}
    blamed = {culprit for who, culprit, _ in invariants.faults(sim) if who in honest}
    assert blamed <= {leader.name, ""}, "no honest initiator is blamed for it"


# -- settings ----------------------------------------------------------------------------------------------------------


def names(first: int, last: int) -> tuple[str, ...]:
    return tuple(f"peer-{i:02d}" for i in range(first, last + 1))


NORTH, SOUTH = Region(name="north", peers=names(1, 6)), Region(name="south", peers=names(7, 12), leader="peer-08")


def test_regions_are_written_by_address_and_read_back() -> None:
    federation = Federation(peers=12, regions=(NORTH, SOUTH))
    addresses = {name: sha256(name.encode())[:20] for name in federation.peer_names()}
    written = with_addresses(federation, addresses)

    assert parse_federation(to_toml(written), where="f") == written
    grouping = grouping_of(written)
    assert grouping.regions == (
        frozenset(addresses[n] for n in NORTH.peers),
        frozenset(addresses[n] for n in SOUTH.peers),
    )
    assert grouping.leaders == {addresses["peer-08"]}
    assert with_addresses(written, {}) == written
    with pytest.raises(InputError, match="is a name"):
        grouping_of(federation)


@pytest.mark.parametrize(
    ("regions", "sentence"),
    [
        ((NORTH,), "one region is no division"),
        ((NORTH, replace_struct(SOUTH, peers=names(7, 10), leader="")), "has 4 peers"),
        ((NORTH, replace_struct(SOUTH, peers=names(6, 12))), "listed twice"),
        ((NORTH, replace_struct(SOUTH, peers=names(7, 11))), "1 of 12 peers are in no region"),
        ((NORTH, replace_struct(SOUTH, leader="peer-01")), "is not of it"),
        ((NORTH, replace_struct(SOUTH, peers=(*names(7, 11), "peer-99"))), "neither a peer's name"),
    ],
)
def test_regions_that_cannot_keep_their_promise_are_refused(regions: tuple[Region, ...], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        check_regions(Federation(peers=12, regions=regions))


def test_regions_in_plain_exchange_are_refused_and_not_forgotten() -> None:
    with pytest.raises(InputError, match='nothing is summed there: choose exchange = "masked", or no regions'):
        check_regions(Federation(peers=12, exchange="plain", regions=(NORTH, SOUTH)))


def test_a_robust_rule_runs_over_regions() -> None:
    federation = Federation(peers=12, regions=(NORTH, SOUTH), robust=RobustSettings(rule="median"))
    assert grouping_of(with_addresses(federation, dict.fromkeys(federation.peer_names(), bytes(20)))).least == 1
