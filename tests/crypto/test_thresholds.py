import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerage_crypto.errors import InputError
from peerage_crypto.thresholds import (
    COMPLETE_GRAPH_LIMIT,
    colluders,
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
registered_and_roster = st.integers(3, COMPLETE_GRAPH_LIMIT).flatmap(
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


def test_a_hundred_peers_have_a_column_and_no_session_yet():
    assert 100 - quorum(100, 25) == 36
    with pytest.raises(InputError, match="above 32"):
        thresholds(100, 100)


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
    assert limits.quorum - 1 >= limits.shares  # T voters, one of them perhaps the owner himself
    assert limits.smallest_honest_sum >= 2


@given(registered_and_roster, st.data())
def test_two_quorums_of_pledges_share_an_honest_survivor(sizes, data):
    limits = thresholds(*sizes)
    survivors = data.draw(st.integers(limits.roster - limits.losses, limits.roster))
    needed = opening_quorum(survivors, limits.colluders)

    assert 2 * needed - survivors > limits.colluders
    assert limits.colluders < needed <= survivors
