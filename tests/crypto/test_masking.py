import json
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage_crypto.fixedpoint import ring
from peerage_crypto.masking import CHUNK_BYTES, add, apply_masks, expand, inner, inner_key

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "masking.json").read_text())
settled = settings(derandomize=True, deadline=None, max_examples=60)
keys = st.binary(min_size=32, max_size=32)
widths = st.sampled_from([16, 32, 64])
KEY = bytes(range(32))


def keystream(key, length):
    """AES-256 of the counters 0, 1, 2 … block by block: CTR by the book."""
    blocks = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return b"".join(blocks.update(i.to_bytes(16, "big")) for i in range(-(-length // 16)))[:length]


def random_words(seed, count, bits):
    return np.random.default_rng(seed).integers(0, 2**bits, count, dtype=ring(bits).dtype)


def test_a_mask_is_the_standards_aes():
    case = VECTORS["aes"]

    assert expand(bytes.fromhex(case["key"]), 4, ring(32)).tobytes().hex() == case["bytes"]


@pytest.mark.parametrize("case", VECTORS["expansions"], ids=lambda c: f"w={c['bits']}, from {c['offset']}")
def test_masks_keep_their_format(case):
    words = expand(bytes.fromhex(case["key"]), len(case["words"]), ring(case["bits"]), case["offset"])

    assert [str(word) for word in words.tolist()] == case["words"]
    assert words.dtype == ring(case["bits"]).dtype


def test_masking_keeps_its_format():
    case = VECTORS["masked"]
    plus, minus = ([bytes.fromhex(key) for key in case[side]] for side in ("plus", "minus"))

    words = apply_masks(np.array(case["vector"], np.uint32), plus, minus, ring(case["bits"]))

    assert words.tolist() == case["words"]


@settled
@given(keys, st.integers(0, 70), st.integers(0, 50), widths)
def test_any_part_of_a_mask_is_that_part_of_the_whole(key, offset, count, bits):
    whole = np.frombuffer(keystream(key, (offset + count) * bits // 8), f"<u{bits // 8}")

    assert np.array_equal(expand(key, count, ring(bits), offset), whole[offset:])


@settled
@given(st.lists(keys, max_size=4), st.lists(keys, max_size=4), st.integers(0, 40), widths)
def test_masks_are_added_and_taken_away_mod_the_ring(plus, minus, count, bits):
    vector = random_words(1, count, bits)
    before = vector.copy()
    expected = [int(word) for word in vector]
    for sign, side in ((1, plus), (-1, minus)):
        for key in side:
            expected = [
                (e + sign * int(w)) % 2**bits for e, w in zip(expected, expand(key, count, ring(bits)), strict=True)
            ]

    assert apply_masks(vector, plus, minus, ring(bits)).tolist() == expected
    assert np.array_equal(vector, before)


@settled
@given(st.lists(keys, max_size=3), st.lists(keys, max_size=3), st.integers(0, 6), st.integers(0, 20), widths)
def test_the_lane_carries_in_64_bits_under_the_same_keystream(plus, minus, lane, count, bits):
    laned = ring(bits, lane)
    vector = random_words(2, laned.lane_words + count, bits)
    blob = vector.tobytes()
    head = [int.from_bytes(blob[i : i + 8], "little") for i in range(0, 8 * lane, 8)]
    tail = vector[laned.lane_words :].tolist()
    for sign, side in ((1, plus), (-1, minus)):
        for key in side:
            stream = keystream(key, len(blob))
            words = np.frombuffer(stream[8 * lane :], f"<u{bits // 8}").tolist()
            head = [
                (h + sign * int.from_bytes(stream[8 * i : 8 * i + 8], "little")) % 2**64 for i, h in enumerate(head)
            ]
            tail = [(t + sign * w) % 2**bits for t, w in zip(tail, words, strict=True)]
    masked = apply_masks(vector, plus, minus, laned)

    assert masked[: laned.lane_words].view("<u8").tolist() == head
    assert masked[laned.lane_words :].tolist() == tail
    total = vector.copy()
    add(total, masked, laned)
    assert total[: laned.lane_words].view("<u8").tolist() == [
        (h + int.from_bytes(blob[8 * i : 8 * i + 8], "little")) % 2**64 for i, h in enumerate(head)
    ]


def test_a_lane_longer_than_a_chunk_has_no_seam_and_nothing_of_it_is_opened():
    laned = ring(16, CHUNK_BYTES // 8 + 3)
    vector = random_words(3, laned.lane_words + 5, 16)
    masked = apply_masks(vector, [KEY], [], laned)

    assert np.array_equal(apply_masks(masked, [], [KEY], laned), vector)
    stream = np.frombuffer(keystream(KEY, 8 * laned.lane), "<u8")
    assert np.array_equal(masked[: laned.lane_words].view("<u8"), vector[: laned.lane_words].view("<u8") + stream)
    g = np.zeros(len(vector), np.uint16)
    g[laned.lane_words - 1] = 1
    with pytest.raises(ValueError, match="lane"):
        inner(vector, g, laned)
    with pytest.raises(ValueError, match="lane"):
        inner_key(KEY, g, laned)
    with pytest.raises(ValueError, match="no sum"):
        add(vector, vector[1:], laned)


def test_masking_a_lane_keeps_its_format():
    case = VECTORS["laned"]
    plus, minus = ([bytes.fromhex(key) for key in case[side]] for side in ("plus", "minus"))
    laned = ring(case["bits"], case["lane"])

    masked = apply_masks(np.frombuffer(bytes.fromhex(case["vector"]), laned.dtype), plus, minus, laned)

    assert masked.tobytes().hex() == case["masked"]


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("excess", [-1, 0, 1, 3])
def test_chunks_join_without_a_seam(bits, excess):
    count = 2 * CHUNK_BYTES * 8 // bits + excess
    vector = random_words(2, count, bits)

    masked = apply_masks(vector, [KEY], [KEY[::-1]], ring(bits))

    assert np.array_equal(masked, vector + expand(KEY, count, ring(bits)) - expand(KEY[::-1], count, ring(bits)))


def test_pair_masks_cancel_and_self_masks_come_off():
    n, count, z32 = 5, 1000, ring(32)
    pair = {(i, j): bytes([i, j]) * 16 for i in range(n) for j in range(i + 1, n)}
    own = [bytes([100 + i]) * 32 for i in range(n)]
    vectors = [random_words(i, count, 32) for i in range(n)]

    masked = [
        apply_masks(
            vectors[i],
            [own[i], *(pair[i, j] for j in range(i + 1, n))],
            [pair[j, i] for j in range(i)],
            z32,
        )
        for i in range(n)
    ]
    total = apply_masks(sum(masked[1:], masked[0]), [], own, z32)

    assert np.array_equal(total, sum(vectors[1:], vectors[0]))
    assert not any(np.array_equal(masked[i], vectors[i]) for i in range(n))


@pytest.mark.parametrize("case", VECTORS["inner"])
def test_inner_products_wrap_as_the_ring_does(case):
    vector, g = (np.array(case[name], np.uint32) for name in ("vector", "g"))

    assert inner(vector, g, ring(case["bits"])) == int(case["value"])


@pytest.mark.parametrize("case", VECTORS["inner_key"])
def test_inner_products_of_masks_keep_their_value(case):
    assert inner_key(bytes.fromhex(case["key"]), np.array(case["g"], np.uint32), ring(case["bits"])) == int(
        case["value"]
    )


@settled
@given(st.integers(0, 200), st.integers(0, 2**32), widths)
def test_an_inner_product_is_that_of_the_integers(count, seed, bits):
    vector, g = random_words(seed, count, bits), random_words(seed + 1, count, bits)
    exact = sum(a * b for a, b in zip(vector.tolist(), g.tolist(), strict=True)) % 2**bits

    assert inner(vector, g, ring(bits)) == exact
    assert inner_key(KEY, g, ring(bits)) == inner(expand(KEY, count, ring(bits)), g, ring(bits))


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_an_opening_over_many_chunks_equals_the_product_with_the_whole_mask(bits):
    g = random_words(3, 2 * CHUNK_BYTES * 8 // bits + 7, bits)

    assert inner_key(KEY, g, ring(bits)) == inner(expand(KEY, len(g), ring(bits)), g, ring(bits))


def test_openings_give_each_peers_product_and_masks_nothing_else():
    count, z32 = 500, ring(32)
    q, g = random_words(4, count, 32), random_words(5, count, 32)
    masked = apply_masks(q, [KEY], [KEY[::-1]], z32)

    opened = (inner(masked, g, z32) - inner_key(KEY, g, z32) + inner_key(KEY[::-1], g, z32)) % 2**32

    assert opened == inner(q, g, z32)


@pytest.mark.parametrize("key", VECTORS["keys_refused"], ids=lambda k: f"{len(k) // 2} bytes")
def test_a_shorter_key_is_refused_and_never_stretched(key):
    bad, words = bytes.fromhex(key), np.zeros(4, np.uint32)

    for call in (
        lambda: expand(bad, 4, ring(32)),
        lambda: apply_masks(words, [bad], [], ring(32)),
        lambda: apply_masks(words, [], [bad], ring(32)),
        lambda: inner_key(bad, words, ring(32)),
    ):
        with pytest.raises(ValueError, match="32 bytes"):
            call()


@pytest.mark.parametrize(
    "vector", [np.zeros(4, np.int32), np.zeros(4, np.uint64), np.zeros((2, 2), np.uint32), np.zeros(4, np.float32)]
)
def test_a_vector_of_another_ring_is_refused(vector):
    good = np.zeros(4, np.uint32)

    for call in (
        lambda: apply_masks(vector, [KEY], [], ring(32)),
        lambda: inner(vector, good, ring(32)),
        lambda: inner(good, vector, ring(32)),
        lambda: inner_key(KEY, vector, ring(32)),
    ):
        with pytest.raises(ValueError, match="ring"):
            call()


def test_vectors_of_two_lengths_have_no_inner_product():
    with pytest.raises(ValueError, match="3 and 4"):
        inner(np.zeros(3, np.uint32), np.zeros(4, np.uint32), ring(32))
    with pytest.raises(ValueError, match="from -1"):
        expand(KEY, 4, ring(32), -1)
