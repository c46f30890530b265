"""How peers reach each other, as the rest of Peerage sees it: frames out, events in, blobs pulled by their SHA-256.

The round knows nothing of sockets. It calls the methods of :class:`Transport` from its one thread and finds the
answers, in order, in whatever callable it gave to ``start``. Two carry it out: ``transport_zmq`` (CURVE over TCP) and
``loopback`` (a dict).

Trust: ``Received.sender`` is who *sent* the frame, proved by the key registered on the ledger; never what a frame
says of itself. Delivery is at most once and in order per sender while a connection lasts; a frame under way when a
connection breaks is lost.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from peerage_crypto.errors import InputError, OurError

CONTROL_LIMIT = 200 * 1024
"""Bytes of the longest control frame; whatever is longer is an artefact and is pulled."""
RELAYS = "+relay"
"""Behind the host that a transport is given: it forwards for peers that nobody can dial."""
CHUNK = 1024 * 1024
"""Bytes of bulk per message: CURVE is twice as fast on 1 MiB as on 40 MiB."""


@dataclass(frozen=True, slots=True)
class PeerContact:
    """What the ledger says of a peer: X25519 key (32 raw bytes), endpoint as it registered it, and whether it may
    speak.
    """

    public_key: bytes
    endpoint: str
    active: bool


@dataclass(frozen=True, slots=True)
class Received:
    """A control frame from an active registered peer (or from ourselves: a peer may write to itself)."""

    sender: bytes
    frame: bytes


@dataclass(frozen=True, slots=True)
class Fetched:
    """The whole artefact, its SHA-256 checked."""

    owner: bytes
    artefact: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """The owner lacks the artefact, went silent, or sent something else (then a PeerFault comes first)."""

    owner: bytes
    artefact: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class PeerUp:
    """Our connection to the peer is open and it has proved its key; what waited for it is on its way."""

    address: bytes


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The connection broke, fell silent, or the ledger no longer lists the peer."""

    address: bytes


@dataclass(frozen=True, slots=True)
class PeerFault:
    """A registered peer broke the transport's rules; what it sent was dropped. At most a few a second per peer."""

    address: bytes
    sentence: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """Frames of ours that will never reach this peer: it is unknown, or too many already wait for it."""

    to: bytes
    frames: int
    reason: str


@dataclass(frozen=True, slots=True)
class TransportFailed:
    """The transport's thread ended by a fault of ours: nothing more will come; the peer must stop."""

    error: OurError


Event = Received | Fetched | FetchFailed | PeerUp | PeerDown | PeerFault | Dropped | TransportFailed
Sink = Callable[[Event], None]
Serve = Callable[[bytes], bytes | memoryview | None]


@dataclass(frozen=True, slots=True)
class TransportStats:
    """Counts since the start. Bytes are ZeroMQ frames with their CURVE envelope, without TCP/IP, handshakes and
    heartbeats.
    """

    control_sent: int = 0
    control_received: int = 0
    bulk_sent: int = 0
    bulk_received: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    frames_dropped: int = 0
    relayed_sent: int = 0
    relayed_received: int = 0
    """Envelopes by way of a relay: forwarded for others, and my own."""
    relay_dropped: int = 0
    """Envelopes that did not fit into what a relay holds for one peer."""
    refused: int = 0
    """Handshakes denied, and frames dropped because their key is no longer (or not yet) an active peer's."""

    @property
    def bytes_sent(self) -> int:
        return self.control_sent + self.bulk_sent + self.relayed_sent

    @property
    def bytes_received(self) -> int:
        return self.control_received + self.bulk_received + self.relayed_received


