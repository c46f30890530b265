"""One training, in one place or in a federation: how far it came, how long it took and what it used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from peerage.contrast.amounts import Metered

if TYPE_CHECKING:
    from collections.abc import Sequence

Optimiser = Literal["fedavg", "fedadam"]


class Cell(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One place of the grid. A training in one place has no `optimiser` and its `epochs` is 1: it looks after each."""

    data: str
    partition: str
    optimiser: str = ""
    epochs: int = 1
    seed: int = 0

    @property
    def words(self) -> str:
        named = {"fedavg": "FedAvg", "fedadam": "FedAdam", "": "in one place"}[self.optimiser]
        local = f", {self.epochs} local epoch{'s' * (self.epochs > 1)}" if self.optimiser else ""
        return f"{self.data}, {self.partition}, {named}{local}, seed {self.seed}"


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """`rounds` counts rounds, or epochs in one place, until the test accuracy first reached the target; all of them
    where it did not. Energy, seconds and bytes are those of these rounds. `curve` starts with the first model.
    """

    cell: Cell
    target: float
    reached: bool
    rounds: int
    curve: tuple[float, ...]
    metered: Metered
    seconds: float  # from the first record's start to the last one's end
    bytes_out: int  # payload that peers sent each other
    findings: int  # what the checks of its emission records found, conservation among them
    host_uj: int | None = None  # the whole host over the whole run, launcher and chain included
    audit_ok: bool | None = None

    @property
    def accuracy(self) -> float:
        return self.curve[self.rounds]

    @property
    def points(self) -> float:
        """Percentage points of test accuracy gained over the first model."""
        return 100 * (self.accuracy - self.curve[0])

    @property
    def joules_per_point(self) -> float | None:
        return self.metered.joules / self.points if self.points > 0 else None


def stop(curve: Sequence[float], target: float) -> tuple[int, bool]:
    """(the round that counts as the end, whether the target was reached); the first model does not count."""
    for number, accuracy in enumerate(curve[1:], 1):
        if accuracy >= target:
            return number, True
    return len(curve) - 1, False
