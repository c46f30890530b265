"""The optimiser of the merge: from the mean update of a round to the next model, the same bits for everybody.

With W the parent's model, s its last applied step, q the mean of the updates, b1 = `momentum` and r = `rate`:

    fedavg     W' = W + r q                                               (McMahan et al. 2017, arXiv 1602.05629)
    momentum   W' = W + b1 s + r q          peers train from W            (FedAvgM: Hsu et al. 2019, arXiv 1909.06335)
    nesterov   W' = W + b1 s + r q          peers train from W + b1 s     (the outer step of DiLoCo, arXiv 2311.08105)
    fedadam    m' = b1 m + (1 - b1) q,  v' = b2 v + (1 - b2) q^2                        (Reddi et al. 2021,
    fedyogi    the same m',  v' = v - (1 - b2) q^2 sign(v - q^2)                         arXiv 2003.00295, alg. 2)
               W' = W + r m' / (sqrt(v') + tau), from m = 0 and v = tau^2, peers train from W

b1 s is r times the momentum buffer, so the second and third keep nothing but the step that everybody knows. The last
two keep a state of three rows (m, v, q), float32: a function of the sums of the rounds so far, so whoever follows the
records has it. Sums, products, quotients and roots of doubles, one at a time, each rounded correctly by IEEE 754: equal
bits on every machine (docs/patterns.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from peerage.optimising import ADAPTIVE, rate_of
from peerage.rounds.aggregation import base_of
from peerage_ledger.judgement import NO_STATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from peerage.config import Federation, MergeOptimiser, MergeSettings

    Vector = NDArray[np.float32]
    Wide = NDArray[np.float64]


class Moments(NamedTuple):
    """First and second moment of the mean updates, in double precision."""

    first: Wide
    second: Wide


@dataclass(frozen=True, slots=True)
class Optimiser:
    """What the federation agreed on. Every method is exact: no reduction, so no order to agree on."""

    kind: MergeOptimiser = "nesterov"
    momentum: float = 0.9  # b1
    rate: float = 1.0
    beta2: float = 0.99
    tau: float = 1e-3
    variates: bool = False  # SCAFFOLD: the state is how everybody usually moves
    peers: int = 0  # of the federation, whether or not they are in a sum; 0: as many as are

    @property
    def remembers(self) -> bool:
        """Whether there is a state that only the sums of all rounds before can tell."""
        return self.adaptive or self.variates

    @property
    def adaptive(self) -> bool:
        """Whether each coordinate has a rate of its own, and the optimiser a state."""
        return self.kind in ADAPTIVE

    def training_start(self, model: Vector, step: Vector) -> Vector:
        """Where peers start the next round, and what their updates count from."""
        return base_of(model, step, self.momentum) if self.kind == "nesterov" else model

    def path_start(self, model: Vector, step: Vector, state: Vector) -> Vector:
        """The next model if the mean update were zero. The rest of the way is what a round's updates have done: the
        path along which they are scored.
        """
        if not self.adaptive:
            return self._drifted(model, step)
        return _moved(model, self._move(self._moments(state, model.size), np.zeros(model.size, np.float64)))

    def follow(self, model: Vector, step: Vector, state: Vector, mean: Wide, members: int = 0) -> tuple[Vector, Vector]:
        """The next model and the state after it; `mean` (d,) of so many updates, in units of the parameters."""
        if not self.adaptive:
            kept = self._usual(state, mean, members) if self.variates else NO_STATE
            return _moved(self._drifted(model, step), np.float64(self.rate) * mean), kept
        told = mean.astype(np.float32)  # what the state keeps of it: nothing else may count
        before, wide = self._moments(state, model.size), told.astype(np.float64)
        after = self._after(before, wide)
        kept = np.stack([after.first.astype(np.float32), after.second.astype(np.float32), told])
        return _moved(model, self._move(before, wide)), kept

    def slope(self, before: Vector, after: Vector) -> Wide | None:
        """(d,) how far the round's model moved for each unit of mean update, from the states before and after it; None
        where that is the same number in every coordinate, which shares out nothing.

        The secant from the zero update, not the derivative at the end: then the shares of all updates add up to the
        whole step. Where the mean is zero it is the derivative there, the secant's limit.
        """
        if not self.adaptive:
            return None
        told = after[2].astype(np.float64)
        known = self._moments(before, told.size)
        nothing = np.zeros(told.size, np.float64)
        way = self._move(known, told) - self._move(known, nothing)
        root = np.sqrt(self._second(known.second, nothing)) + np.float64(self.tau)
        at_zero = np.float64(self.rate) * (np.float64(1.0) - np.float64(self.momentum)) / root
        found: Wide = np.divide(way, told, out=at_zero, where=told != 0)
        return found

    def correction(self, state: Vector, usual: Vector | None, parameters: int) -> Vector | None:
        """(d,) what a peer adds to one fine-tune, spread over its steps: how everybody usually moves, less how it
        moves itself; None without variates.
        """
        if not self.variates:
            return None
        everybody = state[0] if state.size else np.zeros(parameters, np.float32)
        return everybody if usual is None else everybody - usual

    def moved(self, state: Vector, usual: Vector | None, update: Wide) -> Vector:
        """How a peer usually moves, after an update of its has gone into a sum: the update without the correction.

        SCAFFOLD's option II with c_i = -usual / (K eta): c_i' = c_i - c + (x - y_i) / (K eta).
        """
        mine = np.zeros(update.size, np.float32) if usual is None else usual
        everybody = state[0] if state.size else np.zeros(update.size, np.float32)
        return (mine.astype(np.float64) - everybody.astype(np.float64) + update).astype(np.float32)

    def _usual(self, state: Vector, mean: Wide, members: int) -> Vector:
        """C' = c + |S| / N (mean of the changes of c_i in S): the mean itself where all peers are in the sum."""
        share = (
            np.float64(min(members, self.peers)) / np.float64(self.peers) if self.peers and members else np.float64(1)
        )
        before = state[0].astype(np.float64) if state.size else np.zeros(mean.size, np.float64)
        return ((np.float64(1) - share) * before + share * mean).astype(np.float32)[np.newaxis]

    def _drifted(self, model: Vector, step: Vector) -> Vector:
        return model if self.kind == "fedavg" else base_of(model, step, self.momentum)

    def _moments(self, state: Vector, parameters: int) -> Moments:
        if state.size == 0:
            return Moments(np.zeros(parameters, np.float64), np.full(parameters, np.float64(self.tau) * self.tau))
        return Moments(state[0].astype(np.float64), state[1].astype(np.float64))

    def _after(self, before: Moments, mean: Wide) -> Moments:
        beta1 = np.float64(self.momentum)
        return Moments(beta1 * before.first + (np.float64(1.0) - beta1) * mean, self._second(before.second, mean))

    def _second(self, known: Wide, mean: Wide) -> Wide:
        beta2, square = np.float64(self.beta2), mean * mean
        part = (np.float64(1.0) - beta2) * square
        return beta2 * known + part if self.kind == "fedadam" else known - part * np.sign(known - square)

    def _move(self, before: Moments, mean: Wide) -> Wide:
        after = self._after(before, mean)
        return np.float64(self.rate) * after.first / (np.sqrt(after.second) + np.float64(self.tau))


def _moved(model: Vector, by: Wide) -> Vector:
    return (model.astype(np.float64) + by).astype(np.float32)


FEDAVG = Optimiser("fedavg", momentum=0.0)
AHEAD = Optimiser()  # what federations had before there was a choice


def agreed_optimiser(federation: Federation) -> Optimiser:
    """The merge's, with SCAFFOLD's variates where peers train with them."""
    return replace(optimiser_of(federation.merge), variates=federation.training.scaffold, peers=federation.peers)


def optimiser_of(merge: MergeSettings) -> Optimiser:
    """From the settings. Their decimals are read to the nearest doubles, the same on every machine."""
    return Optimiser(merge.optimiser, merge.momentum, rate_of(merge), merge.beta2, merge.tau)
