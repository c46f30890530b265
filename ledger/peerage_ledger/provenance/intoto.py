"""A model's provenance as an in-toto Statement (v1), to be signed in a DSSE envelope by whoever vouches for it.

The predicate is our own type; its fields `buildDefinition` and `runDetails` have the shape of SLSA Provenance v1, so
that a reader of SLSA finds builder, parameters and materials where it expects them. docs/provenance.md lists the rest.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import TYPE_CHECKING, Any, Final

from peerage_crypto.digest import sha256
from peerage_crypto.identity import BadSignature, recover
from peerage_ledger.provenance.model import Exchange
from peerage_ledger.transcript import NOTHING

if TYPE_CHECKING:
    from peerage_crypto.identity import Account
    from peerage_ledger.provenance.build import Provenance
    from peerage_ledger.provenance.model import ModelNode

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "urn:peerage:model-provenance:v1"
BUILD_TYPE: Final = "urn:peerage:round:v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MAX_ENVELOPE_BYTES: Final = 4 << 20


def statement_of(told: Provenance, node: ModelNode) -> dict[str, Any]:
    """The Statement about one model; its subject is the SHA-256 of the canonical parameter bytes."""
    graph = told.graph
    parents = [graph[p] for p in node.parents if p in graph]
    materials = [
        _resource(f"model/round-{parent.round}", parent.aggregate, {"record": parent.record.hex()})
        for parent in parents
        if parent.aggregate != NOTHING
    ]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": f"model/round-{node.round}", "digest": {"sha256": node.aggregate.hex()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "federation": told.ground.federation.hex(),
                    "chainId": told.ground.chain_id,
                    "registry": _address(told.ground.registry),
                },
                "internalParameters": {"round": node.round, "exchange": node.exchange.value},
                "resolvedDependencies": materials + _updates(node),
            },
            "runDetails": {
                "builder": {"id": f"urn:peerage:federation:{told.ground.federation.hex()}"},
                "metadata": _metadata(node),
                "byproducts": [_resource("transcript", node.transcript)],
            },
            "peerage": {
                "record": node.record.hex(),
                "parents": [p.hex() for p in node.parents],
                "initiator": None if node.initiator is None else _address(node.initiator),
                "members": [
                    {
                        "peer": _address(c.peer),
                        "name": told.names.get(c.peer, ""),
                        "version": c.version,
                        "dataManifest": None if c.data_manifest is None else c.data_manifest.hex(),
                        "codeManifest": None if c.code_manifest is None else c.code_manifest.hex(),
                    }
                    for c in node.contributions
                ],
                "versions": {_address(peer): version for peer, version in node.versions},
                "acknowledgedBy": [_address(peer) for peer in node.acknowledged],
                "quorum": node.quorum,
                "paidLine": node.paid,
                "voided": node.voided,
                "unproven": node.unproven,
            },
        },
    }


def _updates(node: ModelNode) -> list[dict[str, Any]]:
    """What went in: a commitment where the update stayed masked, the weights' own digest in plain exchange."""
    if node.exchange is Exchange.PLAIN:
        return [
            _resource(f"update/{_address(c.peer)}/{c.version}", c.update, {"version": c.version})
            for c in node.contributions
        ]
    named: list[dict[str, Any]] = []
    for what in ("data", "code"):
        digests = {c.data_manifest if what == "data" else c.code_manifest for c in node.contributions}
        named += [_resource(f"{what}-manifest", d) for d in sorted(d for d in digests if d and d != NOTHING)]
    return named


def _resource(name: str, digest: bytes, annotations: dict[str, Any] | None = None) -> dict[str, Any]:
    """An in-toto ResourceDescriptor."""
    resource: dict[str, Any] = {"name": name, "digest": {"sha256": digest.hex()}}
    return resource if annotations is None else {**resource, "annotations": annotations}


def _metadata(node: ModelNode) -> dict[str, str]:
    metadata = {"invocationId": node.record.hex()}
    if node.place is not None:
        finished = dt.datetime.fromtimestamp(node.place.timestamp, dt.UTC)
        metadata["finishedOn"] = finished.strftime("%Y-%m-%dT%H:%M:%SZ")
    return metadata


def _address(peer: bytes) -> str:
    return "0x" + peer.hex()


def payload_of(statement: dict[str, Any]) -> bytes:
    """Sorted keys, no spaces: the same statement is the same bytes."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()


def pre_authentication(payload: bytes) -> bytes:
    """DSSE's PAE: what a signature is over."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def envelope_of(statement: dict[str, Any], account: Account) -> bytes:
    """A DSSE envelope: one secp256k1 signature over SHA-256(PAE), 65 bytes (r, s, v); `keyid` is the address."""
    payload = payload_of(statement)
    signature = account.sign(sha256(pre_authentication(payload)))
    signed = {"keyid": _address(account.address), "sig": _base64(signature)}
    return payload_of({"payload": _base64(payload), "payloadType": PAYLOAD_TYPE, "signatures": [signed]})


def open_envelope(raw: bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """(statement, who signed it) of an envelope; ValueError when it is none, or a signature is not its key's."""
    if len(raw) > MAX_ENVELOPE_BYTES:
        raise ValueError("an envelope larger than any legal one")
    try:
        envelope = json.loads(raw)
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [(str(s["keyid"]), base64.b64decode(s["sig"], validate=True)) for s in envelope["signatures"]]
        statement = json.loads(payload)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a DSSE envelope: {error}") from error
    if envelope.get("payloadType") != PAYLOAD_TYPE or not isinstance(statement, dict) or not signatures:
        raise ValueError("not a signed envelope of an in-toto statement")
    digest = sha256(pre_authentication(payload))
    signers: list[bytes] = []
    for keyid, signature in signatures:
        try:
            signer = recover(digest, signature)
        except BadSignature as error:
            raise ValueError(f"a signature that nobody has made: {error}") from error
        if keyid != _address(signer):
            raise ValueError(f"a signature in the name of {keyid} that is not its own")
        signers.append(signer)
    return statement, tuple(signers)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
