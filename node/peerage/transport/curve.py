"""The transport on ZeroMQ: CURVE connections between peers that the ledger lists, driven by one thread of their own.

This is the thread-safe face. Calls become closures in an inbox that the I/O thread (``transport_io``) runs in order,
so no socket is ever touched by two threads and no caller ever waits for the network. Make it in the process that uses
it: contexts do not fork.
"""

import socket
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

import zmq

from peerage.transport.interface import (
    RELAYS,
    Endpoint,
    PeerContact,
    Serve,
    Sink,
    TransportFailed,
    TransportStats,
    check_frame,
    parse_endpoint,
)
from peerage.transport.io import Hub
from peerage.transport.limits import TransportSettings, raise_descriptor_limit
from peerage_crypto.errors import InputError, OurError
from peerage_crypto.identity import CurveKeys

_LINGER = 2.0  # seconds at most for the last words to a peer that is there


class ZmqTransport:
    """One peer on the network; see :class:`peerage.transport.interface.Transport` for what the methods promise.

    ``host`` is the interface to listen on; with ``+relay`` behind it this peer forwards for those that nobody can dial,
    and ``relay:0xADDRESS,…`` in its place makes it one of them: it listens nowhere. ``advertise`` is what others are
    told to connect to; it may be left out unless the host is every interface. With ``port`` 0 free ports are taken;
    otherwise control listens on ``port``, bulk on the next, and a relay on the one after.
    """

    def __init__(
        self,
        keys: CurveKeys,
        host: str,
        port: int = 0,
        *,
        advertise: str | None = None,
        settings: TransportSettings | None = None,
    ) -> None:
        if not 0 <= port < 65534:
            raise InputError(
                f"port {port} is not from 1 to 65533 (the next two may be needed too), nor 0 for any free ones"
            )
        self._keys, self._port = keys, port
        self._via = parse_endpoint(host).via if host.startswith("relay:") else ()
        self._relays = host.endswith(RELAYS)
        self._host = "" if self._via else _address(host.removesuffix(RELAYS))
        self._advertise = self._host if advertise is None else _address(advertise)
        parse_endpoint(str(self._endpoint(port or 1)))
        self._settings = settings or TransportSettings()
        self._inbox: deque[Callable[[Hub], None]] = deque()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._sink: Sink | None = None
        self._lookup: Serve = _nothing
        self._hub: Hub | None = None
        self._thread: Thread | None = None
        self._closed = False

    def bind(self) -> str:
        if self._thread is not None:
            raise OurError("a transport was bound twice")
        raise_descriptor_limit()
        if not zmq.has("curve"):
            raise InputError("this libzmq has no CURVE encryption; install the pyzmq wheel, which brings it")
        outcome: SimpleQueue[int | Exception] = SimpleQueue()
        self._thread = Thread(target=self._run, args=(outcome,), name="transport", daemon=True)
        self._thread.start()
        port = outcome.get()
        if isinstance(port, Exception):
            self.close()
            raise port
        return str(self._endpoint(port))

    def _endpoint(self, port: int) -> Endpoint:
        if self._via:
            return Endpoint("", 0, 0, via=self._via)
        return Endpoint(self._advertise, port, port + 1, port + 2 if self._relays else 0)

    def start(self, me: bytes, sink: Sink) -> None:
        self._sink = sink
        self._post(lambda hub: hub.start(me, sink))

    def update_directory(self, registrations: Mapping[bytes, PeerContact]) -> None:
        contacts = dict(registrations)
        self._post(lambda hub: hub.direct(contacts))

    def serve(self, lookup: Serve) -> None:
        self._lookup = lookup  # at once: whoever hears of an artefact after this call may ask for it

    def send(self, to: bytes, frame: bytes) -> None:
        check_frame(frame)
        self._post(lambda hub: hub.send(to, frame))

    def broadcast(self, frame: bytes) -> None:
        check_frame(frame)
        self._post(lambda hub: hub.broadcast(frame))

    def fetch(self, owner: bytes, artefact: bytes, size_limit: int) -> None:
        self._post(lambda hub: hub.fetch(owner, artefact, size_limit))

    def stats(self) -> TransportStats:
        return TransportStats() if self._hub is None else self._hub.stats()

    def close(self) -> None:
        if self._closed:
            return
        self._post(Hub.stop)
        self._closed = True
        if self._thread is not None:
            self._thread.join()
        self._wake_in.close()
        self._wake_out.close()

    def _post(self, call: Callable[[Hub], None]) -> None:
        if self._closed:
            return
        self._inbox.append(call)
        with suppress(BlockingIOError):  # full of wake-ups already
            self._wake_in.send(b"\0")

    def _run(self, outcome: "SimpleQueue[int | Exception]") -> None:
        """The I/O thread, from the sockets' making to their end."""
        wake = self._wake_out.fileno()
        hub = Hub(self._keys, self._settings, wake, self._on_wake, relays=self._relays, via=self._via)
        hub.uploads.lookup = self._look_up
        self._hub = hub
        linger = 0.0
        try:
            outcome.put(0 if self._via else hub.doors.bind(self._host, self._port))
            hub.loop()
            linger = _LINGER
        except InputError as error:
            outcome.put(error)
        except Exception as error:  # noqa: BLE001  (the end of a thread: a bug here must reach the peer, not stderr)
            failure = OurError(f"the transport stopped: {type(error).__name__}: {error}")
            outcome.put(failure)
            if self._sink is not None:
                self._sink(TransportFailed(failure))
        finally:
            hub.close(linger)

    def _look_up(self, artefact: bytes) -> bytes | memoryview | None:
        return self._lookup(artefact)

    def _on_wake(self) -> None:
        with suppress(BlockingIOError):
            while self._wake_out.recv(4096):
                pass
        hub = self._hub
        while self._inbox and hub is not None:
            self._inbox.popleft()(hub)


def _nothing(_artefact: bytes) -> None:
    return None


def _address(host: str) -> str:
    """A host name of our own configuration, as the address that goes on the ledger. InputError if it has none."""
    try:
        family, _, _, _, where = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"host {host!r} has no address on this network ({error}); give an IP address") from error
    return f"[{where[0]}]" if family == socket.AF_INET6 else str(where[0])
