"""Splits are stratified, seeded and disjoint; sources and sizes are refused in a sentence."""

import sys
from pathlib import Path

import numpy as np
import pytest

from peerage.learning.data import Dataset, Splits, carve, load, public_slice, random_labels, refuse_small, split
from peerage.learning.data_digits import digits
from peerage_crypto.errors import InputError


def rows(count=40, classes=2):
    labels = np.arange(count) % classes
    return Dataset(np.arange(count, dtype=np.float32)[:, None], labels, tuple("ab"[:classes]))


def test_digits_are_complete_and_need_no_heavy_import():
    before = "sklearn.datasets" in sys.modules
    dataset = digits()
    assert dataset.features.shape == (1797, 64)
    assert dataset.features.dtype == np.float32
    assert (dataset.features.min(), dataset.features.max()) == (0.0, 1.0)
    assert dataset.class_counts().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert ("sklearn.datasets" in sys.modules) == before


def test_digits_are_what_scikit_learn_loads():
    from sklearn.datasets import load_digits

    features, labels = load_digits(return_X_y=True)
    assert np.array_equal(digits().features * 16, features.astype(np.float32))
    assert np.array_equal(digits().labels, labels)


def test_digits_split_in_declared_shares():
    splits = load("digits", seed=0)
    assert splits.validation is not None
    assert (len(splits.train), len(splits.test), len(splits.validation)) == (1294, 359, 144)


def test_a_split_is_disjoint_stratified_and_follows_its_seed():
    rest, carved = carve(rows(), 0.25, 7, "test")
    assert sorted([*rest.features[:, 0], *carved.features[:, 0]]) == list(range(40))
    assert carved.class_counts().tolist() == [5, 5]
    assert np.array_equal(carve(rows(), 0.25, 7, "test")[1].features, carved.features)
    assert not np.array_equal(carve(rows(), 0.25, 8, "test")[1].features, carved.features)
    assert not np.array_equal(carve(rows(), 0.25, 7, "validation")[1].features, carved.features)


def test_a_class_of_one_row_stays_in_training():
    lonely = Dataset(np.zeros((11, 1), np.float32), np.array([0] * 10 + [1]), ("a", "b"))
    rest, _ = carve(lonely, 0.5, 0, "test")
    assert rest.class_counts().tolist() == [5, 1]


def test_the_public_slice_is_taken_from_training_rows_and_bounded():
    splits = public_slice(split(rows(20_000), 0), 0)
    assert splits.validation is not None
    assert len(splits.validation) == 400
    together = [*splits.train.features[:, 0], *splits.test.features[:, 0], *splits.validation.features[:, 0]]
    assert sorted(together) == list(range(20_000))


def test_small_peers_are_named():
    refuse_small([("peer-01", 2), ("peer-02", 300)])
    with pytest.raises(InputError, match=r"peer-02 \(1\), peer-03 \(0\)"):
        refuse_small([("peer-01", 9), ("peer-02", 1), ("peer-03", 0)])


def test_random_labels_keep_the_records_and_the_seed():
    wrong = random_labels(rows(), 3)
    assert np.array_equal(wrong.features, rows().features)
    assert 5 < (wrong.labels != rows().labels).sum() < 35
    assert np.array_equal(wrong.labels, random_labels(rows(), 3).labels)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("digitz", "not a data source"),
        ("mnist:few", "mnist:N"),
        ("nowhere.py:make", "no file"),
        ("no_such_module_here:make", "no module 'no_such_module_here'"),
        ("math:nothing", "no function or class 'nothing'"),
        ("csv:x.csv", "schema"),
    ],
)
def test_a_wrong_source_is_one_sentence(source, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        load(source, 0, folder=tmp_path)


def test_labels_outside_the_classes_are_refused():
    with pytest.raises(InputError, match="reach from 0 to 2"):
        Dataset(np.zeros((3, 1), np.float32), np.array([0, 1, 2]), ("a", "b"))
    with pytest.raises(InputError, match="do not belong together"):
        Dataset(np.zeros((3, 1), np.float32), np.array([0, 1]), ("a", "b"))


@pytest.mark.parametrize("body", ["(x, y)", "Dataset(x, y, ('0', '1'))"])
def test_own_data_from_a_file(tmp_path: Path, body):
    (tmp_path / "own.py").write_text(
        "import numpy as np\nfrom peerage.learning.data import Dataset\n"
        "def make():\n    x = np.ones((20, 3), np.float32)\n    y = np.arange(20) % 2\n"
        f"    return {body}\n"
    )
    splits = load("own.py:make", 0, folder=tmp_path)
    assert isinstance(splits, Splits)
    assert (len(splits.train), len(splits.test), splits.validation) == (16, 4, None)


def test_own_data_of_the_wrong_kind_or_that_fails(tmp_path: Path):
    (tmp_path / "own.py").write_text("def make():\n    return 'rows'\n")
    with pytest.raises(InputError, match="returned str"):
        load("own.py:make", 0, folder=tmp_path)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(InputError, match=r"broken.py does not import: ZeroDivisionError"):
        load("broken.py:make", 0, folder=tmp_path)
