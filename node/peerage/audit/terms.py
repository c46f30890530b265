"""From a federation's settings and its public artefacts to the terms that every session must be bound to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from peerage.audit.maths import RunMathematics
from peerage.audit.store import VALIDATION_HEAD, Shelves, validation_from
from peerage.config_toml import federation_hash
from peerage.learning import common_scale
from peerage.learning.data import Splits, load
from peerage.learning.data_csv import STATISTICS_FRAC_BITS, STATISTICS_RING_BITS, Schema, standardiser
from peerage.learning.learner import rows_of, validation_blob
from peerage.learning.model import build, layout, layout_hash, to_vector
from peerage.rounds.aggregation import AUXILIARY, Grid, canonical, split_sum
from peerage_crypto.digest import sha256, tagged
from peerage_crypto.errors import InputError
from peerage_crypto.fixedpoint import dequantise, ring
from peerage_crypto.plain_statements import exchange_id
from peerage_ledger.audit.terms import Prologue, Terms
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
    settings = federation.model
    net = build(shape, len(classes), federation.seed, hidden=settings.hidden, factory=settings.factory)
    initial, agreed = to_vector(net), layout(net)
    record, first = federation_hash(federation), sha256(canonical(initial))
    bound = {session.opened.statement.params for session in shelves.sessions}
    options = {
        session_terms(record, layout_hash(agreed), first, validation, scale): (validation, scale)
        for validation, scale in product((NOTHING, *shelves.validations), (NOTHING, *shelves.odd))
    }
    exchanges = {merge.body.sid for merge in shelves.merges}
    matching = sorted(t for t in options if t in bound or _exchange(deployment, t) in exchanges)
    if (bound or exchanges) and not matching:
        sentence = "no session is bound to the settings, first model and validation rows that are here"
        book.find("terms", sentence)
    session = matching[0] if matching else next(iter(options))
    validation, scale = options[session]
    rows = validation_from(shelves.validations[validation], classes) if validation != NOTHING else None
    _check_slice(federation, validation, book)
    masking, scores = federation.masking, federation.scores
    grid = Grid(masking.ring_bits, masking.frac_bits, masking.clip)
    terms = Terms(
        record=record,
        session=session,
        initial=initial,
        rounds=federation.rounds,
        ring=ring(masking.ring_bits),
        frac_bits=masking.frac_bits,
        clip=masking.clip,
        auxiliary=AUXILIARY,
        novelty=scores.novelty,
        cap=scores.cap,
        window=scores.window,
        pool=int(federation.rewards.pool),
    )
    used = frozenset({first, validation, scale} - {NOTHING})
    prologue = None if scale == NOTHING else _prologue(federation, terms, scale, net, shelves, book)
    return Agreement(terms, RunMathematics(grid, federation.merge.momentum, net, rows), agreed, used, prologue)


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
    wide, grid = ring(STATISTICS_RING_BITS), Grid(STATISTICS_RING_BITS, STATISTICS_FRAC_BITS, common_scale.CLIP)
    length = (AUXILIARY + 3 * columns) * wide.word_bytes
    bound = {
        session.opened.statement.params
        for session in shelves.sessions
        if session.manifests and session.manifests[0].statement.length == length
    } - {terms.session}
    if len(bound) != 1:
        book.find("standardiser", f"{len(bound)} different terms of statistics rounds where one belongs")
    initial = np.zeros(3 * columns, np.float32)
    own = replace(
        terms,
        record=tagged("peerage/statistics/genesis/1", terms.record),
        session=min(bound, default=NOTHING),
        initial=initial,
        ring=wide,
        frac_bits=grid.frac_bits,
        clip=grid.clip,
        rounds=1,
        pool=0,
    )

    def derive(total: NDArray[np.unsignedinteger]) -> bytes:
        return common_scale.encoded(standardiser(dequantise(split_sum(total)[1], STATISTICS_FRAC_BITS)))

    return Prologue(own, RunMathematics(grid, 0.0, net, None), artefact, derive)


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
        data.source, federation.seed, data_dir=data.data_dir, schema=schema, validation_file=data.validation_file
    )


def _check_slice(federation: Federation, used: bytes, book: Notebook) -> None:
    """Where everybody can have the data, the validation rows must be the declared slice of them."""
    if not federation.data.source.startswith(OPEN_SOURCES) or federation.data.validation_file:
        book.note("whether the validation rows are those that were declared is not checked: the data are not public")
        return
    declared: Dataset | None = rows_of(federation, 0, "honest").validation
    blob = validation_blob(declared)
    if (sha256(blob) if blob else NOTHING) != used:
        book.find("validation", "the validation rows in the store are not the declared slice of the data")
