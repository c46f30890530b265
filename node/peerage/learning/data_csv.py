"""Tables: a header row, one label column of any type, numbers and categories, some of them missing.

The federation agrees on a schema (columns, categories, classes) in `federation.toml`. Numbers are standardised with the
mean and spread of everybody's rows, which come out of one masked sum of counts, sums and squares: nobody's rows, and
nobody's own statistics, are looked at. A missing number is then the mean, a missing category a category of its own.
"""

from __future__ import annotations

import csv
import math
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from peerage.learning.data import Dataset
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

ABSENT = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
MISSING = "(missing)"
MOST_CATEGORIES = 64  # more different texts than this look like names or identifiers
MOST_CLASSES = 1000
STATISTICS_RING_BITS = 64  # what the masked session of `statistics` needs
STATISTICS_FRAC_BITS = 32
BEYOND = 16.0  # how far past the declared unit another peer's values may lie: 2^23 rows of squares still fit


class Numeric(msgspec.Struct, frozen=True):
    """Values are divided by 2^scale, a declared unit that brings them near -1..1: so they fit a masked sum."""

    name: str
    scale: Annotated[int, msgspec.Meta(ge=-1073, le=1024)]  # exponents of a double


class Categorical(msgspec.Struct, frozen=True):
    name: str
    values: tuple[str, ...]  # agreed; a value outside the list becomes all zeros


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """Features are the numeric columns in this order, then one 0/1 column for each value of each category."""

    label: str
    classes: tuple[str, ...]
    numeric: tuple[Numeric, ...] = ()
    categorical: tuple[Categorical, ...] = ()
    ignored: tuple[str, ...] = ()  # columns nobody can learn from: empty, constant in name only, or identifiers

    @property
    def width(self) -> int:
        return len(self.numeric) + sum(len(column.values) for column in self.categorical)

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()

    @staticmethod
    def from_json(text: str) -> Schema:
        try:
            return msgspec.json.decode(text, type=Schema)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise InputError(f"data.columns is not a schema of columns: {error}.") from error


class Standardiser(msgspec.Struct, frozen=True):
    """What everybody subtracts and divides by, in units of the scaled columns; a constant column is divided by 1."""

    mean: tuple[float, ...]
    spread: tuple[float, ...]


