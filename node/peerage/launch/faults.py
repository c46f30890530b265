"""Who misbehaved in a run, who says so, and what that rests on: from the peers' journals, for summary and auditor.

A journal's `fault` line is one peer's word: its writer may lie. Where more peers than can collude say the same, some
of them are honest; still, a message that was lost or late may have looked like a fault to all of them. Only two
contradicting signatures (an `equivocation` line and its artefact) convict by themselves.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from peerage_crypto.thresholds import colluders
from peerage_ledger.audit.journal import Entry, Journal

MOST = 500  # lines; a peer that sees faults all day fills no summary
_ADDRESSED = re.compile(r"^peer 0x[0-9a-f]{40}: ")
_GARBAGE = "a frame that is no message of ours"

Proof = Literal["signatures", "many", "word"]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of one peer in one round.

    `by`: the peers that wrote it down, `count` their lines; `evidence`: the artefact with both signatures, or the first
    journal line. `proof`: signatures (convicts), many (more peers than can collude say so), word (fewer do).
    """

    peer: str
    by: tuple[str, ...]
    round: int
    sentence: str
    evidence: str
    count: int
    proof: Proof


def faults_of(journals: Iterable[Journal], accounts: Mapping[str, bytes]) -> tuple[Fault, ...]:
    """All faults that the journals name, by round and peer. `accounts`: 20 bytes by peer name."""
    names = {"0x" + address.hex(): name for name, address in accounts.items()}
    found: dict[tuple[int, str, str, bool], list[tuple[str, str]]] = {}
    for journal in journals:
        for entry, convicts in _lines(journal):
            culprit = str(entry.fields.get("culprit", ""))
            key = (entry.round, names.get(culprit, culprit), _sentence(entry), convicts)
            where = f"peers/{journal.name}/journal.jsonl:{entry.number}"
            found.setdefault(key, []).append(
                (journal.name, f"store/{entry.fields.get('artefact')}" if convicts else where)
            )
    few = colluders(len(accounts)) if accounts else 0
    return tuple(_fault(key, said, few) for key, said in sorted(found.items()))[:MOST]


def _lines(journal: Journal) -> Iterator[tuple[Entry, bool]]:
    yield from ((entry, False) for entry in [*journal.of("fault"), *journal.of("scale:fault")])
    yield from ((entry, True) for entry in journal.of("equivocation"))


def _sentence(entry: Entry) -> str:
    if entry.kind == "equivocation":
        return f"signed two different {entry.fields.get('type')} statements in one session"
    told = _ADDRESSED.sub("", str(entry.fields.get("sentence", "")))
    return _GARBAGE if told.startswith(_GARBAGE) else told  # random bytes are wrong in many ways: one fault


def _fault(key: tuple[int, str, str, bool], said: Sequence[tuple[str, str]], few: int) -> Fault:
    round_, peer, sentence, convicts = key
    by = tuple(sorted({writer for writer, _ in said}))
    proof: Proof = "signatures" if convicts else "many" if len(set(by) - {peer}) > few else "word"
    return Fault(peer=peer, by=by, round=round_, sentence=sentence, evidence=min(said)[1], count=len(said), proof=proof)
