"""How a merge of plain exchange makes one model of many: the mean by sample counts, or a robust rule over the peers.

Everything here is a function of what the merge's transcript names, so the auditor merges again and gets the same bits.
A robust rule ignores sample counts: whoever lies in its weights lies about those, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from peerage.robust.floors import LOCAL_REFERENCE, least_vectors
from peerage.robust.local_reference import local_reference
from peerage.robust.rules import combine
from peerage.rounds.aggregation import weighted_mean
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from peerage.config import Federation

    Vector = NDArray[np.float32]

FRAC_BITS = 32  # keeps every bit of a float32 weight from 2^-8 up
LARGEST = float(1 << 20)  # no honest weight is larger; a larger one counts as this, and 2^52 units fit into a double


@dataclass(frozen=True, slots=True)
class MergeRule:
    """`robust.rule` and `robust.byzantine` of the federation, and its number of merges (for local-reference)."""

    rule: str = "mean"
    byzantine: int = 0
    merges: int = 1

    def __call__(self, models: list[Vector], examples: list[int], own: int | None, merge: int) -> Vector:
        """The merged model; `own` says which of the models is the merging peer's own, `merge` counts from 1.

        InputError where the rule allows no such merge: too few for it, and not the own model alone.
        """
        if self.rule == "mean":
            return weighted_mean(models, examples)
        if own is not None and len(models) == 1:
            return models[0]
        wrong = self.too_few(len(models), brings_own=own is not None)
        if wrong:
            raise InputError(wrong)
        units = [to_units(model) for model in models]
        if self.rule == LOCAL_REFERENCE and own is not None:
            others = [units[i] for i in range(len(units)) if i != own]
            found = local_reference(units[own], others, min(merge, self.merges), self.merges)
        else:
            found = combine(self.rule, units, [1] * len(units), self.byzantine)
        return (found / np.float64(1 << FRAC_BITS)).astype(np.float32)

    def too_few(self, models: int, *, brings_own: bool) -> str:
        """Why the rule cannot merge so many models (empty when it can). One's own alone is no merge of others."""
        if self.rule == LOCAL_REFERENCE:
            return "" if brings_own else f"{LOCAL_REFERENCE} compares with a peer's own version, and there is none"
        needed = least_vectors(self.rule, self.byzantine)
        if models >= needed:
            return ""
        return f"{self.rule} with f = {self.byzantine} needs {needed} models, there are {models}"


FEDAVG = MergeRule()


def to_units(model: Vector) -> NDArray[np.int64]:
    """A model's finite weights on the grid of 2^-32."""
    bounded = np.clip(model.astype(np.float64), -LARGEST, LARGEST)
    return np.rint(bounded * np.float64(1 << FRAC_BITS)).astype(np.int64)


def merge_rule_of(federation: Federation) -> MergeRule:
    """The rule that all peers of a federation merge by, and its auditor."""
    robust = federation.robust
    return MergeRule(str(robust.rule), robust.byzantine, federation.rounds)
