"""Our connection to one door of one peer: a DEALER that knows whom it must find there, and what waits until it has.

The socket queues nothing by itself (IMMEDIATE: no pipe before the handshake is through); what waits, waits here,
counted and dated. Up and down come from the socket's monitor: HANDSHAKE_SUCCEEDED, because "connected" alone is not
"authenticated", and DISCONNECTED, which the heartbeats raise within seconds for a peer that hangs.
"""

import enum
import errno
from collections.abc import Iterator
from dataclasses import dataclass

import zmq
from zmq.utils.monitor import recv_monitor_message

from peerage.transport.limits import TransportSettings
from peerage.transport.waiting import Waiting
from peerage_crypto.identity import CurveKeys

Socket = zmq.Socket[bytes]

_HANDSHAKE_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


_NO_ROOM = (errno.EMFILE, errno.ENFILE)
_IN_SOCKET = 100  # frames; the rest waits in our own queue, which also counts bytes and age


class LinkEvent(enum.Enum):
    """What the monitor says of a link."""

    UP = enum.auto()
    DOWN = enum.auto()
    REFUSED = enum.auto()


class Way(enum.Enum):
    """A peer has two doors or three: control takes frames, bulk answers requests, relay forwards envelopes."""

    CONTROL = enum.auto()
    BULK = enum.auto()
    RELAY = enum.auto()


@dataclass(frozen=True, slots=True)
class Door:
    """Where a link leads and who must be there."""

    address: bytes
    way: Way
    url: str
    public_key: bytes


def tune(socket: Socket, settings: TransportSettings) -> None:
    """What every socket of ours gets; libzmq's own defaults are no heartbeats, no size limit and a 30 s handshake."""
    socket.linger = 0
    socket.heartbeat_ivl = int(1000 * settings.heartbeat)
    socket.heartbeat_timeout = int(1000 * settings.silence)
    socket.heartbeat_ttl = int(1000 * settings.silence)
    socket.handshake_ivl = int(1000 * settings.handshake)
    socket.set(zmq.TCP_MAXRT, int(1000 * settings.silence))


class Link:
    """Lives on the I/O thread alone. ``socket`` and ``monitor`` are new after each ``open``, and there only when it is
    ``opened``: a process that strangers have left without file descriptors opens its links later.
    """

    def __init__(
        self,
        context: "zmq.Context[Socket]",
        keys: CurveKeys,
        door: Door,
        settings: TransportSettings,
        *,
        largest: int,
        receives: int,
        sends: int = _IN_SOCKET,
    ) -> None:
        self.door = door
        self.up = self.opened = False
        self._context, self._keys, self._settings = context, keys, settings
        self._largest, self._receives, self._sends = largest, receives, sends
        self.waiting = Waiting(settings)
        self._refusals = 0
        self.open()

    def open(self) -> None:
        try:
            self.socket = self._context.socket(zmq.DEALER)
        except zmq.ZMQError as error:
            if error.errno not in _NO_ROOM:
                raise
            return
        try:
            self._connect(self.socket)
        except zmq.ZMQError as error:
            self.socket.close(linger=0)
            if error.errno not in _NO_ROOM:
                raise
            return
        self.opened = True

    def _connect(self, socket: Socket) -> None:
        settings = self._settings
        tune(socket, settings)
        socket.immediate = True
        socket.ipv6 = "[" in self.door.url
        socket.maxmsgsize = self._largest
        socket.sndhwm = self._sends
        socket.rcvhwm = self._receives
        socket.reconnect_ivl = int(1000 * settings.reconnect)  # libzmq adds the jitter
        socket.reconnect_ivl_max = int(1000 * settings.reconnect_most)
        socket.set(zmq.CONNECT_TIMEOUT, int(1000 * settings.handshake))
        socket.curve_secretkey = self._keys.secret
        socket.curve_publickey = self._keys.public
        socket.curve_serverkey = self.door.public_key
        self.monitor = socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | _HANDSHAKE_FAILED
        )
        socket.connect(self.door.url)

    def close(self, linger: float = 0.0) -> None:
        """``linger`` seconds for what the socket already took; it binds only while the peer is there."""
        if not self.opened:
            return
        self.up = self.opened = False
        self.socket.disable_monitor()
        self.monitor.close(linger=0)
        self.socket.close(linger=int(1000 * linger))

    def retry_after(self) -> float:
        """Seconds until a refused link is worth opening again: libzmq gives up on some refusals, so we do it
        ourselves.
        """
        self._refusals += 1
        return min(self._settings.reconnect * float(1 << min(self._refusals - 1, 10)), self._settings.reconnect_most)

    def changes(self) -> Iterator[LinkEvent]:
        """What happened since the last call, oldest first."""
        while True:
            try:
                event = recv_monitor_message(self.monitor, zmq.NOBLOCK)["event"]
            except zmq.Again:
                return
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.up, self._refusals = True, 0
                yield LinkEvent.UP
            elif event == zmq.EVENT_DISCONNECTED:
                was_up, self.up = self.up, False
                if was_up:
                    yield LinkEvent.DOWN
            elif event & _HANDSHAKE_FAILED:
                yield LinkEvent.REFUSED

    def flush(self, now: float) -> list[int]:
        """Hand over what the socket takes; the lengths of what went."""
        sent: list[int] = []
        while self.opened and (frame := self.waiting.first(now)) is not None:
            try:
                self.socket.send(frame, zmq.NOBLOCK)
            except zmq.Again:
                break
            self.waiting.left()
            sent.append(len(frame))
        return sent
