"""What f inventions among m vectors can do to each rule, and that the answer has the same bits for everybody."""

import struct
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage.robust.bounds import longest_honest, norm_bounded, within_length
from peerage.robust.exact import distances, gram, length_squared, rows_of
from peerage.robust.floors import KNOWN, least_vectors
from peerage.robust.local_reference import Closeness, accepted, local_reference
from peerage.robust.rules import RULES, combine
from peerage.rounds.aggregation import Grid, merge, update_of
from peerage_crypto.errors import InputError

HUGE = 2**40


@st.composite
def attacked(draw, extra):
    """(honest sums, inventions, counts, f): every bucket of its own size, the inventions anywhere and of any size."""
    f = draw(st.integers(1, 3))
    m = 2 * f + extra + draw(st.integers(0, 3))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    counts = [int(c) for c in random.integers(5, 10, m)]
    honest = [random.integers(-1000 * c, 1000 * c, 12) for c in counts[f:]]
    size = draw(st.sampled_from([1, 2000, HUGE]))
    bad = [random.integers(-size, size + 1, 12) * c for c in counts[:f]]
    return honest, bad, counts, f


def span(honest, counts):
    means = np.array([s / c for s, c in zip(honest, counts, strict=True)])
    return means.min(axis=0), means.max(axis=0)


@settings(max_examples=100, deadline=None)
@given(attacked(1), st.sampled_from(["median", "trimmed-mean"]))
def test_f_inventions_leave_no_coordinate_outside_the_honest_range(case, rule):
    honest, bad, counts, f = case
    low, high = span(honest, counts[f:])
    found = combine(rule, [*bad, *honest], counts, f)
    assert (low <= found).all()
    assert (found <= high).all()


def test_one_invention_more_breaks_them():
    """Otherwise the test above would not see an attack."""
    honest = [np.full(3, i, np.int64) for i in range(2)]
    bad = [np.full(3, HUGE, np.int64)] * 3
    for rule in ("median", "trimmed-mean"):
        assert combine(rule, [*honest, *bad], [1] * 5, 2).max() > 10
    assert combine("mean", [*honest, bad[0]], [1] * 3, 0).max() > 10


@settings(max_examples=60, deadline=None)
@given(attacked(3), st.booleans())
def test_krum_returns_an_honest_vector_when_the_inventions_are_far(case, together):
    honest, bad, counts, f = case
    far = [
        (np.full(12, HUGE, np.int64) * (1 if together else i + 1) + b % 7) * c
        for i, (b, c) in enumerate(zip(bad, counts[:f], strict=True))
    ]
    found = combine("krum", [*far, *honest], counts, f)
    assert any(np.array_equal(found, s / c) for s, c in zip(honest, counts[f:], strict=True))
    low, high = span(honest, counts[f:])
    multi = combine("multi-krum", [*far, *honest], counts, f)
    assert (low - 1 <= multi).all()
    assert (multi <= high + 1).all()


@settings(max_examples=60, deadline=None)
@given(attacked(1))
def test_the_geometric_median_stays_near_the_honest(case):
    """Within 2 (m - f) / (m - 2 f) times the largest honest distance from any honest vector (Pillutla et al.)."""
    honest, bad, counts, f = case
    means = np.array([s / c for s, c in zip(honest, counts[f:], strict=True)])
    radius = max(float(np.linalg.norm(a - b)) for a in means for b in means)
    found = combine("geometric-median", [*bad, *honest], counts, f)
    m = len(counts)
    assert float(np.linalg.norm(found - means[0])) <= 2 * (m - f) / (m - 2 * f) * radius + 0.02 * radius + 1


@pytest.mark.parametrize("rule", KNOWN)
@pytest.mark.parametrize("m", [3, 5])
def test_the_order_of_the_vectors_changes_no_bit(rule, m):
    random = np.random.default_rng(m)
    f = 0 if m == 3 or rule == "mean" else 1
    counts = [int(c) for c in random.integers(5, 10, m)]
    sums = [random.integers(-(2**20), 2**20, 9) for _ in range(m)]
    first = combine(rule, sums, counts, f).tobytes()
    for order in permutations(range(m)):
        assert combine(rule, [sums[i] for i in order], [counts[i] for i in order], f).tobytes() == first


