import json
from contextlib import suppress
from pathlib import Path

import pytest
import zmq
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st
from zmq.utils import z85

from peerage_crypto import identity
from peerage_crypto.digest import keccak256, sha256
from peerage_crypto.errors import InputError
from peerage_crypto.identity import (
    Account,
    BadSignature,
    CurveKeys,
    decrypt_keystore,
    eip712_digest,
    eip712_domain,
    encrypt_keystore,
    recover,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "identity.json").read_text())
settled = settings(derandomize=True, deadline=None, max_examples=60)
SECRET, QUICK = bytes(range(1, 33)), 1 << 4  # the least scrypt: strength is not what these tests are about
FIELDS = {
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes4": st.binary(min_size=4, max_size=4),
    "address": st.binary(min_size=20, max_size=20),
    "uint8": st.integers(0, 2**8 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "uint256": st.integers(0, 2**256 - 1),
    "bool": st.booleans(),
    "bytes": st.binary(max_size=80),
    "string": st.text(max_size=40),
}


def eth_digest(type_name, kinds, values, domain):
    """The digest as eth-account's encode_typed_data makes it."""
    fields = [{"name": f"f{i}", "type": kind} for i, kind in enumerate(kinds)]
    message = encode_typed_data(
        domain_data=domain,
        message_types={type_name: fields},
        message_data={f"f{i}": value for i, value in enumerate(values)},
    )
    return keccak256(b"\x19" + message.version + message.header + message.body)


@pytest.mark.parametrize("case", VECTORS["accounts"], ids=lambda c: c["source"])
def test_an_account_has_ethereums_address(case):
    assert Account.from_secret(bytes.fromhex(case["secret"])).address.hex() == case["address"]


@pytest.mark.parametrize("case", VECTORS["secrets_refused"], ids=lambda c: c["why"])
def test_what_is_no_secret_is_the_users_error(case):
    with pytest.raises(InputError, match="32 bytes"):
        Account.from_secret(bytes.fromhex(case["secret"]))


def test_a_signature_is_the_standards_own():
    case = VECTORS["signature"]
    account, digest = Account.from_secret(bytes.fromhex(case["secret"])), bytes.fromhex(case["digest"])

    assert account.sign(digest).hex() == case["signature"]
    assert recover(digest, bytes.fromhex(case["signature"])) == account.address


@pytest.mark.parametrize("case", VECTORS["signatures_refused"], ids=lambda c: c["why"])
def test_what_no_signer_makes_is_refused(case):
    with pytest.raises(BadSignature):
        recover(bytes.fromhex(VECTORS["signature"]["digest"]), bytes.fromhex(case["signature"]))


@settled
@given(st.integers(1, identity.ORDER - 1), st.binary(min_size=32, max_size=32), st.integers(0, 64 * 8 - 1))
def test_a_signature_recovers_to_its_signer_and_a_changed_one_to_nobody_we_know(secret, digest, bit):
    account = Account.from_secret(secret.to_bytes(32, "big"))
    signature = account.sign(digest)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8

    assert recover(digest, signature) == account.address
    assert EthAccount._recover_hash(digest, signature=signature) == EthAccount.from_key(account.secret).address
    with suppress(BadSignature):
        assert recover(digest, bytes(changed)) != account.address


def test_the_same_signature_is_recovered_once():
    digest = sha256(b"verified by every peer of a simulation")
    signature = bytes(EthAccount.unsafe_sign_hash(digest, SECRET).signature)  # as if it came from elsewhere
    recover(digest, signature)
    before = identity._recover.cache_info()
    recover(bytearray(digest), memoryview(signature))

    assert identity._recover.cache_info().hits == before.hits + 1


def test_a_digest_of_another_length_is_never_signed_nor_recovered():
    account = Account.from_secret(SECRET)
    with pytest.raises(ValueError, match="32 bytes"):
        account.sign(b"short")
    with pytest.raises(ValueError, match="32 bytes"):
        recover(b"short", account.sign(bytes(32)))


def test_no_repr_shows_a_secret():
    account, curve = Account.from_secret(SECRET), CurveKeys.from_secret(SECRET)

    for shown in (repr(account), repr(curve)):
        assert repr(SECRET)[2:-1] not in shown
        assert "secret" not in shown


def test_the_domain_is_that_of_the_standards_example():
    case = VECTORS["domain"]
    separator = eip712_domain(case["name"], case["version"], case["chain_id"], bytes.fromhex(case["contract"]))

    assert separator.hex() == case["separator"]


def test_a_vote_hashes_as_eth_account_hashes_it():
    case = VECTORS["typed"]
    separator = eip712_domain(case["name"], case["version"], case["chain_id"], bytes.fromhex(case["contract"]))
    values = [bytes.fromhex(value) for value in case["values"]]

    assert eip712_digest(separator, case["type"], values).hex() == case["digest"]


@settled
@given(st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=6), st.data())
def test_any_flat_struct_hashes_as_eth_account_hashes_it(kinds, data):
    values = [data.draw(FIELDS[kind]) for kind in kinds]
    chain_id, contract = data.draw(st.integers(0, 2**64)), data.draw(FIELDS["address"])
    type_string = "Thing(" + ",".join(f"{kind} f{i}" for i, kind in enumerate(kinds)) + ")"
    domain = {"name": "Peerage", "version": "1", "chainId": chain_id, "verifyingContract": "0x" + contract.hex()}

    digest = eip712_digest(eip712_domain("Peerage", "1", chain_id, contract), type_string, values)

    assert digest == eth_digest("Thing", kinds, values, domain)


