"""The ledger client on bad days: reorgs, nodes that lag or limit, dear gas, a chain that is empty, two federations."""

import json
import sys
from pathlib import Path

import pytest

from peerage_ledger import events, rawtx
from peerage_ledger.blueprint import DeployTerms
from peerage_ledger.chain import ChainLedger
from peerage_ledger.deploy import deploy
from peerage_ledger.fees import GWEI
from peerage_ledger.listener import BEHIND_SECONDS
from peerage_ledger.rpc import Rpc

sys.path.insert(0, str(Path(__file__).parent))
from weather import Weather

pytestmark = pytest.mark.chain
ETHER = 10**18


def told(ledger, kind):
    return [event for event in ledger.poll() if isinstance(event, kind)]


def all_know(ledgers, count, seconds=20):
    return all(one.wait_for(lambda x: len(x.records()) == count, seconds) for one in ledgers)


@pytest.fixture
def weather():
    made = []

    def make(url):
        made.append(Weather(url))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def through(start_federation, weather):
    """A federation on an engine, its weather, and a ledger of its first peer that sees the chain through it."""

    def make(engine="embedded", **change):
        federation = start_federation(engine, peers=2)
        sky = weather(federation.devnet.rpc_url)
        for name, value in change.items():
            setattr(sky, name, value)
        return federation, sky

    return make


def test_a_node_without_batches_serves(through, story):
    federation, sky = through(batches=False)
    ledger = federation.ledger(0, rpc_url=sky.url)
    ledger.register(story.digest("key"), "tcp://127.0.0.1:5000", ETHER)
    ledger.submit_round(story.record(1, None))
    assert ledger.settle(20)
    assert all_know([ledger], 1)


def test_a_node_that_limits_ranges_is_asked_for_smaller_ones(through, story):
    federation, sky = through(most_blocks=3)
    direct = federation.ledger(0)
    direct.register(story.digest("key"), "tcp://127.0.0.1:5000", ETHER)
    rounds = story.lineage(9)
    for made in rounds:
        direct.submit_round(made)
    assert direct.settle(30)
    late = federation.ledger(1, rpc_url=sky.url)
    assert all_know([late], 9)
    assert [event.record for event in told(late, events.RoundRecorded)] == rounds
    read = [(first, last) for first, last in sky.ranges() if last - first < 3]
    assert read == sorted(read)
    assert all(first == before[1] + 1 for before, first in zip(read, (r[0] for r in read[1:]), strict=False))


def test_a_node_that_asks_for_patience_gets_it_and_nothing_is_lost(through, story):
    federation, sky = through()
    ledger = federation.ledger(0, rpc_url=sky.url)
    ledger.register(story.digest("key"), "tcp://127.0.0.1:5000", ETHER)
    assert ledger.settle(20)
    sky.busy = 4
    ledger.submit_round(story.record(1, None))
    assert ledger.settle(30)
    assert sky.busy == 0
    heard = ledger.poll()
    assert ["HTTP 429" in e.reason for e in heard if isinstance(e, events.ChainLost)] == [True]
    assert [e.rewound for e in heard if isinstance(e, events.ChainBack)] == [False]


def test_a_node_that_is_behind_for_a_moment_is_no_reorg(through, story):
    federation, sky = through()
    ledger, direct = federation.ledger(0, rpc_url=sky.url), federation.ledger(1)
    direct.register(story.digest("key"), "tcp://127.0.0.1:5000", ETHER)
    direct.submit_round(story.record(1, None))
    assert direct.settle(20)
    assert all_know([ledger], 1)
    sky.lag = 2
    assert not ledger.wait_for(lambda x: not x.records(), BEHIND_SECONDS / 4)
    sky.lag = 0
    direct.submit_round(story.record(2, story.record(1, None)))
    assert direct.settle(20)
    assert all_know([ledger], 2)
    heard = ledger.poll()
    assert not [e for e in heard if isinstance(e, events.ChainBack)]
    assert [e.record.round for e in heard if isinstance(e, events.RoundRecorded)] == [1, 2]


