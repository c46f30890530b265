"""scikit-learn's digits, 1797 images of 8 x 8, as they lie in its wheel: offline."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np

from peerage.learning.data import Dataset
from peerage_crypto.errors import InputError

WHITE = 16.0  # digits are counts of 0..16


def digits() -> Dataset:
    """(1797, 64) in 0..1.

    The file is read, not `sklearn.datasets`: importing that costs each of many peer processes a second and 60 MB.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise InputError("the digits data set comes with scikit-learn, which is not installed here.")
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if path.is_file():
        with gzip.open(path, "rt", encoding="ascii") as lines:
            table = np.loadtxt(lines, delimiter=",", dtype=np.float32)
        features, labels = table[:, :-1], table[:, -1]
    else:  # the file has moved in a newer release: ask the library
        from sklearn.datasets import load_digits  # noqa: PLC0415

        features, labels = load_digits(return_X_y=True)
    scaled = np.ascontiguousarray(features / WHITE, dtype=np.float32)
    return Dataset(scaled, np.asarray(labels, dtype=np.int64), tuple("0123456789"))