@pytest.mark.parametrize("rule", KNOWN)
def test_known_answers(rule):
    """These bits are what every machine gives: a change of them splits federations."""
    random = np.random.Generator(np.random.Philox(7))
    sums = [random.integers(-(2**24), 2**24, 5) for _ in range(7)]
    counts = [5, 6, 5, 7, 5, 5, 8]
    found = combine(rule, sums, counts, 0 if rule == "mean" else 2)
    assert found.astype("<f8").tobytes().hex() == KNOWN_ANSWERS[rule]


@pytest.mark.parametrize("rule", [rule for rule in KNOWN if rule != "mean"])
def test_64_bit_sums_take_the_long_way_and_give_the_same(rule):
    """Where int64 has no room, Python's integers do it: scaled by 2^30 the answer is 2^30 times the answer."""
    random = np.random.default_rng(11)
    counts = [5, 7, 8, 9, 11]
    small = [random.integers(-(2**29), 2**29, 6) for _ in counts]
    large = [s * 2**30 for s in small]
    assert rows_of(small, counts).rows.dtype == np.int64
    assert rows_of(large, counts).rows.dtype == object
    ours, theirs = combine(rule, large, counts, 1), combine(rule, small, counts, 1) * 2.0**30
    assert np.abs(ours - theirs).max() <= 2.0**30 if rule == "geometric-median" else np.array_equal(ours, theirs)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 61), st.integers(2, 4))
def test_inner_products_and_distances_are_exact(seed, bits, m):
    rows = np.random.default_rng(seed).integers(-(2**bits), 2**bits, (m, 7))
    exact = [[int(v) for v in row] for row in rows]
    products = gram(rows)
    for i in range(m):
        for j in range(m):
            assert products[i][j] == sum(a * b for a, b in zip(exact[i], exact[j], strict=True))
            apart = sum((a - b) ** 2 for a, b in zip(exact[i], exact[j], strict=True))
            assert distances(products)[i][j] == apart


def test_long_vectors_are_added_up_in_pieces(monkeypatch):
    rows = np.random.default_rng(3).integers(-(2**50), 2**50, (2, 1000))
    whole = gram(rows)
    monkeypatch.setattr("peerage.robust.exact.LIMB_ROWS", 64)
    assert gram(rows) == whole


def test_the_mean_of_buckets_is_the_mean_of_the_round():
    """FedAvg over all members, however they are shared out: the bits of a flat round."""
    random = np.random.default_rng(5)
    base = random.normal(size=50).astype(np.float32)
    grid = Grid(32, 16, 8.0)
    sums = [random.integers(-(2**20), 2**20, 50) for _ in range(4)]
    counts = [5, 6, 7, 5]
    update = combine("mean", sums, counts, 0)
    bucketed = (base.astype(np.float64) + update / np.float64(1 << 16)).astype(np.float32)
    assert np.array_equal(bucketed, merge(base, sum(sums), 23, grid))


def test_too_few_vectors_are_refused():
    sums = [np.zeros(3, np.int64)] * 4
    for rule in RULES:
        with pytest.raises(InputError, match="needs"):
            combine(rule, sums, [5] * 4, 2)
        assert combine(rule, sums[:3], [5] * 3, 0).shape == (3,)
        assert least_vectors(rule, 2) > 4


@pytest.mark.parametrize(
    ("sums", "counts"),
    [
        ([], []),
        ([np.zeros(3, np.int64)] * 3, [5, 5]),
        ([np.zeros(3, np.int64)] * 3, [5, 5, 0]),
        ([np.zeros(3)] * 3, [5, 5, 5]),
        ([np.full(3, np.nan)] * 3, [5, 5, 5]),
        ([np.zeros(3, np.int64), np.zeros(4, np.int64), np.zeros(3, np.int64)], [5, 5, 5]),
        ([np.zeros((3, 1), np.int64)] * 3, [5, 5, 5]),
    ],
)
def test_what_is_no_set_of_vectors_is_refused(sums, counts):
    with pytest.raises(InputError):
        combine("median", sums, counts, 0)


def test_a_rule_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(InputError, match="multi-krum"):
        combine("krumm", [np.zeros(3, np.int64)], [5], 0)


