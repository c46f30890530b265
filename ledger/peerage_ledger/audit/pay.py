"""From the judged rounds to what everybody was paid: settlements, roots, claims, to the last unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from peerage_ledger.audit.epochs import Epoch, check_epochs, published_epochs
from peerage_ledger.audit.findings import Notebook, name_of
from peerage_ledger.rewards import Pay, PayState, RoundScores, Rule, advance, capped, comparable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peerage_ledger.audit.chain import History
    from peerage_ledger.audit.journal import Journal
    from peerage_ledger.audit.rounds import Rounds
    from peerage_ledger.audit.terms import CaseFile, Terms
    from peerage_ledger.audit.told import Told


@dataclass(frozen=True, slots=True)
class Earning:
    """Why one peer earned what it earned in one round. `number` None: not in the sum, or its number stayed closed.

    `value` is the number as it counts, in the unit that all rounds share, cut if `capped`; `mean` is over `counted` of
    them; `voided`: proven wrong on the chain before it was settled.
    """

    round: int
    attended: bool
    scored: bool
    number: int | None
    exponent: int
    capped: bool
    value: int
    counted: int
    voided: bool
    mean: int
    share: float
    pot: int
    pay: int
    cumulative: int


@dataclass(frozen=True)
class Accounts:
    """The line of rounds on which pay was settled (or the longest), what each round pays, and who is due what.

    `due` is what is settled; while nothing is, what the rounds so far would pay.
    """

    line: tuple[Told, ...]
    scores: tuple[RoundScores, ...]
    states: tuple[PayState, ...]
    pays: tuple[Pay, ...]
    due: dict[bytes, int]
    epochs: tuple[Epoch, ...]
    claimed: dict[bytes, int]

    @property
    def settled_rounds(self) -> int:
        return self.epochs[-1].end if self.epochs else 0


NO_ACCOUNTS = Accounts((), (), (), (), {}, (), {})


def settle(case: CaseFile, history: History, rounds: Rounds, journals: Iterable[Journal], book: Notebook) -> Accounts:
    """Everything that is money, computed from the rounds and compared with settlements and chain."""
    epochs = published_epochs(case, history, book)
    line = _line(rounds, epochs)
    scores = tuple(_scores_of(judged) for judged in line)
    voided = _unpaid(epochs, line, history)
    after, pays = list[PayState](), list[Pay]()
    state = PayState(0, case.terms.record)
    try:
        for one in scores:
            state, pay = advance(state, one, rule_of(case.terms), voided=one.record in voided)
            after.append(state)
            pays.append(pay)
    except ValueError as error:
        book.find("pay", f"the scores cannot be paid: {error}")
        after, pays = [], []
    if epochs:
        check_epochs(epochs, after, history, rounds, book)
    end = epochs[-1].end if epochs else len(after)
    due = after[min(end, len(after)) - 1].totals() if after and end else {}
    accounts = Accounts(line, scores, tuple(after), tuple(pays), due, epochs, _claims(history, book))
    if epochs:
        _check_claims(accounts, rounds, book)
    _check_documents(case, journals, book)
    if history.funded < case.terms.pool:
        book.find("vault", f"the vault was funded with {history.funded}, the terms promise {case.terms.pool}")
    book.count("payouts", len(due))
    return accounts


def _line(rounds: Rounds, epochs: tuple[Epoch, ...]) -> tuple[Told, ...]:
    """The longest line on which what was settled stands, the lowest record among equals."""
    settled = next((e.document.record for e in reversed(epochs) if e.document), None)
    heads = sorted((-told.round, told.record_hash) for told in rounds.judged.values())
    lines = (tuple(rounds.line_to(head)) for _, head in heads)
    if settled is None:
        return next(lines, ())
    return next((line for line in lines if any(t.record_hash == settled for t in line)), ())


def _unpaid(epochs: tuple[Epoch, ...], line: tuple[Told, ...], history: History) -> set[bytes]:
    """Records that pay nothing: in what is settled those that its quorum left out, after it all that are void."""
    unpaid, begin = set[bytes](), 0
    for epoch in epochs:
        some = {told.record_hash for told in line[begin : epoch.end]}
        unpaid |= set(epoch.document.voided) if epoch.document else some & history.voided
        begin = epoch.end
    return unpaid | {told.record_hash for told in line[begin:]} & history.voided


def _scores_of(told: Told) -> RoundScores:
    """As the peers have it: a round closed without scores counts for nobody."""
    t = told.transcript
    numbers = dict(zip(told.u3, t.numbers, strict=True)) if told.scored else {}
    return RoundScores(t.round, numbers, t.exponent, told.record_hash)


def rule_of(terms: Terms) -> Rule:
    """The rule of pay that the terms declare."""
    return Rule(terms.pool, terms.rounds, terms.cap, terms.window)


def _claims(history: History, book: Notebook) -> dict[bytes, int]:
    claimed: dict[bytes, int] = {}
    for claim in history.claims:
        if claim.cumulative != claimed.get(claim.account, 0) + claim.amount:
            sentence = (
                f"{name_of(claim.account)} was paid {claim.amount}, which does not lead to {claim.cumulative} in all"
            )
            book.find("claim", sentence, peer=claim.account)
        claimed[claim.account] = claim.cumulative
    return claimed


def _check_claims(accounts: Accounts, rounds: Rounds, book: Notebook) -> None:
    """Everybody has claimed what some epoch has settled for it, and the last one's at most."""
    if rounds.broken:
        return
    ends = [e.end for e in accounts.epochs if e.end <= len(accounts.states)]
    totals = [accounts.states[end - 1].totals() for end in ends if end]
    for account, amount in accounts.claimed.items():
        if amount not in {0, *(due.get(account, 0) for due in totals)}:
            sentence = f"{name_of(account)} has claimed {amount}, the rounds give it {accounts.due.get(account, 0)}"
            book.find("claim", sentence, peer=account)
    for account, amount in accounts.due.items():
        claimed = accounts.claimed.get(account, 0)
        if claimed < amount:
            what = f"its {amount}" if not claimed else f"{amount - claimed} of its {amount}"
            book.note(f"{name_of(account)} has not claimed {what} yet")


