"""The auditor's judgement: artefacts, chain archive and journals in, findings out. Trusts neither chain nor peers.

Order: the chain's transactions are executed again (`audit_chain`); journals are read as chains of signed bytes
(`audit_journal`); every round that anybody names is judged from its artefacts (`audit_rounds`, `audit_numbers`) and its
record compared with the chain's (`audit_compare`); signatures from all sides are held against each other; pay follows
from the judged rounds (`audit_pay`). No clock, no file, no torch: what needs floating point comes in as `Mathematics`.

A finding names its round and peer where these are defined. What could not be checked is a note, never a pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from peerage_ledger.audit.chain import History, replay
from peerage_ledger.audit.compare import collect_statements, judge_rounds
from peerage_ledger.audit.findings import Finding, Notebook, RoundCheck, name_of
from peerage_ledger.audit.journal import Journal, Signatures, check_ends, check_journalled, read_journal
from peerage_ledger.audit.pay import NO_ACCOUNTS, Accounts, settle
from peerage_ledger.audit.plain import collect_merges, judge_merges, references
from peerage_ledger.audit.prologue import judge_prologue
from peerage_ledger.audit.rounds import Rounds, ground_of, no_rounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerage_ledger.audit.terms import CaseFile, Mathematics
    from peerage_ledger.plain_judgement import Mean, PlainHistory


@dataclass(frozen=True)
class Judgement:
    """What the audit found and how far it looked; `book` may take further findings of the adapter's own checks."""

    book: Notebook
    history: History
    rounds: Rounds
    accounts: Accounts
    journals: tuple[Journal, ...]
    plain: PlainHistory | None = None

    @property
    def broken(self) -> bool:
        """Whether some round does not hold, so that what follows from all of them cannot be said."""
        return bool(self.rounds.broken) or bool(self.plain and self.plain.faults)

    @property
    def final(self) -> bytes:
        """The last aggregate; empty without one."""
        if self.plain is not None:
            return self.plain.final
        return self.accounts.line[-1].aggregate if self.accounts.line else b""

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.book.in_order()

    @property
    def checks(self) -> tuple[RoundCheck, ...]:
        return tuple(sorted(self.rounds.checks, key=lambda check: (check.round, check.record)))


def judge(case: CaseFile, maths: Mathematics, book: Notebook | None = None) -> Judgement:
    """The whole audit of one case file."""
    book = book or Notebook()
    _check_genesis(case, book)
    history = replay(case.archive, case.deployment, book)
    journals = _read_journals(case, history, book)
    if case.mean is not None:
        return _judge_plain(case, history, journals, case.mean, book)
    rounds = judge_rounds(case, history, journals, maths, book)
    before = judge_prologue(case, history, journals, book)
    _check_signatures([rounds, *before], journals, book)
    accounts = settle(case, history, rounds, journals, book)
    check_ends(journals, case.lost, finished=accounts.settled_rounds == case.terms.rounds, book=book)
    _check_files(case, [rounds, *before], accounts, book)
    return Judgement(book, history, rounds, accounts, journals)


def _judge_plain(
    case: CaseFile, history: History, journals: tuple[Journal, ...], mean: Mean, book: Notebook
) -> Judgement:
    """Nothing is masked, scored or paid: merges are judged, and claims of any pay are findings."""
    federation = ground_of(case, history.registered)
    told = judge_merges(case, federation, history, journals, mean, book)
    before = judge_prologue(case, history, journals, book)
    statements = Signatures()
    for rounds in before:
        collect_statements(rounds, statements, book)
    collect_merges(told, federation, statements, book)
    _compare_signatures(statements, journals, book)
    empty = no_rounds(case, history.registered)
    for published in history.published:
        book.find("reward-root", f"the chain pays {published.reward.total} for rounds that pay nobody")
    check_ends(journals, case.lost, finished=any(j.sealed_end for j in journals), book=book)
    accounts = NO_ACCOUNTS
    empty.referenced |= references(told)
    _check_files(case, [empty, *before], accounts, book)
    return Judgement(book, history, empty, accounts, journals, told)


def _check_genesis(case: CaseFile, book: Notebook) -> None:
    if case.terms.record != case.deployment.federation:
        book.find("terms", "the settings in federation.toml are not those whose hash the contracts were built with")
    if case.terms.pool > case.deployment.pool:
        book.find("terms", f"the vault was to hold {case.deployment.pool}, the settings promise {case.terms.pool}")


def _read_journals(case: CaseFile, history: History, book: Notebook) -> tuple[Journal, ...]:
    journals: list[Journal] = []
    owners: dict[bytes, str] = {}
    for name in sorted({*case.journals, *case.accounts}):
        if name not in case.journals:
            book.find("journal-missing", f"{name}: there is no journal", peer=case.accounts[name])
            continue
        journal = read_journal(name, case.journals[name], book, case.accounts.get(name))
        if journal.peer is None:
            continue
        if journal.peer not in history.registered:
            sentence = f"{name}: its journal is of {name_of(journal.peer)}, who is not registered"
            book.find("journal-peer", sentence, peer=journal.peer)
        if journal.peer in owners:
            sentence = f"{name} and {owners[journal.peer]} are journals of one peer"
            book.find("journal-peer", sentence, peer=journal.peer)
        owners[journal.peer] = name
        journals.append(journal)
    for peer in sorted(history.registered - owners.keys()) if case.journals else ():
        book.note(f"{name_of(peer)} is registered and has no journal here")
    return tuple(journals)


def _check_signatures(all_rounds: Sequence[Rounds], journals: Sequence[Journal], book: Notebook) -> None:
    from_rounds = Signatures()
    for rounds in all_rounds:
        collect_statements(rounds, from_rounds, book)
    _compare_signatures(from_rounds, journals, book)


def _compare_signatures(from_rounds: Signatures, journals: Sequence[Journal], book: Notebook) -> None:
    check_journalled(journals, from_rounds, book)
    everything = Signatures({key: dict(digests) for key, digests in from_rounds.digests.items()})
    for journal in journals:
        everything.add_journal(journal, book)
    everything.check(book)


def _check_files(case: CaseFile, all_rounds: Sequence[Rounds], accounts: Accounts, book: Notebook) -> None:
    """Artefacts whose file holds other bytes than its name says, blamed on the round and peer they belong to."""
    known = {artefact: what for rounds in all_rounds[::-1] for artefact, what in rounds.referenced.items()}
    for epoch in accounts.epochs:
        if epoch.document is not None:
            known[epoch.document.artefact] = ("settlement", epoch.end, None)
            known |= {e: ("emission record", epoch.end, peer) for peer, e in epoch.document.emissions}
    for artefact in sorted(case.misnamed):
        what, round_, peer = known.get(artefact, ("artefact", None, None))
        sentence = f"store/{artefact.hex()} ({what}) does not hold the bytes that its name is the hash of"
        book.find("store-misnamed", sentence, round_=round_, peer=peer)
    book.count("artefacts", len(case.store))
