"""Tables only: one masked round before the first, in which the peers learn the common mean and spread of each column.

It is the same engine with the same guarantees, over another vector (count, sum and sum of squares of every numeric
column) in a 64-bit ring: nobody's rows and nobody's own statistics are looked at. Its outcome, the standardiser, is
an artefact, and its hash is among the terms of every training session: peers on different scales cannot mix.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from peerage.learning.data_csv import (
    STATISTICS_FRAC_BITS,
    STATISTICS_RING_BITS,
    Schema,
    Standardiser,
    standardiser,
    statistics,
)
from peerage.rounds.aggregation import Grid, split_sum
from peerage.rounds.optimisers import FEDAVG
from peerage.rounds.sampling import ALL
from peerage_crypto.buckets import FLAT
from peerage_crypto.digest import tagged
from peerage_crypto.errors import InputError
from peerage_crypto.fixedpoint import dequantise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from peerage.learning.data import Dataset
    from peerage.rounds.round import Engine, Rules
    from peerage_ledger.judgement import Federation

CLIP = 2.0**25  # of a peer's statistics: about 32 peers with 2^25 rows each fit the ring
GRID = Grid(STATISTICS_RING_BITS, STATISTICS_FRAC_BITS, CLIP)


def my_statistics(rows: Dataset, schema: Schema) -> NDArray[np.float64]:
    """(3 k,) what goes under the masks; InputError for more rows than the ring can count."""
    vector = statistics(rows, schema)
    if float(np.linalg.norm(vector)) > CLIP:
        raise InputError(
            f"{len(rows)} rows are more than one masked sum of statistics can hold: split them among peers"
        )
    return vector


def ground_of(training: Federation, columns: int) -> Federation:
    """The statistics session's ground: another genesis, other terms, another length than the training's."""
    return replace(
        training,
        genesis=tagged("peerage/statistics/genesis/1", training.genesis),
        terms=tagged("peerage/statistics/terms/1", training.terms),
        ring=GRID.ring,
        length=GRID.length(3 * columns),
        grouping=FLAT,
        sketches=None,
        crossfit=False,
        audited=False,
        turns=None,
        whole=False,
    )


def rules_for(training: Rules) -> Rules:
    """One round, nothing scored, nothing paid."""
    flat = replace(training, optimiser=FEDAVG, rule="mean", byzantine=0, over=0, fedau=None)
    return replace(flat, rounds=1, grid=GRID, pool=0, sampling=ALL)


def outcome(engine: Engine) -> Standardiser:
    """The standardiser from the exact sum of the closed statistics round."""
    _, total = split_sum(engine.history[-1].update_sum)
    return standardiser(dequantise(total, STATISTICS_FRAC_BITS))


def encoded(agreed: Standardiser) -> bytes:
    """Canonical JSON; equal on every peer because it comes from one integer sum."""
    return msgspec.json.encode(agreed, order="deterministic")


def decoded(blob: bytes) -> Standardiser:
    """What this peer kept in an earlier life; InputError when it is damaged."""
    try:
        agreed = msgspec.json.decode(blob, type=Standardiser)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the common scale that this peer kept cannot be read ({error}): start it anew") from error
    if len(agreed.mean) != len(agreed.spread) or not all(spread > 0 for spread in agreed.spread):
        raise InputError("the common scale that this peer kept holds no mean and spread of each column: start it anew")
    return agreed
