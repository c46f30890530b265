import json
from fractions import Fraction
from pathlib import Path

import pytest
from eth_abi.abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage_crypto.digest import keccak256, sha256
from peerage_ledger.rewards import (
    EXPONENT_RANGE,
    Earner,
    PayState,
    RoundScores,
    Rule,
    capped,
    comparable,
    pay_rounds,
    split,
    states,
    step,
    totals,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "rewards.json").read_text())
POOL = 10**21
settled = settings(derandomize=True, deadline=None, max_examples=60)
peers = st.sampled_from([sha256(bytes([i]))[:20] for i in range(9)])
weights = st.dictionaries(peers, st.integers(-(10**30), 10**30), max_size=9)
numbers = st.dictionaries(peers, st.none() | st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=9)
histories = st.lists(numbers, min_size=1, max_size=16)
A, B, C = (bytes([i]) * 20 for i in (1, 2, 3))


def rounds_of(history, exponent=0):
    return [RoundScores(i + 1, n, exponent, name(i)) for i, n in enumerate(history)]


def name(i):
    return sha256(b"record", bytes([i]))


def paid(history, *, pool=POOL, planned=0, cap=2, window=12):
    return pay_rounds(rounds_of(history), pool=pool, planned=planned or len(history), cap=cap, window=window)


# -- the split ---------------------------------------------------------------------------------------------------------


@settled
@given(st.integers(0, 10**30), weights)
def test_a_pot_is_split_to_the_last_unit_or_not_at_all(pot, given_weights):
    shares = split(pot, given_weights)
    positive = any(w > 0 for w in given_weights.values())

    assert sum(shares.values()) == (pot if positive else 0)
    assert all(share == 0 for peer, share in shares.items() if given_weights[peer] <= 0)


@settled
@given(st.integers(0, 10**30), weights)
def test_nobody_is_a_whole_unit_away_from_the_exact_share(pot, given_weights):
    total = sum(max(0, w) for w in given_weights.values())

    for peer, share in split(pot, given_weights).items():
        exact = Fraction(pot * max(0, given_weights[peer]), total) if total else 0
        assert abs(share - exact) < 1


@settled
@given(st.integers(0, 10**30), weights, st.randoms())
def test_the_split_does_not_depend_on_the_order_in_which_peers_are_listed(pot, given_weights, random):
    items = list(given_weights.items())
    random.shuffle(items)

    assert split(pot, dict(items)) == split(pot, given_weights)


@settled
@given(st.integers(0, 10**30), st.integers(0, 40))
def test_the_pots_of_an_epoch_are_its_pool_and_equal_up_to_a_unit(pool, planned):
    rule = Rule(pool, planned, 2, 12)
    parts = [rule.pot(done) for done in range(planned)]

    assert sum(parts) == (pool if planned else 0)
    assert not parts or max(parts) - min(parts) <= 1


