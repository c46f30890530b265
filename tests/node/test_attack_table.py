"""Who is paid over ten seeds of twelve peers, on plain integers: the promise that scores are made for."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch

SCRIPTS = Path(__file__).parents[2] / "scripts"
DEMO = {6: "parent-back", 9: "random-labels"}


@pytest.fixture(scope="module")
def lab():
    """The package scripts/scores."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        import scores
        from scores import behaviours, candidates, columns, directions, paying, plays, table, worth  # noqa: F401
    finally:
        sys.path.remove(str(SCRIPTS))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield scores
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def private(lab):
    """One federation of eight that hold rows back, and one of them, with random labels, that bends what is measured."""
    bent = lab.directions.Bent("own", {2: 2}, length=5.0)
    setup = lab.plays.Setup(peers=8, rounds=5, validation="private", cast={2: "random-labels"}, bends=(bent,))
    return setup, lab.plays.play(setup, 0)


def opened(lab, setup, seed):
    return lab.plays.play(setup, seed).opened[lab.directions.SHARED, ""]


def pays(lab, **cast):
    setup = lab.plays.Setup(**cast)
    return [lab.paying.pay(opened(lab, setup, seed), setup.peers) for seed in range(10)]


def test_ten_seeds_of_the_demo(lab):
    outcomes = pays(lab, cast=DEMO, missing={3: (4, 5, 6)})
    rider, poisoner = (
        next(seat for seat, part in DEMO.items() if part == name) for name in ("parent-back", "random-labels")
    )
    assert all(paid[rider] == 0 for paid in outcomes)
    assert fmean(paid[poisoner] for paid in outcomes) < 0.25
    for seat in set(range(12)) - set(DEMO):
        assert sum(paid[seat] > 0 for paid in outcomes) >= 9
    assert all(sum(paid) == pytest.approx(12) for paid in outcomes)


@pytest.mark.parametrize("behaviour", ["replay", "replay-3x"])
def test_what_is_known_already_is_not_paid_again(lab, behaviour):
    outcomes = pays(lab, cast={6: behaviour})
    assert fmean(paid[6] for paid in outcomes) < 0.05


def test_cap_mean_and_pots_by_hand(lab):
    # cap 2 x lower median of the positives (4): 9 becomes 8; the second round's means are (5, 4), the pots are equal
    Opened = lab.directions.Opened
    paid = lab.paying.pay([Opened({0: 9, 1: 4, 2: -1}, 0), Opened({0: 2, 1: 4}, 0)], 3)
    assert paid == pytest.approx([3 * (0.5 * 8 / 12 + 0.5 * 5 / 9), 3 * (0.5 * 4 / 12 + 0.5 * 4 / 9), 0])


def test_numbers_of_rounds_with_other_exponents_are_in_one_unit(lab):
    Opened = lab.directions.Opened
    one = lab.paying.pay([Opened({0: 4, 1: 4}, 1), Opened({0: 2, 1: -3}, 0)], 2)
    assert one == lab.paying.pay([Opened({0: 2, 1: 2}, 0), Opened({0: 2, 1: -3}, 0)], 2)


def test_the_candidate_without_a_change_is_the_rule_in_force(lab, private):
    _, played = private
    for numbers in played.opened.values():
        rounds, terms = lab.paying.as_rounds(numbers), lab.paying.Terms()
        in_force = lab.candidates.Candidate(lab.candidates.doubt(8))
        assert in_force(rounds, terms) == lab.paying.by_the_ledger(rounds, terms)
    assert len(played.opened) == 6, "three ways of measuring, each straight and bent"


def test_doubt_pays_who_did_well_at_times_and_never_who_did_not(lab):
    weight = lab.candidates.doubt(8)
    assert weight((80, -100)) == 80 // 8 // 2
    assert weight((80, -10)) == 35, "a good mean is left as it is"
    assert weight((0, 0)) == weight((0, -5)) == weight((-1,)) == 0
    assert weight((7, -7)) == 0, "floor"


def test_a_careful_mean_is_below_the_mean(lab):
    assert lab.candidates.careful(10)((10, 10, 10)) == 10
    assert lab.candidates.careful(10)((30, 0, 0)) == 0
    assert lab.candidates.careful(5)((30,)) == 30


# -- private validation ------------------------------------------------------------------------------------------------


