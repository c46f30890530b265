"""From artefacts and chain to disputes: every fault of rounds that the round arbiter decides. Pure.

Proofs that settle at once come before questions, which cost a bond and time: a record against which there is a proof is
not asked about. A record that follows from its artefacts is never in question.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from peerage_crypto.digest import address_root
from peerage_crypto.equivocation import judge_equivocation
from peerage_crypto.secagg_judge import Proven, judge_session
from peerage_crypto.session import Roster, RosterRefused
from peerage_ledger.audit.court import accusers, acknowledgers, question_of
from peerage_ledger.disputes import evidence as ev
from peerage_ledger.disputes.answers import answer_merge
from peerage_ledger.disputes.dispute import WHOLE, Dispute
from peerage_ledger.disputes.forest import out_of_order, to_ask
from peerage_ledger.disputes.shown import rand_commitment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peerage_crypto.session import SessionTranscript
    from peerage_crypto.statements import MaskedUpdate, ResultAck, Signed
    from peerage_ledger.disputes.dispute import Docket
    from peerage_ledger.disputes.evidence import Tables
    from peerage_ledger.records import RoundRecord

ARBITER = "RoundArbiter"
TREES = ("joins", "masked updates", "acknowledgements", "scores", "emissions")
_LARGEST_PAIRS = 16  # rosters up to this size are searched for two that were left out


def find_rounds(docket: Docket) -> list[Dispute]:
    """F1, F10, then record by record in the order of the chain."""
    found = [*_equivocations(docket), *_false_reveals(docket)]
    for name, record in docket.decided.records.items():
        if name in docket.right:
            continue
        proofs = list(_proofs(docket, record))
        found += proofs or _questions(docket, record)
    return found


def _name(peer: bytes) -> str:
    return "0x" + peer.hex()


def _equivocations(docket: Docket) -> Iterator[Dispute]:
    done = {(peer, sid) for peer, sid, fault in docket.decided.convicted if fault == 1}
    for told in docket.shelf.contradictions(docket.federation.registered):
        culprit = judge_equivocation(docket.shelf.domain, told)
        sid = told.first.statement.sid
        if isinstance(culprit, str) or culprit not in docket.decided.seats or (culprit, sid) in done:
            continue
        done.add((culprit, sid))
        sentence = f"{_name(culprit)} signed two different {told.equivocation} statements in one session"
        round_ = next((r.round for r in docket.decided.records.values() if r.sid == sid), None)
        call = ev.equivocation(told)
        yield Dispute("F1", round_, None, (culprit,), ARBITER, "proveEquivocation", call, sentence, takes=WHOLE)


# -- F10 ---------------------------------------------------------------------------------------------------------------


def _false_reveals(docket: Docket) -> Iterator[Dispute]:
    for sid, sessions in docket.shelf.sessions.items():
        for session in sessions:
            roster = _roster(docket, session)
            if roster is None:
                continue
            for owner, signed in docket.shelf.updates(session).items():
                if _is_false(roster, session.u2, owner, signed):
                    yield from _false_reveal(docket, roster, session, sid, owner, signed)


def _roster(docket: Docket, session: SessionTranscript) -> Roster | None:
    opened = session.opened.statement
    parent = docket.told.get(opened.parent)
    plan = docket.federation.plan(opened, parent.seed if parent else bytes(32))
    try:
        return Roster.assemble(plan, session.joins) if plan is not None else None
    except RosterRefused:
        return None


def _is_false(roster: Roster, u2: bytes, owner: bytes, signed: Signed[MaskedUpdate]) -> bool:
    s = signed.statement
    if owner not in roster.members or s.sid != roster.plan.sid or s.u2 != roster.u2_digest(u2):
        return False
    return rand_commitment(s.sid, owner, s.rand) != roster.join_of(owner).rand


def _false_reveal(
    docket: Docket, roster: Roster, session: SessionTranscript, sid: bytes, owner: bytes, signed: Signed[MaskedUpdate]
) -> Iterator[Dispute]:
    decided, round_ = docket.decided, session.opened.statement.round
    sentence = f"{_name(owner)} revealed another secret than its signed join commits to"
    if (owner, sid, 10) not in decided.convicted:
        call = ev.false_reveal(roster, session.u2, owner, signed)
        yield Dispute("F10", round_, None, (owner,), ARBITER, "proveFalseReveal", call, sentence)
    masked = docket.shelf.tables(session).masked
    for name, record in decided.records.items():
        if record.sid == sid and record.masked_root == address_root(masked) and not decided.voided.get(name):
            call = ev.recorded_reveal(record, masked, owner)
            sentence = f"the record of round {round_} has an update under it whose secret is false"
            yield Dispute("F10", round_, name, (), ARBITER, "voidFalseReveal", call, sentence)


# -- proofs against a record -------------------------------------------------------------------------------------------


def _proofs(docket: Docket, record: RoundRecord) -> Iterator[Dispute]:
    session = docket.shelf.session_of(record)
    if session is None:
        return
    groups = docket.shelf.acks(record)
    done = docket.decided.voided.get(record.record_hash(), set())
    if 5 not in done:
        yield from _other_result(docket, record, session, groups)
    if 2 not in done:
        yield from _omissions(docket, record, session, groups)
    if 4 not in done:
        yield from _draws(docket, record, session)


def _against(docket: Docket, record: RoundRecord, fault: str, function: str, call: ev.Arguments, why: str) -> Dispute:
    name = record.record_hash()
    poster = docket.decided.posters[name]
    sentence = f"{_name(poster)} recorded round {record.round}, {why}"
    return Dispute(fault, record.round, name, (poster,), ARBITER, function, call, sentence)


def _other_result(
    docket: Docket, record: RoundRecord, session: SessionTranscript, groups: list[dict[bytes, Signed[ResultAck]]]
) -> Iterator[Dispute]:
    joins = docket.shelf.tables(session).joins
    if address_root(joins) != record.join_root:
        return
    for group in groups:
        acks = [ack for signer, ack in group.items() if signer in joins]
        needed = accusers(len(joins), docket.decided.given)
        if len(acks) >= needed and acks[0].statement.model != record.aggregate:
            opened, domain = session.opened.statement, docket.shelf.domain
            call = ev.other_result(record, opened, joins, docket.decided.given, acks, domain)
            why = f"but {len(acks)} of its {len(joins)} members acknowledged another model"
            yield _against(docket, record, "F5", "proveOtherResult", call, why)
            return


def _omissions(
    docket: Docket, record: RoundRecord, session: SessionTranscript, groups: list[dict[bytes, Signed[ResultAck]]]
) -> Iterator[Dispute]:
    """Who acknowledges and stands in no join of the documents, or is in them and not under the record's root."""
    opened = session.opened.statement
    for group in groups:
        tables = docket.shelf.tables(session, group)
        if address_root(tables.acks) != record.ack_root:
            continue
        for left, missing in _left_out(tables, record.join_root):
            call = ev.omission(record, opened, left, tables.acks, missing)
            why = f"where {_name(missing)} acknowledges and is missing among the joins"
            yield _against(docket, record, "F2", "proveOmission", call, why)
            return
    for tree, rows in out_of_order(docket.shelf, record):
        why = f"with {TREES[tree]} that are not in the order of their addresses"
        yield _against(docket, record, "F2", "proveDisorder", ev.disorder(record, tree, rows), why)
        return


