"""The ledger client on real chains: twelve peers at once, an outage, a rewind, another contract at the address."""

import os
import time
from dataclasses import replace

import pytest

from peerage_crypto.digest import claim_root
from peerage_crypto.errors import InputError
from peerage_ledger import events
from peerage_ledger.records import RewardRoot, Steps
from peerage_ledger.rpc import Rpc

pytestmark = pytest.mark.chain
ETHER = 10**18
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "2"))


def told(ledger, kind):
    return [event for event in ledger.poll() if isinstance(event, kind)]


def all_settled(ledgers, seconds=40):
    return all(one.settle(seconds) for one in ledgers)


def all_know(ledgers, count):
    return all(one.wait_for(lambda x: len(x.records()) == count, 20) for one in ledgers)


def test_twelve_peers_register_record_publish_and_claim(engine, start_federation, story):
    federation = start_federation(engine, peers=12)
    ledgers = federation.ledgers()
    rounds = story.lineage(6)
    for made in rounds:
        for i in (made.round, made.round + 1):  # two peers submit each round; the later rounds before their parents
            ledgers[-i].submit_round(made)
    assert all_settled(ledgers)
    assert all_know(ledgers, 6)
    assert [event.record for event in told(ledgers[0], events.RoundRecorded)] == rounds
    totals = {peer.address: (i + 1) * ETHER for i, peer in enumerate(federation.peers)}
    reward = RewardRoot(1, claim_root(totals), sum(totals.values()), story.digest("emissions"), Steps().digest())
    statement = reward.digest(31337, federation.deployment.vault)
    ledgers[0].publish_rewards(reward, Steps(), {p.address: p.sign(statement) for p in federation.peers[:9]})
    for one in ledgers[:4]:
        one.claim_many(totals)  # before the root is there: they wait for it
    assert all_settled(ledgers)
    assert ledgers[5].wait_for(lambda x: x.vault_state().claimed == totals, 10)
    assert ledgers[5].vault_state().epoch == 1


def test_a_peer_that_comes_back_elsewhere_changes_its_endpoint_and_key(engine, start_federation, story):
    federation = start_federation(engine, peers=2)
    first, other = federation.ledgers()
    first.close()
    again = federation.ledger(0)
    again.register(story.digest("key", 0), "tcp://127.0.0.1:9999", ETHER)
    assert again.settle(10)
    again.register(story.digest("new key"), "tcp://127.0.0.1:9999", ETHER)
    assert again.settle(10)
    me = federation.peers[0].address
    assert other.wait_for(
        lambda x: any(
            r.address == me and r.endpoint.endswith("9999") and r.transport_key == story.digest("new key")
            for r in x.registrations()
        ),
        10,
    )
    other.register(story.digest("new key"), "tcp://127.0.0.1:1", ETHER)
    assert other.settle(10)
    assert ["TransportKeyTaken" in event.reason for event in told(other, events.Refused)] == [True]


def test_an_outage_delays_and_loses_nothing(engine, start_federation, story):
    federation = start_federation(engine, peers=3, revive_seconds=None)
    ledgers = federation.ledgers()
    rounds = story.lineage(12)
    for made in rounds[:4]:
        ledgers[made.round % 3].submit_round(made)
    federation.devnet.kill()
    for made in rounds[4:8]:
        ledgers[made.round % 3].submit_round(made)
        time.sleep(OUTAGE_SECONDS / 4)
    ledgers[0].close()  # a peer that is killed and comes back during the outage
    ledgers[0] = federation.ledger(0)
    assert any(one.pending() for one in ledgers)
    federation.devnet.restart()
    for made in rounds[8:]:
        ledgers[made.round % 3].submit_round(made)
    assert all_settled(ledgers)
    assert all_know(ledgers, 12)
    rpc = Rpc(federation.devnet.rpc_url)
    logs = rpc.call("eth_getLogs", {"fromBlock": "0x0", "address": "0x" + federation.deployment.ledger.hex()})
    assert len([log for log in logs if len(log["topics"]) == 4]) == 12
    assert told(ledgers[1], events.ChainLost)


def test_many_kills_while_transactions_flow(engine, start_federation, story):
    federation = start_federation(engine, peers=3, revive_seconds=None)
    ledgers = federation.ledgers()
    rounds = story.lineage(15)
    for made in rounds:
        ledgers[made.round % 3].submit_round(made)
        if made.round % 5 == 0:
            federation.devnet.kill()
            federation.devnet.restart()
    assert all_settled(ledgers)
    assert all_know(ledgers, 15)


def test_a_chain_that_forgot_is_told_again(start_federation, story):
    """Anvil takes a snapshot and goes back to it: the rewind of an engine that lost its last second."""
    if not any(e == "anvil" for e in _available()):
        pytest.skip("anvil is not installed: run scripts/test once with Node.js")
    federation = start_federation("anvil", peers=2)
    ledgers = federation.ledgers()
    rpc = Rpc(federation.devnet.rpc_url)
    snapshot = rpc.call("evm_snapshot")
    rounds = story.lineage(3)
    for made in rounds:
        ledgers[made.round % 2].submit_round(made)
    assert all_settled(ledgers)
    assert rpc.call("evm_revert", snapshot)
    assert ledgers[0].wait_for(lambda x: x.pending() > 0 or len(x.records()) < 3, 5)
    assert all_settled(ledgers)
    assert all_know(ledgers, 3)
    heard = told(ledgers[0], events.LedgerEvent)
    assert len([e for e in heard if isinstance(e, events.RoundRecorded)]) == 3
    assert len([e for e in heard if isinstance(e, events.Confirmed) and e.key.startswith("round")]) == 1


def _available():
    from peerage_ledger.devnets import engines

    return [e.value for e in engines.Engine if engines.find(e)]


def test_a_round_that_the_contract_will_never_take_is_refused_and_others_go_on(start_federation, story):
    federation = start_federation("embedded", peers=2)
    ledgers = federation.ledgers()
    wrong = replace(story.record(1, None), round=5)
    ledgers[0].submit_round(wrong)
    ledgers[0].submit_round(story.record(1, None))
    assert ledgers[0].settle(10)
    heard = ledgers[0].poll()
    assert ["WrongRound" in e.reason for e in heard if isinstance(e, events.Refused)] == [True]
    assert [e.record for e in heard if isinstance(e, events.RoundRecorded)] == [story.record(1, None)]


def test_another_chain_or_other_code_is_refused_at_the_start(start_federation, tmp_path, story):
    federation = start_federation("embedded", peers=1)
    good = federation.deployment
    for bad, sentence in [
        (replace(good, chain_id=5), "has chain id 31337, this federation needs 5"),
        (replace(good, places={**good.places, "RewardVault": good.registry}), "is not this version's RewardVault"),
        (replace(good, places={**good.places, "RewardVault": b"\x05" * 20}), "no contract at 0x0505"),
        (replace(good, federation=b"\x02" * 32), "RoundLedger at .* belongs to another federation"),
    ]:
        federation.deployment = bad
        federation.folder = tmp_path / sentence[:4]
        with pytest.raises(InputError, match=sentence):
            federation.ledger(0)


def test_a_peer_starts_while_the_chain_is_down(start_federation, story):
    federation = start_federation("embedded", peers=1, revive_seconds=None)
    federation.devnet.kill()
    ledger = federation.ledger(0)
    ledger.register(story.digest("key", 0), "tcp://127.0.0.1:1", ETHER)
    assert isinstance(ledger.poll()[0], events.ChainLost)
    federation.devnet.restart()
    assert ledger.settle(10)
    assert [r.address for r in ledger.registrations()] == [federation.peers[0].address]
