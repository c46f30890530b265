"""Pictures as people keep them: a folder for each class, a file for each picture (.png, .pgm, .ppm or .npy).

Where the folder holds `train` and `test`, these are the owner's own split. All pictures have one shape:
(rows, columns), or (3, rows, columns) in colour.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np

from peerage.learning.data import Dataset
from peerage.learning.data_arrays import LARGEST, load_npy, scaled
from peerage.learning.data_png import read_png
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ENDINGS = (".npy", ".pgm", ".png", ".ppm")
MOST_BYTES = 1 << 26  # of one file
PNM = re.compile(rb"P([56])(?:\s+|\s*#[^\n]*\n\s*)(\d{1,6})\s+(\d{1,6})\s+255\s", re.DOTALL)


def read_folder(path: Path, classes: tuple[str, ...] = ()) -> tuple[Dataset, Dataset | None]:
    """(rows, test rows if the folder has them); classes are the names of the folders, sorted, unless agreed."""
    if not path.is_dir():
        raise InputError(f"there is no folder {path}")
    train, test = path / "train", path / "test"
    if not (train.is_dir() and test.is_dir()):
        return _rows(path, classes or _names(path)), None
    classes = classes or _names(train)
    rows, held = _rows(train, classes), _rows(test, classes)
    if rows.input_shape != held.input_shape:
        raise InputError(f"{train} has pictures of shape {rows.input_shape}, {test} of {held.input_shape}")
    return rows, held


def _names(path: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir()))
    if len(names) < 2:
        raise InputError(f"{path} holds {len(names)} folder(s): one for each class is needed, with its pictures inside")
    return names


def _rows(path: Path, classes: tuple[str, ...]) -> Dataset:
    strange = sorted({entry.name for entry in path.iterdir() if entry.is_dir()} - set(classes))
    if strange:
        raise InputError(f"{path / strange[0]} is not one of the agreed classes {', '.join(classes[:20])}")
    pictures: list[NDArray[np.float32]] = []
    labels: list[int] = []
    held = 0
    for number, name in enumerate(classes):
        folder = path / name
        files = sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS) if folder.is_dir() else []
        for file in files:
            picture = read_picture(file)
            held += picture.nbytes
            if held > LARGEST:
                raise InputError(f"the pictures in {path} are more than {LARGEST} bytes: make them smaller")
            if pictures and picture.shape != pictures[0].shape:
                raise InputError(f"{file} has shape {picture.shape}, others {pictures[0].shape}: make them one size")
            pictures.append(picture)
            labels.append(number)
    if not pictures:
        raise InputError(f"{path} has no pictures in its class folders: files of {', '.join(ENDINGS)} are read")
    return Dataset(np.stack(pictures), np.array(labels, np.int64), classes)


def read_picture(path: Path) -> NDArray[np.float32]:
    """(rows, columns) or (channels, rows, columns), bytes as 0..1."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise InputError(f"{path} has {size} bytes; at most {MOST_BYTES} are read of one picture")
        blob = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    match path.suffix.lower():
        case ".npy":
            found = load_npy(io.BytesIO(blob), size, str(path))
        case ".png":
            found = read_png(blob, str(path))
        case _:
            found = _pnm(blob, path)
    if found.ndim not in (2, 3) or not found.size:
        raise InputError(f"{path} is an array of shape {found.shape}, not a picture")
    return scaled(found, str(path))


def _pnm(blob: bytes, path: Path) -> NDArray[np.uint8]:
    """Binary PGM or PPM of 8 bits."""
    head = PNM.match(blob)
    if head is None:
        raise InputError(f"{path} is no binary PGM or PPM of 8 bits: save it as PNG")
    channels, columns, rows = (3 if head[1] == b"6" else 1), int(head[2]), int(head[3])
    body = blob[head.end() :]
    if len(body) != channels * columns * rows:
        raise InputError(f"{path} should hold {channels * columns * rows} bytes after its header and holds {len(body)}")
    grid = np.frombuffer(body, np.uint8).reshape(rows, columns, channels)
    return grid[:, :, 0] if channels == 1 else grid.transpose(2, 0, 1)
