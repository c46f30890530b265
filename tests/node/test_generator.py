"""The conditional generator: an exact likelihood, classes that do not pull at each other, rows for labels one lacks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import LowRankMultivariateNormal

from peerage.config_checks import check_federation
from peerage.config_toml import parse_federation
from peerage.learning import trainer
from peerage.learning.balancing import batches, expected
from peerage.learning.data import Dataset
from peerage.learning.generator import Generator, load_generator
from peerage.learning.model import build, from_vector, layout, save_safetensors, to_vector
from peerage.learning.objective import objective
from peerage.learning.scoring import path_gradient
from peerage_crypto.errors import InputError

NAMES = ("a", "b", "c")


def generator(seed: int = 0, width: int = 12) -> Generator:
    torch.manual_seed(seed)
    made = Generator((width,), 3)
    with torch.no_grad():
        made.mean.normal_()
        made.log_variance.uniform_(-2, 0)
    return made


def rows(counts: tuple[int, ...], width: int = 12, seed: int = 0) -> Dataset:
    labels = np.repeat(np.arange(3), counts)
    draws = np.random.default_rng(seed)
    features = draws.normal(scale=0.3, size=(len(labels), width)).astype(np.float32)
    features[np.arange(len(labels)), labels] += 1
    return Dataset(features, labels, NAMES)


def test_what_it_says_of_a_row_is_the_density_of_a_normal_distribution_of_low_rank() -> None:
    made = generator().double()
    some = torch.randn(7, 12, dtype=torch.float64)
    with torch.no_grad():
        variance = made.log_variance.exp()[:, None].expand(3, 12)
        exact = LowRankMultivariateNormal(made.mean, made.spread, variance).log_prob(some[:, None])
        assert torch.allclose(made(some), exact, atol=1e-9)


def test_samples_have_the_mean_and_the_spread_of_their_class() -> None:
    made = generator(width=6)
    with torch.no_grad():
        found = made.sample(np.full(200_000, 1), np.random.default_rng(0)).numpy()
        spread = (made.spread[1] @ made.spread[1].T + made.log_variance[1].exp() * torch.eye(6)).numpy()
        assert found.mean(axis=0) == pytest.approx(made.mean[1].numpy(), abs=0.02)
    assert np.cov(found.T) == pytest.approx(spread, abs=0.02)


def test_rows_of_one_class_move_the_numbers_of_that_class_alone() -> None:
    made, mine = generator(), rows((0, 40, 0))
    before = {name: entry.clone() for name, entry in made.state_dict().items()}
    trainer.train(made, mine, trainer.TrainSettings(2, 8, 0.1), 1)
    for name, entry in made.state_dict().items():
        assert torch.equal(entry[0], before[name][0]), name
        assert torch.equal(entry[2], before[name][2]), name
        assert not torch.equal(entry[1], before[name][1]), name


def test_each_class_of_a_batch_weighs_alike_however_many_rows_it_has() -> None:
    made, many, one = generator(), rows((30, 0, 0)), rows((0, 1, 0))
    one_each = sum(objective(made, *tensors(part)).item() for part in (many, one))
    both = Dataset(np.concatenate([many.features, one.features]), np.concatenate([many.labels, one.labels]), NAMES)
    assert objective(made, *tensors(both)).item() == pytest.approx(one_each, rel=1e-5)


def tensors(part: Dataset) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(part.features), torch.from_numpy(part.labels)


def test_a_peer_that_pushes_its_numbers_as_far_as_clips_allow_breaks_no_other() -> None:
    made, some = generator(), rows((5, 5, 5))
    for far in (300.0, -300.0):  # clip after clip in one direction
        vector = to_vector(made)
        vector[entries(made)] = far
        vector[: made.spread.numel() + made.mean.numel()] = far  # all directions are one
        from_vector(made, vector)
        assert np.isfinite(trainer.evaluate(made, some).loss)
        assert np.isfinite(path_gradient(made, vector, np.ones_like(vector), some)).all()


def test_it_is_trained_and_tells_classes_apart() -> None:
    made = build((12,), 3, 0, made=lambda: Generator((12,), 3))
    trainer.train(made, rows((200, 200, 200)), trainer.TrainSettings(5, 32, 0.1), 0)
    assert trainer.evaluate(made, rows((50, 50, 50), seed=1)).accuracy > 0.95


def test_a_round_is_measured_by_the_generators_own_loss() -> None:
    """Shares along the path add up to the gain; the noise's variance, which weighs the loss, is held still here."""
    made, validation = generator().double(), rows((5, 9, 2))
    features, labels = tensors(validation)
    start = to_vector(made)
    step = np.random.default_rng(0).normal(scale=1e-2, size=start.size).astype(np.float32)
    step[entries(made)] = 0
    losses: list[float] = []
    for vector in (start.astype(np.float64), start.astype(np.float64) + step):
        from_vector(made, vector)
        losses.append(objective(made, features.double(), labels).item())
    shares = path_gradient(made, start, step, validation) @ step
    assert shares == pytest.approx(losses[0] - losses[1], rel=1e-3)


