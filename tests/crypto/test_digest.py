import json
from pathlib import Path

import pytest
from eth_abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage_crypto.digest import (
    EMPTY_ROOT,
    address_root,
    chunks,
    claim_leaf,
    claim_proof,
    claim_root,
    keccak256,
    merkle_proof,
    merkle_proofs,
    merkle_root,
    merkle_verify,
    sha256,
    tagged,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "digest.json").read_text())
MERKLE = VECTORS["merkle"]
LEAVES = [bytes.fromhex(leaf) for leaf in MERKLE["leaves"]]
settled = settings(derandomize=True, deadline=None, max_examples=80)
leaf_lists = st.lists(st.binary(max_size=40), min_size=1, max_size=40)
totals_of = st.dictionaries(st.binary(min_size=20, max_size=20), st.integers(0, 2**256 - 1), min_size=1, max_size=30)


def process_proof(proof, leaf):
    """OpenZeppelin's MerkleProof.processProof, written from its documentation."""
    for sibling in proof:
        leaf = keccak256(min(leaf, sibling) + max(leaf, sibling))
    return leaf


@pytest.mark.parametrize("case", VECTORS["keccak256"], ids=lambda c: c["source"])
def test_keccak256_is_ethereums_not_sha3(case):
    assert keccak256(bytes.fromhex(case["data"])).hex() == case["hash"]


def test_tagged_hashes_keep_their_format():
    (case,) = VECTORS["tagged"]
    parts = [bytes.fromhex(part) for part in case["parts"]]

    assert tagged(case["tag"], *parts).hex() == case["hash"]
    assert tagged("t", memoryview(b"ab")) == tagged("t", bytearray(b"ab")) == tagged("t", b"ab")


@settled
@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_two_lists_of_parts_share_a_tagged_hash_only_if_equal(one, other):
    assert (tagged("t", *one) == tagged("t", *other)) == (one == other)


def test_sha256_runs_its_parts_together():
    assert sha256(b"a", b"bc") == sha256(b"abc") != tagged("", b"abc")


@pytest.mark.parametrize("count", range(1, 9))
def test_roots_are_those_of_certificate_transparency(count):
    assert merkle_root(LEAVES[:count]).hex() == MERKLE["roots"][count - 1]


def test_the_root_of_nothing_is_zero():
    assert merkle_root([]) == claim_root({}) == address_root({}) == EMPTY_ROOT == bytes(32)


def test_a_proof_keeps_its_format():
    proof = MERKLE["proof"]
    siblings = merkle_proof(LEAVES[: proof["count"]], proof["index"])

    assert [sibling.hex() for sibling in siblings] == proof["siblings"]


@pytest.mark.parametrize("case", VECTORS["merkle_refused"], ids=lambda c: c["why"])
def test_a_wrong_proof_is_refused(case):
    root = merkle_root(LEAVES[: case["count"]]) if case["count"] else bytes(32)
    siblings = [bytes.fromhex(sibling) for sibling in case["siblings"]]

    assert not merkle_verify(root, bytes.fromhex(case["leaf"]), case["index"], case["count"], siblings)


@settled
@given(leaf_lists, st.data())
def test_every_leaf_is_proved_at_its_index_and_nowhere_else(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    elsewhere = data.draw(st.integers(0, len(leaves) + 2))
    root, proof = merkle_root(leaves), merkle_proof(leaves, index)

    assert merkle_verify(root, leaves[index], index, len(leaves), proof)
    if elsewhere != index:
        same_leaf_there = elsewhere < len(leaves) and merkle_proof(leaves, elsewhere) == proof
        assert merkle_verify(root, leaves[index], elsewhere, len(leaves), proof) == same_leaf_there
    assert not merkle_verify(root, leaves[index] + b"!", index, len(leaves), proof)


@pytest.mark.parametrize("index", [-1, 3])
def test_a_proof_for_no_leaf_cannot_be_made(index):
    with pytest.raises(IndexError):
        merkle_proof([b"a", b"b", b"c"], index)


@settled
@given(st.binary(max_size=100), st.integers(1, 33))
def test_chunks_are_the_blob_again(blob, size):
    parts = chunks(blob, size)

    assert b"".join(parts) == blob
    assert all(len(part) == size for part in parts[:-1])
    assert merkle_root(parts) == merkle_root([bytes(part) for part in parts])


def test_chunks_look_at_words_as_bytes():
    numpy = pytest.importorskip("numpy")

    assert [bytes(part) for part in chunks(numpy.arange(3, dtype="<u2").data, 4)] == [b"\0\0\1\0", b"\2\0"]
    with pytest.raises(ValueError, match="0 bytes"):
        chunks(b"abc", 0)


def test_a_table_by_address_has_one_root_whatever_its_order():
    a, b = b"\x01" * 20, b"\x02" * 20

    assert address_root({b: b"y", a: b"x"}) == address_root({a: b"x", b: b"y"}) == merkle_root([a + b"x", b + b"y"])
    with pytest.raises(ValueError, match="20 bytes"):
        address_root({b"\x01" * 19: b"x"})


def test_claims_hash_as_openzeppelins_own_example():
    case = VECTORS["claims"]
    totals = {bytes.fromhex(account[2:]): int(total) for account, total in case["totals"].items()}
    first = next(iter(totals))

    assert claim_leaf(first, totals[first]).hex() == case["leaf"]
    assert claim_root(totals).hex() == case["root"]
    assert [sibling.hex() for sibling in claim_proof(totals, first)] == case["proof"]


@settled
@given(totals_of)
def test_every_claim_is_proved_as_the_contract_checks_it(totals):
    for account, total in totals.items():
        leaf = keccak256(keccak256(encode(["address", "uint256"], [account, total])))

        assert claim_leaf(account, total) == leaf
        assert process_proof(claim_proof(totals, account), leaf) == claim_root(totals)
        assert process_proof(claim_proof(totals, account), claim_leaf(account, total ^ 1)) != claim_root(totals)


def test_claims_have_one_root_whatever_their_order():
    totals = {bytes([i]) * 20: i for i in range(7)}

    assert claim_root(dict(reversed(totals.items()))) == claim_root(totals)
    assert claim_proof(dict(reversed(totals.items())), bytes(20)) == claim_proof(totals, bytes(20))


def test_a_claim_of_nobody_or_beyond_the_evm_cannot_be_made():
    with pytest.raises(KeyError):
        claim_proof({b"\x01" * 20: 5}, b"\x02" * 20)
    with pytest.raises(ValueError, match="20 bytes"):
        claim_leaf(b"\x01" * 21, 5)
    with pytest.raises(ValueError):
        claim_leaf(b"\x01" * 20, 2**256)


@given(st.integers(1, 40), st.data())
def test_proofs_of_several_leaves_are_those_of_each(count, data):
    leaves = [bytes([i]) * 3 for i in range(count)]
    indices = data.draw(st.lists(st.integers(0, count - 1), max_size=6))

    assert merkle_proofs(leaves, indices) == [merkle_proof(leaves, i) for i in indices]
    with pytest.raises(IndexError):
        merkle_proofs(leaves, [count])
