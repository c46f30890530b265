"""Peers archive the chain that they were shown; whoever holds two archives sees where an operator told two stories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import long_history as lh
from peerage_crypto.digest import sha256
from peerage_ledger.archive.compare import Witness, compare
from peerage_ledger.archive.writer import ChainWriter
from peerage_ledger.audit.findings import Notebook
from peerage_ledger.blueprint import DeployTerms, plan
from peerage_ledger.contracts import NAMES, contract
from peerage_ledger.deployment import Deployment
from peerage_ledger.devnets import follow
from peerage_ledger.devnets.evm import EmbeddedChain
from peerage_ledger.devnets.evm_rpc import Methods
from peerage_ledger.records import RoundRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FEDERATION = sha256(b"federation")
PEER = lh.Account.from_secret(sha256(b"a peer"))


class Story:
    """A chain with one registered peer that records rounds; `start` is when its operator began it."""

    def __init__(self, start: int = lh.START, nonce: int = 0) -> None:
        made = plan(lh.OPERATOR.address, nonce, FEDERATION, DeployTerms(min_stake=1))
        self.at = {name: made.at[name] for name in made.names()}
        hashes = {name: contract(name).code_hash(contract(name).runtime) for name in self.at}
        self.deployment = Deployment(lh.CHAIN, "memory:", FEDERATION, self.at, 1, 1, 0, hashes)
        self.chain = lh.Chain(
            EmbeddedChain(lh.CHAIN, start, {a.address: 10**21 for a in (lh.OPERATOR, PEER)}), start=start
        )
        for _ in range(nonce):
            self.chain.send(lh.OPERATOR, PEER.address, b"")
        for name in NAMES:
            self.chain.send(lh.OPERATOR, None, contract(name).creation(*made.arguments(name)))
        token = contract("PeerageToken")
        self.chain.send(lh.OPERATOR, self.at["PeerageToken"], token.call("transfer", PEER.address, 1))
        self.chain.send(PEER, self.at["PeerageToken"], token.call("approve", self.at["PeerRegistry"], 1))
        register = contract("PeerRegistry").call("register", sha256(b"key"), "tcp://127.0.0.1:1", 1)
        self.chain.send(PEER, self.at["PeerRegistry"], register)
        self.last: RoundRecord | None = None

    def record(self, round_: int, what: bytes = b"") -> Story:
        parent = FEDERATION if self.last is None else self.last.record_hash()
        hashes = [sha256(bytes([i]), what, bytes([round_])) for i in range(8)]
        self.last = RoundRecord(round_, hashes[0], (round_ - 1,), (parent,), *hashes[1:8], 4)
        call = contract("RoundLedger").call("recordRound", self.last.as_tuple())
        self.chain.send(PEER, self.at["RoundLedger"], call)
        return self

    @property
    def height(self) -> int:
        return len(self.chain.evm.blocks) - 1


class Archive:
    """What one peer wrote down of the stories that it was shown."""

    def __init__(self, folder: Path, name: str, deployment: Deployment) -> None:
        self.path, self.name = folder / f"{name}.jsonl", name
        self.writer = ChainWriter(deployment, self.path)

    def sees(self, story: Story, last: int | None = None) -> Archive:
        rpc = lh.InProcess(Methods(story.chain.evm, None))
        top = story.height if last is None else last
        while self.writer.next <= top:
            for block in follow.blocks(rpc, self.writer.next, top, receipts=True):  # type: ignore[arg-type]
                self.writer.block(block)
        return self

    def rewinds(self, above: int) -> Archive:
        self.writer.rewind(above)
        return self

    def witness(self, **how: bool) -> Witness:
        self.writer.seal()
        return Witness(self.name, self.path.read_bytes(), **how)


@pytest.fixture
def archive(tmp_path: Path) -> Callable[[str, Story], Archive]:
    return lambda name, story: Archive(tmp_path, name, story.deployment)


def judged(*witnesses: Witness) -> Notebook:
    book = Notebook()
    compare(witnesses, book)
    return book


def told(book: Notebook) -> list[tuple[str, int | None]]:
    return [(f.code, f.round) for f in book.in_order()]


def test_peers_who_saw_one_chain_contradict_nothing(archive: Callable[[str, Story], Archive]) -> None:
    story = Story().record(1).record(2)
    book = judged(*(archive(name, story).sees(story).witness() for name in ("ada", "bob", "eve")))
    assert told(book) == []
    assert book.counts["archives compared"] == 3


def test_a_peer_that_left_earlier_saw_less_and_no_other(archive: Callable[[str, Story], Archive]) -> None:
    story = Story().record(1).record(2)
    last = story.height
    book = judged(archive("ada", story).sees(story).witness(), archive("bob", story).sees(story, last - 1).witness())
    assert told(book) == []
    assert any(f"bob saw blocks up to {last - 1} only, ada up to {last}" in note for note in book.notes)


def test_a_record_that_was_replaced_is_named_with_who_saw_it(archive: Callable[[str, Story], Archive]) -> None:
    one, other = Story().record(1), Story().record(1)
    common = one.height
    one.record(2).record(3)
    other.record(2, b"another").record(3)
    ada, bob, eve = (archive(n, s).sees(s).witness() for n, s in (("ada", one), ("bob", one), ("eve", other)))
    book = judged(ada, bob, eve)
    assert told(book) == [("archive-fork", None), ("archive-record", 2), ("archive-record", 3)]
    fork, second, _ = book.in_order()
    parts = f"up to block {common} all saw the same chain; in block {common + 1} it parts (ada and bob saw 0x"
    assert parts in fork.sentence
    assert "eve: 0x" in second.sentence


def test_a_chain_that_was_started_anew_with_the_same_contracts(archive: Callable[[str, Story], Archive]) -> None:
    before, after = Story().record(1).record(2), Story(lh.START + 1000).record(1)
    assert before.deployment.addresses() == after.deployment.addresses()
    book = judged(archive("ada", before).sees(before).witness(), archive("bob", after).sees(after).witness())
    assert told(book) == [("archive-reset", None), ("archive-lost", 2)]
    assert "it was started anew" in book.in_order()[0].sentence


def test_contracts_that_were_deployed_again_elsewhere(archive: Callable[[str, Story], Archive]) -> None:
    before, after = Story(), Story(nonce=1)
    book = judged(archive("ada", before).sees(before).witness(), archive("bob", after).sees(after).witness())
    assert told(book) == [("archive-deployment", None)]
    assert "ada: round ledger 0x" in book.in_order()[0].sentence


def test_a_chain_that_lost_its_last_blocks_lacks_what_a_peer_saw(archive: Callable[[str, Story], Archive]) -> None:
    story = Story().record(1).record(2).record(3)
    now = archive("the chain that is audited", story).sees(story, story.height - 2)
    book = judged(now.witness(audited=True, live=True), archive("ada", story).sees(story).witness())
    assert told(book) == [("archive-lost", 2)]
    assert "its last 2 blocks are gone, and with them the records of rounds 2, 3" in book.in_order()[0].sentence


def test_blocks_that_a_peer_saw_taken_back_and_never_again(archive: Callable[[str, Story], Archive]) -> None:
    story = Story().record(1).record(2)
    book = judged(archive("ada", story).sees(story).rewinds(story.height - 1).witness())
    assert told(book) == [("archive-lost", 2)]
    assert "taken back and never came again" in book.in_order()[0].sentence


def test_a_reorg_that_brought_everything_again_is_no_loss(archive: Callable[[str, Story], Archive]) -> None:
    story = Story().record(1).record(2)
    ada = archive("ada", story).sees(story).rewinds(story.height - 1).sees(story)
    assert told(judged(ada.witness())) == []


def test_an_archive_that_was_edited_is_no_witness(archive: Callable[[str, Story], Archive]) -> None:
    story = Story().record(1)
    whole = archive("ada", story).sees(story).witness()
    edited = Witness("bob", whole.raw.replace(b'"gas_used":', b'"gas_used": ', 1))
    assert {code for code, _ in told(judged(whole, edited))} == {"chain-archive"}
    torn = Witness("bob", whole.raw[: whole.raw[:-1].rfind(b"\n") + 1])
    book = judged(whole, torn)
    assert told(book) == []
    assert any("bob has no sealed end" in note for note in book.notes)
