"""Noise, closed openings and careful rosters in whole rounds: real engines, real masks, every number checked."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from peerage import messages as m
from peerage.privacy.caution import Caution
from peerage.privacy.noise import Noise, least_roster, smallest_honest_sum
from peerage.rounds.aggregation import split_sum, sum_within_bounds
from peerage_crypto.digest import sha256
from peerage_crypto.opening import Openings, Pledge
from peerage_crypto.session import Manifest, RosterMessage, Survivors
from peerage_crypto.skellam import noise_bound
from peerage_ledger.transcript import NOTHING

sys.path.insert(0, str(Path(__file__).parent))

from simulator import Simulation

CLIP_UNITS = 4 << 16  # the simulator's grid: clip 4 at 16 fractional bits
VARIANCE = 10**8


def noise_for(peers: int, variance: int = VARIANCE) -> Noise:
    return Noise(
        variance=variance,
        sensitivity=CLIP_UNITS + 10,
        bound=noise_bound(variance),
        honest=smallest_honest_sum(peers),
        least_roster=least_roster(peers),
        colluders=peers // 4,
    )


def federation(peers: int, *, parameters: int = 24, rounds: int = 2, seed: int = 0, **rules: object) -> Simulation:
    sim = Simulation(peers, seed=seed, rounds=rounds, parameters=parameters)
    noise = rules.get("noise")
    grid = replace(sim.rules.grid, noise_bound=noise.bound if isinstance(noise, Noise) else 0)
    sim.rules = replace(sim.rules, grid=grid, **rules)
    for host in sim.hosts.values():
        host.engine.rules = sim.rules
    return sim


def history(sim: Simulation) -> list:
    return next(h.engine.history for h in sim.hosts.values() if h.alive)


def faults(sim: Simulation) -> set[str]:
    return {j.fields["sentence"] for h in sim.hosts.values() for j in h.journal if j.kind == "fault"}


# -- openings = "off" --------------------------------------------------------------------------------------------------


def test_with_openings_off_rounds_close_at_once_and_nobody_is_scored_or_paid():
    sim = federation(5, rounds=3, openings=False).start().run()
    assert all(h.finished for h in sim.hosts.values())
    assert len({h.engine.head.record for h in sim.hosts.values()}) == 1
    assert [j.transcript.direction for j in history(sim)] == [NOTHING] * 3
    assert not any(isinstance(message, m.Direction | Openings) for _, _, message in sim.wire)
    assert set(sim.published[-1][2].values()) <= {0}
    assert sim.now < sim.rules.stall_seconds  # nobody waited for scores that never come


def test_with_openings_off_nobody_opens_for_an_initiator_that_asks():
    """It scores, names the right direction and asks for numbers; the others pledge nothing and open nothing."""
    sim = federation(5, rounds=3, openings=False)
    liar = min(sim.hosts, key=lambda peer: sha256(sim.genesis.record, peer))  # whose turn the first round is
    sim.hosts[liar].engine.rules = replace(sim.rules, openings=True)
    sim.start().run()
    assert {sender for sender, _, message in sim.wire if isinstance(message, m.Direction)} == {liar}
    assert {sender for sender, _, message in sim.wire if isinstance(message, Openings | Pledge)} <= {liar}
    assert len(history(sim)) == 3


def test_a_round_without_openings_is_closed_by_others_when_its_initiator_dies():
    sim = federation(6, rounds=2, openings=False)

    def die(sim, host, _to, message):
        if isinstance(message, m.Closed) and message.round == 1 and not any(not h.alive for h in sim.hosts.values()):
            sim.crash(host)

    sim.watchers.append(die)
    sim.start().run()
    assert all(h.finished for h in sim.hosts.values() if h.alive)


# -- noise -------------------------------------------------------------------------------------------------------------


def test_sums_carry_the_noise_of_all_survivors_and_nothing_else_leaves():
    """Training that changes nothing: what the sum holds is noise, rounding aside."""
    sim = federation(6, parameters=4000, rounds=1, openings=False, noise=noise_for(6))
    sim.train = lambda _sim, _host, effect: effect.model
    sim.start().run()
    metrics, total = split_sum(history(sim)[0].update_sum)
    assert (metrics.peers, metrics.examples, metrics.correct, metrics.loss) == (6, 0, 0, 0)
    assert abs(total.astype(np.float64).var() / (6 * VARIANCE) - 1) < 0.12
    for key, vector in sim.plain.items():
        assert abs(vector[-4000:].astype(np.int32).astype(np.float64).var() / VARIANCE - 1) < 0.15, key


def test_without_noise_the_same_sum_is_empty():
    sim = federation(6, parameters=400, rounds=1)
    sim.train = lambda _sim, _host, effect: effect.model
    sim.start().run()
    metrics, total = split_sum(history(sim)[0].update_sum)
    assert metrics.examples > 0
    assert np.abs(total).max() <= 6


def test_each_peer_and_round_draws_anew():
    sim = federation(5, parameters=500, rounds=2, openings=False, noise=noise_for(5))
    sim.train = lambda _sim, _host, effect: effect.model
    sim.start().run()
    seen = [v[-500:].astype(np.int32).astype(np.float64) for v in sim.plain.values()]
    assert len(seen) == 10
    for i, a in enumerate(seen):
        for b in seen[:i]:
            assert abs(np.corrcoef(a, b)[0, 1]) < 0.25


def test_a_sum_with_noise_beyond_the_clip_is_not_voided():
    """Noise so large that a coordinate of the sum leaves survivors * clip: its bound is part of the sum's."""
    noise = noise_for(5, variance=1 << 30)
    sim = federation(5, parameters=2000, rounds=1, openings=False, noise=noise)
    small = replace(sim.rules.grid, clip=0.01)
    sim.rules = replace(sim.rules, grid=small, noise=replace(noise, sensitivity=1000))
    for host in sim.hosts.values():
        host.engine.rules = sim.rules
    sim.train = lambda _sim, _host, effect: effect.model
    sim.start().run()
    _, total = split_sum(history(sim)[0].update_sum)
    assert sum_within_bounds(total, 5, small)
    assert not sum_within_bounds(total, 5, replace(small, noise_bound=0))


