"""Scales from the record, rounds that wait for all, and what becomes of a peer that lies about its scale.

Real engines in virtual time. FedAU's scale follows from the sums that a peer is in: a crash makes the next one larger
and nobody needs to be asked. A false declaration is found, a false multiplication is not: the clip shortens it.
"""

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator import Simulation

from peerage.audit import scales
from peerage.config import Energy, Federation, ScheduleSettings
from peerage.rounds import joining
from peerage.rounds.aggregation import update_of
from peerage.scheduling import FedAU
from peerage.scheduling.policies import own_scale
from peerage_ledger.audit.findings import Notebook
from peerage_ledger.audit.journal import Entry, Journal
from peerage_ledger.judgement import Evidence, judge_round

FEDAU = FedAU(cap=8, cutoff=8)
ONE = Fraction(1)


def simulated(rounds=8, *, turns=None, fedau=FEDAU, whole=False, files=False):
    """Six engines, not started; the last has its turn in the rounds of `turns` (None: in each)."""
    sim = Simulation(6, rounds=rounds, seed=3, whole=files)
    *others, last = [host.account.address for host in sim.hosts.values()]
    due = set(range(1, rounds + 1)) if turns is None else turns
    table = tuple(dict.fromkeys(others, ONE) | ({last: ONE} if t in due else {}) for t in range(1, rounds + 1))
    sim.federation = replace(sim.federation, turns=table, whole=whole)
    sim.rules = replace(sim.rules, over=0 if whole else 6, fedau=fedau)
    for host in sim.hosts.values():
        host.engine.federation, host.engine.rules = sim.federation, sim.rules
    return sim, list(sim.hosts.values())


def line(sim):
    """The rounds as an audit tells them."""
    history = next(iter(sim.hosts.values())).engine.history
    return [SimpleNamespace(round=j.transcript.round, u3=j.proven.u3, sid=j.transcript.sid) for j in history]


def declared(host, sim):
    """(round, scale) of each update of this peer that went into a sum."""
    sids = {told.sid.hex(): told for told in line(sim) if host.account.address in told.u3}
    locked = [entry for entry in host.journal if entry.kind == "locked" and entry.fields["sid"] in sids]
    return [(sids[entry.fields["sid"]].round, Fraction(entry.fields["scale"])) for entry in locked]


def audited(sim, policy="fedau"):
    """`check_scales` over what these peers wrote and what their rounds prove."""
    journals = tuple(
        Journal(
            host.name, host.account.address, [Entry(n, e.round, e.kind, e.fields) for n, e in enumerate(host.journal)]
        )
        for host in sim.hosts.values()
    )
    book = Notebook()
    rounds, accounts = SimpleNamespace(federation=sim.federation), SimpleNamespace(line=line(sim))
    judged = SimpleNamespace(book=book, rounds=rounds, accounts=accounts, journals=journals)
    settings = ScheduleSettings(policy=policy, cap=FEDAU.cap, cutoff=FEDAU.cutoff)
    scales.check_scales(judged, Federation(peers=6, schedule=settings, energy=(Energy(peer="x", profile="always"),)))
    return book


# -- FedAU -------------------------------------------------------------------------------------------------------------


def test_a_peer_that_comes_seldom_learns_its_scale_from_the_record():
    sim, hosts = simulated(turns={3, 6, 7})
    sim.start().run()
    assert declared(hosts[-1], sim) == [(3, 1), (6, 3), (7, 3)]  # intervals 3; then 3, 3
    assert all(scale == 1 for _, scale in declared(hosts[0], sim))
    assert len({host.engine.head.record for host in hosts}) == 1
    book = audited(sim)
    assert not book.in_order()
    assert book.counts["declared scales"] == 5 * 8 + 3


def test_what_goes_under_the_mask_is_multiplied_with_it():
    units = []
    for fedau in (None, FEDAU):
        sim, hosts = simulated(turns={3, 6}, rounds=6, fedau=fedau)
        sim.start().run()
        last = next(told for told in line(sim) if told.round == 6)
        words = sim.plain[last.sid, hosts[-1].account.address][-sim.parameters :].astype(np.int64)
        units.append((words + 2**31) % 2**32 - 2**31)
    assert np.linalg.norm(units[1]) < 4.0 * 2**16
    assert np.abs(units[1] - 3 * units[0]).max() <= 4
    assert np.abs(units[0]).max() > 1000


@pytest.mark.parametrize(("files", "wiped"), [(False, False), (True, False), (True, True)])
def test_a_crash_is_an_interval_like_any_other(files, wiped):
    """Killed after round 2 and back after others went on, perhaps without its disk: the record is what it was."""
    sim, hosts = simulated(rounds=8, files=files)
    victim = hosts[-1]
    sim.start()
    until(sim, lambda: hosts[0].engine.head.round >= 2)
    sim.crash(victim)
    until(sim, lambda: hosts[0].engine.head.round >= 4)
    sim.revive(victim, wiped=wiped)
    sim.run()
    assert {host.engine.head.round for host in hosts} == {8}
    me = victim.account.address
    attended = [told.round - 1 for told in line(sim) if me in told.u3]
    missed = set(range(8)) - set(attended)
    assert len(missed) >= 2
    after = [(r, s) for r, s in declared(victim, sim) if r - 1 > max(missed)]
    assert len(after) >= 2
    assert after[1][1] > 1  # the first round after it closes the long interval; the second knows it
    assert all(s == own_scale(FEDAU, [a for a in attended if a < r - 1], r - 1) for r, s in declared(victim, sim))
    assert not audited(sim).in_order()


def until(sim, reached):
    """Play happening by happening."""
    while not reached():
        sim.run(most=sim._count + 1)


