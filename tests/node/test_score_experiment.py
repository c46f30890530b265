"""Who is paid over ten seeds of twelve peers, on plain integers: the promise that scores are made for."""

import importlib.util
import sys
from pathlib import Path
from statistics import fmean

import pytest
import torch

PATH = Path(__file__).parents[2] / "scripts" / "score_experiment.py"


@pytest.fixture(scope="module")
def lab():
    spec = importlib.util.spec_from_file_location("score_experiment", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["score_experiment"] = module
    spec.loader.exec_module(module)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield module
    torch.set_num_threads(before)


def pays(lab, **cast):
    setup = lab.Setup(**cast)
    return [lab.pay(lab.play(setup, seed).scores, setup.peers, lab.Rules()) for seed in range(10)]


def test_ten_seeds_of_the_demo(lab):
    outcomes = pays(lab, cast=lab.DEMO, missing={3: (4, 5, 6)})
    rider, poisoner = (
        next(seat for seat, part in lab.DEMO.items() if part == name) for name in ("parent-back", "random-labels")
    )
    assert all(paid[rider] == 0 for paid in outcomes)
    assert fmean(paid[poisoner] for paid in outcomes) < 0.25
    for seat in set(range(12)) - set(lab.DEMO):
        assert sum(paid[seat] > 0 for paid in outcomes) >= 9
    assert all(sum(paid) == pytest.approx(12) for paid in outcomes)


@pytest.mark.parametrize("behaviour", ["replay", "replay-3x"])
def test_what_is_known_already_is_not_paid_again(lab, behaviour):
    outcomes = pays(lab, cast={6: behaviour})
    assert fmean(paid[6] for paid in outcomes) < 0.05


def test_cap_mean_and_pots_by_hand(lab):
    # cap 2 x lower median of the positives (4): 9 becomes 8; the second round's means are (5, 4, 0)
    scores = [{0: 9, 1: 4, 2: -1}, {0: 2, 1: 4}]
    paid = lab.pay(scores, 3, lab.Rules(cap=2, window=12, pots="members"))
    first, second = 3 / 5, 2 / 5
    assert paid == pytest.approx([3 * (first * 8 / 12 + second * 5 / 9), 3 * (first * 4 / 12 + second * 4 / 9), 0])
