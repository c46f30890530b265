"""Devnets: three engines, one door; nothing lost by kill -9, nobody left behind."""

import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import ClassVar

import psutil
import pytest

from peerage_crypto.errors import InputError, Unreachable
from peerage_crypto.identity import Account
from peerage_ledger import rawtx
from peerage_ledger.devnets import devnet, engines
from peerage_ledger.devnets.nudge import Nudge
from peerage_ledger.rpc import NotAnEvm, Rpc, RpcError, connect

ME = Account.from_secret(b"\x07" * 32)
THERE = b"\x22" * 20
FIRST = {"Ganache": 1, "anvil": 0, "peerage-embedded": 0}  # no nonce 0 on Ganache: it would count again and again


def send(rpc: Rpc, count: int) -> str:
    nonce = count + FIRST[rpc.call("web3_clientVersion").split("/")[0]]
    raw = rawtx.sign(
        ME, chain_id=31337, nonce=nonce, to=THERE, data=b"", gas=30_000, max_fee=10**10, priority_fee=10**9, value=1
    )
    return rpc.call("eth_sendRawTransaction", "0x" + raw.hex())


def balance(rpc: Rpc, address: bytes) -> int:
    return int(rpc.call("eth_getBalance", "0x" + address.hex(), "latest"), 16)


def settled(rpc: Rpc, count: int) -> bool:
    end = time.monotonic() + 5
    while balance(rpc, THERE) != count and time.monotonic() < end:
        time.sleep(0.02)
    return balance(rpc, THERE) == count


@pytest.mark.chain
def test_state_survives_kill_and_stop_on_the_same_port(engine, tmp_path):
    with devnet.start(engine, tmp_path, accounts={ME.address: 10**20}) as chain:
        rpc = Rpc(chain.rpc_url)
        assert balance(rpc, ME.address) == 10**20
        names = [send(rpc, n) for n in range(5)]
        assert settled(rpc, 5)
        chain.keep()
        chain.kill()
        with pytest.raises(Unreachable):
            rpc.call("eth_blockNumber")
        chain.restart()
        assert settled(rpc, 5)
        assert all(rpc.call("eth_getTransactionReceipt", n)["status"] == "0x1" for n in names)
        port = chain.port
    with devnet.start(engine, tmp_path, accounts={ME.address: 10**20}, port=port) as chain:
        assert settled(Rpc(chain.rpc_url), 5)


@pytest.mark.parametrize(("pending", "on_demand", "mined"), [("0x2", True, 1), ("0x2", False, 0), ("0x0", True, 0)])
def test_what_anvil_forgot_to_mine_is_mined_at_the_second_look(pending, on_demand, mined):
    class Node:
        asked: ClassVar[list[str]] = []

        def batch(self, calls):
            self.asked += [method for method, _ in calls]
            return [{"pending": pending, "queued": "0x0"}, on_demand]

        def call(self, method):
            self.asked.append(method)

    node, nudge = Node(), Nudge()
    node.asked.clear()
    nudge.look(node)
    assert "evm_mine" not in node.asked  # it may be about to
    nudge.look(node)
    assert node.asked.count("evm_mine") == mined


@pytest.mark.chain
def test_anvil_knows_what_the_nudge_asks(tmp_path):
    if engines.find(engines.Engine.ANVIL) is None:
        pytest.skip("anvil is not installed: run scripts/test once with Node.js")
    with devnet.start("anvil", tmp_path, accounts={ME.address: 10**20}) as chain:
        rpc = Rpc(chain.rpc_url)
        rpc.call("evm_setAutomine", False)
        send(rpc, 0)
        assert int(rpc.call("txpool_status")["pending"], 16) == 1
        Nudge().look(rpc)  # RpcError if a word is unknown
        chain.keep()
        chain.keep()
        assert balance(rpc, THERE) == 0  # as long as nothing is to be mined on demand, nothing is


