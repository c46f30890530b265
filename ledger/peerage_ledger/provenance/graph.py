"""The models of a federation as a directed acyclic graph: edges lead from a record to the records it stands on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from peerage_ledger.provenance.model import ModelNode


@dataclass(frozen=True)
class ModelGraph:
    """Every node once, in the order of rounds and, within one, of records: parents stand before their children.

    `absent` are parents that no node is there for: a record that the chain does not hold.
    """

    nodes: Mapping[bytes, ModelNode]
    absent: frozenset[bytes]

    @classmethod
    def of(cls, nodes: Iterable[ModelNode]) -> ModelGraph:
        """ValueError when a record is there twice, or does not lie in a later round than its parents (a cycle)."""
        ordered = sorted(nodes, key=lambda n: (n.round, n.record))
        known = {node.record: node for node in ordered}
        if len(known) != len(ordered):
            raise ValueError("a record is in the graph twice")
        for node in ordered:
            for parent in node.parents:
                if parent in known and known[parent].round >= node.round:
                    raise ValueError(f"the record of round {node.round} stands on one that is not before it")
        absent = {parent for node in ordered for parent in node.parents if parent not in known}
        return cls(known, frozenset(absent))

    def __getitem__(self, record: bytes) -> ModelNode:
        return self.nodes[record]

    def __contains__(self, record: object) -> bool:
        return record in self.nodes

    def __len__(self) -> int:
        return len(self.nodes)

    @cached_property
    def children(self) -> Mapping[bytes, tuple[bytes, ...]]:
        found: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for node in self.nodes.values():
            for parent in dict.fromkeys(node.parents):
                found[parent].append(node.record)
        return {record: tuple(children) for record, children in found.items()}

    @cached_property
    def heads(self) -> tuple[bytes, ...]:
        """The records that nothing stands on."""
        return tuple(record for record in self.nodes if not self.children.get(record))

    def ancestry(self, record: bytes) -> frozenset[bytes]:
        """The record itself and all that it stands on, as far as they are there."""
        return self._reach(record, {n.record: n.parents for n in self.nodes.values()})

    def descent(self, record: bytes) -> frozenset[bytes]:
        """The record itself and all that stand on it."""
        return self._reach(record, self.children)

    def in_order(self, records: Iterable[bytes]) -> tuple[ModelNode, ...]:
        """These nodes, parents first."""
        wanted = frozenset(records)
        return tuple(node for record, node in self.nodes.items() if record in wanted)

    def _reach(self, start: bytes, edges: Mapping[bytes, tuple[bytes, ...]]) -> frozenset[bytes]:
        seen, waiting = set[bytes](), [start] if start in self.nodes else []
        while waiting:
            record = waiting.pop()
            if record not in seen:
                seen.add(record)
                waiting += [r for r in edges.get(record, ()) if r in self.nodes]
        return frozenset(seen)
