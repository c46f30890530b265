"""Whole federations that screen: a bad update costs its sender the round and nobody else anything, run after run."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from msgspec import convert

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Host, Simulation, Weather, honest_training

from peerage import effects as fx
from peerage import messages as m
from peerage.config import Federation
from peerage.rounds.aggregation import AUXILIARY
from peerage.rounds.version import Status
from peerage.sketching import check_sketching, sketching_of
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_crypto.session import Revealed
from peerage_crypto.sketch_judge import LIES
from peerage_crypto.sketch_messages import Approval, Cleared, Screened, Seeded, SeedShares, Sketched
from peerage_crypto.sketch_terms import Sketching
from peerage_crypto.sketches import Stated, numbers_digest
from peerage_crypto.statements import sign

Training = Callable[[Simulation, Host, fx.Effect], np.ndarray]


def first_initiator(sim: Simulation) -> Host:
    """Whose turn it is in the first round."""
    return sim.hosts[min(sim.hosts, key=lambda a: sha256(sim.federation.genesis, a))]


def poisoned(
    peers: int = 5,
    *,
    initiator: bool = False,
    by: float = 30.0,
    clip: float = 1e4,
    rounds: int = 4,
    seed: int = 3,
    **how,
) -> tuple[Simulation, Host]:
    """A run in which one peer's training adds a huge step, and its engine does not clip (not yet started)."""
    sim = Simulation(peers, seed=seed, rounds=rounds, sketches=8, parameters=200, **how)
    first = first_initiator(sim)
    bad = first if initiator else next(h for h in sim.hosts.values() if h is not first)

    def train(s: Simulation, h: Host, e: fx.Train) -> np.ndarray:
        model = honest_training(s, h, e)
        return model + np.float32(by) if h is bad else model

    sim.train = train
    grid = dataclasses.replace(sim.rules.grid, clip=clip)
    bad.engine.rules = dataclasses.replace(sim.rules, grid=grid)
    sim.cheats[bad.account.address] = lambda _s, _h, effect: [effect]
    return sim, bad


def honest(sim: Simulation) -> list[Host]:
    return [h for h in sim.hosts.values() if h.account.address not in sim.cheats]


def rounds_with(sim: Simulation, host: Host) -> list[int]:
    """In which rounds' sums this peer's work is."""
    history = honest(sim)[0].engine.history
    return [j.transcript.round for j in history if host.account.address in j.proven.u3]


def failures(sim: Simulation) -> list[dict[str, str]]:
    history = honest(sim)[0].engine.history
    return [{sim.hosts[a].name: why for a, why in j.proven.screening.failed.items()} for j in history]


def test_a_federation_with_sketches_runs_as_without_and_opens_every_number() -> None:
    sim = Simulation(5, rounds=3, sketches=8).start().run()
    invariants.check(sim)
    alive = list(sim.hosts.values())
    assert invariants.plain_numbers(sim, alive, invariants.revealed_sums(sim)) == 15
    assert invariants.faults(sim) == []
    assert failures(sim) == [{}, {}, {}]


@pytest.mark.parametrize("initiator", [False, True])
def test_a_huge_update_is_left_out_and_its_sender_named_by_all(initiator: bool) -> None:
    sim, bad = poisoned(initiator=initiator)
    sim.start().run()
    invariants.check(sim)

    assert rounds_with(sim, bad) == []
    assert {len(j.proven.u3) for j in honest(sim)[0].engine.history} == {4}
    named = {(who, culprit) for who, culprit, sentence in invariants.faults(sim) if "longer than" in sentence}
    assert {(h.name, bad.name) for h in honest(sim)} <= named
    assert {culprit for who, culprit, _ in invariants.faults(sim) if who != bad.name} == {bad.name}


def test_without_sketches_the_same_update_spoils_every_round() -> None:
    """What the screening is for: nobody can say whose update it was."""
    sim, bad = poisoned()
    sim.federation = dataclasses.replace(sim.federation, sketches=None)
    for host in sim.hosts.values():
        host.engine.federation = sim.federation
    sim.start().run(60)

    assert all(h.engine.head.round == 0 for h in honest(sim))
    assert bad.name not in {culprit for who, culprit, _ in invariants.faults(sim) if who != bad.name}


def test_who_is_screened_out_pauses_longer_each_time_and_tries_a_new_update() -> None:
    sim, bad = poisoned(rounds=8)
    sim.start().run()
    invariants.check(sim)
    failed = [j.transcript.round for j in honest(sim)[0].engine.history if j.proven.screening.failed]

    assert failed == [1, 3, 6]  # out for one round, for two, for three
    dropped = [e.fields["version"] for e in bad.journal if e.kind == "screened out"]
    assert dropped == sorted(set(dropped))
    assert len(dropped) == 3, "each time another version"


