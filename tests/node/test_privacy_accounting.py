"""Epsilon: the Skellam bound against the exact divergence, the conversion against dp-accounting, composition."""

import importlib.util
from math import exp, inf, log

import numpy as np
import pytest

from peerage.privacy.accounting import DRAW_DISTANCE, ORDERS, epsilon_of, longest_l1, skellam_rdp, spent
from peerage.privacy.noise import Noise
from peerage_crypto.skellam import TOTAL_VARIATION

NOISE = Noise(variance=250_000, sensitivity=1000, bound=8000, honest=4, least_roster=9, colluders=3)


def exact_rdp(order: int, shift: int, variance: int) -> float:
    """The Renyi divergence between Sk(variance) and its shift, summed over the mass function in logarithms."""
    reach = 40 + 20 * int(variance**0.5) + 2 * shift * order
    ratio, logs = 0.0, np.zeros(reach + 1)
    for k in range(2 * reach, 0, -1):  # I_k / I_(k-1), downwards
        ratio = 1 / (2 * k / variance + ratio)
        if k <= reach:
            logs[k] = log(ratio)
    tail = np.cumsum(logs)
    mass = np.concatenate([tail[:0:-1], tail])
    mass -= mass.max() + log(np.exp(mass - mass.max()).sum())
    moved, here = mass[: len(mass) - shift], mass[shift:]
    terms = order * moved - (order - 1) * here
    return float(terms.max() + log(np.exp(terms - terms.max()).sum())) / (order - 1)


@pytest.mark.parametrize("variance", [1, 3, 10, 100, 2500, 40_000])
@pytest.mark.parametrize("shift", [1, 2, 5, 20, 100])
def test_the_bound_is_never_below_the_exact_divergence(variance, shift):
    for order in (2, 3, 4, 8, 16, 32, 64):
        exact = exact_rdp(order, shift, variance)
        bound = skellam_rdp(order, shift, shift, variance)
        assert exact <= bound * (1 + 1e-9), (order, exact, bound)


def test_the_bound_is_close_to_exact_where_noise_is_large():
    """Else it would say nothing: within one percent of both the exact divergence and the Gaussian's."""
    for order in (2, 8, 32):
        exact, bound = exact_rdp(order, 20, 40_000), skellam_rdp(order, 20, 20, 40_000)
        assert bound < 1.01 * exact
        assert bound < 1.01 * order * 20**2 / (2 * 40_000)


def test_the_bound_is_the_papers_formula():
    """By hand: 4 * 100 / 200 + min((7 * 100 + 6 * 30) / 40000, 90 / 200), and where the other term is the smaller."""
    assert skellam_rdp(4, 10, 30, 100) == pytest.approx(2.022)
    assert skellam_rdp(2, 3, 3, 1) == pytest.approx(9 + 4.5)


def test_two_coordinates_are_bounded_by_their_norms():
    for a, b in ((3, 4), (5, 0), (12, 5)):
        both = exact_rdp(4, a, 50) + (exact_rdp(4, b, 50) if b else 0)
        assert both <= skellam_rdp(4, (a * a + b * b) ** 0.5, a + b, 50)


def test_the_bound_holds_for_whole_orders_only():
    with pytest.raises(ValueError, match="whole orders"):
        skellam_rdp(1, 1, 1, 1)
    assert min(ORDERS) == 2
    assert all(isinstance(order, int) for order in ORDERS)


def test_an_integer_vector_has_no_more_ones_norm_than_its_square():
    assert longest_l1(3, 10**6) == 9
    assert longest_l1(1000, 100) == 10_000


def test_the_distance_of_draws_is_what_the_sampler_states():
    assert DRAW_DISTANCE == TOTAL_VARIATION


def test_our_conversion_is_dp_accountings():
    if importlib.util.find_spec("dp_accounting") is None:
        pytest.skip("dp-accounting, the yardstick (extra dp), is not installed")
    from dp_accounting.rdp import RdpAccountant, compute_epsilon

    for noise, rounds, delta in ((0.5, 3, 1e-5), (1.0, 50, 1e-5), (4.0, 100, 1e-6), (30.0, 2, 1e-3), (300.0, 1, 0.1)):
        ours = [rounds * order / (2 * noise**2) for order in ORDERS]
        theirs, _ = compute_epsilon(ORDERS, np.array(ours), delta)
        assert epsilon_of(ours, delta) == pytest.approx(theirs, rel=1e-9, abs=1e-12)
        accountant = RdpAccountant(ORDERS)
        accountant.compose(gaussian(noise), rounds)
        assert epsilon_of(ours, delta) == pytest.approx(accountant.get_epsilon(delta), rel=1e-9, abs=1e-12)


def gaussian(noise: float) -> object:
    from dp_accounting import GaussianDpEvent

    return GaussianDpEvent(noise)


def test_skellam_noise_costs_what_gaussian_noise_of_its_size_does():
    """At 500 units of standard deviation the two differ by less than a percent."""
    found = spent(NOISE, 4810, {8: 20}, 1e-5)
    ratio = NOISE.sensitivity / (8 * NOISE.variance) ** 0.5
    like = epsilon_of([20 * order * ratio**2 / 2 for order in ORDERS], 1e-5)
    assert found.epsilon == pytest.approx(like, rel=0.01)


def test_every_further_sum_costs_and_fewer_honest_peers_cost_more():
    few, more = spent(NOISE, 4810, {8: 5}, 1e-5), spent(NOISE, 4810, {8: 6}, 1e-5)
    assert 0 < few.epsilon < more.epsilon
    assert spent(NOISE, 4810, {8: 4, 4: 1}, 1e-5).epsilon > few.epsilon
    assert more.sums == 6


def test_if_all_others_collude_only_the_own_share_counts():
    found = spent(NOISE, 4810, {1: 3}, 1e-5)
    assert found.alone == found.epsilon
    assert spent(NOISE, 4810, {9: 3}, 1e-5).alone == found.alone


def test_nothing_sent_is_nothing_spent():
    assert spent(NOISE, 4810, {}, 1e-5).epsilon == 0.0


def test_no_epsilon_is_claimed_where_the_draws_distance_eats_delta_up():
    weak = Noise(variance=2500, sensitivity=1000, bound=900, honest=4, least_roster=9, colluders=3)
    assert spent(weak, 4810, {8: 20}, 1e-5).epsilon is None


def test_the_distance_of_draws_is_paid_from_delta():
    """Were it larger, epsilon would be too: at a delta barely above what it takes, less remains to convert with."""
    from peerage.privacy.accounting import epsilon_at

    variances = {8 * NOISE.variance: 20}
    free = epsilon_at(variances, NOISE, 4810, 0, 1e-5)
    drawn = int(1e-6 / ((1 + exp(free)) * DRAW_DISTANCE))
    paid = epsilon_at(variances, NOISE, 4810, drawn, 1e-5)
    assert paid > free
    assert epsilon_at(variances, NOISE, 4810, 20 * drawn, 1e-5) is None


def test_epsilon_is_infinite_for_no_noise():
    assert epsilon_of([inf] * len(ORDERS), 1e-5) == inf
