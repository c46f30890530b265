"""Schedules as pure functions: exact expectations, caps, the same answer twice, claims that do not follow."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerage import scheduling as sc
from peerage.scheduling.draws import draw_below
from peerage.scheduling.policies import coin, has_turn, mean_interval
from peerage_crypto.errors import InputError


def run(policy, profile, rounds, seed):
    """(round, scale) of each round in which the peer takes part, deciding from its own history."""
    took, history = [], []
    for t in range(rounds):
        due = sc.decide(policy, profile, t, seed, history)
        if due.participate:
            took.append((t, due.scale))
            history.append(t)
    return took


# -- the expectation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 2, 5, 10, 20])
def test_a_window_has_one_turn_whose_chance_times_scale_is_one(every):
    """P * E = 1 in each round and E once a window: over the draw's `every` equally likely places, exactly."""
    profile = sc.periodic("a", every, full=True)
    for window in range(3):
        rounds = range(window * every, (window + 1) * every)
        for seed in range(20):
            assert sum(has_turn(profile, t, seed) for t in rounds) == 1
        scale = Fraction(every)
        assert sum(Fraction(1, every) * scale for _ in rounds) == every  # as much as a peer that is always there


@pytest.mark.parametrize("every", [2, 5, 10, 20])
def test_the_scaled_updates_of_a_run_are_as_many_as_those_of_full_participation(every):
    """Not in expectation alone: each paid window contributes exactly its length."""
    for seed in range(5):
        took = run(sc.Windows(), sc.periodic("a", every), 20 * every, seed)
        assert len(took) == 19  # nothing in the empty battery's first window
        assert sum(scale for _, scale in took) == 19 * every


def test_no_place_of_a_window_is_likelier():
    """The draw's remainder is even: 2000 windows of 5, each place within 5 standard deviations of 400."""
    places = [draw_below(5, 7, "window", "a", k) for k in range(2000)]
    assert all(abs(places.count(p) - 400) < 90 for p in range(5))


@given(st.fractions(min_value=Fraction(1, 30), max_value=1, max_denominator=30), st.integers(0, 2**63))
def test_the_coin_and_the_scale_are_inverse(beta, seed):
    profile = sc.random_arrivals("a", beta, seed)
    took = run(sc.Bernoulli(cap=1000), profile, 60, seed)
    assert all(scale * beta == 1 for _, scale in took)
    assert [t for t, _ in took] == [t for t in range(60) if coin(profile, t, seed)]


def test_the_coin_of_a_steady_source_has_its_rate():
    profile = sc.periodic("a", 4)
    assert profile.rate == Fraction(1, 4)
    assert 400 < sum(coin(profile, t, 3) for t in range(2000)) < 600


# -- each policy -------------------------------------------------------------------------------------------------------


def test_best_effort_takes_each_unit_as_it_comes():
    assert [t for t, _ in run(sc.BestEffort(), sc.periodic("a", 5), 16, 0)] == [4, 9, 14]


def test_wait_for_all_is_the_rhythm_of_the_slowest():
    everybody = tuple(sc.periodic(name, every) for name, every in (("a", 1), ("b", 3), ("c", 4)))
    policy = sc.WaitForAll(everybody)
    rounds = [[t for t, _ in run(policy, p, 20, 0)] for p in everybody]
    assert rounds == [[3, 7, 11, 15, 19]] * 3


def test_random_selection_takes_so_many_and_nobody_always():
    names = tuple("abcdefgh")
    profiles = [sc.always_on(name) for name in names]
    policy = sc.RandomSelection(names, 3)
    chosen = [[p.peer for p in profiles if sc.decide(policy, p, t, 1, []).participate] for t in range(40)]
    assert all(len(who) == 3 for who in chosen)
    assert {name for who in chosen for name in who} == set(names)


def test_fedau_is_the_mean_of_closed_intervals():
    assert mean_interval([], 3, cutoff=50) == 1  # before the first
    assert mean_interval([4, 9], 12, cutoff=50) == 5
    assert mean_interval([4, 6], 9, cutoff=50) == Fraction(7, 2)
    assert mean_interval([], 10, cutoff=4) == 4  # missed four: closed as four
    assert [s for _, s in run(sc.FedAU(), sc.periodic("a", 5), 16, 0)] == [1, 5, 5]


