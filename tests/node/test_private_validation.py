"""Private validation from the settings to a peer's own rows: what is refused, what is held back, what g is made of."""

import msgspec
import numpy as np
import pytest

from peerage.config import DataSettings, Federation, PrivacySettings, Region, RobustSettings, ScoreSettings
from peerage.config_checks import check_federation
from peerage.effects import Measure, Measured, Score
from peerage.learning.learner import Learner, rows_of
from peerage.learning.model import to_vector
from peerage.learning.scoring import cosine, cross_directions, gradient_units, novel, path_gradient
from peerage.rounds.aggregation import Grid
from peerage.rounds.grid import longest_direction
from peerage.validation import MOST_BYTES, check_peers, check_vectors
from peerage_crypto.crossfit import FRAC_BITS
from peerage_crypto.errors import InputError

PRIVATE = Federation(peers=12, data=DataSettings(validation="private", partition="iid"))
change = msgspec.structs.replace
SEED = b"s" * 32
GRID = Grid(32, 16, 8.0)


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"peers": 9}, "the nearest that can is peers = 10"),
        ({"peers": 4}, "the nearest that can is peers = 10"),
        ({"peers": 33}, "sparse graph do not hold a half together: the nearest that can is peers = 32"),
        ({"exchange": "plain"}, 'choose exchange = "masked"'),
        ({"scores": ScoreSettings(openings="off")}, "for nothing"),
        ({"privacy": PrivacySettings(noise=0.1), "scores": ScoreSettings(openings="off")}, "for nothing"),
        ({"robust": RobustSettings(rule="median", buckets=2), "peers": 20}, "leave out regions and robust.buckets"),
        (
            {
                "regions": (
                    Region(name="a", peers=tuple(f"peer-{i:02}" for i in range(1, 7))),
                    Region(name="b", peers=tuple(f"peer-{i:02}" for i in range(7, 13))),
                )
            },
            "leave out regions and robust.buckets",
        ),
        (
            {"data": DataSettings(validation="private", validation_donor="peer-03")},
            "leave validation_file and validation_donor empty",
        ),
    ],
)
def test_what_cannot_keep_its_promise_is_refused_with_what_can(how, words):
    with pytest.raises(InputError, match="private") as refused:
        check_federation(change(PRIVATE, **how))
    assert words in str(refused.value)


def test_noise_and_private_validation_are_never_together():
    """The sums of path gradients carry no noise: epsilon would promise too much."""
    for openings in ("round", "off"):
        noisy = change(PRIVATE, privacy=PrivacySettings(noise=0.1), scores=ScoreSettings(openings=openings))
        with pytest.raises(InputError):
            check_federation(noisy)


def test_a_federation_that_can_is_told_what_its_halves_hide():
    (warning,) = check_federation(PRIVATE)
    assert "of 3 honest peers" in warning
    assert "any peer that is lost" in warning
    (warning,) = check_federation(change(PRIVATE, peers=16))
    assert "more than 1 lost peers of one half" in warning


def test_every_size_that_is_legal_is_accepted_and_no_other():
    for peers in range(3, 40):
        if 10 <= peers <= 32:
            check_peers(peers)
        else:
            with pytest.raises(InputError):
                check_peers(peers)


def test_so_many_bytes_of_gradients_are_refused_with_the_largest_model_that_fits():
    most = MOST_BYTES // (12 * 4)
    check_vectors(12, most)
    with pytest.raises(InputError, match=f"at most {most} parameters"):
        check_vectors(12, most + 1)


# -- rows --------------------------------------------------------------------------------------------------------------


def test_rows_that_are_held_back_are_never_trained_on_and_nothing_is_public():
    rows = rows_of(PRIVATE, 3, "honest")
    assert rows.validation is None
    whole = len(rows.own) + len(rows.held_out)
    assert len(rows.held_out) == pytest.approx(0.2 * whole, abs=1)
    assert not {r.tobytes() for r in rows.own.features} & {r.tobytes() for r in rows.held_out.features}


def test_the_public_slice_is_trained_on_where_nobody_needs_it():
    shared = change(PRIVATE, data=DataSettings(partition="iid"))
    count = {f.data.validation: sum(len(rows_of(f, i, "honest").own) for i in range(12)) for f in (PRIVATE, shared)}
    held = sum(len(rows_of(PRIVATE, i, "honest").held_out) for i in range(12))
    assert count["private"] + held == 1438
    assert count["shared"] < 1438 - 143


