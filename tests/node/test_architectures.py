"""The built-in models: one word each, the same bytes for the same seed, and refusals that name what works."""

from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from peerage.config import DataSettings, Federation, MergeSettings, ModelSettings, PrivacySettings
from peerage.config_checks import check_federation
from peerage.config_toml import federation_hash
from peerage.learning.architectures import Transformer, first_model
from peerage.learning.data import Dataset, load
from peerage.learning.data_csv import csv_schema, read_csv, standardise, standardiser, statistics
from peerage.learning.model import canonical_bytes, from_vector, to_vector
from peerage.learning.scoring import path_gradient
from peerage.learning.trainer import TrainSettings, evaluate, train
from peerage_crypto.errors import InputError

TABLE = "size,kind,age,y\n" + "".join(
    f"{n % 7},{'abc'[n % 3]},{n % 5 or ''},{'yes' if n % 3 == 0 else 'no'}\n" for n in range(60)
)


@pytest.fixture(autouse=True)
def _one_thread():
    """As in a peer: on a busy machine two threads of small layers wait for each other far longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def of(**model: object) -> Federation:
    return Federation(model=ModelSettings(**model))  # type: ignore[arg-type]


def refusal(federation: Federation, shape: tuple[int, ...] = (64,)) -> str:
    with pytest.raises(InputError) as caught:
        _ = check_federation(federation), first_model(federation, shape, 10)
    return str(caught.value)


def table(tmp_path: Path) -> tuple[Federation, Dataset]:
    path = tmp_path / "t.csv"
    path.write_text(TABLE)
    schema = csv_schema(path, "y")
    rows = read_csv(path, schema)
    data = DataSettings(source=f"csv:{path}", label="y", columns=schema.to_json(), classes=schema.classes)
    federation = Federation(data=data, model=ModelSettings(kind="embedding", hidden=8))
    return federation, standardise(rows, standardiser(statistics(rows, schema)))


@pytest.mark.parametrize(
    ("kind", "epochs", "rate", "reached"),
    [("linear", 8, 0.3, 0.85), ("cnn", 4, 0.1, 0.8), ("gru", 8, 0.3, 0.5), ("transformer", 6, 0.1, 0.6)],
)
def test_each_kind_learns_digits_and_is_the_same_bytes_again(
    kind: str, epochs: int, rate: float, reached: float
) -> None:
    splits = load("digits", 0)
    some = splits.train.take(np.arange(600))
    model = first_model(of(kind=kind, hidden=32), (64,), 10)
    train(model, some, TrainSettings(epochs, 16, rate), 7)
    assert evaluate(model, splits.test).accuracy > reached
    vectors = []
    for _ in range(2):
        model = first_model(of(kind=kind, hidden=32), (64,), 10)
        train(model, some.take(np.arange(100)), TrainSettings(1, 16, rate), 7)
        vectors.append(canonical_bytes(to_vector(model)))
    assert vectors[0] == vectors[1]


@pytest.mark.parametrize("kind", ["linear", "cnn", "gru", "transformer"])
def test_what_a_round_is_worth_adds_up_along_the_path_of_any_kind(kind: str) -> None:
    """<step, gbar> is the fall of the loss: the scores' rule holds for each model, in double precision."""
    rows = load("digits", 0).test.take(np.arange(60))
    model = first_model(of(kind=kind, hidden=16), (64,), 10)
    start = to_vector(model)
    train(model, rows, TrainSettings(1, 20, 0.02), 3)
    step = (to_vector(model) - start).astype(np.float32)
    worth = float(step.astype(np.float64) @ path_gradient(model, start, step, rows))
    losses = []
    for vector in (start, start + step):
        from_vector(model, vector)
        losses.append(evaluate(model, rows).loss)
    assert worth == pytest.approx(losses[0] - losses[1], rel=0.02)
    assert worth > 0


def test_another_seed_is_another_model_and_the_hash_of_the_settings_follows_the_kind() -> None:
    one, other = of(kind="cnn"), replace(of(kind="cnn"), seed=1)
    assert not np.array_equal(to_vector(first_model(one, (64,), 10)), to_vector(first_model(other, (64,), 10)))
    assert federation_hash(of(kind="cnn")) != federation_hash(of()) == federation_hash(Federation())