def entries(made: Generator) -> np.ndarray:
    """(d,) True where the vector holds the noise's variance."""
    return np.concatenate([np.full(e.numel(), name == "log_variance") for name, e in made.state_dict().items()])


def drawn(mine: Dataset, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    settings = trainer.TrainSettings(1, 25, 0.1, augment="generated", generator=generator())
    pairs = list(batches(mine, settings, torch.Generator().manual_seed(seed), np.random.default_rng(seed)))
    return torch.cat([x for x, _ in pairs]).numpy(), torch.cat([y for _, y in pairs]).numpy()


def test_labels_that_a_peer_lacks_are_met_as_often_as_its_own_and_own_rows_come_first() -> None:
    mine = rows((900, 10, 0))
    features, labels = drawn(mine)
    assert len(labels) == len(mine)
    assert np.bincount(labels) / len(labels) == pytest.approx(expected(mine.class_counts(), "generated"), abs=0.05)
    known = {row.tobytes() for row in mine.features}
    own = np.array([row.tobytes() in known for row in features])
    assert own[labels == 0].all()  # 900 rows reach for a third of 910
    assert own[labels == 1].sum() == 10
    assert not own[labels == 2].any()
    assert mine.features.min() <= features.min() <= features.max() <= mine.features.max()
    again, other = drawn(mine), drawn(mine, seed=6)
    assert np.array_equal(features, again[0])
    assert not np.array_equal(features, other[0])


def test_a_generator_of_other_rows_is_refused_by_name_and_shape(tmp_path: Path) -> None:
    made = generator()
    save_safetensors(tmp_path / "g.safetensors", layout(made), to_vector(made))
    back = load_generator(tmp_path / "g.safetensors", rows((5, 5, 5)))
    assert np.array_equal(to_vector(back), to_vector(made))
    with pytest.raises(InputError, match=r"has mean of shape \(3, 12\), and the model of these settings \(3, 9\)"):
        load_generator(tmp_path / "g.safetensors", rows((5, 5, 5), width=9))
    with pytest.raises(InputError, match="rows of two numbers"):
        Generator((1,), 3)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('training = { augment = "generated" }', "needs a generator"),
        ('training = { generator = "runs/g" }', 'choose augment = "generated"'),
        ('model = { kind = "generator" }\ntraining = { augment = "mixup" }', "learns each class by itself"),
        ('model = { kind = "generator" }\ntraining = { logit_adjustment = 1.0 }', "learns each class by itself"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(lines: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_federation(f"peers = 4\n{lines}\n", where="f.toml")


def test_drawing_without_a_generator_is_refused_by_the_draw_too() -> None:
    settings = replace(trainer.TrainSettings(), augment="generated")
    with pytest.raises(InputError, match="needs training"):
        list(batches(rows((5, 5, 5)), settings, torch.Generator(), np.random.default_rng(0)))
    check_federation(parse_federation('model = { kind = "generator" }', where="f.toml"))
