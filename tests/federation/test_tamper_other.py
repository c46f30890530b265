"""Tampering with runs of other kinds: plain exchange, and tables with a statistics round before the first."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from peerage.audit import sources
from peerage.audit.run import audit, audit_remote
from peerage.audit.sources import Address
from peerage_crypto.digest import sha256
from peerage_ledger.plain_record import decode_plain
from peerage_ledger.transcript import decode_round, decode_session

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]


def start(out: Path, *more: str) -> Path:
    arguments = ["run", "--peers", "3", "--rounds", "2", "--ledger", "embedded", "--country", "DEU", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", "from peerage.cli.main import main; main()", *arguments, *more],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return start(tmp_path_factory.mktemp("plain") / "run", "--exchange", "plain")


@pytest.fixture(scope="module")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, 4))
    for name, part in (("all.csv", rows), ("public.csv", rows[:60])):
        with (folder / name).open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["a", "b", "c", "d", "label"])
            writer.writerows([[*(f"{v:.4f}" for v in row), "yes" if row[0] + row[1] > 0 else "no"] for row in part])
    table = ["--data", f"csv:{folder / 'all.csv'}", "--label", "label", "--validation-file", str(folder / "public.csv")]
    return start(folder / "run", *table, "--partition", "iid")


def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy", ignore=shutil.ignore_patterns("devnet")))


def lines(run: Path, kind: str, name: str = "peer-01") -> list[dict[str, object]]:
    raw = (run / "peers" / name / "journal.jsonl").read_bytes().splitlines()
    return [fields for line in raw if (fields := json.loads(line))["kind"] == kind]


def flip(path: Path) -> None:
    blob = bytearray(path.read_bytes())
    blob[len(blob) // 2] ^= 1
    path.write_bytes(bytes(blob))


def test_an_untouched_plain_run_is_clean(plain_run: Path) -> None:
    report = audit(plain_run)
    assert report.findings == ()
    assert report.counts["merges"] == 6


def test_weights_of_a_merge_are_blamed_on_their_owner(plain_run: Path, tmp_path: Path) -> None:
    run = copied(plain_run, tmp_path)
    closed = lines(run, "closed")[0]
    merge = decode_plain((run / "store" / str(closed["transcript"])).read_bytes())
    flip(run / "store" / merge.body.updates[1].statement.artefact.hex())
    (finding,) = [f for f in audit(run).findings if f.code == "store-misnamed"]
    assert finding.round is not None
    assert finding.peer is not None


def test_weights_that_are_gone_are_missing(plain_run: Path, tmp_path: Path) -> None:
    run = copied(plain_run, tmp_path)
    closed = lines(run, "closed")[0]
    merge = decode_plain((run / "store" / str(closed["transcript"])).read_bytes())
    (run / "store" / merge.body.updates[1].statement.artefact.hex()).unlink()
    assert "weights-missing" in {f.code for f in audit(run).findings}


def test_a_merge_without_its_transcript(plain_run: Path, tmp_path: Path) -> None:
    run = copied(plain_run, tmp_path)
    flip(run / "store" / str(lines(run, "closed")[1]["transcript"]))
    assert "merge-transcript" in {f.code for f in audit(run).findings}


def test_another_final_model_of_a_plain_run(plain_run: Path, tmp_path: Path) -> None:
    run = copied(plain_run, tmp_path)
    told = json.loads((run / "summary.json").read_text())
    told["aggregate_sha256"] = "00" * 32
    (run / "summary.json").write_text(json.dumps(told))
    assert "summary" in {f.code for f in audit(run).findings}


def test_an_untouched_table_run_is_clean(table_run: Path) -> None:
    report = audit(table_run)
    assert report.findings == ()
    assert report.counts["masked vectors"] == 9  # of two rounds and of the statistics round


@pytest.mark.parametrize("what", ["vector", "sum", "session", "transcript", "scale"])
def test_the_statistics_round_is_judged_too(table_run: Path, tmp_path: Path, what: str) -> None:
    run = copied(table_run, tmp_path)
    line = lines(run, "standardiser")[0]
    transcript = run / "store" / str(line["transcript"])
    round_ = decode_round(transcript.read_bytes())
    session = decode_session((run / "store" / round_.session.hex()).read_bytes())
    flip(
        {
            "vector": run / "store" / session.manifests[0].statement.artefact.hex(),
            "sum": run / "store" / round_.sum_artefact.hex(),
            "session": run / "store" / round_.session.hex(),
            "transcript": transcript,
            "scale": run / "store" / str(line["artefact"]),
        }[what]
    )
    assert audit(run).findings != ()


def test_a_peer_that_says_another_scale_came_out(table_run: Path, tmp_path: Path) -> None:
    run = copied(table_run, tmp_path)
    path = run / "peers" / "peer-02" / "journal.jsonl"
    other = sha256(b"other").hex().encode()
    artefact = str(lines(run, "standardiser", "peer-02")[0]["artefact"]).encode()
    path.write_bytes(path.read_bytes().replace(artefact, other))
    assert {"standardiser", "journal-chain"} <= {f.code for f in audit(run).findings}


def test_bytes_that_are_no_text_in_the_chain_are_a_finding(plain_run: Path, tmp_path: Path) -> None:
    run = copied(plain_run, tmp_path)
    path = run / "chain" / "chain.jsonl"
    blob = bytearray(path.read_bytes())
    blob[-300] = 0xFF
    path.write_bytes(bytes(blob))
    assert "chain-archive" in {f.code for f in audit(run).findings}


def test_from_a_node_and_a_store_without_a_run_directory(
    plain_run: Path, table_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run in (plain_run, table_run):

        def export(_deployment: object, path: Path, _url: str, *, told: object, run: Path = run) -> None:
            shutil.copyfile(run / "chain" / "chain.jsonl", path)

        monkeypatch.setattr(sources, "export_all", export)
        address = Address("http://nowhere", ((run / "store").as_uri(),), run / "deployment.json")
        report = audit_remote(address)
        assert report.findings == ()
        assert any("journals are not here" in note for note in report.notes)
