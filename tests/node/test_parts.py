"""A part of the model is exchanged, the rest stays or is frozen: what is in the vector, and what nobody else sees."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from peerage.config_toml import parse_federation
from peerage.effects import Measure, Train
from peerage.learning.architectures import first_model
from peerage.learning.data import load
from peerage.learning.learner import Learner, rows_of
from peerage.learning.model import (
    floats,
    from_vector,
    frozen_entries,
    layout,
    layout_hash,
    parameter_mask,
    personal_entries,
    save_safetensors,
    size,
    to_vector,
)
from peerage.learning.parts import frozen_digest, learning_only, load_own, save_own
from peerage.learning.personal import own_kind, under_heads
from peerage.learning.trainer import TrainSettings, evaluate, train
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

HEAD = '[model]\nlocal = ["head"]\n[scores]\nopenings = "off"\n'


def federation(lines: str, **top: Any) -> Any:
    head = "".join(f"{name} = {value}\n" for name, value in top.items())
    return parse_federation(f"peers = 3\n{head}" + lines, where="here")


def model_of(lines: str, **top: Any) -> nn.Module:
    return first_model(federation(lines, **top), (64,), 10)


def bytes_of(entries: list[tuple[str, torch.Tensor]]) -> dict[str, bytes]:
    return {name: entry.detach().numpy().tobytes() for name, entry in entries}


# -- what is in the vector ---------------------------------------------------------------------------------------------


def test_a_head_that_stays_is_in_no_vector() -> None:
    model, whole = model_of(HEAD), model_of("")
    assert [name for name, _ in layout(model)] == ["1.weight", "1.bias"]
    assert [name for name, _ in personal_entries(model)] == ["3.weight", "3.bias"]
    assert len(to_vector(model)) == size(layout(model)) == 64 * 64 + 64
    assert np.array_equal(to_vector(model), to_vector(whole)[: 64 * 64 + 64])  # the first model is the same
    assert parameter_mask(model).all()
    before = bytes_of(personal_entries(model))
    from_vector(model, np.zeros(size(layout(model)), np.float32))
    assert bytes_of(personal_entries(model)) == before
    assert layout_hash(layout(model)) != layout_hash(layout(whole))


@pytest.mark.parametrize(
    ("local", "stays"),
    [('["head"]', ["3.weight", "3.bias"]), ('["1.*"]', ["1.weight", "1.bias"]), ('["*.bias"]', ["1.bias", "3.bias"])],
)
def test_names_with_stars_choose_what_stays(local: str, stays: list[str]) -> None:
    model = model_of(f'[model]\nlocal = {local}\n[scores]\nopenings = "off"\n')
    assert [name for name, _ in personal_entries(model)] == stays


@pytest.mark.parametrize("kind", ["linear", "cnn", "gru", "transformer"])
def test_every_built_in_model_but_a_single_layer_has_a_head(kind: str) -> None:
    lines = f'[model]\nkind = "{kind}"\nlocal = ["head"]\n[scores]\nopenings = "off"\n'
    if kind == "linear":
        with pytest.raises(InputError, match="leaves nothing to exchange"):
            model_of(lines)
        return
    shapes = {tuple(entry.shape) for _, entry in personal_entries(model_of(lines))}
    assert any(shape[0] == 10 for shape in shapes)


def test_what_stays_can_be_learnt_first_and_alone() -> None:
    model, rows = model_of(HEAD), load("digits", 0).train
    trunk, head = to_vector(model), bytes_of(personal_entries(model))
    with learning_only(model, personal=True):
        train(model, rows, TrainSettings(epochs=1), 0)
    assert np.array_equal(to_vector(model), trunk)
    assert bytes_of(personal_entries(model)) != head
    head = bytes_of(personal_entries(model))
    with learning_only(model, personal=False):
        train(model, rows, TrainSettings(epochs=1), 0)
    assert not np.array_equal(to_vector(model), trunk)
    assert bytes_of(personal_entries(model)) == head
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_correction_moves_nothing_that_stays() -> None:
    """SCAFFOLD's is a vector of what is exchanged: a head must not be pushed by its own weights."""
    rows, still = load("digits", 0).train, TrainSettings(epochs=1, learning_rate=1e-30)
    model = model_of(HEAD)
    before = bytes_of(personal_entries(model))
    train(model, rows, still, 0, np.ones(size(layout(model)), np.float32))
    assert bytes_of(personal_entries(model)) == before


