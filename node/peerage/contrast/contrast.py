"""The whole grid, one training after the other, so that none slows another down; and the chapter's example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from peerage.contrast.grid import MOST_EPOCHS, Plan, checked, claims, federation_of
from peerage.contrast.jobs import Alone
from peerage.contrast.measuring import federated, in_one_place
from peerage.contrast.orderings import ELSEWHERE, HOME, Statement, Told, orderings, over_the_grid
from peerage.contrast.side import Cell, Side
from peerage.estimate.grids import PRESETS, factor_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from peerage.emissions import HostProbe
    from peerage.emissions.factors import Factor

EXAMPLE_HIDDEN: Final = 128
EXAMPLE_EPOCHS: Final = 10
EXAMPLE_BATCH: Final = 32
EXAMPLE_RATE: Final = 0.001
EXAMPLE_KG: Final = 1.063754808656955e-4  # the chapter's own figure; its machine and country are not told
NOT_COUNTED: Final = (
    "the network beyond the host (what published figures give stands beside, in no sum)",
    "the launcher and the chain's node (they are the host's, not a peer's)",
    "making the machine; looking at the test rows after a federated round (no peer does it)",
)


class Contrast(msgspec.Struct, frozen=True, kw_only=True):
    """All that was measured and what it says. `pue` multiplies the training in one place in (b) and (c), no other."""

    schema: int = 1
    plan: Plan
    pue: float
    pue_source: str
    label: str
    sides: tuple[Side, ...]
    orderings: tuple[Told, ...]
    statements: tuple[Statement, ...]
    missing: tuple[str, ...]
    not_counted: tuple[str, ...] = NOT_COUNTED


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """The chapter's MLP on MNIST, as a training in one place of so many epochs."""

    schema: int = 1
    example: str
    rows: int
    side: Side
    chapter_kg: float = EXAMPLE_KG


def contrast(
    plan: Plan,
    pue: tuple[float, str],
    probe: HostProbe,
    out: Path,
    say: Callable[[str], None],
    keep: Callable[[Contrast], None],
) -> Contrast:
    """Every training of `plan`, one after the other; runs are left in `out`. InputError before anything is started.

    `keep` gets what is known so far after each of them, so that an hour's grid that is stopped is not lost.
    """
    checked(plan)
    grids = grid_factors()
    centres, cells = list(plan.centres()), list(plan.cells())
    sides: list[Side] = []

    def done(side: Side) -> None:
        sides.append(side)
        keep(concluded(plan, pue, tuple(sides), grids))
        say(f"{len(sides)} of {len(centres) + len(cells)}: {progress(side)}")

    for cell in centres:
        target = plan.target_of(cell.data)
        job = Alone(federation=federation_of(cell, plan), probe=probe.to_json(), target=target, most_epochs=MOST_EPOCHS)
        done(in_one_place(cell, job, target)[0])
    for cell in cells:
        place = out / f"{cell.data}-{cell.partition}-{cell.optimiser}-{cell.epochs}-{cell.seed}".replace(":", "-")
        done(federated(cell, federation_of(cell, plan), place, plan.target_of(cell.data)))
    return concluded(plan, pue, tuple(sides), grids)


def concluded(
    plan: Plan, pue: tuple[float, str], sides: tuple[Side, ...], grids: dict[tuple[str, str], Factor]
) -> Contrast:
    """What the measurements say; pure."""
    statements = orderings(sides, round(pue[0] * 1000), grids)
    labels = {side.metered.label for side in sides}
    return Contrast(
        plan=plan,
        pue=pue[0],
        pue_source=pue[1],
        label=", ".join(sorted(labels)),
        sides=sides,
        orderings=over_the_grid(statements, claims(plan, PRESETS)),
        statements=statements,
        missing=plan.missing,
    )


def grid_factors() -> dict[tuple[str, str], Factor]:
    return {(preset, country): factor_of(country, preset) for preset in PRESETS for country in (HOME, *ELSEWHERE)}


def progress(side: Side) -> str:
    end = f"{'reached' if side.reached else 'did not reach'} {100 * side.target:.0f} % "
    end += f"in {side.rounds} {'rounds' if side.cell.optimiser else 'epochs'}"
    return f"{side.cell.words}: {end}, {side.metered.joules:.1f} J ({side.metered.label}), {side.seconds:.0f} s"


def example(data_dir: str, country: str, probe: HostProbe, seed: int = 0) -> Example:
    """MLP 784-128-10, 10 epochs, batch 32, Adam: Keras's defaults, since the chapter's listing names no others."""
    plan = Plan(data=("mnist",), partitions=("iid",), data_dir=data_dir, country=country, peers=1)
    cell = Cell(data="mnist", partition="iid", seed=seed)
    settings = federation_of(cell, checked(plan))
    settings = msgspec.structs.replace(
        settings,
        model=msgspec.structs.replace(settings.model, hidden=EXAMPLE_HIDDEN),
        training=msgspec.structs.replace(settings.training, batch_size=EXAMPLE_BATCH),
    )
    job = Alone(
        federation=settings,
        probe=probe.to_json(),
        target=None,
        most_epochs=EXAMPLE_EPOCHS,
        optimiser="adam",
        learning_rate=EXAMPLE_RATE,
    )
    side, told = in_one_place(cell, job, 1.0)
    return Example(example="MLP 784-128-10, 10 epochs, batch 32, Adam 0.001", rows=told.rows, side=side)
