"""The same answers as JSON: hashes and addresses in hex, the peer's name beside its address where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eth_utils.address import to_checksum_address

if TYPE_CHECKING:
    from peerage_ledger.provenance.build import Provenance
    from peerage_ledger.provenance.model import ModelNode
    from peerage_ledger.provenance.queries import Between, Containing, Origin

SCHEMA = 1


def graph_document(told: Provenance) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "federation": told.ground.federation.hex(),
        "chain_id": told.ground.chain_id,
        "registry": _address(told.ground.registry),
        "peers": {_address(peer): name for peer, name in sorted(told.names.items())},
        "settled": told.settled,
        "models": [node_document(told, node) for node in told.graph.nodes.values()],
        "absent_parents": sorted(parent.hex() for parent in told.graph.absent),
        "chain_faults": [finding.sentence for finding in told.findings],
    }


def node_document(told: Provenance, node: ModelNode) -> dict[str, Any]:
    place = node.place
    return {
        "record": node.record.hex(),
        "round": node.round,
        "parents": [parent.hex() for parent in node.parents],
        "aggregate": node.aggregate.hex(),
        "transcript": node.transcript.hex(),
        "exchange": node.exchange.value,
        "initiator": None if node.initiator is None else _address(node.initiator),
        "members": [
            {
                "peer": _address(c.peer),
                "name": told.names.get(c.peer),
                "version": c.version,
                "update": c.update.hex(),
                "data_manifest": _hex(c.data_manifest),
                "code_manifest": _hex(c.code_manifest),
            }
            for c in node.contributions
        ],
        "versions": {_address(peer): version for peer, version in node.versions},
        "acknowledged_by": [_address(peer) for peer in node.acknowledged],
        "quorum": node.quorum,
        "paid_line": node.paid,
        "voided": node.voided,
        "unproven": node.unproven or None,
        "recorded": None
        if place is None
        else {
            "block": place.block,
            "time": place.timestamp,
            "transaction": place.transaction.hex(),
            "by": _address(place.recorder),
        },
    }


def contains_document(peer: bytes, version: int, found: Containing) -> dict[str, Any]:
    return {
        "peer": _address(peer),
        "version": version,
        "direct": [n.record.hex() for n in found.direct],
        "later": [n.record.hex() for n in found.later],
        "unproven": [n.record.hex() for n in found.unproven],
    }


def between_document(found: Between) -> dict[str, Any]:
    return {
        "a": found.a.record.hex(),
        "b": found.b.record.hex(),
        "ahead": [n.record.hex() for n in found.ahead],
        "back": [n.record.hex() for n in found.back],
        "versions": [
            {"record": e.node.record.hex(), "peer": _address(e.contribution.peer), "version": e.contribution.version}
            for e in found.entries
        ],
        "changes": [
            {
                "peer": _address(c.peer),
                "what": c.what,
                "record": c.node.record.hex(),
                "before": _hex(c.before),
                "after": _hex(c.after),
            }
            for c in found.changes
        ],
    }


def origin_document(found: Origin) -> dict[str, Any]:
    return {
        "record": found.node.record.hex(),
        "aggregate": found.node.aggregate.hex(),
        "lineage": [n.record.hex() for n in found.lineage],
        "versions": {_address(peer): list(versions) for peer, versions in found.versions.items()},
    }


def _address(peer: bytes) -> str:
    return str(to_checksum_address(peer))


def _hex(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()
