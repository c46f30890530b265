"""From a chain's history and a store to the graph of models: the one place where the sources come together.

The chain is executed again (`audit.chain.replay`), so that a record stands in the graph only where the contracts' rules
take its signed transaction; the artefacts then say what the record stands for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from peerage_crypto.digest import sha256
from peerage_crypto.statements import signing_domain
from peerage_ledger.audit.chain import History, replay
from peerage_ledger.audit.findings import Notebook
from peerage_ledger.events import RootPublished, RootVoided, RoundRecorded
from peerage_ledger.provenance.evidence import Artefacts, Ground, node_of
from peerage_ledger.provenance.graph import ModelGraph
from peerage_ledger.provenance.model import Exchange, ModelNode, Place
from peerage_ledger.transcript import NOTHING, decode_round

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from peerage_ledger.archive.reader import ChainArchive
    from peerage_ledger.audit.findings import Finding
    from peerage_ledger.deployment import Deployment

STILL_OPEN = "the record has no sealed end"  # of a run that goes on or was killed: what is there can be read


@dataclass(frozen=True)
class Provenance:
    """The graph, what its signatures are bound to, and what did not hold while the chain was executed again.

    `names` gives peers the names that their run calls them by; `settled` is whether any pay stands on the chain.
    """

    graph: ModelGraph
    ground: Ground
    names: Mapping[bytes, str]
    settled: bool
    findings: tuple[Finding, ...] = ()


def provenance_of(
    deployment: Deployment, archive: ChainArchive, artefacts: Artefacts, names: Mapping[bytes, str] | None = None
) -> Provenance:
    """Everything that chain and artefacts say of where the models come from."""
    book = Notebook()
    history = replay(archive, deployment, book)
    ground = Ground(
        chain_id=deployment.chain_id,
        registry=deployment.registry,
        federation=deployment.federation,
        domain=signing_domain(deployment.chain_id, deployment.ledger),
        registered=len(history.registered),
    )
    places, paid = _places(archive), paid_line(archive)
    nodes = [
        replace(
            node_of(record, ground, artefacts),
            place=places.get(name),
            paid=name in paid,
            voided=name in history.voided,
        )
        for name, record in history.records.items()
    ]
    graph = ModelGraph.of([_genesis(deployment.federation, history, artefacts), *nodes])
    findings = tuple(f for f in book.findings if not f.sentence.endswith(STILL_OPEN))
    return Provenance(graph, ground, dict(names or {}), bool(paid), findings)


def paid_line(archive: ChainArchive) -> frozenset[bytes]:
    """The records that the roots standing on the chain pay along: every publication lists them; a voided one is out."""
    published: list[tuple[int, frozenset[bytes]]] = []
    for transaction in archive.transactions:
        for happened in transaction.events:
            if isinstance(happened.event, RootPublished) and transaction.function == "publish":
                records: Iterable[bytes] = transaction.arguments.get("records", ())
                published.append((happened.event.reward.epoch, frozenset(records)))
            elif isinstance(happened.event, RootVoided):
                void = happened.event.epoch
                published = [(epoch, records) for epoch, records in published if epoch != void]
    return frozenset(record for _, records in published for record in records)


def _places(archive: ChainArchive) -> dict[bytes, Place]:
    """Of each record, the first transaction that brought it."""
    found: dict[bytes, Place] = {}
    for transaction in archive.transactions:
        for happened in transaction.events:
            event = happened.event
            if isinstance(event, RoundRecorded):
                place = Place(transaction.block, transaction.timestamp, transaction.signed.hash, event.initiator)
                found.setdefault(event.record_hash, place)
    return found


def _genesis(federation: bytes, history: History, artefacts: Artefacts) -> ModelNode:
    """Before the first: the agreed model, by the word of the first round that builds on it (masked rounds name it)."""
    aggregate = NOTHING
    for record in history.records.values():
        blob = artefacts.get(record.transcript) if record.parents == (federation,) else None
        if blob is None or sha256(blob) != record.transcript:
            continue
        try:
            aggregate = decode_round(blob).base
        except ValueError:
            continue
        break
    return ModelNode(federation, 0, (), aggregate, NOTHING, 0, exchange=Exchange.GENESIS)
