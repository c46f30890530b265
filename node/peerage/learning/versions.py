"""Several models of one kind, of which each peer uses the one that suits its rows: nobody is told who uses which.

Clusters: all versions are in the vector, and a peer trains the one that it uses (IFCA, Ghosh et al. 2020, arXiv
2006.04088). Its update is zero everywhere else, and masks hide where; the sum tells what a version learnt, not from
whom. A deployment selector: the versions are finished, and what is in the vector is how many peers use which, and how
well each does; so that groups form by sums alone.
"""

from __future__ import annotations

import re
from math import inf, isnan
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from peerage.learning.model import canonical_bytes, from_vector, keep_apart, layout, load_safetensors, to_vector
from peerage.learning.objective import objective
from peerage.learning.trainer import evaluate
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from peerage.learning.data import Dataset

UNDECIDED = -1.0
MOST_CANDIDATES = 8  # a tally is no longer than the default clip
VERSION = re.compile(r"versions\.([0-9]{1,2})\.(.+)")


class Versions(nn.Module):
    """`choice` (1,) is which of the `versions` this peer uses; it stays with the peer."""

    choice: torch.Tensor

    def __init__(self, versions: Sequence[nn.Module]) -> None:
        super().__init__()
        self.versions = nn.ModuleList(versions)
        self.register_buffer("choice", torch.full((1,), UNDECIDED))
        keep_apart(self, personal=["choice"])

    @property
    def chosen(self) -> int:
        """Who has not chosen yet has the first."""
        return max(0, int(self.choice))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(n, ...) to logits (n, classes)."""
        return cast("torch.Tensor", self.versions[self.chosen](rows))

    def choose(self, rows: Dataset, seed: int) -> None:
        """The version with the least loss on `rows`. The first choice is drawn: versions that nobody has trained say
        nothing of anybody's rows, and what all took first would suit all best ever after.
        """
        if float(self.choice) == UNDECIDED:
            draws = torch.Generator().manual_seed(seed)
            self.choice.fill_(int(torch.randint(len(self.versions), (1,), generator=draws)))
        else:
            losses = self._losses(rows)
            self.choice.fill_(losses.index(min(losses)))

    @torch.no_grad()
    def _losses(self, rows: Dataset) -> list[float]:
        features, labels = torch.from_numpy(rows.features), torch.from_numpy(rows.labels)
        self.eval()
        found = [float(objective(version, features, labels)) for version in self.versions]
        return [inf if isnan(loss) else loss for loss in found]


class Told(NamedTuple):
    """Of one candidate: its name (what the store and the chain call the model), the share of the peers that use it, and
    its accuracy as a mean over peers, each on rows of its own.
    """

    name: str
    share: float
    accuracy: float


class Selector(Versions):
    """Finished models to choose from. Exchanged are `tally.NAME` (2,), as in `Told`, and `fitting` (1,): the accuracy
    of the choice, as a mean over peers, on rows that it was not made by.
    """

    fitting: torch.Tensor

    def __init__(self, candidates: Sequence[nn.Module]) -> None:
        super().__init__(candidates)
        self.requires_grad_(requires_grad=False)
        names = [sha256(canonical_bytes(to_vector(model))).hex() for model in candidates]
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(f"model.candidates has the model {twice[0]} twice: leave one of them out")
        self.tally = nn.ParameterDict([(name, nn.Parameter(torch.zeros(2), requires_grad=False)) for name in names])
        self.register_buffer("fitting", torch.zeros(1))
        keep_apart(self, frozen=[f"versions.{name}" for name in self.versions.state_dict()])

    def decide(self, rows: Dataset) -> None:
        """Choose by this peer's own rows, and put what it found where the common tally was.

        Most right answers, then the least loss. `fitting` is cross-fitted: what one half of the rows chooses is judged
        on the other, since the best of several is flattered by the rows that it is the best on.
        """
        halves = [rows.take(np.arange(start, len(rows), 2)) for start in (0, 1)]
        right, loss = (np.array(table) for table in zip(*(self._judged(half) for half in halves), strict=True))
        self.choice.fill_(_best(right.sum(axis=0), loss.sum(axis=0)))
        crossed = sum(int(right[1 - half, _best(right[half], loss[half])]) for half in (0, 1))
        with torch.no_grad():
            for index, told in enumerate(self.tally.values()):
                told.copy_(torch.tensor([float(index == self.chosen), float(right[:, index].sum()) / len(rows)]))
            self.fitting.fill_(crossed / len(rows))

    def _judged(self, rows: Dataset) -> tuple[list[int], list[float]]:
        """(right answers, summed loss) of each candidate."""
        found = [evaluate(version, rows) for version in self.versions]
        return [one.correct for one in found], [one.loss * one.total if one.total else 0.0 for one in found]

    def words(self, rows: Dataset) -> str:
        """For this peer alone: which one it uses, and how well that does on its `rows`."""
        name, found = list(self.tally)[self.chosen], evaluate(self.versions[self.chosen], rows)
        right = f"right in {found.correct} of {found.total}"
        return f"of {len(self.versions)} candidates {name} suits my rows best: {right}"

    def told(self) -> list[Told]:
        """What all peers said together."""
        return [Told(name, *(float(value) for value in entry)) for name, entry in self.tally.items()]


def _best(right: NDArray[np.int64], loss: NDArray[np.float64]) -> int:
    return int(np.lexsort((np.nan_to_num(loss, nan=inf, posinf=inf), -right))[0])


def load_candidates(paths: Sequence[Path], make: Callable[[], nn.Module]) -> list[nn.Module]:
    """Models of one kind from safetensors files; a file of clusters is as many candidates."""
    found: list[nn.Module] = []
    for path in paths:
        count = _versions_in(path)
        model = Versions([make() for _ in range(count)]) if count else make()
        from_vector(model, load_safetensors(path, layout(model)))
        found += list(model.versions) if isinstance(model, Versions) else [model]
    if not 2 <= len(found) <= MOST_CANDIDATES:
        raise InputError(f"model.candidates names {len(found)} models: give 2 to {MOST_CANDIDATES} to choose from")
    return found


def sources_of(paths: Sequence[Path]) -> list[str]:
    """In words where each candidate comes from, in their order."""
    found: list[str] = []
    for path in paths:
        count = _versions_in(path)
        found += [f"{path}, version {number} of {count}" for number in range(1, count + 1)] if count else [str(path)]
    return found


def _versions_in(path: Path) -> int:
    try:
        with safe_open(path, framework="numpy") as file:
            numbers = [VERSION.fullmatch(name) for name in file.keys()]  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read as safetensors: {error}.") from error
    return 1 + max((int(found[1]) for found in numbers if found), default=-1)
