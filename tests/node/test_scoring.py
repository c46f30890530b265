"""The value: it adds up to the gain, ignores what everyone knew, and its integers never leave the ring."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from peerage.learning.data import Dataset, load
from peerage.learning.model import build, from_vector, to_vector
from peerage.learning.scoring import LARGEST_EXPONENT, cosine, integer_direction, novel, path_gradient
from peerage.learning.trainer import TrainSettings, evaluate, train
from peerage.rounds.aggregation import Grid, update_of
from peerage.rounds.grid import longest_direction
from peerage_crypto.fixedpoint import norm_limit

WIDE = Grid(32, 16, 8.0)


@pytest.fixture(scope="module")
def step():
    """A real round: base, one peer's step, the public slice."""
    splits = load("digits", 0)
    model = build((64,), 10, 0)
    base = to_vector(model)
    train(model, splits.train, TrainSettings(), 0)
    return model, base, to_vector(model) - base, splits.validation


def test_shares_add_up_to_the_gain(step):
    model, base, moved, validation = step
    gbar = path_gradient(model, base, moved, validation)
    losses = []
    for vector in (base, base + moved):
        from_vector(model, vector)
        losses.append(evaluate(model, validation).loss)
    assert float(moved @ gbar) == pytest.approx(losses[0] - losses[1], rel=0.02)  # Simpson on a curved path


def test_a_short_path_adds_up_to_six_digits():
    model, rng = nn.Linear(4, 3), np.random.default_rng(0)
    validation = Dataset(rng.random((20, 4), np.float32), rng.integers(3, size=20), ("a", "b", "c"))
    base, moved = to_vector(model), np.full(15, 1e-2, np.float32) * rng.standard_normal(15).astype(np.float32)
    gbar = path_gradient(model, base, moved, validation)
    twin = nn.Linear(4, 3).double()
    losses = []
    for vector in (base.astype(np.float64), base.astype(np.float64) + moved.astype(np.float64)):
        from_vector(twin, vector)
        logits = twin(torch.from_numpy(validation.features).double()).detach()
        losses.append(float(nn.functional.cross_entropy(logits, torch.from_numpy(validation.labels))))
    assert float(moved.astype(np.float64) @ gbar) == pytest.approx(losses[0] - losses[1], rel=1e-6)


def test_the_lent_model_is_left_as_it_was(step):
    model, base, moved, validation = step
    before = to_vector(model)
    first = path_gradient(model, base, moved, validation)
    assert np.array_equal(to_vector(model), before)
    assert next(model.parameters()).dtype == torch.float32
    assert np.array_equal(path_gradient(model, base, moved, validation), first)


def test_running_statistics_earn_nothing():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    validation = Dataset(np.random.default_rng(0).random((9, 3), np.float32), np.arange(9) % 2, ("a", "b"))
    base = to_vector(model)
    gbar = path_gradient(model, base, np.full(len(base), 0.01, np.float32), validation)
    assert (gbar[24:32] == 0).all()  # running mean and variance
    assert gbar[:16].any()


def test_what_the_last_steps_said_earns_nothing():
    rng = np.random.default_rng(1)
    applied = [rng.standard_normal(50).astype(np.float32) for _ in range(3)]
    gbar = rng.standard_normal(50)
    rest = novel(gbar, applied)
    exact = [known.astype(np.float64) for known in applied]
    for known in (*exact, exact[0] - 3 * exact[2]):
        assert abs(float(known @ rest)) < 1e-10
    assert np.allclose(novel(gbar, []), gbar)
    assert 0 < np.linalg.norm(rest) < np.linalg.norm(gbar)