@given(st.sets(st.integers(0, 59)), st.integers(1, 60))
def test_staying_away_buys_little(attended, cutoff):
    """All scales of a run together: the rounds there were, and no more than 1 + 1/2 + 1/3 + ... times as much."""
    policy = FedAU(cap=1000, cutoff=cutoff)
    total = sum(own_scale(policy, [a for a in attended if a < t], t) for t in attended)
    harmonic = sum(Fraction(1, k) for k in range(1, len(attended) + 1))
    assert total <= len(attended) + 60 * harmonic
    assert all(1 <= own_scale(policy, [a for a in attended if a < t], t) <= cutoff for t in attended)


# -- wait for all ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wiped", [False, True])
def test_a_round_waits_for_who_died_in_it(wiped):
    """With its disk or without it: the others wait, and the round is closed with everybody in it."""
    sim, hosts = simulated(rounds=4, fedau=None, whole=True, files=True)
    sim.start()
    until(sim, lambda: hosts[0].engine.head.round >= 2)
    sim.crash(hosts[-1])
    sim.run(until=sim.now + 50)
    before = hosts[0].engine.head.round
    assert before < 4
    sim.revive(hosts[-1], wiped=wiped)
    sim.run()
    assert {host.engine.head.round for host in hosts} == {4}
    assert all(len(told.u3) == 6 for told in line(sim) if told.round > before)


def test_no_round_begins_before_everybody_is_there():
    sim, hosts = simulated(rounds=2, fedau=None, whole=True)
    sim.crash(hosts[-1])
    sim.start().run(until=100.0)
    assert {host.engine.head.round for host in hosts[:-1]} == {0}
    said = {e.fields["sentence"] for host in hosts[:-1] for e in host.journal if e.kind == "fault"}
    assert "no round is opened: 5 of 6 peers are here, and this federation's rounds wait for all" in said
    sim.revive(hosts[-1])
    sim.run(until=300.0)
    assert {host.engine.head.round for host in hosts} == {2}
    assert all(len(told.u3) == 6 for told in line(sim))


def test_a_round_without_somebody_does_not_hold_where_all_are_waited_for():
    sim, hosts = simulated(rounds=2, turns={2}, fedau=None)
    sim.start().run()
    first = hosts[0].engine.history[0]
    t = first.transcript
    assert len(first.proven.u3) == 5
    evidence = Evidence(first.standing.transcript, t, t.session, first.session, sim.archive[t.sum_artefact])
    ground, start, merge = hosts[0].engine.federation, hosts[0].engine.genesis, hosts[0].engine.merge
    assert not isinstance(judge_round(ground, start, evidence, merge), list)
    faults = judge_round(replace(ground, turns=None, whole=True), start, evidence, merge)
    assert [(f.code, f.culprit) for f in faults] == [("roster-incomplete", first.proven.roster.plan.initiator)]


# -- lies --------------------------------------------------------------------------------------------------------------


def lying(monkeypatch, *, declares, multiplies):
    """The last peer's scale is tenfold, in what it says or in what it does."""
    sim, hosts = simulated(turns={3, 6})
    liar, honest = hosts[-1].account.address, joining.scale_of

    def told(s):
        return 10 * honest(s) if declares and s.me == liar else honest(s)

    def made(local, base, grid, dither, scale=ONE):
        mine = np.array_equal(local, next(h for h in hosts if h.account.address == liar).engine.own.local)
        return update_of(local, base, grid, dither, 10 * scale if multiplies and mine else scale)

    monkeypatch.setattr(joining, "scale_of", told)
    monkeypatch.setattr(joining, "update_of", made)
    sim.start().run()
    return sim, hosts[-1]


def test_a_false_declaration_is_found_and_named(monkeypatch):
    sim, liar = lying(monkeypatch, declares=True, multiplies=False)
    found = audited(sim).in_order()
    assert [(f.code, f.round, f.peer) for f in found] == [
        ("scale", 3, liar.account.address),
        ("scale", 6, liar.account.address),
    ]
    assert "declared the scale 30 in round 6, and 3 is due" in found[1].sentence


def test_a_false_multiplication_is_hidden_and_shortened_by_the_clip(monkeypatch):
    """Said in docs/scheduling.md: no finding, a note, and an update no longer than anybody's while the clip is kept."""
    sim, liar = lying(monkeypatch, declares=False, multiplies=True)
    book = audited(sim)
    assert not book.in_order()
    assert any("hidden by the mask: only the bounds of the sum" in note for note in book.notes)
    sixth = next(told for told in line(sim) if told.round == 6)
    words = sim.plain[sixth.sid, liar.account.address][-sim.parameters :].astype(np.int64)
    length = np.linalg.norm((words + 2**31) % 2**32 - 2**31) / 2**16
    assert 3.9 < length <= 4.001  # ten times as much would be longer: the clip of simulated peers cuts it


@pytest.mark.parametrize("written", ["", "4.0.0", "1/0", 3, None, "9" * 50])
def test_what_is_no_scale_is_a_finding_and_no_crash(written):
    sim, hosts = simulated(turns={3}, rounds=3)
    sim.start().run()
    liar = hosts[-1]
    liar.journal = [
        replace(e, fields={**e.fields, "scale": written}) if e.kind == "locked" else e for e in liar.journal
    ]
    assert [(f.code, f.peer) for f in audited(sim).in_order()] == [("scale", liar.account.address)]


def test_without_a_schedule_nothing_is_declared_and_nothing_asked():
    sim = Simulation(4, rounds=2, seed=1).start().run()
    assert not any("scale" in e.fields for h in sim.hosts.values() for e in h.journal)
    book = audited(sim, "none")
    assert not book.in_order()
    assert not book.notes
