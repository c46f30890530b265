"""Runs of plain exchange: every merge that the chain recorded or a journal closed, judged from its artefacts.

What a merge is and when it holds is `plain_judgement`'s; this brings it together with chain and journals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage_ledger.audit.findings import name_of
from peerage_ledger.plain_judgement import judge_plain_history

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerage_ledger.audit.chain import History
    from peerage_ledger.audit.findings import Notebook
    from peerage_ledger.audit.journal import Journal, Signatures
    from peerage_ledger.audit.terms import CaseFile
    from peerage_ledger.judgement import Federation
    from peerage_ledger.plain_judgement import Mean, PlainHistory


def judge_merges(
    case: CaseFile, federation: Federation, history: History, journals: Sequence[Journal], mean: Mean, book: Notebook
) -> PlainHistory:
    """All merges; findings carry the round of the record, which is its depth in the graph."""
    records = history.records
    told = judge_plain_history(federation, records.values(), case.store, mean, case.terms.initial.size)
    for round_, fault in told.faults:
        book.faults([fault], round_)
    for name in told.unsummed:
        _say_unsummed(case, told, name, book)
    for journal in journals:
        for entry in journal.of("closed"):
            _check_closed(told, journal, str(entry.fields.get("record", "")), entry.fields.get("depth"), book)
            stated = told.stated.get(_bytes(str(entry.fields.get("record", ""))))
            if stated is not None and str(entry.fields.get("aggregate", "")) != stated.body.aggregate.hex():
                sentence = f"{journal.name} says of its merge {entry.round} that it gave another model"
                book.find("journal-closed", sentence, round_=stated.body.round, peer=journal.peer)
    book.count("merges", len(told.judged))
    return told


def _check_closed(told: PlainHistory, journal: Journal, record: str, depth: object, book: Notebook) -> None:
    if _bytes(record) not in told.stated:
        round_ = depth if isinstance(depth, int) else None
        if not any(at == round_ for at, _ in told.faults):
            sentence = f"{journal.name} closed a merge that is not on the chain"
            book.find("unrecorded", sentence, round_=round_, peer=journal.peer)


def _say_unsummed(case: CaseFile, told: PlainHistory, name: bytes, book: Notebook) -> None:
    """Weights that a mean cannot be taken of again: pruned, or missing where they are still due."""
    stated = told.stated[name]
    for peer, update in zip(stated.participants.peers, stated.participants.updates, strict=True):
        artefact = update.artefact
        if artefact in case.store or artefact in case.misnamed:
            continue
        if artefact in case.pruned:
            book.note(f"round {stated.body.round}: weights are pruned, their mean is not checked")
        else:
            sentence = f"the weights of {name_of(peer)} are not in the store, where they are still due"
            book.find("weights-missing", sentence, round_=stated.body.round, peer=peer)


def collect_merges(told: PlainHistory, federation: Federation, found: Signatures, book: Notebook) -> None:
    """Who signed which update and which merge, as journals name them."""
    for stated in told.stated.values():
        body = stated.body
        for peer, update in zip(stated.participants.peers, stated.participants.updates, strict=True):
            found.add(peer, update.sid, "PlainUpdate", update.digest(federation.domain), body.round)
        book.count("signatures", 1 + len(stated.participants.peers))


def references(told: PlainHistory) -> dict[bytes, tuple[str, int, bytes | None]]:
    """Which artefact belongs to which record and peer."""
    known: dict[bytes, tuple[str, int, bytes | None]] = {}
    for stated in told.stated.values():
        body = stated.body
        known[stated.transcript_id] = ("transcript", body.round, body.initiator)
        known[body.aggregate] = ("aggregate", body.round, body.initiator)
        known[body.emissions] = ("emission record", body.round, body.initiator)
        for peer, update in zip(stated.participants.peers, stated.participants.updates, strict=True):
            known[update.artefact] = ("weights", body.round, peer)
    return known


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
