"""SelfishAttack (Jia et al. 2023, arXiv 2310.13862): one version, another model for each neighbour.

In plain exchange it convicts itself.

Weights are fetched by the hash in a signed statement, so another model needs another signature; statements travel on in
the transcripts of merges; and two under one version are proof for everybody.
"""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec import structs

from peerage import effects as fx
from peerage.plain.contradictions import KEPT, Contradiction, Statements
from peerage.plain.messages import PlainNews
from peerage.rounds.aggregation import canonical
from peerage_crypto.digest import sha256
from peerage_crypto.plain_statements import PlainUpdate
from peerage_crypto.statements import Signed, sign


def _plain():
    """tests/node/test_plain.py and its simulated federation."""
    found = sys.modules.get("plain_federation")
    if found is None:
        spec = importlib.util.spec_from_file_location("plain_federation", Path(__file__).with_name("test_plain.py"))
        found = sys.modules["plain_federation"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
    return found


Plain = _plain().Plain


def selfish(sim, host):
    """`host` tells the truth to nobody but itself: peer number k gets its weights plus k."""
    numbers = {other.account.address: k for k, other in enumerate(sim.peers, 1)}

    def tailored(news, receiver):
        if not isinstance(news, PlainNews) or news.update is None:
            return news
        old = news.update.statement
        honest = next(np.frombuffer(b, "<f4") for a, b in host.holdings.items() if a == old.artefact)
        blob = canonical((honest + np.float32(numbers[receiver])).astype(np.float32))
        host.holdings[sha256(blob)] = blob
        update = PlainUpdate(old.sid, old.version, sha256(blob), old.examples, old.base, old.base_round)
        return structs.replace(news, update=sign(update, host.account, sim.federation.domain))

    def cheat(s, _, effect):
        if isinstance(effect, fx.Broadcast):
            others = [a for a in numbers if a != host.account.address]
            return [fx.Send(peer, tailored(effect.message, peer)) for peer in others]
        if isinstance(effect, fx.Send):
            return [replace(effect, message=tailored(effect.message, effect.to))]
        return [effect]

    sim.cheats[host.account.address] = cheat
    return sim


def faults(host):
    return [line.fields for line in host.journal if line.kind == "fault"]


def test_every_honest_peer_convicts_it_with_two_signatures():
    sim = Plain(5, rounds=4)
    liar, honest = sim.peers[4], sim.peers[:4]
    selfish(sim, liar).start().run(until=300)
    domain = sim.federation.domain
    for host in honest:
        assert host.finished
        (fault,) = [f for f in faults(host) if "two different statements" in f["sentence"]]
        assert fault["culprit"] == "0x" + liar.account.address.hex()
        first, second = (msgspec.json.decode(s, type=Signed[PlainUpdate]) for s in fault["statements"])
        assert first.statement.version == second.statement.version
        assert first.statement.artefact != second.statement.artefact
        assert first.is_by(liar.account.address, domain)
        assert second.is_by(liar.account.address, domain)
        assert Contradiction(liar.account.address, first, second).holds(sim.federation)


def test_nothing_of_it_is_merged_after_that():
    sim = Plain(5, rounds=5)
    liar, honest = sim.peers[4], sim.peers[:4]
    selfish(sim, liar).start().run(until=300)
    for host in honest:
        assert [liar.account.address in p.members for p in host.progress] == [True, False, False, False, False]
        assert host.engine.head.round == 5
    assert len({host.engine.head.aggregate for host in honest}) == 1, "without it they agree again"


def test_the_audit_names_it_from_the_records_alone():
    sim = Plain(4, rounds=2)
    liar = sim.peers[3]
    selfish(sim, liar).start().run(until=300)
    found = [fault for _, fault in sim.judge().faults]
    assert {(fault.code, fault.culprit) for fault in found} == {("equivocation", liar.account.address)}


def test_who_hears_both_drops_it_in_mid_pull_and_waits_for_nothing():
    """Two statements to one peer, the second while it waits for weights that never come."""
    sim = Plain(3, rounds=2)
    liar, honest = sim.peers[2], sim.peers[:2]

    def cheat(s, host, effect):
        news = getattr(effect, "message", None)
        if not isinstance(news, PlainNews) or news.update is None:
            return [effect]
        old, domain = news.update.statement, s.federation.domain
        lies = [
            sign(
                PlainUpdate(old.sid, old.version, bytes([n]) * 32, old.examples, old.base, old.base_round),
                host.account,
                domain,
            )
            for n in (1, 2)
        ]
        first, second = (replace(effect, message=structs.replace(news, update=lie)) for lie in lies)
        s.at(1.0, lambda: s.carry(host, second))
        return [first]

    def never_answered(_s, _host, effect):
        lost = isinstance(effect, fx.FetchArtefact) and effect.artefact in {bytes([n]) * 32 for n in (1, 2)}
        return [] if lost else [effect]

    sim.cheats = {host.account.address: never_answered for host in honest} | {liar.account.address: cheat}
    sim.start().run(until=300)
    for host in honest:
        assert host.finished
        assert liar.account.address in host.engine.others.convicted
        assert all(liar.account.address not in p.members for p in host.progress)
    assert sim.now < 12, "nobody waits out the stall"


def test_two_peers_and_one_lies_to_the_other():
    """It merges another version than it served: its own transcript convicts it, and the honest one goes on alone."""
    sim = Plain(2, rounds=4)
    honest, liar = sim.peers
    selfish(sim, liar)
    sim.start().run(until=300)
    assert honest.finished
    assert honest.engine.head.round == 4
    assert any("two different statements" in f["sentence"] for f in faults(honest))


@pytest.mark.parametrize("seed", range(6))
def test_nobody_honest_is_ever_convicted(seed):
    weather = _plain().Weather(loss=0.15, repeat=0.2, delay=(0.001, 0.5), fetch_loss=0.15)
    sim = Plain(4, rounds=4, seed=seed, weather=weather).start()
    victim = sim.peers[seed % 4]
    sim.at(0.3 + 0.2 * seed, lambda: sim.crash(victim))
    sim.at(5.0 + seed, lambda: sim.revive(victim))
    sim.run(until=2000)
    assert not [f for host in sim.peers for f in faults(host)]
    assert not any(host.engine.others.convicted for host in sim.peers)


def test_what_does_not_convict():
    sim = Plain(3)
    federation, (one, other, _) = sim.federation, sim.peers
    stranger = Plain(2, seed=99).peers[0].account

    def said(account, version=1, artefact=b"a" * 32, sid=b"s" * 32):
        return sign(PlainUpdate(sid, version, artefact, 5, federation.genesis, 0), account, federation.domain)

    mine, me = said(one.account), one.account.address
    assert Contradiction(me, mine, said(one.account, artefact=b"b" * 32)).holds(federation)
    assert not Contradiction(me, mine, said(one.account)).holds(federation)
    assert not Contradiction(me, mine, said(one.account, 2, b"b" * 32)).holds(federation)
    assert not Contradiction(me, mine, said(one.account, 1, b"b" * 32, b"t" * 32)).holds(federation)
    assert not Contradiction(me, mine, said(other.account, artefact=b"b" * 32)).holds(federation)
    foreign = said(stranger), said(stranger, artefact=b"b" * 32)
    assert not Contradiction(stranger.address, *foreign).holds(federation)


def test_statements_are_remembered_for_a_while():
    sim = Plain(2)
    account = sim.peers[0].account

    def said(version, artefact=b"a" * 32):
        update = PlainUpdate(b"s" * 32, version, artefact, 5, sim.federation.genesis, 0)
        return account.address, sign(update, account, sim.federation.domain)

    heard = Statements()
    assert heard.heard([said(version) for version in range(1, KEPT + 10)]) == []
    assert len(heard.said[account.address]) == KEPT
    assert heard.heard([said(KEPT)]) == []
    (found,) = heard.heard([said(KEPT, b"b" * 32), said(KEPT - 1, b"b" * 32)])
    assert found.first.statement.version == KEPT
    assert heard.convicted == {account.address}
