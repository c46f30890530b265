"""What attackers send, made from what they know: the round's base, their own training, and all honest updates.

Vectors are updates (d,) in float64. An attacker that stays hidden keeps to the clip; `oversize` and `huge` do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from peerage.learning.data import Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Update = NDArray[np.float64]

TRAINED = ("none", "label-flip")  # those whose update is what training gives
ATTACKS = (
    *TRAINED,
    "sign-flip",
    "alie",
    "ipm",
    "free-rider",
    "nan",
    "huge",
    "oversize",
    "selfish",
    "selfish-unseen",
)
HUGE = 12345.678  # a few of these do not add up to a multiple of the ring, which would hide them
PLAIN_ONLY = ("selfish", "selfish-unseen")  # under masks everybody adds up the same vector


@dataclass(frozen=True)
class Knowledge:
    """`own` is this attacker's honest update, `honest` are the others'; `bad` of `peers` are attackers."""

    own: Update
    honest: Sequence[Update]
    peers: int
    bad: int
    clip: float
    room: float  # the length that no bound on a sum can tell from an honest one


def crafted(attack: str, known: Knowledge, recipient: int = 0) -> Update:
    """What an attacker sends; to everybody the same, except for the selfish ones."""
    mean = np.mean(known.honest, axis=0)
    match attack:
        case "none" | "label-flip":
            return known.own
        case "sign-flip":
            return -lengthened(known.own, known.clip)
        case "alie":  # Baruch et al. 2019 (arXiv 1902.06156): as far from the mean as honest peers stray
            return mean - _alie_factor(known.peers, known.bad) * np.std(known.honest, axis=0)
        case "ipm":  # Xie et al. 2019 (arXiv 1903.03936): enough to turn the sum round, as far as the clip lets it
            turn = -1.1 * (known.peers - known.bad) / known.bad * mean
            return lengthened(turn, min(known.clip, float(np.linalg.norm(turn))))
        case "free-rider":
            return np.zeros_like(mean)
        case "nan":
            return np.full_like(mean, np.nan)
        case "huge":
            return np.full_like(mean, HUGE)
        case "oversize":
            return -lengthened(mean, known.room)
        case _:  # after Jia et al. 2023 (SelfishAttack, arXiv 2310.13862): each neighbour is pushed elsewhere
            push = np.random.default_rng([11, recipient]).normal(size=len(mean))
            return lengthened(lengthened(push, 1.0) - lengthened(mean, 1.0), known.clip)


def _alie_factor(peers: int, bad: int) -> float:
    """z such that enough honest peers are expected further out than the attackers, who need a majority with them."""
    supporters = peers // 2 + 1 - bad
    return NormalDist().inv_cdf((peers - bad - supporters) / (peers - bad))


def lengthened(vector: Update, length: float) -> Update:
    norm = float(np.linalg.norm(vector))
    return vector * (length / norm) if norm else vector


def flipped(rows: Dataset) -> Dataset:
    """Every class k of n becomes n - 1 - k."""
    return Dataset(rows.features, len(rows.classes) - 1 - rows.labels, rows.classes)