def test_attention_looks_at_places_and_a_permuted_sequence_is_another() -> None:
    torch.manual_seed(0)
    model = Transformer(8, 8, 16, 10).eval()
    rows = torch.randn(1, 64)
    turned = rows.reshape(1, 8, 8).flip(1).reshape(1, 64)
    assert not torch.allclose(model(rows), model(turned), atol=1e-6)
    with torch.no_grad():
        model.places.zero_()
    assert torch.allclose(model(rows), model(turned), atol=1e-5)  # without places it is a bag of steps


def test_an_embedding_is_the_matrix_row_of_its_value_and_of_no_other(tmp_path: Path) -> None:
    federation, rows = table(tmp_path)
    model = first_model(federation, rows.input_shape, 2)
    before = to_vector(model)
    only_a = rows.take(np.flatnonzero(rows.features[:, 2] == 1))  # columns: size, age, kind=a, kind=b, kind=c
    train(model, only_a, TrainSettings(1, 5, 0.1), 0)
    moved = dict(model.named_parameters())["embeddings.0.weight"].detach().numpy().copy()
    from_vector(model, before)
    start = dict(model.named_parameters())["embeddings.0.weight"].detach().numpy().copy()
    assert (moved[:, 0] != start[:, 0]).all()
    assert np.array_equal(moved[:, 1:], start[:, 1:])


@pytest.mark.parametrize(("shape", "logits"), [((64,), 10), ((8, 8), 10), ((3, 12, 9), 4), ((28, 28), 2)])
def test_pictures_may_lie_flat_or_have_colours(shape: tuple[int, ...], logits: int) -> None:
    model = first_model(of(kind="cnn", hidden=8), shape, logits)
    assert model(torch.zeros(2, *shape)).shape == (2, logits)


@pytest.mark.parametrize(("shape", "steps"), [((64,), 0), ((64,), 16), ((12, 3), 0), ((40,), 0), ((40,), 10)])
@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_sequences_may_lie_flat(kind: str, shape: tuple[int, ...], steps: int) -> None:
    model = first_model(of(kind=kind, hidden=6, steps=steps), shape, 3)
    assert model(torch.zeros(2, *shape)).shape == (2, 3)


@pytest.mark.parametrize(
    ("federation", "shape", "says"),
    [
        (of(kind="cnn"), (63,), 'use "perceptron"'),
        (of(kind="cnn"), (3, 3), "4 x 4"),
        (of(kind="gru", steps=10), (64,), "8 would"),
        (of(kind="gru"), (5001,), "longer than 512"),
        (of(kind="linear", steps=8), (64,), 'kind = "gru"'),
        (of(kind="gru", norm="batch"), (64,), 'kind = "cnn"'),
        (of(kind="embedding"), (64,), "csv source"),
        (of(kind="cnn", factory="my.py:net"), (64,), "two models"),
        (replace(of(kind="cnn", norm="batch"), merge=MergeSettings(optimiser="fedadam")), (64,), 'norm = "group"'),
        (replace(of(kind="cnn", norm="batch"), privacy=PrivacySettings(noise=1.0)), (64,), 'norm = "group"'),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(
    federation: Federation, shape: tuple[int, ...], says: str
) -> None:
    assert says in refusal(federation, shape)


def test_running_statistics_of_ones_own_model_are_refused_where_the_merge_would_spoil_them(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from torch import nn\n\ndef build(shape, classes):\n"
        "    return nn.Sequential(nn.Linear(shape[0], 4), nn.BatchNorm1d(4), nn.Linear(4, classes))\n"
    )
    federation = replace(of(factory=f"{mine}:build"), merge=MergeSettings(optimiser="fedyogi"))
    assert "GroupNorm" in refusal(federation)
    first_model(replace(federation, merge=MergeSettings()), (64,), 10)


def test_batch_norm_says_what_it_reveals_and_group_norm_shares_nothing_that_runs() -> None:
    assert any("running means" in warning for warning in check_federation(of(kind="cnn", norm="batch")))
    names = [name for name, _ in first_model(of(kind="cnn"), (64,), 10).state_dict().items()]
    assert not [name for name in names if "running" in name]


def test_the_page_tells_the_sizes_as_they_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    for kind in ("perceptron", "linear", "cnn", "gru", "transformer", "generator"):
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{kind}`")]
        assert int(row.split("|")[-2]) == to_vector(first_model(of(kind=kind), (64,), 10)).size