def _check_documents(case: CaseFile, journals: Iterable[Journal], book: Notebook) -> None:
    """A peer that signed a settlement wrote its name down: the document must be there."""
    known = {document.artefact.hex() for document in case.settlements}
    for journal in journals:
        for entry in journal.of("settlement"):
            if str(entry.fields.get("settlement", "")) not in known:
                sentence = f"{journal.name} signed a settlement that is not in the store"
                book.find("settlement-missing", sentence, round_=entry.round, peer=journal.peer)


def earnings(accounts: Accounts, peer: bytes, *, cap: int) -> list[Earning]:
    """Round by round, why `peer` earned what it earned: read from the states that were signed."""
    rows: list[Earning] = []
    cumulative = 0
    if len(accounts.pays) != len(accounts.line):
        return rows  # the scores cannot be paid, which is a finding
    for told, scores, state, pay in zip(accounts.line, accounts.scores, accounts.states, accounts.pays, strict=True):
        values = {p: comparable(n or 0, scores.exponent) for p, n in scores.numbers.items()}
        cut = capped(values, cap)
        earners = {e.account: e for e in state.earners if e.account in values}
        means = {account: e.weight for account, e in earners.items()}
        positive = sum(max(0, mean) for mean in means.values())
        mean, paid = means.get(peer, 0), pay.shares.get(peer, 0)
        cumulative += paid
        rows.append(
            Earning(
                round=pay.round,
                attended=peer in told.u3,
                scored=told.scored,
                number=scores.numbers.get(peer),
                exponent=scores.exponent,
                capped=peer in cut and cut[peer] < values[peer],
                value=cut.get(peer, 0),
                counted=len(earners[peer].values) if peer in earners else 0,
                voided=bool(scores.numbers) and not pay.shares,
                mean=mean,
                share=max(0, mean) / positive if positive else 0.0,
                pot=pay.pot,
                pay=paid,
                cumulative=cumulative,
            )
        )
    return rows
