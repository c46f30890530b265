"""What stands under a record's five roots, as its documents have it: perhaps out of order, perhaps in part. Pure.

A tree whose leaves do not ascend hides who is missing, so it is a fault of its own. A root that no documents give is
asked about; who answers shows two nodes under it, and those are asked about next, down to a leaf that nobody signed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerage_crypto.digest import merkle_root
from peerage_ledger.audit.court import question_of
from peerage_ledger.disputes import evidence as ev
from peerage_ledger.disputes.tables import disordered, entries, leaf_hash, node_hash
from peerage_ledger.transcript import NOTHING, score_leaf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from peerage_crypto.session import SessionTranscript
    from peerage_ledger.disputes.dispute import Docket
    from peerage_ledger.disputes.shelf import Shelf
    from peerage_ledger.disputes.tables import Entries, Path
    from peerage_ledger.records import RoundRecord
    from peerage_ledger.transcript import RoundTranscript

_UNSIGNED: Final = 3  # the fault that such a question is about
_DEEPEST: Final = 255  # siblings that a path may have


def root_of(rows: Entries) -> bytes:
    """The root of leaves as they stand."""
    return merkle_root([account + value for account, value in rows])


def out_of_order(shelf: Shelf, record: RoundRecord) -> Iterator[tuple[int, Entries]]:
    """The record's trees whose leaves do not ascend, where documents show them so: (tree, leaves)."""
    roots = (record.join_root, record.masked_root, record.ack_root, record.score_root, record.emission_root)
    for tree, rows in _shown(shelf, record):
        if disordered(rows) is not None and root_of(rows) == roots[tree]:
            yield tree, rows


def score_rows(shelf: Shelf, record: RoundRecord) -> Entries | None:
    """The leaves under the record's score root, as they stand; None when no document here gives them."""
    if record.score_root == NOTHING:
        return []
    for session in shelf.sessions.get(record.sid, []):
        for transcript in shelf.rounds_of(record):
            for rows in _scores(shelf, session, transcript):
                if root_of(rows) == record.score_root:
                    return rows
    return None


def _shown(shelf: Shelf, record: RoundRecord) -> Iterator[tuple[int, Entries]]:
    rounds = shelf.rounds_of(record)
    for session in shelf.sessions.get(record.sid, []):
        yield ev.JOINS, [(a, one.statement.digest(shelf.domain)) for a, one in shelf.signed(session.joins)]
        yield ev.MASKED, [(a, one.statement.digest(shelf.domain)) for a, one in shelf.signed(session.manifests)]
        for transcript in rounds:
            for rows in _scores(shelf, session, transcript):
                yield ev.SCORES, rows
    for transcript in rounds:
        yield ev.ACKS, [(a, ev.ack_leaf(ack)) for a, ack in shelf.signed(transcript.acks)]
        opened = shelf.signed(tuple(opening.signed for opening in transcript.openings))
        yield ev.EMISSIONS, [(a, one.statement.emissions) for a, one in opened]


def _scores(shelf: Shelf, session: SessionTranscript, transcript: RoundTranscript) -> Iterator[Entries]:
    """The numbers beside the survivors: by their addresses, and in the documents' order."""
    shown = [account for account, _ in shelf.signed(session.manifests)]
    if transcript.direction == NOTHING or len(shown) != len(transcript.numbers):
        return
    leaves = [score_leaf(number, transcript.exponent) for number in transcript.numbers]
    for survivors in (sorted(shown), shown):
        yield list(zip(survivors, leaves, strict=True))


# -- questions ---------------------------------------------------------------------------------------------------------


def to_ask(
    docket: Docket, record: RoundRecord, tree: int, table: Mapping[bytes, bytes], root: bytes
) -> Iterator[tuple[bytes, Path]]:
    """Nodes that neither the signed statements here give nor anybody was asked about, with their ways to the root."""
    name, known = record.record_hash(), _nodes(table)
    shown = _ends(docket, name, tree)
    ahead: list[tuple[bytes, Path]] = [(root, (0, ()))]
    while ahead:
        node, (turns, siblings) = ahead.pop(0)
        if node in known:
            continue
        question = question_of(name, _UNSIGNED, tree, node)
        if question not in docket.decided.questions:
            yield node, (turns, siblings)
        elif question not in docket.decided.open and node in shown and len(siblings) < _DEEPEST:
            left, right = shown[node]
            ahead += [(left, (2 * turns, (right, *siblings))), (right, (2 * turns + 1, (left, *siblings)))]


def _nodes(table: Mapping[bytes, bytes]) -> set[bytes]:
    """Every node of a table's tree."""
    level = [leaf_hash(account, value) for account, value in entries(table)]
    found = set(level)
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [node_hash(*pair) if len(pair) > 1 else pair[0] for pair in pairs]
        found.update(level)
    return found


def _ends(docket: Docket, record: bytes, tree: int) -> dict[bytes, tuple[bytes, bytes]]:
    """What answers have shown a node of this tree to be made of."""
    ends: dict[bytes, tuple[bytes, bytes]] = {}
    for tx in docket.archive.transactions:
        if not tx.succeeded or (tx.contract, tx.function) != ("RoundArbiter", "answerNode"):
            continue
        v = tx.arguments
        if (v["record"], v["tree"]) == (record, tree):
            ends[node_hash(v["left"], v["right"])] = (v["left"], v["right"])
    return ends
