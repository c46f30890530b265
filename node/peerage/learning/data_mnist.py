"""MNIST and its kin from the four IDX files their owners publish, plain or gzipped.

IDX: two zero bytes, a type byte (8 = unsigned byte), the number of dimensions, each as a big-endian uint32, the bytes.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from peerage.learning.data import Dataset
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
LARGEST = 1 << 29  # bytes of one file once unpacked: 11 x MNIST; a gzip header can promise anything
PIECE = 1 << 16


def mnist(folder: Path, first: int | None = None) -> tuple[Dataset, Dataset]:
    """(train, test), pixels scaled to 0..1 and flattened to (n, rows * columns); `first` keeps so many to train on."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: --data-dir names the one with the IDX files.")
    paths = [_find(folder, name) for name in NAMES]
    train = _pair(paths[0], paths[1], first)
    test = _pair(paths[2], paths[3], None)
    if train.input_shape != test.input_shape:
        raise InputError(
            f"training images have {train.input_shape} pixels, test images {test.input_shape} in {folder}."
        )
    classes = max(train.classes, test.classes, key=len)
    return Dataset(train.features, train.labels, classes), Dataset(test.features, test.labels, classes)


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array of one IDX file of unsigned bytes; its header decides the size, and is checked before we allocate."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            head = bytes(file.read(4))
            if head != bytes((0, 0, 8, dimensions)):
                raise InputError(f"{path} is not an IDX file of unsigned bytes with {dimensions} dimension(s).")
            shape = struct.unpack(f">{dimensions}I", bytes(file.read(4 * dimensions)))
            size = prod(shape)
            if size > LARGEST:
                raise InputError(f"{path} says it holds {size} bytes; at most {LARGEST} are read.")
            body = _read(file, size + 1)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    if len(body) != size:
        raise InputError(
            f"{path} should hold {size} bytes after its header and holds {'more' if len(body) > size else len(body)}."
        )
    if not size:
        raise InputError(f"{path} holds nothing: its header says {' x '.join(map(str, shape))}.")
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)


def _read(file: BinaryIO | gzip.GzipFile, most: int) -> bytes:
    """Up to so many bytes, in pieces: reading `most` at once would allocate it whatever the file holds."""
    pieces: list[bytes] = []
    while most and (piece := file.read(min(most, PIECE))):
        pieces.append(bytes(piece))
        most -= len(piece)
    return b"".join(pieces)


def _find(folder: Path, name: str) -> Path:
    # some mirrors write train-images.idx3-ubyte
    for stem in (name, name.replace("-idx", ".idx")):
        for path in (folder / stem, folder / f"{stem}.gz"):
            if path.is_file():
                return path
    raise InputError(f"{folder} holds neither {name} nor {name}.gz.")


def _pair(images: Path, labels: Path, first: int | None) -> Dataset:
    pixels, marks = read_idx(images, 3)[:first], read_idx(labels, 1)[:first]
    if len(pixels) != len(marks):
        raise InputError(f"{images} holds {len(pixels)} images, {labels} {len(marks)} labels.")
    if not len(marks):
        raise InputError(f"{images} holds no images.")
    features = pixels.reshape(len(pixels), -1).astype(np.float32) / np.float32(255)
    classes = tuple(str(label) for label in range(max(10, int(marks.max()) + 1)))
    return Dataset(features, marks.astype(np.int64), classes)
