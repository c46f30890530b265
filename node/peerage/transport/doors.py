"""Where others come in: a ROUTER for control frames, one for bulk requests and, at a relay, one for envelopes; and the
authenticator that stands before them. A peer that nobody can dial never binds its own.
"""

import secrets
from collections.abc import Callable

import zmq

from peerage.transport.envelopes import RELAY_LIMIT
from peerage.transport.frames import REQUEST_LIMIT
from peerage.transport.limits import TransportSettings
from peerage.transport.link import Socket, tune
from peerage.transport.zap import DOMAIN, ZAP_ENDPOINT, zap_answer
from peerage_crypto.errors import InputError
from peerage_crypto.identity import CurveKeys

_CONTROL_MESSAGE = 256 * 1024
_PORTS = range(
    20000, 32000
)  # below where Linux and macOS put outgoing connections, so that a restart finds its port free
_PORT_TRIES = 100
_AT_ONCE = 64


class Doors:
    """The listening sockets of one peer; made, used and closed on the I/O thread."""

    def __init__(
        self, context: "zmq.Context[Socket]", keys: CurveKeys, settings: TransportSettings, *, relays: bool = False
    ) -> None:
        self._context, self._keys, self._settings = context, keys, settings
        # The authenticator first: a CURVE door without one lets everybody in.
        self.zap = context.socket(zmq.ROUTER)
        self.zap.linger = 0
        self.zap.bind(ZAP_ENDPOINT)
        self.control = self._door(_CONTROL_MESSAGE, 1000)
        # libzmq learns that a message is gone only every half window, so twice the credits never blocks them
        self.bulk = self._door(REQUEST_LIMIT, 2 * settings.credits)
        self.relay = self._door(RELAY_LIMIT, settings.credits) if relays else None

    def _door(self, largest: int, high_water: int) -> Socket:
        door = self._context.socket(zmq.ROUTER)
        tune(door, self._settings)
        door.maxmsgsize = (
            largest  # holds before the handshake too: without it a stranger's first frame may be of any size
        )
        door.rcvhwm = door.sndhwm = high_water
        door.router_mandatory = True
        door.backlog = 256
        door.curve_server = True
        door.curve_secretkey = self._keys.secret
        door.zap_domain = DOMAIN
        door.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
        return door

    def bind(self, host: str, port: int) -> int:
        """Control on ``port``, bulk and relay on the next, or on free ports in a row if it is 0; the control port.
        Raises InputError.
        """
        doors = [door for door in (self.control, self.bulk, self.relay) if door is not None]
        for door in doors:
            door.ipv6 = host.startswith("[")
        if port:
            for offset, door in enumerate(doors):
                _bind(door, host, port + offset)
            return port
        for _ in range(_PORT_TRIES):
            port = _PORTS.start + 4 * secrets.randbelow(len(_PORTS) // 4)
            bound = 0
            while bound < len(doors) and _free(doors[bound], host, port + bound):
                bound += 1
            if bound == len(doors):
                return port
            for offset in range(bound):
                doors[offset].unbind(f"tcp://{host}:{port + offset}")
        raise InputError(
            f"no {len(doors)} free TCP ports in a row on {host} from {_PORTS.start} to {_PORTS.stop}; give a port"
        )

    def answer_zap(self, admits: Callable[[bytes], bool]) -> int:
        """Answer the handshakes that wait; how many were refused."""
        refused = 0
        for _ in range(_AT_ONCE):
            try:
                frames = self.zap.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            reply = zap_answer(frames[2:], admits)
            if reply is not None:
                refused += reply[2] != b"200"
                self.zap.send_multipart([*frames[:2], *reply])
        return refused

    def close(self) -> None:
        for door in (self.control, self.bulk, self.relay, self.zap):
            if door is not None:
                door.close(linger=0)


def _free(door: Socket, host: str, port: int) -> bool:
    try:
        door.bind(f"tcp://{host}:{port}")
    except zmq.ZMQError as error:
        if error.errno == zmq.EADDRINUSE:
            return False
        raise _cannot_bind(host, port, error) from error
    return True


def _bind(door: Socket, host: str, port: int) -> None:
    try:
        door.bind(f"tcp://{host}:{port}")
    except zmq.ZMQError as error:
        raise _cannot_bind(host, port, error) from error


def _cannot_bind(host: str, port: int, error: zmq.ZMQError) -> InputError:
    if error.errno == zmq.EADDRINUSE:
        return InputError(f"TCP port {port} on {host} is in use; stop the program that listens there or give another")
    return InputError(
        f"cannot listen on TCP port {port} of {host!r} ({error.strerror}); give an address of this machine"
    )