def test_a_bent_gradient_pays_its_own_author_without_cross_fit_and_not_with_it(lab, private):
    setup, played = private
    ways = lab.directions

    def paid(way, bent):
        return lab.paying.pay(played.opened[way, bent], setup.peers)[2]

    assert paid(ways.ONE_SUM, "own") > 1.0 > paid(ways.ONE_SUM, "")
    assert paid(ways.CROSS, "own") < 0.25
    assert paid(ways.BALANCED, "own") < 0.25


def test_nobody_is_scored_by_the_half_that_it_is_in(lab, private):
    """What seat 2 reports changes the numbers of the other half and no other's."""
    setup, played = private
    ways = lab.directions
    for straight, bent in zip(played.opened[ways.CROSS, ""], played.opened[ways.CROSS, "own"], strict=True):
        shift = 2.0 ** (straight.exponent - bent.exponent)
        same = {s for s, v in straight.numbers.items() if abs(v - bent.numbers[s] * shift) <= 1e-3 * abs(v) + 2.0**12}
        assert 2 in same
        assert len(same) == setup.peers // 2


def test_halves_are_drawn_and_keep_everybody(lab):
    drawn = [lab.directions.draw(bytes([n]) * 32, range(9)) for n in range(20)]
    assert all(sorted(one + two) == list(range(9)) and len(one) == 5 for one, two in drawn)
    assert len({tuple(one) for one, _ in drawn}) > 10


# -- what colluders do to numbers --------------------------------------------------------------------------------------


def test_moving_score_keeps_the_sum_and_stays_within_what_honest_numbers_show(lab):
    Opened = lab.directions.Opened
    before = [Opened({0: 0, 1: 0, 2: 10, 3: 20, 4: -7}, 3), Opened({0: 0, 2: 10, 3: 1, 4: 1}, 3)]
    after = lab.paying.moved(before, 0, 1)
    assert after[0].numbers == {0: -10, 1: 10, 2: 10, 3: 20, 4: -7}, "as far down as the median is up"
    assert after[1] == before[1], "both ends must be there"
    far = lab.paying.moved([Opened({0: 0, 1: 0, 2: 10, 3: 20, 4: -70}, 3)], 0, 1)
    assert far[0].numbers[1] == 20, "no further than the cap pays"


def test_an_audited_pair_is_charged_in_as_many_rounds_as_are_drawn(lab):
    Opened = lab.directions.Opened
    before = [Opened(dict.fromkeys(range(12), 100) | {0: -100, 1: 200}, 3)] * 400
    after = lab.paying.audited(before, 0, 1, 12, seed=1)
    charged = [one for one in after if one.numbers != before[0].numbers]
    assert 400 * 0.57 < len(charged) < 400 * 0.70, "7 of 11 pairs are drawn"
    assert all(one.numbers == before[0].numbers | {0: -115, 1: -115} for one in charged), "4 closed, 7 drawn: 8 / 7"
    mean = sum(one.numbers[1] for one in after) / 400
    assert mean < 15, "what is left of 200 a round"
    halves = (
        lab.paying.audited(before, 0, 1, 12, seed=1, halved=True),
        lab.paying.audited(before, 0, 1, 12, seed=3, halved=True),
    )
    means = [sum(one.numbers[1] for one in some) / 400 for some in halves]
    assert all(mean < 40 for mean in means), "together or apart, a lie is worth about nothing"
    assert halves[0] != halves[1]
    alone = [Opened({0: -100, 2: 100, 3: 100}, 3)]
    assert lab.paying.audited(alone, 0, 1, 12, seed=1) == alone


# -- seats, behaviours, worth ------------------------------------------------------------------------------------------


def test_a_copied_seat_has_the_rows_of_the_other(lab):
    setup = lab.plays.Setup(peers=5, copies={3: 1})
    parts = lab.plays.parts(setup, lab.plays.rows(setup, 0), 0)
    assert np.array_equal(parts[3].features, parts[1].features)
    assert sum(len(part) for seat, part in enumerate(parts) if seat != 3) == len(lab.plays.rows(setup, 0).train)


def test_a_selective_peer_stays_away_at_times_and_a_peer_without_rounds_always(lab):
    setup = lab.plays.Setup(peers=6, rounds=8, cast={1: "selective"}).without(4)
    attended = [one.numbers for one in opened(lab, setup, 1)]
    assert 0 < sum(1 in numbers for numbers in attended) < 8
    assert not any(4 in numbers for numbers in attended)


