"""Who holds which rows, where one machine plays a whole federation: the usual four ways to be unequal, each seeded.

Label skew by Dirichlet: Hsu, Qi, Brown 2019 (arXiv 1909.06335); shards: McMahan et al. 2017 §3.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np

from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = ("iid", "dirichlet", "shards", "quantity")
FORMS = "iid, dirichlet:ALPHA, shards:K or quantity:ALPHA"
LEAST = 8  # rows that the draw leaves to every peer if there are enough: fewer is an anecdote, not a training set


def partition(
    labels: NDArray[np.int64], spec: str, peers: int, seed: int, least: int = LEAST
) -> list[NDArray[np.int64]]:
    """Row numbers of each peer, ascending: every row once, no peer empty.

    Every peer gets at least `least` rows (or half an equal share where that is less), at the cost of the largest.
    """
    kind, value = parse(spec)
    rows = len(labels)
    if peers < 1 or rows < peers:
        raise InputError(f"{rows} training rows cannot be shared among {peers} peers.")
    draws = np.random.default_rng([seed, *b"partition"])
    if kind == "iid":
        parts = np.array_split(draws.permutation(rows), peers)
    elif kind == "quantity":
        parts = _cut(draws.permutation(rows), draws.dirichlet([value] * peers))
    elif kind == "shards":
        parts = _shards(labels, int(value), peers, draws)
    else:
        parts = _dirichlet(labels, value, peers, draws)
    return [np.sort(part) for part in _lift(parts, max(1, min(least, rows // (2 * peers))), draws)]


def parse(spec: str) -> tuple[str, float]:
    """("dirichlet", 0.5) of "dirichlet:0.5"; the number of iid is 0."""
    kind, _, text = spec.partition(":")
    if kind not in KINDS:
        near = get_close_matches(kind, KINDS, 1)
        raise InputError(f"{spec!r} is not a partition: use {FORMS}{f' (did you mean {near[0]}?)' if near else ''}.")
    if kind == "iid":
        if text:
            raise InputError(f"{spec!r}: iid takes no number.")
        return kind, 0.0
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6 or (kind == "shards" and value != int(value)):
        raise InputError(
            f"{spec!r}: {kind} needs a positive {'whole number' if kind == 'shards' else 'number'}, as {FORMS}."
        )
    return kind, value


def _cut(order: NDArray[np.int64], shares: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    return np.split(order, np.round(np.cumsum(shares)[:-1] * len(order)).astype(np.int64))


def _dirichlet(
    labels: NDArray[np.int64], alpha: float, peers: int, draws: np.random.Generator
) -> list[NDArray[np.int64]]:
    pieces: list[list[NDArray[np.int64]]] = [[] for _ in range(peers)]
    for label in np.unique(labels):
        order = draws.permutation(np.flatnonzero(labels == label))
        for peer, piece in enumerate(_cut(order, draws.dirichlet([alpha] * peers))):
            pieces[peer].append(piece)
    return [np.concatenate(mine) for mine in pieces]


def _shards(labels: NDArray[np.int64], each: int, peers: int, draws: np.random.Generator) -> list[NDArray[np.int64]]:
    if peers * each > len(labels):
        raise InputError(f"shards:{each} needs {peers * each} rows for {peers} peers; there are {len(labels)}.")
    shuffled = draws.permutation(len(labels))
    ordered = shuffled[np.argsort(labels[shuffled], kind="stable")]
    shards = np.array_split(ordered, peers * each)
    deal = draws.permutation(peers * each).reshape(peers, each)
    return [np.concatenate([shards[shard] for shard in mine]) for mine in deal]


def _lift(parts: list[NDArray[np.int64]], least: int, draws: np.random.Generator) -> list[NDArray[np.int64]]:
    """Moves rows of the largest part, picked at random, to parts below `least`, one part at a time."""
    parts = list(parts)
    while min(map(len, parts)) < least:
        poor = min(range(len(parts)), key=lambda peer: len(parts[peer]))
        rich = max(range(len(parts)), key=lambda peer: len(parts[peer]))
        moved = min(least - len(parts[poor]), len(parts[rich]) - least)
        shuffled = draws.permutation(parts[rich])
        parts[poor], parts[rich] = np.concatenate([parts[poor], shuffled[:moved]]), shuffled[moved:]
    return parts