def test_a_peer_that_trained_badly_once_is_back_with_its_next_update() -> None:
    once: list[int] = []

    def train(sim: Simulation, host: Host, effect: fx.Train) -> np.ndarray:
        small = effect.model + (honest_training(sim, host, effect) - effect.model) / 10
        if host.name == "peer-02" and not once:
            once.append(effect.version)
            return (small + 0.25).astype(np.float32)  # within the clip, ten medians long
        return small.astype(np.float32)

    sim = Simulation(5, seed=4, rounds=4, sketches=8, parameters=200, train=train)
    back = next(h for h in sim.hosts.values() if h.name == "peer-02")
    sim.cheats[back.account.address] = lambda _s, _h, effect: [effect]  # it is not merged as soon as honest peers are
    sim.start().run()
    invariants.check(sim)

    assert failures(sim) == [{"peer-02": "outlier"}, {}, {}, {}]
    assert rounds_with(sim, back) == [3, 4]
    assert [e.kind for e in back.journal if e.kind == "screened out"] == ["screened out"]


@pytest.mark.parametrize(
    ("kind", "initiator"),
    [
        *[(kind, False) for kind in (SeedShares, Sketched, Approval, Revealed)],
        *[(kind, True) for kind in (Seeded, Sketched, Screened, Cleared)],
    ],
)
def test_a_peer_killed_at_any_new_step_costs_no_other_peer_its_work(kind: type, initiator: bool) -> None:
    sim = Simulation(5, seed=5, rounds=2, sketches=8)
    first = first_initiator(sim)
    victim = first if initiator else next(h for h in sim.hosts.values() if h is not first)
    killed: list[type] = []

    def kill(sim: Simulation, host: Host, _to: bytes, message: m.Message) -> None:
        if host is victim and isinstance(message, kind) and not killed:
            killed.append(kind)
            sim.crash(host)
            sim.at(3.0, lambda: sim.revive(host))

    sim.watchers.append(kill)
    sim.start().run()
    invariants.check(sim)
    assert killed
    for judged in honest(sim)[0].engine.history:
        assert {h.account.address for h in sim.hosts.values()} - {victim.account.address} <= set(judged.proven.u3)


@pytest.mark.parametrize("seed", range(8))
def test_in_bad_weather_with_a_bad_peer_everybody_finishes(seed: int) -> None:
    weather = Weather(loss=0.05, repeat=0.05, delay=(0.001, 0.2), fetch_loss=0.05)
    sim, bad = poisoned(6, seed=seed, rounds=2, weather=weather)
    sim.start().run(900)
    invariants.check(sim)
    assert rounds_with(sim, bad) == []


# -- liars -------------------------------------------------------------------------------------------------------------


def own_mask_lie(sim: Simulation, host: Host, message: m.Message) -> m.Message:
    """A long update hidden by a false number of the sender's own mask."""
    if not isinstance(message, Sketched):
        return message
    run = next(r for r in (host.engine.session, host.engine.left, host.engine.closing) if r and r.sid == message.sid)
    member = run.member
    ring, u = sim.federation.ring, member._directions.vectors()
    partners = [p for p in member.roster.partners(member.me) if p in member.u2]
    stated = Stated.from_bytes(message.numbers, partners, len(u), ring)
    q = sim.plain[message.sid, member.me].view(np.int32).astype(np.int64)
    own = tuple(int(b + row @ q) % ring.modulus for b, row in zip(stated.own, u, strict=True))
    numbers = Stated(stated.vector, own, stated.pairs).to_bytes(ring)
    statement = type(message.signed.statement)(message.sid, message.signed.statement.survivors, numbers_digest(numbers))
    return Sketched(message.sid, sign(statement, host.account, sim.federation.domain), numbers)


