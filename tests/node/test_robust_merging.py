"""A bucket's sum that no honest peers can add up to: a bad bucket that is known, as long as the rule has f to spare."""

import numpy as np
import pytest

from peerage.rounds.aggregation import Grid, masked_input, metrics, update_of
from peerage.rounds.merging import Merging
from peerage.rounds.optimisers import FEDAVG
from peerage_ledger.judgement import genesis

GRID, SIZE = Grid(32, 16, 4.0), 20
BASE = np.zeros(SIZE, np.float32)
START = genesis(b"", BASE, b"")


def bucket(value, members=5, claims=1):
    """The ring's sum of so many equal updates; each claims to be so many peers."""
    update = update_of(np.full(SIZE, value, np.float32), BASE, GRID, b"dither")
    own = metrics(10, 5, 0.5)
    total = sum(masked_input(update, own, GRID) for _ in range(members))
    total[0] += total.dtype.type(claims - 1)  # the count of peers stands first
    return total


def spoilt():
    total = bucket(0.1)
    total[-1] = 2**30
    return total


def merged(rule, f, bad, how=spoilt):
    sums = [*(how() for _ in range(bad)), *(bucket(0.1 + i / 100) for i in range(7 - bad))]
    return Merging(GRID, FEDAVG, rule, f).merge(START, sums, [5] * 7)


@pytest.mark.parametrize("rule", ["median", "trimmed-mean", "krum", "multi-krum", "geometric-median"])
@pytest.mark.parametrize("how", [spoilt, lambda: bucket(0.1, claims=3)], ids=["beyond the bound", "wrong count"])
def test_as_many_as_f_are_left_out(rule, how):
    for bad in (0, 1, 2):
        model = merged(rule, 2, bad, how)
        assert not isinstance(model, str)
        assert (np.abs(model.model - 0.13) < 0.04).all()


@pytest.mark.parametrize("rule", ["median", "krum"])
def test_one_more_voids_the_round(rule):
    assert merged(rule, 2, 3) == "the sum lies outside what honest peers can add up to"
    assert "counts 7 peers where 5 survived" in merged(rule, 2, 3, lambda: bucket(0.1, claims=3))


def test_the_mean_has_none_to_spare():
    assert isinstance(merged("mean", 0, 1), str)


def test_too_few_live_buckets_void_the_round():
    found = Merging(GRID, FEDAVG, "krum", 2).merge(START, [bucket(0.1)] * 6, [5] * 6)
    assert found == "krum with f = 2 needs 7 vectors, there are 6"