def test_with_noise_a_roster_below_the_calibrated_one_is_not_opened():
    sim = federation(8, rounds=2, openings=False, noise=noise_for(8))
    assert least_roster(8) == 6
    for host in list(sim.hosts.values())[:3]:
        sim.at(0.0, lambda h=host: sim.crash(h))
    sim.start().run(until=120)
    assert not any(h.engine.history for h in sim.hosts.values())
    assert any("below 6, for which this federation's noise is made" in sentence for sentence in faults(sim))


# -- careful rosters ---------------------------------------------------------------------------------------------------


def test_with_a_strict_rule_one_leaver_stops_the_rounds_and_its_return_lets_them_go_on():
    sim = federation(6, rounds=3, least_roster_change=3)
    leaver = list(sim.hosts.values())[2]
    left_after_first(sim, [leaver])
    sim.start().run(until=200)
    assert max(len(h.engine.history) for h in sim.hosts.values() if h.alive) == 1
    assert any("differs from an earlier one by 1 of at least 3 peers" in sentence for sentence in faults(sim))
    sim.revive(leaver)
    sim.run(until=900)
    assert len(history(sim)) == 3
    assert len({frozenset(j.proven.u3) for j in history(sim)}) == 1


def test_with_a_strict_rule_equal_rosters_and_large_changes_pass():
    sim = federation(12, rounds=3, least_roster_change=3)
    left_after_first(sim, list(sim.hosts.values())[:3])
    sim.start().run(until=400)
    sizes = [len(j.proven.roster.members) for j in history(sim)]
    assert sizes == [12, 9, 9]


