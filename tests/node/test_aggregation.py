"""The arithmetic that everybody must compute to the same bit."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerage.rounds.aggregation import (
    AUXILIARY,
    LOSS_LIMIT,
    Grid,
    base_of,
    canonical,
    carry_over,
    from_canonical,
    masked_input,
    merge,
    metrics,
    split_sum,
    sum_within_bounds,
    update_of,
    weighted_mean,
)
from peerage_crypto.errors import InputError

sys.path.insert(0, str(Path(__file__).parent))

from simulator import Simulation

GRID = Grid(32, 16, 4.0)
ZERO = np.zeros(6, np.float32)


def test_with_everybody_in_it_the_aggregate_is_the_integer_mean_and_fedavg_within_the_grid() -> None:
    locals_: dict[bytes, np.ndarray] = {}
    sim = Simulation(8, rounds=1)
    honest = sim.train

    def train(sim: Simulation, host: object, effect: object) -> np.ndarray:
        locals_[host.account.address] = honest(sim, host, effect)
        return locals_[host.account.address]

    sim.train = train
    sim.start().run()
    judged = next(iter(sim.hosts.values())).engine.history[0]
    assert len(judged.proven.u3) == 8
    updates = [
        sim.plain[judged.transcript.sid, p].view(np.int32)[AUXILIARY:].astype(np.int64) for p in judged.proven.u3
    ]
    mean = np.add.reduce(updates).astype(np.float64) / (8 * 2.0**16)
    exactly = (sim.genesis.model.astype(np.float64) + mean).astype(np.float32)
    assert canonical(judged.standing.model) == canonical(exactly)
    fedavg = np.mean([locals_[p].astype(np.float64) for p in judged.proven.u3], axis=0)
    # n * scale / (2^f * sum of weights) with equal weights is one step of the grid; half a step of float32 comes on top
    assert np.abs(judged.standing.model - fedavg).max() <= 2.0**-16 + np.spacing(np.abs(fedavg).max(), dtype=np.float32)


@given(st.lists(st.lists(st.integers(-(2**17), 2**17), min_size=6, max_size=6), min_size=1, max_size=12))
def test_a_sum_in_the_ring_is_the_sum_of_the_integers(rows: list[list[int]]) -> None:
    updates = [np.array(row, np.int64) for row in rows]
    total = np.add.reduce([masked_input(u, metrics(100, 60, 0.5), GRID) for u in updates], dtype=np.uint32)
    sums, update = split_sum(total)
    assert np.array_equal(update, np.add.reduce(updates))
    assert (sums.peers, sums.examples, sums.correct) == (len(rows), 100 * len(rows), 60 * len(rows))


def test_a_long_update_is_clipped_and_a_short_one_is_not() -> None:
    long = update_of(np.full(6, 100, np.float32), ZERO, GRID, bytes(32))
    short = update_of(np.full(6, 0.25, np.float32), ZERO, GRID, bytes(32))
    assert np.linalg.norm(long / 2**16) == pytest.approx(4.0, abs=1e-4)
    assert np.array_equal(short, np.full(6, 2**14))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_update_with_a_hole_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or an infinity"):
        update_of(np.array([0, 0, bad, 0, 0, 0], np.float32), ZERO, GRID, bytes(32))


def test_a_sum_beyond_what_honest_peers_can_add_up_to_is_void() -> None:
    limit = 3 * (4 * 2**16 + 1)
    assert sum_within_bounds(np.array([limit, -limit]), 3, GRID)
    assert not sum_within_bounds(np.array([0, limit + 1]), 3, GRID)


def test_momentum_is_applied_before_anybody_trains() -> None:
    step = np.full(6, 2, np.float32)
    assert np.array_equal(base_of(ZERO, step, 0.5), np.full(6, 1, np.float32))
    assert np.array_equal(merge(ZERO, np.full(6, 3 << 16), 3, GRID), np.full(6, 1, np.float32))


def test_work_moves_along() -> None:
    assert np.array_equal(carry_over(ZERO + 3, ZERO + 1, ZERO + 10), ZERO + 12)


def test_a_loss_that_is_no_number_counts_as_the_limit() -> None:
    assert (
        metrics(100, 0, float("nan")).loss
        == metrics(100, 0, float("inf")).loss
        == metrics(1, 0, -1.0).loss
        == LOSS_LIMIT
    )
    assert metrics(100, 0, 0.5).loss == 50 << 10


def test_brain_torrents_merge_weighs_by_examples() -> None:
    assert np.array_equal(weighted_mean([ZERO, ZERO + 4], [3, 1]), ZERO + 1)
    with pytest.raises(InputError):
        weighted_mean([ZERO], [0])


def test_a_models_bytes_have_one_length() -> None:
    assert np.array_equal(from_canonical(canonical(ZERO + 1.5), 6), ZERO + 1.5)
    with pytest.raises(ValueError, match="20 bytes"):
        from_canonical(bytes(20), 6)
