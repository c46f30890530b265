"""Who merges whose models in plain exchange: a graph over the peers, the same for everybody, or a new one each merge.

    all        everybody (BrainTorrent)                       ring, line, star     as their names say
    regular:K  a drawn graph of K neighbours each             random:P             each pair with chance P (Erdos-Renyi)
    sample:S   each merge S others, drawn anew: one-way       pairs                each merge a drawn matching: gossip
               (Epidemic Learning, arXiv 2310.01972)                               (Boyd et al. 2006)

Vertices are the peers' addresses in rising order: all that every site and every auditor knows. Draws follow from the
federation's seed. A merge of a peer takes its own model and those of its neighbours; with equal rows that is D-PSGD's
step (Lian et al. 2017, arXiv 1705.09056) with the weights 1 / (degree + 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from peerage.scheduling.draws import draw_below
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from peerage.config import Federation
    from peerage_ledger.judgement import Near

Edges = frozenset[frozenset[int]]
CHANCES = 1_000_000  # random:P is read to a millionth
DRAWS = 1000  # attempts at a regular graph


@dataclass(frozen=True)
class Topology:
    """Of `peers` vertices. `kind` with its number; `seed` of all draws."""

    kind: str
    number: float
    peers: int
    seed: int

    @property
    def dynamic(self) -> bool:
        """Whether each merge has neighbours of its own."""
        return self.kind in {"sample", "pairs"}

    def neighbours(self, vertex: int, merge: int) -> frozenset[int]:
        """Whose models this vertex merges in its merge (from 1)."""
        match self.kind:
            case "sample":
                others = [v for v in range(self.peers) if v != vertex]
                return frozenset(_shuffled(others, self.seed, "sample", merge, vertex)[: int(self.number)])
            case "pairs":
                order = _shuffled(range(self.peers), self.seed, "pairs", merge)
                place = order.index(vertex) ^ 1  # 0 with 1, 2 with 3, ...
                return frozenset({order[place]} if place < len(order) else ())
            case _:
                return frozenset(v for edge in self.edges() if vertex in edge for v in edge if v != vertex)

    def edges(self) -> Edges:
        """Of a graph that stays. InputError: there is none, or it falls apart."""
        n, around = self.peers, range(self.peers)
        match self.kind:
            case "ring":
                found = _edges((v, (v + 1) % n) for v in around)
            case "line":
                found = _edges((v, v + 1) for v in around[:-1])
            case "star":
                found = _edges((0, v) for v in around[1:])
            case "regular":
                found = _regular(n, int(self.number), self.seed)
            case _:
                chance = round(self.number * CHANCES)
                pairs = combinations(around, 2)
                found = _edges(e for e in pairs if draw_below(CHANCES, self.seed, "random", *e) < chance)
        _check_connected(self, found)
        return found

    def mixing(self) -> NDArray[np.float64]:
        """(n, n) row i: the weights with which i merges models of equal rows; for a graph that stays."""
        found: NDArray[np.float64] = np.eye(self.peers)
        for i, j in map(sorted, self.edges()):
            found[i, j] = found[j, i] = 1.0
        found /= found.sum(axis=1, keepdims=True)
        return found


def spectral_gap(mixing: NDArray[np.float64]) -> float:
    """1 - the second largest modulus of the eigenvalues: per merge the distance to consensus shrinks by that much."""
    sizes = np.sort(np.abs(np.linalg.eigvals(mixing)))
    return float(1 - sizes[-2]) if len(sizes) > 1 else 1.0


def consensus_distance(models: Sequence[NDArray[np.generic]]) -> float:
    """Root of the mean squared distance of the models from their mean."""
    stacked = np.stack([model.astype(np.float64) for model in models])
    return float(np.sqrt(np.mean(np.sum((stacked - stacked.mean(axis=0)) ** 2, axis=1))))


def topology_of(federation: Federation) -> Topology | None:
    """What the federation agreed on; None: everybody merges everybody."""
    kind, _, number = federation.merge.graph.partition(":")
    if kind == "all":
        return None
    return Topology(kind, float(number or 0), federation.peers, federation.seed)


def near_of(federation: Federation, registered: frozenset[bytes]) -> Near | None:
    """Whose models a peer may merge, by address. InputError: so many as are registered have no such graph."""
    agreed = topology_of(federation)
    if agreed is None:
        return None
    order = sorted(registered)
    topology = replace(agreed, peers=len(order))
    places = {peer: place for place, peer in enumerate(order)}
    fixed: Mapping[bytes, frozenset[bytes]] = (
        {} if topology.dynamic else {p: frozenset(order[v] for v in topology.neighbours(places[p], 1)) for p in order}
    )

    def near(peer: bytes, merge: int) -> frozenset[bytes]:
        if peer not in places:
            return frozenset()
        return fixed[peer] if fixed else frozenset(order[v] for v in topology.neighbours(places[peer], merge))

    return near


def check_topology(federation: Federation) -> None:
    """InputError where the graph cannot be, or where something needs everybody's models."""
    topology = topology_of(federation)
    if topology is None:
        return
    said, n, k = f'merge.graph = "{federation.merge.graph}"', federation.peers, int(topology.number)
    if federation.exchange != "plain":
        raise InputError(
            f'{said}: masks hide a sum of everybody: choose exchange = "plain" for a graph of peers that trust their '
            'neighbours, or graph = "all"'
        )
    if federation.robust.rule != "mean":
        raise InputError(f'{said}: robust.rule = "{federation.robust.rule}" was not tried on graphs: choose "mean"')
    if n < 3:
        raise InputError(f'{said}: two peers have one graph: choose graph = "all"')
    if topology.kind == "sample" and not 0 < k < n:
        raise InputError(f"{said}: of {n} peers 1 to {n - 1} others can be drawn")
    if topology.kind == "regular" and (not 1 < k < n or k * n % 2):
        fits = [fit for fit in range(2, n) if fit * n % 2 == 0]
        raise InputError(f"{said}: {n} peers cannot have {k} neighbours each: choose K of {', '.join(map(str, fits))}")
    if not topology.dynamic:
        topology.edges()


