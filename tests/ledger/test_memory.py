"""The ledger in memory keeps the contracts' rules."""

from dataclasses import replace

import pytest

from peerage_crypto.digest import claim_root
from peerage_ledger import events
from peerage_ledger.memory import MemoryChain, MemoryLedger, Reverted
from peerage_ledger.records import RewardRoot, Steps
from peerage_ledger.view import quorum


@pytest.fixture
def chain():
    return MemoryChain(b"\x01" * 32, pool=100)


@pytest.fixture
def peers(chain, story):
    made = [MemoryLedger(chain, story.account(f"peer-{i}")) for i in range(5)]
    for i, one in enumerate(made):
        one.register(story.digest("key", i), f"tcp://127.0.0.1:{i + 1}", 1)
        one.poll()
    return made


def kinds(found, kind):
    return [event for event in found if isinstance(event, kind)]


def test_everybody_hears_of_every_registration_once(peers):
    ledger = peers[0]
    assert len(ledger.registrations()) == 5
    assert len(kinds(ledger.poll(), events.PeerRegistered)) == 4  # its own it has heard
    assert ledger.poll() == ()


def test_one_record_is_recorded_once_whoever_submits_it(peers, story):
    for one in peers:
        one.submit_round(story.record(1, None))
        one.submit_round(story.record(1, None))
    heard = [one.poll() for one in peers]
    assert all(kinds(found, events.Confirmed) for found in heard)
    assert len(kinds(peers[0].poll(), events.RoundRecorded)) + len(kinds(heard[0], events.RoundRecorded)) == 1


def test_an_outage_delays(chain, peers, story):
    chain.up = False
    peers[0].submit_round(story.record(1, None))
    assert kinds(peers[0].poll(), events.ChainLost)
    assert peers[0].pending() == 1
    chain.up = True
    assert kinds(peers[0].poll(), events.ChainBack)
    assert peers[0].pending() == 0


def test_a_child_waits_for_its_parent_and_a_wrong_round_is_refused(peers, story):
    first, second = story.lineage(2)
    peers[0].submit_round(second)
    assert kinds(peers[0].poll(), events.Delayed) == [
        events.Delayed(f"round:{second.record_hash().hex()}", "UnknownParent")
    ]
    peers[1].submit_round(first)
    peers[1].poll()
    peers[0].poll()
    assert peers[0].pending() == 0
    peers[0].submit_round(replace(first, round=4))
    assert [e.reason for e in kinds(peers[0].poll(), events.Refused)] == ["WrongRound"]


def test_a_sibling_of_a_round_is_recorded_too(peers, story):
    peers[0].submit_round(story.record(1, None, "a"))
    peers[1].submit_round(story.record(1, None, "b"))
    peers[0].poll()
    peers[1].poll()
    assert len(peers[2].records()) == 2


def test_strangers_and_leavers_record_nothing(chain, peers, story):
    stranger = MemoryLedger(chain, story.account("stranger"))
    stranger.submit_round(story.record(1, None))
    assert [e.reason for e in kinds(stranger.poll(), events.Delayed)] == ["NotAPeer"]
    chain.leave(peers[0].address)
    peers[0].submit_round(story.record(1, None))
    peers[0].poll()
    assert peers[0].pending() == 1
    assert [r.active for r in peers[0].registrations()].count(False) == 1


def test_rewards_need_a_quorum_the_pool_and_pay_once(chain, peers, story):
    people = [story.account(f"peer-{i}") for i in range(5)]
    totals = {p.address: 10 * i for i, p in enumerate(people)}
    reward = RewardRoot(1, claim_root(totals), 100, b"\0" * 32, Steps().digest())
    statement = reward.digest(31337, chain.deployment.vault)
    signatures = {p.address: p.sign(statement) for p in people}
    few = dict(list(signatures.items())[: quorum(5) - 1])
    peers[0].publish_rewards(reward, Steps(), few)
    assert [e.reason for e in kinds(peers[0].poll(), events.Delayed)] == ["QuorumMissing"]
    peers[1].publish_rewards(reward, Steps(), signatures)
    peers[1].claim_many(totals)
    peers[2].claim_many(totals)
    peers[1].poll()
    peers[2].poll()
    assert peers[3].vault_state().claimed == {a: t for a, t in totals.items() if t}
    assert peers[3].vault_state().funded == 100
    greedy = RewardRoot(2, claim_root(totals), 101, b"\0" * 32, Steps().digest())
    signatures = {p.address: p.sign(greedy.digest(31337, chain.deployment.vault)) for p in people}
    peers[1].publish_rewards(greedy, Steps(), signatures)
    assert [e.reason for e in kinds(peers[1].poll(), events.Delayed)] == ["TotalAboveFunded"]


@pytest.mark.parametrize(
    ("active", "needed"), [(0, 1), (1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (8, 6), (12, 9), (16, 11)]
)
def test_the_quorum_is_the_contracts(active, needed):
    assert quorum(active) == needed


def test_a_verdict_takes_from_the_stake_and_the_whole_of_it_ends_a_peer(chain, peers, story):
    one, other = story.account("peer-0").address, story.account("peer-1").address
    stake = chain.view.peers[one].stake
    pool = chain.view.vault.funded
    lost = chain.slash(one, 10_000, other)
    assert lost == stake
    assert not chain.view.peers[one].active
    assert chain.view.vault.funded == pool + lost - lost // 10
    assert chain.slash(one, 10_000, other) == 0
    assert [chain.slash(story.digest("a stranger")[:20], part, other) for part in (9_999, 10_000)] == [0, 0]
    peers[0].register(story.digest("another key"), "tcp://127.0.0.1:1", 1)
    assert [e.reason for e in kinds(peers[0].poll(), events.Refused)] == ["AccountBarred"]


def test_who_is_recovered_is_out_and_its_recovery_address_is_paid(chain, peers, story):
    lost, safe = story.account("peer-0").address, story.account("safe").address
    chain.set_recovery(lost, safe)
    for wrong in (lambda: chain.set_recovery(lost, bytes(20)), lambda: chain.recover(lost, lost)):
        with pytest.raises(Reverted):
            wrong()
    chain.recover(safe, lost)
    assert chain.view.payees == {lost: safe}
    assert not chain.view.peers[lost].active
    with pytest.raises(Reverted, match="AccountBarred"):
        chain.recover(safe, lost)


def test_the_poster_of_a_record_is_known(chain, peers, story):
    first = story.record(1, None)
    chain.record(story.account("peer-2").address, first)
    assert chain.poster_of(1, first.record_hash()) == story.account("peer-2").address
    assert chain.poster_of(2, first.record_hash()) == bytes(20)