def test_a_carbon_plan_spends_within_its_budget_on_clean_rounds():
    grams = {"a": (100, 10, 100, 10, 50, 50), "b": (300, 30, 300, 30, 60, 60)}
    plan = sc.plan_budget(grams, budget=380, alpha=Fraction(1, 10), slack=1, final=2)
    assert plan.spent <= 380
    assert {1, 3} <= plan.rounds_of("a")
    assert {1, 3} <= plan.rounds_of("b")
    assert all(len(plan.rounds_of(peer)) <= 3 for peer in grams)  # slack: it may wait for one of the four
    assert plan.scale("b", 1) == Fraction(4, len(plan.rounds_of("b")))
    assert plan.scale("b", 5) == 1
    took = run(sc.CarbonBudget(plan), sc.always_on("b"), 8, 0)
    assert [t for t, _ in took] == [*sorted(plan.rounds_of("b")), 4, 5]  # the final rounds, and nothing behind them


def test_a_small_alpha_is_fairer():
    """With alpha = 1 only grams count and the dirty peer is left out; with 1/10 it comes in."""
    grams = {"clean": (20,) * 9 + (1,), "dirty": (200,) * 9 + (1,)}
    few = sc.plan_budget(grams, budget=230, alpha=Fraction(1), slack=0, final=1)
    fair = sc.plan_budget(
        {"clean": (90,) * 9 + (1,), "dirty": (100,) * 9 + (1,)}, budget=470, alpha=Fraction(1, 10), slack=0, final=1
    )
    assert not few.rounds_of("dirty")
    assert fair.rounds_of("dirty")


def test_a_budget_that_the_final_rounds_break_is_refused():
    with pytest.raises(InputError, match="final rounds of all peers cost 200"):
        sc.plan_budget({"a": (1, 200)}, budget=100, alpha=Fraction(1, 2), slack=0, final=1)


# -- caps, determinism -------------------------------------------------------------------------------------------------

POLICIES = st.one_of(
    st.builds(sc.Windows, st.integers(1, 40)),
    st.builds(sc.Bernoulli, st.integers(1, 40)),
    st.builds(sc.FedAU, st.integers(1, 40), st.integers(1, 60)),
    st.just(sc.BestEffort()),
)


@settings(max_examples=60)
@given(POLICIES, st.integers(1, 25), st.integers(0, 2**63 - 1))
def test_no_scale_is_beyond_its_cap_and_all_decide_alike(policy, every, seed):
    profile = sc.periodic("a", every)
    took = run(policy, profile, 80, seed)
    cap = getattr(policy, "cap", 1)
    assert all(0 < scale <= cap for _, scale in took)
    assert took == run(policy, sc.periodic("a", every), 80, seed)
    assert sc.check_history(policy, profile, seed, took) == ()


def test_a_cap_says_so():
    profile = sc.periodic("a", 10, full=True)
    turn = next(t for t in range(10) if has_turn(profile, t, 0))
    assert sc.decide(sc.Windows(cap=4), profile, turn, 0, []) == sc.Decision(True, Fraction(4), capped=True)
    assert not sc.decide(sc.Windows(cap=10), profile, turn, 0, []).capped


@settings(max_examples=60)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.integers(1, 40), st.integers(0, 1000))
def test_every_window_after_the_first_paid_one_finds_its_round(trace, cost, seed):
    """`period` promises: once a window begins with a round in the battery, all later ones do."""
    if sum(trace) == 0:
        return
    profile = sc.Profile("a", tuple(trace), cost=cost, capacity=2 * cost + max(trace))
    every = profile.period
    took = [t for t, _ in run(sc.Windows(cap=10**6), profile, min(6 * every, 600), seed)]
    windows = [t // every for t in took]
    assert windows == list(range(windows[0], windows[0] + len(windows))) if windows else True
    if every <= 100:
        assert windows
        assert windows[0] <= 1
        assert windows[-1] == 5


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 60))
def test_the_period_is_the_shortest_that_always_pays(trace, cost):
    if sum(trace) == 0:
        return
    every = sc.Profile("a", tuple(trace), cost=cost, capacity=cost).period
    endless = [trace[k % len(trace)] for k in range(every + 2 * len(trace))]
    sums = [sum(endless[k : k + every]) for k in range(len(trace))]
    shorter = [sum(endless[k : k + every - 1]) for k in range(len(trace))]
    assert min(sums) >= cost > min(shorter)


# -- claims ------------------------------------------------------------------------------------------------------------


def test_a_claim_that_does_not_follow_is_named():
    profile, policy = sc.periodic("sunny", 5), sc.Windows()
    took = run(policy, profile, 40, 9)
    (first, scale), *rest = took
    assert "gives 5" in sc.check_history(policy, profile, 9, [(first, 2 * scale), *rest])[0]
    idle = next(t for t in range(5, 40) if t not in {turn for turn, _ in took})
    assert "no turn" in sc.check_history(policy, profile, 9, [(idle, scale)])[0]
    assert "twice" in sc.check_history(policy, profile, 9, [*took, took[-1]])[0]


