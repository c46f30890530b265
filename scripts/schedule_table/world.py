"""Forty virtual peers: four groups with E = 1, 5, 10, 20, their rows, and softmax regression for all at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CLASSES = 10
PERIODS = (1, 5, 10, 20)
GROUP_CLASSES = ((0, 1, 2), (3, 4), (5, 6, 7), (8, 9))  # under skew, a group's rows are of these classes alone


@dataclass(frozen=True)
class World:
    """`x` (peers, rows, d) and one-hot `y` (peers, rows, 10): as many rows for each peer; an even test set."""

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_labels: np.ndarray

    @property
    def peers(self) -> int:
        return len(self.x)

    def group_of(self, peer: int) -> int:
        return peer * len(PERIODS) // self.peers


def world(data: str, peers: int, seed: int, *, skew: float) -> World:
    """The rows dealt out: `skew` of a peer's rows are of its energy group's classes, the others of any; 0 is IID.

    The last feature is the constant 1.
    """
    rng = np.random.default_rng([seed, 1])
    features, labels = _digits(rng) if data == "digits" else _synthetic(rng, rows=100 * peers)
    cut = len(labels) // 5
    test_x, test_labels = features[:cut], labels[:cut]
    features, labels = features[cut:], labels[cut:]
    each = len(labels) // peers
    own = round(skew * each)
    anything = rng.permutation(len(labels))[: (each - own) * peers].reshape(peers, each - own)
    parts = []
    for peer in range(peers):
        pool = np.flatnonzero(np.isin(labels, GROUP_CLASSES[peer * len(PERIODS) // peers]))
        parts.append(np.concatenate([rng.choice(pool, own), anything[peer]]))
    chosen = np.array(parts)
    return World(features[chosen], np.eye(CLASSES)[labels[chosen]], test_x, test_labels)


def _digits(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    from peerage.learning.data_digits import digits

    data = digits()
    order = rng.permutation(len(data.labels))
    return _with_one(data.features[order].astype(np.float64)), data.labels[order]


def _synthetic(rng: np.random.Generator, *, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten round clouds in 20 dimensions that overlap: no model gets much beyond nine in ten."""
    centres = rng.normal(size=(CLASSES, 20)) * 0.75
    labels = rng.integers(0, CLASSES, size=rows)
    return _with_one(centres[labels] + rng.normal(size=(rows, 20))), labels


def _with_one(features: np.ndarray) -> np.ndarray:
    return np.hstack([features, np.ones((len(features), 1))])


def updates(world: World, model: np.ndarray, who: np.ndarray, *, steps: int, rate: float) -> np.ndarray:
    """(len(who), d, 10): what `steps` of full-batch gradient descent change at each of these peers."""
    x, y = world.x[who], world.y[who]
    local = np.repeat(model[None], len(who), axis=0)
    for _ in range(steps):
        logits = x @ local
        logits -= logits.max(axis=2, keepdims=True)
        p = np.exp(logits)
        p /= p.sum(axis=2, keepdims=True)
        local -= rate * (x.transpose(0, 2, 1) @ (p - y)) / x.shape[1]
    return local - model


def accuracy(world: World, model: np.ndarray) -> float:
    return float(np.mean((world.test_x @ model).argmax(axis=1) == world.test_labels))


def group_accuracy(world: World, model: np.ndarray) -> list[float]:
    """On the test rows of the classes that each group holds under skew."""
    right = (world.test_x @ model).argmax(axis=1) == world.test_labels
    return [float(np.mean(right[np.isin(world.test_labels, classes)])) for classes in GROUP_CLASSES]
