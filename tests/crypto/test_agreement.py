import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage_crypto.agreement import BadKey, BadSeal, SessionKeys, derive, seal, shared, unseal

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "agreement.json").read_text())
settled = settings(derandomize=True, deadline=None, max_examples=60)
secrets = st.binary(min_size=32, max_size=32)


def hexed(case, *names):
    return tuple(bytes.fromhex(case[name]) for name in names)


def test_x25519_agrees_as_in_its_rfc():
    case = VECTORS["x25519"]
    alice, bob = (SessionKeys.from_secret(bytes.fromhex(case[f"{who}_secret"])) for who in ("alice", "bob"))

    assert (alice.public.hex(), bob.public.hex()) == (case["alice_public"], case["bob_public"])
    assert shared(alice.secret, bob.public).hex() == shared(bob.secret, alice.public).hex() == case["shared"]


@pytest.mark.parametrize("case", VECTORS["publics_refused"], ids=lambda c: c["why"])
def test_a_public_key_that_gives_no_secret_is_refused(case):
    with pytest.raises(BadKey):
        shared(bytes(range(32)), bytes.fromhex(case["public"]))


@settled
@given(secrets, secrets)
def test_both_sides_agree_and_never_refuse_an_honest_key(one, other):
    mine, theirs = SessionKeys.from_secret(one), SessionKeys.from_secret(other)

    assert shared(mine.secret, theirs.public) == shared(theirs.secret, mine.public)


def test_a_session_secret_has_32_bytes_and_stays_out_of_the_repr():
    with pytest.raises(ValueError):
        SessionKeys.from_secret(bytes(31))
    assert "secret" not in repr(SessionKeys.from_secret(bytes(range(32))))


@pytest.mark.parametrize("case", VECTORS["hkdf"], ids=lambda c: c["source"])
def test_hkdf_derives_as_in_its_rfc(case):
    assert derive(*hexed(case, "ikm", "salt", "info"), case["length"]).hex() == case["okm"]


def test_another_salt_or_purpose_is_another_key():
    keys = {derive(b"ikm", salt, info) for salt in (b"", b"sid") for info in (b"", b"shares", b"pair")}

    assert len(keys) == 6
    assert {len(key) for key in keys} == {32}


@pytest.mark.parametrize("case", [*VECTORS["gcm"], VECTORS["seal"]], ids=["test case 13", "test case 14", "ours"])
def test_packets_are_sealed_by_the_standard(case):
    key, nonce, aad, plaintext, sealed = hexed(case, "key", "nonce", "aad", "plaintext", "sealed")

    assert seal(key, nonce, plaintext, aad) == sealed
    assert unseal(key, nonce, sealed, aad) == plaintext


@pytest.mark.parametrize("case", VECTORS["seals_refused"], ids=lambda c: c["why"])
def test_a_packet_that_was_touched_does_not_open(case):
    with pytest.raises(BadSeal):
        unseal(*hexed(case, "key", "nonce", "sealed", "aad"))


@settled
@given(secrets, st.binary(max_size=120), st.binary(max_size=40), st.data())
def test_no_bit_of_a_packet_can_change(key, plaintext, aad, data):
    sealed = bytearray(seal(key, bytes(12), plaintext, aad))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    assert unseal(key, bytes(12), bytes(sealed), aad) == plaintext

    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadSeal):
        unseal(key, bytes(12), bytes(sealed), aad)


@pytest.mark.parametrize(("key", "nonce"), [(bytes(16), bytes(12)), (bytes(32), bytes(11)), (bytes(32), b"")])
def test_weaker_keys_and_other_nonces_are_our_own_mistake(key, nonce):
    for call in (seal, unseal):
        with pytest.raises(ValueError, match="AES-256-GCM") as caught:
            call(key, nonce, bytes(32), b"")
        assert not isinstance(caught.value, BadSeal)
