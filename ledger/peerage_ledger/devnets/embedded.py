"""The embedded devnet: `evm.py` behind JSON-RPC on a local port: `python -m peerage_ledger.devnets.embedded`.

One lock around the chain: py-evm is not thread-safe (without it 2 of 120 concurrent transactions landed). It listens on
the loopback only. `devnet.py` starts it; nobody else needs to.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from peerage_crypto.errors import PeerageError
from peerage_ledger.devnets.evm import Refused
from peerage_ledger.devnets.evm_log import open_chain
from peerage_ledger.devnets.evm_rpc import Json, Methods

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_REQUEST: Final = 8 << 20  # a deployment is 50 kB of hex; a batch of a few hundred receipts 60 kB
MAX_BATCH: Final = 1000
_IDLE_SECONDS: Final = 300


class Door:
    """JSON text to JSON text; knows nothing of HTTP."""

    def __init__(self, methods: Methods) -> None:
        self._methods = methods
        self._lock = threading.Lock()

    def answer(self, body: bytes) -> bytes:
        try:
            request = json.loads(body)
        except (ValueError, RecursionError):
            return json.dumps(_error(None, -32700, "parse error")).encode()
        if isinstance(request, list):
            if not 0 < len(request) <= MAX_BATCH:
                return json.dumps(_error(None, -32600, f"a batch has 1 to {MAX_BATCH} requests")).encode()
            return json.dumps([self._one(r) for r in request]).encode()
        return json.dumps(self._one(request)).encode()

    def _one(self, request: Json) -> dict[str, Any]:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _error(None, -32600, "invalid request")
        identity, parameters = request.get("id"), request.get("params") or []
        if not isinstance(parameters, list):
            return _error(identity, -32602, "parameters are given as a list")
        try:
            with self._lock:
                result = self._methods.answer(request["method"], parameters)
        except Refused as refusal:
            return _error(identity, refusal.code, str(refusal), refusal.data)
        return {"jsonrpc": "2.0", "id": identity, "result": result}


def _error(identity: Json, code: int, message: str, data: bytes | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = "0x" + data.hex()
    return {"jsonrpc": "2.0", "id": identity, "error": error}


class _Handler(BaseHTTPRequestHandler):
    door: ClassVar[Door]
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    wbufsize = -1  # headers and body leave in one packet: no wait for a delayed acknowledgement

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_REQUEST:
            self.close_connection = True
            self.send_error(413)
            return
        reply = self.door.answer(self.rfile.read(int(length)))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Silence: the caller logs what matters to it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Json, client_address: Json) -> None:
        """A client that went away is not our trouble; anything else deserves its traceback."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def serve(state: Path, chain_id: int, port: int) -> _Server:
    """Open the state, bind the loopback port; the caller runs `serve_forever`."""
    chain, log = open_chain(state, chain_id)
    handler = type("Handler", (_Handler,), {"door": Door(Methods(chain, log))})
    return _Server(("127.0.0.1", port), handler)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="peerage_ledger.devnets.embedded", description=__doc__)
    parser.add_argument(
        "--state", type=Path, required=True, help="folder with genesis.json; transactions are kept here"
    )
    parser.add_argument("--chain-id", type=int, default=31337)
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args(arguments)
    try:
        server = serve(chosen.state, chosen.chain_id, chosen.port)
    except (PeerageError, OSError) as error:
        sys.stderr.write(f"embedded devnet: {error}\n")
        return 2
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
