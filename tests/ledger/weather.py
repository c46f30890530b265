"""A node with bad manners: stands before a real one and answers as public nodes do on their worse days."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests


class Weather:
    """Forwards JSON-RPC to `url`. Its attributes are the weather, and may change at any time."""

    def __init__(self, url):
        self.upstream = url
        self.batches = True
        self.most_blocks = None  # in one eth_getLogs
        self.busy = 0  # so many requests are answered with 429
        self.lag = 0  # blocks behind
        self.asked = []  # (method, parameters) of everything
        weather = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if weather.busy > 0:
                    weather.busy -= 1
                    self.send_response(429)
                    self.send_header("Retry-After", "0.1")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                answer = json.dumps(weather.answer(body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def answer(self, body):
        if isinstance(body, list):
            if not self.batches:
                return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no batches here"}}
            return [self._one(question) for question in body]
        return self._one(body)

    def _one(self, question):
        method, parameters = question["method"], question.get("params", [])
        self.asked.append((method, parameters))
        no = {"jsonrpc": "2.0", "id": question["id"], "error": {"code": -32005, "message": "too many blocks"}}
        if method == "eth_getLogs" and self.most_blocks is not None:
            wide = int(parameters[0]["toBlock"], 16) - int(parameters[0]["fromBlock"], 16) + 1
            if wide > self.most_blocks:
                return no
        if self.lag and method == "eth_getBlockByNumber":
            head = int(self._forward({**question, "method": "eth_blockNumber", "params": []})["result"], 16) - self.lag
            if parameters[0] == "latest":
                question = {**question, "params": [hex(head), parameters[1]]}
            elif int(parameters[0], 16) > head:
                return {"jsonrpc": "2.0", "id": question["id"], "result": None}
        return self._forward(question)

    def _forward(self, question):
        return requests.post(self.upstream, json=question, timeout=10).json()

    def ranges(self):
        return [
            (int(p[0]["fromBlock"], 16), int(p[0]["toBlock"], 16))
            for method, p in self.asked
            if method == "eth_getLogs" and p[0]["toBlock"] != "latest"
        ]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
