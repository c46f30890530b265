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
    if kind in {"npz", "folder"} and not data.classes:
        from peerage.learning.data import load  # noqa: PLC0415 - numpy

        data = replace(data, classes=load(data.source, federation.seed).train.classes)
    cast = tuple(replace(part, behaviour=_file_factory(part.behaviour)) for part in federation.cast)
    model = replace(
        federation.model,
        factory=_file_factory(federation.model.factory),
        start=_model_file("model.start", federation.model.start),
        base=_model_file("model.base", federation.model.base),
        questions=_model_file("model.questions", federation.model.questions, rows=True),
        candidates=tuple(_model_file("model.candidates", name) for name in federation.model.candidates),
    )
    training = replace(
        federation.training,
        function=_file_factory(federation.training.function),
        generator=_model_file("training.generator", federation.training.generator),
    )
    return replace(federation, data=data, model=model, training=training, cast=cast)


def _with_absolute_paths(data: DataSettings) -> DataSettings:
    kind, _, path = data.source.partition(":")
    of_files = kind in {"csv", "npz", "folder"}
    source = f"{kind}:{Path(path).absolute()}" if of_files else _file_factory(data.source)
    if kind == "mnist" and not Path(data.data_dir).is_dir():
        raise InputError(f"there is no folder {data.data_dir}: name the one with the IDX files (--data-dir)")
    return replace(
        data, source=source, data_dir=_absolute(data.data_dir), validation_file=_absolute(data.validation_file)
    )


def _model_file(setting: str, name: str, *, rows: bool = False) -> str:
    """A safetensors file, or the one that a run left in its directory; rows in an npz file will do for questions."""
    if not name:
        return ""
    path = Path(name).expanduser().absolute()
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        kinds = "a safetensors file, rows in an npz file," if rows else "a safetensors file,"
        raise InputError(f"there is no {file}: {setting} names {kinds} or the directory of a run that ended")
    return str(file)


def _absolute(path: str) -> str:
    return str(Path(path).absolute()) if path else ""


def _file_factory(name: str) -> str:
    file, _, attribute = name.rpartition(":")
    if file.endswith(".py") and not Path(file).is_file():
        raise InputError(f"there is no file {file}, from which {name} would come")
    return f"{Path(file).absolute()}:{attribute}" if file.endswith(".py") else name
