"""An outsider with a node and a store reaches the numbers of whoever has the run directory, on every engine."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from launched import PATIENT, command, require, toml

from peerage_ledger.deployment import Deployment
from peerage_ledger.devnets import devnet

sys.path.insert(0, str(Path(__file__).parents[1] / "ledger"))

from weather import Weather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]
SAME = ("ok", "findings", "rounds", "rewards", "claimed", "bonus")
OF_JOURNALS = {"journal lines", "signatures", "emission records"}  # seals are signatures too


@pytest.fixture(scope="module")
def run_on(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    finished: dict[str, Path] = {}
    folder = tmp_path_factory.mktemp("afar")
    settings = {
        "peers": 3,
        "rounds": 2,
        "data": {"partition": "iid"},
        "timing": PATIENT,
        "rewards": {"green_bonus": 500, "green_pool": "1000"},
    }

    def run(engine: str) -> Path:
        require(engine)
        if engine not in finished:
            file = toml(folder / "federation.toml", settings)
            out = folder / engine
            options = ("--ledger", engine, "--country", "DEU", "--out", out)
            done = command("run", file, *options, folder=folder, seconds=400)
            assert done.returncode == 0, done.stderr
            finished[engine] = out
        return finished[engine]

    return run


@pytest.fixture
def node(engine: str, run_on: Callable[[str], Path]) -> Iterator[tuple[Path, str]]:
    """A finished run, and a node that has its chain."""
    run = run_on(engine)
    chain = devnet.start(engine, run / "chain" / "devnet")
    yield run, chain.rpc_url
    chain.stop()


def document(*arguments: object, folder: Path, code: int = 0) -> Any:
    done = command("audit", *arguments, "--json", folder=folder)
    assert done.returncode == code, done.stdout[:3000] + done.stderr
    return json.loads(done.stdout)


def test_deployment_rpc_and_store_alone_give_the_same_numbers(node: tuple[Path, str], tmp_path: Path) -> None:
    run, url = node
    mine = document(run, "--explain", "peer-02", folder=tmp_path)
    assert mine["ok"] is True
    place = shutil.copy(run / "deployment.json", tmp_path)  # alone: no federation.toml beside it
    peer = mine["explained"]["peer"]
    there = document("--deployment", place, "--rpc", url, "--store", run / "store", "--explain", peer, folder=tmp_path)
    assert {key: there[key] for key in SAME} == {key: mine[key] for key in SAME}
    assert there["explained"] == mine["explained"]
    assert mine["bonus"]["final"] is True
    assert all(int(one["co2e_ug"]) > 0 for one in there["bonus"]["peers"])
    assert len(there["bonus"]["peers"]) == 3
    for what in there["counts"].keys() - OF_JOURNALS:
        assert there["counts"][what] == mine["counts"][what], what
    assert any("journals are not here" in note for note in there["notes"])


def test_the_ledgers_address_is_enough(node: tuple[Path, str], tmp_path: Path) -> None:
    run, url = node
    ledger = "0x" + Deployment.read(run / "deployment.json").ledger.hex()
    mine = document(run, folder=tmp_path)
    there = document("--contract", ledger, "--rpc", url, "--store", run / "store", folder=tmp_path)
    assert {key: there[key] for key in SAME} == {key: mine[key] for key in SAME}


def test_an_archive_of_the_run_agrees_with_its_node(node: tuple[Path, str], tmp_path: Path) -> None:
    run, url = node
    address = ("--deployment", run / "deployment.json", "--rpc", url, "--store", run / "store")
    told = document(*address, "--archive", run / "chain" / "chain.jsonl", folder=tmp_path)
    assert told["findings"] == []
    assert told["counts"]["archives compared"] == 2


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def embedded(run_on: Callable[[str], Path]) -> Iterator[tuple[Path, str]]:
    run = run_on("embedded")
    chain = devnet.start("embedded", run / "chain" / "devnet")
    yield run, chain.rpc_url
    chain.stop()


def test_a_store_behind_a_web_server_and_a_node_with_bad_manners(embedded: tuple[Path, str], tmp_path: Path) -> None:
    run, url = embedded
    weather = Weather(url)
    weather.batches, weather.busy = False, 2
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(run / "store")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        store = f"http://127.0.0.1:{server.server_port}/"
        cache = tmp_path / "cache"
        address = ("--deployment", run / "deployment.json", "--rpc", weather.url, "--store", store, "--cache", cache)
        told = document(*address, folder=tmp_path)
        assert told["ok"] is True
    finally:
        server.shutdown()
        server.server_close()
    kept = {path.name for path in (cache / "store").iterdir()}
    assert kept == {path.name for path in (run / "store").iterdir()}
    # the node and the store are gone: what was read is still there, and what is not said is not known
    weather.close()
    done = command("audit", *address, folder=tmp_path)
    assert done.returncode == 3, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "audit what?"),
        (("--rpc", "http://127.0.0.1:9", "--store", "."), 2, "audit what?"),
        (("--contract", "0x12", "--rpc", "http://127.0.0.1:9", "--store", "."), 2, "no address"),
        (("--contract", "0x" + "12" * 20, "--rpc", "http://127.0.0.1:9", "--store", "."), 3, "no node answers"),
        (("--archive", "nowhere.jsonl"), 2, "nowhere.jsonl"),
        (("--archive", "a", "--explain", "x"), 2, "--explain needs"),
    ],
)
def test_what_cannot_be_audited_says_why(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = command("audit", *arguments, folder=tmp_path)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_without_a_round_ledger(embedded: tuple[Path, str], tmp_path: Path) -> None:
    run, url = embedded
    deployment = Deployment.read(run / "deployment.json")
    for address, words in ((deployment.vault, "it is a RewardVault"), (bytes(19) + b"\x07", "no contract")):
        done = command("audit", "--contract", "0x" + address.hex(), "--rpc", url, "--store", ".", folder=tmp_path)
        assert done.returncode == 2
        assert words in done.stderr
