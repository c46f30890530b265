"""Whole federations in one process, on the integers that masks hide: what every round opens of every peer.

Training, clipping, quantising, merging, directions and inner products are the product's own functions. One play can be
scored in several ways at once, because an attacker that only bends what is measured changes no model.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from peerage.learning.data import Dataset, Splits, carve, load, split
from peerage.learning.model import build, from_vector, to_vector
from peerage.learning.partitions import partition
from peerage.learning.trainer import TrainSettings, draw_seed, evaluate
from peerage.rounds.aggregation import Grid, base_of, merge, update_of
from peerage_crypto.digest import tagged
from scores.behaviours import Seat, local_model, rows_of
from scores.directions import SHARED, Bent, Opened, Scored, opened_privately, opened_publicly

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch
    from numpy.typing import NDArray

    # a round's updates before clipping, gbar, seed of g
    Watch: TypeAlias = Callable[[list[NDArray[np.float64]], NDArray[np.float64], bytes], None]

REMEMBERED = 8  # applied steps that an attacker may replay; scoring projects off the last `novelty` of them


@dataclass(frozen=True)
class Setup:
    """A federation of digits (or MNIST) and who misbehaves in it; the defaults are those of examples/demo.toml."""

    peers: int = 12
    rounds: int = 12
    partition: str = "dirichlet:0.5"
    epochs: int = 2
    batch_size: int = 16
    learning_rate: float = 0.3
    momentum: float = 0.9
    clip: float = 8.0
    frac_bits: int = 16
    ring_bits: int = 32
    clip_each: float = 0.0
    novelty: int = 3
    source: str = "digits"
    data_dir: str = ""
    validation: str = "shared"  # shared | private: a public slice, or what each peer holds back
    held_back: float = 0.2
    draw: int = 0  # another draw of everything random but the data and who holds them
    cast: Mapping[int, str] = field(default_factory=dict)  # seat -> behaviour
    copies: Mapping[int, int] = field(default_factory=dict)  # seat -> the seat whose rows it holds too
    missing: Mapping[int, tuple[int, ...]] = field(default_factory=dict)  # seat -> rounds not attended
    bends: tuple[Bent, ...] = ()  # ways in which attackers' path gradients are bent; each scores the play once more

    @property
    def grid(self) -> Grid:
        return Grid(self.ring_bits, self.frac_bits, self.clip, clip_each=self.clip_each)

    def without(self, seat: int) -> Setup:
        """The same federation, had this peer never taken part."""
        return replace(self, missing={**self.missing, seat: tuple(range(1, self.rounds + 1))})


@dataclass(frozen=True)
class Played:
    """What a federation opened, by way of measuring, and how good its model became."""

    opened: Mapping[tuple[str, str], Sequence[Opened]]  # by way of measuring, and of bending what is measured
    accuracy: float  # of the last model, on the test rows
    loss: float
    longest: float  # largest L2 norm of an update before clipping
    classes: NDArray[np.int64]  # (peers, classes) rows of each to train on


def play(setup: Setup, seed: int, watch: Watch | None = None) -> Played:
    """One federation from its first model to its last round."""
    splits = rows(setup, seed)
    seats = [_seat(setup, splits, part, seat, seed) for seat, part in enumerate(parts(setup, splits, seed))]
    model = build(splits.train.input_shape, len(splits.train.classes), seed)
    parent = to_vector(model)
    applied: list[NDArray[np.float32]] = []
    opened: dict[tuple[str, str], list[Opened]] = {}
    settings = TrainSettings(setup.epochs, setup.batch_size, setup.learning_rate)
    longest = 0.0
    for number in range(1, setup.rounds + 1):
        base = base_of(parent, applied[0] if applied else np.zeros_like(parent), setup.momentum)
        deltas: dict[int, NDArray[np.float64]] = {}
        units: dict[int, NDArray[np.int64]] = {}
        for seat in seats:
            if number in setup.missing.get(seat.number, ()):
                continue
            drawn = draw_seed(seed + 7919 * setup.draw, seat.number, number)
            local = local_model(seat, model, base, applied, settings, drawn)
            if local is None:
                continue
            deltas[seat.number] = local.astype(np.float64) - base.astype(np.float64)
            longest = max(longest, float(np.linalg.norm(deltas[seat.number])))
            units[seat.number] = update_of(local, base, setup.grid, b"%d/%d/%d" % (seed, seat.number, number)).units
        result = merge(base, np.sum(list(units.values()), axis=0), len(units), setup.grid)
        path = (result.astype(np.float64) - base.astype(np.float64)).astype(np.float32)
        shared_seed = tagged("scores", seed.to_bytes(8, "big"), number.to_bytes(8, "big"))
        scored = Scored(model, base, path, tuple(applied[: setup.novelty]), units, shared_seed, setup.grid)
        if setup.validation == "shared":
            assert splits.validation is not None
            gbar, found = opened_publicly(scored, splits.validation)
            opened.setdefault((SHARED, ""), []).append(found)
            if watch:
                watch(list(deltas.values()), gbar, shared_seed)
        else:
            held_back = {seat.number: seat.held_back for seat in seats}
            for way, found in opened_privately(scored, held_back, setup.bends).items():
                opened.setdefault(way, []).append(found)
        applied = [(result.astype(np.float64) - parent.astype(np.float64)).astype(np.float32), *applied][:REMEMBERED]
        parent = result
    from_vector(model, parent)
    found_out = evaluate(model, splits.test)
    counts = np.stack([seat.rows.class_counts() for seat in seats])
    return Played(opened, found_out.accuracy, found_out.loss, longest, counts)


def honest_update(
    model: torch.nn.Module, base: NDArray[np.float32], part: Dataset, settings: TrainSettings, seed: int
) -> NDArray[np.float64]:
    """(d,) what an honest peer with these rows sends, relative to the round's base."""
    local = local_model(Seat(0, "honest", part, None, None), model, base, [], settings, seed)
    assert local is not None
    return local.astype(np.float64) - base.astype(np.float64)


def rows(setup: Setup, seed: int) -> Splits:
    """Training and test rows; where validation is private nothing is made public, so there is more to train on."""
    splits = load(setup.source, seed, data_dir=setup.data_dir)
    if setup.validation == "shared" or splits.validation is None:
        return splits
    if setup.source == "digits":
        from peerage.learning.data_digits import digits

        return split(digits(), seed)
    # the public slice of MNIST is at most 400 rows: leaving it out changes nothing that is measured here
    return splits


def parts(setup: Setup, splits: Splits, seed: int) -> list[Dataset]:
    """Each seat's rows; a seat that copies another has no part of its own."""
    owners = [seat for seat in range(setup.peers) if seat not in setup.copies]
    shares = partition(splits.train.labels, setup.partition, len(owners), seed)
    own = {seat: splits.train.take(share) for seat, share in zip(owners, shares, strict=True)}
    return [own[setup.copies.get(seat, seat)] for seat in range(setup.peers)]


def _seat(setup: Setup, splits: Splits, part: Dataset, number: int, seed: int) -> Seat:
    behaviour = setup.cast.get(number, "honest")
    held_back: Dataset | None = None
    if setup.validation == "private":
        part, held_back = carve(part, setup.held_back, seed, f"held back by {number}")
    measured = held_back if held_back is not None else splits.validation
    training = rows_of(behaviour, part, splits.validation, draw_seed(seed, number, 0))
    return Seat(number, behaviour, training, held_back, measured)
