"""`training.counts = "held-out"`: counts under the masks of rows that nobody trains on, and the best round by them."""

from queue import SimpleQueue

import numpy as np
import pytest
from msgspec.structs import replace

from peerage.config import DataSettings, Federation, PrivacySettings, TrainSettings
from peerage.config_checks import check_federation
from peerage.config_toml import federation_hash
from peerage.effects import Train, Trained
from peerage.launch import summary as s
from peerage.learning.learner import Learner, rows_of
from peerage.learning.model import from_vector
from peerage.learning.trainer import evaluate
from peerage.metrics import RoundMetrics
from peerage_crypto.errors import InputError

FEDERATION = Federation(
    peers=8, data=DataSettings(partition="iid"), training=TrainSettings(counts="held-out", learning_rate=0.3)
)


def trained(federation: Federation) -> tuple[Learner, Trained, np.ndarray]:
    done: SimpleQueue[object] = SimpleQueue()
    learner = Learner(federation, rows_of(federation, 1, "honest"), 1, "honest", done.put)
    try:
        start = learner.initial + np.random.default_rng(0).normal(0, 0.2, learner.initial.size).astype(np.float32)
        learner.submit(Train(start, 1))
        answer = done.get(timeout=60)
        assert isinstance(answer, Trained), answer
        return learner, answer, start
    finally:
        learner.close()


def test_a_peer_counts_its_held_out_rows_with_the_model_that_came_in() -> None:
    learner, told, start = trained(FEDERATION)
    held_out = learner.rows.held_out
    from_vector(learner.model, start)
    before = evaluate(learner.model, held_out)
    from_vector(learner.model, told.model)
    after = evaluate(learner.model, held_out)
    assert before.correct < after.correct  # so that counting with the wrong one would show
    assert (told.examples, told.correct, told.mean_loss) == (len(held_out), before.correct, before.loss)
    assert len(held_out) < len(learner.rows.own)


def test_what_is_trained_is_the_same_whatever_is_counted() -> None:
    _, one, _ = trained(FEDERATION)
    _, other, _ = trained(replace(FEDERATION, training=replace(FEDERATION.training, counts="training")))
    assert np.array_equal(one.model, other.model)
    assert one.examples < other.examples


def lines(*validated: float | None) -> tuple[RoundMetrics, ...]:
    return tuple(
        RoundMetrics(round=number, aggregate=f"a{number}", validated=share) for number, share in enumerate(validated, 1)
    )


def test_the_best_is_the_round_before_the_one_that_counted_it_and_the_earliest_of_equals() -> None:
    found = s.best({"peer-01": lines(0.1, 0.6, 0.9, 0.9, 0.8), "peer-02": lines(0.1, 0.6, 0.9, 0.9, 0.8)})
    assert found == s.Best(round=2, aggregate_sha256="a2", validated=0.9)
    assert s.best({"peer-01": lines(None, None)}) is None
    assert s.best({"peer-01": lines(0.4)}) is None  # of the first model, which no round made
    torn = {"peer-01": lines(0.1, 0.5), "peer-02": lines(0.1, 0.5), "peer-03": lines(0.1, 0.99)}
    assert s.best(torn) == s.Best(round=1, aggregate_sha256="a1", validated=0.5)  # what most have read from the sum


@pytest.mark.parametrize(
    ("federation", "says"),
    [
        (replace(FEDERATION, exchange="plain"), "weighs a merge"),
        (replace(FEDERATION, privacy=PrivacySettings(noise=1.0)), "no count leaves a peer"),
    ],
)
def test_where_counts_are_not_exact_and_masked_it_is_refused(federation: Federation, says: str) -> None:
    with pytest.raises(InputError, match=says):
        check_federation(federation)


def test_it_is_a_rule_of_the_federation() -> None:
    plain = replace(FEDERATION, training=replace(FEDERATION.training, counts="training"))
    assert federation_hash(FEDERATION) != federation_hash(plain)