def csv_schema(path: Path, label: str) -> Schema:
    """The schema of one file, for a federation that starts from it. Reads every row, so only its owner can do it."""
    header, rows = _table(path)
    if not label:
        raise InputError(f"--label must name the column of {path} to predict; it has {', '.join(header)}.")
    if label not in header:
        raise InputError(f"{path} has no column {label!r} to predict; it has {', '.join(header)}.")
    columns: dict[str, list[str]] = {name: [] for name in header}
    for _, row in rows:
        for name, cell in zip(header, row, strict=True):
            if cell.lower() not in ABSENT:
                columns[name].append(cell)
    classes = _classes(path, label, columns.pop(label))
    numeric: list[Numeric] = []
    categorical: list[Categorical] = []
    ignored: list[str] = []
    total = max(map(len, columns.values()), default=0)
    for name, cells in columns.items():
        numbers = _numbers(cells)
        different = sorted(set(cells))
        if numbers:
            numeric.append(Numeric(name, math.frexp(max(map(abs, numbers)))[1]))
        elif cells and len(different) <= min(MOST_CATEGORIES, max(2, len(cells) // 2)):
            missing = (MISSING,) if len(cells) < total else ()
            categorical.append(Categorical(name, (*different, *missing)))
        else:
            ignored.append(name)
    schema = Schema(
        label=label,
        classes=classes,
        numeric=tuple(numeric),
        categorical=tuple(categorical),
        ignored=tuple(ignored),
    )
    if not schema.width:
        raise InputError(f"{path} has no column besides {label!r} that a model can learn from.")
    return schema


def read_csv(path: Path, schema: Schema) -> Dataset:
    """(n, schema.width) with NaN where a number is missing, until `standardise`. Other columns are left alone."""
    header, rows = _table(path)
    places = {name: place for place, name in enumerate(header)}
    wanted = [schema.label, *(c.name for c in schema.numeric), *(c.name for c in schema.categorical)]
    absent = [name for name in wanted if name not in places]
    if absent:
        raise InputError(
            f"{path} lacks the agreed column(s) {', '.join(map(repr, absent))}; it has {', '.join(header)}."
        )
    classes = {name: number for number, name in enumerate(schema.classes)}
    by_number = {float(name): number for name, number in classes.items()} if _numbers(schema.classes) else {}
    offsets, offset = [], len(schema.numeric)
    for category in schema.categorical:
        offsets.append({value: offset + place for place, value in enumerate(category.values)})
        offset += len(category.values)
    features: list[NDArray[np.float32]] = []
    labels: list[int] = []
    for line, row in rows:
        cell = row[places[schema.label]]
        number = classes.get(cell, by_number.get(_number(cell)))
        if number is None:
            raise InputError(
                f"{path}, line {line}: {schema.label} is {cell!r}, not one of the agreed classes "
                f"{', '.join(schema.classes[:20])}. Remove the row or correct it."
            )
        labels.append(number)
        features.append(_features(row, places, schema, offsets, f"{path}, line {line}"))
    if not labels:
        raise InputError(f"{path} has a header and no rows.")
    return Dataset(np.stack(features), np.array(labels, dtype=np.int64), schema.classes)


def statistics(rows: Dataset, schema: Schema) -> NDArray[np.float64]:
    """(3 k,) count, sum and sum of squares of each of the k numeric columns over these rows: what is masked and summed.

    At most BEYOND^2 a row, so 2^23 rows in all fit a session of STATISTICS_RING_BITS and STATISTICS_FRAC_BITS.
    """
    numbers = rows.features[:, : len(schema.numeric)].astype(np.float64)
    present = np.isfinite(numbers)
    numbers = np.where(present, numbers, 0.0)
    return np.concatenate([present.sum(axis=0), numbers.sum(axis=0), (numbers * numbers).sum(axis=0)])


def standardiser(total: NDArray[np.float64]) -> Standardiser:
    """Mean and standard deviation from everybody's summed `statistics`."""
    counts, sums, squares = np.split(total, 3)
    counts = np.maximum(counts, 1.0)
    mean = sums / counts
    variance = np.maximum(squares / counts - mean * mean, 0.0)
    # what is left of a constant column after rounding is not a spread
    spread = np.where(variance > 2.0**-30 * mean * mean, np.sqrt(variance), 1.0)
    return Standardiser(tuple(mean.tolist()), tuple(spread.tolist()))


def standardise(rows: Dataset, agreed: Standardiser) -> Dataset:
    """Numbers with mean 0 and spread 1, a missing one in the middle; categories stay 0 or 1."""
    width = len(agreed.mean)
    scaled = (rows.features[:, :width].astype(np.float64) - np.array(agreed.mean)) / np.array(agreed.spread)
    features = rows.features.copy()
    features[:, :width] = np.where(np.isfinite(scaled), scaled, 0.0)
    return Dataset(features, rows.labels, rows.classes)


def _features(
    row: Sequence[str], places: dict[str, int], schema: Schema, offsets: Sequence[dict[str, int]], where: str
) -> NDArray[np.float32]:
    values = np.zeros(schema.width, dtype=np.float32)
    for place, numeric in enumerate(schema.numeric):
        cell = row[places[numeric.name]]
        number = _number(cell)
        if math.isnan(number) and cell.lower() not in ABSENT:
            raise InputError(f"{where}: {numeric.name} is {cell!r}, which is not a number.")
        scaled = _scaled(number, numeric.scale)
        if abs(scaled) > BEYOND:
            limit = math.ldexp(BEYOND, numeric.scale)
            raise InputError(f"{where}: {numeric.name} is {cell}, far beyond the agreed range of +-{limit:g}.")
        values[place] = scaled
    for category, columns in zip(schema.categorical, offsets, strict=True):
        cell = row[places[category.name]]
        column = columns.get(MISSING if cell.lower() in ABSENT else cell)
        if column is not None:
            values[column] = 1.0
    return values


def _scaled(number: float, scale: int) -> float:
    """The number over 2^scale, infinite where that is beyond a double."""
    try:
        return math.ldexp(number, -scale)
    except OverflowError:
        return math.copysign(math.inf, number)


def _table(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Header and (line number, cells) of each row that is not blank, cells stripped; ragged rows are refused."""
    if not path.is_file():
        raise InputError(f"there is no file {path}.")
    lines = _lines(path)
    _, header = next(lines, (0, []))
    if len(header) < 2 or len(set(header)) != len(header) or "" in header:
        raise InputError(f"{path} must begin with a header row of at least two different column names.")
    return header, _even(path, lines, len(header))


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write a byte-order mark
            sample = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=sample.count)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for row in reader:
                yield reader.line_num, [cell.strip() for cell in row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV in UTF-8: {error}.") from error


def _even(path: Path, lines: Iterator[tuple[int, list[str]]], width: int) -> Iterator[tuple[int, list[str]]]:
    for line, row in lines:
        if not any(row):
            continue
        if len(row) != width:
            raise InputError(f"{path}, line {line} has {len(row)} cells, the header {width}.")
        yield line, row


def _classes(path: Path, label: str, cells: Sequence[str]) -> tuple[str, ...]:
    """Sorted as numbers if all are numbers, so that 10 follows 9."""
    numbers = _numbers(cells)
    different = [_plain(number) for number in sorted(set(numbers))] if numbers else sorted(set(cells))
    if len(different) < 2:
        raise InputError(
            f"column {label!r} of {path} holds {len(different)} different value(s); a class label needs two."
        )
    if len(different) > min(MOST_CLASSES, max(2, len(cells) // 2)):
        few = ", ".join(islice(different, 3))
        raise InputError(
            f"column {label!r} of {path} has {len(different)} different values in {len(cells)} rows ({few}, …): "
            "a measurement or an identifier, not a class. Choose another --label, or bin it."
        )
    return tuple(different)


def _numbers(cells: Sequence[str]) -> list[float]:
    """All cells as numbers, or nothing."""
    numbers = [_number(cell) for cell in cells]
    return numbers if all(map(math.isfinite, numbers)) else []


def _plain(number: float) -> str:
    """1 and 1.0 are one class."""
    return str(int(number)) if number == int(number) else repr(number)


def _number(cell: str) -> float:
    """NaN for what is not a finite number."""
    try:
        number = float(cell)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan
