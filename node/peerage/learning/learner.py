"""A peer's own learning: its rows, its model, its fine-tunes, and the direction in which a round is scored.

Runs in one worker thread, because training must not keep the peer from answering; a queue goes in, results come out.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from peerage.effects import Measure, Measured, Score, Scored, Train, Trained
from peerage.learning import data_csv
from peerage.learning.answers import Answering
from peerage.learning.architectures import first_model
from peerage.learning.balancing import check_pictures
from peerage.learning.data import Dataset, Splits, carve, load, random_labels, refuse_small
from peerage.learning.factory import load_factory
from peerage.learning.generator import load_generator
from peerage.learning.model import from_vector, layout, layout_hash, personal_entries, to_vector
from peerage.learning.partitions import partition
from peerage.learning.parts import frozen_digest, learning_only, load_own, save_own
from peerage.learning.scoring import (
    cross_directions,
    gradient_units,
    integer_direction,
    novel,
    path_gradient,
    steepened,
)
from peerage.learning.threads import Choice, chosen, using
from peerage.learning.trainer import draw_seed, evaluate, settings_of, train
from peerage.learning.versions import Selector, Versions
from peerage.rounds.grid import grid_of
from peerage.rounds.sampling import only
from peerage.validation import is_private
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

    from peerage.config import Behaviour, Federation

    Vector = NDArray[np.float32]

log = logging.getLogger("peerage")

HOLDOUT = 0.1  # of a peer's own rows: never trained on, what its accuracy is measured on
LEAST_HELD_OUT = 2  # rows behind a path gradient, where validation is private: that of one row would be that row


@dataclass(frozen=True)
class Rows:
    """What one peer learns from and is judged on. `validation` is public; the rest never leaves the peer.

    Where validation is private, `held_out` is what it measures rounds on, and nothing is public.
    """

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
    private = is_private(federation)
    splits = load(
        data.source,
        federation.seed,
        data_dir=data.data_dir,
        schema=schema,
        validation_file=data.validation_file,
        public=not private,
        classes=data.classes,
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
    share = federation.scores.holdout if private else HOLDOUT
    own, held_out = carve(mine, share, federation.seed, f"held out by {names[index]}")
    if private and len(held_out) < LEAST_HELD_OUT:
        raise InputError(
            f"{names[index]} would hold back {len(held_out)} of its {len(mine)} rows, and private validation needs "
            f"{LEAST_HELD_OUT} of each peer: give it more rows, a milder partition or a larger scores.holdout"
        )
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


class Learner:
    """Owns the model. `done` is called from the worker thread with each Trained or Scored.

    A fine-tune takes `threads`, or with 0 as many of the `cores` as turn out to be worth it; a `training.function` is
    not timed, and takes one. What of the model stays with this peer (`model.local`) is kept in `own`.
    """

    def __init__(
        self,
        federation: Federation,
        rows: Rows,
        index: int,
        behaviour: Behaviour,
        done: Callable[[Trained | Measured | Scored | Exception], None],
        *,
        threads: int = 1,
        cores: int = 1,
        own: Path | None = None,
    ) -> None:
        self.rows, self._done = rows, done
        self._federation, self._index, self._behaviour = federation, index, behaviour
        self.model: nn.Module = first_model(federation, rows.own.input_shape, len(rows.own.classes))
        self.layout = layout(self.model)
        self.frozen = frozen_digest(self.model)
        self.layout_hash = layout_hash(self.layout, self.frozen)
        self._own = own if personal_entries(self.model) else None
        if self._own is not None and self._own.exists():
            load_own(self.model, self._own)
        self.initial = to_vector(self.model)
        self.accuracy: float | None = None  # of the last trained model, on the held-out rows
        self.last_step: Vector | None = None  # what the cheats replay
        self._settings = settings_of(federation.training)
        if federation.training.generator:
            drawing = load_generator(Path(federation.training.generator), rows.own)
            self._settings = replace(self._settings, generator=drawing)
        function = federation.training.function
        self._fine_tune = load_factory(function) if function else train
        if federation.training.augment == "shifts":
            check_pictures(rows.own.input_shape)
        choosing = isinstance(self.model, Selector)  # which trains nothing that could be timed
        self._cores, self.choice = cores, Choice(threads or 1, {}) if threads or function or choosing else None
        self._queue: SimpleQueue[Train | Measure | Score | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="learner", daemon=True)
        self._thread.start()

    def submit(self, task: Train | Measure | Score) -> None:
        self._queue.put(task)

    def close(self) -> None:
        self._queue.put(None)

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            try:
                self._done(self._answer(task))
            except (InputError, ValueError, RuntimeError) as error:  # torch says RuntimeError for a model's own faults
                self._done(error)

    def _answer(self, task: Train | Measure | Score) -> Trained | Measured | Scored:
        match task:
            case Train():
                return self._train(task)
            case Measure():
                return self._measure(task)
            case Score():
                return self._score(task)

    def _train(self, task: Train) -> Trained:
        local = self._fine_tuned(task)
        from_vector(self.model, np.nan_to_num(local))
        seen = evaluate(self.model, self.rows.own)
        self.accuracy = evaluate(self.model, self._apart()).accuracy
        if self._federation.training.counts == "training":
            return Trained(local, task.version, len(self.rows.own), seen.correct, seen.loss)
        return self._validated(local, task)

    def _apart(self) -> Dataset:
        """What this peer held back; where it had too few rows for that, all of them."""
        return self.rows.held_out if len(self.rows.held_out) else self.rows.own

    def _validated(self, local: Vector, task: Train) -> Trained:
        """With what everybody is to be told of the model that came in, not of the one that goes out: a validation of
        the common model on rows that nobody trains on, summed under the masks where the counts go anyway.
        """
        from_vector(self.model, task.model)
        found = evaluate(self.model, self.rows.held_out)
        return Trained(local, task.version, found.total, found.correct, found.loss if found.total else 0.0)

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
                if self.choice is None:
                    self.choice = chosen(self.model, self.rows.own, self._settings, self._cores)
                    log.info(str(self.choice))
                with using(self.choice.threads):
                    self._tune(draw_seed(self._federation.seed, self._index, task.version), task.correction)
                if self._own is not None:
                    save_own(self.model, self._own)
                return to_vector(self.model)

    def _tune(self, seed: int, correction: Vector | None) -> None:
        corrected = [] if correction is None else [correction]
        if isinstance(self.model, Answering):
            self.model.study(self._settings, seed)
            self._fine_tune(self.model, self.rows.own, self._settings, seed)
            self.model.answer()
            return
        if isinstance(self.model, Selector):
            self.model.decide(self._apart())
            log.info(self.model.words(self._apart()))
            return
        if isinstance(self.model, Versions):
            self.model.choose(self.rows.own, seed)
        heads = self._federation.training.head_epochs
        if not heads:
            self._fine_tune(self.model, self.rows.own, self._settings, seed, *corrected)
            return
        with learning_only(self.model, personal=True):
            train(self.model, self.rows.own, replace(self._settings, epochs=heads), seed)
        with learning_only(self.model, personal=False):
            self._fine_tune(self.model, self.rows.own, self._settings, seed, *corrected)

    def _measure(self, task: Measure) -> Measured:
        gbar = path_gradient(self.model, task.base, task.step, self.rows.held_out, classes_alike=True)
        return Measured(task.sid, gradient_units(only(steepened(gbar, task.slope), task.kept), task.dither))

    def cross_score(self, task: Score) -> Scored:
        """The directions of private validation: from integers that all know, and so not behind any training."""
        assert task.sums is not None
        applied = [only(step, task.kept) for step in task.applied]
        g, exponent = cross_directions(task.sums, applied, task.seed, grid_of(self._federation.masking))
        return Scored(task.sid, g, exponent, b"")

    def _score(self, task: Score) -> Scored:
        validation = self.rows.validation
        if validation is None:
            return Scored(task.sid, np.zeros(only(task.base, task.kept).size, np.int64), 0, b"")
        gbar = steepened(path_gradient(self.model, task.base, task.step, validation), task.slope)
        gbar = novel(only(gbar, task.kept), [only(step, task.kept) for step in task.applied])
        g, exponent = integer_direction(gbar, task.seed, grid_of(self._federation.masking))
        return Scored(task.sid, g, exponent, b"")