@pytest.mark.parametrize(
    ("type_string", "values"),
    [
        ("T(bytes32 a)", [bytes(31)]),
        ("T(bytes32 a)", [1]),
        ("T(bytes33 a)", [bytes(33)]),
        ("T(bytes0 a)", [b""]),
        ("T(address a)", [bytes(32)]),
        ("T(uint8 a)", [256]),
        ("T(uint64 a)", [-1]),
        ("T(uint a)", [1]),
        ("T(uint12 a)", [1]),
        ("T(uint264 a)", [1]),
        ("T(bool a)", [2]),
        ("T(string a)", [5]),
        ("T(bytes a)", ["text"]),
        ("T(uint64[] a)", [1]),
        ("T(Other a)", [bytes(32)]),
        ("T(bytes32 a,bytes32 b)", [bytes(32)]),
        ("T(bytes32 a)", [bytes(32), bytes(32)]),
        ("T(bytes32)", [bytes(32)]),
        ("T(bytes32 a, bytes32 b)", [bytes(32), bytes(32)]),
        ("T(bytes32 a", [bytes(32)]),
        ("(bytes32 a)", [bytes(32)]),
        ("T", []),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_refused(type_string, values):
    with pytest.raises(ValueError):
        eip712_digest(bytes(32), type_string, values)


def test_a_separator_of_another_length_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        eip712_digest(bytes(31), "T()", [])


@pytest.mark.parametrize("keystore", VECTORS["keystores"]["files"], ids=["pbkdf2", "scrypt"])
def test_keystores_of_the_definition_open(keystore):
    secret = decrypt_keystore(keystore, VECTORS["keystores"]["password"])

    assert secret.hex() == VECTORS["keystores"]["secret"]


def test_our_keystore_opens_elsewhere_and_theirs_here():
    ours, theirs = encrypt_keystore(SECRET, "pässword", n=QUICK), EthAccount.encrypt(SECRET, "pässword", iterations=2)

    assert EthAccount.decrypt(json.loads(json.dumps(ours)), "pässword") == SECRET
    assert decrypt_keystore(ours, "pässword") == decrypt_keystore(theirs, "pässword") == SECRET


def test_a_keystore_is_salted_by_the_system_unless_a_test_says_otherwise():
    assert encrypt_keystore(SECRET, "p", n=QUICK) != encrypt_keystore(SECRET, "p", n=QUICK)
    assert encrypt_keystore(SECRET, "p", n=QUICK, rand=bytes(64)) == encrypt_keystore(
        SECRET, "p", n=QUICK, rand=bytes(64)
    )


def test_a_wrong_password_is_said_in_one_sentence():
    with pytest.raises(InputError, match="the password does not open the keystore"):
        decrypt_keystore(encrypt_keystore(SECRET, "right", n=QUICK), "wrong")


def spoilt(**crypto):
    keystore = encrypt_keystore(SECRET, "p", n=QUICK, rand=bytes(64))
    return {**keystore, "crypto": {**keystore["crypto"], **crypto}}


def costly(**params):
    return spoilt(kdfparams={"dklen": 32, "n": 16, "r": 8, "p": 1, "salt": "00", **params})


@pytest.mark.parametrize(
    "keystore",
    [
        {},
        {"version": 3, "crypto": "text"},
        {**spoilt(), "version": 1},
        spoilt(cipher="aes-256-cbc"),
        spoilt(cipherparams={"iv": "00"}),
        spoilt(ciphertext="no hex"),
        spoilt(mac="00"),
        spoilt(kdf="argon2"),
        spoilt(kdfparams=None),
        costly(n=15),
        costly(n=0),
        costly(n="16"),
        costly(n=True),
        costly(n=1 << 40),
        costly(r=1 << 30),
        costly(p=1 << 20),
        costly(dklen=64),
        spoilt(kdf="pbkdf2", kdfparams={"dklen": 32, "c": 10**12, "prf": "hmac-sha256", "salt": "00"}),
        spoilt(kdf="pbkdf2", kdfparams={"dklen": 32, "c": 1, "prf": "hmac-md5", "salt": "00"}),
    ],
)
def test_a_malformed_or_ruinously_costly_keystore_is_refused(keystore):
    with pytest.raises(InputError, match="malformed"):
        decrypt_keystore(keystore, "p")


def test_a_changed_ciphertext_does_not_open():
    with pytest.raises(InputError, match="does not open"):
        decrypt_keystore(spoilt(ciphertext="00" * 32), "p")


@pytest.mark.parametrize(("secret", "rand"), [(b"short", bytes(64)), (SECRET, bytes(63))])
def test_a_keystore_takes_whole_secrets_and_whole_randomness(secret, rand):
    with pytest.raises(ValueError, match="64 random bytes"):
        encrypt_keystore(secret, "p", n=QUICK, rand=rand)


def test_curve_keys_are_those_of_libzmq():
    public, secret = (z85.decode(key) for key in zmq.curve_keypair())

    assert CurveKeys.from_secret(secret).public == public
    with pytest.raises(InputError, match="31"):
        CurveKeys.from_secret(bytes(31))
