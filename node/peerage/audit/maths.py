"""The floating-point half of an audit, in one thread: merges bit for bit, directions along the public path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from peerage.learning.scoring import integer_direction, novel, path_gradient
from peerage.rounds.aggregation import Grid, base_of, merge, split_sum, sum_within_bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from peerage.learning.data import Dataset
    from peerage_ledger.judgement import Judged, Standing

    Vector = NDArray[np.float32]


@dataclass(frozen=True)
class RunMathematics:
    """What the terms say about numbers. `model` lends its architecture; without validation rows g is zero."""

    grid: Grid
    momentum: float
    model: nn.Module
    validation: Dataset | None

    def merge(self, model: Vector, step: Vector, total: NDArray[np.unsignedinteger], members: int, /) -> Vector | str:
        sums, update = split_sum(total)
        if sums.peers != members:
            return f"the sum counts {sums.peers} peers where {members} survived"
        if not sum_within_bounds(update, members, self.grid):
            return "the sum lies outside what honest peers can add up to"
        return merge(base_of(model, step, self.momentum), update, members, self.grid)

    def direction(
        self, parent: Standing, judged: Judged, applied: Sequence[Vector], /
    ) -> tuple[NDArray[np.int64], int] | None:
        if self.validation is None:
            return np.zeros(parent.model.size, np.int64), 0
        base = base_of(parent.model, parent.step, self.momentum)
        path = (judged.standing.model.astype(np.float64) - base.astype(np.float64)).astype(np.float32)
        gbar = novel(path_gradient(self.model, base, path, self.validation), applied)
        grid = self.grid
        return integer_direction(
            gbar, judged.proven.seed(), ring_bits=grid.ring_bits, frac_bits=grid.frac_bits, clip=grid.clip
        )
