"""One model file against the chain: is it what a quorum of peers acknowledged, and who stands behind it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peerage.provenance.documents import node_document
from peerage.provenance.model_file import Identified, identify
from peerage.provenance.words import members_in_words, name_of, place_in_words, standing_in_words
from peerage_ledger.provenance.model import Exchange

if TYPE_CHECKING:
    from pathlib import Path

    from peerage.provenance.sources import Opened
    from peerage_ledger.provenance.model import ModelNode

VERIFIED, FAULT, UNKNOWN = 0, 1, 2  # exit codes


@dataclass(frozen=True)
class Verdict:
    """`code` is the command's exit code: 0 verified, 1 altered or not on the chain, 2 cannot be said."""

    code: int
    lines: tuple[str, ...]
    document: dict[str, Any]

    def in_words(self) -> str:
        return "\n".join(self.lines)


def verify(path: Path, opened: Opened) -> Verdict:
    """InputError when the file cannot be read or its tensors have no known order."""
    if opened.told.findings and all(node.is_genesis for node in opened.told.graph.nodes.values()):
        found = Identified((), b"", bound=False, wrong=_faults(opened))
    else:
        found = identify(path, opened)
    code, lines = _judge(path.name, found, opened)
    document = {
        "schema": 1,
        "file": str(path),
        "verified": code == VERIFIED,
        "exit_code": code,
        "sha256": found.digest.hex() or None,
        "names_checked": found.bound,
        "records": [node_document(opened.told, node) for node in found.nodes],
        "words": lines,
    }
    return Verdict(code, tuple(lines), document)


def _judge(name: str, found: Identified, opened: Opened) -> tuple[int, list[str]]:
    told = opened.told
    if found.wrong:
        return FAULT, [f"NOT VERIFIED: {name}: {found.wrong}."]
    if not found.nodes:
        why = f"no record of this chain names its parameters ({found.digest.hex()})"
        return FAULT, [f"NOT VERIFIED: {name}: {why}. It was altered, or is of another federation."]
    node = found.nodes[0]
    lines = [f"{name} is the model {node.aggregate.hex()}", *_what_it_is(opened, node)]
    if len(found.nodes) > 1:
        lines.append(f"{len(found.nodes) - 1} other records have the same parameters")
    if not found.bound:
        lines.append("The names of its tensors rest on the file's own word: no store was there to check them")
    if told.findings:
        lines.append(_faults(opened))
        return FAULT, ["NOT VERIFIED:", *_sentences(lines)]
    code, backing = _backing(opened, node)
    head = {VERIFIED: "VERIFIED:", FAULT: "NOT VERIFIED:", UNKNOWN: "CANNOT BE VERIFIED:"}[code]
    return code, [head, *_sentences([*lines, *backing])]


def _faults(opened: Opened) -> str:
    findings = opened.told.findings
    return f"The chain's own history has {len(findings)} faults, the first: {findings[0].sentence}"


def _what_it_is(opened: Opened, node: ModelNode) -> list[str]:
    told = opened.told
    if node.is_genesis:
        return ["It is the agreed first model: nobody's data went into it"]
    lines = [f"It is the result of round {node.round}, record {node.record.hex()}", standing_in_words(told, node)]
    if node.place is not None:
        lines.append(f"Recorded {place_in_words(told, node.place)}")
    if node.contributions:
        brought = f"Brought together by {name_of(told, node.initiator)} from {len(node.contributions)} peers"
        lines.append(f"{brought}: {members_in_words(told, node)}")
    return lines


def _backing(opened: Opened, node: ModelNode) -> tuple[int, list[str]]:
    """What the acknowledgements say; without a store there are none to ask."""
    if node.is_genesis:
        return VERIFIED, []
    if not opened.has_store:
        return VERIFIED, [f"{node.members} peers, whom the chain does not name: give --store URL to see who signed it"]
    if node.unproven:
        missing = "is not in the store" in node.unproven
        return UNKNOWN if missing else FAULT, [f"Who stands behind it is not proven: {node.unproven}"]
    if node.exchange is Exchange.PLAIN:
        merged = name_of(opened.told, node.initiator)
        return VERIFIED, [f"Signed by {merged}, who merged it: in plain exchange nobody else vouches for a merge"]
    signed, needed = len(node.acknowledged), node.quorum
    if signed < needed:
        return FAULT, [f"Only {signed} peers acknowledged it where {needed} are needed"]
    return VERIFIED, [f"Acknowledged by {signed} of {node.roster} peers ({needed} are needed): their signatures hold"]


def _sentences(lines: list[str]) -> list[str]:
    return [f"  {line}." for line in lines]
