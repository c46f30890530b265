"""Random-k: a round exchanges some coordinates of the update, drawn for all peers alike from what the last round left.

Masks hide sums only where every peer sends the same coordinates, so nobody may choose its own largest (top-k). Those
of a round follow from the randomness that its parent's session ended with: everybody can draw them, nobody can choose
them, and no index is sent. What a peer does not send stays in its local model and goes with a later round (error
feedback: Stich et al. 2018, arXiv 1809.07599; random-k with shared randomness: Konecny et al. 2016, arXiv 1610.05492).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import shake_256
from math import ceil
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from peerage_crypto.digest import tagged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from peerage.config import Federation
    from peerage_ledger.judgement import Standing

    Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Sampling:
    """`fraction` of the coordinates go into each round; 1: all of them."""

    fraction: float = 1.0

    def exchanged(self, parameters: int) -> int:
        """How many of so many coordinates a round exchanges: rounded up, so at least one."""
        return ceil(self.fraction * parameters)

    def kept(self, parent: Standing) -> NDArray[np.int64] | None:
        """(k,) the coordinates of the round after `parent`, rising; None: all of them.

        The seed is the randomness of the parent's session, to which its members were committed; its record would be
        worse, because whoever writes it can try several. Each coordinate gets 64 bits of one SHAKE-256 stream, and the
        k lowest are in; of equal ones the first.
        """
        size = parent.model.size
        if self.fraction >= 1:
            return None
        key = tagged("peerage/random-k/v1", parent.seed)
        lots = np.frombuffer(shake_256(key).digest(8 * size), "<u8")
        return np.sort(np.argsort(lots, kind="stable")[: self.exchanged(size)])


ALL = Sampling()


def sampling_of(federation: Federation) -> Sampling:
    """What the federation agreed on."""
    return Sampling(federation.masking.random_k)


def only(vector: NDArray[Scalar], kept: NDArray[np.int64] | None) -> NDArray[Scalar]:
    """(k,) what a round exchanges of a vector (d,)."""
    return vector if kept is None else vector[kept]


def spread(vector: NDArray[np.float64], kept: NDArray[np.int64] | None, parameters: int) -> NDArray[np.float64]:
    """(d,) the same in its places, and zero where nothing was exchanged."""
    if kept is None:
        return vector
    whole = np.zeros(parameters, np.float64)
    whole[kept] = vector
    return whole


def put(into: NDArray[Scalar], what: NDArray[Scalar], kept: NDArray[np.int64] | None) -> NDArray[Scalar]:
    """(d,) `into`, with what a round exchanges of `what` in its place."""
    if kept is None:
        return what
    out = into.copy()
    out[kept] = what[kept]
    return out
