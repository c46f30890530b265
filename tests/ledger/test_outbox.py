"""The outbox against a chain that dies, forgets, reorders and reverts: every wish once, whatever the schedule."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage_crypto.errors import InputError
from peerage_crypto.identity import Account
from peerage_ledger import rawtx
from peerage_ledger.outbox import (
    Outbox,
    OutboxFile,
    Receipt,
    Refused,
    Reopened,
    Settled,
    Signed,
    State,
    Voided,
    Wanted,
)

ME = Account.from_secret(b"\x07" * 32)


def raw(nonce, key="a"):
    return rawtx.sign(ME, chain_id=1, nonce=nonce, to=b"\1" * 20, data=key.encode(), gas=1, max_fee=1, priority_fee=1)


def signed(key, nonce):
    return Signed(key, nonce, raw(nonce, key).hex())


def outbox(*lines):
    made = Outbox()
    for line in lines:
        made.apply(line)
    return made


def wanted(key):
    return Wanted(key, "round", {})


def test_asking_twice_is_asking_once():
    box = outbox(wanted("a"), wanted("a"))
    assert box.pending() == 1
    box.apply(signed("a", 0))
    box.apply(wanted("a"))
    assert [w.state for w in box.wishes.values()] == [State.SENT]


def test_a_receipt_settles_a_revert_voids_and_silence_waits():
    box = outbox(wanted("a"), signed("a", 0), wanted("b"), signed("b", 1), wanted("c"), signed("c", 2))
    a, b, c = (w.hash for w in box.in_flight())
    lines = box.judge(2, {a: Receipt(1, 21, 5), b: Receipt(0, 9, 6), c: None})
    assert lines == [Settled("a", a.hex(), 21, 5), Voided("b", "reverted")]


def test_a_nonce_that_another_transaction_used_is_given_up_only_when_the_chain_says_so():
    box = outbox(wanted("a"), signed("a", 3))
    (name,) = (w.hash for w in box.in_flight())
    assert box.judge(3, {name: None}) == []
    assert box.judge(4, {}) == []
    assert box.judge(4, {name: None}) == [Voided("a", "another transaction used its nonce")]


def test_nonces_are_never_used_twice_even_if_the_chain_forgets():
    box = outbox(wanted("a"), signed("a", 4), Settled("a", "00", 1, 1))
    assert box.next_nonce(2) == 5
    assert box.next_nonce(9) == 9
    assert [attempt.nonce for attempt in box.unseen(3)] == [4]
    assert box.unseen(5) == []


def test_what_the_chain_forgot_is_open_again_and_what_others_did_is_not():
    box = outbox(wanted("a"), signed("a", 4), Settled("a", "00", 1, 1), wanted("b"), Settled("b", "", 0, 0))
    assert box.forgotten(5) == []
    assert box.forgotten(4) == [Reopened("a")]
    assert box.doubted() == [Reopened("a")]
    box.apply(Reopened("a"))
    assert box.pending() == 1


def test_a_refused_wish_is_not_pending():
    assert outbox(wanted("a"), Refused("a", "WrongRound")).pending() == 0


def test_the_file_brings_back_what_was_written(tmp_path):
    file = OutboxFile(tmp_path / "o.jsonl", 1, ME.address)
    file.want(wanted("a"))
    file.want(wanted("a"))
    file.append(signed("a", 0))
    file.close()
    with (tmp_path / "o.jsonl").open("ab") as torn:
        torn.write(b'{"type":"settled","key":"a"')
    again = OutboxFile(tmp_path / "o.jsonl", 1, ME.address)
    assert [attempt.raw for attempt in again.outbox.unseen(0)] == [raw(0, "a")]
    assert len((tmp_path / "o.jsonl").read_bytes().splitlines()) == 3
    again.close()


def test_a_damaged_file_and_another_accounts_file_are_said(tmp_path):
    path = tmp_path / "o.jsonl"
    OutboxFile(path, 1, ME.address).close()
    with pytest.raises(InputError, match="belongs to account"):
        OutboxFile(path, 1, b"\1" * 20)
    with pytest.raises(InputError, match="belongs to account"):
        OutboxFile(path, 2, ME.address)
    path.write_bytes(path.read_bytes() + b'{"type":"settled","key":"x","hash":"","gas":0,"block":0}\n')
    with pytest.raises(InputError, match="line 2: x was never wanted"):
        OutboxFile(path, 1, ME.address)


class Chain:
    """A node with a memory that can fail: executes by nonce, keeps effects, forgets its newest blocks when it dies."""

    def __init__(self, dice):
        self.dice, self.blocks, self.up = dice, [], True

    @property
    def effects(self):
        return [key for _, key, status in self.blocks if status]

    def nonce(self):
        return len(self.blocks)

    def receipt(self, name):
        for at, (other, _, status) in enumerate(self.blocks):
            if other == name:
                return Receipt(int(status), 1, at)
        return None

    def send(self, data):
        transaction = rawtx.decode(data)
        if transaction.nonce == self.nonce():
            key = transaction.data.decode()
            done = key not in self.effects and self.dice.random() < 0.8  # else: reverted, for now
            self.blocks.append((transaction.hash, key, done))

    def misbehave(self):
        match self.dice.randrange(6):
            case 0:
                self.up = not self.up
            case 1:
                del self.blocks[max(0, len(self.blocks) - self.dice.randrange(4)) :]


def look(box, chain, append):
    """One step as the sender takes it; every line could be the last before a crash."""
    if not chain.up:
        return
    on_chain = chain.nonce()
    receipts = {w.hash: chain.receipt(w.hash) for w in box.in_flight()}
    for line in [*box.judge(on_chain, receipts), *box.forgotten(on_chain)]:
        append(line)
    if box.in_flight():
        for attempt in box.unseen(on_chain):
            chain.send(attempt.raw)
        return
    for wish in box.waiting():
        if wish.key in chain.effects:
            append(Settled(wish.key, "", 0, 0))
            continue
        line = signed(wish.key, box.next_nonce(on_chain))
        append(line)
        if chain.dice.random() < 0.7:  # else: crashed between the disk and the node
            chain.send(bytes.fromhex(line.raw))
        return


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_every_wish_has_its_effect_exactly_once(seed, wishes):
    dice = random.Random(seed)
    chain, lines, keys = Chain(dice), [], [f"wish-{i}" for i in range(wishes)]
    box = Outbox()

    def append(line):
        lines.append(line)
        box.apply(line)

    for key in keys:
        append(wanted(key))
        for _ in range(dice.randrange(4)):
            look(box, chain, append)
            chain.misbehave()
        if dice.random() < 0.3:
            box = outbox(*lines)  # the peer was killed: only its disk is left
    chain.up = True
    for _ in range(200):
        look(box, chain, append)
    assert box.pending() == 0
    assert sorted(chain.effects) == sorted(keys)