def test_holdout_is_a_setting():
    half = change(PRIVATE, scores=ScoreSettings(holdout=0.5))
    rows = rows_of(half, 0, "honest")
    assert len(rows.held_out) == pytest.approx(len(rows.own), abs=2)


def test_a_peer_with_too_few_rows_to_hold_back_is_named():
    few = change(PRIVATE, scores=ScoreSettings(holdout=0.004))
    with pytest.raises(InputError, match="peer-01 would hold back 0 of its"):
        rows_of(few, 0, "honest")


# -- what a peer measures ----------------------------------------------------------------------------------------------


def test_a_peer_measures_its_own_rows_and_says_its_direction_only():
    rows = rows_of(PRIVATE, 0, "honest")
    answers: list[object] = []
    learner = Learner(PRIVATE, rows, 0, "honest", answers.append)
    base = to_vector(learner.model)
    step = np.full_like(base, 0.01)
    measured = learner._answer(Measure(SEED, 1, base, step, b"d" * 32))
    learner.close()
    assert isinstance(measured, Measured)
    assert measured.units is not None
    assert float(np.linalg.norm(measured.units)) == pytest.approx(2.0**FRAC_BITS, rel=1e-3)
    gbar = path_gradient(learner.model, base, step, rows.held_out, classes_alike=True)
    assert cosine(measured.units, gbar) > 0.999999


@pytest.mark.parametrize("worst", [np.nan, np.inf])
def test_a_gradient_that_is_no_number_is_none(worst):
    assert gradient_units(np.array([1.0, worst]), SEED) is None


def test_a_gradient_without_length_stays_one():
    assert not gradient_units(np.zeros(5), SEED).any()


# -- the directions ----------------------------------------------------------------------------------------------------


def sums(size: int = 50) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    return draw.integers(-(10**6), 10**6, size), draw.integers(-(10**6), 10**6, size)


def test_each_half_is_scored_along_the_sum_of_the_other():
    first, second = sums()
    g, _ = cross_directions((first, second), (), SEED, GRID)
    assert cosine(g[0], second) > 0.9999
    assert cosine(g[1], first) > 0.9999
    assert abs(cosine(g[0], first)) < 0.5


def test_a_longer_sum_pays_no_more():
    first, second = sums()
    g, exponent = cross_directions((first, second), (), SEED, GRID)
    longer, same = cross_directions((100 * first, second), (), SEED, GRID)
    assert exponent == same
    assert np.array_equal(g, longer)


def test_both_rows_are_integers_of_one_scale_that_fit_the_ring():
    first, second = sums()
    known = second.astype(np.float32)  # most of what half 0 would be scored along was told by the last step
    g, exponent = cross_directions((first, second + 5), (known,), SEED, GRID)
    lengths = [float(np.linalg.norm(row)) for row in g]
    assert max(lengths) <= longest_direction(GRID, 50)
    assert 2 * max(lengths) > longest_direction(GRID, 50) - 100
    assert lengths[0] < 0.1 * lengths[1]
    rest = novel((second + 5) / np.linalg.norm(second + 5), (known,))
    assert float(np.abs(g[0] - rest * 2.0**exponent).max()) <= 1


def test_the_same_sums_give_the_same_bits():
    one = cross_directions(sums(), (np.ones(50, np.float32),), SEED, GRID)
    again = cross_directions(sums(), (np.ones(50, np.float32),), SEED, GRID)
    assert np.array_equal(one[0], again[0])
    assert one[1] == again[1]


def test_the_directions_do_not_wait_for_a_training():
    """They are made of integers that all know, beside the thread that trains."""
    rows = rows_of(PRIVATE, 0, "honest")
    learner = Learner(PRIVATE, rows, 0, "honest", lambda _: None)
    base = to_vector(learner.model)
    pair = (np.arange(base.size), np.arange(base.size)[::-1].copy())
    done = learner.cross_score(Score(SEED, 1, base, base, (), SEED, pair))
    learner.close()
    assert done.direction.shape == (2, base.size)
