"""The life of one's own version."""

import numpy as np

from peerage.rounds.aggregation import Metrics
from peerage.rounds.version import OwnVersion, Status

BASE = np.array([1, 2, 3], np.float32)
WORK = np.array([0.5, 0, -0.25], np.float32)
NEXT = np.array([10, 20, 30], np.float32)
OWN = Metrics(1, 10, 5, 0)


def fresh() -> OwnVersion:
    return OwnVersion(0, Status.TRAINING, b"", BASE, BASE, OWN).trained(BASE + WORK, OWN)


def test_a_fine_tune_makes_the_next_version_free() -> None:
    assert (fresh().number, fresh().status) == (1, Status.FREE)


def test_what_the_aggregate_contains_is_dropped() -> None:
    after = fresh().locked(b"s").adopted(NEXT, consumed=True)
    assert after.status is Status.TRAINING
    assert np.array_equal(after.local, NEXT)


def test_what_the_aggregate_does_not_contain_moves_along_and_stays_free() -> None:
    after = fresh().adopted(NEXT, consumed=False)
    assert (after.status, after.number) == (Status.FREE, 1)
    assert np.array_equal(after.local, NEXT + WORK)


def test_a_result_that_comes_late_takes_off_only_what_was_sent() -> None:
    later = fresh().locked(b"s").spent().trained(BASE + WORK + WORK, OWN)
    after = later.adopted(NEXT, consumed=True)
    assert (after.status, after.number) == (Status.FREE, 2)
    assert np.array_equal(after.local, NEXT + WORK)


def test_a_locked_version_that_another_round_overtook_is_trained_anew_and_loses_no_work() -> None:
    after = fresh().locked(b"s").adopted(NEXT, consumed=False)
    assert after.status is Status.TRAINING
    assert np.array_equal(after.local, NEXT + WORK)


def test_released_is_free_under_the_same_number_and_spent_is_not() -> None:
    locked = fresh().locked(b"s")
    assert (locked.released().status, locked.released().number) == (Status.FREE, 1)
    assert locked.spent().trained(BASE, OWN).number == 2
