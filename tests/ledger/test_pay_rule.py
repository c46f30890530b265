"""The rule of pay in Python and in Solidity: the same states, whatever the scores."""

from __future__ import annotations

import random

import pytest

from peerage_crypto.digest import address_root, sha256
from peerage_crypto.identity import Account
from peerage_ledger import rawtx
from peerage_ledger.audit.contracts import created_address
from peerage_ledger.contracts import contract
from peerage_ledger.devnets.evm import EmbeddedChain
from peerage_ledger.rewards import Earner, PayState, RoundScores, Rule, step
from peerage_ledger.transcript import CLOSED_LEAF, read_scores, score_leaf

STEPS = 600  # a few seconds; 6000 ran in a minute and a half, without a difference
FEDERATION = sha256(b"federation")
OPERATOR = Account.from_secret(sha256(b"operator"))
NOBODY = bytes(20)


class Arbiter:
    """A PayArbiter with these terms on the embedded EVM, asked for single steps."""

    def __init__(self, rule: Rule) -> None:
        self.evm = EmbeddedChain(31337, 1_700_000_000, {OPERATOR.address: 10**20})
        self.at = created_address(OPERATOR.address, 0)
        terms = (rule.pool, rule.planned, rule.cap, rule.window)
        data = contract("PayArbiter").creation(NOBODY, NOBODY, NOBODY, NOBODY, terms)
        fee = int(self.evm.head.header.base_fee_per_gas) * 2
        fields = {"chain_id": 31337, "nonce": 0, "to": None, "data": data, "gas": 8_000_000}
        raw = rawtx.sign(OPERATOR, **fields, max_fee=fee, priority_fee=0)
        assert self.evm.mine(raw, self.evm.next_time(0)).status == 1

    def ask(self, function: str, *arguments: object) -> tuple[object, ...]:
        data = contract("PayArbiter").call(function, *arguments)
        return contract("PayArbiter").result(function, self.evm.call(OPERATOR.address, self.at, data))

    def step(self, state: PayState, record: bytes, members: int, table: list[tuple[bytes, bytes]]) -> PayState:
        accounts, leaves = [a for a, _ in table], [leaf for _, leaf in table]
        (after,) = self.ask("stateAfter", as_tuple(state), record, members, accounts, leaves)
        rounds, last, earners = after
        return PayState(rounds, last, tuple(Earner(bytes.fromhex(a[2:]), total, tuple(v)) for a, total, v in earners))


def as_tuple(state: PayState) -> tuple[object, ...]:
    earners = [("0x" + e.account.hex(), e.cumulative, list(e.values)) for e in state.earners]
    return (state.rounds, state.record, earners)


PEOPLE = sorted(sha256(bytes([i]))[:20] for i in range(7))
RULES = (Rule(10**21, 40, 2, 3), Rule(97, 3, 1, 1), Rule(2**128 - 1, 2**40, 5, 12), Rule(0, 1, 2, 2))


def drawn(draw: random.Random) -> tuple[list[tuple[bytes, bytes]], int]:
    """A score table, at times one that no honest peer makes, and how many members its record names."""
    people = sorted(draw.sample(PEOPLE, draw.randint(0, len(PEOPLE))))
    exponent = draw.choice([0, 5, 48, 64, -64, draw.randint(-64, 64)])
    size = draw.choice([3, 20, 2**31, 2**63])
    numbers = [None if draw.random() < 0.2 else draw.randint(-size, size - 1) for _ in people]
    table = [(p, score_leaf(n, exponent)) for p, n in zip(people, numbers, strict=True)]
    members = len(table)
    if table and draw.random() < 0.15:
        at, (who, leaf) = 0, table[0]
        bad = [
            leaf[:24] + (65).to_bytes(8, "big"),
            b"\x01" + leaf[1:],
            score_leaf(1, -65),
            bytes(23) + b"\1" + CLOSED_LEAF[24:],
        ]
        table[at] = (who, draw.choice([*bad, score_leaf(7, 3), score_leaf(2**63, exponent)]))
        members += draw.choice([0, 0, 0, 1, -1])
    return table, members


def test_every_step_is_the_contracts() -> None:
    """Random lives of four rules: tables legal and not, members that come and go, pots of nothing and of everything."""
    draw = random.Random("pay rule")
    seen: set[str] = set()
    for rule in RULES:
        arbiter, state = Arbiter(rule), PayState(0, FEDERATION)
        for count in range(STEPS // len(RULES)):
            if draw.random() < 0.05:
                state = PayState(draw.choice([0, rule.planned - 1]), FEDERATION)
            table, members = drawn(draw)
            record = sha256(count.to_bytes(4, "big"))
            numbers, exponent = read_scores(dict(table), members)
            mine = step(state, RoundScores(state.rounds + 1, numbers, exponent, record), rule)
            theirs = arbiter.step(state, record, members, table)
            assert theirs == mine, (rule, state, table, members)
            seen |= {"paid" if mine.totals() != state.totals() else "unpaid", "read" if numbers else "refused"}
            seen |= {"negative" for e in mine.earners if e.values[-1] < 0}
            state = mine
        assert arbiter.ask("digestOf", as_tuple(state)) == (state.digest(),)
    assert seen == {"paid", "unpaid", "read", "refused", "negative"}


@pytest.mark.parametrize(
    "table", [[(PEOPLE[1], score_leaf(5, 0)), (PEOPLE[0], score_leaf(5, 0))], [(PEOPLE[0], score_leaf(5, 0))] * 2]
)
def test_a_table_out_of_order_pays_nobody(table: list[tuple[bytes, bytes]]) -> None:
    """Python reads a mapping, in which this cannot be said."""
    state = PayState(0, FEDERATION)
    after = Arbiter(RULES[0]).step(state, bytes(32), 2, table)
    assert after == PayState(1, bytes(32))


def test_the_score_root_of_the_table_is_the_records() -> None:
    """What `PayRule` opens is what `record_of` has made a root of: the tests of the contract build on this one."""
    table = {p: score_leaf(i, 3) for i, p in enumerate(PEOPLE)}
    assert address_root(table) == address_root(dict(reversed(table.items())))
