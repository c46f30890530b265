"""The arithmetic that everybody must compute to the same bit."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from peerage.rounds.aggregation import (
    LANE_LIMIT,
    Grid,
    Metrics,
    Update,
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
from peerage.rounds.grid import check_grid
from peerage_crypto.errors import InputError
from peerage_crypto.fixedpoint import clip_each, clip_norm
from peerage_crypto.masking import total_of

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
    updates = [split_sum(sim.plain[judged.transcript.sid, p])[1] for p in judged.proven.u3]
    mean = np.add.reduce(updates).astype(np.float64) / (8 * 2.0**16)
    exactly = (sim.genesis.model.astype(np.float64) + mean).astype(np.float32)
    assert canonical(judged.standing.model) == canonical(exactly)
    fedavg = np.mean([locals_[p].astype(np.float64) for p in judged.proven.u3], axis=0)
    # n * scale / (2^f * sum of weights) with equal weights is one step of the grid; half a step of float32 comes on top
    assert np.abs(judged.standing.model - fedavg).max() <= 2.0**-16 + np.spacing(np.abs(fedavg).max(), dtype=np.float32)


@given(st.lists(st.lists(st.integers(-(2**17), 2**17), min_size=6, max_size=6), min_size=1, max_size=12))
def test_a_sum_in_the_ring_is_the_sum_of_the_integers(rows: list[list[int]]) -> None:
    updates = [np.array(row, np.int64) for row in rows]
    sums, update = split_sum(
        total_of([masked_input(Update(u, False, 0), metrics(100, 60, 0.5), GRID) for u in updates], GRID.ring)
    )
    assert np.array_equal(update, np.add.reduce(updates))
    assert (sums.peers, sums.examples, sums.correct) == (len(rows), 100 * len(rows), 60 * len(rows))


def test_a_long_update_is_clipped_and_a_short_one_is_not() -> None:
    long = update_of(np.full(6, 100, np.float32), ZERO, GRID, bytes(32))
    short = update_of(np.full(6, 0.25, np.float32), ZERO, GRID, bytes(32))
    assert np.linalg.norm(long.units / 2**16) == pytest.approx(4.0, abs=1e-4)
    assert np.array_equal(short.units, np.full(6, 2**14))
    assert (long.shortened, short.shortened, long.cut) == (True, False, 0)


def test_a_large_coordinate_is_cut_before_the_length_is_looked_at() -> None:
    local = np.array([100, 0.25, -100, 0, 0, -0.25], np.float32)
    cut = update_of(local, ZERO, Grid(32, 16, 4.0, clip_each=0.5), bytes(32))
    assert np.array_equal(cut.units, (np.array([0.5, 0.25, -0.5, 0, 0, -0.25]) * 2**16).astype(np.int64))
    assert (cut.shortened, cut.cut) == (False, 2)


settled = settings(derandomize=True, deadline=None, max_examples=150)
finite = st.floats(-(2.0**100), 2.0**100, width=32)
grids = st.builds(
    Grid,
    st.sampled_from([16, 32, 64]),
    st.integers(1, 40),
    st.floats(1e-3, 1e6),
    st.just(0),
    st.one_of(st.just(0.0), st.floats(1e-6, 1e6)),
)
nasty = st.one_of(
    st.lists(finite, min_size=5, max_size=5),
    st.integers(0, 4).flatmap(lambda i: finite.map(lambda v: [v if i == k else 0.0 for k in range(5)])),
)
metric = st.builds(
    metrics, st.integers(0, 2**63), st.integers(0, 2**63), st.one_of(st.floats(allow_nan=True), st.floats(0, 100))
)


@settled
@given(grids, st.integers(1, 1000), nasty, st.binary(max_size=4), st.data())
def test_no_legal_grid_overflows_whatever_was_trained(
    grid: Grid, peers: int, worst: list[float], seed: bytes, data: st.DataObject
) -> None:
    """All peers send the most extreme update that honest code makes of any local model: sums are the integers' sums."""
    try:
        check_grid(grid, peers)
    except InputError:
        assume(False)
    local, zero = np.array(worst, np.float32), np.zeros(5, np.float32)
    update, own = update_of(local, zero, grid, seed), data.draw(metric)
    assert np.abs(update.units).max() <= grid.largest
    vector, exact = masked_input(update, own, grid), [peers * int(q) for q in update.units]
    # n equal vectors, summed as the ring sums: every word times n
    lane = vector[: grid.ring.lane_words].view("<u8") * np.uint64(peers)
    total = np.concatenate([lane.view(vector.dtype), (vector[grid.ring.lane_words :] * vector.dtype.type(peers))])
    sums, found = split_sum(total)
    assert found.tolist() == exact
    assert sum_within_bounds(found, peers, grid)
    assert sums.peers == peers
    assert (sums.shortened, sums.cut) == (peers * update.shortened, peers * update.cut)
    assert (sums.examples, sums.correct, sums.loss) == tuple(
        peers * min(count, LANE_LIMIT) for count in (own.examples, own.correct, own.loss)
    )


@settled
@given(grids, st.lists(nasty, min_size=1, max_size=5))
def test_the_mean_is_within_its_bound_of_fedavg_of_the_clipped_updates(grid: Grid, rows: list[list[float]]) -> None:
    """n * scale / (2^f * sum of weights), which is one unit of the grid with equal weights (`rules.md` section 7)."""
    try:
        check_grid(grid, len(rows))
    except InputError:
        assume(False)
    zero, locals_ = np.zeros(5, np.float32), [np.array(row, np.float32) for row in rows]
    updates = [update_of(local, zero, grid, bytes([i])) for i, local in enumerate(locals_)]
    _, total = split_sum(total_of([masked_input(u, Metrics(1, 0, 0, 0), grid) for u in updates], grid.ring))
    clipped = [clip_norm(clip_each(local, grid.clip_each)[0], grid.clip)[0] for local in locals_]
    mean = total.astype(np.float64) / (len(rows) * 2.0**grid.frac_bits)
    bound = 2.0**-grid.frac_bits + 1e-12 * grid.clip  # what double precision itself loses
    assert np.abs(mean - np.mean(clipped, axis=0)).max() <= bound


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_a_count_has_64_bits_in_every_ring(bits: int) -> None:
    grid = Grid(bits, 6, 4.0)
    own = Metrics(1, 2**40, 2**33 + 5, 2**50)
    vectors = [masked_input(Update(np.array([-1, 2]), True, 7), own, grid)] * 12
    sums, update = split_sum(total_of(vectors, grid.ring))
    assert sums == Metrics(12, 12 * 2**40, 12 * (2**33 + 5), 12 * 2**50, 12, 84)
    assert update.tolist() == [-12, 24]
    assert len(vectors[0].tobytes()) == 6 * 8 + 2 * bits // 8 == grid.length(2) * grid.ring.word_bytes


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
        == LANE_LIMIT
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
