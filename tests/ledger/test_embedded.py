"""The embedded EVM: it replays to the same blocks, finds logs fast, takes many callers, and starts in no time."""

import concurrent.futures
import json

import pytest

from peerage_crypto.errors import InputError
from peerage_crypto.identity import Account
from peerage_ledger import rawtx
from peerage_ledger.contracts import contract
from peerage_ledger.devnets import devnet
from peerage_ledger.devnets.embedded import Door
from peerage_ledger.devnets.evm import EmbeddedChain, Refused
from peerage_ledger.devnets.evm_genesis import write_genesis
from peerage_ledger.devnets.evm_log import open_chain
from peerage_ledger.devnets.evm_rpc import Methods
from peerage_ledger.rpc import Rpc

ME = Account.from_secret(b"\x07" * 32)
YOU = b"\x22" * 20


def transaction(nonce, to=YOU, data=b"", chain_id=31337, gas=2_000_000, who=ME):
    return rawtx.sign(
        who, chain_id=chain_id, nonce=nonce, to=to, data=data, gas=gas, max_fee=10**10, priority_fee=10**9
    )


def chain():
    return EmbeddedChain(31337, 1_000, {ME.address: 10**20})


def ask(door, method, *parameters):
    return json.loads(door.answer(json.dumps({"id": 1, "method": method, "params": parameters}).encode()))


def test_replay_gives_the_same_blocks_at_the_same_times(tmp_path):
    write_genesis(tmp_path, 31337, {ME.address: 10**20})
    first, log = open_chain(tmp_path, 31337)
    clock = iter([5_000_000_000.0, 5_000_000_000.0, 5_000_000_100.0])
    methods = Methods(first, log, lambda: next(clock))
    for nonce in range(3):
        methods.answer("eth_sendRawTransaction", ["0x" + transaction(nonce).hex()])
    log.close()
    again, log = open_chain(tmp_path, 31337)
    log.close()
    assert [b.header.hash for b in again.blocks] == [b.header.hash for b in first.blocks]
    assert [b.header.timestamp for b in again.blocks][1:] == [5_000_000_000, 5_000_000_001, 5_000_000_100]


def test_a_torn_last_line_is_cut_and_a_broken_one_is_said(tmp_path):
    write_genesis(tmp_path, 31337, {ME.address: 10**20})
    first, log = open_chain(tmp_path, 31337)
    Methods(first, log).answer("eth_sendRawTransaction", ["0x" + transaction(0).hex()])
    log.close()
    path = tmp_path / "transactions.jsonl"
    path.write_bytes(path.read_bytes() + b'{"timestamp":17')
    again, log = open_chain(tmp_path, 31337)
    assert again.head.number == 1
    log.close()
    path.write_bytes(b"nonsense\n" + path.read_bytes())
    with pytest.raises(InputError, match="line 1"):
        open_chain(tmp_path, 31337)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (transaction(1), "nonce too high"),
        (transaction(0, chain_id=1), "invalid chain id"),
        (transaction(0, gas=31_000_000), "exceeds block gas limit"),
        (transaction(0, who=Account.from_secret(b"\x09" * 32)), "balance|funds"),
        (transaction(0, gas=20_000), "gas"),
        (b"\x02\xc0", "cannot decode"),
        (b"", "cannot decode"),
    ],
)
def test_what_a_chain_does_not_take(raw, reason):
    one = chain()
    with pytest.raises(Refused, match=reason):
        one.mine(raw, 2_000)
    assert one.head.number == 0
    one.mine(transaction(0), 2_000)
    with pytest.raises(Refused, match="already known"):
        one.mine(transaction(0), 2_001)


