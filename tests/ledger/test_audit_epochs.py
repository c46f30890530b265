"""An audit of a run whose pay was settled in epochs: each root, each document, each claim."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_audit_forged import ROUNDS, Forge, journal_of, simulate

from peerage.rounds.settlement import decode_settlement
from peerage_crypto.digest import claim_proof
from peerage_ledger.audit.epochs import reward_root
from peerage_ledger.audit.pay import earnings
from peerage_ledger.audit.terms import Settled, Terms

if TYPE_CHECKING:
    from peerage_ledger.audit.judge import Judgement


class Epochs(Forge):
    """A forge of a run of three rounds, each an epoch: `documents` and `steps_of` are by epoch."""

    documents: list[Settled]
    steps_of: list[Any]

    def terms(self) -> Terms:
        return replace(super().terms(), epoch=1)

    def judge(self, **fields: object) -> Judgement:
        return super().judge(**({"settlements": tuple(self.documents)} | fields))

    def chain_of(self, epochs: int, *, claimed: int) -> None:
        """The calls of a run of which so many epochs are published and claimed."""
        self.chain()
        del self.calls[-2:]
        peers = list(self.accounts.values())
        for at, document in enumerate(self.documents[:epochs]):
            self.steps = self.steps_of[at]
            self.calls.append((peers[0], "RewardVault", "publish", self.publication(reward_root(document), peers)))
            dues = dict(document.dues)
            if at < claimed and dues:
                proofs = [claim_proof(dues, account) for account in dues]
                self.calls.append((peers[1], "RewardVault", "claimMany", (list(dues), list(dues.values()), proofs)))


@pytest.fixture(scope="module")
def finished() -> Any:
    return simulate(epoch=1)


@pytest.fixture
def forge(finished: Any) -> Epochs:
    hosts = finished.hosts
    store = {artefact: blob for host in hosts.values() for artefact, blob in host.holdings.items()}
    first = next(iter(hosts.values()))
    order = [judged.standing.transcript for judged in first.engine.history]
    names = {e.fields["settlement"] for host in hosts.values() for e in host.journal if e.kind == "settlement"}
    documents = []
    for name in sorted(names):
        one = decode_settlement(store[bytes.fromhex(name)])
        dues = tuple((d.account, int(d.cumulative)) for d in one.dues)
        emissions = tuple((e.peer, e.emissions) for e in one.emissions)
        documents.append(Settled(bytes.fromhex(name), one.epoch, one.record, dues, emissions, one.steps, one.voided))
    documents.sort(key=lambda d: (d.epoch, len(d.emissions)))
    last = {document.epoch: document for document in documents}
    journals = {host.name: journal_of(host) for host in hosts.values()}
    accounts = {address: host.account for address, host in hosts.items()}
    made = Epochs(finished, accounts, store, order, last[ROUNDS], journals)
    made.documents = [last[epoch] for epoch in sorted(last)]
    made.steps_of = [paid.books.steps for paid in first.engine.paid] + [first.engine.settlement.books.steps]
    made.steps = made.steps_of[-1]
    made.chain_of(ROUNDS, claimed=ROUNDS)
    return made


def said(judged: Judgement) -> list[tuple[str, int | None]]:
    return [(finding.code, finding.round) for finding in judged.findings if finding.code != "settlement-missing"]


def test_an_honest_run_in_epochs_has_no_findings(forge: Epochs) -> None:
    judged = forge.judge()
    assert said(judged) == []
    assert [(e.root.epoch, e.end) for e in judged.accounts.epochs] == [(1, 1), (2, 2), (3, 3)]
    assert judged.accounts.due == dict(forge.documents[-1].dues) == judged.accounts.claimed
    assert judged.accounts.settled_rounds == ROUNDS


def test_a_run_under_way_shows_what_is_settled_and_what_will_be(forge: Epochs) -> None:
    forge.chain_of(2, claimed=1)
    judged = forge.judge()
    assert said(judged) == []
    assert judged.accounts.due == dict(forge.documents[1].dues)
    assert len(judged.accounts.line) == ROUNDS
    assert judged.accounts.settled_rounds == 2
    assert any("has not claimed" in note for note in judged.book.notes)
    for peer in forge.accounts:
        rows = earnings(judged.accounts, peer, cap=2)
        assert rows[1].cumulative == judged.accounts.due.get(peer, 0)
        assert rows[-1].cumulative == dict(forge.documents[2].dues).get(peer, 0)


def test_an_epoch_that_pays_other_than_its_rounds_give_is_found(forge: Epochs) -> None:
    account, amount = forge.documents[1].dues[0]
    forge.documents[1] = replace(forge.documents[1], dues=((account, amount + 5), *forge.documents[1].dues[1:]))
    forge.chain_of(2, claimed=1)
    judged = forge.judge()
    assert {code for code, _ in said(judged)} == {"settlement", "reward-root"}
    assert {f.peer for f in judged.findings if f.code == "settlement"} == {account}
    assert any("of epoch 2" in f.sentence for f in judged.findings)


def test_an_epoch_that_ends_where_the_terms_do_not_say_is_found(forge: Epochs) -> None:
    forge.documents[0] = replace(forge.documents[0], record=forge.documents[1].record)
    forge.chain_of(1, claimed=1)
    judged = forge.judge()
    assert [f.sentence for f in judged.findings if f.code == "settlement"] == [
        "epoch 1 was settled after round 2, by the terms it ends with 1"
    ]


def test_a_document_that_is_lost_is_said_and_its_root_is_checked_all_the_same(forge: Epochs) -> None:
    judged = forge.judge(settlements=(forge.documents[0], forge.documents[2]))
    missing = [f for f in judged.findings if f.code == "settlement-missing" and "epoch 2" in f.sentence]
    assert len(missing) == 1
    assert said(judged) == []
    account, amount = forge.documents[1].dues[0]
    forged = replace(forge.documents[1], dues=((account, amount + 5), *forge.documents[1].dues[1:]))
    forge.documents[1] = forged
    forge.chain_of(2, claimed=1)
    judged = forge.judge(settlements=(forge.documents[0],))
    assert ("reward-root", None) in said(judged)


def test_an_epoch_beyond_the_last_round_is_found(forge: Epochs) -> None:
    peers = list(forge.accounts.values())
    root = replace(reward_root(forge.documents[-1]), epoch=ROUNDS + 1)
    forge.steps = type(forge.steps)()
    root = replace(root, steps=forge.steps.digest())
    forge.calls.append((peers[0], "RewardVault", "publish", forge.publication(root, peers)))
    sentences = [f.sentence for f in forge.judge().findings if f.code == "reward-root"]
    assert any("epoch 4 that the terms do not have" in sentence for sentence in sentences)
