"""A peer's own learning: its rows, its model, its fine-tunes, and the direction in which a round is scored.

Runs in one worker thread, because training must not keep the peer from answering; a queue goes in, results come out.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from peerage.effects import Score, Scored, Train, Trained
from peerage.learning import data_csv
from peerage.learning.data import Dataset, Splits, carve, load, random_labels, refuse_small
from peerage.learning.model import build, from_vector, layout, layout_hash, to_vector
from peerage.learning.partitions import partition
from peerage.learning.scoring import integer_direction, novel, path_gradient
from peerage.learning.trainer import TrainSettings, draw_seed, evaluate, train
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

    from peerage.config import Behaviour, Federation

    Vector = NDArray[np.float32]

HOLDOUT = 0.1  # of a peer's own rows: never trained on, what its accuracy is measured on


@dataclass(frozen=True)
class Rows:
    """What one peer learns from and is judged on. `validation` is public; the rest never leaves the peer."""

    own: Dataset
    held_out: Dataset
    test: Dataset
    validation: Dataset | None
    schema: data_csv.Schema | None


def rows_of(federation: Federation, index: int, behaviour: Behaviour, *, own_rows: bool = False) -> Rows:
    """Peer `index`'s rows: its part of the agreed partition, or with `own_rows` all that its source holds.

    InputError names every peer that has too few.
    """
    data = federation.data
    schema = data_csv.Schema.from_json(data.columns) if data.columns else None
    splits = load(
        data.source, federation.seed, data_dir=data.data_dir, schema=schema, validation_file=data.validation_file
    )
    names = federation.peer_names()
    if own_rows and data.validation_donor:
        raise InputError(
            "data.validation_donor needs all rows on one machine: put the donated rows into a file that every site "
            "has, and name it as data.validation_file"
        )
    if own_rows:
        parts = [np.arange(len(splits.train))] * federation.peers
        refuse_small([(names[index], len(splits.train))])
    else:
        parts = partition(splits.train.labels, data.partition, federation.peers, federation.seed)
        refuse_small([(name, len(part)) for name, part in zip(names, parts, strict=True)])
    mine = splits.train.take(parts[index])
    if data.validation_donor == names[index]:
        mine, _ = _donation(federation, mine)
    own, held_out = carve(mine, HOLDOUT, federation.seed, f"held out by {names[index]}")
    if behaviour == "random-labels":
        own = random_labels(own, federation.seed + index)
    return Rows(own, held_out, splits.test, _validation(federation, splits, parts), schema)


def _validation(federation: Federation, splits: Splits, parts: list[NDArray[np.int64]]) -> Dataset | None:
    donor = federation.data.validation_donor
    if not donor:
        return splits.validation
    return _donation(federation, splits.train.take(parts[federation.peer_names().index(donor)]))[1]


def _donation(federation: Federation, rows: Dataset) -> tuple[Dataset, Dataset]:
    """(kept, donated): the donor no longer trains on what it has made public."""
    return carve(rows, HOLDOUT, federation.seed, f"donated by {federation.data.validation_donor}")


def standardised(rows: Rows, agreed: data_csv.Standardiser | None) -> Rows:
    """CSV features on the federation's common scale."""
    if agreed is None:
        return rows

    def ready(part: Dataset) -> Dataset:
        return data_csv.standardise(part, agreed)

    validation = None if rows.validation is None else ready(rows.validation)
    return Rows(ready(rows.own), ready(rows.held_out), ready(rows.test), validation, rows.schema)


def validation_blob(validation: Dataset | None) -> bytes:
    """The validation set as an artefact: shape line, then float32 features and int64 labels, little-endian."""
    if validation is None:
        return b""
    shape = ",".join(str(n) for n in validation.features.shape)
    head = f"peerage validation 1\n{shape}\n".encode()
    return head + validation.features.astype("<f4").tobytes() + validation.labels.astype("<i8").tobytes()


def data_manifest(rows: Rows) -> bytes:
    """A commitment to the peer's rows (32 bytes): later it can show what it trained on, until then it shows nothing."""
    return sha256(b"peerage/data/1", rows.own.features.tobytes(), rows.own.labels.tobytes())


class Learner:
    """Owns the model. `done` is called from the worker thread with each Trained or Scored."""

    def __init__(
        self,
        federation: Federation,
        rows: Rows,
        index: int,
        behaviour: Behaviour,
        done: Callable[[Trained | Scored | Exception], None],
    ) -> None:
        self.rows, self._done = rows, done
        self._federation, self._index, self._behaviour = federation, index, behaviour
        self.model: nn.Module = build(
            rows.own.input_shape,
            len(rows.own.classes),
            federation.seed,
            hidden=federation.model.hidden,
            factory=federation.model.factory,
        )
        self.layout = layout(self.model)
        self.layout_hash = layout_hash(self.layout)
        self.initial = to_vector(self.model)
        self.accuracy: float | None = None  # of the last trained model, on the held-out rows
        self.last_step: Vector | None = None  # what the cheats replay
        settings = federation.training
        self._settings = TrainSettings(settings.epochs, settings.batch_size, settings.learning_rate)
        self._queue: SimpleQueue[Train | Score | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="learner", daemon=True)
        self._thread.start()

    def submit(self, task: Train | Score) -> None:
        self._queue.put(task)

    def close(self) -> None:
        self._queue.put(None)

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            try:
                self._done(self._train(task) if isinstance(task, Train) else self._score(task))
            except (InputError, ValueError, RuntimeError) as error:  # torch says RuntimeError for a model's own faults
                self._done(error)

    def _train(self, task: Train) -> Trained:
        local = self._fine_tuned(task)
        from_vector(self.model, np.nan_to_num(local))
        seen = evaluate(self.model, self.rows.own)
        held_out = self.rows.held_out if len(self.rows.held_out) else self.rows.own
        self.accuracy = evaluate(self.model, held_out).accuracy
        return Trained(local, task.version, len(self.rows.own), seen.correct, seen.loss)

    def _fine_tuned(self, task: Train) -> Vector:
        match self._behaviour:
            case "parent-back":
                return task.model
            case "replay" | "replay-3x" if self.last_step is not None:
                times = np.float32(3 if self._behaviour == "replay-3x" else 1)
                return (task.model + times * self.last_step).astype(np.float32)
            case "nan":
                return np.full_like(task.model, np.nan)
            case _:
                from_vector(self.model, task.model)
                train(
                    self.model,
                    self.rows.own,
                    self._settings,
                    draw_seed(self._federation.seed, self._index, task.version),
                )
                return to_vector(self.model)

    def _score(self, task: Score) -> Scored:
        validation, masking = self.rows.validation, self._federation.masking
        if validation is None:
            return Scored(task.sid, np.zeros(task.base.size, np.int64), 0, b"")
        gbar = novel(path_gradient(self.model, task.base, task.step, validation), task.applied)
        g, exponent = integer_direction(
            gbar, task.seed, ring_bits=masking.ring_bits, frac_bits=masking.frac_bits, clip=masking.clip
        )
        return Scored(task.sid, g, exponent, b"")
