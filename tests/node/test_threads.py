"""How many threads a fine-tune takes: each doubling must pay; what two peers agree on is computed by one."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from peerage.config import DataSettings, Federation
from peerage.config import TrainSettings as TrainSettingsOf
from peerage.effects import Score, Train
from peerage.learning import learner as learning
from peerage.learning import threads as th
from peerage.learning.data import Dataset
from peerage.learning.learner import Learner, rows_of
from peerage.learning.trainer import Trained, TrainSettings

FEDERATION = Federation(peers=3, data=DataSettings(partition="iid"))
ROWS = Dataset(np.zeros((64, 4), np.float32), np.zeros(64, np.int64), ("a", "b"))
SETTINGS = TrainSettings(batch_size=8)


@pytest.mark.parametrize(
    ("seconds", "threads"),
    [
        ({1: 1.0}, 1),
        ({1: 1.0, 2: 0.5, 4: 0.25}, 4),
        ({1: 1.0, 2: 0.79}, 2),
        ({1: 1.0, 2: 0.81}, 1),  # a fifth shorter, or the core is left to others
        ({1: 1.0, 2: 0.5, 4: 0.45, 8: 0.1}, 2),  # the first that does not pay ends it
        ({1: 1.0, 2: 1.5}, 1),
    ],
)
def test_each_doubling_must_pay(seconds: dict[int, float], threads: int) -> None:
    assert th.worthwhile(seconds) == threads


@pytest.mark.parametrize(("cores", "numbers"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4]), (8, [1, 2, 4, 8])])
def test_powers_of_two_up_to_the_cores(cores: int, numbers: list[int]) -> None:
    assert th.numbers(cores) == numbers


class Clock:
    """Time passes by training only: so long for a step, by threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> None:
        self.now, self.tried, self.first = 0.0, list[int](), True

        def train(_model: Any, _rows: Any, _settings: Any, _seed: int) -> Trained:
            threads = torch.get_num_threads()
            self.tried.append(threads)
            self.now += 4 * seconds[threads] * (3 if self.first else 1)  # what is used first is slow
            self.first = False
            return Trained(0.0, 4)

        monkeypatch.setattr(th, "train", train)

    def __call__(self) -> float:
        return self.now


def test_more_threads_are_tried_only_while_they_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, model = Clock(monkeypatch, {1: 0.1, 2: 0.05, 4: 0.049}), torch.nn.Linear(4, 2)
    choice = th.chosen(model, ROWS, SETTINGS, 64, clock=clock)
    assert choice.threads == 2
    assert choice.seconds == pytest.approx({1: 0.1, 2: 0.05, 4: 0.049})
    assert set(clock.tried) == {1, 2, 4}
    assert "2 of the cores" in str(choice)
    assert "4: 49.0 ms" in str(choice)


def test_a_slow_model_is_timed_for_seconds_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, dict.fromkeys((1, 2), 30.0))
    assert th.chosen(torch.nn.Linear(4, 2), ROWS, SETTINGS, 2, clock=clock).threads == 1
    assert len(clock.tried) == 1


def test_one_core_needs_no_measurement() -> None:
    assert th.chosen(torch.nn.Linear(4, 2), ROWS, SETTINGS, 1) == th.Choice(1, {})


def test_a_timing_leaves_the_model_and_the_draws_alone() -> None:
    model = torch.nn.Linear(4, 2)
    before, drawn = model.weight.detach().clone(), torch.get_rng_state()
    th.chosen(model, ROWS, SETTINGS, 2)
    assert torch.equal(model.weight, before)
    assert torch.equal(torch.get_rng_state(), drawn)


def watched(name: str, real: Any, seen: list[tuple[str, int]]) -> Any:
    def call(*arguments: Any, **named: Any) -> Any:
        seen.append((name, torch.get_num_threads()))
        return real(*arguments, **named)

    return call


def calls(monkeypatch: pytest.MonkeyPatch, **how: int) -> list[tuple[str, int]]:
    """It trains and scores once; what was computed by how many threads."""
    seen: list[tuple[str, int]] = []
    monkeypatch.setattr(learning, "chosen", lambda *_: th.Choice(2, {}))
    for name in ("train", "evaluate", "path_gradient"):
        monkeypatch.setattr(learning, name, watched(name, getattr(learning, name), seen))
    done: SimpleQueue[Any] = SimpleQueue()
    made = Learner(FEDERATION, rows_of(FEDERATION, 0, "honest"), 0, "honest", done.put, **how)
    made.submit(Train(made.initial, 1))
    trained = done.get(timeout=60)
    made.submit(Score(bytes(32), 1, made.initial, trained.model - made.initial, (), bytes(32)))
    done.get(timeout=60)
    made.close()
    return seen


@pytest.mark.parametrize(
    ("how", "threads"), [({}, 1), ({"threads": 2}, 2), ({"threads": 0, "cores": 2}, 2), ({"threads": 1, "cores": 2}, 1)]
)
def test_only_the_fine_tune_takes_them(monkeypatch: pytest.MonkeyPatch, how: dict[str, int], threads: int) -> None:
    """Two peers must come to the same direction, bit for bit, whatever their machines: one thread sums in one order."""
    torch.set_num_threads(1)
    seen = calls(monkeypatch, **how)
    assert {name for name, _ in seen} == {"train", "evaluate", "path_gradient"}
    assert {n for name, n in seen if name == "train"} == {threads}
    assert {n for name, n in seen if name != "train"} == {1}


def test_a_function_of_the_users_is_not_timed() -> None:
    federation = msgspec.structs.replace(
        FEDERATION, training=TrainSettingsOf(function="peerage.learning.trainer:train")
    )
    rows = rows_of(federation, 0, "honest")
    for asked, taken in ((0, 1), (3, 3)):
        made = Learner(federation, rows, 0, "honest", lambda _: None, threads=asked, cores=4)
        made.close()
        assert made.choice == th.Choice(taken, {})
