"""`peerage search`: what is tried for how long, who goes on, and what is refused before anything runs."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from peerage.cli.main import app
from peerage.config import Federation, Part, RewardSettings
from peerage.config_toml import load_federation, to_toml
from peerage.search import axis_of, beginning, in_words, plan_of, search, searching
from peerage.search.plan import rungs_of, tried
from peerage.search.searching import SCHEMA, Asked, Outcome, Place
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

BASE = Federation(peers=4, rounds=16, seed=5)
RATES = axis_of("training.learning_rate=0.03,0.1,0.3,1")
OPTIMISERS = axis_of("merge.optimiser=nesterov,fedavg")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("training.epochs=1,2", (1, 2)),
        ("training.learning_rate = 0.03, 0.1", (0.03, 0.1)),
        ("merge.optimiser=fedavg,fedadam", ("fedavg", "fedadam")),
        ("training.scaffold=true,false", (True, False)),
        ("model.factory=a.py:build,b.py:build", ("a.py:build", "b.py:build")),
    ],
)
def test_values_are_read_as_in_a_federation_file(text, values) -> None:
    found = axis_of(text).values
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("training.epochs", "which setting and which values"),
        ("=1,2", "which setting and which values"),
        ("training.epochs=1,,2", "which setting and which values"),
        ("training.epochs=1,1", "stands there twice"),
        ("peers=3,4", "what it compares them on"),
        ("data.partition=iid,shards:2", "what it compares them on"),
        ("seed=0,1", "what it compares them on"),
    ],
)
def test_what_is_no_question_is_refused(text, why) -> None:
    with pytest.raises(InputError, match=why):
        axis_of(text)


def test_all_combinations_the_last_setting_fastest() -> None:
    plan = plan_of(BASE, [RATES, OPTIMISERS])
    assert [trial.number for trial in plan.trials] == list(range(1, 9))
    assert [tuple(trial.settings.values()) for trial in plan.trials[:3]] == [
        (0.03, "nesterov"),
        (0.03, "fedavg"),
        (0.1, "nesterov"),
    ]
    assert list(plan.trials[0].settings) == ["training.learning_rate", "merge.optimiser"]
    assert [(r.trials, r.rounds, r.total) for r in plan.rungs] == [(8, 4, 4), (4, 4, 8), (2, 8, 16)]
    assert (plan.trained, plan.exhaustive) == (64, 128)


def test_some_of_a_large_grid_are_drawn_by_the_seed() -> None:
    axes = [axis_of(f"training.{name}=" + ",".join(map(str, range(1, 60)))) for name in ("epochs", "batch_size")]
    axes += [axis_of("merge.momentum=" + ",".join(f"0.{n:03}" for n in range(1, 900)))]
    one, again = plan_of(BASE, axes, trials=6), plan_of(BASE, axes, trials=6)
    assert one == again
    assert len({json.dumps(trial.settings) for trial in one.trials}) == 6
    other = plan_of(Federation(peers=4, rounds=16, seed=6), axes, trials=6)
    assert other.trials != one.trials


@given(st.integers(2, 64), st.integers(2, 300), st.integers(2, 8))
def test_each_step_is_smaller_and_ends_with_all_rounds(trials, rounds, halving) -> None:
    try:
        rungs = rungs_of(trials, rounds, halving)
    except InputError as refused:
        assert f"rounds = {rounds} are too few" in str(refused)  # noqa: PT017 - which of the two is the property
        return
    assert rungs[0].trials == trials
    assert rungs[-1].total == sum(rung.rounds for rung in rungs) <= rounds
    assert rungs[-1].total == rounds or len(rungs) > 1
    assert all(rung.rounds >= 2 for rung in rungs)
    assert all(1 < after.trials < before.trials for before, after in pairwise(rungs))
    assert -(-rungs[-1].trials // halving) == 1


@pytest.mark.parametrize(
    ("axes", "more", "why"),
    [
        (["training.epochs=2"], {}, "nothing to be compared with"),
        (["training.epochs=1,2", "training.epochs=3,4"], {}, "one setting twice"),
        (["training.epoch=1,2"], {}, "training.epochs"),
        (["training.epochs=1,0"], {}, "training.epochs = 0"),
        (["merge.optimiser=fedavg,adam"], {}, "takes"),
        (["masking.random_k=0.5,2"], {}, "random_k"),
        (["training.epochs=" + ",".join(map(str, range(1, 80)))], {}, "64 at most"),
        (["training.epochs=1,2,3,4,5,6,7,8", "merge.optimiser=fedavg,momentum"], {}, "choose rounds = 8"),
    ],
)
def test_a_search_that_cannot_run_is_refused_before_it_begins(axes, more, why) -> None:
    with pytest.raises(InputError, match=why):
        plan_of(Federation(peers=4, rounds=6), [axis_of(text) for text in axes], **more)


def test_trials_pay_nobody_and_count_on_rows_that_nobody_trains_on() -> None:
    base = Federation(
        peers=4,
        rewards=RewardSettings(green_bonus=500, green_pool="1000"),
        cast=(Part(peer="peer-01", behaviour="nan"),),
    )
    found = tried(base, {"training.epochs": 7}, 3, "runs/earlier")
    assert (found.rounds, found.training.epochs, found.training.counts) == (3, 7, "held-out")
    assert (found.scores.openings, found.rewards.green_bonus, found.cast) == ("off", 0, ())
    assert found.model.start == "runs/earlier"
    assert (found.seed, found.data.partition) == (base.seed, base.data.partition)


SCORES = {(1, 1): 0.3, (2, 1): 0.6, (3, 1): 0.6, (4, 1): 0.2, (2, 2): 0.55, (3, 2): 0.7}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Trials that end as they are told to, so that the choice between them is what is tested."""
    seen: list[tuple[int, int]] = []

    def end(_base, plan, _place, trial, rung) -> Outcome:
        seen.append((trial, rung))
        rounds = plan.rungs[rung - 1].rounds
        return Outcome(
            trial=trial, rung=rung, rounds=rounds, validated=SCORES[trial, rung], joules=10.0 * rounds, bytes=1,
            seconds=1.0, quality="modelled",
        )  # fmt: skip

    monkeypatch.setattr(searching, "_tried", end)
    return seen


