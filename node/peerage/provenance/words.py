"""Answers about models as a person reads them."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING

from eth_utils.address import to_checksum_address

from peerage_ledger.provenance.model import Exchange
from peerage_ledger.provenance.queries import final_model, genesis_of, spans
from peerage_ledger.transcript import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peerage_ledger.provenance.build import Provenance
    from peerage_ledger.provenance.model import Contribution, ModelNode, Place
    from peerage_ledger.provenance.queries import Between, Containing, Origin

SHORT = 8  # hex digits of a hash in a table


def overview(told: Provenance) -> str:
    """What there is: models, rounds, peers, what was paid, what digests were signed."""
    graph = told.graph
    nodes = [n for n in graph.nodes.values() if not n.is_genesis]
    first = f"Federation {told.ground.federation.hex()} on chain {told.ground.chain_id}"
    if not nodes:
        return f"{first}: no round is recorded yet."
    last = final_model(told)
    kinds = sorted({n.exchange.value for n in nodes if n.exchange is not Exchange.UNKNOWN}) or ["unknown"]
    peers, exchange = len(_peers(nodes)) or told.ground.registered, " and ".join(kinds)
    lines = [
        f"{first}: {len(nodes)} models of {peers} peers in {last.round} rounds, exchange {exchange}.",
        f"The last is round {last.round}, record {last.record.hex()[:SHORT]}, model {last.aggregate.hex()}.",
        _paid_in_words(told, nodes),
    ]
    voided = spans(sorted({n.round for n in nodes if n.voided}))
    unproven = [n for n in nodes if n.unproven]
    if voided:
        lines.append(f"Voided: a record of rounds {voided}.")
    if unproven:
        first_one = f"the first (round {unproven[0].round}): {unproven[0].unproven}"
        lines.append(f"{len(unproven)} records are not borne out by artefacts; {first_one}.")
    if graph.absent:
        lines.append(f"{len(graph.absent)} parents are not on the chain: the graph is not whole.")
    lines += [_digests_in_words(nodes), "", table(told, nodes)]
    return "\n".join(lines)


def _paid_in_words(told: Provenance, nodes: Iterable[ModelNode]) -> str:
    if not told.settled:
        return "Nothing was paid: no reward root stands on the chain."
    beside = sum(not n.paid for n in nodes)
    paid = spans(sorted(n.round for n in nodes if n.paid))
    return f"The paid line is rounds {paid}; {beside} records stand beside it."


def _digests_in_words(nodes: Iterable[ModelNode]) -> str:
    signed = [c for n in nodes for c in n.contributions]
    code = Counter(c.code_manifest for c in signed if c.code_manifest not in {None, NOTHING})
    data = {c.data_manifest for c in signed if c.data_manifest not in {None, NOTHING}}
    if not code:
        return "No code or data manifest was signed with the updates."
    stated = f"{len(data)} data manifests" if data else "no data manifest"
    return f"Signed with the updates: {len(code)} code manifests and {stated}."


def table(told: Provenance, nodes: Iterable[ModelNode]) -> str:
    rows = [("round", "record", "model", "stands on", "by", "what went in")]
    for n in nodes:
        parents = ", ".join(_parent(told, p) for p in n.parents)
        words = members_in_words(told, n) or n.unproven
        flags = " (voided)" if n.voided else "" if n.paid or not told.settled else " (not paid)"
        rows.append(
            (f"{n.round}", n.record.hex()[:SHORT] + flags, n.aggregate.hex()[:SHORT], parents, _by(told, n), words)
        )
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n".join("  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[5]]) for row in rows)


def _parent(told: Provenance, parent: bytes) -> str:
    return "first model" if parent == told.ground.federation else parent.hex()[:SHORT]


def _by(told: Provenance, node: ModelNode) -> str:
    return name_of(told, node.initiator) if node.initiator else "?"


def log(told: Provenance) -> str:
    """One paragraph a record, newest first."""
    parts: list[str] = []
    for node in reversed(list(told.graph.nodes.values())):
        if node.is_genesis:
            parts.append(f"first model   {node.record.hex()}")
            continue
        lines = [f"round {node.round}   {node.record.hex()}", f"  model        {node.aggregate.hex()}"]
        lines += [f"  parent       {_parent_in_full(told, p)}" for p in node.parents]
        lines.append(f"  transcript   {node.transcript.hex()}")
        if node.place is not None:
            lines.append(f"  recorded     {place_in_words(told, node.place)}")
        lines.append(f"  standing     {standing_in_words(told, node)}")
        if node.unproven:
            lines.append(f"  not proven   {node.unproven}")
        for c in node.contributions:
            signed = [f"code {c.code_manifest.hex()[:SHORT]}" if c.code_manifest else "",
                      f"data {c.data_manifest.hex()[:SHORT]}" if c.data_manifest else ""]  # fmt: skip
            lines.append(
                f"  {name_of(told, c.peer)}  version {c.version}  {'  '.join(s for s in signed if s)}".rstrip()
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _parent_in_full(told: Provenance, parent: bytes) -> str:
    if parent == told.ground.federation:
        return "the first model"
    known = f" (round {told.graph[parent].round})" if parent in told.graph else " (not on the chain)"
    return parent.hex() + known


def contains_in_words(told: Provenance, peer: bytes, version: int, found: Containing) -> str:
    who = f"Version {version} of {name_of(told, peer)}"
    lines = [f"{who} went into round {node.round}, record {node.record.hex()}." for node in found.direct]
    if found.later:
        rounds = spans(sorted({n.round for n in found.later}))
        lines.append(f"From there it is in {len(found.later)} later models, of rounds {rounds}:")
        lines += [f"  round {n.round}  record {n.record.hex()}  model {n.aggregate.hex()}" for n in found.later]
    elif found.direct:
        lines.append("No later model stands on that.")
    else:
        lines.append(f"{who} is in no model whose members are proven.")
    if found.unproven:
        rounds = spans(sorted({n.round for n in found.unproven}))
        lines.append(f"Of {len(found.unproven)} models, of rounds {rounds}, the artefacts do not prove who is in them.")
    return "\n".join(lines)


def between_in_words(told: Provenance, found: Between) -> str:
    a, b = model_in_words(found.a), model_in_words(found.b)
    if not found.ahead and not found.back:
        return f"{a} and {b} are the same model." if found.a == found.b else f"Nothing is between {a} and {b}."
    lines = [f"{b} contains {len(found.ahead)} models that {a} does not" + (":" if found.ahead else ".")]
    if found.ahead:
        lines.append(table(told, found.ahead))
    if found.back:
        lines.append(f"{a} contains {len(found.back)} models that {b} does not:")
        lines.append(table(told, found.back))
    taken: dict[bytes, list[int]] = {}
    for entry in found.entries:
        taken.setdefault(entry.contribution.peer, []).append(entry.contribution.version)
    for peer, versions in sorted(taken.items(), key=lambda item: name_of(told, item[0])):
        lines.append(f"{name_of(told, peer)}: versions {spans(sorted(set(versions)))} went in.")
    for change in found.changes:
        before = "none before" if change.before is None else f"{change.before.hex()} before"
        now = "none" if change.after is None else change.after.hex()
        who = f"{name_of(told, change.peer)}: its {change.what} manifest"
        lines.append(f"{who} is {now} from round {change.node.round} on, {before}.")
    if not found.changes and found.entries:
        lines.append("No code or data manifest changed.")
    return "\n".join(lines)


def origin_in_words(told: Provenance, found: Origin) -> str:
    node, rounds = found.node, [n for n in found.lineage if not n.is_genesis]
    if node.is_genesis:
        return "It is the agreed first model: nobody's data went into it."
    lines = [
        f"It is the model {node.aggregate.hex()} of round {node.round}, record {node.record.hex()}.",
        f"{standing_in_words(told, node)}.",
        f"{len(rounds)} models are in it, from the first model {genesis_of(told.graph).aggregate.hex()[:SHORT]} on.",
    ]
    for peer, versions in sorted(found.versions.items(), key=lambda item: name_of(told, item[0])):
        lines.append(f"{name_of(told, peer)}: versions {spans(versions)}.")
    unproven = sum(bool(n.unproven) for n in rounds)
    if unproven:
        lines.append(f"Of {unproven} of these models the artefacts do not prove who is in them.")
    return "\n".join(lines)


def model_in_words(node: ModelNode) -> str:
    return "the first model" if node.is_genesis else f"round {node.round} ({node.record.hex()[:SHORT]})"


def members_in_words(told: Provenance, node: ModelNode) -> str:
    return ", ".join(f"{name_of(told, c.peer)} v{c.version}" for c in _by_name(told, node))


def _by_name(told: Provenance, node: ModelNode) -> list[Contribution]:
    return sorted(node.contributions, key=lambda c: name_of(told, c.peer))


def standing_in_words(told: Provenance, node: ModelNode) -> str:
    voided = "it was VOIDED by a proof on the chain" if node.voided else "nobody has proven it wrong"
    if node.paid:
        return f"On the paid line; {voided}"
    return f"{'Not on the paid line' if told.settled else 'Nothing was paid yet'}; {voided}"


def place_in_words(told: Provenance, place: Place) -> str:
    when = dt.datetime.fromtimestamp(place.timestamp, dt.UTC)
    return f"in block {place.block} ({when:%Y-%m-%d %H:%M:%S} UTC) by {name_of(told, place.recorder)}"


def name_of(told: Provenance, peer: bytes | None) -> str:
    """As the run calls it, else its address."""
    if peer is None:
        return "nobody known"
    return told.names.get(peer) or str(to_checksum_address(peer))


def warning(told: Provenance) -> str:
    """Empty where the chain's history holds."""
    if not told.findings:
        return ""
    said = f"{len(told.findings)} faults, the first: {told.findings[0].sentence}"
    return f"WARNING: the chain's history does not hold ({said}): `peerage audit` says more."


def _peers(nodes: Iterable[ModelNode]) -> set[bytes]:
    return {c.peer for n in nodes for c in n.contributions}
