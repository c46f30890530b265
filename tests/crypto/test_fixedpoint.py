import json
import re
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage_crypto import fixedpoint
from peerage_crypto.errors import InputError
from peerage_crypto.fixedpoint import (
    BLOCK,
    Ring,
    check_headroom,
    clip_each,
    clip_norm,
    dequantise,
    into_ring,
    largest_unit,
    norm_limit,
    on_grid,
    quantise,
    ring,
    to_signed,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "fixedpoint.json").read_text())
settled = settings(derandomize=True, deadline=None, max_examples=100)
reals = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50)
widths = st.sampled_from([16, 32, 64])


@pytest.mark.parametrize("case", VECTORS["quantised"], ids=lambda c: f"f={c['frac_bits']}, {c['seed']}")
def test_rounding_is_the_same_for_ever(case):
    quantised = quantise(np.array(case["values"]), case["frac_bits"], bytes.fromhex(case["seed"]))

    assert quantised.tolist() == case["integers"]
    assert quantised.dtype == np.int64


@pytest.mark.parametrize("values", VECTORS["values_refused"], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_has_no_place_on_the_grid_is_refused(values, dtype):
    with pytest.raises(ValueError, match="NaN"):
        quantise(np.array([float(v) for v in values], dtype), 16, b"seed")


@settled
@given(reals, st.integers(0, 24), st.binary(max_size=40))
def test_a_value_is_rounded_to_a_neighbour_and_a_whole_number_to_itself(values, frac_bits, seed):
    quantised = quantise(np.array(values, np.float32), frac_bits, seed).tolist()

    for value, integer in zip(values, quantised, strict=True):
        exact = Fraction(value) * 2**frac_bits
        assert integer in (floor(exact), -floor(-exact))


@settled
@given(st.integers(-(2**52), 2**52), st.binary(max_size=8))
def test_large_whole_numbers_stay_themselves(integer, seed):
    assert quantise(np.full(64, float(integer)), 0, seed).tolist() == [integer] * 64


def test_rounding_is_right_on_average():
    values = np.full(400_000, 0.3)

    mean = dequantise(quantise(values, 4, b"seed"), 4).mean()

    assert abs(mean - 0.3) < 5 * (1 / 16) * np.sqrt(0.8 * 0.2 / 400_000)  # five standard errors: 0.3 * 16 = 4.8


def test_seeds_differ_and_blocks_do_not_repeat():
    halves = quantise(np.full(3 * BLOCK + 5, 0.5), 0, b"one")

    assert not np.array_equal(halves, quantise(np.full(3 * BLOCK + 5, 0.5), 0, b"two"))
    assert not np.array_equal(halves[:BLOCK], halves[BLOCK : 2 * BLOCK])
    assert np.array_equal(halves[: BLOCK + 3], quantise(np.full(BLOCK + 3, 0.5), 0, b"one"))


def test_both_float_widths_round_alike_and_nothing_becomes_nothing():
    values = np.linspace(-1, 1, 99).astype(np.float32)

    assert np.array_equal(quantise(values, 16, b"s"), quantise(values.astype(np.float64), 16, b"s"))
    assert quantise(np.zeros(0), 16, b"s").tolist() == []


@pytest.mark.parametrize("case", VECTORS["ring"], ids=lambda c: f"w={c['bits']}")
def test_twos_complement(case):
    words = into_ring(np.array(case["integers"], np.int64), ring(case["bits"]))

    assert words.tolist() == case["words"]
    assert words.dtype == ring(case["bits"]).dtype
    assert to_signed(words).tolist() == case["integers"]


@settled
@given(widths, st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30))
def test_the_ring_is_arithmetic_mod_its_modulus(bits, integers):
    array = np.array(integers, np.int64)

    assert into_ring(array, ring(bits)).tolist() == [i % 2**bits for i in integers]
    assert int(into_ring(array, ring(bits)).sum(dtype=ring(bits).dtype)) == sum(integers) % 2**bits


@settled
@given(widths, st.integers(1, 12), st.floats(0.01, 100), st.data())
def test_within_the_headroom_a_sum_comes_back_exactly(bits, n, bound, data):
    frac_bits = data.draw(st.integers(0, 24))
    try:
        check_headroom(n, frac_bits, bound, ring(bits))
    except InputError:
        return
    signs = data.draw(st.sampled_from([(1, 1), (-1, -1), (1, -1)]))
    updates = [quantise(np.array([bound * s for s in signs]), frac_bits, bytes([i])) for i in range(n)]
    total = np.zeros(2, ring(bits).dtype)
    for update in updates:
        total += into_ring(update, ring(bits))

    assert to_signed(total).tolist() == np.sum(updates, axis=0).tolist()


@pytest.mark.parametrize("case", VECTORS["headroom"], ids=lambda c: f"n={c['n']}, f={c['frac_bits']}, w={c['bits']}")
def test_a_setting_that_overflows_is_refused_with_the_nearest_legal_one(case):
    setting = (case["n"], case["frac_bits"], case["bound"], ring(case["bits"]))
    if case["legal"]:
        check_headroom(*setting)
        return
    with pytest.raises(InputError, match=case["remedy"]):
        check_headroom(*setting)