def test_rounds_beyond_those_that_were_planned_pay_nothing():
    outcome = paid([{A: 1}, {A: 1}, {A: 1}], planned=2)

    assert [sum(p.shares.values()) for p in outcome] == [POOL // 2, POOL // 2, 0]


# -- the rule ----------------------------------------------------------------------------------------------------------


def test_a_peer_that_sends_nothing_earns_nothing():
    assert totals(paid([{A: 0, B: 5}, {A: 0, B: 7}])) == {B: POOL}


def test_a_number_that_stayed_closed_counts_as_nothing():
    assert paid([{A: None, B: 5}]) == paid([{A: 0, B: 5}])


def test_a_value_is_cut_at_the_cap_times_the_median_of_the_positive_ones():
    assert capped({A: 100, B: 10, C: -7}, 2) == {A: 20, B: 10, C: -7}
    assert capped({A: -1, B: 0}, 2) == {A: -1, B: 0}


def test_three_times_the_update_earns_twice_the_median_at_most():
    shares = totals(paid([{A: 10, B: 10, C: 30}]))

    assert shares[C] == pytest.approx(2 * shares[A], rel=1e-15)


def test_a_debt_is_carried_until_it_is_worked_off():
    first, second, third = (p.shares for p in paid([{A: -10, B: 5}, {A: 6, B: 5}, {A: 6, B: 5}]))

    assert first[A] == 0  # nothing good yet
    assert 0 < second[A] < second[B] // 8  # the mean of -10 and 6 is below zero; the 6 alone counts an eighth
    assert second[A] < third[A] < third[B]


def test_the_good_rounds_count_an_eighth_whatever_the_bad_ones_were():
    histories = [(-900, 80, 80), (-900, 7), (-900,), (-5, 100), (0, 0), (1,) * 9]
    weights = [Earner(A, 0, values).weight for values in histories]
    assert weights == [160 // 8 // 3, 0, 0, 95 // 2, 0, 1]
    once = totals(paid([{A: -900, B: 100}, {A: 90, B: 100}, {A: 90, B: 100}]))
    assert 0 < once[A] < once[B] // 8


def test_only_rounds_attended_enter_a_mean_and_only_the_last_ones():
    absent = paid([{A: 4, B: 4}, {B: 4}, {B: 4}, {A: 4, B: 4}])
    assert absent[3].shares[A] == absent[3].shares[B]
    assert A not in absent[1].shares

    forgotten = paid([{A: -1000, B: 4}, {A: 4, B: 4}, {A: 4, B: 4}], window=2)
    assert forgotten[2].shares[A] == forgotten[2].shares[B]


def test_a_round_that_gained_nothing_keeps_its_pot():
    outcome = paid([{A: -1, B: 0}, {A: 2, B: 1}])

    assert sum(outcome[0].shares.values()) == 0
    assert sum(totals(outcome).values()) == outcome[1].pot


def test_rounds_that_were_planned_and_not_held_are_not_paid():
    assert sum(totals(paid([{A: 1}], planned=4)).values()) == POOL // 4


def test_numbers_of_different_scales_are_compared_in_one_unit():
    assert comparable(3, 5) == 2 * comparable(3, 6)
    assert comparable(-1, EXPONENT_RANGE) == -1
    for outside in (EXPONENT_RANGE + 1, -EXPONENT_RANGE - 1):
        with pytest.raises(ValueError):
            comparable(1, outside)


# -- properties of whole histories -------------------------------------------------------------------------------------


@settled
@given(histories)
def test_no_history_pays_more_than_the_pool_or_less_than_nothing(history):
    outcome = paid(history)

    assert sum(totals(outcome).values()) <= POOL
    assert all(share >= 0 for pay in outcome for share in pay.shares.values())
    assert all(sum(p.shares.values()) in (0, p.pot) for p in outcome)


@settled
@given(histories, st.randoms())
def test_pay_does_not_depend_on_the_order_in_which_members_are_listed(history, random):
    shuffled = []
    for round_ in history:
        items = list(round_.items())
        random.shuffle(items)
        shuffled.append(dict(items))

    assert totals(paid(shuffled)) == totals(paid(history))


@settled
@given(histories, peers)
def test_who_never_brings_anything_never_earns(history, idle):
    assert idle not in totals(paid([{**round_, idle: 0} for round_ in history]))


@settled
@given(histories)
def test_what_was_paid_does_not_change_when_a_round_is_added(history):
    before = paid(history, planned=20)

    assert paid([*history, {A: 3}], planned=20)[: len(before)] == before


@settled
@given(histories, st.integers(-20, 20))
def test_pay_does_not_depend_on_the_common_scale(history, exponent):
    scaled = pay_rounds(rounds_of(history, exponent), pool=POOL, planned=len(history), cap=2, window=12)
    plain = paid(history)

    for one, other in zip(scaled, plain, strict=True):  # the floor of a mean may move a share by its own rounding
        assert all(abs(one.shares[p] - other.shares[p]) <= 1 + POOL // 2**30 for p in one.shares)


# -- the chain of states -----------------------------------------------------------------------------------------------

START = PayState(0, sha256(b"federation"))
RULE = Rule(POOL, 8, 2, 3)


def by_solidity(state):
    """keccak256(abi.encode(state)) by somebody else's encoder."""
    earners = [("0x" + e.account.hex(), e.cumulative, list(e.values)) for e in state.earners]
    kind = "(uint64,bytes32,(address,uint256,int256[])[])"
    return keccak256(encode([kind], [(state.rounds, state.record, earners)]))


@settled
@given(histories)
def test_a_state_has_the_hash_that_solidity_gives_it(history):
    for state in [START, *states(START, rounds_of(history), RULE)]:
        assert state.digest() == by_solidity(state)


@settled
@given(histories)
def test_the_states_lead_to_what_is_paid(history):
    after = states(START, rounds_of(history), RULE)
    outcome = pay_rounds(rounds_of(history), pool=POOL, planned=8, cap=2, window=3)

    for count, state in enumerate(after, 1):
        assert state.totals() == totals(outcome[:count])
        assert (state.rounds, state.record) == (count, name(count - 1))
        accounts = [e.account for e in state.earners]
        assert accounts == sorted(set(accounts))
        assert all(1 <= len(e.values) <= RULE.window for e in state.earners)


@settled
@given(histories, st.integers(0, 15))
def test_a_voided_round_pays_nothing_and_is_not_remembered(history, at):
    rounds = rounds_of(history)
    at %= len(rounds)
    after = states(START, rounds, RULE, {rounds[at].record})
    before = after[at - 1] if at else START

    assert after[at] == PayState(at + 1, rounds[at].record, before.earners)
    unscored = [*rounds[:at], RoundScores(at + 1, {}, 0, rounds[at].record), *rounds[at + 1 :]]
    assert after == states(START, unscored, RULE)


def test_one_step_is_the_rule():
    first = step(START, RoundScores(1, {A: 3, B: None, C: 9}, EXPONENT_RANGE, name(0)), RULE)
    pot = RULE.pot(0)

    assert first.earners == (
        Earner(A, pot * 3 // 9, (3,)),
        Earner(B, 0, (0,)),
        Earner(C, pot - pot * 3 // 9, (6,)),
    )
    second = step(first, RoundScores(2, {B: -5}, EXPONENT_RANGE, name(1)), RULE)
    assert second.earners == (first.earners[0], Earner(B, 0, (0, -5)), first.earners[2])
    assert second.earners[1].weight == 0, "nothing good, so nothing, however bad"


@pytest.mark.parametrize("case", VECTORS["epochs"], ids=lambda c: c["why"])
def test_pay_follows_the_numbers_written_by_hand(case):
    history = [
        RoundScores(r["round"], {bytes.fromhex(p): n for p, n in r["numbers"].items()}, r["exponent"], name(r["round"]))
        for r in case["rounds"]
    ]
    outcome = pay_rounds(history, pool=case["pool"], planned=case["planned"], cap=case["cap"], window=case["window"])

    assert [{p.hex(): s for p, s in pay.shares.items()} for pay in outcome] == case["shares"]
    assert {p.hex(): s for p, s in totals(outcome).items()} == case["totals"]
    after = states(START, history, Rule(case["pool"], case["planned"], case["cap"], case["window"]))
    assert [state.digest().hex() for state in after] == case["states"]
    assert [by_solidity(state).hex() for state in after] == case["states"]
