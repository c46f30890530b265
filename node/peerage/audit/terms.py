"""From a federation's settings and its public artefacts to the terms that every session must be bound to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace as replace_struct

from peerage.audit.maths import RunMathematics
from peerage.audit.store import VALIDATION_HEAD, Shelves, validation_from
from peerage.config_toml import federation_hash
from peerage.learning import common_scale
from peerage.learning.architectures import first_model
from peerage.learning.data import Splits, load
from peerage.learning.data_csv import STATISTICS_FRAC_BITS, Schema, standardiser
from peerage.learning.learner import rows_of, validation_blob
from peerage.learning.model import from_canonical, layout, layout_hash, size, to_vector
from peerage.learning.parts import frozen_digest
from peerage.plain.topology import near_of
from peerage.privacy.noise import noise_bound
from peerage.regions import grouping_of
from peerage.rounds.aggregation import canonical, split_sum
from peerage.rounds.grid import grid_of
from peerage.rounds.merging import Merging
from peerage.rounds.optimisers import FEDAVG, agreed_optimiser
from peerage.rounds.sampling import sampling_of
from peerage.schedule import over_all, turns_of, whole_rosters
from peerage.sketching import sketching_of
from peerage.validation import is_private
from peerage_crypto.buckets import FLAT
from peerage_crypto.digest import sha256, tagged
from peerage_crypto.errors import InputError
from peerage_crypto.fixedpoint import dequantise
from peerage_crypto.plain_statements import exchange_id
from peerage_ledger.audit.terms import Prologue, Terms, no_graph, no_turns
from peerage_ledger.judgement import session_terms

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from peerage.config import Federation
    from peerage.learning.data import Dataset
    from peerage.learning.model import Layout
    from peerage_ledger.audit.findings import Notebook
    from peerage_ledger.deployment import Deployment

NOTHING = bytes(32)
OPEN_SOURCES = ("digits", "mnist")  # whoever has the software or the files can cut the declared slice again


@dataclass(frozen=True)
class Agreement:
    """The terms with what computes on them; `used` are the artefacts that the terms name."""

    terms: Terms
    maths: RunMathematics
    layout: Layout
    used: frozenset[bytes]
    prologue: Prologue | None


def agreement_of(federation: Federation, deployment: Deployment, shelves: Shelves, book: Notebook) -> Agreement:
    """Rebuild the first model and find the validation rows whose hashes the sessions are bound to."""
    shape, classes = _shape(federation, shelves)
    net, initials = _first_models(federation, shape, len(classes), shelves)
    agreed, record = layout(net), federation_hash(federation)
    bound = {session.params for session in shelves.sessions}
    options = {
        session_terms(record, layout_hash(agreed, frozen_digest(net)), first, validation, scale): (
            first,
            validation,
            scale,
        )
        for first, validation, scale in product(initials, (NOTHING, *shelves.validations), (NOTHING, *shelves.odd))
    }
    exchanges = {merge.body.sid for merge in shelves.merges}
    matching = sorted(t for t in options if t in bound or _exchange(deployment, t) in exchanges)
    if (bound or exchanges) and not matching:
        sentence = "no session is bound to the settings, first model and validation rows that are here"
        book.find("terms", sentence)
    session = matching[0] if matching else next(iter(options))
    first, validation, scale = options[session]
    initial = initials[first]
    rows = None if validation == NOTHING else _rows(shelves.validations[validation], classes, book)
    _check_slice(federation, validation, book)
    masking, scores = federation.masking, federation.scores
    sampling = sampling_of(federation)
    exchanged = sampling.exchanged(initial.size)
    grid = grid_of(masking, noise_bound(federation, exchanged))
    terms = Terms(
        record=record,
        session=session,
        initial=initial,
        rounds=federation.rounds,
        ring=grid.ring,
        frac_bits=masking.frac_bits,
        clip=masking.clip,
        novelty=scores.novelty,
        cap=scores.cap,
        window=scores.window,
        pool=int(federation.rewards.pool),
        epoch=federation.rewards.epoch,
        grouping=grouping_of(federation),
        exchanged=exchanged,
        sketches=sketching_of(federation, exchanged),
        crossfit=is_private(federation),
        audited=federation.scores.pair_audits,
        turns=partial(turns_of, federation),
        whole=whole_rosters(federation),
        near=partial(near_of, federation),
    )
    used = frozenset({first, validation, scale} - {NOTHING})
    prologue = None if scale == NOTHING else _prologue(federation, terms, scale, net, shelves, book)
    robust = federation.robust
    optimiser, over = agreed_optimiser(federation), over_all(federation)
    merging = Merging(grid, optimiser, robust.rule, robust.byzantine, over, sampling)
    return Agreement(terms, RunMathematics(merging, net, rows), agreed, used, prologue)


def _exchange(deployment: Deployment, terms: bytes) -> bytes:
    """The one name of a plain exchange under these terms."""
    return exchange_id(
        chain_id=deployment.chain_id, registry=deployment.registry, genesis=deployment.federation, terms=terms
    )


def _prologue(
    federation: Federation, terms: Terms, artefact: bytes, net: nn.Module, shelves: Shelves, book: Notebook
) -> Prologue:
    """The statistics round's terms, found among the sessions: a ring and a length of its own."""
    columns = len(Schema.from_json(federation.data.columns).numeric)
    grid = common_scale.GRID
    length = grid.length(3 * columns) * grid.ring.word_bytes
    bound = {session.params for session in shelves.sessions if session.vector_bytes == length} - {terms.session}
    if len(bound) != 1:
        book.find("standardiser", f"{len(bound)} different terms of statistics rounds where one belongs")
    initial = np.zeros(3 * columns, np.float32)
    own = replace(
        terms,
        record=tagged("peerage/statistics/genesis/1", terms.record),
        session=min(bound, default=NOTHING),
        initial=initial,
        exchanged=0,
        ring=grid.ring,
        frac_bits=grid.frac_bits,
        clip=grid.clip,
        rounds=1,
        pool=0,
        grouping=FLAT,
        sketches=None,
        crossfit=False,
        audited=False,
        turns=no_turns,
        near=no_graph,
        whole=False,
    )

    def derive(total: NDArray[np.unsignedinteger]) -> bytes:
        return common_scale.encoded(standardiser(dequantise(split_sum(total)[1], STATISTICS_FRAC_BITS)))

    return Prologue(own, RunMathematics(Merging(grid, FEDAVG), net, None), artefact, derive)


