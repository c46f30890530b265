"""Judged rounds held against what others say of them: the chain's records, the journals' closings, each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from peerage_ledger.audit.findings import Notebook, name_of
from peerage_ledger.audit.rounds import Rounds, judge_named

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from peerage_ledger.audit.chain import History
    from peerage_ledger.audit.journal import Journal, Signatures
    from peerage_ledger.audit.rounds import Named
    from peerage_ledger.audit.terms import CaseFile, Mathematics
    from peerage_ledger.audit.told import Told


def judge_rounds(
    case: CaseFile, history: History, journals: Iterable[Journal], maths: Mathematics, book: Notebook
) -> Rounds:
    """All rounds that anybody names."""
    wanted: list[Named] = [
        (record.transcript, record.round, history.recorders[name], "the chain")
        for name, record in history.records.items()
    ]
    for journal in journals:
        for entry in journal.of("closed"):
            try:
                named = bytes.fromhex(str(entry.fields["transcript"]))
            except (KeyError, ValueError):
                continue  # compare_closed says so
            wanted.append((named, entry.round, journal.peer, f"the journal of {journal.name}"))
    rounds = judge_named(case, history.registered, wanted, maths, book)
    compare_records(rounds, history, book)
    compare_closed(rounds, journals, book)
    check_forks(rounds, book)
    return rounds


def compare_records(rounds: Rounds, history: History, book: Notebook) -> None:
    known = rounds.by_record()
    for name, record in history.records.items():
        recorder = history.recorders[name]
        if name in known:
            continue
        if record.transcript in rounds.broken:
            continue  # said already, or not judged
        judged = rounds.judged.get(record.transcript)
        sentence = f"the chain's record of round {record.round} is not the one that its artefacts give"
        if judged is not None:
            other = [f for f in record.__dataclass_fields__ if getattr(record, f) != getattr(judged.record, f)]
            sentence += f": it differs in {', '.join(other)}"
        book.find("record", sentence, round_=record.round, peer=recorder)
    recorded = {told.sid for name, told in known.items() if name in history.records}
    for name, told in known.items():
        if name not in history.records:
            if told.sid in recorded:
                book.note(f"round {told.round}: a closing of the same session is not on the chain, its twin is")
                continue
            sentence = f"round {told.round} is proven by its artefacts and not on the chain"
            book.find("unrecorded", sentence, round_=told.round, peer=told.initiator)


def compare_closed(rounds: Rounds, journals: Iterable[Journal], book: Notebook) -> None:
    """Where each peer says it stood."""
    broken = {name.hex() for name in rounds.broken}
    for journal in journals:
        for entry in journal.of("closed"):
            told = {key: str(entry.fields.get(key, "")) for key in ("record", "transcript", "aggregate")}
            try:
                judged = rounds.judged.get(bytes.fromhex(told["transcript"]))
            except ValueError:
                judged = None
            if judged is None:
                if told["transcript"] not in broken:
                    sentence = f"{journal.name} closed a round of which there is no transcript"
                    book.find("journal-closed", sentence, round_=entry.round, peer=journal.peer)
                continue
            if (told["record"], told["aggregate"]) != (judged.record_hash.hex(), judged.aggregate.hex()):
                sentence = f"{journal.name} says of round {judged.round} that it gave another record or model"
                book.find("journal-closed", sentence, round_=judged.round, peer=journal.peer)


def check_forks(rounds: Rounds, book: Notebook) -> None:
    """One parent has one child: peers who acknowledged two have broken their word. Twins of one session are allowed."""
    children: defaultdict[bytes, dict[bytes, Told]] = defaultdict(dict)
    for told in rounds.judged.values():
        if told.sid in children[told.parent]:
            book.note(f"round {told.round} was closed twice (once without scores, or with fewer numbers)")
        children[told.parent][told.sid] = told
        if not told.scored:
            book.note(f"round {told.round} was closed without scores")
    for sessions in children.values():
        _check_fork(sessions.values(), book)
    joined: dict[tuple[bytes, int], bytes] = {}
    for told in rounds.judged.values():
        for member, version in zip(told.u3, told.joined, strict=True):
            if joined.setdefault((member, version), told.sid) != told.sid:
                sentence = f"version {version} of {name_of(member)} went into two sums"
                book.find("version-twice", sentence, round_=told.round, peer=member)


def _check_fork(sessions: Collection[Told], book: Notebook) -> None:
    signers = Counter(signer for told in sessions for signer in told.acknowledged)
    for peer in sorted(p for p, count in signers.items() if count > 1):
        round_ = next(iter(sessions)).round
        book.find("fork", f"{name_of(peer)} acknowledged two results on one parent", round_=round_, peer=peer)


def collect_statements(rounds: Rounds, found: Signatures, book: Notebook) -> None:
    """Everything signed in the transcripts of the rounds, by its recovered signer."""
    for told in rounds.judged.values():
        for said in told.said:
            found.add(said.peer, told.sid, said.kind, said.digest, told.round)
        book.count("signatures", len(told.said))
