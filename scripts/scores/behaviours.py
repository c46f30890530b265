"""What a peer in one seat sends: honestly, without work, without data, or with somebody else's.

Attackers know everything public (model, applied steps, slice) and their own rows; none of them knows another's update.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from peerage.learning.data import Dataset, random_labels
from peerage.learning.model import from_vector, to_vector
from peerage.learning.scoring import path_gradient
from peerage.learning.trainer import TrainSettings, train

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    Model = NDArray[np.float32]

NOISE_LENGTH = 2.0  # L2 norm of an update that is nothing but noise: about that of an honest one in the first rounds
TIMES = {"replay": (0, 1.0), "replay-3x": (0, 3.0), "replay-old": (3, 1.0)}  # which applied step, how many times
NO_DATA = ("parent-back", "random-labels", "replay", "replay-3x", "replay-old", "noise", "selective")


@dataclass(frozen=True)
class Seat:
    """One peer. `measured` is what it can look at to guess its own score: what it holds back, or the public slice."""

    number: int
    behaviour: str
    rows: Dataset
    held_back: Dataset | None
    measured: Dataset | None


def rows_of(behaviour: str, part: Dataset, public: Dataset | None, seed: int) -> Dataset:
    """What this behaviour trains on, of the rows of its seat and the opened slice."""
    if behaviour in {"random-labels", "selective"}:
        return random_labels(part, seed)
    if behaviour == "slice":
        if public is None:
            raise ValueError("nobody can train on the opened slice where no slice is opened")
        return public
    return part


def local_model(
    seat: Seat, model: torch.nn.Module, base: Model, applied: Sequence[Model], settings: TrainSettings, seed: int
) -> Model | None:
    """(d,) the model that this seat claims to have trained from `base`; None when it stays away from the round."""
    if seat.behaviour == "parent-back":
        return base
    if seat.behaviour in TIMES:
        age, times = TIMES[seat.behaviour]
        return (base + np.float32(times) * applied[age]).astype(np.float32) if len(applied) > age else base
    if seat.behaviour == "noise":
        noise = np.random.default_rng(seed).standard_normal(len(base))
        return (base + NOISE_LENGTH * noise / np.linalg.norm(noise)).astype(np.float32)
    from_vector(model, base)
    train(model, seat.rows, settings, seed)
    local = to_vector(model)
    if seat.behaviour == "own-3x":
        return (base.astype(np.float64) + 3.0 * (local.astype(np.float64) - base)).astype(np.float32)
    if seat.behaviour == "selective" and not _looks_useful(seat, model, base, local):
        return None
    return local


def _looks_useful(seat: Seat, model: torch.nn.Module, base: Model, local: Model) -> bool:
    """Whether the update would earn by the attacker's own guess: the slope at the base, on what it can measure."""
    if seat.measured is None or not len(seat.measured):
        return True
    delta = local.astype(np.float64) - base.astype(np.float64)
    slope = path_gradient(model, base, np.zeros_like(base), seat.measured)
    return float(delta @ slope) > 0