def test_a_nan_never_becomes_a_vector_and_a_huge_value_is_out_of_bounds():
    """Upstream of every rule: an honest peer refuses itself, a sum that nobody honest adds up to is seen."""
    grid, base = Grid(32, 16, 4.0), np.zeros(100, np.float32)
    for poison in (np.nan, np.inf):
        with pytest.raises(ValueError, match="NaN or an infinity"):
            update_of(np.full(100, poison, np.float32), base, grid, b"seed")
    longest = longest_honest(100, 16, 4.0)
    honest = [update_of(np.full(100, 1e9, np.float32), base, grid, bytes([i])) for i in range(5)]
    honest = [getattr(update, "units", update) for update in honest]
    assert all(within_length(update, 1, longest) for update in honest)
    assert within_length(sum(honest), 5, longest)
    assert not within_length(sum(honest) * 2, 5, longest)
    hidden = np.full(100, 5 * 4 * 2**16, np.int64)  # within the bound of every coordinate, ten times as long as allowed
    assert not within_length(hidden, 5, longest)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([2**10, 2**30, 2**55]), st.integers(1, 2**20))
def test_shortening(seed, size, longest):
    vector = np.random.default_rng(seed).integers(-size, size, 8)
    short = norm_bounded(vector, longest)
    assert length_squared(short) <= longest**2 or short is vector
    if length_squared(vector) <= longest**2:
        assert short is vector
    else:
        factor = np.abs(short - vector * (longest / np.linalg.norm(vector.astype(float)))).max()
        assert factor <= 1.001


def test_a_local_reference_takes_what_is_near_and_keeps_half_of_its_own():
    own, near, far = (np.array(v, np.int64) for v in ([100, 0], [110, 10], [-100, 0]))
    assert accepted(own, [near, far], 0, 10) == [0]
    assert list(local_reference(own, [near, far], 0, 10)) == [105.0, 5.0]
    assert list(local_reference(own, [far], 0, 10)) == [100.0, 0.0]
    assert list(local_reference(own, [near, near, far], 0, 10)) == [105.0, 5.0]


def test_the_local_bound_shrinks_and_any_number_of_liars_moves_a_peer_no_further():
    close = Closeness()
    assert close.bound(0, 10) == Fraction(3, 10)
    assert float(close.bound(10, 10)) == pytest.approx(0.3 * np.exp(-1), rel=1e-15)
    own = np.array([1000, 0], np.int64)
    at = [np.array([1000, y], np.int64) for y in (111, 109)]
    assert accepted(own, at, 10, 10) == [1]  # 0.3 / e = 0.1104
    liars = [np.array([1000, 110], np.int64)] * 50
    moved = local_reference(own, liars, 10, 10) - own
    assert float(np.linalg.norm(moved)) <= 0.5 * float(close.bound(10, 10)) * 1000


def test_the_local_bound_has_the_same_bits_everywhere():
    numbers = [float(Closeness().bound(t, 7)) for t in range(8)]
    assert struct.pack("<8d", *numbers).hex() == LOCAL_BOUNDS


KNOWN_ANSWERS = {
    "mean": "51bb12b5ab41cf403e06e7630e532341cec7e07c8c0affc0bb12b52b11ee1b412c51bb12697134c1",
    "median": "000000006c6227c1000000006bdf364100000080976936c19a999999a1b80641555555d5f1d33ec1",
    "trimmed-mean": "efeeee6eb5431ac1c5577cc509643141254992a476411fc1fbb11ffbe9321441c7711ca706e53fc1",
    "geometric-median": "c45e59b31936fbc010124b2475812b417effa6d562de1ac16b5d31c4bfbf0341dd45534c6c5534c1",
    "krum": "333333339fee194100000000c0f43e419a9999191e4e42c19a999999a1b8064166666666eeaf2741",
    "multi-krum": "efeeeeee5e4423c189888888e9e0304122222222f6fe0bc150faa44f2d5922c1943ee913501133c1",
}
LOCAL_BOUNDS = (
    "333333333333d33f5bcd2dd5e0a4d03ff0e29d8752dbcc3fd66c1d11e803c93f"
    "ea80d2af67afc53f648bacec63ccc23f2521063cc14bc03f43529cdacd40bc3f"
)
