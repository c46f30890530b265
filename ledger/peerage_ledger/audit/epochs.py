"""Each epoch of pay: the root on the chain, the document behind it, and what the rounds give for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from peerage_crypto.digest import address_root, claim_root
from peerage_ledger.audit.findings import Notebook, name_of
from peerage_ledger.records import RewardRoot, Steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerage_ledger.audit.chain import History
    from peerage_ledger.audit.rounds import Rounds
    from peerage_ledger.audit.terms import CaseFile, Settled, Terms
    from peerage_ledger.rewards import PayState


@dataclass(frozen=True, slots=True)
class Epoch:
    """One root that stands on the chain, the round it ends with by the terms, and its document (None: it is lost)."""

    root: RewardRoot
    end: int
    document: Settled | None


def end_of(terms: Terms, epoch: int) -> int:
    """The last round of an epoch, the first of which is 1."""
    return min(terms.rounds, epoch * terms.epoch) if terms.epoch else terms.rounds


def published_epochs(case: CaseFile, history: History, book: Notebook) -> tuple[Epoch, ...]:
    """The roots that stand, the oldest first, each with the document that gives it."""
    if not history.published and case.settlements:
        book.note("a settlement was proposed, but no reward root stands on the chain")
    documents = {reward_root(document): document for document in case.settlements}
    epochs: list[Epoch] = []
    for published in history.published:
        root = published.reward
        if root not in documents:
            sentence = f"no settlement in the store gives the reward root of epoch {root.epoch} on the chain"
            book.find("settlement-missing", sentence)
        epochs.append(Epoch(root, end_of(case.terms, root.epoch), documents.get(root)))
    return tuple(epochs)


def reward_root(document: Settled) -> RewardRoot:
    """What a quorum signs for a settlement."""
    dues, emissions = dict(document.dues), dict(document.emissions)
    return RewardRoot(document.epoch, claim_root(dues), sum(dues.values()), address_root(emissions), document.steps)


def check_epochs(
    epochs: Sequence[Epoch], states: Sequence[PayState], history: History, rounds: Rounds, book: Notebook
) -> None:
    """`states` are those after each round of the line, as the rounds give them."""
    begin = 0
    for number, epoch in enumerate(epochs):
        some = states[begin : epoch.end]
        due = some[-1].totals() if some else {}
        if epoch.document is not None:
            _check_document(epoch, epoch.document, due, rounds, book)
            _check_steps(epoch.document, some, history, rounds, book)
        root = epoch.root
        if not rounds.broken and (root.root, root.total) != (claim_root(due), sum(due.values())):
            which = f" of epoch {root.epoch}" if len(epochs) > 1 else ""
            paid, owed = root.total, sum(due.values())
            sentence = f"the chain's reward root{which} pays {paid} in all, the rounds give {owed} or another split"
            book.find("reward-root", sentence)
        if number and epoch.end <= begin:
            book.find("reward-root", f"the chain pays an epoch {root.epoch} that the terms do not have")
        begin = epoch.end


def _check_document(epoch: Epoch, settled: Settled, due: dict[bytes, int], rounds: Rounds, book: Notebook) -> None:
    told_of = rounds.by_record().get(settled.record)
    if told_of is None:
        if not rounds.broken:
            book.find("settlement", "the settlement stands on a record that no round gives")
        return
    if told_of.round != epoch.end and not rounds.broken:
        sentence = (
            f"epoch {settled.epoch} was settled after round {told_of.round}, by the terms it ends with {epoch.end}"
        )
        book.find("settlement", sentence, round_=told_of.round)
    told = dict(settled.dues)
    if list(settled.dues) != sorted(told.items()) or list(settled.emissions) != sorted(dict(settled.emissions).items()):
        book.find("settlement", "the settlement's lists are not sorted by distinct addresses")
    for account in sorted({*told, *due}):
        if told.get(account, 0) != due.get(account, 0):
            sentence = (
                f"the settlement gives {name_of(account)} {told.get(account, 0)}, the rounds give {due.get(account, 0)}"
            )
            book.find("settlement", sentence, peer=account)


def _check_steps(
    settled: Settled, states: Sequence[PayState], history: History, rounds: Rounds, book: Notebook
) -> None:
    """The chain of pay states that the quorum signed, and the rounds that it leaves unpaid."""
    for record in settled.voided:
        if record not in history.voided:
            book.find("settlement", "the settlement leaves a round unpaid that nobody has proven wrong on the chain")
    for record in sorted(history.voided - set(settled.voided)):
        if record in (state.record for state in states):
            book.note("a round was proven wrong on the chain after it was settled: it stays paid")
    steps = Steps(tuple(s.record for s in states), tuple(s.digest() for s in states))
    if not rounds.broken and steps.digest() != settled.steps:
        book.find("settlement", "the settlement's steps are not those by which pay follows from the rounds")