def test_parallel_and_zero_steps_do_no_harm():
    rng = np.random.default_rng(2)
    one, gbar = rng.standard_normal(50).astype(np.float32), rng.standard_normal(50)
    lone = novel(gbar, [one])
    assert np.allclose(novel(gbar, [one, one, np.zeros(50, np.float32)]), lone)
    nearly = one * np.float32(2) + np.float32(1e-6)
    assert abs(one.astype(np.float64) @ novel(gbar, [one, nearly])) < 1e-9
    assert np.isfinite(novel(gbar, [np.zeros(50, np.float32)])).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 400),
    st.floats(1e-12, 1e12),
    st.sampled_from([(16, 6, 4.0), (32, 16, 8.0), (32, 12, 2.0), (64, 24, 100.0), (64, 16, 8.0)]),
    st.integers(0, 2**32),
)
def test_opened_numbers_never_wrap(size, scale, ring, seed):
    bits, frac, clip = ring
    rng = np.random.default_rng(seed)
    gbar = rng.standard_normal(size) * scale
    grid = Grid(bits, frac, clip)
    g, exponent = integer_direction(gbar, rng.bytes(16), grid)
    length = np.sqrt(float(sum(int(x) ** 2 for x in g)))
    longest = longest_direction(grid, size)
    assert length <= longest
    assert length * norm_limit(frac, clip, size) < 2 ** (bits - 1)
    assert np.abs(g).max(initial=0) < 2**31  # what its artefact has room for
    assert exponent <= LARGEST_EXPONENT
    if exponent < LARGEST_EXPONENT:  # as long as it may be, up to one doubling and the rounding's own length
        assert length > longest / 2 - np.sqrt(size) - 1


def test_integers_point_where_the_gradient_points(step):
    model, base, moved, validation = step
    gbar = path_gradient(model, base, moved, validation)
    g, exponent = integer_direction(gbar, b"seed" * 4, WIDE)
    again, _ = integer_direction(gbar, b"seed" * 4, WIDE)
    other, _ = integer_direction(gbar, b"diff" * 4, WIDE)
    assert np.array_equal(g, again)
    assert not np.array_equal(g, other)
    assert cosine(g, other) > cosine(g, gbar) ** 2 - 1e-3 > 0.99
    assert float(g @ moved.astype(np.float64)) / 2.0**exponent == pytest.approx(float(gbar @ moved), rel=0.01)


def test_no_gain_is_no_direction():
    g, exponent = integer_direction(np.zeros(5), bytes(16), WIDE)
    assert (g.tolist(), exponent) == ([0] * 5, 0)
    assert integer_direction(np.full(5, np.nan), bytes(16), WIDE)[1] == 0


def test_an_update_along_g_of_the_greatest_length_does_not_wrap_its_number():
    grid = Grid(16, 6, 4.0)
    rng = np.random.default_rng(3)
    gbar = rng.standard_normal(400)
    g, _ = integer_direction(gbar, bytes(16), grid)
    for sign in (1, -1):
        update = update_of((sign * 1e6 * g).astype(np.float32), np.zeros(400, np.float32), grid, bytes(32))
        assert 2**13 < abs(int(update.units @ g)) < 2**15


def test_cosine_of_nothing():
    zero, one = np.zeros(3), np.ones(3)
    assert cosine(zero, zero) == 1.0
    assert cosine(zero, one) == 0.0
    assert cosine(one, -2 * one) == pytest.approx(-1.0)


def test_classes_count_alike_where_that_is_asked():
    """Three rows of one class and one of another: the mean of the two classes' gradients, and no third class's."""
    model, rng = nn.Linear(4, 3), np.random.default_rng(1)
    rows = Dataset(rng.random((4, 4), np.float32), np.array([0, 0, 0, 1]), ("a", "b", "c"))
    base, moved = to_vector(model), np.full(15, 1e-2, np.float32)
    alike = path_gradient(model, base, moved, rows, classes_alike=True)
    each = [path_gradient(model, base, moved, rows.take(np.flatnonzero(rows.labels == c))) for c in (0, 1)]
    assert np.allclose(alike, np.mean(each, axis=0), rtol=1e-12, atol=0)
    assert not np.allclose(alike, path_gradient(model, base, moved, rows), rtol=1e-3)
