"""The arguments of the round arbiter's calls, one function for each fault and each answer.

Pure: statements, transcripts and records go in, and what `contract("RoundArbiter").call(name, *arguments)` takes comes
out. Nothing is judged here. Evidence against an honest round is made as well as any other, and the contract refuses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from peerage_crypto.digest import tagged
from peerage_ledger.disputes.tables import Leaf, around, disordered, entries, leaf_at, leaf_hash, leaf_of, path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peerage_crypto.equivocation import Evidence
    from peerage_crypto.plain_statements import PlainMerge
    from peerage_crypto.secagg_judge import Proven
    from peerage_crypto.session import Roster, SessionTranscript
    from peerage_crypto.statements import JoinIntent, MaskedUpdate, Opened, ResultAck, Signed, Statement
    from peerage_ledger.records import RoundRecord
    from peerage_ledger.transcript import RoundTranscript

Arguments = tuple[Any, ...]
Table = dict[bytes, bytes]

# the order of `Statements.Kind` and of `IRoundArbiter.Tree`
KINDS: Final = (
    "JoinIntent",
    "MaskedUpdate",
    "Vote",
    "ResultAck",
    "Opening",
    "Sketch",
    "Screening",
    "PlainUpdate",
    "PlainMerge",
    "PathGradient",
)
JOINS, MASKED, ACKS, SCORES, EMISSIONS = range(5)
ROBUST: Final = b"\n[robust]\n"
NO_ROUND: Final = (0, bytes(32), [], [], *[bytes(32)] * 7, 0)
NO_PARENT: Final[Arguments] = (NO_ROUND, [], b"", b"", b"", [], [], [], 0, b"")  # above the federation's own record


@dataclass(frozen=True, slots=True)
class Tables:
    """What a masked round's record must have under its roots."""

    joins: Table
    masked: Table
    acks: Table


@dataclass(frozen=True, slots=True)
class Parent:
    """A recorded session whose randomness draws the next one's buckets."""

    record: RoundRecord
    session: SessionTranscript
    proven: Proven


def tables_of(proven: Proven, session: SessionTranscript, transcript: RoundTranscript) -> Tables:
    """The same tables as `record_of` hashes."""
    domain = proven.roster.plan.domain
    return Tables(
        joins=joins_of(proven.roster),
        masked={a: m.statement.digest(domain) for a, m in zip(proven.u3, session.manifests, strict=True)},
        acks={ack.signer(domain): ack_leaf(ack) for ack in transcript.acks},
    )


def joins_of(roster: Roster) -> Table:
    """The digests of a roster's joins by address."""
    return {m: j.statement.digest(roster.plan.domain) for m, j in zip(roster.members, roster.joins, strict=True)}


def ack_leaf(ack: Signed[Any]) -> bytes:
    """What stands beside an acknowledger's address."""
    return tagged("peerage/ack/v1", ack.signature)


def fields(statement: Statement) -> bytes:
    """A statement's fields, one word each, as the contract hashes them."""
    return b"".join(
        value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")
        for value in msgspec.structs.astuple(statement)
    )


def name_of(opened: Opened) -> tuple[bytes, bytes, bytes, bytes]:
    """The parts of a session's sid that its record does not carry."""
    return opened.initiator, opened.parent, opened.params, opened.nonce


# -- proofs that settle at once ----------------------------------------------------------------------------------------


def equivocation(evidence: Evidence) -> Arguments:
    """F1, `proveEquivocation`."""
    one, other = evidence.first, evidence.second
    kind = KINDS.index(evidence.equivocation)
    return kind, fields(one.statement), one.signature, fields(other.statement), other.signature


def omission(record: RoundRecord, opened: Opened, joins: Table, acks: Table, missing: bytes) -> Arguments:
    """F2, `proveOmission`: `missing` is in `acks` and not in `joins`, the tables under the record's roots."""
    return record.as_tuple(), name_of(opened), leaf_of(acks, missing), around(joins, missing)


def disorder(record: RoundRecord, tree: int, rows: Sequence[tuple[bytes, bytes]]) -> Arguments:
    """F2, `proveDisorder`: the leaves of a tree as they stand; ValueError when they ascend."""
    at = disordered(rows)
    if at is None:
        raise ValueError("the leaves are in order")
    return record.as_tuple(), tree, leaf_at(rows, at), leaf_at(rows, at + 1)