class Transport(Protocol):
    """One peer's way to the others. All methods may be called from any thread and none of them waits, but bind and
    close.
    """

    def bind(self) -> str:
        """Open the doors; the endpoint to register on the ledger. InputError if the port is taken."""
        ...

    def start(self, me: bytes, sink: Sink) -> None:
        """Begin to deliver. ``sink`` is called from another thread and must not wait: ``queue.SimpleQueue().put`` is
        meant.
        """
        ...

    def update_directory(self, registrations: Mapping[bytes, PeerContact]) -> None:
        """Everyone on the ledger by address. Connects to who is new, drops who is gone or inactive, at once."""
        ...

    def serve(self, lookup: Serve) -> None:
        """Where artefacts come from when others pull; called on the transport's thread, so it must be quick (a file,
        a dict).
        """
        ...

    def send(self, to: bytes, frame: bytes) -> None:
        """To one peer; waits for a peer that is connecting, up to a bound, then ``Dropped``. OurError above
        CONTROL_LIMIT.
        """
        ...

    def broadcast(self, frame: bytes) -> None:
        """To every active peer but ourselves."""
        ...

    def fetch(self, owner: bytes, artefact: bytes, size_limit: int) -> None:
        """Pull a blob; exactly one Fetched or FetchFailed follows. Asking again while it is under way changes
        nothing.
        """
        ...

    def stats(self) -> TransportStats: ...

    def close(self) -> None:
        """Let what was sent leave (half a second at most), then end. Idempotent; no event comes after it."""
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The one string a peer registers: ``tcp://ADDRESS:CONTROL/BULK`` for its doors, ``/RELAY`` after them if it
    forwards for others, or ``relay:0xADDRESS,0xADDRESS`` if nobody can dial it (no host and no ports then).
    """

    host: str
    control: int
    bulk: int
    relay: int = 0
    via: tuple[bytes, ...] = ()

    def __str__(self) -> str:
        if self.via:
            return "relay:" + ",".join(f"0x{address.hex()}" for address in self.via)
        return f"tcp://{self.host}:{self.control}/{self.bulk}" + (f"/{self.relay}" if self.relay else "")

    def control_url(self) -> str:
        return f"tcp://{self.host}:{self.control}"

    def bulk_url(self) -> str:
        return f"tcp://{self.host}:{self.bulk}"

    def relay_url(self) -> str:
        return f"tcp://{self.host}:{self.relay}"


# Addresses, not names: others write endpoints, and a name that resolves slowly would hold up everybody's heartbeats.
_ENDPOINT = re.compile(r"tcp://([0-9.]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})/([0-9]{1,5})(?:/([0-9]{1,5}))?", re.ASCII)
_RELAYED = re.compile(r"relay:(0x[0-9A-Fa-f]{40}(?:,0x[0-9A-Fa-f]{40}){0,3})", re.ASCII)


def parse_endpoint(text: str) -> Endpoint:
    """Raises InputError for anything that is neither one peer's TCP ports at an IP address that one can connect to nor
    a list of relays.
    """
    relayed = _RELAYED.fullmatch(text)
    if relayed is not None:
        via = tuple(bytes.fromhex(one[2:]) for one in relayed[1].split(","))
        if len(set(via)) < len(via):
            raise InputError(f"endpoint {text!r} names a relay twice")
        return Endpoint("", 0, 0, via=via)
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        raise InputError(
            f"endpoint {text[:80]!r} is not tcp://ADDRESS:PORT/BULKPORT, like tcp://192.0.2.7:40001/40002, with /PORT "
            "after it for a relay, nor relay: and the addresses of 1 to 4 relays"
        )
    host, control, bulk, relay = match[1], int(match[2]), int(match[3]), int(match[4] or 0)
    ports = [control, bulk] if match[4] is None else [control, bulk, relay]
    if not (all(0 < port < 65536 for port in ports) and len(set(ports)) == len(ports)):
        raise InputError(f"endpoint {text!r} needs different ports from 1 to 65535")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError as error:
        raise InputError(f"endpoint {text[:80]!r} has no valid IP address") from error
    if address.is_unspecified or address.is_multicast:
        raise InputError(f"endpoint {text!r} is no place to connect to; give the address that others can reach")
    return Endpoint(f"[{address}]" if address.version == 6 else str(address), control, bulk, relay)


def check_frame(frame: bytes) -> None:
    """A frame that no receiver would take is a bug of the sender's program."""
    if not 0 < len(frame) <= CONTROL_LIMIT:
        raise OurError(f"a control frame of {len(frame)} bytes was about to be sent; 1 to {CONTROL_LIMIT} are allowed")
