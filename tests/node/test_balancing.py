"""Local corrections of label skew: what a fine-tune meets is what is declared, the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from msgspec.structs import replace as with_
from torch.nn import functional

from peerage.config import Federation, TrainSettings
from peerage.config_checks import check_federation
from peerage.config_toml import federation_hash
from peerage.learning import trainer
from peerage.learning.balancing import batches, check_pictures, expected, offsets
from peerage.learning.data import Dataset
from peerage.learning.model import build, from_vector, to_vector
from peerage_crypto.errors import InputError

NAMES = ("a", "b", "c", "d")
COUNTS = (400, 80, 20, 0)  # d is a label that this peer has never met
PLAIN = trainer.TrainSettings(1, 25, 0.1)


def skewed() -> Dataset:
    labels = np.repeat(np.arange(4), COUNTS)
    draws = np.random.default_rng(1)
    features = draws.normal(size=(len(labels), 16)).astype(np.float32)
    features[np.arange(len(labels)), labels] += 3
    return Dataset(features, labels, NAMES)


def epoch(rows: Dataset, augment: str, seed: int = 5) -> list[tuple[torch.Tensor, torch.Tensor]]:
    settings = replace(PLAIN, augment=augment)
    return list(batches(rows, settings, torch.Generator().manual_seed(seed), np.random.default_rng(seed)))


def met(drawn: list[tuple[torch.Tensor, torch.Tensor]]) -> np.ndarray:
    return functional.one_hot(torch.cat([labels for _, labels in drawn]), 4).float().mean(dim=0).numpy()


@pytest.mark.parametrize("augment", ["none", "oversample", "mixup", "shifts"])
def test_labels_come_as_often_as_is_expected_of_them_and_no_setting_trains_longer(augment: str) -> None:
    rows = skewed()
    drawn = [batch for seed in range(8) for batch in epoch(rows, augment, seed)]
    assert met(drawn) == pytest.approx(expected(rows.class_counts(), augment), abs=0.02)
    assert sum(len(labels) for _, labels in epoch(rows, augment)) == len(rows)


@pytest.mark.parametrize("augment", ["oversample", "mixup", "shifts"])
def test_the_seed_decides_every_draw(augment: str) -> None:
    rows = skewed()
    one, same, other = (epoch(rows, augment, seed) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for x, y in zip(one, same, strict=True) for a, b in zip(x, y, strict=True))
    assert not all(torch.equal(x[0], y[0]) for x, y in zip(one, other, strict=True))


def test_without_a_correction_training_is_what_it_was() -> None:
    """Bit for bit: shuffled by torch's generator, cross-entropy of the bare logits."""
    rows = skewed()
    model = build((16,), 4, 0)
    start = to_vector(model)
    trainer.train(model, rows, PLAIN, 3)
    trained = to_vector(model)
    from_vector(model, start)
    features, labels = torch.from_numpy(rows.features), torch.from_numpy(rows.labels)
    for some in torch.split(torch.randperm(len(rows), generator=torch.Generator().manual_seed(3)), 25):
        loss = functional.cross_entropy(model(features[some]), labels[some])
        with torch.no_grad():
            for weight, gradient in zip(
                model.parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True
            ):
                weight.sub_(gradient, alpha=0.1)
    assert np.array_equal(trained, to_vector(model))


def test_the_adjustment_is_the_log_of_smoothed_counts_and_of_what_is_met_where_rows_are_drawn() -> None:
    rows = skewed()
    found = offsets(rows, replace(PLAIN, logit_adjustment=2.0))
    assert found is not None
    assert found.numpy() == pytest.approx(2 * np.log((np.array(COUNTS) + 1) / (500 + 4)), rel=1e-5)
    assert offsets(rows, PLAIN) is None
    drawn = offsets(rows, replace(PLAIN, logit_adjustment=1.0, augment="oversample"))
    assert drawn is not None
    assert drawn[:3].tolist() == pytest.approx([drawn[0].item()] * 3)  # alike where they are met
    assert drawn[3] < drawn[0] - 4


def test_a_label_that_was_never_met_is_pushed_down_far_less() -> None:
    rows = skewed()
    fallen = []
    for tau in (0.0, 1.0):
        model = build((16,), 4, 0)
        with torch.no_grad():
            before = model(torch.from_numpy(rows.features))[:, 3].mean().item()
        trainer.train(model, rows, replace(PLAIN, epochs=3, logit_adjustment=tau), 3)
        with torch.no_grad():
            fallen.append(before - model(torch.from_numpy(rows.features))[:, 3].mean().item())
    assert 0 < 3 * fallen[1] < fallen[0]


def test_only_copies_are_mixed_and_only_with_their_own_label() -> None:
    """Rows are their own numbers: a whole number is a row as it is, anything else a copy that lies between two."""
    labels = np.repeat(np.arange(4), COUNTS)
    rows = Dataset(np.arange(500, dtype=np.float32)[:, None], labels, NAMES)
    some = epoch(rows, "mixup")
    features, drawn = (torch.cat([pair[at] for pair in some]).numpy() for at in (0, 1))
    whole = features[:, 0] == np.round(features[:, 0])
    assert len(set(features[whole, 0])) > 0.9 * whole.sum()  # as it is: once each, but for a row mixed with itself
    assert whole[drawn == 0].mean() > 0.7
    assert whole[drawn == 2].sum() <= 20 + 20  # twenty rows drawn some 167 times
    for label, (least, most) in enumerate([(0, 399), (400, 479), (480, 499)]):
        mine = features[drawn == label, 0]
        assert least <= mine.min() <= mine.max() <= most


def test_only_copies_are_moved_a_little_and_keep_their_values() -> None:
    picture = np.zeros((1, 8, 8), np.float32)
    picture[0, 3, 4] = 1
    rows = Dataset(np.repeat(picture.reshape(1, 64), 400, axis=0), np.zeros(400, np.int64), ("a", "b"))
    pictures = torch.cat([features for features, _ in epoch(rows, "shifts")]).reshape(-1, 8, 8)
    places = [tuple(int(at) for at in one.nonzero()[0]) for one in pictures]
    assert set(places) == {(y, x) for y in (2, 3, 4) for x in (3, 4, 5)}
    assert 0.6 < places.count((3, 4)) / 400 < 0.75  # 1 - 1/e are met for the first time, a ninth of the rest stays
    assert pictures.sum(dim=(1, 2)).unique().tolist() == [1.0]


def test_what_is_no_picture_is_not_shifted() -> None:
    assert check_pictures((3, 9, 7)) == (9, 7)
    with pytest.raises(InputError, match='choose "oversample"'):
        check_pictures((63,))


def test_the_settings_are_rules_of_the_federation_and_refuse_a_training_of_ones_own() -> None:
    plain = Federation()
    assert federation_hash(with_(plain, training=TrainSettings(logit_adjustment=1.0))) != federation_hash(plain)
    mine = with_(plain, training=TrainSettings(augment="mixup", function="my.py:train"))
    with pytest.raises(InputError, match="leave one of them out"):
        check_federation(mine)
    every = TrainSettings(
        epochs=3, batch_size=16, learning_rate=0.2, proximal=0.1, logit_adjustment=0.5, augment="mixup"
    )
    assert trainer.settings_of(every) == trainer.TrainSettings(3, 16, 0.2, 0.1, 0.5, "mixup")