def test_a_node_that_stays_behind_is_believed_and_then_forgiven(through, story):
    federation, sky = through()
    ledger, direct = federation.ledger(0, rpc_url=sky.url), federation.ledger(1)
    direct.register(story.digest("key"), "tcp://127.0.0.1:5000", ETHER)
    direct.submit_round(story.record(1, None))
    assert direct.settle(20)
    assert all_know([ledger], 1)
    sky.lag = 2
    assert ledger.wait_for(lambda x: not x.records(), 20)
    sky.lag = 0
    assert all_know([ledger], 1)
    assert len(told(ledger, events.RoundRecorded)) == 1  # once, whatever the node did


def test_a_restarted_peer_reads_only_what_is_new_and_tells_everything(through, story):
    federation, sky = through()
    ledger = federation.ledger(0, rpc_url=sky.url)
    ledger.register(story.digest("key"), "tcp://127.0.0.1:5000", ETHER)
    rounds = story.lineage(4)
    for made in rounds[:3]:
        ledger.submit_round(made)
    assert ledger.settle(20)
    assert all_know([ledger], 3)
    read = max(last for _, last in sky.ranges())
    ledger.close()
    sky.asked.clear()
    again = federation.ledger(0, rpc_url=sky.url)
    assert len(again.records()) == 3
    again.submit_round(rounds[3])
    assert again.settle(20)
    assert all_know([again], 4)
    assert min(first for first, _ in sky.ranges()) > read - 1
    assert [e.record for e in told(again, events.RoundRecorded)] == rounds


@pytest.fixture
def anvil(start_federation):
    from peerage_ledger.devnets import engines

    if engines.find(engines.Engine.ANVIL) is None:
        pytest.skip("anvil is not installed: run scripts/test once with Node.js")

    def make(**options):
        federation = start_federation("anvil", **options)
        return federation, Rpc(federation.devnet.rpc_url)

    return make


def test_a_reorg_of_a_few_blocks_loses_no_record(anvil, story):
    federation, rpc = anvil(peers=2)
    ledgers = federation.ledgers()
    rounds = story.lineage(6)
    for made in rounds[:5]:
        ledgers[made.round % 2].submit_round(made)
    assert all(one.settle(20) for one in ledgers)
    assert all_know(ledgers, 5)
    rpc.call("anvil_reorg", 3, [])  # the last three blocks are replaced by empty ones
    assert ledgers[0].wait_for(lambda x: x.pending() > 0 or len(x.records()) < 5, 10)
    ledgers[0].submit_round(rounds[5])
    assert all(one.settle(30) for one in ledgers)
    assert all_know(ledgers, 6)
    for one in ledgers:
        heard = one.poll()
        assert [e.rewound for e in heard if isinstance(e, events.ChainBack)] == [True]
        assert sorted(e.record.round for e in heard if isinstance(e, events.RoundRecorded)) == [1, 2, 3, 4, 5, 6]
    assert len(ledgers[0].registrations()) == 2


def test_a_spike_of_fees_is_outbid_under_the_same_nonce(anvil, story):
    federation, rpc = anvil(peers=1)
    (ledger,) = federation.ledgers()
    rpc.call("evm_setAutomine", False)
    ledger.submit_round(story.record(1, None))
    assert ledger.wait_for(lambda _: rpc.call("txpool_status")["pending"] != "0x0", 10)
    rpc.call("anvil_setNextBlockBaseFeePerGas", hex(100 * GWEI))
    rpc.call("evm_mine")
    assert ledger.pending() == 1  # it offered too little
    assert ledger.wait_for(lambda x: len([e for e in x._events if isinstance(e, events.Submitted)]) == 3, 10)
    rpc.call("evm_mine")
    assert ledger.settle(10)
    sent = told(ledger, events.Submitted)[-2:]
    pair = [rawtx.decode(attempt(federation, event.transaction)) for event in sent]
    assert pair[0].nonce == pair[1].nonce
    assert (pair[0].to, pair[0].data) == (pair[1].to, pair[1].data)
    assert pair[1].max_fee >= pair[0].max_fee * 9 // 8
    assert len(ledger.records()) == 1


