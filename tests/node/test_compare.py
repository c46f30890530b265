"""`peerage compare`: which runs belong together, and what is said of the differences between them."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from peerage.cli.main import app
from peerage.comparison import MEASURES, Run, differences, document, grouped, in_words, page
from peerage.comparison.settings import changed
from peerage.config import DataSettings, Federation, TrainSettings
from peerage.config_toml import to_toml
from peerage.launch import summary as s

if TYPE_CHECKING:
    from pathlib import Path

SKEWED = Federation(peers=3, data=DataSettings(partition="dirichlet:0.1"))
LONGER = Federation(peers=3, data=DataSettings(partition="dirichlet:0.1"), training=TrainSettings(epochs=5))


def summary(accuracy: float | None, **more: Any) -> s.Summary:
    plain = {
        "name": "r",
        "peers": 3,
        "rounds": 2,
        "exchange": "masked",
        "seed": 0,
        "aggregate_sha256": "ab" * 32,
        "accuracy": s.Accuracy(aggregate=accuracy, mean=accuracy, min=accuracy),
        "seconds": s.Seconds(total=4.0),
        "bytes": s.Traffic(sent=1_000_000, raw=1000),
        "ledger": s.LedgerCost(engine="anvil", chain_id=31337, gas=6000),
        "rewards": s.Rewards(pool="0", paid="0"),
        "emissions": s.Emissions(energy_wh=0.01),
        "missing": (),
        "smallest_honest_sum": 3,
        "validation": "",
        "accounts": {},
    }
    return s.Summary(**(plain | more))


def run(settings: Federation, seed: int, accuracy: float | None, **more: Any) -> Run:
    settings = type(settings)(**{f: getattr(settings, f) for f in settings.__struct_fields__} | {"seed": seed})
    return Run(f"run-{seed}-{accuracy}", settings, summary(accuracy, **more), ((1, 0.4), (2, accuracy or 0.5)))


def of(key: str, found: Any) -> Any:
    return next(one for one in found if one.measure.key == key)


def test_runs_that_differ_by_their_seed_belong_together() -> None:
    groups = grouped([run(SKEWED, 0, 0.8), run(LONGER, 0, 0.9), run(SKEWED, 1, 0.82), run(LONGER, 7, 0.9)])
    assert [(g.letter, [r.settings.seed for r in g.runs]) for g in groups] == [("A", [0, 1]), ("B", [0, 7])]
    assert [key for key, _, _ in changed(SKEWED, LONGER)] == ["training.epochs"]


def test_a_difference_larger_than_the_spread_is_said_with_both() -> None:
    groups = grouped([run(SKEWED, 0, 0.80), run(SKEWED, 1, 0.82), run(LONGER, 0, 0.90), run(LONGER, 1, 0.91)])
    found = of("accuracy", differences(groups))
    assert found.change == pytest.approx(9.5)
    assert found.spread == pytest.approx(2**0.5)  # the sample standard deviation of 80 and 82
    assert found.real is True
    text = in_words(groups)
    assert "B against A, accuracy of the final model: 9.50 % more, better; the spread over seeds is 1.41." in text
    assert "training.epochs: 2 in A, 5 in B" in text
    assert "81.0 % ± 1.41" in text
    assert "Unknown" not in text


def test_a_difference_within_the_spread_is_none() -> None:
    groups = grouped([run(SKEWED, 0, 0.70), run(SKEWED, 1, 0.90), run(LONGER, 0, 0.75), run(LONGER, 1, 0.95)])
    assert of("accuracy", differences(groups)).real is False
    assert "No difference is larger than the spread over seeds." in in_words(groups)


def test_with_one_seed_nothing_is_claimed() -> None:
    groups = grouped([run(SKEWED, 0, 0.1), run(LONGER, 0, 0.9), run(LONGER, 1, 0.9)])
    assert {one.real for one in differences(groups)} == {None}
    text = in_words(groups)
    assert "Unknown whether more than another seed would make: accuracy" in text
    assert "better" not in text
    assert "No difference" not in text, "nobody knows"


def test_what_a_run_does_not_know_is_unknown_and_never_zero() -> None:
    groups = grouped([run(SKEWED, 0, None), run(LONGER, 0, 0.9)])
    assert "accuracy" not in {one.measure.key for one in differences(groups)}
    row = next(line for line in in_words(groups).splitlines() if line.startswith("accuracy of the final model"))
    assert "unknown" in row
    told = document(groups)
    assert told["groups"][0]["measures"]["accuracy"]["mean"] is None


def test_runs_of_one_setting_have_nothing_to_be_compared_with() -> None:
    assert "nothing to compare" in in_words(grouped([run(SKEWED, 0, 0.8), run(SKEWED, 1, 0.8)]))


@given(
    here=st.lists(st.floats(0, 1), min_size=1, max_size=5),
    there=st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
def test_the_other_way_round_it_is_the_same_difference_with_the_other_sign(
    here: list[float], there: list[float]
) -> None:
    one = [run(SKEWED, seed, value) for seed, value in enumerate(here)]
    other = [run(LONGER, seed, value) for seed, value in enumerate(there)]
    forth, back = differences(grouped([*one, *other])), differences(grouped([*other, *one]))
    for a, b in zip(forth, back, strict=True):
        assert a.change == -b.change
        assert (a.spread, a.real) == (b.spread, b.real)
    twin = differences(grouped([*one, *(run(LONGER, seed, value) for seed, value in enumerate(here))]))
    assert {d.change for d in twin} == {0.0}
    assert True not in {d.real for d in twin}


def test_the_page_loads_nothing_and_shows_every_measure() -> None:
    groups = grouped([run(SKEWED, 0, 0.80), run(LONGER, 0, 0.90)])
    text = page(groups)
    assert text.count("<figure>") == 6, "four of bars, a curve for each group"
    assert "src=" not in text
    assert "<script" not in text
    assert all(escape(measure.name) in text for measure in MEASURES)


# -- the command ------------------------------------------------------------------------------------------------------


def written(folder: Path, one: Run) -> Path:
    folder.mkdir()
    (folder / "federation.toml").write_text(to_toml(one.settings))
    (folder / "summary.json").write_bytes(one.summary.to_json())
    return folder


def test_the_command_reads_folders(tmp_path: Path) -> None:
    a, b = written(tmp_path / "a", run(SKEWED, 0, 0.8)), written(tmp_path / "b", run(LONGER, 0, 0.9))
    done = CliRunner().invoke(app, ["compare", str(a), str(b), "--out", str(tmp_path / "c.html")])
    assert done.exit_code == 0, done.output
    assert "A: a (seed 0)" in done.output
    assert (tmp_path / "c.html").read_text().startswith("<!doctype html>")
    told = json.loads(CliRunner().invoke(app, ["compare", str(a), str(b), "--json"]).output)
    assert [group["group"] for group in told["groups"]] == ["A", "B"]
    assert told["groups"][1]["settings"] == {"training.epochs": "5"}


@pytest.mark.parametrize(("which", "why"), [("one", "at least two"), ("twice", "named twice"), ("none", "is no run")])
def test_what_cannot_be_compared_is_said_in_a_sentence(tmp_path: Path, which: str, why: str) -> None:
    from peerage.comparison import read_runs
    from peerage_crypto.errors import InputError

    a = written(tmp_path / "a", run(SKEWED, 0, 0.8))
    (tmp_path / "empty").mkdir()
    folders = {"one": [a], "twice": [a, tmp_path / "x" / ".." / "a"], "none": [a, tmp_path / "empty"]}[which]
    (tmp_path / "x").mkdir()
    with pytest.raises(InputError, match=why):
        read_runs(folders)


def test_a_run_that_has_not_ended_is_not_compared(tmp_path: Path) -> None:
    from peerage.comparison import read_runs
    from peerage_crypto.errors import InputError

    a, b = written(tmp_path / "a", run(SKEWED, 0, 0.8)), written(tmp_path / "b", run(LONGER, 0, 0.9))
    (b / "summary.json").unlink()
    with pytest.raises(InputError, match="let the run end"):
        read_runs([a, b])
