"""Noise with buckets and regions in whole rounds: every sum that is unmasked carries what the settings promise."""

import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Host, Simulation

from peerage import messages as m
from peerage.config import Federation, MaskingSettings, PrivacySettings, Region, RobustSettings, ScoreSettings
from peerage.config_checks import check_federation
from peerage.privacy.noise import Noise, noise_of
from peerage.regions import grouping_of, with_addresses
from peerage.rounds.grid import Grid
from peerage_crypto.buckets import tolerated
from peerage_crypto.opening import Openings
from peerage_crypto.session import Gathered, Manifest
from peerage_ledger.transcript import NOTHING

PARAMETERS = 3000
PEERS = 10  # regions of five, of which one may be lost and two may collude: two are left to hide among
Z = 1.0
KINDS = ("buckets", "regions", "led")
LESS = 1 - 4 * (2 / PARAMETERS) ** 0.5  # four standard deviations of a variance that so many numbers tell


def settings(kind: str) -> Federation:
    names = Federation(peers=PEERS).peer_names()
    groups = () if kind == "buckets" else (names[: PEERS // 2], names[PEERS // 2 :])
    return Federation(
        peers=PEERS,
        rounds=2,
        masking=MaskingSettings(frac_bits=10, clip=0.5),
        scores=ScoreSettings(openings="off"),
        privacy=PrivacySettings(noise=Z),
        robust=RobustSettings(buckets=2 if kind == "buckets" else 1),
        regions=tuple(
            Region(name=f"r{i}", peers=tuple(group), leader=group[0] if kind == "led" else "")
            for i, group in enumerate(groups)
        ),
    )


def federation(kind: str, seed: int = 0) -> tuple[Simulation, Noise]:
    """Whole rounds of those settings, of peers whose training changes nothing: what a sum holds is noise."""
    agreed = settings(kind)
    check_federation(agreed)
    noise = noise_of(agreed, PARAMETERS)
    assert noise is not None
    sim = Simulation(agreed.peers, seed=seed, rounds=agreed.rounds, parameters=PARAMETERS)
    addresses = {host.name: address for address, host in sim.hosts.items()}
    masking = agreed.masking
    grid = Grid(masking.ring_bits, masking.frac_bits, masking.clip, noise.bound)
    sim.rules = replace(sim.rules, grid=grid, noise=noise, openings=False)
    sim.federation = replace(sim.federation, grouping=grouping_of(with_addresses(agreed, addresses)))
    for index, host in enumerate(sim.hosts.values()):
        host.engine = sim._engine(host.account, index)
    sim.train = lambda _sim, _host, effect: effect.model
    return sim, noise


def sums(sim: Simulation) -> list[tuple[bytes, tuple[bytes, ...], np.ndarray]]:
    """(session, members, noise) of every sum of every closed round, as the artefact holds them."""
    found = []
    for judged in next(h for h in sim.hosts.values() if h.alive).engine.history:
        cut, whole = sim.federation.ring.lane_words, judged.update_sum.size
        blob = sim.archive[judged.transcript.sum_artefact]
        rows = np.frombuffer(blob, sim.federation.ring.dtype).reshape(-1, whole)[:, cut:]
        assert len(rows) == len(judged.proven.groups)
        found += [
            (judged.transcript.sid, members, row.view(np.int32).astype(np.float64))
            for members, row in zip(judged.proven.groups, rows, strict=True)
        ]
    return found


def own(sim: Simulation, sid: bytes, peer: bytes) -> np.ndarray:
    """What a peer knows of its own share of a sum."""
    vector = sim.plain[sid, peer][sim.federation.ring.lane_words :]
    return vector.view(np.int32).astype(np.float64)


def check_promise(sim: Simulation, noise: Noise) -> int:
    """Whoever colludes, what is left of each sum has the promised deviation. The fewest honest peers of any sum."""
    wanted, fewest = (Z * noise.sensitivity) ** 2, len(sim.hosts)
    for sid, members, total in sums(sim):
        shares = {peer: own(sim, sid, peer) for peer in members}
        assert np.array_equal(sum(shares.values()), total), "the sum is not that of its bucket"
        ordered = sorted(members, key=lambda peer: -shares[peer].var())
        for colluding in [ordered[: noise.colluders], *list(combinations(members, noise.colluders))[:5]]:
            left = total - sum(shares[peer] for peer in colluding)
            assert left.var() >= LESS * wanted, "too little honest noise in a sum"
        fewest = min(fewest, len(members) - noise.colluders)
    assert fewest >= noise.honest
    return fewest


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_each_buckets_sum_carries_the_promised_noise_though_colluders_take_theirs_off(kind: str, seed: int) -> None:
    sim, noise = federation(kind, seed)
    sim.start().run()
    invariants.check(sim)
    assert not invariants.faults(sim)
    assert len(sums(sim)) == 4, "two rounds of two sums"
    check_promise(sim, noise)
    if kind == "led":
        assert any(isinstance(message, Gathered) for _, _, message in sim.wire)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_opened_and_nobody_paid_where_sums_are_of_buckets(kind: str) -> None:
    sim, _ = federation(kind)
    sim.start().run()
    history = next(iter(sim.hosts.values())).engine.history
    assert [j.transcript.direction for j in history] == [NOTHING] * 2
    assert all(set(j.transcript.numbers) == {None} for j in history)
    assert not any(isinstance(message, m.Direction | Openings | m.Products) for _, _, message in sim.wire)
    assert set(sim.published[-1][2].values()) <= {0}


@pytest.mark.parametrize("kind", KINDS)
def test_the_promise_holds_in_a_sum_that_has_lost_all_it_may(kind: str) -> None:
    """As many of one bucket vanish between shares and vectors as a session bears."""
    sim, noise = federation(kind)
    may = tolerated(PEERS // 2)
    gone: list[Host] = []

    def vanish(sim: Simulation, host: Host, _to: bytes, message: m.Message) -> None:
        session = host.engine.session
        member = isinstance(message, Manifest) and session is not None and session.collector is None
        if not member or len(gone) >= may or host.account.address in sim.federation.grouping.leaders:
            return
        roster = session.member.roster
        mine = next(b for b in roster.buckets if host.account.address in b)
        if not gone or gone[0].account.address in mine:
            gone.append(host)
            sim.crash(host)

    sim.watchers.append(vanish)
    sim.start().run(until=300)
    assert len(gone) == may > 0
    assert sums(sim), "no round was closed without them"
    assert any(gone[0].account.address not in members for _, members, _ in sums(sim))
    check_promise(sim, noise)


def test_though_all_who_may_collude_add_no_noise_that_of_the_others_suffices() -> None:
    sim, noise = federation("regions")
    region = sorted(sim.federation.grouping.regions[0])
    lazy = region[: noise.colluders]
    for address in lazy:
        sim.hosts[address].engine.rules = replace(sim.rules, noise=None)
    sim.start().run()
    wanted = (Z * noise.sensitivity) ** 2
    poor = [total.var() for _, members, total in sums(sim) if set(lazy) <= set(members)]
    assert len(poor) == 2
    assert min(poor) >= LESS * wanted
    fair = noise.variance * (len(region) - noise.colluders)
    assert max(poor) < fair * (2 - LESS), "the lazy ones added noise all the same: nothing was tried"
