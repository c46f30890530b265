"""The one door to MLflow: every model of the paid line as a version of one registered model. An extra: peerage[mlflow].

A version is found again by the record in its tags, so that a second export adds what is new and renews what changed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_utils.address import to_checksum_address

from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from peerage.provenance.sources import Opened
    from peerage_ledger.provenance.model import ModelNode

RECORD = "peerage.record"


@dataclass(frozen=True, slots=True)
class Registered:
    """`added` versions were not there, `known` ones were; `name` is the registered model's."""

    name: str
    added: int
    known: int


def register(opened: Opened, uri: str) -> Registered:
    """InputError without the package, without a paid line, or with MLflow's own reason."""
    try:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - heavy, and not everybody has it
        from mlflow.tracking import MlflowClient  # noqa: PLC0415
    except ImportError:
        raise InputError("--mlflow needs a package that is not installed: pip install 'peerage[mlflow]'") from None
    nodes = [n for n in opened.told.graph.nodes.values() if n.paid]
    if not nodes:
        raise InputError("no model stands on a paid line yet: there is nothing to register")
    name = f"peerage-{opened.told.ground.federation.hex()[:16]}"
    try:
        return _register(MlflowClient(tracking_uri=uri, registry_uri=uri), name, nodes, opened)
    except MlflowException as error:
        raise InputError(f"{uri} does not take the models: {str(error).splitlines()[0]}") from None


def _register(client: Any, name: str, nodes: list[ModelNode], opened: Opened) -> Registered:  # noqa: ANN401 - MLflow's
    federation = opened.told.ground.federation.hex()
    if not client.search_registered_models(f"name='{name}'"):
        client.create_registered_model(name, tags={"peerage.federation": federation})
    there = {v.tags.get(RECORD): v for v in _versions(client, name)}
    added = 0
    for node in nodes:
        tags, version = _tags(opened, node), there.get(node.record.hex())
        if version is None:
            words = f"Round {node.round} of a Peerage federation, {node.members} peers"
            client.create_model_version(
                name, source=opened.store.place(node.aggregate), tags=tags, description=words, await_creation_for=0
            )
            added += 1
            continue
        for key, value in tags.items():
            if version.tags.get(key) != value:
                client.set_model_version_tag(name, version.version, key, value)
    return Registered(name, added, len(nodes) - added)


def _versions(client: Any, name: str) -> list[Any]:  # noqa: ANN401 - MLflow's
    """All of them: it answers in pages."""
    found: list[Any] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name='{name}'", page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _tags(opened: Opened, node: ModelNode) -> dict[str, str]:
    """Text only. The version vector and the digests are JSON, by address."""
    signed = {c.peer: c for c in node.contributions}
    code = {_address(p): c.code_manifest.hex() for p, c in signed.items() if c.code_manifest}
    data = {_address(p): c.data_manifest.hex() for p, c in signed.items() if c.data_manifest}
    return {
        RECORD: node.record.hex(),
        "peerage.round": str(node.round),
        "peerage.chain": str(opened.deployment.chain_id),
        "peerage.contract": _address(opened.deployment.ledger),
        "peerage.aggregate": node.aggregate.hex(),
        "peerage.transcript": node.transcript.hex(),
        "peerage.parents": json.dumps([p.hex() for p in node.parents]),
        "peerage.versions": json.dumps({_address(p): v for p, v in node.versions}),
        "peerage.members": json.dumps({_address(p): c.version for p, c in signed.items()}),
        "peerage.code": json.dumps(code),
        "peerage.data": json.dumps(data),
        "peerage.voided": json.dumps(node.voided),
    }


def _address(peer: bytes) -> str:
    return str(to_checksum_address(peer))
