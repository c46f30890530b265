"""The rules of rounds that tie the steps together: what frees a version, what binds an acknowledgement."""

import sys
from pathlib import Path

from peerage import effects as fx
from peerage import messages as m
from peerage_crypto.digest import sha256
from peerage_crypto.session import Ballot, Certificate, Manifest, Survivors
from peerage_crypto.statements import Opened

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from schedules import kill_at
from simulator import Host, Simulation


def entries(host: Host, kind: str) -> list[dict]:
    return [e.fields for e in host.journal if e.kind == kind]


def first_opened(sim: Simulation) -> Opened:
    """The first session's opening; only after it was said."""
    return next(x.signed.statement for _, _, x in sim.wire if isinstance(x, m.Open))


def in_round(sim: Simulation, round_: int) -> dict[bytes, int]:
    """Who went into a round with which version."""
    proven = next(h for h in sim.hosts.values() if h.alive).engine.history[round_ - 1].proven
    return {p: proven.roster.join_of(p).version for p in proven.u3}


def test_an_abort_certificate_frees_the_version_that_had_left_masked() -> None:
    sim = Simulation(5, rounds=1).start()
    kill_at(sim, Survivors, 1, None)
    sim.run()
    invariants.check(sim, everybody=False)
    alive = [h for h in sim.hosts.values() if h.alive]
    assert all(entries(h, "released") for h in alive)
    assert set(in_round(sim, 1).values()) == {1}, "the same version took part, masked anew"


def test_after_a_vote_nothing_frees_it_and_the_next_version_takes_part() -> None:
    sim = Simulation(5, rounds=1).start()
    kill_at(sim, Certificate, 1, None)
    sim.run()
    invariants.check(sim, everybody=False)
    alive = [h for h in sim.hosts.values() if h.alive]
    assert all(entries(h, "spent") for h in alive)
    assert set(in_round(sim, 1).values()) == {2}


def test_a_certificate_that_leaves_a_peer_out_frees_its_version() -> None:
    sim = Simulation(5, rounds=2)
    mute = sorted(sim.hosts)[2]
    quiet = [True]

    def silent(_s: Simulation, _h: Host, effect: fx.Effect) -> list[fx.Effect]:
        if isinstance(effect, fx.Broadcast) and isinstance(effect.message, Manifest) and quiet:
            return []
        quiet[:] = [] if isinstance(effect, fx.Journal) and effect.kind == "released" else quiet
        return [effect]

    sim.cheats[mute] = silent
    sim.start().run()
    invariants.check(sim)
    assert mute not in in_round(sim, 1)
    assert in_round(sim, 2)[mute] == 1
    assert entries(sim.hosts[mute], "released")


def test_a_result_that_one_peer_acknowledged_is_completed_without_its_initiator() -> None:
    sim = Simulation(5, rounds=1).start()

    def watch(sim: Simulation, host: Host, _to: bytes, message: m.Message) -> None:
        if isinstance(message, m.Ack):
            initiator = sim.hosts[first_opened(sim).initiator]
            if host is not initiator and initiator.alive:
                sim.crash(initiator)

    sim.watchers.append(watch)
    sim.run()
    invariants.check(sim, everybody=False)
    assert set(in_round(sim, 1).values()) == {1}, "the first session's sum became the round"


def test_an_acknowledgement_binds_over_a_restart() -> None:
    sim = Simulation(3, rounds=1).start()
    kill_at(sim, m.Ack, 1, 30.0)
    kill_at(sim, m.Ack, 3, 30.0)
    sim.run()
    invariants.check(sim)
    for host in sim.hosts.values():
        acked = {f["sid"] for f in entries(host, "signed") if f["type"] == "ResultAck"}
        assert len(acked) == 1, "nobody acknowledged a second result on one record"


def test_a_vote_is_never_followed_by_an_abstention_nor_an_abstention_by_a_vote() -> None:
    sim = Simulation(6, rounds=2).start()
    kill_at(sim, Ballot, 3, 5.0)
    sim.run()
    invariants.check(sim)


def test_work_of_a_killed_peer_is_not_lost() -> None:
    sim = Simulation(6, rounds=3).start()
    victim = next(iter(sim.hosts.values()))
    sim.at(0.053, lambda: sim.crash(victim))
    sim.at(0.4, lambda: sim.revive(victim))
    sim.run()
    invariants.check(sim)
    assert victim.saved.version >= 1
    assert any(victim.account.address in in_round(sim, r) for r in (1, 2, 3))


def test_after_a_failed_session_the_others_try_again_within_seconds() -> None:
    sim = Simulation(5, rounds=1)
    first = sim.hosts[min(sim.hosts, key=lambda a: sha256(sim.federation.genesis, a))]

    def dies(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        if isinstance(effect, fx.Broadcast) and isinstance(effect.message, m.RosterMessage):
            sim.crash(host)
            return []
        return [effect]

    sim.cheats[first.account.address] = dies
    sim.start().run(sim.rules.patience)
    others = [h for h in sim.hosts.values() if h is not first]
    assert any(j.kind == "left" for h in others for j in h.journal)
    assert all(h.progress for h in others), "within the time that they would wait for a peer still training"
