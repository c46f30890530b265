"""The green bonus as a rule: integers, caps, conservation, and what a liar can win by it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerage_ledger.bonus import MOST, WHOLE, BonusRule, Footprint, bonuses, payment_tag

CREDIT = 10**18
PEERS = st.dictionaries(
    st.binary(min_size=20, max_size=20),
    st.builds(Footprint, st.integers(0, 10**24), st.integers(0, 10**15)),
    max_size=12,
)
RULES = st.builds(BonusRule, st.integers(0, 10**24), st.integers(0, MOST))


def peer(number: int) -> bytes:
    return bytes([number] * 20)


def three(*grams: int, earned: int = 100 * CREDIT) -> dict[bytes, Footprint]:
    return {peer(n): Footprint(earned, ug) for n, ug in enumerate(grams, 1)}


def test_a_worked_example() -> None:
    """Pay alike, 50, 100 and 200 mg: the median is 100, so the first saves a half and gets a half of a tenth."""
    found = bonuses(three(50_000, 100_000, 200_000), BonusRule(1000 * CREDIT, 1000))
    assert found == {peer(1): 5 * CREDIT, peer(2): 0, peer(3): 0}
    assert bonuses(three(50_000, 100_000, 200_000), BonusRule(3 * CREDIT, 1000))[peer(1)] == 3 * CREDIT


@given(peers=PEERS, rule=RULES)
def test_never_more_than_the_pool_nor_than_the_cap_of_what_was_earned(
    peers: dict[bytes, Footprint], rule: BonusRule
) -> None:
    found = bonuses(peers, rule)
    assert sum(found.values()) <= rule.pool
    assert all(0 <= due <= peers[who].earned * rule.cap // WHOLE for who, due in found.items())
    assert all(isinstance(due, int) for due in found.values())
    assert found.keys() == {who for who, one in peers.items() if one.earned}


@given(peers=PEERS, rule=RULES, seed=st.integers(0, 2**32))
def test_the_order_of_peers_is_no_matter(peers: dict[bytes, Footprint], rule: BonusRule, seed: int) -> None:
    names = list(peers)
    random.Random(seed).shuffle(names)
    assert bonuses({name: peers[name] for name in names}, rule) == bonuses(peers, rule)


@given(peers=PEERS, rule=RULES)
def test_a_liar_that_reports_nothing_gets_the_cap_at_most(peers: dict[bytes, Footprint], rule: BonusRule) -> None:
    for who, honest in peers.items():
        lied = bonuses({**peers, who: Footprint(honest.earned, 0)}, rule)
        assert lied.get(who, 0) <= honest.earned * rule.cap // WHOLE


def test_nobody_gets_anything_for_nothing() -> None:
    rule = BonusRule(1000 * CREDIT, 1000)
    assert bonuses({}, rule) == {}
    idle = {peer(9): Footprint(0, 0)} | three(50_000, 100_000, 200_000)
    assert peer(9) not in bonuses(idle, rule)
    assert bonuses(idle, rule) == bonuses(three(50_000, 100_000, 200_000), rule), "and counts for no median"
    assert set(bonuses(three(50, 100, 200), BonusRule(0, 1000)).values()) == {0}
    assert set(bonuses(three(50, 100, 200), BonusRule(CREDIT, 0)).values()) == {0}
    assert set(bonuses(three(7), rule).values()) == {0}, "alone there is nobody to be compared with"
    assert set(bonuses(three(0, 0, 5), rule).values()) == {0}, "half of them report nothing: no comparison is left"


@pytest.mark.parametrize("lie", [0, 10**18])
def test_one_liar_in_five_does_not_move_the_others_beyond_their_neighbours(lie: int) -> None:
    honest = three(60_000, 80_000, 100_000, 120_000, 140_000)
    rule = BonusRule(10**30, 1000)
    lied = bonuses({**honest, peer(3): Footprint(100 * CREDIT, lie)}, rule)
    lowest = bonuses(three(60_000, 80_000, 80_000, 120_000, 140_000), rule)[peer(1)]
    highest = bonuses(three(60_000, 80_000, 120_000, 120_000, 140_000), rule)[peer(1)]
    assert lowest <= lied[peer(1)] <= highest


def test_what_counts_is_emission_for_pay_and_not_emission_alone() -> None:
    """Twice the pay for twice the grams is no saving; the same grams for twice the pay is one."""
    peers = {peer(1): Footprint(2 * CREDIT, 200), peer(2): Footprint(CREDIT, 100), peer(3): Footprint(2 * CREDIT, 100)}
    found = bonuses(peers, BonusRule(CREDIT, 1000))
    assert found == {peer(1): 0, peer(2): 0, peer(3): 2 * CREDIT // 20}


def test_a_tag_names_every_term() -> None:
    rule, amounts = BonusRule(5, 6), {peer(1): 7}
    tags = {
        payment_tag(bytes(32), bytes(32), rule, amounts),
        payment_tag(b"\x01" * 32, bytes(32), rule, amounts),
        payment_tag(bytes(32), b"\x01" * 32, rule, amounts),
        payment_tag(bytes(32), bytes(32), BonusRule(6, 5), amounts),
        payment_tag(bytes(32), bytes(32), rule, {peer(1): 8}),
        payment_tag(bytes(32), bytes(32), rule, {peer(2): 7}),
    }
    assert len(tags) == 6
