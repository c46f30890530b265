"""Real federations that measure scores on rows which each peer holds back: paid, audited clean, pruned and audited."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from launched import PATIENT, RunFolder, command, toml

from peerage_ledger.transcript import NOTHING, RoundTranscript, decode_round

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

PEERS, ROUNDS = 12, 3


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str]:
    folder = tmp_path_factory.mktemp("private")
    file = toml(folder / "f.toml", {"peers": PEERS, "rounds": ROUNDS, "timing": PATIENT})
    settings = ("--validation", "private", "--ledger", "embedded", "--country", "DEU", "--out", "r")
    ended = command("run", *settings, file, folder=folder, seconds=400)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return RunFolder(folder / "r"), ended.stdout


def closed(run: RunFolder) -> list[RoundTranscript]:
    found = []
    for path in (run.path / "store").iterdir():
        try:
            found.append(decode_round(path.read_bytes()))
        except ValueError:
            continue
    return sorted(found, key=lambda t: t.round)


def test_every_round_is_scored_along_the_halves_and_the_audit_is_clean(done: tuple[RunFolder, str]) -> None:
    run, said = done
    assert run.summary["audit"] == {"ok": True, "findings": 0}
    rounds = closed(run)
    assert [t.round for t in rounds] == list(range(1, ROUNDS + 1))
    assert all(t.direction != NOTHING and len(t.gradients) == PEERS for t in rounds)
    assert all(None not in t.numbers for t in rounds)
    assert int(run.summary["rewards"]["paid"]) > 0
    assert "rows that each peer holds back" in said
    assert "each of at least 3 honest peers" in said
    for meter in run.summary["privacy"]["by_peer"].values():
        assert (meter["half_sums"], meter["smallest_honest_half"]) == (ROUNDS, 3)


def test_nobody_blames_anybody_and_everybody_measures_in_the_phase_of_scores(done: tuple[RunFolder, str]) -> None:
    run, _ = done
    for index in range(PEERS):
        name = f"peer-{index + 1:02}"
        assert not run.journal(name, "fault")
        assert not run.journal(name, "unscored")
        signed = [e for e in run.journal(name, "signed") if e["type"] == "PathGradient"]
        assert len(signed) == ROUNDS
        assert all(line["seconds"].get("score", 0) > 0 for line in run.metrics(name))


def test_pruned_path_gradients_are_pruned_and_not_passed(done: tuple[RunFolder, str], tmp_path: Path) -> None:
    run, _ = done
    shutil.copytree(run.path, tmp_path / "r")
    pruned = command("prune", tmp_path / "r", "--keep", "1", folder=tmp_path)
    assert pruned.returncode == 0, pruned.stderr
    again = command("audit", tmp_path / "r", folder=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"{PEERS} path gradients" in again.stdout
    assert "round 2: masked path gradients are pruned" in again.stdout


def test_a_changed_path_gradient_is_found(done: tuple[RunFolder, str], tmp_path: Path) -> None:
    run, _ = done
    shutil.copytree(run.path, tmp_path / "r")
    victim = closed(run)[1].gradients[4].artefact.hex()
    path = tmp_path / "r" / "store" / victim
    blob = bytearray(path.read_bytes())
    blob[100] ^= 1
    path.chmod(0o644)
    path.write_bytes(blob)
    again = command("audit", tmp_path / "r", folder=tmp_path)
    assert again.returncode == 1, again.stdout
    assert victim in again.stdout
    assert "masked path gradient" in again.stdout
