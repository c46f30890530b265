"""The call that answers an open question, from a transcript. Pure.

An honest poster loses a fifth of its stake when nobody answers in time, so every peer that has the transcript answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peerage_crypto.digest import address_root
from peerage_crypto.plain_statements import merge_id
from peerage_ledger.audit.court import acknowledgers
from peerage_ledger.disputes import evidence as ev
from peerage_ledger.disputes.evidence import ack_leaf
from peerage_ledger.disputes.tables import entries, leaf_hash, node_hash
from peerage_ledger.plain_record import decode_plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peerage_crypto.session import SessionTranscript
    from peerage_crypto.statements import ResultAck, Signed
    from peerage_ledger.disputes.shelf import Shelf
    from peerage_ledger.events import QuestionAsked
    from peerage_ledger.records import RoundRecord

Call = tuple[str, tuple[Any, ...]]  # a function of RoundArbiter and its arguments


def answer(asked: QuestionAsked, record: RoundRecord, shelf: Shelf, seats: Mapping[bytes, int]) -> Call | None:
    """None when what is here does not answer. `seats`: one that each account was given."""
    session = shelf.session_of(record)
    if session is None:
        return None
    if asked.fault == 5:
        return _acknowledgements(record, session, shelf, seats)
    return _node(asked, record, session, shelf, seats)


def answer_merge(record: RoundRecord, transcript: bytes, domain: bytes, seats: Mapping[bytes, int]) -> Call | None:
    """F5 of a merge of plain exchange; `transcript` is the artefact that the record names."""
    try:
        signed = decode_plain(transcript).signed
        maker = signed.signer(domain)
        seat = seats[maker]
    except (ValueError, KeyError):
        return None
    told = signed.statement
    if merge_id(told.sid, maker, told.merge) != record.sid or leaf_hash(maker, ack_leaf(signed)) != record.ack_root:
        return None
    return "answerMerge", ev.merge_answer(record, signed, seat)


def _acknowledgements(
    record: RoundRecord, session: SessionTranscript, shelf: Shelf, seats: Mapping[bytes, int]
) -> Call | None:
    for group in shelf.acks(record):
        acks = [ack for signer, ack in group.items() if signer in seats]
        if len(acks) >= acknowledgers(record.members) and acks[0].statement.model == record.aggregate:
            call = ev.acknowledgements(record, session.opened.statement, acks, seats, shelf.domain)
            return "answerAcknowledgements", call
    return None


def _node(
    asked: QuestionAsked,
    record: RoundRecord,
    session: SessionTranscript,
    shelf: Shelf,
    seats: Mapping[bytes, int],
) -> Call | None:
    for table, signed in _shown(asked.tree, record, session, shelf):
        rows = entries(table)
        level = [leaf_hash(account, value) for account, value in rows]
        if asked.node in level:
            account = rows[level.index(asked.node)][0]
            if account not in seats:
                return None
            call = ev.statement_answer(record, asked.tree, account, seats[account], signed[account])
            return "answerLeaf", call
        ends = _ends(level, asked.node)
        if ends is not None:
            return "answerNode", (asked.record, asked.tree, *ends)
    return None


def _shown(
    tree: int, record: RoundRecord, session: SessionTranscript, shelf: Shelf
) -> list[tuple[dict[bytes, bytes], dict[bytes, Signed[Any]]]]:
    """Tables with this root, with the statements behind their leaves."""
    tables = shelf.tables(session)
    if tree == ev.JOINS:
        joins = {j.signer(shelf.domain): j for j in session.joins}
        return [(tables.joins, joins)] if address_root(tables.joins) == record.join_root else []
    if tree == ev.MASKED:
        return (
            [(tables.masked, dict(shelf.updates(session)))] if address_root(tables.masked) == record.masked_root else []
        )
    found: list[tuple[dict[bytes, bytes], dict[bytes, Signed[Any]]]] = []
    for transcript in shelf.rounds_of(record):
        acks: dict[bytes, Signed[ResultAck]] = {ack.signer(shelf.domain): ack for ack in transcript.acks}
        table = shelf.tables(session, acks).acks
        if address_root(table) == record.ack_root:
            found.append((table, dict(acks)))
    return found


def _ends(level: list[bytes], node: bytes) -> tuple[bytes, bytes] | None:
    """What an inner node is made of."""
    while len(level) > 1:
        pairs = [(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        above = [node_hash(*pair) for pair in pairs]
        if node in above:
            return pairs[above.index(node)]
        level = [*above, *level[len(level) - len(level) % 2 :]]
    return None