@pytest.mark.parametrize(("n", "frac_bits", "bound"), [(0, 16, 1.0), (2, -1, 1.0), (2, 16, 0.0), (2, 16, float("nan"))])
def test_settings_without_a_meaning_are_refused(n, frac_bits, bound):
    with pytest.raises(InputError, match="must be positive"):
        check_headroom(n, frac_bits, bound, ring(32))


def test_a_ring_of_another_width_is_refused_and_its_words_are_unsigned():
    with pytest.raises(InputError, match="choose 16, 32 or 64"):
        ring(24)
    with pytest.raises(ValueError, match="unsigned"):
        to_signed(np.zeros(3, np.int32))
    assert (Ring(16).modulus, Ring(16).word_bytes, ring(32)) == (65536, 2, Ring(32))


@settled
@given(reals, st.floats(0.001, 1e7))
def test_clipping_shortens_and_never_turns(values, l2):
    vector = np.array(values, np.float32)
    clipped, factor = clip_norm(vector, l2)

    assert np.linalg.norm(clipped) <= l2 * (1 + 1e-12)
    assert 0 < factor <= 1
    assert np.array_equal(clipped, vector.astype(np.float64) * factor)
    assert (factor == 1.0) == (np.linalg.norm(vector.astype(np.float64)) <= l2 * (1 + 1e-15))


@pytest.mark.parametrize("value", ["nan", "inf", "1e200"])
def test_a_vector_without_a_length_is_not_clipped(value):
    with pytest.raises(ValueError, match="finite"):
        clip_norm(np.array([1.0, float(value)]), 8.0)


def test_a_lane_is_counted_in_words_of_the_ring():
    assert [ring(bits, 6).lane_words for bits in (16, 32, 64)] == [24, 12, 6]
    assert ring(16) != ring(16, 6)
    with pytest.raises(ValueError, match="cannot be"):
        ring(16, -1)


@settled
@given(st.integers(0, 20), st.floats(0.01, 100), st.integers(1, 3000), st.integers(0, 2**32 - 1), st.booleans())
def test_no_rounding_makes_a_vector_longer_than_its_limit(frac_bits, clip, size, seed, sparse):
    rng = np.random.default_rng(seed)
    vector = rng.standard_normal(size) * (rng.random(size) < 0.01 if sparse else 1.0)
    clipped, _ = clip_norm(vector * 1e9, clip)
    units = on_grid(clipped, frac_bits, clip, 0.0, seed.to_bytes(4, "big"))

    assert sum(int(u) ** 2 for u in units) <= norm_limit(frac_bits, clip, size) ** 2
    assert np.abs(units).max() <= largest_unit(frac_bits, clip)
    assert np.abs(units - clipped * 2.0**frac_bits).max() <= 1


def test_a_rounding_that_would_be_too_long_is_drawn_again(monkeypatch):
    tries = []

    def unlucky(values, frac_bits, seed):
        tries.append(seed)
        return np.ceil(values * 2**frac_bits).astype(np.int64) if len(tries) < 3 else np.zeros(len(values), np.int64)

    monkeypatch.setattr(fixedpoint, "quantise", unlucky)

    assert not on_grid(np.full(10_000, 0.01), 1, 1.0, 0.0, b"seed").any()
    assert len(set(tries)) == 3


def test_each_coordinate_is_cut_to_its_clip():
    vector = np.array([3.0, -0.5, -3.0, 0.25], np.float32)

    assert clip_each(vector, 0.5)[0].tolist() == [0.5, -0.5, -0.5, 0.25]
    assert (clip_each(vector, 0.5)[1], clip_each(vector, 0.0)[1]) == (2, 0)
    assert clip_each(vector, 0.0)[0].tolist() == vector.tolist()


def test_noise_takes_its_part_of_the_headroom():
    check_headroom(12, 6, 4.0, ring(16), noise=2000)
    with pytest.raises(InputError, match=r"frac_bits = 5 or clip_each = 2\.5 or ring_bits = 32"):
        check_headroom(12, 6, 4.0, ring(16), noise=2568)
    with pytest.raises(InputError, match="less noise"):
        check_headroom(12, 6, 4.0, ring(64), noise=2**62)


@settled
@given(widths, st.integers(1, 1000), st.integers(1, 40), st.floats(1e-3, 1e6), st.floats(0, 100))
def test_every_remedy_of_a_refusal_works(bits, n, frac_bits, clip, each):
    try:
        check_headroom(n, frac_bits, clip, ring(bits), each=each)
    except InputError as error:
        found = dict(re.findall(r"(\w+) = ([\d.e+-]+)(?= or |$)", str(error).partition("choose ")[2]))
        assert found
        for name, value in found.items():
            match name:
                case "frac_bits":
                    check_headroom(n, int(value), clip, ring(bits), each=each)
                case "clip_each":
                    check_headroom(n, frac_bits, clip, ring(bits), each=float(value))
                case "ring_bits":
                    check_headroom(n, frac_bits, clip, ring(int(value)), each=each)