# -- adapters ----------------------------------------------------------------------------------------------------------


def test_adapters_begin_as_their_base_and_only_they_and_the_last_layer_are_exchanged() -> None:
    adapted, base = model_of("[model]\nadapters = 2\n"), model_of("")
    rows = load("digits", 0).test
    assert dict(layout(adapted)) == {"1.down": (2, 64), "1.up": (64, 2), "3.weight": (10, 64), "3.bias": (10,)}
    assert [name for name, _ in frozen_entries(adapted)] == ["1.base.weight", "1.base.bias"]
    assert evaluate(adapted.eval(), rows) == evaluate(base.eval(), rows)
    before = bytes_of(frozen_entries(adapted))
    train(adapted, load("digits", 0).train, TrainSettings(epochs=1), 0)
    assert bytes_of(frozen_entries(adapted)) == before
    assert evaluate(adapted, rows) != evaluate(base, rows)


def test_who_has_another_base_has_another_layout(tmp_path: Path) -> None:
    """Nobody sends the base, so its bytes are in what sessions are bound to."""
    other = model_of("", seed=9)
    save_safetensors(tmp_path / "base.safetensors", layout(other), to_vector(other))
    ours = model_of("[model]\nadapters = 2\n")
    theirs = model_of(f'[model]\nadapters = 2\nbase = "{tmp_path}/base.safetensors"\n')
    assert bytes_of(frozen_entries(theirs))["1.base.weight"] == bytes_of(floats(other))["1.weight"]
    assert layout(ours) == layout(theirs)
    assert layout_hash(layout(ours), frozen_digest(ours)) != layout_hash(layout(theirs), frozen_digest(theirs))
    assert frozen_digest(model_of("")) == b""  # without adapters nothing changes


def test_an_adapter_may_have_a_head_that_stays() -> None:
    both = model_of('[model]\nadapters = 2\nlocal = ["head"]\n[scores]\nopenings = "off"\n')
    assert [name for name, _ in layout(both)] == ["1.down", "1.up"]
    assert [name for name, _ in personal_entries(both)] == ["3.weight", "3.bias"]


# -- a peer ------------------------------------------------------------------------------------------------------------


def learner(settings: Any, own: Path | None, index: int = 0) -> tuple[Learner, SimpleQueue[Any]]:
    done: SimpleQueue[Any] = SimpleQueue()
    return Learner(settings, rows_of(settings, index, "honest"), index, "honest", done.put, own=own), done


def test_a_peer_that_comes_back_has_its_head(tmp_path: Path) -> None:
    settings, own = federation(HEAD), tmp_path / "peer-01.model.safetensors"
    first, done = learner(settings, own)
    first.submit(Train(first.initial, 1))
    done.get(timeout=60)
    first.close()
    again, _ = learner(settings, own)
    again.close()
    assert bytes_of(personal_entries(again.model)) == bytes_of(personal_entries(first.model))
    assert bytes_of(personal_entries(again.model)) != bytes_of(personal_entries(model_of(HEAD)))
    assert np.array_equal(to_vector(again.model), first.initial)  # the trunk comes from its peers


def test_a_model_without_a_head_of_its_own_is_not_kept(tmp_path: Path) -> None:
    one, done = learner(federation(""), tmp_path / "peer-01.model.safetensors")
    one.submit(Train(one.initial, 1))
    done.get(timeout=60)
    one.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("heads", [0, 1])