def _left_out(tables: Tables, root: bytes) -> Iterator[tuple[ev.Table, bytes]]:
    """The joins under the root, and who acknowledges without one; up to two of those known are taken out to find it."""
    both = sorted(tables.acks.keys() & tables.joins.keys())
    for many in (0, 1, 2) if len(both) <= _LARGEST_PAIRS else (0, 1):
        for without in combinations(both, many):
            left = {account: value for account, value in tables.joins.items() if account not in without}
            missing = min(tables.acks.keys() - left.keys(), default=None)
            if missing is not None and address_root(left) == root:
                yield left, missing


def _draws(docket: Docket, record: RoundRecord, session: SessionTranscript) -> Iterator[Dispute]:
    """The first member that is in another bucket than the drawn one."""
    grouping, opened = docket.federation.grouping, session.opened.statement
    tables = docket.shelf.tables(session)
    known = address_root(tables.joins) == record.join_root and address_root(tables.masked) == record.masked_root
    if grouping.flat or grouping.regions or not known or len(record.parents) != 1:
        return
    shown = _parent(docket, record.parents[0])
    if shown is None and record.parents[0] != docket.deployment.federation:
        return
    seed = record.parents[0] if shown is None else shown.proven.seed()
    buckets = grouping.split(tuple(sorted(tables.joins)), seed)
    for owner, signed in docket.shelf.updates(session).items():
        drawn = next((i for i, bucket in enumerate(buckets) if owner in bucket), None)
        if drawn is not None and drawn != signed.statement.bucket:
            args = (record, opened, tables.joins, tables.masked, signed, owner, docket.settings, shown)
            why = f"where {_name(owner)} is in bucket {signed.statement.bucket} and was drawn into {drawn}"
            yield _against(docket, record, "F4", "proveWrongDraw", ev.wrong_draw(*args), why)
            return


