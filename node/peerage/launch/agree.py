"""What the launcher settles before anybody starts, so that every peer and the auditor read one `federation.toml`."""

from pathlib import Path

from msgspec.structs import replace

from peerage.config import DataSettings, Federation
from peerage_crypto.errors import InputError


def agreed(federation: Federation) -> Federation:
    """Paths made absolute (a run is resumed and audited from elsewhere), and a CSV's classes and columns listed.

    The launcher reads the whole CSV for that: on one machine it owns all rows anyway. Peers on separate machines get
    the lists with their federation file instead.
    """
    data = _with_absolute_paths(federation.data)
    kind, _, path = data.source.partition(":")
    if kind == "csv" and not data.columns:
        from peerage.learning.data_csv import csv_schema  # noqa: PLC0415 - numpy

        schema = csv_schema(Path(path), data.label)
        data = replace(data, classes=schema.classes, columns=schema.to_json())
    return replace(
        federation, data=data, model=replace(federation.model, factory=_file_factory(federation.model.factory))
    )


def _with_absolute_paths(data: DataSettings) -> DataSettings:
    kind, _, path = data.source.partition(":")
    source = f"csv:{Path(path).absolute()}" if kind == "csv" else _file_factory(data.source)
    if kind == "mnist" and not Path(data.data_dir).is_dir():
        raise InputError(f"there is no folder {data.data_dir}: name the one with the IDX files (--data-dir)")
    return replace(
        data, source=source, data_dir=_absolute(data.data_dir), validation_file=_absolute(data.validation_file)
    )


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else ""


def _file_factory(name: str) -> str:
    file, _, attribute = name.rpartition(":")
    if file.endswith(".py") and not Path(file).is_file():
        raise InputError(f"there is no file {file}, from which {name} would come")
    return f"{Path(file).absolute()}:{attribute}" if file.endswith(".py") else name
