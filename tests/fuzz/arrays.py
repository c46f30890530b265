"""Rows from files: .npz archives, also with headers that lie behind a right checksum, and pictures."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from fuzz.place import place
from fuzz.target import target
from peerage.learning import data_arrays, data_folder, data_png
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

data_arrays.LARGEST = 1 << 20  # the decoders are the same with less
data_png.MOST_PIXELS = 1 << 16


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def archive(features: bytes, labels: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, blob in (("features", features), ("labels", labels)):
            packed.writestr(zipfile.ZipInfo(f"{name}.npy"), blob)
    return file.getvalue()


ROWS, LABELS = saved(np.arange(8, dtype=np.float32).reshape(4, 2)), saved(np.array([0, 1, 0, 1]))


def check(path: Path) -> None:
    rows, _ = data_arrays.read_arrays(path)
    assert np.isfinite(rows.features).all()
    assert rows.labels.max() < len(rows.classes)


@target("table.npz", allowed=(InputError,), seeds=lambda: [archive(ROWS, LABELS)])
def npz(data: bytes) -> None:
    (place() / "rows.npz").write_bytes(data)
    check(place() / "rows.npz")


@target("table.npz-spoilt", allowed=(InputError,), seeds=lambda: [ROWS, saved(np.array([["a"], ["b"], ["c"], ["d"]]))])
def npz_spoilt(data: bytes) -> None:
    """The features are any bytes, behind a checksum that is right."""
    (place() / "rows.npz").write_bytes(archive(data, LABELS))
    check(place() / "rows.npz")


@target("table.npz-labels", allowed=(InputError,), seeds=lambda: [LABELS, saved(np.array(["no", "yes", "no", "no"]))])
def npz_labels(data: bytes) -> None:
    (place() / "rows.npz").write_bytes(archive(ROWS, data))
    check(place() / "rows.npz")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(colour: int, lines: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", 2, 2, 8, colour, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", bytes(range(6))), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return data_png.SIGNATURE + b"".join(chunk(kind, data) for kind, data in parts)


@target(
    "table.png",
    allowed=(InputError,),
    seeds=lambda: [png(0, b"\x04ab\x03cd"), png(2, b"\x01abcdef\x02ghijkl"), png(3, b"\0\0\1\0\1\0")],
)
def picture(data: bytes) -> None:
    found = data_png.read_png(data, "it")
    assert found.ndim in (2, 3)


@target("table.png-spoilt", allowed=(InputError,), seeds=lambda: [b"\x06\x04abcdefgh\x03ijklmnop", b"\x03\0\0\1\0\1\0"])
def picture_spoilt(data: bytes) -> None:
    """Colour type and lines are any bytes, packed rightly."""
    if data:
        data_png.read_png(png(data[0], data[1:]), "it")


@target("table.pnm", allowed=(InputError,), seeds=lambda: [b"P5 2 2 255\nabcd", b"P6\n# made\n1 1 255\nabc"])
def pnm(data: bytes) -> None:
    (place() / "x.pgm").write_bytes(data)
    assert data_folder.read_picture(place() / "x.pgm").max() <= 1
