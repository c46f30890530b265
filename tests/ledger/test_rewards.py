import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage_crypto.digest import sha256
from peerage_ledger.rewards import EXPONENT_RANGE, RoundScores, capped, comparable, pay_rounds, pots, split, totals

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "rewards.json").read_text())
POOL = 10**21
settled = settings(derandomize=True, deadline=None, max_examples=60)
peers = st.sampled_from([sha256(bytes([i]))[:20] for i in range(9)])
weights = st.dictionaries(peers, st.integers(-(10**30), 10**30), max_size=9)
numbers = st.dictionaries(peers, st.none() | st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=9)
histories = st.lists(numbers, min_size=1, max_size=16)
A, B, C = (bytes([i]) * 20 for i in (1, 2, 3))


def rounds_of(history, exponent=0):
    return [RoundScores(i + 1, n, exponent) for i, n in enumerate(history)]


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
@given(st.integers(0, 10**30), st.integers(0, 40), st.integers(0, 40))
def test_the_pots_of_an_epoch_are_its_pool_and_equal_up_to_a_unit(pool, planned, held):
    parts = pots(pool, rounds_of([{}] * held), planned)

    assert len(parts) == held
    assert sum(parts) <= pool
    if held >= planned and held:
        assert sum(parts) == pool
    assert not parts or max(parts) - min(parts) <= 1


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

    assert first[A] == 0
    assert second[A] == 0  # the mean of -10 and 6 is below zero
    assert third[A] > 0


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


@pytest.mark.parametrize("case", VECTORS["epochs"], ids=lambda c: c["why"])
def test_pay_follows_the_numbers_written_by_hand(case):
    history = [
        RoundScores(r["round"], {bytes.fromhex(p): n for p, n in r["numbers"].items()}, r["exponent"])
        for r in case["rounds"]
    ]
    outcome = pay_rounds(history, pool=case["pool"], planned=case["planned"], cap=case["cap"], window=case["window"])

    assert [{p.hex(): s for p, s in pay.shares.items()} for pay in outcome] == case["shares"]
    assert {p.hex(): s for p, s in totals(outcome).items()} == case["totals"]
