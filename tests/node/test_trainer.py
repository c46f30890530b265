"""Fine-tuning: learns, repeats bit for bit, follows textbook SGD, and survives what people feed it."""

import hashlib

import numpy as np
import pytest
import torch
from torch import nn

from peerage.learning.data import Dataset, load
from peerage.learning.model import build, canonical_bytes, from_vector, to_vector
from peerage.learning.trainer import TrainSettings, draw_seed, evaluate, train


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits():
    return load("digits", 0)


def test_a_few_epochs_over_digits_learn_most_of_them(digits):
    model = build((64,), 10, 0)
    before = evaluate(model, digits.test)
    trained = train(model, digits.train, TrainSettings(epochs=8, learning_rate=0.3), 1)
    after = evaluate(model, digits.test)
    assert trained.steps == 8 * 41
    assert trained.finite
    assert before.accuracy < 0.3 < 0.9 < after.accuracy
    assert after.loss < before.loss


def test_the_same_seed_gives_the_same_bytes(digits):
    def digest(seed):
        model = build((64,), 10, 0)
        train(model, digits.train, TrainSettings(epochs=1), seed)
        return hashlib.sha256(canonical_bytes(to_vector(model))).hexdigest()

    assert digest(4) == digest(4) != digest(5)


def test_dropout_repeats_and_leaves_the_global_generator_alone(digits):
    def run():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 16), nn.Dropout(0.5), nn.Linear(16, 10))
        from_vector(model, np.linspace(-1, 1, len(to_vector(model)), dtype=np.float32))
        torch.rand(np.random.default_rng().integers(1, 9))  # whatever was drawn before
        train(model, digits.train, TrainSettings(epochs=1), 3)
        return canonical_bytes(to_vector(model))

    assert run() == run()


def test_it_is_plain_sgd():
    dataset = Dataset(np.array([[1.0, 2.0]], np.float32), np.array([1]), ("a", "b"))
    model = nn.Linear(2, 2, bias=False)
    from_vector(model, np.zeros(4, np.float32))
    train(model, dataset, TrainSettings(epochs=1, batch_size=1, learning_rate=1.0), 0)
    # gradient of cross-entropy at zero logits: (softmax - onehot) x' = [[.5, 1], [-.5, -1]]
    assert to_vector(model).tolist() == [-0.5, -1.0, 0.5, 1.0]


def test_every_row_is_met_once_an_epoch():
    dataset = Dataset(np.eye(10, dtype=np.float32), np.zeros(10, np.int64), ("a", "b"))
    model = nn.Linear(10, 2, bias=False)
    from_vector(model, np.zeros(20, np.float32))
    train(model, dataset, TrainSettings(epochs=1, batch_size=4, learning_rate=1.0), 0)
    moved = to_vector(model)[:10]
    assert (moved > 0).all()


def test_draws_differ_by_seed_peer_and_version():
    seeds = {draw_seed(seed, peer, version) for seed in (0, 1) for peer in (-1, 0, 1) for version in (0, 1, 2)}
    assert len(seeds) == 18
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert draw_seed(0, 1, 2) == draw_seed(0, 1, 2)


def test_diverged_training_reports_and_does_not_raise(digits):
    model = build((64,), 10, 0)
    trained = train(model, digits.train, TrainSettings(learning_rate=1e30), 0)
    assert not trained.finite
    after = evaluate(model, digits.test)
    assert after.correct == 0
    assert not np.isfinite(after.loss)


def test_a_last_batch_of_one_row_does_not_break_batchnorm():
    dataset = Dataset(np.random.default_rng(0).random((9, 3), np.float32), np.arange(9) % 2, ("a", "b"))
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    assert train(model, dataset, TrainSettings(epochs=2, batch_size=4), 0).steps == 4


def test_frozen_and_unused_parameters_stay():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused, self.frozen = nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(3, 3)
            self.frozen.requires_grad_(False)

        def forward(self, x):
            return self.used(self.frozen(x))

    dataset = Dataset(np.ones((8, 3), np.float32), np.zeros(8, np.int64), ("a", "b"))
    model = Odd()
    before = to_vector(model)
    train(model, dataset, TrainSettings(), 0)
    changed = to_vector(model) != before
    assert changed[:8].any()
    assert not changed[8:].any()


def test_nothing_to_train_on_is_reported():
    empty = Dataset(np.zeros((0, 3), np.float32), np.zeros(0, np.int64), ("a", "b"))
    model = nn.Linear(3, 2)
    assert not train(model, empty, TrainSettings(), 0).finite
    assert evaluate(model, empty).accuracy == 0.0


def test_evaluation_keeps_the_mode():
    model = nn.Linear(3, 2)
    dataset = Dataset(np.zeros((4, 3), np.float32), np.zeros(4, np.int64), ("a", "b"))
    for mode in (True, False):
        model.train(mode)
        evaluate(model, dataset)
        assert model.training is mode
