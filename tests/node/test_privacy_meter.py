"""The meter: differences, solvability against exact fractions, epsilon of rounds as they were."""

import random
from fractions import Fraction

import pytest

from peerage.privacy.accounting import spent
from peerage.privacy.meter import Ground, RoundSeen, meters, perhaps_revealed
from peerage.privacy.noise import Noise
from peerage.privacy.participation import Differences, Span, too_close

NOISE = Noise(variance=250_000, sensitivity=1000, bound=8000, honest=2, least_roster=4, colluders=1)


def of(letters: str) -> frozenset[str]:
    return frozenset(letters)


def played(*sums: str, opened: str = "") -> list[RoundSeen]:
    return [RoundSeen(n, f"sid {n}", of(s), (of(s),), of(opened)) for n, s in enumerate(sums, 1)]


def solvable(sums: list[frozenset[int]], peers: int) -> set[int]:
    """By Gaussian elimination over the fractions: whose unit vector leaves the rank as it is."""

    def rank(rows: list[list[Fraction]]) -> int:
        rows, found = [list(row) for row in rows], 0
        for column in range(peers):
            pivot = next((r for r in range(found, len(rows)) if rows[r][column]), None)
            if pivot is None:
                continue
            rows[found], rows[pivot] = rows[pivot], rows[found]
            for r in range(found + 1, len(rows)):
                times = rows[r][column] / rows[found][column]
                rows[r] = [a - times * b for a, b in zip(rows[r], rows[found], strict=True)]
            found += 1
        return found

    rows = [[Fraction(int(p in s)) for p in range(peers)] for s in sums]
    before = rank(rows)
    return {p for p in range(peers) if rank([*rows, [Fraction(int(p == q)) for q in range(peers)]]) == before}


@pytest.mark.parametrize("seed", range(40))
def test_solvability_is_that_of_exact_elimination(seed):
    draw = random.Random(seed)
    peers = draw.randint(3, 7)
    sums = [frozenset(draw.sample(range(peers), draw.randint(1, peers))) for _ in range(draw.randint(1, peers + 1))]
    span: Span[int] = Span()
    for one in sums:
        span.add(one)
    assert span.solved() == solvable(sums, peers)


def test_a_sum_and_the_same_without_one_peer_give_that_peer_away():
    found = meters(played("abcde", "abcd"), "abcde", Ground(1))
    assert found["e"].solved_in_round == 2
    assert found["e"].hidden_among == 1
    assert found["a"].solved_in_round is None
    assert found["a"].hidden_among == 4


def test_equal_sums_never_give_more():
    found = meters(played(*["abcde"] * 9), "abcde", Ground(1))["a"]
    assert found.rank == 1
    assert found.solved_in_round is None
    assert found.rounds_until_solved is None
    assert found.hidden_among == 5


def test_all_rosters_without_one_solve_for_everybody():
    """Five sums of four of five peers: (sum of all sums) / 4 less a sum is a peer."""
    sums = ["bcde", "acde", "abde", "abce", "abcd"]
    assert all(m.solved_in_round is None for m in meters(played(*sums[:4]), "abcde", Ground(1)).values())
    assert all(m.solved_in_round == 5 for m in meters(played(*sums), "abcde", Ground(1)).values())


def test_how_many_more_rounds_follows_the_pace_so_far():
    found = meters(played("bcde", "acde", "acde", "abde", "abde"), "abcde", Ground(1))["a"]
    assert (found.rank, found.peers) == (3, 5)
    assert found.rounds_until_solved == 4  # two new sums in four rounds after the first, two are missing


def test_counts_are_of_sums_that_hold_the_peer():
    rounds = [*played("abcde", opened="ab"), RoundSeen(2, "sid 2", of("abcde"), (of("abcd"),), of("b"))]
    found = meters(rounds, "abcde", Ground(1))
    assert (found["a"].sums, found["e"].sums) == (2, 1)
    assert (found["a"].numbers_opened, found["b"].numbers_opened, found["c"].numbers_opened) == (1, 2, 0)
    assert (found["a"].smallest_honest_sum, found["e"].smallest_honest_sum) == (3, 4)
    assert found["a"].survivor_change == 1
    assert found["a"].roster_change is None


