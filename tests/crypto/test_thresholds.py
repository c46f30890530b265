from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerage_crypto.errors import InputError
from peerage_crypto.thresholds import (
    COMPLETE_GRAPH_LIMIT,
    LARGEST_ROSTER,
    colluders,
    neighbours,
    opening_quorum,
    quorum,
    smallest_roster,
    thresholds,
)

N = [3, 4, 5, 8, 12, 16, 24, 100]
TABLE = {  # the rules' table, one row after the other
    "c": [0, 1, 1, 2, 3, 4, 6, 25],
    "K_min": [3, 4, 4, 5, 6, 7, 9, 28],
    "T": [3, 3, 4, 6, 9, 11, 16, 64],
    "D": [0, 1, 1, 2, 3, 5, 8, 36],
    "t": [2, 2, 3, 5, 8, 10, 15, 63],
    "smallest honest sum": [3, 2, 3, 4, 6, 7, 10, 39],
}
registered_and_roster = st.integers(3, LARGEST_ROSTER).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(smallest_roster(n), n))
)


@pytest.mark.parametrize(("n", "c", "least", "votes"), zip(N, TABLE["c"], TABLE["K_min"], TABLE["T"], strict=True))
def test_the_counts_that_everybody_computes_follow_the_table(n, c, least, votes):
    assert (colluders(n), smallest_roster(n), quorum(n, colluders(n))) == (c, least, votes)


@pytest.mark.parametrize("column", range(7), ids=[f"n={n}" for n in N[:7]])
def test_a_full_roster_has_the_limits_of_its_column(column):
    limits = thresholds(N[column], N[column])

    assert [limits.losses, limits.shares, limits.smallest_honest_sum] == [
        TABLE[row][column] for row in ("D", "t", "smallest honest sum")
    ]


def test_a_hundred_peers_share_with_sixty_two_neighbours_each():
    limits = thresholds(100, 100)

    assert (limits.quorum, limits.losses, limits.smallest_honest_sum) == (64, 36, 39)
    assert (limits.degree, limits.shares, limits.complete) == (62, 26, False)


def test_a_roster_above_the_largest_is_refused():
    with pytest.raises(InputError, match="above 128"):
        thresholds(129, 129)


@pytest.mark.parametrize(("registered", "roster"), [(2, 2), (8, 4), (8, 9), (100, 27), (16, 6)])
def test_what_the_size_rule_forbids_is_refused_in_a_sentence(registered, roster):
    with pytest.raises(InputError, match="peers"):
        thresholds(registered, roster)


@given(registered_and_roster)
def test_two_quorums_share_an_honest_voter_and_the_colluders_are_none(sizes):
    limits = thresholds(*sizes)

    assert 2 * limits.quorum - limits.roster > limits.colluders
    assert limits.quorum <= limits.roster


@given(registered_and_roster)
def test_colluders_open_nothing_alone_and_a_quorum_opens_everything(sizes):
    limits = thresholds(*sizes)

    assert limits.shares > limits.colluders  # their shares of somebody's secret
    assert limits.degree - (limits.roster - limits.quorum) >= limits.shares  # of k holders at most n - T did not vote
    assert limits.smallest_honest_sum >= 2


@given(registered_and_roster, st.data())
def test_two_quorums_of_pledges_share_an_honest_survivor(sizes, data):
    limits = thresholds(*sizes)
    survivors = data.draw(st.integers(limits.roster - limits.losses, limits.roster))
    needed = opening_quorum(survivors, limits.colluders)

    assert 2 * needed - survivors > limits.colluders
    assert limits.colluders < needed <= survivors


# -- the graph ---------------------------------------------------------------------------------------------------------


def connected(n: int, k: int, removed: set[int]) -> bool:
    left = set(range(n)) - removed
    seen, todo = set(), [min(left)]
    while todo:
        i = todo.pop()
        if i not in seen:
            seen.add(i)
            todo += [j for j in neighbours(i, n, k) if j in left]
    return seen == left


@pytest.mark.parametrize(("n", "k"), [(n, k) for n in range(4, 11) for k in range(2, n - 1, 2)])
def test_no_set_smaller_than_the_degree_cuts_the_graph(n, k):
    for size in range(k):
        assert all(connected(n, k, set(gone)) for gone in combinations(range(n), size))


@pytest.mark.parametrize("n", [33, 48, 64, 100, 128])
def test_the_hardest_cuts_leave_the_honest_survivors_connected(n):
    """Two arcs of k / 2 cut a circulant graph; the rule always leaves the adversary one short of them."""
    limits = thresholds(n, n)
    k, taken = limits.degree, limits.losses + limits.colluders

    assert taken < k
    for gap in range(1, n - taken):
        first = taken // 2
        arcs = {*range(first), *(first + gap + i for i in range(taken - first))}
        assert connected(n, k, {i % n for i in arcs})
    cut = {*range(1, k // 2 + 1), *(n - i for i in range(1, k // 2 + 1))}
    assert not connected(n, k, cut), "the degree is the exact limit: with k gone a member stands alone"


@given(st.integers(COMPLETE_GRAPH_LIMIT + 1, LARGEST_ROSTER), st.randoms(use_true_random=False))
def test_whoever_vanishes_and_whoever_colludes_the_honest_stay_connected(n, draw):
    limits = thresholds(n, n)

    assert connected(n, limits.degree, set(draw.sample(range(n), limits.losses + limits.colluders)))


@given(registered_and_roster)
def test_neighbours_are_mutual_and_as_many_as_the_degree(sizes):
    limits = thresholds(*sizes)
    n, k = limits.roster, limits.degree
    graph = [neighbours(i, n, k) for i in range(n)]

    assert all(len(set(others)) == k and i not in others for i, others in enumerate(graph))
    assert all(i in graph[j] for i, others in enumerate(graph) for j in others)
