"""`peerage run` as a whole, with real peers on the embedded chain: what it leaves, and that nothing outlives it."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from peerage.config_toml import load_federation

pytestmark = pytest.mark.federation

RUN = [sys.executable, "-m", "peerage", "run", "--ledger", "embedded", "--country", "DEU"]


def descendants(pid: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # it ended while we looked
        children.setdefault(parent, []).append(int(entry.name))
    found, waiting = set[int](), [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            found.add(child)
            waiting.append(child)
    return found


def living(pids: set[int]) -> set[int]:
    def lives(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    return {pid for pid in pids if lives(pid)}


def test_a_run_leaves_a_model_its_accounts_and_one_json_document(tmp_path: Path) -> None:
    done = subprocess.run(
        [*RUN, "--peers", "5", "--rounds", "2", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (root,) = [path for path in (tmp_path / "runs").iterdir() if not path.is_symlink()]
    assert (tmp_path / "runs" / "latest").resolve() == root
    assert json.loads((root / "summary.json").read_text()) == told
    assert (told["peers"], told["rounds"], told["missing"], told["lost"]) == (5, 2, [], {})
    assert told["ledger"]["engine"] == "embedded"
    assert told["ledger"]["gas"] > 0
    assert told["rewards"]["paid"] == told["rewards"]["pool"]
    assert sum(int(units) for units in told["rewards"]["by_peer"].values()) == int(told["rewards"]["pool"])
    assert told["emissions"]["energy_wh"] > 0
    assert told["emissions"]["country"] == "DEU"
    assert (root / "store" / told["aggregate_sha256"]).exists()
    assert load_federation(root / "federation.toml").ledger.engine == "embedded"
    for name in (
        "deployment.json",
        "estimate.json",
        "model.safetensors",
        "MODEL_CARD.md",
        "run.log",
        "chain/chain.jsonl",
    ):
        assert (root / name).stat().st_size > 0
    assert json.loads((root / "estimate.json").read_text())["peers"] == 5
    for name in ("pid", "journal.jsonl", "metrics.jsonl", "emissions.csv", "log.txt"):
        assert (root / "peers" / "peer-01" / name).exists(), name
    assert stat.S_IMODE((root / "secrets").stat().st_mode) == 0o700
    password = (root / "secrets" / "peer-01.password").read_text()
    shown = [path for path in root.rglob("*") if path.is_file() and "secrets" not in path.parts]
    assert not [path for path in shown if password.encode() in path.read_bytes()]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_however_it_is_stopped_no_process_is_left(tmp_path: Path, number: signal.Signals, code: int) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        run = subprocess.Popen(
            [*RUN, "--peers", "5", "--rounds", "500", "--out", str(tmp_path / "r")],
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    started = set[int]()
    try:
        deadline = time.monotonic() + 60
        while " of 500 closed" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        started = descendants(run.pid)
        assert len(started) >= 7, log.read_text()  # five peers, the fork server, the devnet
        if number == signal.SIGINT:
            os.killpg(run.pid, number)  # a terminal tells the whole group
        else:
            run.send_signal(number)
        assert run.wait(15) == code
        until = time.monotonic() + 10
        while living(started) and time.monotonic() < until:
            time.sleep(0.05)
        assert living(started) == set()
    finally:
        run.kill()
        run.wait()
        for pid in living(started):
            os.kill(pid, signal.SIGKILL)
    assert ("--resume" in log.read_text()) == (code == 130)
