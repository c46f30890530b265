"""examples/record_level.py: DP-SGD in place of the plain fine-tune, and a federation that names its own function."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace as with_

from peerage.config import Federation
from peerage.effects import Train, Trained
from peerage.learning.data import load
from peerage.learning.learner import Learner, rows_of
from peerage.learning.model import build, to_vector
from peerage.learning.trainer import TrainSettings, evaluate

EXAMPLE = Path(__file__).parents[2] / "examples" / "record_level.py"
SETTINGS = TrainSettings(epochs=2, batch_size=32, learning_rate=0.5)


@pytest.fixture
def example(tmp_path, monkeypatch):
    if importlib.util.find_spec("opacus") is None:
        pytest.skip("opacus (extra record-level) is not installed")
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("record_level", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows():
    splits = load("digits", 0)
    return splits.train.take(np.arange(200)), splits.test


def test_it_learns_and_leaves_the_model_to_its_caller(example):
    own, test = rows()
    model = build(own.input_shape, 10, 0)
    before, hooks = to_vector(model), [len(m._forward_hooks) + len(m._backward_hooks) for m in model.modules()]
    for _ in range(4):
        example.train(model, own, SETTINGS, 7)
    assert evaluate(model, test).accuracy > 0.3
    assert not np.array_equal(to_vector(model), before)
    assert [len(m._forward_hooks) + len(m._backward_hooks) for m in model.modules()] == hooks


def test_its_noise_does_not_follow_the_seed_that_everybody_knows(example):
    own, _ = rows()
    ends = []
    for _ in range(2):
        model = build(own.input_shape, 10, 0)
        example.train(model, own, SETTINGS, 7)
        ends.append(to_vector(model))
    assert not np.allclose(*ends)


def test_epsilon_composes_over_fine_tunes_and_outlives_a_restart(example):
    own, _ = rows()
    first = example.spend(own, 14, 1 / 7)
    second = example.spend(own, 14, 1 / 7)
    book = json.loads(next(Path("record_level").glob("*.json")).read_text())
    assert 0 < first < second == book["epsilon"]
    assert len(book["history"]) == 2
    fewer = replace(own, features=own.features[:100], labels=own.labels[:100])
    assert example.spend(fewer, 14, 1 / 7) == first  # other rows, another budget


def test_a_gradient_of_one_row_is_clipped(example, monkeypatch):
    """Without noise, one step of one row moves the model by no more than rate * clip / batch."""
    monkeypatch.setattr(example, "NOISE", 0.0)
    monkeypatch.setattr(example, "spend", lambda *_: 0.0)
    own, _ = rows()
    one = replace(own, features=1000 * own.features[:1], labels=own.labels[:1])
    model = build(own.input_shape, 10, 0)
    before = to_vector(model)
    example.train(model, one, TrainSettings(epochs=1, batch_size=1, learning_rate=0.5), 0)
    assert 0 < np.linalg.norm(to_vector(model) - before) <= 0.5 * example.CLIP * 1.001


def test_a_federation_may_name_the_function_that_fine_tunes(tmp_path):
    source = "import torch\n\ndef train(model, rows, settings, seed):\n"
    source += "    with torch.no_grad():\n        for p in model.parameters():\n            p.fill_(0.25)\n"
    (tmp_path / "mine.py").write_text(source)
    federation = Federation(peers=3)
    federation = with_(federation, training=with_(federation.training, function=f"{tmp_path / 'mine.py'}:train"))
    done = []
    learner = Learner(federation, rows_of(federation, 0, "honest"), 0, "honest", done.append)
    found = learner._train(Train(learner.initial, 1))
    learner.close()
    assert isinstance(found, Trained)
    assert set(found.model.tolist()) == {0.25}