def wrong_draw(
    record: RoundRecord,
    opened: Opened,
    joins: Table,
    masked: Table,
    accused: Signed[MaskedUpdate],
    owner: bytes,
    settings: bytes,
    parent: Parent | None,
) -> Arguments:
    """F4, `proveWrongDraw`; `settings` is the text whose tagged hash the federation is, no parent the first round's."""
    rows = entries(joins)
    shown = NO_PARENT if parent is None else _randomness(parent)
    leaf: Leaf = leaf_of(masked, owner)
    members, digests = [a for a, _ in rows], [v for _, v in rows]
    draw = (settings, settings.index(ROBUST), shown, members, digests, leaf, fields(accused.statement))
    return record.as_tuple(), name_of(opened), draw


def _randomness(parent: Parent) -> Arguments:
    proven, session = parent.proven, parent.session
    roster, domain = proven.roster, proven.roster.plan.domain
    return (
        parent.record.as_tuple(),
        list(roster.members),
        b"".join(fields(join.statement) for join in roster.joins),
        b"".join(join.signature for join in roster.joins),
        session.u2,
        list(proven.rands),
        list(proven.u3),
        [m.statement.digest(domain) for m in session.manifests],
        0,
        fields(session.manifests[0].statement),
    )


def other_result(
    record: RoundRecord,
    opened: Opened,
    joins: Table,
    seats: int,
    acks: Sequence[Signed[ResultAck]],
    domain: bytes,
) -> Arguments:
    """F5, `proveOtherResult`: acknowledgements of one other model; `seats` is how many the register has given."""
    rows = entries(joins)
    signatures = [ack.signature for ack in sorted(acks, key=lambda ack: ack.signer(domain))]
    members, digests = [a for a, _ in rows], [v for _, v in rows]
    return record.as_tuple(), name_of(opened), members, digests, seats, fields(acks[0].statement), signatures


def false_reveal(roster: Roster, u2: bytes, member: bytes, signed: Signed[MaskedUpdate]) -> Arguments:
    """F10, `proveFalseReveal`: a member's update, in the roster and with the U2 that it names."""
    domain, place = roster.plan.domain, roster.members.index(member)
    shown = [j.statement.digest(domain) for j in roster.joins], b"".join(j.signature for j in roster.joins), u2
    join, update = fields(roster.joins[place].statement), fields(signed.statement)
    return ((roster.plan.sid, shown, place, join, update, signed.signature),)


def recorded_reveal(record: RoundRecord, masked: Table, member: bytes) -> Arguments:
    """F10, `voidFalseReveal`: an update that was proven false stands in this record."""
    return record.as_tuple(), leaf_of(masked, member)


# -- questions and answers ---------------------------------------------------------------------------------------------


def question(record: RoundRecord, opened: Opened, tree: int, table: Table, account: bytes) -> Arguments:
    """F3, `challengeNode` for the leaf of an account."""
    rows = entries(table)
    place = rows.index((account, table[account]))
    return record.as_tuple(), name_of(opened), tree, leaf_hash(*rows[place]), path(rows, place)


def statement_answer(
    record: RoundRecord, tree: int, owner: bytes, seat: int, signed: Signed[JoinIntent | MaskedUpdate | ResultAck]
) -> Arguments:
    """F3, `answerLeaf`."""
    return record.as_tuple(), tree, owner, seat, fields(signed.statement), signed.signature


def acknowledgements(
    record: RoundRecord, opened: Opened, acks: Sequence[Signed[ResultAck]], seats: Mapping[bytes, int], domain: bytes
) -> Arguments:
    """F5, `answerAcknowledgements`: everybody's; `seats` by address, a seat that the account has or had."""
    ordered = sorted((ack.signer(domain), ack.signature) for ack in acks)
    sum_root = acks[0].statement.sum_root
    signatures = [signature for _, signature in ordered]
    return record.as_tuple(), name_of(opened), sum_root, [seats[account] for account, _ in ordered], signatures


def merge_answer(record: RoundRecord, signed: Signed[PlainMerge], seat: int) -> Arguments:
    """F5, `answerMerge`: a merge of plain exchange."""
    return record.as_tuple(), seat, fields(signed.statement), signed.signature
