"""A whole run on each engine: what it promises to leave behind is there and adds up; equal seeds give equal models."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from launched import PATIENT, RunFolder, command, require, toml
from safetensors.numpy import load_file

from peerage.keys import load_keys, password_file, read_password
from peerage_crypto.digest import sha256
from peerage_ledger.archive.reader import read_export
from peerage_ledger.events import RewardClaimed, RootPublished, RoundRecorded, VaultFunded

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

PEERS, ROUNDS = 4, 3
NAMES = [f"peer-0{number}" for number in range(1, PEERS + 1)]
POOL = 10**21
KEYS = {
    "": "peers rounds exchange seed aggregate_sha256 accuracy seconds bytes ledger rewards emissions missing audit",
    "accuracy": "mean min aggregate local_only pooled",
    "seconds": "total startup training exchange score ledger baselines",
    "bytes": "sent raw",
    "ledger": "engine chain_id transactions gas gas_per_peer_round",
    "rewards": "pool paid by_peer",
    "emissions": "energy_wh co2e_g by_phase quality country",
    "audit": "ok findings",
}


@pytest.fixture(scope="module")
def run_on(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RunFolder]:
    """Engine to finished run; each engine runs once."""
    finished: dict[str, RunFolder] = {}
    folder = tmp_path_factory.mktemp("engines")
    settings = {"peers": PEERS, "rounds": ROUNDS, "data": {"partition": "iid"}, "timing": PATIENT}
    settings["training"] = {"batch_size": 16, "learning_rate": 0.3}

    def run(engine: str) -> RunFolder:
        require(engine)
        if engine not in finished:
            file = toml(folder / "federation.toml", settings)
            out = folder / engine
            done = command(
                "run", file, "--ledger", engine, "--country", "DEU", "--out", out, "--json", folder=folder, seconds=400
            )
            assert done.returncode == 0, done.stderr
            assert "Traceback" not in done.stderr
            finished[engine] = RunFolder(out)
            assert json.loads(done.stdout) == finished[engine].summary  # one document, and nothing else, on stdout
        return finished[engine]

    return run


def test_the_summary_has_its_keys_and_sane_values(engine: str, run_on: Callable[[str], RunFolder]) -> None:
    told = run_on(engine).summary
    for section, keys in KEYS.items():
        table = told[section] if section else told
        assert set(keys.split()) <= table.keys()
        assert None not in [table[key] for key in keys.split()]
    assert (told["peers"], told["rounds"], told["exchange"], told["seed"]) == (PEERS, ROUNDS, "masked", 0)
    assert told["accuracy"]["aggregate"] > 0.75  # of ten classes, after three rounds
    assert 0 < told["accuracy"]["local_only"] < told["accuracy"]["pooled"] <= 1
    assert told["bytes"]["sent"] > told["bytes"]["raw"] == 4 * 4810 * PEERS * ROUNDS
    assert (told["ledger"]["engine"], told["ledger"]["chain_id"]) == (engine, 31337)
    assert told["ledger"]["transactions"] == ROUNDS + 2  # its records, one reward root, one claim for everybody
    assert told["emissions"]["country"] == "DEU"
    assert told["missing"] == []
    assert told["audit"] == {"ok": True, "findings": 0}


def test_the_chain_has_each_round_once_and_pays_the_pool_to_the_last_unit(
    engine: str, run_on: Callable[[str], RunFolder]
) -> None:
    run = run_on(engine)
    archive = read_export(run.path / "chain" / "chain.jsonl")
    assert archive.problems == ()
    events = [happened.event for happened in archive.events()]
    records = [event for event in events if isinstance(event, RoundRecorded)]
    assert [event.record.round for event in records] == list(range(1, ROUNDS + 1))
    assert [event.record_hash.hex() for event in records] == [
        line["record"] for _, line in sorted(run.closed("peer-01").items())
    ]
    funded = sum(event.amount for event in events if isinstance(event, VaultFunded))
    claims = [event for event in events if isinstance(event, RewardClaimed)]
    (published,) = [event.reward for event in events if isinstance(event, RootPublished)]
    assert funded == POOL
    assert sum(event.amount for event in claims) == published.total == POOL  # nothing rests in the vault
    paid = {bytes.fromhex(account[2:]): int(units) for account, units in run.summary["rewards"]["by_peer"].items()}
    assert paid == {event.account: event.cumulative for event in claims}
    assert {account.lower() for account in run.summary["rewards"]["by_peer"]} <= {
        account.lower() for account in run.summary["accounts"].values()
    }
    assert int(run.summary["rewards"]["paid"]) == POOL


def test_the_model_that_people_came_for_is_the_last_aggregate(engine: str, run_on: Callable[[str], RunFolder]) -> None:
    run = run_on(engine)
    tensors = load_file(run.path / "model.safetensors")
    blob = (run.path / "store" / run.summary["aggregate_sha256"]).read_bytes()
    assert sha256(blob).hex() == run.summary["aggregate_sha256"]
    mine = np.concatenate([tensor.ravel() for tensor in tensors.values()])
    assert mine.size == 4810
    assert np.array_equal(np.sort(mine), np.sort(np.frombuffer(blob, "<f4")))  # the file sorts its tensors by name
    assert (run.path / "MODEL_CARD.md").stat().st_size > 0


def test_every_peer_accounts_for_its_rounds(engine: str, run_on: Callable[[str], RunFolder]) -> None:
    run = run_on(engine)
    for name in NAMES:
        with (run.path / "peers" / name / "emissions.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert {int(row["round"]) for row in rows} >= set(range(1, ROUNDS + 1))
        last = run.journal(name)[-1]
        assert (last["kind"], last.get("end")) == ("seal", True)
    by_phase = run.summary["emissions"]["by_phase"]
    assert sum(by_phase.values()) == pytest.approx(run.summary["emissions"]["energy_wh"], rel=1e-3)


def test_what_is_mailed_to_an_auditor_holds_no_secret(engine: str, run_on: Callable[[str], RunFolder]) -> None:
    run = run_on(engine)
    folder = run.path / "secrets"
    secrets: list[bytes] = []
    for name in [*NAMES, "deployer"]:
        keys = load_keys(folder, name, read_password(password_file(folder, name)))
        secrets += [keys.account.secret, keys.curve.secret, password_file(folder, name).read_bytes()]
    assert folder.stat().st_mode & 0o777 == 0o700
    mailed = [path for path in run.path.rglob("*") if path.is_file() and folder not in path.parents]
    assert len(mailed) > 50
    for path in mailed:
        blob = path.read_bytes().lower()
        for secret in secrets:
            assert secret.lower() not in blob, path
            assert secret.hex().encode() not in blob, path


def test_equal_seeds_give_equal_models_in_every_round_on_every_engine(
    engine: str, run_on: Callable[[str], RunFolder]
) -> None:
    run, other = run_on(engine), run_on("embedded")
    aggregates = run.aggregates("peer-01")
    assert len(aggregates) == ROUNDS
    assert all(run.aggregates(name) == aggregates for name in NAMES)
    assert aggregates == other.aggregates("peer-01")