def test_fedau_cannot_claim_an_absence_that_the_chain_denies():
    profile = sc.always_on("a")
    assert sc.check_scale(sc.FedAU(), profile, 10, 0, range(10), Fraction(1)) is None
    assert "gives 1" in sc.check_scale(sc.FedAU(), profile, 10, 0, range(10), Fraction(5))


def test_a_history_of_the_future_is_refused():
    with pytest.raises(InputError, match="rounds 0 to 4 only"):
        sc.decide(sc.BestEffort(), sc.always_on("a"), 5, 0, [5])


# -- profiles ----------------------------------------------------------------------------------------------------------


def test_sunshine_is_seeded_marked_and_dark_at_night():
    profile = sc.solar("a", seed=3, days=4)
    assert profile == sc.solar("a", seed=3, days=4)
    assert profile != sc.solar("a", seed=4, days=4)
    assert profile.synthetic
    for day in range(4):
        hours = profile.trace[24 * day : 24 * day + 24]
        assert hours[0] == hours[23] == 0
        assert 0 < max(hours) <= 100
    assert profile.period > 12  # a night lies in it


def test_a_battery_lasts_until_it_is_empty():
    profile = sc.battery("a", joules=3, cost=1, capacity=3, charge=1, every=6)
    assert [t for t, _ in run(sc.BestEffort(), profile, 18, 0)] == [0, 1, 2, 5, 11, 17]


def test_windows_need_a_battery_of_two_rounds():
    with pytest.raises(InputError, match="a battery of two rounds, 200 J; this one holds 150 J"):
        sc.decide(sc.Windows(), sc.Profile("a", (0, 100), cost=100, capacity=150), 0, 0, [])


def test_windows_need_a_certain_source():
    with pytest.raises(InputError, match="no certain window"):
        sc.decide(sc.Windows(), sc.random_arrivals("a", Fraction(1, 3), 0), 0, 0, [])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"trace": (1, -1)}, "-1 J in one round is not possible"),
        ({"trace": ()}, "1 to 1000000 rounds"),
        ({"cost": 0}, "costs 1 J at least"),
        ({"capacity": 4}, "never holds the 5 J"),
        ({"start": 99}, "more than the battery's"),
        ({"trace": (10**13,)}, "is not possible"),
        ({"chance": Fraction(3, 2)}, "at most 1"),
    ],
)
def test_an_impossible_profile_is_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        sc.Profile("a", **({"trace": (5,), "cost": 5, "capacity": 10} | settings))
    assert error.value.exit_code == 2


def test_a_dark_profile_has_no_window():
    with pytest.raises(InputError, match="never brings any energy"):
        _ = sc.Profile("a", (0, 0), cost=1, capacity=2).period


# -- files -------------------------------------------------------------------------------------------------------------


def trace(*rows, head="seconds,watts"):
    return "\n".join([head, *rows])


def read(text, **settings):
    return sc.parse_trace(
        "a", text, **({"round_seconds": 3600, "cost": 100, "capacity": 10**6, "max_watts": 50} | settings)
    )


def test_a_trace_becomes_joules_a_round():
    assert read(trace("0,10", "1800,20", "3600,0", "5400,0.5")).trace == (54_000, 900)
    assert read(trace("0,1", "7200,2")).trace == (3600, 3600, 7200, 7200)
    assert not read(trace("0,1", "3600,2")).synthetic
    assert read(trace("0,1", "3600,2", head="# synthetic: drawn by hand\nseconds,watts")).synthetic


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (trace("0,1", "3600,1", "10800,1"), "has a gap: line 4 comes 7200 s after"),
        (trace("0,1", "3600,1", "1800,1"), "clock goes from 3600 to 1800"),
        (trace("0,1", "0,1"), "clock goes from 0 to 0"),
        (trace("0,1", "3600,-3"), "-3 W; power that arrives is 0 or more"),
        (trace("0,1", "3600,51"), "gives 50 W at most"),
        (trace("0,1", "3600,NaN"), "NaN W"),
        (trace("0,1", "3600,sunny"), "for a number of watts"),
        (trace("0,1", "one,1"), "no whole second"),
        (trace("0,1"), "1 samples"),
        ("time,power\n0,1", "the first is 'seconds,watts'"),
        (trace("0,1", "1000,1", "2000,1"), "do not divide each other"),
        (trace("0,1", "60,1"), "less than one round"),
    ],
)
def test_a_bad_trace_is_refused_with_its_line(text, sentence):
    with pytest.raises(InputError, match=sentence) as error:
        read(text)
    assert error.value.exit_code == 2
