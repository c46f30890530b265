"""Rows as arrays, of any shape (pictures, sequences): one .npz file with features and labels. Never a pickle.

`features` (n, ...) and `labels` (n,); beside them `test_features` and `test_labels` where the owner has cut a test set.
Bytes become 0..1, other numbers stay as they are. Labels are whole numbers from 0, or words.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from math import prod
from typing import IO, TYPE_CHECKING

import numpy as np

from peerage.learning.data import Dataset
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.generic]

LARGEST = 1 << 30  # bytes of one file once unpacked
MOST_AXES = 6
LAST_LETTER = 0x10FFFF
MOST_CLASSES = 1000
MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 1 << 12
HEADER = re.compile(
    r"\{'descr': '(?P<descr>[^']{1,40})', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(?:\d{1,18}, ?)*(?:\d{1,18},?)?)\), \}\s*"
)
KINDS = re.compile(r"[<>|=](?:b1|[iu][1248]|f[248]|U[1-9]\d{0,4})")


def read_arrays(path: Path, classes: tuple[str, ...] = ()) -> tuple[Dataset, Dataset | None]:
    """(rows, test rows if the file has them). `classes`: as agreed; without them they are what the labels hold."""
    arrays = _members(path)
    for name in ("features", "labels"):
        if name not in arrays:
            raise InputError(f"{path} has no array {name!r}; it has {', '.join(sorted(arrays)) or 'none'}")
    cut = [name for name in ("test_features", "test_labels") if name in arrays]
    if len(cut) == 1:
        raise InputError(f"{path} has {cut[0]} and not its partner: a test set needs test_features and test_labels")
    labels = [arrays["labels"], *([arrays["test_labels"]] if cut else [])]
    classes = classes or _classes(labels, path)
    rows = dataset(arrays["features"], arrays["labels"], classes, str(path))
    if not cut:
        return rows, None
    test = dataset(arrays["test_features"], arrays["test_labels"], classes, f"{path} (test)")
    if test.input_shape != rows.input_shape:
        raise InputError(f"{path} has rows of shape {rows.input_shape} and test rows of shape {test.input_shape}")
    return rows, test


def read_features(path: Path) -> NDArray[np.float32]:
    """(n, ...) rows without labels, or with labels that nobody asks for."""
    arrays = _members(path)
    if "features" not in arrays:
        raise InputError(f"{path} has no array 'features'; it has {', '.join(sorted(arrays)) or 'none'}")
    if arrays["features"].ndim < 2 or not len(arrays["features"]):
        raise InputError(f"{path}: features {arrays['features'].shape} are no rows: (n, ...) with n > 0 is needed")
    return scaled(arrays["features"], str(path))


def dataset(features: Array, labels: Array, classes: tuple[str, ...], where: str) -> Dataset:
    """Checked rows; InputError says which array is wrong and what would be right."""
    if labels.ndim != 1 or features.ndim < 2 or len(features) != len(labels) or not len(labels):
        raise InputError(
            f"{where}: features {features.shape} and labels {labels.shape} do not belong together: "
            "(n, ...) and (n,) with n > 0 are needed"
        )
    return Dataset(scaled(features, where), _numbered(labels, classes, where), classes)


def scaled(features: Array, where: str) -> NDArray[np.float32]:
    """Float32; bytes are taken for shades of 0..255."""
    if features.dtype == np.uint8:
        return features.astype(np.float32) / np.float32(255)
    if features.dtype.kind not in "iufb":
        raise InputError(f"{where}: features are {features.dtype}, not numbers: save them as float32 or uint8")
    found = features.astype(np.float32)
    if not np.isfinite(found).all():
        raise InputError(f"{where}: features hold values that are no numbers: fill them before, or use a CSV table")
    return found


def load_npy(file: IO[bytes], size: int, where: str) -> Array:
    """One array of at most `size` bytes; the header is believed only as far as the file reaches.

    numpy's own reader runs Python's tokeniser over a header that is odd; this one reads what numpy.save writes.
    """
    try:
        blob = file.read(size)
    except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(f"{where} cannot be read as .npy: {error}") from error
    wide = blob[6:8] == b"\x02\x00"
    start = 12 if wide else 10
    if not blob.startswith(MAGIC) or blob[6:8] not in (b"\x01\x00", b"\x02\x00") or len(blob) < start:
        raise InputError(f"{where} cannot be read as .npy: save it with numpy.save")
    (length,) = struct.unpack("<I" if wide else "<H", blob[8:start])
    head = HEADER.fullmatch(blob[start : start + min(length, LONGEST_HEADER)].decode("latin-1"))
    if head is None:
        raise InputError(f"{where} has a header that numpy.save does not write for numbers or words")
    if head["descr"] == "|O":
        raise InputError(f"{where} holds Python objects, which would be a pickle: save numbers or words")
    if not KINDS.fullmatch(head["descr"]):
        raise InputError(f"{where} holds {head['descr']!r}: save whole numbers, float16 to float64, or words")
    dtype, shape = np.dtype(head["descr"]), tuple(int(n) for n in head["shape"].split(",") if n.strip())
    expected, body = prod(shape) * dtype.itemsize, blob[start + length :]
    if len(shape) > MOST_AXES or expected != len(body):
        raise InputError(f"{where} says it holds {shape} of {dtype}, and the file has {len(body)} bytes of them")
    if dtype.kind == "U":
        letters = np.frombuffer(body, np.dtype("u4").newbyteorder(dtype.byteorder))
        if ((letters > LAST_LETTER) | ((letters >= 0xD800) & (letters < 0xE000))).any():
            raise InputError(f"{where} holds words with letters that do not exist")
    return np.frombuffer(body, dtype).reshape(shape, order="F" if head["fortran"] == "True" else "C")


def _members(path: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            whole = sum(info.file_size for info in inside)
            if whole > LARGEST:
                raise InputError(f"{path} unpacks to {whole} bytes; at most {LARGEST} are read")
            found: dict[str, Array] = {}
            for info in inside:
                name = info.filename.removesuffix(".npy")
                with archive.open(info) as file:
                    found[name] = load_npy(file, info.file_size, f"{path}, {name}")
            return found
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as .npz: {error}") from error


def _classes(labels: list[Array], path: Path) -> tuple[str, ...]:
    kinds = {one.dtype.kind for one in labels}
    if kinds == {"U"}:
        different = tuple(str(word) for word in np.unique(np.concatenate(labels)))
    elif kinds <= set("iu") and all(one.size and int(one.min()) >= 0 for one in labels):
        different = tuple(str(n) for n in range(min(MOST_CLASSES, max(int(one.max()) for one in labels)) + 1))
    else:
        raise InputError(f"{path}: labels are no whole numbers from 0 and no words: number the classes 0, 1, 2, ...")
    if not 2 <= len(different) <= MOST_CLASSES:
        raise InputError(f"{path} has {len(different)} classes: 2 to {MOST_CLASSES} can be learnt")
    return different


def _numbered(labels: Array, classes: tuple[str, ...], where: str) -> NDArray[np.int64]:
    known: Mapping[str, int] = {name: number for number, name in enumerate(classes)}
    found, strange = np.empty(len(labels), np.int64), set[str]()
    for place, label in enumerate(labels.tolist()):
        number = known.get(str(label))
        found[place] = number or 0
        if number is None:
            strange.add(str(label))
    if strange:
        raise InputError(
            f"{where}: {min(strange)[:40]!r} is not one of the agreed classes {', '.join(classes[:20])}: "
            "remove those rows or correct them"
        )
    return found