def test_the_same_setup_and_seed_is_the_same_play(lab):
    setup = lab.plays.Setup(peers=5, rounds=3, cast={1: "noise"})
    assert opened(lab, setup, 3) == opened(lab, setup, 3)
    assert opened(lab, setup, 3) != opened(lab, replace(setup, draw=1), 3)


def test_correlations(lab):
    worth = lab.worth
    assert worth.correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert worth.correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert worth.correlation([1, 1, 1], [3, 2, 1]) == 0
    assert worth.ranks([5, 1, 5]) == [1.5, 0, 1.5]


def test_shapley_values_add_up_to_what_everybody_gains(lab):
    setup = lab.plays.Setup(peers=3, rounds=2)
    values = lab.worth.shapley(setup, 0)
    assert sum(values) == pytest.approx(np.log(10) - lab.plays.play(setup, 0).loss)


# -- the command -------------------------------------------------------------------------------------------------------


def test_quick_table_in_the_order_that_matters():
    done = subprocess.run(
        [sys.executable, SCRIPTS / "attack_table", "--quick", "--json", "--rules", "ledger", "mean alone"],
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert set(document["rules"]) == {"ledger", "mean alone"}
    for rows in document["rules"].values():
        assert [row["way"] for row in rows] == ["shared", "private"]
        for row in rows:
            paid = {name: cell["mean"] for name, cell in row["pay"].items()}
            assert paid["parent-back"] == 0
            assert paid["replay-3x"] < paid["honest"] / 4
            assert paid["random-labels"] < paid["honest"] / 2
            assert paid["two that move score, unaudited"] > paid["parent-back"], "the page says so"
            assert paid["two that move score"] < paid["two that move score, unaudited"] / 3, "and this as well"


def test_masked_sessions_open_and_pay_the_same_integers(lab, monkeypatch):
    """Whole sessions of signed, masked messages on digits, against the offline numbers from the plain updates."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import simulator

    from peerage.learning.model import build, from_vector, size, to_vector
    from peerage.learning.model import layout as layout_of
    from peerage.learning.scoring import integer_direction, novel, path_gradient
    from peerage.learning.trainer import draw_seed
    from peerage_ledger.rewards import totals

    setup = lab.plays.Setup(peers=4, rounds=3)
    splits = lab.plays.rows(setup, 0)
    parts = lab.plays.parts(setup, splits, 0)
    model = build(splits.train.input_shape, 10, 0)
    settings = lab.plays.TrainSettings(1, 16, 0.3)
    public, seed = {}, b"\x05" * 32

    def trained(sim, host, effect):
        part = parts[sorted(sim.hosts).index(host.account.address)]
        from_vector(model, effect.model)
        lab.behaviours.train(model, part, settings, draw_seed(0, 0, effect.version))
        return to_vector(model)

    def directed(base, step, applied):
        public[base.tobytes()] = (base, step, applied)
        gbar = novel(path_gradient(model, base, step, splits.validation), applied)
        return integer_direction(gbar, seed, sim.rules.grid)

    monkeypatch.setattr(simulator, "direction", directed)
    sim = simulator.Simulation(4, rounds=3, parameters=size(layout_of(model)), train=trained)
    sim.start().run()
    engine = next(iter(sim.hosts.values())).engine
    assert [j.transcript.round for j in engine.history] == [1, 2, 3]
    assert len(public) == 3
    numbers = []
    for judged, (base, step, applied) in zip(engine.history, public.values(), strict=True):
        t, grid = judged.transcript, sim.rules.grid
        units = {}
        for seat, member in enumerate(sorted(sim.hosts)):
            words = sim.plain[t.sid, member]
            units[seat] = words.view(f"i{words.itemsize}")[-sim.parameters :].astype(np.int64)
        scored = lab.directions.Scored(model, base, step, applied, units, seed, grid)
        _, found = lab.directions.opened_publicly(scored, splits.validation)
        assert found.numbers == dict(enumerate(t.numbers))
        assert found.exponent == t.exponent
        numbers.append(found)
    r, told = sim.rules, totals(engine.pay)
    offline = lab.paying.pay_rounds(
        lab.paying.as_rounds(numbers), pool=r.pool, planned=r.rounds, cap=r.cap, window=r.window
    )
    paid = totals(offline)
    assert paid == {lab.paying.account(s): told[m] for s, m in enumerate(sorted(sim.hosts)) if told.get(m)}
