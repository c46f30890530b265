"""Skellam noise: the table against the exact mass function, draws against their law, sums of shares, known answers."""

import json
from fractions import Fraction
from math import log2
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy.special import ive
from scipy.stats import chi2

from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_crypto.skellam import (
    HIGH_BITS,
    LARGEST_VARIANCE,
    LOW_BITS,
    TOTAL_VARIATION,
    WHOLE,
    Table,
    _magnitudes,
    first_above,
    noise,
    noise_bound,
    table_of,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "skellam.json").read_text())
KEY = sha256(b"a key of these tests")


@pytest.mark.parametrize("variance", [1, 2, 7, 100, 2000])
def test_the_table_is_the_exact_law_within_the_stated_distance(variance):
    """Against Bessel functions of 90 digits: total variation of the whole table, cut tail included."""
    with mpmath.workdps(90):
        table, scale = table_of(variance), mpmath.exp(-variance)
        distance = before = mpmath.mpf(0)
        for k in range(table.bound + 1):
            upto = mpmath.mpf(table.threshold(k)) / WHOLE
            exact = scale * mpmath.besseli(k, variance) * (2 if k else 1)
            distance += abs(upto - before - exact)
            before = upto
        beyond = 2 * scale * mpmath.besseli(table.bound + 1, variance) * 2  # each further term is less than half
        assert table.threshold(table.bound) == WHOLE
        assert (distance + beyond) / 2 < TOTAL_VARIATION


@pytest.mark.parametrize("variance", [1, 50, 10**4, 10**6, LARGEST_VARIANCE])
def test_the_cut_tail_is_below_the_stated_distance(variance):
    """Chernoff's bound with the best exponent, in place of the simpler one behind `noise_bound`."""
    t = noise_bound(variance) + 1
    with mpmath.workdps(30):
        x = mpmath.mpf(t) / variance
        exponent = -t * mpmath.asinh(x) + variance * (mpmath.sqrt(1 + x * x) - 1)
        assert float(exponent) / float(mpmath.log(2)) + 1 < log2(TOTAL_VARIATION)


@pytest.mark.parametrize("variance", [1, 30, 5000])
def test_draws_have_the_moments_of_the_law(variance):
    count = 400_000
    drawn = noise(KEY, count, variance).astype(np.float64)
    assert abs(drawn.mean()) < 5 * np.sqrt(variance / count)
    fourth = 3 * variance**2 + variance  # of Sk(mu)
    assert abs((drawn**2).mean() - variance) < 5 * np.sqrt((fourth - variance**2) / count)
    assert abs((drawn**3).mean()) < 5 * np.sqrt(15 * (variance + 3) ** 3 / count)


@pytest.mark.parametrize("variance", [1, 30, 5000])
def test_draws_fit_the_exact_mass_function(variance):
    assert fits(noise(KEY, 300_000, variance), variance)


def test_another_variance_does_not_fit():
    assert not fits(noise(KEY, 300_000, 30), 31)


def test_shares_of_several_peers_add_up_to_the_promised_noise():
    shares = [noise(sha256(KEY, bytes([peer])), 200_000, 40) for peer in range(6)]
    assert fits(sum(shares), 240)
    assert not fits(sum(shares[:5]), 240)
    for one in range(5):
        assert abs(np.corrcoef(shares[one], shares[one + 1])[0, 1]) < 5 / np.sqrt(200_000)


def fits(drawn: np.ndarray, variance: int) -> bool:
    """Chi-square at 1e-4 over cells of at least 20 expected draws, the two tails as cells of their own."""
    reach = int(3 * np.sqrt(variance)) + 1
    ks = np.arange(-reach, reach + 1)
    expected = ive(np.abs(ks), float(variance)) * len(drawn)
    keep = expected >= 20
    ks, expected = ks[keep], expected[keep]
    observed = np.array([(drawn == k).sum() for k in ks])
    rest = len(drawn) - expected.sum()
    statistic = ((observed - expected) ** 2 / expected).sum() + (len(drawn) - observed.sum() - rest) ** 2 / rest
    return bool(chi2.sf(statistic, len(ks)) > 1e-4)


def test_no_draw_is_beyond_the_bound_and_the_farthest_number_reaches_it():
    table = table_of(10**6)
    assert first_above(table, WHOLE - 1) == table.bound == noise_bound(10**6)
    assert first_above(table, 0) == 0


def test_a_tie_of_the_first_bits_is_decided_by_the_rest():
    """Three thresholds share their first 63 bits: only the further words can tell them apart."""
    half, quarter = 1 << (LOW_BITS - 1), 1 << (LOW_BITS - 2)
    thresholds = [
        5 * (1 << LOW_BITS) + quarter,
        5 * (1 << LOW_BITS) + half,
        5 * (1 << LOW_BITS) + half + quarter,
        WHOLE,
    ]
    low = b"".join((t % (1 << LOW_BITS)).to_bytes(24, "little") for t in thresholds)
    table = Table(1, 3, np.array([t >> LOW_BITS for t in thresholds], np.uint64), low)
    places = _magnitudes(table, np.full(20_000, 5, np.uint64), KEY)
    assert np.allclose(np.bincount(places, minlength=4) / 20_000, 0.25, atol=0.02)
    assert set(_magnitudes(table, np.full(9, 4, np.uint64), KEY)) == {0}
    assert set(_magnitudes(table, np.full(9, 6, np.uint64), KEY)) == {3}


def test_thresholds_use_every_bit_they_have():
    table = table_of(1000)
    assert HIGH_BITS + LOW_BITS == 255
    share = Fraction(table.threshold(0), WHOLE)
    assert abs(float(share) - ive(0, 1000.0)) < 1e-15


def test_one_key_gives_one_noise_and_another_key_another():
    assert np.array_equal(noise(KEY, 100, 50), noise(KEY, 100, 50))
    assert np.array_equal(noise(KEY, 10, 50), noise(KEY, 100, 50)[:10])
    assert not np.array_equal(noise(KEY, 100, 50), noise(sha256(KEY), 100, 50))


def test_no_noise_is_zero():
    assert not noise(KEY, 100, 0).any()
    assert noise_bound(0) == 0


@pytest.mark.parametrize("variance", [-1, LARGEST_VARIANCE + 1])
def test_a_variance_that_has_no_table_is_refused(variance):
    with pytest.raises(InputError, match="choose a smaller frac_bits"):
        noise(KEY, 1, variance)


def test_a_key_of_another_length_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        noise(b"short", 1, 1)


@pytest.mark.parametrize("vector", VECTORS["draws"], ids=lambda v: str(v["variance"]))
def test_known_answers(vector):
    assert noise(bytes.fromhex(vector["key"]), len(vector["noise"]), vector["variance"]).tolist() == vector["noise"]
    assert noise_bound(vector["variance"]) == vector["bound"]
    table = table_of(vector["variance"])
    assert {k: hex(table.threshold(int(k))) for k in vector["thresholds"]} == vector["thresholds"]