def test_each_bucket_is_a_sum_of_its_own():
    rounds = [RoundSeen(1, "sid 1", of("abcdefghij"), (of("abcde"), of("fghij")))]
    found = meters(rounds, "abcdefghij", Ground(2))["a"]
    assert found.smallest_honest_sum == 3
    assert found.hidden_among == 5
    assert (found.rank, found.peers) == (2, 10)


def test_epsilon_counts_the_honest_of_each_sum_and_sums_that_may_exist():
    ground = Ground(1, NOISE, 4810, 1e-5)
    found = meters(played("abcde", "abcd"), "abcde", ground, {"b": 1})
    assert found["a"].epsilon == spent(NOISE, 4810, {4: 1, 3: 1}, 1e-5).epsilon
    assert found["e"].epsilon == spent(NOISE, 4810, {4: 1}, 1e-5).epsilon
    assert found["b"].epsilon == spent(NOISE, 4810, {4: 1, 3: 1, NOISE.honest: 1}, 1e-5).epsilon
    assert found["b"].perhaps == 1
    assert found["a"].epsilon_alone > found["a"].epsilon


def test_without_noise_there_is_no_epsilon():
    found = meters(played("abcde"), "abcde", Ground(1))["a"]
    assert (found.epsilon, found.epsilon_alone, found.delta) == (None, None, None)


def test_a_peer_that_was_in_no_sum_has_an_empty_meter():
    found = meters(played("abcd"), "abcde", Ground(1, NOISE, 4810, 1e-5))["e"]
    assert (found.sums, found.smallest_honest_sum, found.hidden_among, found.epsilon) == (0, None, None, 0.0)


def test_a_session_that_is_told_twice_counts_once():
    rounds = played("abcde", "abcd", opened="a")
    assert meters([*rounds, *rounds], "abcde", Ground(1)) == meters(rounds, "abcde", Ground(1))


def test_the_order_in_which_rounds_are_told_changes_nothing():
    """Two sums of one round (a fork), and two peers of which one saw fewer openings."""
    fork = [RoundSeen(2, "x", of("abcd"), (of("ab"), of("cd"))), RoundSeen(2, "y", of("abcd"), (of("ab"),))]
    half = [RoundSeen(1, "sid 1", of("abcde"), (of("abcde"),), of(who)) for who in ("ab", "bc")]
    rounds = [*half, *fork, RoundSeen(3, "z", of("abcd"), (of("ac"),))]
    found = meters(rounds, "abcde", Ground(1))
    assert found["a"].numbers_opened == found["c"].numbers_opened == 1
    assert found["a"].rounds_until_solved is not None
    for seed in range(10):
        shuffled = random.Random(seed).sample(rounds, len(rounds))
        assert meters(shuffled, "abcde", Ground(1)) == found


def test_sessions_that_a_journal_leaves_open_may_have_a_sum():
    entries = [
        ("signed", "Vote", "closed"), ("adopted", "", "closed"),
        ("signed", "Vote", "left out"), ("released", "", "left out"),
        ("signed", "Vote", "open"), ("left", "", "open"), ("spent", "", "open"),
        ("signed", "JoinIntent", "never voted"),
    ]  # fmt: skip
    assert perhaps_revealed(entries) == {"open"}


def differences(*sets: str) -> Differences[str]:
    found: Differences[str] = Differences()
    for one in sets:
        found.add(of(one))
    return found


def test_differences():
    assert differences("abc", "abc", "abd", "bcdefg").least_change("a") == 2
    assert differences("abc", "abc").least_change("a") is None
    assert differences("abcd", "bcd").hidden_among("a") == 1
    assert differences("bcd", "abcd").hidden_among("a") == 1
    assert differences("abcd", "cde").hidden_among("a") == 4
    assert differences("bcd").hidden_among("a") is None
    assert too_close(of("abcd"), [of("abcd"), of("abcde")], 3) == 1
    assert too_close(of("abcd"), [of("abcd"), of("abcefg")], 3) == 0
    assert too_close(of("abcd"), [of("abcde")], 1) == 0
