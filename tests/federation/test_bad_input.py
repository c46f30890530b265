"""Wrong input that a chain or a whole run must notice: one sentence, exit code 2, no traceback.

What the command line alone refuses is in tests/node/test_cli.py.
"""

from __future__ import annotations

import http.server
import json
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from launched import Launched, command, sentence_of, toml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.federation, pytest.mark.timeout(600)]

PASSWORD = "correct horse"


@pytest.mark.parametrize(
    ("settings", "flags", "words"),
    [
        ({"training": {"epcohs": 3}}, [], ["f.toml: unknown key 'training.epcohs'", "did you mean 'training.epochs'?"]),
        ({"round": 3}, [], ["unknown key 'round'", "did you mean 'rounds'?"]),
        ({}, ["--data", "mnist", "--data-dir", "nowhere"], ["nowhere"]),
        ({}, ["--data", "csv:table.csv"], ["needs data.label (--label)"]),
        ({}, ["--data", "csv:table.csv", "--label", "z"], ["has no column 'z'", "x, y"]),
        ({}, ["--out", "full"], ["--out full is not empty", "--resume", "--force"]),
        ({}, ["--country", "XYZ"], ["XYZ"]),
        ({}, ["--ledger", "geth"], ["'geth' is not known", "anvil, ganache, embedded"]),
        ({}, ["--validation-donor", "peer-99"], ["'peer-99' is no peer of this federation"]),
        ({}, ["--model", "nowhere.py:build"], ["nowhere.py"]),
        ({}, ["--peers", "200"], ["200", "128"]),
    ],
)
def test_a_run_that_cannot_start_says_why(
    tmp_path: Path, settings: dict[str, object], flags: list[str], words: list[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    (tmp_path / "table.csv").write_text("x,y\n1,a\n2,b\n")
    file = toml(tmp_path / "f.toml", settings)
    out = [] if "--out" in flags else ["--out", "r"]
    sentence = told(command("run", "--ledger", "embedded", *flags, *out, "--json", file, folder=tmp_path))
    assert all(word in sentence for word in words), sentence


def told(done: object) -> str:
    """A run may have said how it begins before it refuses; the reason is the last line."""
    done.stderr = done.stderr.splitlines(keepends=True)[-1] if done.stderr else ""
    return sentence_of(done)


def test_every_peer_with_too_few_rows_is_named(tmp_path: Path) -> None:
    rows = "".join(f"{n},{'a' if n % 2 else 'b'}\n" for n in range(12))
    (tmp_path / "small.csv").write_text("x,y\n" + rows)
    flags = ["--data", "csv:small.csv", "--label", "y", "--peers", "8", "--ledger", "embedded", "--out", "r", "--json"]
    assert "peer-0" in told(command("run", *flags, folder=tmp_path))


# -- chains ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A devnet as `peerage devnet --json` describes it."""
    folder = tmp_path_factory.mktemp("devnet")
    with Launched(["devnet", "--engine", "embedded", "--port", "0", "--json"], folder) as launched:
        launched.wait_for_words("\n", 60)
        yield {**json.loads(launched.said), "folder": str(folder)}
        launched.interrupt()
        assert launched.end(20) == 0
        assert not launched.pids()


@pytest.fixture
def not_a_chain() -> Iterator[str]:
    """Something else that answers HTTP."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>It works!</html>")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("devnet", "--engine", "embedded", "--port", port, folder=tmp_path)
    assert f"port {port} is in use" in sentence_of(done)


def test_an_rpc_that_is_no_evm(tmp_path: Path, not_a_chain: str, devnet: dict[str, str]) -> None:
    keystore = ["--keystore", devnet["keystore"], "--password-file", devnet["password_file"]]
    deploying = command("deploy", "--rpc", not_a_chain, *keystore, folder=tmp_path)
    assert "does not answer JSON-RPC" in sentence_of(deploying)
    running = command("run", "--ledger", not_a_chain, "--out", "r", "--json", folder=tmp_path)
    assert "does not answer JSON-RPC" in told(running)


def test_a_node_that_is_not_there_is_exit_code_3(tmp_path: Path) -> None:
    done = command("run", "--ledger", "http://127.0.0.1:9", "--out", "r", "--json", folder=tmp_path)
    assert done.returncode == 3
    assert "no node answers there" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_chain_with_another_id(tmp_path: Path, devnet: dict[str, str]) -> None:
    file = toml(tmp_path / "f.toml", {"ledger": {"chain_id": 1}})
    running = command("run", "--ledger", devnet["rpc"], "--out", "r", "--json", file, folder=tmp_path)
    assert "chain id 31337, this federation needs 1" in told(running)


def test_a_deployment_whose_address_holds_other_code_and_a_wrong_password(
    tmp_path: Path, devnet: dict[str, str]
) -> None:
    file = toml(tmp_path / "federation.toml", {"peers": 3})
    keystore = ["--keystore", devnet["keystore"], "--password-file", devnet["password_file"]]
    assert command("deploy", file, "--rpc", devnet["rpc"], *keystore, folder=tmp_path).returncode == 0
    (tmp_path / "password").write_text(PASSWORD)
    made = command("keys", "new", "--name", "hospital", "--password-file", "password", "--json", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    node = toml(tmp_path / "node.toml", {"name": "hospital", "password_file": "password"})

    (tmp_path / "password").write_text("wrong")
    assert "password" in sentence_of(command("node", node, folder=tmp_path))
    (tmp_path / "password").write_text(PASSWORD)
    deployment = json.loads((tmp_path / "deployment.json").read_text())
    contracts = deployment["contracts"]
    contracts["RoundLedger"]["address"] = contracts["PeerageToken"]["address"]
    assert "no ether" in sentence_of(command("node", node, folder=tmp_path))
    address = json.loads(made.stdout)["address"]
    again = command(
        "deploy",
        file,
        "--rpc",
        devnet["rpc"],
        *keystore,
        "--peer",
        address,
        "--fund",
        "--out",
        "d.json",
        folder=tmp_path,
    )
    assert again.returncode == 0, again.stderr
    (tmp_path / "deployment.json").write_text(json.dumps(deployment))
    done = command("node", node, folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "RoundLedger" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