def _regular(n: int, k: int, seed: int) -> Edges:
    """K // 2 drawn rings over all, and a drawn matching where K is odd, such that no edge comes twice."""
    if k == n - 1:
        return _edges(combinations(range(n), 2))
    for attempt in range(DRAWS):
        parts: list[Edges] = []
        for ring in range(k // 2):
            order = _shuffled(range(n), seed, "regular", attempt, ring)
            parts.append(_edges(zip(order, [*order[1:], order[0]], strict=True)))
        if k % 2:
            order = _shuffled(range(n), seed, "regular", attempt, "matching")
            parts.append(_edges(zip(order[::2], order[1::2], strict=True)))
        found = frozenset[frozenset[int]]().union(*parts)
        if len(found) == n * k // 2:
            return found
    raise InputError(
        f'merge.graph = "regular:{k}": no such graph of {n} peers was drawn in {DRAWS} attempts: choose another K, or '
        'graph = "random:0.5"'
    )


def _check_connected(topology: Topology, edges: Edges) -> None:
    reached, left = {0}, {0}
    while left:
        vertex = left.pop()
        new = {v for edge in edges if vertex in edge for v in edge} - reached
        reached |= new
        left |= new
    if len(reached) < topology.peers:
        raise InputError(
            f'merge.graph = "{topology.kind}:{topology.number:g}" falls apart with seed {topology.seed}: '
            f"{topology.peers - len(reached)} of {topology.peers} peers would never hear of the others; choose a "
            "larger chance, another seed, or ring"
        )


def _edges(pairs: Iterable[tuple[int, int]]) -> Edges:
    return frozenset(frozenset(pair) for pair in pairs)


def _shuffled(vertices: Sequence[int], seed: int, *purpose: str | int) -> list[int]:
    """Fisher and Yates."""
    order = list(vertices)
    for place in range(len(order) - 1, 0, -1):
        other = draw_below(place + 1, seed, *purpose, place)
        order[place], order[other] = order[other], order[place]
    return order