@pytest.mark.chain
def test_a_torn_state_file_is_made_good_from_the_journal(tmp_path):
    if engines.find_anvil() is None:
        pytest.skip("anvil is not installed: run scripts/test once with Node.js")
    with devnet.start("anvil", tmp_path, accounts={ME.address: 10**20}) as chain:
        rpc = Rpc(chain.rpc_url)
        send(rpc, 0)
        assert settled(rpc, 1)
    path = tmp_path / "anvil.json"
    path.write_bytes(path.read_bytes()[:-100])
    with devnet.start("anvil", tmp_path, accounts={ME.address: 10**20}) as chain:
        assert settled(Rpc(chain.rpc_url), 1)


@pytest.mark.chain
def test_an_engine_that_dies_is_started_again(engine, tmp_path):
    with devnet.start(engine, tmp_path, accounts={ME.address: 10**20}, revive_seconds=0.1) as chain:
        rpc = Rpc(chain.rpc_url)
        send(rpc, 0)
        assert settled(rpc, 1)
        time.sleep(0.5)
        os.kill(chain.pid, signal.SIGKILL)
        end = time.monotonic() + 20
        while chain.restarts == 0 and time.monotonic() < end:
            time.sleep(0.05)
        assert settled(rpc, 1)


@pytest.mark.chain
@pytest.mark.parametrize("victim", ["parent", "guard"])
def test_no_engine_outlives_its_parent(engine, tmp_path, victim):
    if victim == "guard" and sys.platform != "linux":
        pytest.skip("only Linux tells a child of its parent's death")
    code = (
        "import sys, time, pathlib; from peerage_ledger.devnets import devnet\n"
        f"chain = devnet.start({engine!r}, pathlib.Path({str(tmp_path)!r}), revive_seconds=None)\n"
        "print(chain.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        engine_process = psutil.Process(pid)
        (parent if victim == "parent" else engine_process.parent()).kill()
        gone, left = psutil.wait_procs([engine_process], timeout=10)
        parent.kill()
    assert gone
    assert not left


def test_a_port_in_use_is_said(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} is in use"):
            devnet.start("embedded", tmp_path, port=port)


def test_an_unknown_or_missing_engine_is_said(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="say auto, anvil, ganache"):
        devnet.start("hardhat", tmp_path)
    monkeypatch.setattr(engines, "find_anvil", lambda: None)
    monkeypatch.setattr(engines, "find_ganache", lambda: None)
    with pytest.raises(InputError, match=r"anvil.* is not installed"):
        devnet.start("anvil", tmp_path)
    assert engines.choose("auto") is engines.Engine.EMBEDDED


@pytest.mark.chain
def test_another_chain_id_is_said(tmp_path):
    with devnet.start("embedded", tmp_path / "a", chain_id=7) as chain:
        with pytest.raises(InputError, match="has chain id 7, this federation needs 31337"):
            devnet.start(chain.rpc_url, tmp_path / "b")
        assert devnet.start(chain.rpc_url, tmp_path / "c", chain_id=7).engine == "url"
    with pytest.raises(InputError, match="made for chain id 7, not 8"):
        devnet.start("embedded", tmp_path / "a", chain_id=8)


class WebPage(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, *args):
        pass


def test_something_that_is_no_evm_is_said():
    with http.server.HTTPServer(("127.0.0.1", 0), WebPage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match="does not answer JSON-RPC"):
            connect(f"http://127.0.0.1:{server.server_port}", 31337)
        server.shutdown()
    with pytest.raises(Unreachable, match="no node answers there"):
        connect(f"http://127.0.0.1:{server.server_port}", 31337)
    with pytest.raises(InputError, match="starts with http"):
        connect("ws://127.0.0.1:1", 31337)


@pytest.mark.chain
def test_the_same_bytes_count_once_and_a_no_is_an_error(engine, tmp_path):
    with devnet.start(engine, tmp_path, accounts={ME.address: 10**20}) as chain:
        rpc = Rpc(chain.rpc_url)
        send(rpc, 0)
        assert settled(rpc, 1)
        with pytest.raises(RpcError):
            send(rpc, 0)
        send(rpc, 1)
        with pytest.raises(RpcError):
            rpc.call("eth_noSuchMethod")
        with pytest.raises(RpcError):
            rpc.batch([("eth_blockNumber", ()), ("eth_noSuchMethod", ())])
        assert settled(rpc, 2)
        assert NotAnEvm.exit_code == 2
