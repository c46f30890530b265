"""Sessions above 32 peers: each member deals to, masks with and opens with its neighbours of the Harary graph only."""

import numpy as np
import pytest

from cohort import Cohort
from peerage_crypto import secagg_collector as sc
from peerage_crypto.opening import Opened, open_numbers, products_of
from peerage_crypto.secagg_judge import judge_sum
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.session import Dealt, Frozen, Revealed


def opened(told: Cohort, g: np.ndarray, silent: int = 0, lies: dict[bytes, bytes] | None = None) -> Opened:
    """What the survivors' words open; the first `silent` say nothing; `lies`: whose words about whom are false."""
    vectors = {p: np.frombuffer(blob, "<u4") for p, blob in told.masked().items()}
    stated = {}
    for peer in told.proven.u3[silent:]:
        values = list(told.openings(peer, g).values)
        for at, other in enumerate(told.proven.partners(peer)):
            values[at] += (lies or {}).get(peer) == other
        stated[peer] = tuple(values)
    return open_numbers(told.proven, told.transcript, products_of(vectors, g, told.proven), g, stated)


@pytest.fixture(scope="module")
def forty() -> Cohort:
    """Losses at every step, up to the tolerance."""
    steps = [sc.Step.SHARES, sc.Step.VECTORS, sc.Step.VOTES, sc.Step.REVEALS]
    return Cohort(40, length=5, vanish={3 * i + 1: steps[i % 4] for i in range(13)}).run()


def test_the_sum_of_forty_is_exact_whoever_vanishes(forty):
    assert forty.proven.roster.limits.losses == 14
    assert len(forty.proven.u2) == 36
    assert len(forty.proven.u3) == 33
    assert ring_bytes(forty.summed.total) == ring_bytes(forty.plain_sum(forty.proven.u3))
    assert not judge_sum(forty.proven, forty.transcript, forty.masked(), ring_bytes(forty.summed.total))


def test_shares_and_masks_stay_among_neighbours(forty):
    roster, k = forty.proven.roster, forty.proven.roster.limits.degree

    assert k == 26
    assert {len(m.packets) for m in forty.said(Dealt)} == {k}
    for sender, receiver, message in forty.log:
        if isinstance(message, Revealed):
            assert {s.owner for s in message.shares} == set(roster.holders(sender)) & set(forty.proven.u2)
        if isinstance(message, Frozen):
            assert len(message.deliveries) == len(set(roster.holders(receiver)) & set(forty.proven.u2))
    for peer in forty.proven.u2:
        assert set(forty.members[peer].pair_keys) == set(roster.partners(peer)) & set(forty.proven.u2)


def test_each_number_of_forty_opens_also_where_a_neighbour_says_nothing(forty):
    g = np.array([3, 2**32 - 1, 0, 7, 1], np.uint32)
    told = opened(forty, g, silent=1)

    assert told.numbers == {p: forty.plain_number(p, g) for p in forty.proven.u3}
    assert not told.liars
    assert not told.disputed


def test_a_contradiction_between_neighbours_closes_both_numbers_only(forty):
    g, u3 = np.array([1, 0, 0, 2, 5], np.uint32), forty.proven.u3
    liar, victim = u3[5], forty.proven.partners(u3[5])[0]
    told = opened(forty, g, lies={liar: victim})

    assert {p for p, n in told.numbers.items() if n is None} == {liar, victim}


def test_beyond_the_tolerance_forty_give_up():
    told = Cohort(40, length=2, vanish=dict.fromkeys(range(1, 16), sc.Step.VECTORS)).run()
    assert told.summed is None
    assert "arrived" in told.abandoned


def test_a_hundred_peers_with_thirty_six_gone_have_their_exact_sum():
    told = Cohort(100, length=2, vanish=dict.fromkeys(range(1, 37), sc.Step.VECTORS)).run()

    assert len(told.proven.u3) == 64
    assert ring_bytes(told.summed.total) == ring_bytes(told.plain_sum(told.proven.u3))
    assert not {r.culprit for r in told.refusals.values()} - {None}, "who was left out blames nobody"
