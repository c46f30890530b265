"""Questions to the co-versioning registry: which models contain a version, what lies between two, where one comes from.

A model contains a peer's version when that version went into it or into one of its ancestors. A version vector alone
does not say so: version 13 may be the first of a peer that any round took in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from peerage_crypto.errors import InputError
from peerage_ledger.transcript import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from peerage_ledger.provenance.build import Provenance
    from peerage_ledger.provenance.graph import ModelGraph
    from peerage_ledger.provenance.model import Contribution, ModelNode

LEAST_PREFIX = 4  # hex digits of a hash that may stand for it


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the registry: this version of this peer went into this model."""

    node: ModelNode
    contribution: Contribution


@dataclass(frozen=True, slots=True)
class Containing:
    """Where a version went in, and every model that has it from there. `unproven` may contain it, too."""

    direct: tuple[ModelNode, ...]
    later: tuple[ModelNode, ...]
    unproven: tuple[ModelNode, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A digest that a peer signed otherwise from this model on; `before` is None where it had signed none."""

    peer: bytes
    what: str
    node: ModelNode
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True, slots=True)
class Between:
    """What `b` contains and `a` does not, and the other way round: `back` is empty where `a` is an ancestor."""

    a: ModelNode
    b: ModelNode
    ahead: tuple[ModelNode, ...]
    back: tuple[ModelNode, ...]
    entries: tuple[Entry, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a model is made of: its lineage with itself at the end, and every version of every peer in it."""

    node: ModelNode
    lineage: tuple[ModelNode, ...]
    versions: Mapping[bytes, tuple[int, ...]]


def entries(nodes: Iterable[ModelNode]) -> tuple[Entry, ...]:
    return tuple(Entry(node, c) for node in nodes for c in node.contributions)


def containing(graph: ModelGraph, peer: bytes, version: int) -> Containing:
    """The models with this peer's version. InputError when no model has it, and every list of members is proven."""
    wanted = (peer, version)
    taken = entries(graph.nodes.values())
    direct = [e.node for e in taken if (e.contribution.peer, e.contribution.version) == wanted]
    inside = frozenset[bytes]().union(*(graph.descent(node.record) for node in direct))
    later = inside - {node.record for node in direct}
    unproven = [n for n in graph.nodes.values() if n.unproven and n.record not in inside]
    if not direct and not unproven:
        raise InputError(f"no model contains version {version} of this peer: {_known(graph, peer)}")
    return Containing(tuple(direct), graph.in_order(later), tuple(unproven))


def _known(graph: ModelGraph, peer: bytes) -> str:
    taken = sorted({e.contribution.version for e in entries(graph.nodes.values()) if e.contribution.peer == peer})
    if not taken:
        return "nothing of it was ever taken in"
    return f"what was taken in of it are the versions {spans(taken)}"


def between(graph: ModelGraph, a: ModelNode, b: ModelNode) -> Between:
    """Rounds, versions and changed digests on the way from `a` to `b`."""
    of_a, of_b = graph.ancestry(a.record), graph.ancestry(b.record)
    ahead, back = graph.in_order(of_b - of_a), graph.in_order(of_a - of_b)
    changes = _changes(graph.in_order(of_a & of_b), ahead)
    return Between(a, b, ahead, back, entries(ahead), changes)


def _changes(before: Iterable[ModelNode], ahead: Iterable[ModelNode]) -> tuple[Change, ...]:
    signed: dict[tuple[bytes, str], bytes | None] = {}
    for entry in entries(before):
        for what, digest in _digests(entry.contribution):
            signed[entry.contribution.peer, what] = digest
    found: list[Change] = []
    for entry in entries(ahead):
        peer = entry.contribution.peer
        for what, digest in _digests(entry.contribution):
            last = signed.get((peer, what))
            if digest != last:
                found.append(Change(peer, what, entry.node, last, digest))
            signed[peer, what] = digest
    return tuple(found)


def _digests(contribution: Contribution) -> Iterable[tuple[str, bytes | None]]:
    yield "code", contribution.code_manifest
    yield "data", contribution.data_manifest


def origin(graph: ModelGraph, node: ModelNode) -> Origin:
    lineage = graph.in_order(graph.ancestry(node.record))
    versions: dict[bytes, set[int]] = {}
    for entry in entries(lineage):
        versions.setdefault(entry.contribution.peer, set()).add(entry.contribution.version)
    return Origin(node, lineage, {peer: tuple(sorted(found)) for peer, found in sorted(versions.items())})


def with_aggregate(graph: ModelGraph, aggregate: bytes) -> tuple[ModelNode, ...]:
    """Every record of this model: siblings may have come to the same parameters."""
    return tuple(n for n in graph.nodes.values() if n.aggregate == aggregate and aggregate != NOTHING)


def find_model(told: Provenance, text: str) -> ModelNode:
    """A model by `genesis`, `final`, its round, or how its record or aggregate begins; InputError otherwise."""
    graph, word = told.graph, text.strip().lower().removeprefix("0x")
    if word in {"genesis", "final"}:
        return genesis_of(graph) if word == "genesis" else final_model(told)
    if word.isdecimal() and len(word) < LEAST_PREFIX:
        return _of_round(graph, int(word))
    if len(word) < LEAST_PREFIX or any(c not in "0123456789abcdef" for c in word):
        raise InputError(f"{text!r} names no model: give a round, genesis, final, or {LEAST_PREFIX} digits of a hash")
    found = [n for n in graph.nodes.values() if n.record.hex().startswith(word)]
    found = found or [n for n in graph.nodes.values() if n.aggregate.hex().startswith(word)]
    if not found and word.isdecimal():
        return _of_round(graph, int(word))
    return _only(found, f"no record or model starts with {text}", f"{text} begins the names of {len(found)} models")


def _of_round(graph: ModelGraph, round_: int) -> ModelNode:
    found = [n for n in graph.nodes.values() if n.round == round_]
    found = [n for n in found if n.paid] or found
    last = max(n.round for n in graph.nodes.values())
    return _only(
        found,
        f"there is no round {round_} on this chain: the last is {last}",
        f"round {round_} has {len(found)} records beside each other: name one by its hash",
    )


def _only(found: list[ModelNode], none: str, many: str) -> ModelNode:
    if not found:
        raise InputError(none)
    if len(found) > 1:
        raise InputError(many)
    return found[0]


def genesis_of(graph: ModelGraph) -> ModelNode:
    return next(n for n in graph.nodes.values() if n.is_genesis)


def final_model(told: Provenance) -> ModelNode:
    """The last model of the paid line, or without one the deepest (of equals the lowest record)."""
    nodes = [n for n in told.graph.nodes.values() if n.paid] or list(told.graph.nodes.values())
    return min(nodes, key=lambda n: (-n.round, n.record))


def find_peer(told: Provenance, text: str) -> bytes:
    """A peer by its name in the run or its address; InputError says who there is."""
    named = [peer for peer, name in told.names.items() if name == text]
    if named:
        return named[0]
    word = text.lower().removeprefix("0x")
    known = {e.contribution.peer for e in entries(told.graph.nodes.values())} | set(told.names)
    found = [peer for peer in known if len(word) >= LEAST_PREFIX and peer.hex().startswith(word)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(told.names.values()) or sorted("0x" + peer.hex() for peer in known))
    raise InputError(f"there is no peer {text!r} here{': there are ' + names if names else ''}")


def split_version(text: str) -> tuple[str, int]:
    """`PEER:VERSION`; InputError otherwise."""
    peer, colon, version = text.rpartition(":")
    if not colon or not peer or not version.isdecimal() or len(version) > 18:
        raise InputError(f"{text!r} is not of the form PEER:VERSION, such as peer-03:12")
    return peer, int(version)


def spans(numbers: Iterable[int]) -> str:
    """`1-4, 6` for 1, 2, 3, 4, 6 (ascending)."""
    found: list[list[int]] = []
    for n in numbers:
        if found and n == found[-1][1] + 1:
            found[-1][1] = n
        else:
            found.append([n, n])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)