def attempt(federation, name):
    lines = map(json.loads, (federation.folder / "outbox-0.jsonl").read_text().splitlines())
    raws = [bytes.fromhex(line["raw"]) for line in lines if line["type"] == "signed"]
    return next(raw for raw in raws if rawtx.transaction_hash(raw) == name)


def test_gas_above_the_limit_is_waited_out(anvil, story):
    federation, rpc = anvil(peers=1)
    (first,) = federation.ledgers()
    first.close()
    ledger = federation.ledger(0, most_fee=50 * GWEI)
    rpc.call("anvil_setNextBlockBaseFeePerGas", hex(60 * GWEI))
    rpc.call("evm_mine")
    ledger.submit_round(story.record(1, None))
    assert ledger.wait_for(lambda x: any(isinstance(e, events.Delayed) for e in x._events), 10)
    assert [e.reason for e in told(ledger, events.Delayed)] == [
        "gas costs 60.0 gwei now, more than the 50.0 gwei that were allowed"
    ]
    rpc.call("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    rpc.call("evm_mine")
    assert ledger.settle(20)


def test_a_chain_that_was_reset_is_said_in_one_sentence(anvil, story):
    federation, rpc = anvil(peers=1)
    (ledger,) = federation.ledgers()
    rpc.call("anvil_reset")
    assert ledger.wait_for(lambda x: any(isinstance(e, events.ChainLost) for e in x._events), 20)
    (lost,) = told(ledger, events.ChainLost)
    assert "has lost this federation's contracts, so the chain was reset" in lost.reason


def test_two_federations_of_the_same_accounts_share_a_chain(start_federation, tmp_path, story):
    one = start_federation("embedded", peers=2)
    stakes = {peer.address: ETHER for peer in one.peers}
    other, _ = deploy(one.devnet.rpc_url, one.operator, b"\x02" * 32, DeployTerms(pool=1000 * ETHER), peers=stakes)
    here = one.ledgers()
    there = [ChainLedger(other, peer, tmp_path / f"other-{i}.jsonl") for i, peer in enumerate(one.peers)]
    try:
        for i, ledger in enumerate(there):
            ledger.register(story.digest("there", i), f"tcp://127.0.0.1:{6000 + i}", ETHER)
        for made in story.lineage(4):
            here[made.round % 2].submit_round(made)
        assert all(ledger.settle(30) for ledger in [*here, *there])
        assert all_know(here, 4)
        assert all_know(there, 0)
        assert all(ledger.wait_for(lambda x: len(x.registrations()) == 2, 20) for ledger in there)
        assert {r.endpoint for r in there[0].registrations()} == {"tcp://127.0.0.1:6000", "tcp://127.0.0.1:6001"}
    finally:
        for ledger in there:
            ledger.close()


def test_the_limit_of_fees_says_what_it_is():
    from peerage_ledger.fees import TooDear, fees, outbid

    assert fees({"baseFeePerGas": hex(GWEI)}) == (5 * GWEI, GWEI)
    assert fees({"baseFeePerGas": hex(10 * GWEI)}, 30 * GWEI) == (30 * GWEI, GWEI)
    with pytest.raises(TooDear):
        fees({"baseFeePerGas": hex(30 * GWEI)}, 30 * GWEI)
    assert outbid(5 * GWEI, GWEI, {"baseFeePerGas": hex(4 * GWEI)}) is None
    fee, tip = outbid(5 * GWEI, GWEI, {"baseFeePerGas": hex(5 * GWEI)})
    assert fee >= 5 * GWEI * 9 // 8
    assert tip >= GWEI * 9 // 8
    assert outbid(30 * GWEI, GWEI, {"baseFeePerGas": hex(29 * GWEI + 1)}, 31 * GWEI) is None
