"""A node that is hostile over real HTTP: what it says is bounded before it is read, and ends in an error of ours."""

from __future__ import annotations

import contextlib
import gzip
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from peerage_crypto.errors import ChainError, InputError, Unreachable
from peerage_ledger import rpc as rpc_module
from peerage_ledger.rpc import NotAnEvm, Rpc

ANSWERS = {
    "honest": (b'{"jsonrpc":"2.0","id":1,"result":"0x1"}', {}),
    "deep": (b"[" * 50_000, {}),
    "empty": (b"", {}),
    "no-utf8": (b'{"result":"\xff"}', {}),
    "long": (b'{"result":"' + b"a" * (1 << 20) + b'"}', {}),
    "bomb": (gzip.compress(b'{"result":"' + b"a" * (1 << 24) + b'"}', mtime=0), {"Content-Encoding": "gzip"}),
    "broken-gzip": (b"\x1f\x8b\x08\x00rubbish", {"Content-Encoding": "gzip"}),
    "odd-error": (b'{"error":{"code":[],"message":{},"data":{"a":{"return":5}}}}', {}),
}


@pytest.fixture
def node():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            body, headers = ANSWERS[self.path.removeprefix("/")]
            self.send_response(200)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # the client has heard enough
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("kind", sorted(ANSWERS))
def test_whatever_a_node_says_is_an_answer_or_an_error_of_ours(node, kind, monkeypatch):
    monkeypatch.setattr(rpc_module, "MOST_BYTES", 1 << 16)
    door = Rpc(f"{node}/{kind}")
    if kind == "honest":
        assert door.call("eth_chainId") == "0x1"
        return
    with pytest.raises((ChainError, InputError, Unreachable)):
        door.call("eth_chainId")


@pytest.mark.parametrize("kind", ["long", "bomb"])
def test_an_answer_longer_than_any_honest_one_is_cut_off(node, kind, monkeypatch):
    door = Rpc(f"{node}/{kind}")
    assert len(door.call("x")) >= 1 << 20  # within the real bound it is an answer like any other
    monkeypatch.setattr(rpc_module, "MOST_BYTES", 1 << 16)
    with pytest.raises(NotAnEvm):
        door.call("x")
