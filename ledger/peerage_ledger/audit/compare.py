"""Judged rounds held against what others say of them: the chain's records, the journals' closings, each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from peerage_ledger.audit.findings import Notebook, name_of
from peerage_ledger.audit.rounds import Rounds, judge_named
from peerage_ledger.transcript import NOTHING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from peerage_crypto.statements import Signed
    from peerage_ledger.audit.chain import History
    from peerage_ledger.audit.journal import Journal, Signatures
    from peerage_ledger.audit.rounds import Named
    from peerage_ledger.audit.terms import CaseFile, Mathematics
    from peerage_ledger.judgement import Judged


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
    for judged in known.values():
        if judged.standing.record not in history.records:
            initiator = judged.proven.roster.plan.initiator
            if _has_recorded_twin(rounds, judged, history):
                book.note(
                    f"round {judged.transcript.round}: a closing of the same session is not on the chain, its twin is"
                )
                continue
            sentence = f"round {judged.transcript.round} is proven by its artefacts and not on the chain"
            book.find("unrecorded", sentence, round_=judged.transcript.round, peer=initiator)


def _has_recorded_twin(rounds: Rounds, judged: Judged, history: History) -> bool:
    sid = judged.transcript.sid
    return any(j.transcript.sid == sid and j.standing.record in history.records for j in rounds.judged.values())


def compare_closed(rounds: Rounds, journals: Iterable[Journal], book: Notebook) -> None:
    """Where each peer says it stood."""
    for journal in journals:
        for entry in journal.of("closed"):
            told = {key: str(entry.fields.get(key, "")) for key in ("record", "transcript", "aggregate")}
            try:
                judged = rounds.judged.get(bytes.fromhex(told["transcript"]))
            except ValueError:
                judged = None
            if judged is None:
                if told["transcript"] not in {b.hex() for b in rounds.broken}:
                    sentence = f"{journal.name} closed a round of which there is no transcript"
                    book.find("journal-closed", sentence, round_=entry.round, peer=journal.peer)
                continue
            s = judged.standing
            if (told["record"], told["aggregate"]) != (s.record.hex(), s.aggregate.hex()):
                sentence = f"{journal.name} says of round {s.round} that it gave another record or model"
                book.find("journal-closed", sentence, round_=s.round, peer=journal.peer)


def check_forks(rounds: Rounds, book: Notebook) -> None:
    """One parent has one child: peers who acknowledged two have broken their word. Twins of one session are allowed."""
    children: defaultdict[bytes, dict[bytes, Judged]] = defaultdict(dict)
    for judged in rounds.judged.values():
        parent, sid = judged.transcript.parents[0].record, judged.transcript.sid
        if sid in children[parent]:
            book.note(f"round {judged.transcript.round} was closed twice (once without scores, or with fewer numbers)")
        children[parent][sid] = judged
        if judged.transcript.direction == NOTHING:
            book.note(f"round {judged.transcript.round} was closed without scores")
    for sessions in children.values():
        _check_fork(rounds.federation.domain, sessions.values(), book)
    joined: dict[tuple[bytes, int], bytes] = {}
    for judged in rounds.judged.values():
        for member in judged.proven.u3:
            version = judged.proven.roster.join_of(member).version
            if joined.setdefault((member, version), judged.transcript.sid) != judged.transcript.sid:
                sentence = f"version {version} of {name_of(member)} went into two sums"
                book.find("version-twice", sentence, round_=judged.transcript.round, peer=member)


def _check_fork(domain: bytes, sessions: Collection[Judged], book: Notebook) -> None:
    signers = Counter(ack.signer(domain) for judged in sessions for ack in judged.transcript.acks)
    for peer in sorted(p for p, count in signers.items() if count > 1):
        round_ = next(iter(sessions)).transcript.round
        book.find("fork", f"{name_of(peer)} acknowledged two results on one parent", round_=round_, peer=peer)


def collect_statements(rounds: Rounds, found: Signatures, book: Notebook) -> None:
    """Everything signed in the transcripts of the rounds, by its recovered signer."""
    domain = rounds.federation.domain
    for judged in rounds.judged.values():
        t, s = judged.transcript, judged.session
        signed: list[Signed[Any]] = [
            s.opened,
            *s.joins,
            *s.manifests,
            *s.votes,
            *t.acks,
            *(opening.signed for opening in t.openings),
        ]
        for one in signed:
            kind = type(one.statement).__name__
            found.add(one.signer(domain), t.sid, kind, one.statement.digest(domain), t.round)
        book.count("signatures", len(signed))
