"""The next model from a proven sum: the rule that the federation agreed on, the same for peers and auditor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from peerage.robust.rules import combine
from peerage.rounds.aggregation import Grid, in_parameters, mean_of, split_sum, sum_within_bounds
from peerage.rounds.sampling import ALL, Sampling, spread
from peerage_crypto.errors import InputError
from peerage_ledger.judgement import Merged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from peerage.rounds.optimisers import Optimiser
    from peerage_ledger.judgement import Standing


@dataclass(frozen=True, slots=True)
class Merging:
    """`rule` and `byzantine` (f) speak of bucket means; with the mean the buckets make no difference to the model."""

    grid: Grid
    optimiser: Optimiser
    rule: str = "mean"
    byzantine: int = 0
    over: int = 0  # what scaled updates are divided by, present or not; 0: those present
    sampling: Sampling = ALL

    def merge(
        self, parent: Standing, sums: Sequence[NDArray[np.unsignedinteger]], counts: Sequence[int], /
    ) -> Merged | str:
        """From a parent and the sum of each bucket; a sentence when a sum cannot be honest."""
        spare = 0 if self.rule == "mean" else self.byzantine
        updates: list[NDArray[np.int64]] = []
        members_of: list[int] = []
        for total, members in zip(sums, counts, strict=True):
            metrics, update = split_sum(total)
            if metrics.peers == members and sum_within_bounds(update, members, self.grid):
                updates.append(update)
                members_of.append(members)
                continue
            if spare == 0:  # more bad buckets than the rule was told of, or no rule that tolerates one
                if metrics.peers != members:
                    return f"the sum counts {metrics.peers} peers where {members} survived"
                return "the sum lies outside what honest peers can add up to"
            spare -= 1  # a bad bucket that is known: the rule goes on without it, with one fewer unknown
        if self.rule == "mean":
            mean = mean_of(np.add.reduce(updates), self.over or sum(counts), self.grid)
        else:
            try:
                mean = in_parameters(combine(self.rule, updates, members_of, spare), self.grid)
            except InputError as error:
                return str(error)
        mean = spread(mean, self.sampling.kept(parent), parent.model.size)
        return Merged(*self.optimiser.follow(parent.model, parent.step, parent.state, mean, sum(counts)))
