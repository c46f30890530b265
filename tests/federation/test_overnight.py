"""A night in small (examples/overnight.toml): sixteen real peers; kills, a freeze, a slow site, garbage and a lying
initiator. It ends by itself, audits clean, names everybody concerned, and every honest site's work is in the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from launched import Launched, RunFolder, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
ROUNDS = 8
DEAD = {"peer-03", "peer-14"}
LIARS = {"peer-09": "garbage", "peer-11": "dropped_alive"}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Launched]:
    out = tmp_path_factory.mktemp("night") / "run"
    file = ROOT / "examples" / "overnight.toml"
    arguments = ["run", str(file), "--rounds", str(ROUNDS), "--ledger", "embedded", "--country", "DEU"]
    text = file.read_text().replace('"examples/', f'"{ROOT}/examples/')
    (out.parent / "overnight.toml").write_text(text)
    arguments[1] = str(out.parent / "overnight.toml")
    with Launched([*arguments, "--out", str(out)], out.parent) as launched:
        assert launched.end(240) == 0, launched.said
        wait_until(lambda: not launched.pids(), 60, "every process to end with it")  # the fork server notices EOF
    return RunFolder(out), launched


def names(lines: Iterable[dict[str, object]]) -> set[object]:
    return {line["peer"] for line in lines}


def test_it_ends_by_itself_and_audits_clean(night: tuple[RunFolder, Launched]) -> None:
    run, launched = night

    assert run.summary["audit"] == {"ok": True, "findings": 0}
    assert run.summary["lost"] == {}  # nobody ended whom the night did not end
    assert f"16 peers trained {ROUNDS} rounds" in launched.said


def test_whoever_lives_stands_on_the_same_models(night: tuple[RunFolder, Launched]) -> None:
    run, _ = night
    living = [name for name in run.summary["accounts"] if name not in DEAD]
    histories = {name: run.aggregates(name) for name in living}

    assert {len(history) for history in histories.values()} == {ROUNDS}
    assert len({tuple(history) for history in histories.values()}) == 1


def test_every_honest_living_sites_work_is_in_the_model(night: tuple[RunFolder, Launched]) -> None:
    """Also that of the slow one, of the one that stood still and of the one that lost power and came back."""
    run, _ = night
    missing = {(line["peer"], line["round"]) for line in run.summary["missing"]}
    honest = set(run.summary["accounts"]) - DEAD - LIARS.keys()

    assert not {name for name in honest if (name, ROUNDS) in missing}
    earned = run.summary["rewards"]["by_peer"]
    assert all(int(earned[run.summary["accounts"][name]]) > 0 for name in honest)


def test_who_was_missing_is_named_with_the_rounds(night: tuple[RunFolder, Launched]) -> None:
    run, launched = night
    absent = {name: {line["round"] for line in run.summary["missing"] if line["peer"] == name} for name in DEAD}

    assert absent["peer-03"] >= set(range(5, ROUNDS + 1))
    assert absent["peer-14"] >= set(range(7, ROUNDS + 1))
    assert {"peer-03", "peer-14", "peer-05", "peer-09"} <= names(run.summary["missing"])
    line = next(line for line in launched.said.splitlines() if line.startswith("Missing: "))
    assert all(f"{name} in round" in line for name in ("peer-03", "peer-14", "peer-05", "peer-09"))


def test_who_misbehaved_is_named_with_what_it_rests_on(night: tuple[RunFolder, Launched]) -> None:
    run, launched = night
    faults = run.summary["faults"]
    garbage = [f for f in faults if f["peer"] == "peer-09" and "no message of ours" in f["sentence"]]
    lie = [f for f in faults if f["peer"] == "peer-11" and "left out a peer whose vector can be had" in f["sentence"]]

    assert any(f["proof"] == "many" for f in garbage)
    assert any(f["proof"] == "many" for f in lie)
    for fault in [*garbage, *lie]:  # the evidence is a line that is there and says so
        place, _, number = fault["evidence"].partition(":")
        line = (run.path / place).read_text().splitlines()[int(number) - 1]
        assert run.summary["accounts"][fault["peer"]].lower() in line
    said = launched.said
    assert "peer-09 in round" in said
    assert "peer-11 in round" in said
    assert "more than can collude: peers/peer-" in said


def test_an_honest_peer_is_named_by_circumstance_at_most(night: tuple[RunFolder, Launched]) -> None:
    """A join that reached everybody but an honest initiator (its sender was killed or frozen) looks like a lie of its;
    no signature says so, and the words say that none does.
    """
    run, launched = night
    honest = [f for f in run.summary["faults"] if f["peer"] not in LIARS and set(f["by"]) - LIARS.keys()]

    assert all("leaves out" in f["sentence"] or "not in time" in f["sentence"] for f in honest), honest
    assert not any(f["proof"] == "signatures" for f in run.summary["faults"])
    assert "PROVEN" not in launched.said


def test_every_part_is_announced(night: tuple[RunFolder, Launched]) -> None:
    run, launched = night
    log = (run.path / "run.log").read_text()

    assert set(run.summary["parts"]) == DEAD | LIARS.keys() | {"peer-05", "peer-07", "peer-12"}
    for name, part in run.summary["parts"].items():
        assert f"CAST: {name} {part}." in log
        assert f"CAST: {name} {part}." in launched.said
    assert "peer-12 was frozen" in log
    assert "peer-12 thaws" in log
