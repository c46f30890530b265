"""Deployments: the same on every engine, written and read whole, refused when anything is off."""

import json
import subprocess
import sys

import pytest

from peerage_crypto.errors import ChainError, InputError
from peerage_crypto.identity import Account
from peerage_ledger import deploy as deploying
from peerage_ledger.blueprint import DeployTerms
from peerage_ledger.contracts import NAMES, BadEncoding, contract, revert_reason
from peerage_ledger.deployment import Deployment
from peerage_ledger.rewards import Rule
from peerage_ledger.rpc import Rpc

ETHER = 10**18


def example():
    hashes = {name: bytes([i]) * 32 for i, name in enumerate(NAMES)}
    places = {name: bytes([i + 1]) * 20 for i, name in enumerate(NAMES)}
    return Deployment(31337, "http://127.0.0.1:1", b"\x01" * 32, places, 1, ETHER, 5, hashes)


@pytest.mark.chain
def test_stakes_pool_and_code_are_there(engine, start_federation):
    federation = start_federation(engine, peers=2)
    rpc, made = Rpc(federation.devnet.rpc_url), federation.deployment
    deploying.verify_code(made, rpc)
    token = contract("PeerageToken")

    def held(who):
        call = {"to": "0x" + made.token.hex(), "data": "0x" + token.call("balanceOf", who).hex()}
        return int(rpc.call("eth_call", call, "latest"), 16)

    assert [held(p.address) for p in federation.peers] == [ETHER, ETHER]
    assert held(made.vault) == made.pool == 1000 * ETHER


@pytest.mark.chain
def test_an_arbiter_that_could_take_honest_stakes_is_refused(start_federation, monkeypatch):
    """The same code with other terms, or with a judge of its own, would slash whoever did everything right."""
    federation = start_federation("embedded", peers=1)
    rpc, terms = Rpc(federation.devnet.rpc_url), DeployTerms(pool=12, planned_rounds=3, cap=2, window=5)
    made, _ = deploying.deploy(rpc.url, federation.operator, b"\1" * 32, terms)
    deploying.verify_code(made, rpc, Rule(12, 3, 2, 5))
    for other in (Rule(11, 3, 2, 5), Rule(12, 4, 2, 5), Rule(12, 3, 3, 5), Rule(12, 3, 2, 6)):
        with pytest.raises(InputError, match="other terms than the settings"):
            deploying.verify_code(made, rpc, other)
    hasty = DeployTerms()
    object.__setattr__(hasty, "unbonding_seconds", hasty.answer_seconds - 1)
    with pytest.raises(InputError, match="frees a stake after 599 s"):
        deploying.deploy(rpc.url, federation.operator, b"\1" * 32, hasty)
    send, runtime = deploying.Deployer.send_all, contract("DrawJudge").runtime
    mine = contract("RoundArbiter").runtime
    piece = next(runtime[i : i + 32] for i in range(200, len(runtime), 32) if runtime[i : i + 32] not in mine)
    changed = bytes([piece[0] ^ 1]) + piece[1:]

    def bribed(deployer, calls):
        return send(deployer, [(what, to, data.replace(piece, changed)) for what, to, data in calls])

    monkeypatch.setattr(deploying.Deployer, "send_all", bribed)
    with pytest.raises(InputError, match="judge of draws"):
        deploying.deploy(rpc.url, federation.operator, b"\1" * 32)


@pytest.mark.chain
def test_an_account_without_funds_is_said(start_federation):
    federation = start_federation("embedded", peers=1)
    poor = Account.from_secret(b"\x55" * 32)
    with pytest.raises(ChainError, match="deploying PeerageToken"):
        deploying.deploy(federation.devnet.rpc_url, poor, b"\1" * 32)


def test_a_deployment_is_written_and_read_whole(tmp_path):
    path = tmp_path / "deployment.json"
    example().write(path)
    assert Deployment.read(path) == example()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.pop("chain_id"), "chain_id"),
        (lambda d: d.update(schema=9), "schema 1"),
        (lambda d: d.update(federation="00"), "32 bytes"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: d["contracts"].pop("RewardVault"), "RewardVault"),
        (lambda d: d["contracts"]["RewardVault"].update(address="0x1234"), "0x1234 is not an address"),
        (lambda d: d["contracts"]["RewardVault"].update(address="0x" + "aB" * 20), "is not an address"),
        (lambda d: d.update(pool="many"), "many"),
    ],
)
def test_anything_but_a_whole_deployment_is_said(tmp_path, change, sentence):
    path = tmp_path / "deployment.json"
    values = json.loads(example().to_json())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=sentence) as caught:
        Deployment.read(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(InputError, match="run `peerage deploy` first"):
        Deployment.read(tmp_path / "none.json")


@pytest.mark.parametrize("name", NAMES)
def test_immutables_do_not_matter_and_every_other_byte_does(name):
    one = contract(name)
    assert one.is_code(one.runtime)
    start, length = one._immutables[0]
    wired = one.runtime[:start] + b"\x09" * length + one.runtime[start + length :]
    assert one.is_code(wired)
    assert not one.is_code(b"\x09" + one.runtime[1:])
    assert not one.is_code(one.runtime[:-1])


def test_calls_and_errors_decode_and_garbage_does_not():
    vault = contract("RewardVault")
    data = vault.call("claim", b"\x07" * 20, 5, [b"\x01" * 32])
    assert vault.decode_call(data).values == {"account": b"\x07" * 20, "cumulative": 5, "proof": (b"\x01" * 32,)}
    for bad in (b"", b"\0\0\0\0", data[:-33]):
        with pytest.raises(BadEncoding):
            vault.decode_call(bad)
    assert revert_reason(bytes.fromhex("ffffffff")) == ("", ())
    assert revert_reason(b"") == ("", ())


@pytest.mark.parametrize("module", ["chain", "devnets.devnet", "deploy", "archive.export", "archive.reader", "memory"])
def test_importing_us_does_not_import_web3_or_the_evm(module):
    code = f"import sys, peerage_ledger.{module}; sys.exit(any(m in sys.modules for m in ('web3', 'eth', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
