"""Which trainings are laid side by side, and the settings of each."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

import msgspec

from peerage.config import (
    DataSettings,
    EmissionSettings,
    Federation,
    LedgerSettings,
    MergeSettings,
    ModelSettings,
    TrainSettings,
)
from peerage.contrast.side import Cell
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OPTIMISERS: Final = ("fedavg", "fedadam")
EPOCHS: Final = (1, 5)
TARGETS: Final = {"digits": 0.90, "mnist": 0.96}  # of the test rows; below what rows in one place reach
SKEW: Final = "dirichlet:0.3"
MOST_ROUNDS: Final = 40
MOST_EPOCHS: Final = 40  # in one place


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`target` 0: the data set's own."""

    data: tuple[str, ...] = ("digits",)
    partitions: tuple[str, ...] = ("iid", SKEW)
    optimisers: tuple[str, ...] = OPTIMISERS
    epochs: tuple[int, ...] = EPOCHS
    seeds: tuple[int, ...] = (0,)
    peers: int = 4
    rounds: int = MOST_ROUNDS
    target: float = 0.0
    data_dir: str = ""
    country: str = ""
    ledger: str = "auto"

    def target_of(self, data: str) -> float:
        return self.target or TARGETS[data.partition(":")[0]]

    def centres(self) -> Iterator[Cell]:
        for data, partition, seed in product(self.data, self.partitions, self.seeds):
            yield Cell(data=data, partition=partition, seed=seed)

    def cells(self) -> Iterator[Cell]:
        """Those that can be run: an optimiser that is not built is left out, and `missing` names it."""
        known = [name for name in self.optimisers if built(name)]
        for data, partition, seed in product(self.data, self.partitions, self.seeds):
            for optimiser, epochs in product(known, self.epochs):
                yield Cell(data=data, partition=partition, optimiser=optimiser, epochs=epochs, seed=seed)

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name in self.optimisers if not built(name))


def checked(plan: Plan) -> Plan:
    """InputError for what cannot be laid side by side."""
    unknown = [name for name in plan.data if name.partition(":")[0] not in TARGETS]
    if unknown:
        raise InputError(f"{unknown[0]!r} is not among the data sets here: use {' or '.join(TARGETS)} (mnist:N too)")
    if any(name.startswith("mnist") for name in plan.data) and not plan.data_dir:
        raise InputError("mnist needs --data-dir: the folder with its IDX files")
    strange = [name for name in plan.optimisers if name not in OPTIMISERS]
    if strange:
        raise InputError(f"{strange[0]!r} is no optimiser that is contrasted: use {' or '.join(OPTIMISERS)}")
    if not 0 <= plan.target < 1:
        raise InputError(
            f"--target {plan.target:g} is no share of the test rows: give one between 0 and 1, such as 0.9"
        )
    if not next(plan.cells(), None):
        raise InputError("nothing is left to run: name a data set, a partition, an optimiser and local epochs")
    return plan


def merge_of(optimiser: str) -> MergeSettings:
    """The paper's FedAvg has no momentum. FedAdam where this version has it, with its own defaults."""
    if "optimiser" in MergeSettings.__struct_fields__:
        return msgspec.convert({"optimiser": optimiser}, MergeSettings)
    if optimiser != "fedavg":
        raise InputError(f"{optimiser} is not built in this version")
    return MergeSettings(momentum=0.0)


def built(optimiser: str) -> bool:
    try:
        merge_of(optimiser)
    except (InputError, msgspec.ValidationError):
        return False
    return True


def federation_of(cell: Cell, plan: Plan) -> Federation:
    """A masked federation on this machine; in one place its rows, model and first weights are used."""
    return Federation(
        name="contrast",
        peers=plan.peers,
        rounds=plan.rounds,
        seed=cell.seed,
        data=DataSettings(source=cell.data, partition=cell.partition, data_dir=plan.data_dir),
        model=ModelSettings(hidden=64),
        training=TrainSettings(epochs=cell.epochs, batch_size=32, learning_rate=0.1),
        merge=merge_of(cell.optimiser or "fedavg"),
        ledger=LedgerSettings(engine=plan.ledger),
        emissions=EmissionSettings(country=plan.country),
    )


def claims(plan: Plan, presets: Sequence[str]) -> dict[str, str]:
    """Every claim of (a) to (d), with why nothing was asked of it where that is so."""
    from peerage.contrast import orderings as o  # noqa: PLC0415 - it reads sides, which read cells

    grid = "not in this grid: needs rows alike and skewed, 1 and 5 local epochs"
    adam = "FedAdam is not built in this version" if "fedadam" in plan.missing else "not in this grid: FedAdam"
    found = {o.SHARE: grid, o.MORE: grid, o.WITHIN: grid}
    found |= {o.abroad(country, preset): grid for preset in presets for country in o.ELSEWHERE}
    return found | {o.ALIKE: adam, o.SKEWED: adam, o.LOCAL: grid, o.ROUNDS: grid}
