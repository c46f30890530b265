"""The floating-point half of an audit, in one thread: merges bit for bit, directions along the public path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from peerage.learning.scoring import cross_directions, integer_direction, novel, path_gradient, steepened
from peerage.rounds.sampling import only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from peerage.learning.data import Dataset
    from peerage.rounds.merging import Merging
    from peerage_ledger.judgement import Judged, Merge, Standing

    Vector = NDArray[np.float32]


@dataclass(frozen=True)
class RunMathematics:
    """What the terms say about numbers. `model` lends its architecture; without validation rows g is zero."""

    merging: Merging
    model: nn.Module
    validation: Dataset | None

    @property
    def merge(self) -> Merge:
        return self.merging.merge

    @property
    def remembers(self) -> bool:
        return self.merging.optimiser.remembers

    def direction(
        self, parent: Standing, judged: Judged, applied: Sequence[Vector], /
    ) -> tuple[NDArray[np.int64], int] | None:
        kept = self.merging.sampling.kept(parent)
        if self.validation is None:
            return np.zeros(only(parent.model, kept).size, np.int64), 0
        optimiser = self.merging.optimiser
        base = optimiser.path_start(parent.model, parent.step, parent.state)
        path = (judged.standing.model.astype(np.float64) - base.astype(np.float64)).astype(np.float32)
        gbar = steepened(
            path_gradient(self.model, base, path, self.validation), optimiser.slope(parent.state, judged.standing.state)
        )
        gbar = novel(only(gbar, kept), [only(step, kept) for step in applied])
        return integer_direction(gbar, judged.proven.seed(), self.merging.grid)

    def cross_directions(
        self,
        parent: Standing,
        sums: tuple[NDArray[np.int64], NDArray[np.int64]],
        seed: bytes,
        applied: Sequence[Vector],
        /,
    ) -> tuple[NDArray[np.int64], int]:
        kept = self.merging.sampling.kept(parent)
        return cross_directions(sums, [only(step, kept) for step in applied], seed, self.merging.grid)
