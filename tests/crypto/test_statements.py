import json
from pathlib import Path

import msgspec
import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from cohort import DOMAIN, account
from peerage_crypto import statements
from peerage_crypto.identity import BadSignature
from peerage_crypto.statements import TYPE_STRINGS, MaskedUpdate, Signed, Vote, session_id, sign, signing_domain

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "statements.json").read_text())
FEDERATION = VECTORS["federation"]


def domain_of_the_vectors():
    return signing_domain(FEDERATION["chain_id"], bytes.fromhex(FEDERATION["round_ledger"]))


def statement_of(case):
    kind = getattr(statements, case["type"])
    fields = [bytes.fromhex(v) if isinstance(v, str) else v for v in case["values"]]
    return kind(*fields)


def typed_data(case):
    """The same statement as wallets read it."""
    name, _, fields = TYPE_STRINGS[case["type"]].rstrip(")").partition("(")
    members = [dict(zip(("type", "name"), f.split(" "), strict=True)) for f in fields.split(",")]
    domain = {"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address"}
    return {
        "types": {"EIP712Domain": [{"name": n, "type": t} for n, t in domain.items()], name: members},
        "primaryType": name,
        "domain": {
            "name": "Peerage",
            "version": "1",
            "chainId": FEDERATION["chain_id"],
            "verifyingContract": "0x" + FEDERATION["round_ledger"],
        },
        "message": {
            m["name"]: "0x" + v if isinstance(v, str) else v for m, v in zip(members, case["values"], strict=True)
        },
    }


@pytest.mark.parametrize("case", VECTORS["statements"], ids=lambda c: c["type"])
def test_a_statement_has_the_digest_that_any_wallet_gives_it(case):
    ours = statement_of(case).digest(domain_of_the_vectors())
    signable = encode_typed_data(full_message=typed_data(case))

    assert ours.hex() == case["digest"] == keccak(b"\x19" + signable.version + signable.header + signable.body).hex()


@pytest.mark.parametrize("case", VECTORS["statements"], ids=lambda c: c["type"])
def test_a_wallet_signs_what_we_sign(case):
    secret = bytes.fromhex(VECTORS["secret"])
    wallet = EthAccount.sign_message(encode_typed_data(full_message=typed_data(case)), secret)

    assert wallet.signature.hex() == case["signature"]
    assert Signed(statement_of(case), bytes.fromhex(case["signature"])).signer(domain_of_the_vectors()) == (
        bytes.fromhex(VECTORS["address"])
    )


def test_every_statement_has_a_vector():
    assert [c["type"] for c in VECTORS["statements"]] == list(TYPE_STRINGS)


def test_a_statement_means_nothing_in_another_federation():
    signed = sign(Vote(bytes(32), bytes(32)), account("a"), DOMAIN)

    assert signed.is_by(account("a").address, DOMAIN)
    assert not signed.is_by(account("a").address, signing_domain(31337, b"\x23" * 20))
    assert not signed.is_by(account("a").address, signing_domain(1, b"\x22" * 20))


@pytest.mark.parametrize(
    "signature", [bytes(65), b"\xff" * 65, bytes(64), b"\x01" * 64 + b"\x02"], ids=["zero", "ones", "short", "bad v"]
)
def test_no_signature_is_by_nobody(signature):
    signed = Signed(Vote(bytes(32), bytes(32)), signature)

    assert not signed.is_by(account("a").address, DOMAIN)
    with pytest.raises(BadSignature):
        signed.signer(DOMAIN)


@pytest.mark.parametrize("field", ["bucket", "length"])
def test_a_number_too_large_for_its_type_is_refused_at_the_door_and_signed_by_nobody(field):
    fields = dict.fromkeys(("sid", "u2", "masked_root", "artefact", "rand"), bytes(32))
    update = MaskedUpdate(**fields, **{"bucket": 0, "length": 4, field: 1 << 40})
    signed = Signed(update, account("a").sign(bytes(32)))

    assert not signed.is_by(account("a").address, DOMAIN)
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(signed), type=Signed[MaskedUpdate])


def test_a_session_is_named_after_everything_it_depends_on():
    parts = {k: bytes.fromhex(v) if isinstance(v, str) else v for k, v in VECTORS["session_id"]["parts"].items()}
    others = {
        name: (value + 1 if isinstance(value, int) else bytes([value[0] ^ 1]) + value[1:])
        for name, value in parts.items()
    }

    assert session_id(**parts).hex() == VECTORS["session_id"]["sid"]
    assert len({session_id(**(parts | {name: other})) for name, other in others.items()} | {session_id(**parts)}) == 8
