"""What people came for: the final model as a safetensors file with its card, and the yardsticks beside it.

Runs in a process of its own forked from the fork server, since the launcher imports no torch. Both functions take a run
directory and return JSON.
"""

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from peerage.config import Federation
from peerage.config_toml import load_federation
from peerage.launch.model_card import Facts, model_card
from peerage.launch.selection import Selection, Version
from peerage.launch.summary import FinalModel
from peerage.learning import baselines
from peerage.learning.architectures import first_model
from peerage.learning.common_scale import decoded
from peerage.learning.data import Dataset, Splits, load
from peerage.learning.data_csv import Schema, standardise, standardiser, statistics
from peerage.learning.model import (
    from_canonical,
    from_vector,
    layout,
    personal_entries,
    save_safetensors,
    size,
    take_back,
    to_vector,
)
from peerage.learning.own_rows import right_by_peer
from peerage.learning.partitions import partition
from peerage.learning.personal import own_kind, under_heads
from peerage.learning.quality import quality_of
from peerage.learning.trainer import TrainSettings, evaluate
from peerage.learning.versions import Selector, sources_of
from peerage.rundir import RunDir, write_whole
from peerage.validation import is_private


class Yardsticks(msgspec.Struct, frozen=True):
    local_only: float  # mean over peers
    pooled: float


class Job(msgspec.Struct, frozen=True):
    run_dir: str
    aggregate: str = ""  # artefact id
    best: str = ""  # another that is wanted as well


def write_model(job: str) -> bytes:
    """`model.safetensors` and its card from the aggregate in the store."""
    order = msgspec.json.decode(job, type=Job)
    run = RunDir(Path(order.run_dir))
    federation = load_federation(run.federation)
    splits, preparation = _splits(run, federation)
    net = first_model(federation, splits.train.input_shape, len(splits.train.classes))
    agreed = layout(net)
    vector = from_canonical((run.store / order.aggregate).read_bytes(), size(agreed))
    from_vector(net, vector)
    if personal_entries(net):
        accuracy, quality, own = under_heads(net, vector, splits, federation, run.own_model)
    else:
        accuracy, quality = evaluate(net, splits.test).accuracy, quality_of(net, splits.test)
        own = right_by_peer(net, splits.train, federation)
    metadata = {
        "format": "pt",
        "schema": "1",
        "classes": msgspec.json.encode(splits.train.classes).decode(),
        "input_shape": msgspec.json.encode(splits.train.input_shape).decode(),
        "preparation": preparation,
        **({"local": msgspec.json.encode(federation.model.local).decode()} if federation.model.local else {}),
        "order": msgspec.json.encode([name for name, _ in agreed]).decode(),  # in which the parameters are hashed
    }
    save_safetensors(run.model, agreed, vector, {**metadata, "aggregate_sha256": order.aggregate})
    facts = Facts(
        aggregate=order.aggregate,
        accuracy=accuracy,
        parameters=size(agreed),
        layout=agreed,
        classes=splits.train.classes,
        input_shape=splits.train.input_shape,
        test_rows=len(splits.test),
        quality=quality,
    )
    write_whole(run.model_card, model_card(federation, facts).encode())
    best = None
    if order.best:
        vector = from_canonical((run.store / order.best).read_bytes(), size(agreed))
        save_safetensors(run.best_model, agreed, vector, {**metadata, "aggregate_sha256": order.best})
        from_vector(net, vector)
        best = (
            under_heads(net, vector, splits, federation, run.own_model)[0]
            if personal_entries(net)
            else evaluate(net, splits.test).accuracy
        )
    told = FinalModel(
        accuracy=accuracy,
        parameters=size(agreed),
        quality=quality,
        best=best,
        own=own,
        selection=_selection(net, vector, federation) if isinstance(net, Selector) else None,
    )
    return msgspec.json.encode(told)


def _selection(net: Selector, vector: NDArray[np.float32], federation: Federation) -> Selection:
    from_vector(net, vector)
    sources = sources_of([Path(name) for name in federation.model.candidates])
    versions = tuple(
        Version(name=told.name, source=source, used_by=told.share, accuracy=told.accuracy)
        for told, source in zip(net.told(), sources, strict=True)
    )
    return Selection(versions=versions, chosen=float(net.fitting))


def yardsticks(job: str) -> bytes:
    """Every peer alone, and all rows in one place: trained as long, outside the run's clock."""
    order = msgspec.json.decode(job, type=Job)
    run = RunDir(Path(order.run_dir))
    federation = load_federation(run.federation)
    splits, _ = _splits(run, federation)
    parts = [
        splits.train.take(rows)
        for rows in partition(splits.train.labels, federation.data.partition, federation.peers, federation.seed)
    ]
    net = first_model(federation, splits.train.input_shape, len(splits.train.classes))
    tests = own_kind(splits, federation) if personal_entries(net) else splits.test
    take_back(net)  # who is alone has no part that stays and none that goes
    start = to_vector(net)
    training = federation.training
    settings = TrainSettings(training.epochs, training.batch_size, training.learning_rate)
    length = {"rounds": federation.rounds, "seed": federation.seed}
    alone = baselines.local_only(net, start, parts, tests, settings, **length)
    together = baselines.pooled(net, start, parts, tests, settings, **length)
    return msgspec.json.encode(Yardsticks(float(np.mean(alone)), together))


def _splits(run: RunDir, federation: Federation) -> tuple[Splits, str]:
    """Rows ready for the model, and the preparation (CSV: schema and standardiser as JSON) that new rows need too.

    The standardiser is the one that the peers agreed on under masks; every peer keeps the same.
    """
    data = federation.data
    schema = Schema.from_json(data.columns) if data.columns else None
    splits = load(
        data.source,
        federation.seed,
        data_dir=data.data_dir,
        schema=schema,
        validation_file=data.validation_file,
        public=not is_private(federation),
        classes=data.classes,
    )
    if schema is None:
        return splits, ""
    kept = run.secrets / f"{federation.peer_name(0)}.standardiser.json"
    agreed = decoded(kept.read_bytes()) if kept.exists() else standardiser(statistics(splits.train, schema))

    def ready(rows: Dataset) -> Dataset:
        return standardise(rows, agreed)

    validation = None if splits.validation is None else ready(splits.validation)
    preparation = msgspec.json.encode({"schema": schema, "standardiser": agreed}).decode()
    return Splits(ready(splits.train), ready(splits.test), validation), preparation
