import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from eth_abi import encode
from eth_account.messages import encode_typed_data
from eth_utils import keccak

import peerage_ledger
from peerage_crypto.digest import sha256
from peerage_ledger.records import RewardRoot, RoundRecord

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "records.json").read_text())
ABI = json.loads((Path(peerage_ledger.__file__).parent / "abi" / "RoundLedger.json").read_text())["abi"]
VAULT_ABI = json.loads((Path(peerage_ledger.__file__).parent / "abi" / "RewardVault.json").read_text())["abi"]


def from_hex(value):
    if isinstance(value, str):
        return bytes.fromhex(value)
    return tuple(from_hex(v) for v in value) if isinstance(value, list) else value


def record_of(case):
    return RoundRecord(**{name: from_hex(value) for name, value in case["fields"].items()})


def solidity_struct():
    """The struct that the compiled contract takes, as (name, type) of its members."""
    (entry,) = [e for e in ABI if e.get("name") == "recordRound"]
    return [(c["name"], c["type"]) for c in entry["inputs"][0]["components"]]


@pytest.mark.parametrize("case", VECTORS["records"], ids=lambda c: c["why"])
def test_a_record_has_the_name_that_the_contract_gives_it(case):
    record = record_of(case)
    tuple_type = "(" + ",".join(kind for _, kind in solidity_struct()) + ")"
    by_solidity = keccak(encode([tuple_type], [record.as_tuple()]))

    assert record.record_hash().hex() == case["hash"] == by_solidity.hex()


def test_the_fields_stand_in_the_order_of_the_contracts_struct():
    def camel(name):
        first, *rest = name.split("_")
        return first + "".join(part.title() for part in rest)

    assert [camel(f.name) for f in fields(RoundRecord)] == [name for name, _ in solidity_struct()]


@pytest.mark.parametrize("field", [f.name for f in fields(RoundRecord)])
def test_no_field_can_change_without_changing_the_name(field):
    record = record_of(VECTORS["records"][1])
    value = getattr(record, field)
    other = {int: lambda v: v + 1, bytes: sha256, tuple: lambda v: v[:1]}[type(value)](value)
    shorter = (
        {"parents": value[:1], "parent_rounds": value[:1]}.get(field, other) if isinstance(value, tuple) else other
    )

    assert replace(record, **{field: shorter}).record_hash() != record.record_hash()


@pytest.mark.parametrize("case", VECTORS["reward_roots"], ids=lambda c: c["why"])
def test_a_reward_root_has_the_digest_that_any_wallet_gives_it(case):
    root = RewardRoot(**{name: from_hex(v) if name != "total" else int(v) for name, v in case["fields"].items()})
    data = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "RewardRoot": [
                {"name": "epoch", "type": "uint64"},
                {"name": "root", "type": "bytes32"},
                {"name": "total", "type": "uint256"},
                {"name": "emissionRoot", "type": "bytes32"},
                {"name": "steps", "type": "bytes32"},
            ],
        },
        "primaryType": "RewardRoot",
        "domain": {
            "name": "PeerageVault",
            "version": "1",
            "chainId": case["chain_id"],
            "verifyingContract": "0x" + case["vault"],
        },
        "message": {
            "epoch": root.epoch,
            "root": root.root,
            "total": root.total,
            "emissionRoot": root.emission_root,
            "steps": root.steps,
        },
    }
    signable = encode_typed_data(full_message=data)
    by_wallet = keccak(b"\x19" + signable.version + signable.header + signable.body)

    assert root.digest(case["chain_id"], bytes.fromhex(case["vault"])).hex() == case["digest"] == by_wallet.hex()


def test_publish_takes_what_a_reward_root_holds():
    (entry,) = [e for e in VAULT_ABI if e.get("name") == "publish"]

    assert [i["type"] for i in entry["inputs"]] == [
        *["uint64", "bytes32", "uint256", "bytes32"],
        *["bytes32[]", "bytes32[]", "bytes"],
    ]
