"""What each watcher counts by itself: how often the deployed model is right on rows that it was not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from peerage.config_toml import load_federation
from peerage.learning.architectures import first_model
from peerage.learning.common_scale import decoded
from peerage.learning.data import Dataset, load
from peerage.learning.data_csv import Schema, read_csv, standardise
from peerage.learning.model import from_vector, layout, load_safetensors
from peerage.learning.partitions import partition
from peerage.learning.trainer import evaluate
from peerage.watching.session import Counts
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from peerage.config import Federation
    from peerage.rundir import RunDir

ABSENT = Counts(0, 0, 0)


def counts_of(run: RunDir, fresh: Path | None, period: int) -> dict[str, Counts]:
    """By peer name. `fresh` holds NAME.csv for every peer with new rows; a peer without rows is no watcher.

    Without it the run's held-out rows are dealt to the peers, anew each period: good for a trial only.
    """
    federation = load_federation(run.federation)
    rows = _held_out(federation, period) if fresh is None else _tables(run, federation, fresh)
    if not rows:
        raise InputError(f"{fresh} holds no table of any peer: name them {federation.peer_name(0)}.csv and so on")
    net = _deployed(run, federation, next(iter(rows.values())))
    counted: dict[str, Counts] = {}
    for name in federation.peer_names():
        found = evaluate(net, rows[name]) if name in rows and len(rows[name]) else None
        counted[name] = ABSENT if found is None else Counts(1, found.correct, found.total)
    return counted


def _deployed(run: RunDir, federation: Federation, rows: Dataset) -> nn.Module:
    model = replace(federation.model, start="")  # whatever it began from
    net = first_model(replace(federation, model=model), rows.input_shape, len(rows.classes))
    from_vector(net, load_safetensors(run.model, layout(net)))
    return net


def _held_out(federation: Federation, period: int) -> dict[str, Dataset]:
    data = federation.data
    if data.columns:
        raise InputError("a table has no rows that nobody holds: give --data with a fresh table of each peer")
    test = load(data.source, federation.seed, data_dir=data.data_dir, classes=data.classes).test
    parts = partition(test.labels, "iid", federation.peers, federation.seed + period)
    return {name: test.take(part) for name, part in zip(federation.peer_names(), parts, strict=True)}


def _tables(run: RunDir, federation: Federation, folder: Path) -> dict[str, Dataset]:
    if not federation.data.columns:
        raise InputError(f"this federation did not learn from tables: leave --data {folder} out")
    schema = Schema.from_json(federation.data.columns)
    kept = run.secrets / f"{federation.peer_name(0)}.standardiser.json"
    try:
        scale = decoded(kept.read_bytes())
    except OSError as error:
        raise InputError(
            f"{kept} cannot be read ({error.strerror}): the common scale of the training is needed"
        ) from None
    tables = {name: folder / f"{name}.csv" for name in federation.peer_names()}
    return {name: standardise(read_csv(path, schema), scale) for name, path in tables.items() if path.is_file()}
