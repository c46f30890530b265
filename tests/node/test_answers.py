"""Distillation: what is exchanged are answers to common questions, and nothing of a peer's own model."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

from peerage.config import Federation
from peerage.config_toml import federation_hash, parse_federation
from peerage.learning.answers import LONGEST, Answering, load_questions
from peerage.learning.architectures import first_model
from peerage.learning.data_digits import digits
from peerage.learning.generator import Generator
from peerage.learning.model import (
    from_vector,
    layout,
    layout_hash,
    perceptron,
    personal_entries,
    save_safetensors,
    to_vector,
)
from peerage.learning.parts import frozen_digest, load_own, save_own
from peerage.learning.trainer import TrainSettings, evaluate, train
from peerage_crypto.errors import InputError


def federation(questions: Path, more: str = "") -> Federation:
    text = f'peers = 4\n[model]\nquestions = "{questions}"\n{more}[scores]\nopenings = "off"\n'
    return parse_federation(text, where="f.toml")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.savez(tmp_path / "q.npz", features=digits().features[:60])
    return tmp_path / "q.npz"


@pytest.fixture
def model(file: Path) -> Answering:
    made = first_model(federation(file), (64,), 10)
    assert isinstance(made, Answering)
    return made


def test_answers_alone_are_in_the_vector_and_the_own_model_may_be_another(model: Answering, file: Path) -> None:
    assert layout(model) == (("answers", (60, 10)),)
    other = first_model(federation(file, 'kind = "cnn"\n'), (64,), 10)
    assert layout_hash(layout(other), frozen_digest(other)) == layout_hash(layout(model), frozen_digest(model))
    assert {name for name, _ in personal_entries(model)} == {f"own.{name}" for name in model.own.state_dict()}


def test_sites_with_models_of_different_kinds_are_one_federation(file: Path) -> None:
    one, other = federation(file), federation(file, 'kind = "cnn"\nhidden = 16\n')
    assert federation_hash(one) == federation_hash(other)
    assert federation_hash(one) != federation_hash(federation(file.with_name("other.npz")))
    with_weights = ('kind = "cnn"\n', "")
    ways = [parse_federation(f"peers = 4\n[model]\n{lines}", where="f.toml") for lines in with_weights]
    assert federation_hash(ways[0]) != federation_hash(ways[1])


def test_who_has_other_questions_is_noticed_before_anything_is_exchanged(model: Answering, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", features=digits().features[1:61])
    other = first_model(federation(tmp_path / "other.npz"), (64,), 10)
    assert layout(other) == layout(model)
    assert layout_hash(layout(other), frozen_digest(other)) != layout_hash(layout(model), frozen_digest(model))


def test_no_change_of_answers_is_longer_than_the_clip(model: Answering) -> None:
    zero, one = np.eye(10, dtype=np.float32)[[0] * 60], np.eye(10, dtype=np.float32)[[1] * 60]
    scale = to_vector(model)[0] * 10
    assert np.linalg.norm(scale * (one - zero)) == pytest.approx(LONGEST, rel=1e-6)


def test_answers_are_probabilities_whatever_was_made_of_them(model: Answering) -> None:
    assert torch.allclose(model.told(), torch.full((60, 10), 0.1))
    model.answer()
    rows = torch.softmax(model.own(model.questions), dim=1)
    assert torch.allclose(model.told(), rows, atol=1e-6)
    overshot = to_vector(model) * 2 - 0.1
    from_vector(model, overshot.astype(np.float32))
    told = model.told()
    assert told.min() > 0
    assert torch.allclose(told.sum(dim=1), torch.ones(60))


def test_before_anybody_answered_nothing_is_studied(model: Answering) -> None:
    before = deepcopy(model.own.state_dict())
    model.study(TrainSettings(), 1)
    assert all(torch.equal(before[name], entry) for name, entry in model.own.state_dict().items())


def test_a_peer_learns_a_class_that_it_never_saw_from_the_answers_of_another(model: Answering) -> None:
    rows = digits()
    few = rows.take(np.flatnonzero(rows.labels < 5)[:300])
    unseen = rows.take(np.flatnonzero(rows.labels >= 5)[:300])
    knows, lacks = deepcopy(model), deepcopy(model)
    train(knows, rows.take(np.arange(900)), TrainSettings(20), 0)
    knows.answer()
    train(lacks, few, TrainSettings(5), 0)
    assert evaluate(lacks, unseen).correct == 0
    from_vector(lacks, to_vector(knows))
    for seed in range(6):
        lacks.study(TrainSettings(), seed)
    assert evaluate(lacks, unseen).accuracy > 0.5


def test_a_peers_own_model_comes_back_and_its_answers_do_not(model: Answering, tmp_path: Path) -> None:
    train(model, digits().take(np.arange(100)), TrainSettings(1), 0)
    model.answer()
    save_own(model, tmp_path / "own")
    again = deepcopy(model)
    for entry in again.own.state_dict().values():
        entry.zero_()
    load_own(again, tmp_path / "own")
    assert all(torch.equal(e, model.own.state_dict()[name]) for name, e in again.own.state_dict().items())


def test_questions_are_drawn_from_a_generator_alike_for_all(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = Generator((64,), 10)
    save_safetensors(tmp_path / "g.safetensors", layout(made), to_vector(made))
    one, same, other = (load_questions(str(tmp_path / "g.safetensors"), (64,), 10, seed) for seed in (1, 1, 2))
    assert one.shape == (400, 64)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_questions_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "narrow.npz", features=np.zeros((5, 9), np.float32))
    with pytest.raises(InputError, match=r"asks rows of shape \(9,\), and peers have \(64,\)"):
        load_questions(str(tmp_path / "narrow.npz"), (64,), 10, 0)
    np.savez(tmp_path / "many.npz", features=np.zeros((5000, 2), np.float32))
    with pytest.raises(InputError, match="5000 questions, more than 4096"):
        load_questions(str(tmp_path / "many.npz"), (2,), 10, 0)
    np.savez(tmp_path / "none.npz", labels=np.zeros(5))
    with pytest.raises(InputError, match="no array 'features'"):
        load_questions(str(tmp_path / "none.npz"), (64,), 10, 0)
    np.savez(tmp_path / "flat.npz", features=np.zeros(5))
    with pytest.raises(InputError, match="are no rows"):
        load_questions(str(tmp_path / "flat.npz"), (64,), 10, 0)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('local = ["head"]\n', "model.local is about weights"),
        ("adapters = 2\n", "model.adapters is about weights"),
        ('start = "x"\n', "model.start is about weights"),
        ('kind = "generator"\n', "asks a classifier"),
        ("[training]\nscaffold = true\n", "corrects by exchanged weights"),
    ],
)
def test_settings_about_weights_are_refused(lines: str, says: str, file: Path) -> None:
    with pytest.raises(InputError, match=says):
        federation(file, lines)


def test_pay_by_score_is_refused_with_the_reason(file: Path) -> None:
    with pytest.raises(InputError, match="nobody can be paid by score"):
        parse_federation(f'peers = 4\n[model]\nquestions = "{file}"\n', where="f.toml")


def test_the_own_classifier_is_any_module() -> None:
    made = Answering(perceptron((3,), 4, 2), torch.zeros(5, 3), 2)
    assert made(torch.zeros(7, 3)).shape == (7, 2)