def _parent(docket: Docket, name: bytes) -> ev.Parent | None:
    """A recorded session with what proves its randomness; None above the first round, and where it does not hold."""
    told = docket.told.get(name)
    if told is None:
        return None
    for session in docket.shelf.sessions.get(told.record.sid, []):
        opened = session.opened.statement
        before = docket.told.get(opened.parent)
        seed, halving = (before.seed, before.halving) if before is not None else (opened.parent, bytes(32))
        plan = docket.federation.plan(opened, seed, halving)
        proven = judge_session(plan, session) if plan is not None else []
        if isinstance(proven, Proven):
            return ev.Parent(told.record, session, proven)
    return None


# -- questions ---------------------------------------------------------------------------------------------------------


def _questions(docket: Docket, record: RoundRecord) -> list[Dispute]:
    """Show the acknowledgements; or, where a quorum's are here, what stands under a root that nothing here gives."""
    name, decided = record.record_hash(), docket.decided
    if decided.voided.get(name):
        return []
    if len(_acknowledged(docket, record)) < acknowledgers(record.members):
        merge = answer_merge(record, docket.store.get(record.transcript, b""), docket.shelf.domain, decided.seats)
        if merge is not None or question_of(name, 5, ev.ACKS, bytes(32)) in decided.questions:
            return []  # the maker of a false merge answers for it: the bond would be gone
        why = "and no quorum's acknowledgements of it are known"
        call: ev.Arguments = (record.as_tuple(),)
        return [_asked(_against(docket, record, "F5", "challengeAcknowledgements", call, why))]
    session = docket.shelf.session_of(record)
    if session is None:
        return []
    asked: list[Dispute] = []
    tables, opened = docket.shelf.tables(session), session.opened.statement
    for tree, table, root in (
        (ev.JOINS, tables.joins, record.join_root),
        (ev.MASKED, tables.masked, record.masked_root),
    ):
        for node, way in to_ask(docket, record, tree, table, root):
            call = (record.as_tuple(), ev.name_of(opened), tree, node, way)
            under = "a root" if node == root else "a node under the root"
            why = f"with {under} of {TREES[tree]} that no signed statements here give"
            asked.append(_asked(_against(docket, record, "F3", "challengeNode", call, why)))
    return asked


def _acknowledged(docket: Docket, record: RoundRecord) -> dict[bytes, Signed[ResultAck]]:
    """The largest group that says exactly this record's model, of accounts that ever were peers."""
    for group in docket.shelf.acks(record):
        known = {signer: ack for signer, ack in group.items() if signer in docket.decided.seats}
        if known and next(iter(known.values())).statement.model == record.aggregate:
            return known
    return {}


def _asked(dispute: Dispute) -> Dispute:
    return replace(dispute, bonded=True)
