"""A real federation with noise: epsilon in its summary, nothing leaves beside noisy sums, and the audit agrees."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from launched import PATIENT, RunFolder, command, toml

from peerage.rounds.aggregation import split_sum
from peerage_crypto.fixedpoint import ring
from peerage_ledger.transcript import NOTHING, decode_round, decode_session

if TYPE_CHECKING:
    from pathlib import Path

    from peerage_crypto.session import SessionTranscript

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def sessions(store: Path) -> list[SessionTranscript]:
    found = []
    for path in sorted(store.iterdir()):
        try:
            found.append(decode_session(path.read_bytes()))
        except ValueError:
            continue
    return found


def test_a_run_with_noise_says_its_epsilon_and_audits_clean(tmp_path: Path) -> None:
    import numpy as np

    settings = {
        "peers": 4,
        "rounds": 3,
        "training": {"batch_size": 16, "learning_rate": 0.3},
        "masking": {"clip": 0.5, "frac_bits": 12},
        "scores": {"openings": "off"},
        "privacy": {"noise": 0.5},
        "timing": PATIENT,
    }
    file = toml(tmp_path / "f.toml", settings)
    done = command("run", file, "--ledger", "embedded", "--country", "DEU", "--out", "r", folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    told = RunFolder(tmp_path / "r").summary
    assert told["audit"] == {"ok": True, "findings": 0}
    assert told["rewards"]["paid"] == "0"
    meters = told["privacy"]["by_peer"]
    assert len(meters) == 4
    for meter in meters.values():
        assert (meter["sums"], meter["perhaps"], meter["numbers_opened"]) == (3, 0, 0)
        assert 10 < meter["epsilon"] < meter["epsilon_alone"]
        assert meter["delta"] == 1e-5
    assert "No amplification is claimed" in done.stdout
    lines = (tmp_path / "r" / "peers" / "peer-01" / "metrics.jsonl").read_text().splitlines()
    spent = [json.loads(line)["privacy"]["epsilon"] for line in lines]
    assert spent == sorted(spent)
    assert spent[-1] == meters[told["accounts"]["peer-01"]]["epsilon"]

    store = tmp_path / "r" / "store"
    seen = sessions(store)
    assert len(seen) == 3
    for session in seen:
        assert {join.statement.data_manifest for join in session.joins} == {bytes(32)}  # no hash of anybody's rows
        words = np.frombuffer((store / session.sum_artefact.hex()).read_bytes(), ring(32).dtype.newbyteorder("<"))
        metrics, _ = split_sum(words.astype(np.uint32))
        assert (metrics.peers, metrics.examples, metrics.correct, metrics.loss) == (len(session.manifests), 0, 0, 0)
    rounds = [path.read_bytes() for path in store.iterdir()]
    closed = [r for r in map(decoded, rounds) if r is not None]
    assert [r.direction for r in closed] == [NOTHING] * 3


def test_noise_and_two_regions_together_audit_clean_and_say_the_smaller_sum(tmp_path: Path) -> None:
    """Ten sites, five to a region: the meter counts the sums of regions, and noise is made for those."""
    settings = {
        "peers": 10,
        "rounds": 2,
        "data": {"partition": "iid"},
        "training": {"epochs": 1, "batch_size": 32},
        "masking": {"clip": 0.5, "frac_bits": 10},
        "scores": {"openings": "off"},
        "privacy": {"noise": 0.5},
        "timing": PATIENT,
    }
    file = toml(tmp_path / "f.toml", settings)
    names = [f"peer-{n:02}" for n in range(1, 11)]
    with file.open("a") as more:
        for name, peers in (("north", names[:5]), ("south", names[5:])):
            leader = peers[0] if name == "north" else ""
            more.write(f"[[regions]]\nname = {name!r}\npeers = {json.dumps(peers)}\nleader = {leader!r}\n")
    done = command("run", file, "--ledger", "embedded", "--country", "DEU", "--out", "r", folder=tmp_path, seconds=400)
    assert done.returncode == 0, done.stdout + done.stderr
    told = RunFolder(tmp_path / "r").summary
    assert told["audit"] == {"ok": True, "findings": 0}
    assert told["rewards"]["paid"] == "0"
    assert told["smallest_honest_sum"] == 2  # of five, less one that may be lost and two that may collude
    meters = told["privacy"]["by_peer"]
    assert len(meters) == 10
    for meter in meters.values():
        assert (meter["sums"], meter["numbers_opened"]) == (2, 0)
        assert meter["smallest_honest_sum"] == 3  # nobody was lost: five less two
        assert meter["hidden_among"] == 5
        assert (meter["rank"], meter["peers"]) == (2, 10)
        assert 10 < meter["epsilon"] < meter["epsilon_alone"]


def decoded(blob: bytes):
    try:
        return decode_round(blob)
    except ValueError:
        return None
