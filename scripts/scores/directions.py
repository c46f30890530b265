"""What a round opens: < q_i , g > of every member, with g from a public slice or from what members hold back.

Private validation: each member's path gradient is brought to length one and put on the grid; halves of the members are
drawn by the round's shared randomness; the sum of each half, of length one again and without what the past steps told,
scores the other half (cross-fit). For comparison: everybody along one sum of all, and cross-fit of gradients in which
each class of a peer's rows counts the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from peerage.learning.scoring import integer_direction, novel, path_gradient
from peerage.rounds.aggregation import Grid, update_of
from peerage_crypto.digest import tagged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from numpy.typing import NDArray

    from peerage.learning.data import Dataset

    Vector = NDArray[np.float64]
    Units = NDArray[np.int64]

SHARED = "shared"
CROSS, ONE_SUM, BALANCED = "private", "private, one sum", "private, balanced"
GRADIENT_GRID = Grid(32, 22, 8.0)  # of path gradients of length one; a bent one may be longer and is not cut


@dataclass(frozen=True)
class Bent:
    """Path gradients that say something else: each seat reports the novel part of another's update (or of its own)."""

    name: str
    reports: Mapping[int, int]  # seat -> the seat whose update it reports
    length: float = 1.0  # honest ones have length one; longer only if nobody looks


HONEST = Bent("", {})


@dataclass(frozen=True)
class Opened:
    """One round: < q_i , g > by seat, and the exponent of g."""

    numbers: Mapping[int, int]
    exponent: int


@dataclass(frozen=True)
class Scored:
    """Everything public about a round once its sum is known, and the updates that masks hide."""

    model: torch.nn.Module  # lends its architecture
    base: NDArray[np.float32]
    path: NDArray[np.float32]
    applied: tuple[NDArray[np.float32], ...]
    units: Mapping[int, Units]
    seed: bytes
    grid: Grid


def opened_publicly(scored: Scored, validation: Dataset) -> tuple[Vector, Opened]:
    """(gbar, numbers) along the path gradient on the public slice."""
    gbar = novel(path_gradient(scored.model, scored.base, scored.path, validation), scored.applied)
    g, exponent = integer_direction(gbar, scored.seed, scored.grid)
    # |q . g| < 2^31 by the choice of g, so 64-bit sums of products cannot wrap here
    return gbar, Opened({seat: int(q @ g) for seat, q in scored.units.items()}, exponent)


def opened_privately(
    scored: Scored, held_back: Mapping[int, Dataset | None], bends: Sequence[Bent]
) -> dict[tuple[str, str], Opened]:
    """The round's numbers by way of measuring and of bending; no bending is named "" ."""
    members = sorted(scored.units)
    plain = {seat: _own_gradient(scored, seat, held_back[seat]) for seat in members}
    balanced = {seat: _own_gradient(scored, seat, held_back[seat], balanced=True) for seat in members}
    halves = draw(scored.seed, members)
    found: dict[tuple[str, str], Opened] = {}
    for bent in (HONEST, *bends):
        lies = _lies(scored, bent)
        found[CROSS, bent.name] = _cross(scored, halves, plain | lies)
        found[BALANCED, bent.name] = _cross(scored, halves, balanced | lies)
        found[ONE_SUM, bent.name] = _one_sum(scored, plain | lies)
    return found


def draw(seed: bytes, members: Sequence[int]) -> tuple[list[int], list[int]]:
    """Two halves, by a hash of the round's randomness; the first is the larger of an odd number."""
    order = sorted(members, key=lambda seat: tagged("scores/halves", seed, seat.to_bytes(20, "big")))
    cut = (len(order) + 1) // 2
    return sorted(order[:cut]), sorted(order[cut:])


def _own_gradient(scored: Scored, seat: int, rows: Dataset | None, *, balanced: bool = False) -> Units:
    """Of the mean loss on these rows; balanced: of the mean over their classes of each class's mean loss."""
    if rows is None or not len(rows):
        return np.zeros(len(scored.base), np.int64)
    groups = [rows]
    if balanced:
        groups = [rows.take(np.flatnonzero(rows.labels == label)) for label in np.flatnonzero(rows.class_counts())]
    gbar = np.sum([path_gradient(scored.model, scored.base, scored.path, group) for group in groups], axis=0)
    return _on_grid(gbar, 1.0, scored, seat)


def _lies(scored: Scored, bent: Bent) -> dict[int, Units]:
    """Of the members among them; who reports an absent peer's update tells the truth instead."""
    pairs = {seat: told for seat, told in bent.reports.items() if seat in scored.units and told in scored.units}
    return {
        seat: _on_grid(novel(scored.units[told].astype(np.float64), scored.applied), bent.length, scored, seat)
        for seat, told in pairs.items()
    }


def _on_grid(gradient: Vector, length: float, scored: Scored, seat: int) -> Units:
    """Brought to this length, whatever its own, and rounded stochastically."""
    own = float(np.linalg.norm(gradient))
    if own == 0:
        return np.zeros(len(gradient), np.int64)
    dither = tagged("scores/gradient", scored.seed, seat.to_bytes(20, "big"))
    zero = np.zeros(len(gradient), np.float32)
    return update_of((gradient * (length / own)).astype(np.float32), zero, GRADIENT_GRID, dither).units


def _cross(scored: Scored, halves: tuple[list[int], list[int]], gradients: Mapping[int, Units]) -> Opened:
    """Row k of the directions is for half k and made of the other half's sum; both are rounded at one exponent."""
    gbars = [_unit(scored, [gradients[seat] for seat in halves[other]]) for other in (1, 0)]
    seeds = [tagged("scores/row", scored.seed, bytes([row])) for row in (0, 1)]
    rows = [integer_direction(gbar, seed, scored.grid) for gbar, seed in zip(gbars, seeds, strict=True)]
    exponent = min(found for _, found in rows)
    numbers: dict[int, int] = {}
    for half, gbar, seed, (longest, own) in zip(halves, gbars, seeds, rows, strict=True):
        g = longest if own == exponent else _at(gbar, seed, exponent)
        numbers |= {seat: int(scored.units[seat] @ g) for seat in half}
    return Opened({seat: numbers[seat] for seat in sorted(numbers)}, exponent)


def _one_sum(scored: Scored, gradients: Mapping[int, Units]) -> Opened:
    g, exponent = integer_direction(_unit(scored, list(gradients.values())), scored.seed, scored.grid)
    return Opened({seat: int(q @ g) for seat, q in scored.units.items()}, exponent)


def _unit(scored: Scored, gradients: Sequence[Units]) -> Vector:
    total = np.sum(gradients, axis=0).astype(np.float64)
    length = float(np.linalg.norm(total))
    return novel(total / length if length else total, scored.applied)


def _at(gbar: Vector, seed: bytes, exponent: int) -> Units:
    uniform = np.random.Generator(np.random.Philox(key=int.from_bytes(seed[:16], "little"))).random(len(gbar))
    return np.floor(gbar * 2.0**exponent + uniform).astype(np.int64)
