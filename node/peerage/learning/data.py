"""What a peer learns from: records with class labels, split into training, test and declared public validation rows.

Every split is drawn from the federation's seed, so all peers of one machine cut the same file the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from peerage.learning.factory import is_factory, load_factory
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from peerage.learning.data_csv import Schema

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
VALIDATION_MOST = 400  # every peer reads the slice three times a round to check g: rows cost all of them
SOURCES = ("digits", "mnist", "csv:PATH", "npz:PATH", "folder:PATH", "module:factory")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of one owner. A missing number is NaN until the federation's standardiser has filled it (data_csv)."""

    features: NDArray[np.float32]  # (n, ...)
    labels: NDArray[np.int64]  # (n,) in 0..len(classes)-1
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.features.ndim < 2 or self.labels.ndim != 1 or len(self.features) != len(self.labels):
            raise InputError(f"features {self.features.shape} and labels {self.labels.shape} do not belong together.")
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise InputError(
                f"labels reach from {self.labels.min()} to {self.labels.max()}, classes are {len(self.classes)}."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.features.shape[1:]

    def take(self, rows: NDArray[np.int64]) -> Dataset:
        return Dataset(self.features[rows], self.labels[rows], self.classes)

    def class_counts(self) -> NDArray[np.int64]:
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Splits:
    """`validation` is public by declaration (a sponsor's file, a donation): None where nobody has declared one."""

    train: Dataset
    test: Dataset
    validation: Dataset | None


def load(
    source: str,
    seed: int,
    *,
    data_dir: str = "",
    schema: Schema | None = None,
    validation_file: str = "",
    folder: Path | None = None,
    public: bool = True,
    classes: tuple[str, ...] = (),
) -> Splits:
    """The rows behind a federation's `data.source`. `schema` (data_csv.csv_schema) is needed for csv alone; `classes`
    are those agreed for arrays and folders, whose owner may lack one.

    `public` says whether a public data set gives a slice for validation; without it the slice is trained on.
    """
    if source == "digits":
        from peerage.learning.data_digits import digits  # noqa: PLC0415

        return public_slice(split(digits(), seed), seed) if public else split(digits(), seed)
    if source == "mnist" or source.startswith("mnist:"):
        from peerage.learning.data_mnist import mnist  # noqa: PLC0415

        train, test = mnist(Path(data_dir or "."), _first(source))
        whole = Splits(train, test, None)
        return public_slice(whole, seed) if public else whole
    if source.startswith("csv:"):
        from peerage.learning.data_csv import read_csv  # noqa: PLC0415

        if schema is None:
            raise InputError("a csv source needs the agreed schema of its columns.")
        splits = split(read_csv(Path(source.removeprefix("csv:")), schema), seed)
        if not validation_file:
            return splits
        return Splits(splits.train, splits.test, read_csv(Path(validation_file), schema))
    if source.startswith(("npz:", "folder:")):
        return _files(source, seed, classes, validation_file)
    if is_factory(source):
        return _own(source, seed, folder)
    raise InputError(f"{source!r} is not a data source: use one of {', '.join(SOURCES)}.")


def split(dataset: Dataset, seed: int, test_share: float = TEST_SHARE) -> Splits:
    """Training and test rows, every class in the same proportion in both."""
    train, test = carve(dataset, test_share, seed, "test")
    return Splits(train, test, None)


def public_slice(splits: Splits, seed: int, share: float = VALIDATION_SHARE) -> Splits:
    """Declares `share` of the training rows public: they are for scoring and belong to nobody's training set.

    Used for data sets that are public anyway, and for a donor's own rows; never for rows that nobody has offered.
    """
    share = min(share, VALIDATION_MOST / max(1, len(splits.train)))
    train, validation = carve(splits.train, share, seed, "validation")
    return Splits(train, splits.test, validation)


def carve(dataset: Dataset, share: float, seed: int, purpose: str) -> tuple[Dataset, Dataset]:
    """(rest, carved): `share` of each class at random, rounded so that the total is right; a class of one row stays."""
    draws = np.random.default_rng([seed, *purpose.encode()])
    carved = np.zeros(len(dataset), dtype=bool)
    owed = 0.0
    for label in range(len(dataset.classes)):
        rows = draws.permutation(np.flatnonzero(dataset.labels == label))
        owed += share * len(rows)
        count = min(round(owed), max(0, len(rows) - 1))
        owed -= count
        carved[rows[:count]] = True
    return dataset.take(np.flatnonzero(~carved)), dataset.take(np.flatnonzero(carved))


def refuse_small(sizes: Sequence[tuple[str, int]], least: int = 2) -> None:
    """Peers that cannot train are named before anything starts: an update from one row would be that row."""
    small = [f"{name} ({rows})" for name, rows in sizes if rows < least]
    if small:
        raise InputError(
            f"too few training rows, at least {least} are needed: {', '.join(small)}. "
            "Give them more rows, use fewer peers or a milder partition."
        )


def random_labels(dataset: Dataset, seed: int) -> Dataset:
    """The poisoner of the demo: right records, labels from a hat."""
    labels = np.random.default_rng([seed, *b"random-labels"]).integers(len(dataset.classes), size=len(dataset))
    return Dataset(dataset.features, labels.astype(np.int64), dataset.classes)


def _first(source: str) -> int | None:
    _, _, count = source.partition(":")
    if not count:
        return None
    if not count.isdecimal() or int(count) < 10:
        raise InputError(f"{source!r}: write mnist, or mnist:N for the first N >= 10 training records.")
    return int(count)


def _files(source: str, seed: int, classes: tuple[str, ...], validation_file: str) -> Splits:
    """Arrays or pictures; the owner's own test rows where there are some."""
    from peerage.learning.data_arrays import read_arrays  # noqa: PLC0415
    from peerage.learning.data_folder import read_folder  # noqa: PLC0415

    kind, _, path = source.partition(":")
    read = read_arrays if kind == "npz" else read_folder
    rows, test = read(Path(path), classes)
    splits = split(rows, seed) if test is None else Splits(rows, test, None)
    if not validation_file:
        return splits
    validation, _ = read(Path(validation_file), rows.classes)
    if validation.input_shape != rows.input_shape:
        raise InputError(f"{validation_file} has rows of shape {validation.input_shape}, not {rows.input_shape}.")
    return Splits(splits.train, splits.test, validation)


def _own(source: str, seed: int, folder: Path | None) -> Splits:
    """A factory returns Splits, a Dataset, or (features, labels) with labels 0..C-1."""
    made = load_factory(source, folder)()
    if isinstance(made, Splits):
        return made
    if isinstance(made, tuple) and len(made) == 2:
        features = np.asarray(made[0], dtype=np.float32)
        labels = np.asarray(made[1], dtype=np.int64)
        made = Dataset(features, labels, tuple(str(label) for label in range(int(labels.max(initial=0)) + 1)))
    if not isinstance(made, Dataset):
        raise InputError(
            f"{source} returned {type(made).__name__}; it should return (features, labels), a Dataset or Splits."
        )
    return split(made, seed)
