"""Rows from files: CSV with and without an agreed schema, and IDX, plain and gzipped."""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING

import numpy as np

from fuzz.draw import Draw
from fuzz.place import place
from fuzz.target import target
from peerage.learning import data_csv, data_mnist
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

data_mnist.LARGEST = 1 << 20  # the decoder is the same with less; what a file unpacks to may be held a few times
TABLE = b"a,b,y\n1,red,0\n2.5,blue,1\n,red,0\nnan,,1\n-3e4,blue,1\n"
SCHEMA = data_csv.Schema(
    label="y",
    classes=("0", "1"),
    numeric=(data_csv.Numeric("a", 3),),
    categorical=(data_csv.Categorical("b", ("blue", "red", data_csv.MISSING)),),
)


def learn_from(path: Path, schema: data_csv.Schema) -> None:
    rows = data_csv.read_csv(path, schema)
    total = data_csv.statistics(rows, schema)
    ready = data_csv.standardise(rows, data_csv.standardiser(total))
    assert np.isfinite(ready.features).all()


@target("table.csv", allowed=(InputError,), seeds=lambda: [TABLE, TABLE.replace(b",", b";"), b"\xef\xbb\xbf" + TABLE])
def table(data: bytes) -> None:
    path = place() / "rows.csv"
    path.write_bytes(data)
    learn_from(path, data_csv.csv_schema(path, "y"))


@target("table.csv-agreed", allowed=(InputError,), seeds=lambda: [SCHEMA.to_json().encode() + b"\n" + TABLE])
def agreed_table(data: bytes) -> None:
    """The schema comes from a federation file that somebody else has written."""
    head, _, rows = data.partition(b"\n")
    (place() / "rows.csv").write_bytes(rows)
    learn_from(place() / "rows.csv", data_csv.Schema.from_json(head.decode(errors="replace")))


def idx(shape: tuple[int, ...], body: bytes) -> bytes:
    return bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + body


@target(
    "table.idx",
    allowed=(InputError,),
    seeds=lambda: [idx((2, 2, 1), b"abcd"), idx((3,), b"xyz")],
    memory=data_mnist.LARGEST // 2,  # what is not in the file is not allocated
)
def plain_idx(data: bytes) -> None:
    (place() / "x-idx").write_bytes(data)
    dimensions = data[3] if len(data) > 3 and data[3] in (1, 3) else 3
    assert data_mnist.read_idx(place() / "x-idx", dimensions).ndim == dimensions


@target("table.idx-gz", allowed=(InputError,), seeds=lambda: [gzip.compress(idx((2, 2, 1), b"abcd"), mtime=0)])
def packed_idx(data: bytes) -> None:
    (place() / "x-idx.gz").write_bytes(data)
    data_mnist.read_idx(place() / "x-idx.gz", 3)


@target("table.idx-four", allowed=(InputError,), seeds=lambda: [b"", bytes(40)])
def four_files(data: bytes) -> None:
    draw = Draw(data)
    for name in data_mnist.NAMES:
        dimensions = 3 if "idx3" in name else 1
        shape = tuple(draw.pick((0, 1, 2, 3, 2**16, 2**32 - 1)) for _ in range(dimensions))
        size = int(np.prod([min(n, 64) for n in shape]))
        (place() / name).write_bytes(idx(shape, draw.binary(0, size) if draw.below(4) == 0 else bytes(size)))
    data_mnist.mnist(place(), draw.pick((None, 0, 1, 5)))