def test_logs_are_found_by_block_address_and_topic():
    one = chain()
    token = contract("PeerageToken")
    at = one.mine(transaction(0, None, token.creation(ME.address, 1000)), 2_000).created
    for nonce in range(1, 4):
        one.mine(transaction(nonce, at, token.call("transfer", bytes([nonce]) * 20, nonce)), 2_000 + nonce)
    transfer = frozenset({token.topic("Transfer")})
    everything = list(one.logs(0, 9, frozenset(), []))
    assert [log.block for log in everything] == [1, 2, 3, 4]
    assert [log.block for log in one.logs(2, 3, frozenset({at}), [transfer])] == [2, 3]
    to_two = frozenset({(b"\x02" * 20).rjust(32, b"\0")})
    assert [log.block for log in one.logs(0, 9, frozenset(), [transfer, None, to_two])] == [3]
    assert not list(one.logs(0, 9, frozenset({YOU}), []))


def test_calls_reverts_and_estimates():
    one = chain()
    token = contract("PeerageToken")
    at = one.mine(transaction(0, None, token.creation(ME.address, 1000)), 2_000).created
    assert token.result("balanceOf", one.call(YOU, at, token.call("balanceOf", ME.address))) == (1000,)
    door = Door(Methods(one, None))
    call = {"from": "0x" + YOU.hex(), "to": "0x" + at.hex(), "data": "0x" + token.call("transfer", YOU, 1).hex()}
    error = ask(door, "eth_call", call, "latest")["error"]
    assert error["code"] == 3
    assert error["data"].startswith("0xe450d38c")  # ERC20InsufficientBalance
    gas = one.estimate(ME.address, at, token.call("transfer", YOU, 1))
    mined = one.mine(transaction(1, at, token.call("transfer", YOU, 1), gas=gas), 2_001)
    assert mined.status == 1
    assert mined.gas_used <= gas < mined.gas_used * 1.1
    before = token.call("balanceOf", YOU)
    assert token.result("balanceOf", one.call(YOU, at, before, number=1)) == (0,)
    assert token.result("balanceOf", one.call(YOU, at, before)) == (1,)


@pytest.mark.parametrize(
    "body",
    [b"{", b"[" * 100_000, b"[]", b"3", b'{"id":1}', b'{"id":1,"method":"eth_call","params":{}}', b"[1,2]", b'"x"'],
)
def test_garbage_is_answered_with_an_error(body):
    told = json.loads(Door(Methods(chain(), None)).answer(body))
    assert all("error" in one for one in (told if isinstance(told, list) else [told]))


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("eth_getBalance", [5]),
        ("eth_getBalance", []),
        ("eth_getBalance", ["0xzz"]),
        ("eth_getCode", ["0x" + "00" * 20, "0x99"]),
        ("eth_getBlockByNumber", ["soon"]),
        ("eth_sendRawTransaction", ["0x"]),
        ("no_such", []),
    ],
)
def test_wrong_parameters_are_answered_with_an_error(method, parameters):
    assert "error" in ask(Door(Methods(chain(), None)), method, *parameters)


@pytest.mark.chain
def test_many_callers_lose_nothing(tmp_path):
    people = [Account.from_secret(bytes([i + 1]) * 32) for i in range(12)]
    with devnet.start("embedded", tmp_path, accounts={p.address: 10**20 for p in people}) as node:
        rpc = Rpc(node.rpc_url)

        def spend(who):
            for nonce in range(10):
                rpc.call("eth_sendRawTransaction", "0x" + transaction(nonce, who=who, gas=30_000).hex())

        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            list(pool.map(spend, people))
        assert int(rpc.call("eth_blockNumber"), 16) == 120


def test_a_call_sees_the_time_that_the_next_block_may_have():
    """A chain whose time was moved on (evm_increaseTime) answers calls in that time, not in the machine's."""
    evm, says_the_time = chain(), bytes.fromhex("66425f5260205ff35f5260076019f3")
    made = evm.mine(transaction(0, None, says_the_time), 2_000)
    evm.mine(None, later := 4_000_000_000)
    place = made.created
    assert int.from_bytes(evm.call(ME.address, place, b""), "big") == later + 1