def test_by_default_one_leaver_stops_nothing():
    sim = federation(6, rounds=3)
    left_after_first(sim, [list(sim.hosts.values())[2]])
    sim.start().run(until=400)
    assert [len(j.proven.roster.members) for j in history(sim)] == [6, 5, 5]


def test_noise_lifts_the_strict_rule():
    sim = federation(6, rounds=3, least_roster_change=3, openings=False, noise=noise_for(6))
    left_after_first(sim, [list(sim.hosts.values())[2]])
    sim.start().run(until=400)
    assert [len(j.proven.roster.members) for j in history(sim)] == [6, 5, 5]


def left_after_first(sim: Simulation, leavers: list) -> None:
    """They vanish for good once everybody has closed the first round."""

    gone: list[bool] = []

    def watch(sim, _host, _to, _message):
        if not gone and all(h.engine.head.round >= 1 for h in sim.hosts.values()):
            gone.append(True)
            for host in leavers:
                sim.crash(host)

    sim.watchers.append(watch)


@pytest.mark.parametrize("kind", [RosterMessage, Survivors])
def test_a_member_refuses_what_an_initiator_shows_all_the_same(kind):
    """The initiator has dropped the rule for itself; the members have not, and one of them was lost."""
    sim = federation(6, rounds=2, least_roster_change=3)
    leaver = list(sim.hosts.values())[2]
    left_after_first(sim, [leaver])
    shown: list[bytes] = []

    def careless(sim, host, _to, message):
        if host.engine.head.round >= 1 and isinstance(message, m.Fresh):
            host.engine.rules = replace(sim.rules, least_roster_change=1) if host is first else sim.rules
        if isinstance(message, kind) and host is first and host.engine.head.round >= 1:
            shown.append(message.sid)

    first = next(iter(sim.hosts.values()))
    sim.watchers.append(careless)
    sim.start().run(until=200)
    assert max(len(h.engine.history) for h in sim.hosts.values() if h.alive) == 1
    if kind is RosterMessage:
        assert shown
        refusals = {j.fields["sentence"] for j in first.journal if j.kind == "refusal"}
        assert any("privacy.least_roster_change" in sentence for sentence in refusals)
    else:
        assert not shown  # it never comes to that


def test_survivors_that_lack_one_peer_of_an_earlier_sum_get_no_vote():
    """All are in the roster again; then one vanishes between shares and vectors: the sum would differ by one."""
    sim = federation(6, rounds=2, least_roster_change=3)
    hosts = list(sim.hosts.values())

    def vanish(sim, host, _to, message):
        member = isinstance(message, Manifest) and host.engine.session.collector is None
        if member and host.engine.head.round == 1 and all(h.alive for h in hosts):
            sim.crash(host)

    sim.watchers.append(vanish)
    sim.start().run(until=300)
    assert max(len(h.engine.history) for h in hosts if h.alive) == 1
    said = {j.fields["why"] for h in hosts for j in h.journal if j.kind == "left"}
    assert any("survivor set differs from an earlier one by 1" in why for why in said)


def test_a_set_that_was_voted_for_counts_though_its_round_was_lost():
    me, others = b"a", [b"b", b"c", b"d"]
    earlier = [((me, *others), (me, *others))]
    caution = Caution.after(me, earlier, least_change=3, least_roster=0)
    assert caution.of_survivors([me, *others]) == ""
    assert "by 1 of at least 3" in caution.of_survivors([me, *others[:2]])
    assert "by 1 of at least 3" in caution.of_roster([me, *others, b"e"])
    elsewhere = Caution.after(b"z", earlier, least_change=3, least_roster=0)
    assert elsewhere.of_roster([b"z", *others]) == ""


def test_an_engine_remembers_what_it_voted_for():
    sim = federation(5, rounds=1, least_roster_change=3).start().run()
    for host in sim.hosts.values():
        assert set(host.engine.voted_for) == {history(sim)[0].transcript.sid}
