"""A peer's transport in a process of its own, and what strangers and insiders do to it: for `flood` and for the tests.

As a program (python exposed.py JSON) it is the peer: it prints its endpoint, sends back every frame that begins with E,
and obeys commands on stdin, one JSON document a line. Loopback only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from statistics import median
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

import psutil

from peerage.transport.curve import ZmqTransport
from peerage.transport.interface import (
    Dropped,
    Fetched,
    PeerContact,
    PeerDown,
    PeerFault,
    PeerUp,
    Received,
    TransportFailed,
    parse_endpoint,
)
from peerage.transport.limits import TransportSettings
from peerage_crypto.identity import CurveKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + b"\0" + bytes(31)
MIB = 1 << 20


def address(name: int) -> bytes:
    return bytes([name]) * 20


def keys(name: int) -> CurveKeys:
    return CurveKeys.from_secret(hashlib.sha256(bytes([name])).digest())


class Here:
    """A peer in this process."""

    def __init__(self, name: int, host: str = "127.0.0.1", settings: TransportSettings | None = None) -> None:
        self.name, self.address = name, address(name)
        self.transport = ZmqTransport(keys(name), host, settings=settings or TransportSettings())
        self.endpoint = self.transport.bind()
        self.events: SimpleQueue[Any] = SimpleQueue()
        self.transport.start(self.address, self.events.put)

    def knows(self, directory: dict[int, str], revoked: Iterable[int] = ()) -> None:
        gone = set(revoked)
        self.transport.update_directory(
            {address(n): PeerContact(keys(n).public, where, n not in gone) for n, where in directory.items()}
        )

    def next(self, kind: type, seconds: float = 10.0, of: Callable[[Any], bool] = lambda _: True) -> Any:  # noqa: ANN401 - as many types as events
        until = time.monotonic() + seconds
        while True:
            event = self.events.get(timeout=max(0.0, until - time.monotonic()))
            if isinstance(event, TransportFailed):
                raise event.error
            if isinstance(event, kind) and of(event):
                return event

    def echoed(self, to: int, body: bytes = b"", seconds: float = 10.0) -> float:
        """Seconds until the other has sent our frame back."""
        frame = b"E" + os.urandom(8) + body
        started = time.perf_counter()
        self.transport.send(address(to), frame)
        self.next(Received, seconds, lambda event: event.frame == frame)
        return time.perf_counter() - started

    def latency(self, to: int, times: int) -> dict[str, float]:
        """Milliseconds there and back."""
        taken = sorted(1000 * self.echoed(to) for _ in range(times))
        return {"median_ms": median(taken), "worst_ms": taken[-1]}

    def close(self) -> None:
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class There:
    """A peer in a process of its own, whose memory and descriptors we look at."""

    def __init__(
        self, name: int, host: str = "127.0.0.1", settings: dict[str, float] | None = None, descriptors: int = 0
    ) -> None:
        self.name = name
        told = {"name": name, "host": host, "settings": settings or {}, "descriptors": descriptors}
        command = [sys.executable, __file__, json.dumps(told)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.endpoint: str = self._answer()
        self.doors = parse_endpoint(self.endpoint)
        self._watched = psutil.Process(self.process.pid)

    def ask(self, what: str, **more: object) -> Any:  # noqa: ANN401 - JSON
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def knows(self, directory: dict[int, str], revoked: Iterable[int] = ()) -> None:
        self.ask("know", directory=directory, revoked=list(revoked))

    def memory(self) -> int:
        """Resident bytes now."""
        return int(self._watched.memory_info().rss)

    def most_memory(self) -> int:
        """The most resident bytes since ``reset_most`` where the system tells, else now."""
        with contextlib.suppress(OSError), Path(f"/proc/{self.process.pid}/status").open() as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
        return self.memory()

    def reset_most(self) -> int:
        """Forget the highest mark; resident bytes now."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        return self.memory()

    def descriptors(self) -> int:
        return int(self._watched.num_fds())

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _answer(self) -> Any:  # noqa: ANN401 - JSON
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"peer {self.name} has ended: {self.process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Strangers:
    """Raw TCP connections that say `words` and then nothing; closed together."""

    def __init__(self, port: int, count: int, words: bytes = b"") -> None:
        self.sockets: list[socket.socket] = []
        self.refused = 0
        for _ in range(count):
            try:
                one = socket.create_connection(("127.0.0.1", port), timeout=2)
                one.settimeout(0.5)
                self.sockets.append(one)
                one.sendall(words)
            except OSError:
                self.refused += 1

    def open(self) -> int:
        """How many the other side has not closed."""
        return sum(not _closed(one) for one in self.sockets)

    def close(self) -> None:
        for one in self.sockets:
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _closed(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        while one.recv(4096):  # its greeting
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def half_a_command(size: int) -> bytes:
    """A greeting, and a command of ``size`` bytes of which the last never comes."""
    return GREETING + b"\x06" + struct.pack(">Q", size) + bytes(size - 1)


# -- the program ---------------------------------------------------------------------------------------------------


def main() -> None:  # noqa: C901 - one case a command: a table
    told = json.loads(sys.argv[1])
    if told["descriptors"]:
        import resource

        resource.setrlimit(resource.RLIMIT_NOFILE, (told["descriptors"], told["descriptors"]))
    peer = Here(told["name"], told["host"], TransportSettings(**told["settings"]))
    heard: dict[str, Any] = {"faults": [], "received": 0, "dropped": 0, "up": [], "fetched": 0, "failed": ""}
    Thread(target=listen, args=(peer, heard), daemon=True).start()
    print(json.dumps(peer.endpoint), flush=True)
    blob = b""
    for line in sys.stdin:
        order = json.loads(line)
        answer: Any = True
        match order["do"]:
            case "know":
                peer.knows({int(n): where for n, where in order["directory"].items()}, order["revoked"])
            case "heard":
                answer = heard
            case "stats":
                answer = {
                    name: getattr(peer.transport.stats(), name) for name in type(peer.transport.stats()).__slots__
                }
            case "send":
                for _ in range(order["count"]):
                    peer.transport.send(address(order["to"]), bytes(order["size"]))
            case "serve":
                blob = os.urandom(order["size"])
                peer.transport.serve({hashlib.sha256(blob).digest(): blob}.get)
                answer = hashlib.sha256(blob).hexdigest()
            case "serve anything":  # a fresh MiB for every name: whatever is queued is memory
                peer.transport.serve(lambda name: name * (MIB // 32))
            case "fetch":
                peer.transport.fetch(address(order["owner"]), bytes.fromhex(order["artefact"]), order["limit"])
        print(json.dumps(answer), flush=True)


def listen(peer: Here, heard: dict[str, Any]) -> None:  # noqa: C901 - one case an event: a table
    while True:
        try:
            event = peer.events.get(timeout=60)
        except Empty:
            continue
        match event:
            case Received(sender, frame):
                heard["received"] += 1
                if frame[:1] == b"E":
                    peer.transport.send(sender, frame)
            case PeerFault(who, sentence):
                heard["faults"] = [*heard["faults"][-99:], [who.hex(), sentence]]
            case Dropped(_, frames, _):
                heard["dropped"] += frames
            case PeerUp(who):
                heard["up"] = [*heard["up"], who.hex()]
            case PeerDown(who):
                heard["up"] = [one for one in heard["up"] if one != who.hex()]
            case Fetched():
                heard["fetched"] += 1
            case TransportFailed(error):
                heard["failed"] = str(error)
            case _:
                pass


if __name__ == "__main__":
    main()