def test_a_liar_about_its_own_mask_spoils_one_session_and_is_in_none_after() -> None:
    sim, bad = poisoned(6, rounds=3)

    def cheat(s: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        match effect:
            case fx.Broadcast(message):
                return [fx.Broadcast(own_mask_lie(s, host, message))]
            case _:
                return [effect]

    sim.cheats[bad.account.address] = cheat
    sim.start().run()
    invariants.check(sim)

    assert rounds_with(sim, bad) == []
    convicted = {(who, culprit) for who, culprit, sentence in invariants.faults(sim) if sentence == LIES["sketch-self"]}
    assert convicted == {(h.name, bad.name) for h in [*honest(sim)]} | ({(bad.name, bad.name)} & convicted)
    assert all(h.engine.convicted == {bad.account.address} for h in honest(sim))
    sessions = {x.signed.statement.sid for _, _, x in sim.wire if isinstance(x, m.Open)}
    assert len(sessions) == 4, "three rounds, and the one that was spoiled"
    assert {culprit for who, culprit, _ in invariants.faults(sim) if who != bad.name} == {bad.name}


def test_what_has_been_projected_goes_into_no_other_session() -> None:
    """A session dies after the sketches: its versions are spent, not tried again."""
    sim = Simulation(5, seed=6, rounds=1, sketches=8)
    first = first_initiator(sim)
    seen: list[bytes] = []

    def kill(sim: Simulation, host: Host, _to: bytes, message: m.Message) -> None:
        if host is first and isinstance(message, Screened) and not seen:
            seen.append(message.sid)
            sim.crash(host)

    sim.watchers.append(kill)
    sim.start().run()
    invariants.check(sim, everybody=False)
    joins: dict[tuple[bytes, int], set[bytes]] = {}
    for _, _, x in sim.wire:
        if isinstance(x, m.Join):
            s = x.signed.statement
            joins.setdefault((x.signed.signer(sim.federation.domain), s.version), set()).add(s.sid)
    projected = {who for who, _, x in sim.wire if isinstance(x, Sketched) and x.sid == seen[0]}

    assert len(projected) == 5
    assert all(len(sids) == 1 for sids in joins.values()), "no version joined twice"
    assert all(h.engine.own.status is not Status.LOCKED for h in sim.hosts.values() if h.alive)


def test_without_sketches_no_message_of_a_screening_is_sent() -> None:
    sim = Simulation(4, rounds=1).start().run()
    invariants.check(sim)
    kinds = {type(x) for _, _, x in sim.wire}
    assert not kinds & {SeedShares, Seeded, Sketched, Screened, Approval, Cleared}


def one_pair_lie(sim: Simulation, host: Host, message: m.Message) -> m.Message:
    """A long update hidden by one false number, of a mask that only one other peer knows."""
    if not isinstance(message, Sketched):
        return message
    run = next(r for r in (host.engine.session, host.engine.left, host.engine.closing) if r and r.sid == message.sid)
    member, ring = run.member, sim.federation.ring
    u = member._directions.vectors()
    partners = [p for p in member.roster.partners(member.me) if p in member.u2]
    stated = Stated.from_bytes(message.numbers, partners, len(u), ring)
    q = sim.plain[message.sid, member.me].view(np.int32).astype(np.int64)
    victim = next(p for p in partners if p != sim_first(sim))
    sign_of = 1 if victim > member.me else -1
    z = tuple(int(v + sign_of * (row @ q)) % ring.modulus for v, row in zip(stated.pairs[victim], u, strict=True))
    numbers = Stated(stated.vector, stated.own, {**stated.pairs, victim: z}).to_bytes(ring)
    statement = type(message.signed.statement)(message.sid, message.signed.statement.survivors, numbers_digest(numbers))
    return Sketched(message.sid, sign(statement, host.account, sim.federation.domain), numbers)


def sim_first(sim: Simulation) -> bytes:
    return first_initiator(sim).account.address


def test_where_one_of_two_lied_the_round_goes_on_without_both() -> None:
    sim, bad = poisoned(6, rounds=2, by=300.0)
    first: list[bytes] = []  # it hides behind its victim once: who does so for ever keeps it out for ever

    def cheat(s: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        match effect:
            case fx.Broadcast(Sketched(sid=sid) as message) if sid in first or not first:
                first[:] = [sid]
                return [fx.Broadcast(one_pair_lie(s, host, message))]
            case _:
                return [effect]

    sim.cheats[bad.account.address] = cheat
    sim.start().run()
    invariants.check(sim)

    assert rounds_with(sim, bad) == []
    told = {
        sentence for who, culprit, sentence in invariants.faults(sim) if who != bad.name and "contradict" in sentence
    }
    assert any("one of the two lies" in sentence for sentence in told)
    assert any(sentence == "its sketch contradicts mine" for sentence in told)
    assert len(honest(sim)[0].engine.history[0].proven.u3) == 4


# -- settings ----------------------------------------------------------------------------------------------------------


def test_settings_become_the_terms_of_every_session_and_bad_ones_are_refused() -> None:
    def settings(exchange: str = "masked", noise: float = 0.0, **robust: float) -> Federation:
        return convert(
            {"peers": 8, "exchange": exchange, "privacy": {"noise": noise}, "robust": robust}, Federation, strict=False
        )

    assert sketching_of(settings(), 100) is None
    assert sketching_of(settings(sketches=8), 100) == Sketching(8, (3, 1), (8 << 16) + 11, 2 * AUXILIARY)
    check_sketching(settings(sketches=8))
    for bad, told in (
        (settings(sketches=3), "sketches = 5"),
        (settings(sketches=8, noise=1.0), "noise = 0"),
        (settings(exchange="plain", sketches=8), "sketches = 0"),
    ):
        with pytest.raises(InputError, match=told):
            check_sketching(bad)