def _first_models(
    federation: Federation, shape: tuple[int, ...], classes: int, shelves: Shelves
) -> tuple[nn.Module, dict[bytes, NDArray[np.float32]]]:
    """The first model by its name. Where it was somebody's file, which need not be here, it is in the store, and which
    of the models there it is, the sessions' terms say.
    """
    start = federation.model.start
    if start and not Path(start).is_file():
        unstarted = replace_struct(federation, model=replace_struct(federation.model, start=""))
        net = first_model(unstarted, shape, classes)
        length = size(layout(net))
        alike = [name for name, there in shelves.lengths.items() if there == 4 * length]
        if not alike:
            raise InputError(f"the run began from {start}, which is not here, and its store has no model so long")
        return net, {name: from_canonical(shelves.artefacts[name], length) for name in alike}
    net = first_model(federation, shape, classes)
    initial = to_vector(net)
    return net, {sha256(canonical(initial)): initial}


def _shape(federation: Federation, shelves: Shelves) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Input shape and classes: from the data where they are here, else from the public rows in the store."""
    try:
        splits = _load(federation)
    except InputError as error:
        if not shelves.validations:
            raise InputError(f"the model cannot be built again: no validation rows in the store, and {error}") from None
        blob = next(iter(shelves.validations.values()))
        shape = tuple(int(n) for n in blob.removeprefix(VALIDATION_HEAD).partition(b"\n")[0].split(b","))[1:]
        if not federation.data.classes:
            raise InputError(
                f"the model cannot be built again: how many classes there are is not known, and {error}"
            ) from None
        return shape, federation.data.classes
    return splits.train.input_shape, splits.train.classes


def _load(federation: Federation) -> Splits:
    data = federation.data
    schema = Schema.from_json(data.columns) if data.columns else None
    return load(
        data.source,
        federation.seed,
        data_dir=data.data_dir,
        schema=schema,
        validation_file=data.validation_file,
        public=not is_private(federation),
        classes=data.classes,
    )


def _rows(blob: bytes, classes: tuple[str, ...], book: Notebook) -> Dataset | None:
    """The validation rows that the sessions are bound to; garbage is a finding, and then no direction is checked."""
    try:
        return validation_from(blob, classes)
    except ValueError as error:
        book.find("validation", f"the validation rows that sessions are bound to cannot be read: {error}")
        return None


def _check_slice(federation: Federation, used: bytes, book: Notebook) -> None:
    """Where everybody can have the data, the validation rows must be the declared slice of them."""
    if not federation.data.source.startswith(OPEN_SOURCES) or federation.data.validation_file:
        book.note("whether the validation rows are those that were declared is not checked: the data are not public")
        return
    try:
        declared: Dataset | None = rows_of(federation, 0, "honest").validation
    except InputError as error:
        book.note(f"whether the validation rows are those that were declared is not checked: {error}")
        return
    blob = validation_blob(declared)
    if (sha256(blob) if blob else NOTHING) != used:
        book.find("validation", "the validation rows in the store are not the declared slice of the data")