def test_the_head_is_learnt_together_or_first(heads: int, tmp_path: Path) -> None:
    settings = federation(HEAD + f"[training]\nhead_epochs = {heads}\n")
    one, done = learner(settings, tmp_path / "own")
    one.submit(Train(one.initial, 1))
    trained = done.get(timeout=60)
    one.close()
    assert trained.model.size == one.initial.size
    assert not np.array_equal(trained.model, one.initial)
    assert bytes_of(personal_entries(one.model)) != bytes_of(personal_entries(model_of(HEAD)))


def test_a_path_gradient_is_measured_under_the_peers_own_head(tmp_path: Path) -> None:
    lines = '[model]\nlocal = ["head"]\n[data]\nvalidation = "private"\npartition = "iid"\n'
    settings = parse_federation("peers = 12\n" + lines, where="here")
    one, done = learner(settings, tmp_path / "own")
    step = np.full(one.initial.size, 1e-3, np.float32)
    asked = Measure(bytes(32), 1, one.initial, step, bytes(32))
    one.submit(asked)
    first = done.get(timeout=60)
    one.submit(Train(one.initial, 1))
    done.get(timeout=60)
    one.submit(asked)
    assert not np.array_equal(done.get(timeout=60).units, first.units)
    one.close()


# -- the final model ---------------------------------------------------------------------------------------------------


def test_the_final_trunk_is_judged_under_each_head_on_its_kind_of_rows(tmp_path: Path) -> None:
    settings = federation(HEAD + '[data]\npartition = "shards:2"\n')
    splits, net = load("digits", 0), first_model(settings, (64,), 10)
    trunk = to_vector(net)
    kinds = own_kind(splits, settings)
    assert all(len(set(kind.labels.tolist())) < 10 for kind in kinds)

    def head(name: str) -> Path:
        return tmp_path / f"{name}.safetensors"

    first, quality, own = under_heads(net, trunk, splits, settings, head)
    for index, name in enumerate(settings.peer_names()):
        mine = first_model(settings, (64,), 10)
        with learning_only(mine, personal=True):
            train(mine, rows_of(settings, index, "honest").own, TrainSettings(epochs=4), 0)
        save_own(mine, head(name))
    better, said, found = under_heads(net, trunk, splits, settings, head)
    assert better > first + 0.3
    assert sum(one.rows for one in said.by_class.values()) == sum(len(kind) for kind in kinds)
    assert {name: rows for name, (rows, _) in found.items()} == {name: rows for name, (rows, _) in own.items()}
    assert quality.by_class.keys() == said.by_class.keys()


def test_a_kept_model_of_another_shape_is_refused(tmp_path: Path) -> None:
    save_own(model_of(HEAD, seed=1), tmp_path / "own")
    wide = model_of('[model]\nhidden = 32\nlocal = ["head"]\n[scores]\nopenings = "off"\n')
    with pytest.raises(InputError, match=r"has 3\.weight of shape \(10, 64\), and the model of"):
        load_own(wide, tmp_path / "own")


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ('[model]\nlocal = ["head"]\n', 'choose data.validation = "private", or scores.openings = "off"'),
        ('[model]\nlocal = ["tail"]\n[scores]\nopenings = "off"\n', 'model.local = "tail" fits no tensor'),
        ('[model]\nlocal = ["*"]\n[scores]\nopenings = "off"\n', r'local = \["head"\] keeps the last layer only'),
        ("[training]\nhead_epochs = 1\n", r'set model.local = \["head"\]'),
        (HEAD + '[training]\nhead_epochs = 1\nfunction = "a:b"\n', "leave it or training.function out"),
        ('[model]\nbase = "x.safetensors"\n', "set model.adapters to their rank"),
        ('[model]\nbase = "/no/where.safetensors"\nadapters = 2\n', "cannot be read as safetensors"),
        ("[model]\nadapters = 65\n", "is no low rank for a layer of 64"),
        ('[model]\nkind = "linear"\nadapters = 2\n', "needs a linear layer before the last one"),
        ('[model]\nkind = "cnn"\nnorm = "batch"\nadapters = 2\n', 'choose norm = "group"'),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(lines: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        model_of(lines)
