"""From the judged rounds to what everybody was paid: settlement, root, signatures, claims, to the last unit."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peerage_crypto.digest import address_root, claim_root
from peerage_ledger.audit.findings import Notebook, name_of
from peerage_ledger.records import RewardRoot
from peerage_ledger.rewards import Pay, RoundScores, capped, comparable, pay_rounds, totals
from peerage_ledger.transcript import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from peerage_ledger.audit.chain import History
    from peerage_ledger.audit.journal import Journal
    from peerage_ledger.audit.rounds import Rounds
    from peerage_ledger.audit.terms import CaseFile, Settled, Terms
    from peerage_ledger.judgement import Judged


@dataclass(frozen=True, slots=True)
class Earning:
    """Why one peer earned what it earned in one round. `number` None: not in the sum, or its number stayed closed."""

    round: int
    attended: bool
    scored: bool
    number: int | None
    exponent: int
    capped: bool
    mean: int
    share: float
    pot: int
    pay: int
    cumulative: int


@dataclass(frozen=True)
class Accounts:
    """The line of rounds that was settled (or the longest), what each round pays, and who is due what."""

    line: tuple[Judged, ...]
    scores: tuple[RoundScores, ...]
    pays: tuple[Pay, ...]
    due: dict[bytes, int]
    settled: Settled | None
    claimed: dict[bytes, int]


def settle(case: CaseFile, history: History, rounds: Rounds, journals: Iterable[Journal], book: Notebook) -> Accounts:
    """Everything that is money, computed from the rounds and compared with settlement and chain."""
    settled = _published_settlement(case, history, book)
    head = settled.record if settled else _longest(rounds)
    line = tuple(rounds.line_to(head))
    scores = tuple(_scores_of(judged) for judged in line)
    try:
        pays = tuple(_pay(case.terms, scores))
    except ValueError as error:
        book.find("pay", f"the scores cannot be paid: {error}")
        pays = ()
    due = totals(pays)
    accounts = Accounts(line, scores, pays, due, settled, _claims(history, book))
    if history.published:
        _check_published(history, accounts, rounds, book)
    _check_documents(case, journals, book)
    if history.funded < case.terms.pool:
        book.find("vault", f"the vault was funded with {history.funded}, the terms promise {case.terms.pool}")
    book.count("payouts", len(due))
    return accounts


def _scores_of(judged: Judged) -> RoundScores:
    """As the peers have it: a round closed without scores counts for nobody."""
    t = judged.transcript
    numbers = dict(zip(judged.proven.u3, t.numbers, strict=True)) if t.direction != NOTHING else {}
    return RoundScores(t.round, numbers, t.exponent)


def _pay(terms: Terms, scores: Sequence[RoundScores]) -> list[Pay]:
    return pay_rounds(scores, pool=terms.pool, planned=terms.rounds, cap=terms.cap, window=terms.window)


def _longest(rounds: Rounds) -> bytes:
    """Without a settlement: the last judged round, the lowest record among equals."""
    heads = sorted((-j.transcript.round, j.standing.record) for j in rounds.judged.values())
    return heads[0][1] if heads else rounds.start.record


def _published_settlement(case: CaseFile, history: History, book: Notebook) -> Settled | None:
    """The document behind the last published root."""
    if not history.published:
        if case.settlements:
            book.note("a settlement was proposed, but no reward root stands on the chain")
        return None
    root = history.published[-1].reward
    for document in case.settlements:
        if reward_root(document) == root:
            return document
    book.find(
        "settlement-missing", f"no settlement in the store gives the reward root of epoch {root.epoch} on the chain"
    )
    return None


def reward_root(document: Settled) -> RewardRoot:
    """What a quorum signs for a settlement."""
    dues, emissions = dict(document.dues), dict(document.emissions)
    return RewardRoot(document.epoch, claim_root(dues), sum(dues.values()), address_root(emissions))


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


def _check_published(history: History, accounts: Accounts, rounds: Rounds, book: Notebook) -> None:
    root, due = history.published[-1].reward, accounts.due
    settled = accounts.settled
    if settled is not None:
        _check_settled(settled, due, rounds, book)
    if not rounds.broken and (root.root, root.total) != (claim_root(due), sum(due.values())):
        paid, owed = root.total, sum(due.values())
        book.find("reward-root", f"the chain's reward root pays {paid} in all, the rounds give {owed} or another split")
    for account, amount in accounts.claimed.items():
        if not rounds.broken and amount != due.get(account, 0):
            sentence = f"{name_of(account)} has claimed {amount}, the rounds give it {due.get(account, 0)}"
            book.find("claim", sentence, peer=account)
    for account, amount in due.items():
        if account not in accounts.claimed and not rounds.broken:
            book.note(f"{name_of(account)} has not claimed its {amount} yet")


def _check_settled(settled: Settled, due: dict[bytes, int], rounds: Rounds, book: Notebook) -> None:
    if settled.record not in rounds.by_record():
        if not rounds.broken:
            book.find("settlement", "the settlement stands on a record that no round gives")
        return
    told = dict(settled.dues)
    if list(settled.dues) != sorted(told.items()) or list(settled.emissions) != sorted(dict(settled.emissions).items()):
        book.find("settlement", "the settlement's lists are not sorted by distinct addresses")
    for account in sorted({*told, *due}):
        if told.get(account, 0) != due.get(account, 0):
            sentence = (
                f"the settlement gives {name_of(account)} {told.get(account, 0)}, the rounds give {due.get(account, 0)}"
            )
            book.find("settlement", sentence, peer=account)


def _check_documents(case: CaseFile, journals: Iterable[Journal], book: Notebook) -> None:
    """A peer that signed a settlement wrote its name down: the document must be there."""
    known = {document.artefact.hex() for document in case.settlements}
    for journal in journals:
        for entry in journal.of("settlement"):
            if str(entry.fields.get("settlement", "")) not in known:
                sentence = f"{journal.name} signed a settlement that is not in the store"
                book.find("settlement-missing", sentence, round_=entry.round, peer=journal.peer)


def earnings(accounts: Accounts, peer: bytes, *, cap: int, window: int) -> list[Earning]:
    """Round by round, why `peer` earned what it earned: the same arithmetic as `rewards.pay_rounds`, shown."""
    attended: defaultdict[bytes, deque[int]] = defaultdict(lambda: deque(maxlen=window))
    rows: list[Earning] = []
    cumulative = 0
    if len(accounts.pays) != len(accounts.line):
        return rows  # the scores cannot be paid, which is a finding
    for judged, scores, pay in zip(accounts.line, accounts.scores, accounts.pays, strict=True):
        values = {p: comparable(n or 0, scores.exponent) for p, n in scores.numbers.items()}
        cut = capped(values, cap)
        for member, value in cut.items():
            attended[member].append(value)
        means = {p: sum(attended[p]) // len(attended[p]) for p in values}
        positive = sum(max(0, mean) for mean in means.values())
        mean, paid = means.get(peer, 0), pay.shares.get(peer, 0)
        cumulative += paid
        rows.append(
            Earning(
                round=pay.round,
                attended=peer in judged.proven.u3,
                scored=judged.transcript.direction != NOTHING,
                number=scores.numbers.get(peer),
                exponent=scores.exponent,
                capped=peer in cut and cut[peer] < values[peer],
                mean=mean,
                share=max(0, mean) / positive if positive else 0.0,
                pot=pay.pot,
                pay=paid,
                cumulative=cumulative,
            )
        )
    return rows