def test_the_better_half_goes_on_and_the_best_is_written_down(tmp_path: Path, played) -> None:
    base = Federation(peers=4, rounds=8)
    place, said = Place(tmp_path / "s"), list[str]()
    plan = place.opened(base, Asked(schema=SCHEMA, axes=(RATES,), trials=0, halving=2))
    found = search(base, plan, place, said.append)
    assert played == [(1, 1), (2, 1), (3, 1), (4, 1), (2, 2), (3, 2)]
    assert (found.best, found.settings) == (3, {"training.learning_rate": 0.3})
    assert (found.validated, round(found.ahead, 6)) == (0.7, 0.1)  # trial 2 keeps its best: 0.6
    assert [(o.trial, o.rung) for o in found.outcomes if o.goes_on] == [(2, 1), (3, 1), (3, 2)]
    assert (found.rounds, found.rounds_of_all, found.joules) == (24, 32, 240.0)
    assert found.joules_left_out == pytest.approx(80.0)
    written = load_federation(place.chosen)
    assert (written.training.learning_rate, written.rounds, written.training.counts) == (0.3, 8, "training")
    words = in_words(found, place.root)
    assert "10.0 points ahead" in words
    assert "about 80.0 J more (modelled" in words
    assert "3 *" in words
    assert "24 rounds where all trials to the end would take 32" in beginning(base, plan, place.root)


def test_of_equals_the_first_goes_on(tmp_path: Path, played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCORES, (3, 2), 0.55)
    base, place = Federation(peers=4, rounds=8), Place(tmp_path / "s")
    plan = place.opened(base, Asked(schema=SCHEMA, axes=(RATES,), trials=0, halving=2))
    assert search(base, plan, place, lambda _: None).best == 2
    assert played[-1] == (3, 2)


def test_a_search_goes_on_with_what_was_asked(tmp_path: Path) -> None:
    place = Place(tmp_path / "s")
    asked = Asked(schema=SCHEMA, axes=(RATES, OPTIMISERS), trials=5, halving=3)
    plan = place.opened(BASE, asked)
    base, again = place.resumed()
    assert (base, again) == (BASE, plan)
    with pytest.raises(InputError, match="not empty"):
        place.opened(BASE, asked)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "nothing to search over"),
        (["--resume"], "--resume needs --out"),
        (["--resume", "--out", "none"], "holds no search"),
        (["--resume", "--out", "x", "--over", "training.epochs=1,2"], "leave the other settings out"),
        (["missing.toml", "--over", "training.epochs=1,2"], "missing.toml does not exist"),
        (["--over", "training.epochs=1,2", "--out", "full"], "not empty"),
    ],
)
def test_the_command_refuses_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments, why) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").write_text("")
    done = CliRunner().invoke(app, ["search", *arguments])
    assert isinstance(done.exception, InputError)
    assert why in str(done.exception)
    assert not list(tmp_path.glob("runs/*"))


def test_a_damaged_question_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "asked.json").write_text("{}")
    (tmp_path / "base.toml").write_text(to_toml(BASE))
    with pytest.raises(InputError, match="not what a search writes"):
        Place(tmp_path).resumed()
