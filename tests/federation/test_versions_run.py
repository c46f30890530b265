"""Three real runs: one model, clusters, and a choice among what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from launched import PATIENT, RunFolder, command, toml
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

PEERS = 6


def test_peers_train_versions_and_choose_among_finished_ones_in_private(tmp_path: Path) -> None:
    common = {"peers": PEERS, "rounds": 3, "data": {"partition": "shards:3"}, "timing": PATIENT}
    unscored = {"scores": {"openings": "off"}}
    lone = {"privacy": {"lone_versions": True}}
    ways = {
        "one": common | unscored,
        "several": common | unscored | lone | {"model": {"clusters": 2}},
        "choice": common | unscored | {"rounds": 1, "model": {"candidates": ["one", "several"]}},
    }
    told = {}
    for out, settings in ways.items():
        file = toml(tmp_path / f"{out}.toml", settings)
        options = ("--ledger", "embedded", "--country", "DEU", "--out", out)
        done = command("run", file, *options, folder=tmp_path, seconds=400)
        assert done.returncode == 0, done.stdout + done.stderr
        told[out] = RunFolder(tmp_path / out).summary
        assert told[out]["audit"] == {"ok": True, "findings": 0}
    assert told["several"]["smallest_honest_sum"] == 1  # nobody knows how many train a version
    assert "2 versions, each a perceptron" in (tmp_path / "several" / "MODEL_CARD.md").read_text()

    found = told["choice"]["selection"]
    names = [version["name"] for version in found["versions"]]
    assert names[0] == told["one"]["aggregate_sha256"]  # as the store and the chain of that run call it
    tally = load_file(tmp_path / "choice" / "model.safetensors")
    assert set(tally) == {"fitting", *(f"tally.{name}" for name in names)}
    used = [version["used_by"] * PEERS for version in found["versions"]]
    assert sum(used) == pytest.approx(PEERS, abs=0.01)
    assert [round(number) for number in used] == pytest.approx(used, abs=0.01)
    own = [load_file(path)["choice"] for path in sorted((tmp_path / "choice" / "secrets").glob("*.model.safetensors"))]
    assert [sum(int(one[0]) == k for one in own) for k in range(3)] == [round(number) for number in used]
    assert f"Version {names[0][:16]} (" in done.stdout
    assert "peers chose among finished models" in done.stdout
    log = (tmp_path / "choice" / "peers" / "peer-01" / "log.txt").read_text()
    assert "suits my rows best: right in" in log
    assert told["choice"]["accuracy"]["local_only"] is None  # nothing was trained that could be trained alone
