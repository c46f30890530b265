"""Relaying on the I/O thread: connections to relays, the door of one, and what passes between them and the sessions."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import zmq
from msgspec.structs import replace

from peerage.transport.bulk import Downloads, Uploads
from peerage.transport.envelopes import RELAY_LIMIT, Envelope, Head, Kind, decode_envelope, encode_head
from peerage.transport.forwarding import Forwarding
from peerage.transport.frames import BadFrame
from peerage.transport.interface import CHUNK, Endpoint, Event, PeerDown, PeerFault, PeerUp, Received
from peerage.transport.limits import Allowance, TransportSettings
from peerage.transport.link import Door, Link, Socket, Way
from peerage.transport.tunnels import Chunk, News, Tunnels
from peerage_crypto.identity import CurveKeys

_RETRY = 0.002  # seconds; libzmq does not say when one of a ROUTER's pipes has room again
_ENVELOPES = 4000  # wait at a relay for one peer
_SHARED = 2  # envelopes that a link's socket holds: whatever else waits is sealed only when it leaves


class Yard(Protocol):
    """What the hub does for us."""

    def watch_link(self, link: Link, on_socket: Callable[[], None]) -> None: ...
    def unwatch_link(self, link: Link) -> None: ...
    def poll(self, socket: Socket, flags: int) -> None: ...
    def messages(self, socket: Socket) -> Iterator[list[zmq.Frame]]: ...
    def sender(self, frame: zmq.Frame) -> bytes | None: ...
    def allowance(self, address: bytes) -> Allowance: ...
    def report(self, event: Event) -> None: ...
    def drop(self, to: bytes, frames: int, reason: str) -> None: ...
    def count(self, what: str, lengths: Sequence[int]) -> None: ...


class Relays:
    """Everything of one peer that goes by way of a relay, its own among them."""

    def __init__(
        self,
        yard: Yard,
        context: "zmq.Context[Socket]",
        keys: CurveKeys,
        settings: TransportSettings,
        *,
        door: Socket | None,
        downloads: Downloads,
        uploads: Uploads,
    ) -> None:
        self._yard, self._context, self._keys, self._settings = yard, context, keys, settings
        self._door, self._downloads, self._uploads = door, downloads, uploads
        self._me = b""
        self._tunnels: Tunnels | None = None
        self._endpoints: dict[bytes, Endpoint] = {}
        self._peers: dict[bytes, bytes] = {}
        self._links: dict[bytes, Link] = {}
        self._held: dict[bytes, list[bytes]] = {}  # sealed, and not yet taken by the socket
        self._blocked = False
        self.forwarding = Forwarding(settings.credits * CHUNK, _ENVELOPES)

    def start(self, me: bytes) -> None:
        self._me = me
        self._tunnels = Tunnels(
            me, self._keys, self._settings, self._uploads, allowance=self._yard.allowance, rand=os.urandom
        )

    def direct(self, peers: Mapping[bytes, bytes], endpoints: Mapping[bytes, Endpoint], via: tuple[bytes, ...]) -> None:
        """Keys and endpoints of all active peers; ``via``: my own relays, if nobody can dial me."""
        tunnels = self._tunnels
        if tunnels is None:
            return
        self._endpoints, self._peers = dict(endpoints), dict(peers)
        calls: dict[bytes, tuple[bytes, ...]] = {}
        for address, endpoint in endpoints.items():
            usable = tuple(relay for relay in endpoint.via if relay != address and self._forwards(relay))
            if usable:
                calls[address] = usable
            elif endpoint.via:
                self._yard.report(PeerFault(address, "names no relay that is an active peer and forwards for others"))
        for address in [one for one in self._downloads.owners() if tunnels.calls(one) and one not in calls]:
            for event in self._downloads.abandon(address, "it is no longer the active peer that was asked"):
                self._yard.report(event)
        for address in [a for a in self.forwarding.connected() if a not in peers]:
            self.forwarding.gone(address)
        self._tell(list(tunnels.direct(peers, calls, tuple(relay for relay in via if self._forwards(relay)))))
        self._tend()

    def reaches(self, address: bytes) -> bool:
        return self._tunnels is not None and self._tunnels.calls(address)

    def called(self) -> list[bytes]:
        """Whoever is reached through relays."""
        return [a for a, endpoint in self._endpoints.items() if endpoint.via and self.reaches(a)]

    def send(self, to: bytes, frame: bytes) -> None:
        if self._tunnels is not None and not self._tunnels.offer(to, frame, time.monotonic()):
            self._yard.drop(to, 1, "too many frames already wait for it")

    def ask(self) -> None:
        """Requests of owners that are up. All of them share one peer's credits: at most so many chunks are at relays
        for me.
        """
        tunnels = self._tunnels
        if tunnels is None:
            return
        owners = [owner for owner in self._downloads.owners() if tunnels.is_up(owner)]
        free = self._settings.credits - sum(self._downloads.under_way(owner) for owner in owners)
        owners.sort(key=self._downloads.under_way)
        for owner in owners:
            fair = max(1, self._settings.credits // len(owners)) - self._downloads.under_way(owner)
            for request in self._downloads.requests(owner, max(0, min(fair, free))):
                free -= 1
                tunnels.ask(owner, request)

    # -- the loop's turns ----------------------------------------------------------------------------------------------

    def turn(self, now: float) -> None:
        """Once each time that the loop wakes: what is due, and whatever the sockets take."""
        tunnels = self._tunnels
        if tunnels is None:
            return
        if (due := tunnels.deadline()) is not None and due <= now:
            self._tell(list(tunnels.due(now, self._connected)))
            self._tend()
        for relay, link in self._links.items():
            if link.up:
                self._pump(relay, link, now)
        if self._door is not None:
            self._serve_mine(now)
        for address, aged in list(tunnels.aged()):
            self._yard.drop(address, aged, f"they waited {self._settings.pending_age:g} s for it")

    def deadline(self) -> float | None:
        ends = [time.monotonic() + _RETRY] if self._blocked else []
        if self._tunnels is not None and (due := self._tunnels.deadline()) is not None:
            ends.append(due)
        return min(ends, default=None)

    def refused(self) -> int:
        """Envelopes of nobody, or of no session."""
        return 0 if self._tunnels is None else self._tunnels.refused

    def close(self, until: float) -> None:
        """Lets what is sealed and what waits leave to relays that are there."""
        for relay, link in self._links.items():
            while link.up and (left := until - time.monotonic()) > 0:
                self._pump(relay, link, time.monotonic())
                if relay not in self._held or not link.socket.poll(int(1000 * left), zmq.POLLOUT):
                    break
            link.close(max(0.0, until - time.monotonic()) if link.up else 0.0)
        if self._door is not None:
            self._serve_mine(time.monotonic())

    # -- connections to relays -----------------------------------------------------------------------------------------

    def went_up(self, relay: bytes) -> None:
        self._held[relay] = [encode_head(Head(1, Kind.HERE, self._me, bytes(16), 0)), b""]
        if self._tunnels is not None:
            self._tunnels.connected(relay)

    def went_down(self, relay: bytes) -> None:
        self._held.pop(relay, None)
        if self._tunnels is not None:
            self._tell(list(self._tunnels.cut(relay, time.monotonic())))

    def _forwards(self, relay: bytes) -> bool:
        if relay == self._me:
            return self._door is not None
        return relay in self._endpoints and self._endpoints[relay].relay > 0

    def _connected(self, relay: bytes) -> bool:
        if relay == self._me:
            return self._door is not None
        return relay in self._links and self._links[relay].up

    def _tend(self) -> None:
        """Connections to exactly the relays that are wanted or were, and are still what they were."""
        wanted = set[bytes]() if self._tunnels is None else self._tunnels.relays() - {self._me}
        for relay, link in list(self._links.items()):
            if not self._forwards(relay) or link.door != self._way_to(relay):
                self._yard.unwatch_link(link)
                link.close()
                del self._links[relay]
                self.went_down(relay)
        for relay in wanted - set(self._links):
            if self._forwards(relay):
                link = Link(
                    self._context,
                    self._keys,
                    self._way_to(relay),
                    self._settings,
                    largest=RELAY_LIMIT,
                    receives=2 * self._settings.credits,
                    sends=_SHARED,
                )
                self._links[relay] = link
                self._yard.watch_link(link, self._on_link_of(relay))

    def _way_to(self, relay: bytes) -> Door:
        return Door(relay, Way.RELAY, self._endpoints[relay].relay_url(), self._peers[relay])

    def _on_link_of(self, relay: bytes) -> Callable[[], None]:
        return lambda: self._on_link(relay)

    def _on_link(self, relay: bytes) -> None:
        for frames in self._yard.messages(self._links[relay].socket):
            self._yard.count("relayed_received", [len(frame) for frame in frames])
            if self._tunnels is None:
                continue
            try:
                head, body = decode_envelope([frame.buffer for frame in frames])
            except BadFrame as error:
                self._yard.report(PeerFault(relay, f"sent {error}"))
                continue
            self._tell(self._tunnels.receive(relay, head, body, time.monotonic()))

    def _pump(self, relay: bytes, link: Link, now: float) -> None:
        tunnels = self._tunnels
        while tunnels is not None:
            frames = self._held.pop(relay, None)
            if frames is None:
                envelope = tunnels.following(relay, now)
                if envelope is None:
                    break
                frames = [encode_head(envelope[0]), envelope[1]]
            try:
                link.socket.send_multipart(frames, zmq.NOBLOCK, copy=False)
            except zmq.Again:
                self._held[relay] = frames
                break
            self._yard.count("relayed_sent", [len(frame) for frame in frames])
        self._yard.poll(link.socket, zmq.POLLIN | (zmq.POLLOUT if relay in self._held else 0))

    def _tell(self, news: list[News] | list[Event]) -> None:
        for one in news:
            if isinstance(one, Chunk):
                for event in self._downloads.answer(one.owner, one.frames, time.monotonic()):
                    self._yard.report(event)
                self.ask()
            elif isinstance(one, Received) and not self._yard.allowance(one.sender).frame(
                len(one.frame), time.monotonic()
            ):
                self._yard.report(
                    PeerFault(one.sender, "sends faster than any round needs; what is too much is dropped")
                )
            else:
                self._yard.report(one)
                if isinstance(one, PeerUp):
                    self._downloads.restart(one.address, time.monotonic())
                    self.ask()
                elif isinstance(one, PeerDown):
                    self._downloads.restart(one.address, time.monotonic())

    # -- forwarding for others -----------------------------------------------------------------------------------------

    def on_door(self) -> None:
        if self._door is None:
            return
        for route, *frames in self._yard.messages(self._door):
            lengths = [len(frame) for frame in frames]
            self._yard.count("relayed_received", lengths)
            sender = self._yard.sender(frames[-1]) if frames else None
            if sender is None:
                continue
            if not self._yard.allowance(sender).relayed(sum(lengths), time.monotonic()):
                self._yard.report(
                    PeerFault(sender, "has more forwarded than a relay can carry; what is too much is dropped")
                )
                continue
            try:
                head, body = decode_envelope([frame.buffer for frame in frames])
            except BadFrame as error:
                self._yard.report(PeerFault(sender, f"sent {error}"))
                continue
            if head.kind is Kind.HERE:
                self.forwarding.here(sender, route.bytes)
            elif head.kind is Kind.GONE:
                self._yard.report(PeerFault(sender, "speaks as if it were the relay"))
            else:
                self._forward(sender, head, body)

    def _forward(self, sender: bytes, head: Head, body: bytes | memoryview) -> None:
        """Only to active peers, and only if one of both has named me as its relay."""
        to = head.peer
        if to == self._me and self._tunnels is not None:
            self._tell(self._tunnels.receive(self._me, replace(head, peer=sender), body, time.monotonic()))
            return
        ours = any(self._me in self._endpoints[one].via for one in (sender, to) if one in self._endpoints)
        if ours and to in self._peers and self.forwarding.offer(sender, to, (self._from(sender, head), body)):
            return
        gone: Envelope = (Head(1, Kind.GONE, to, head.session, 0), b"")
        if sender == self._me and self._tunnels is not None:
            self._tell(self._tunnels.receive(self._me, *gone, time.monotonic()))
        else:
            self.forwarding.offer(self._me, sender, (encode_head(gone[0]), gone[1]))

    def _from(self, sender: bytes, head: Head) -> bytes:
        return encode_head(replace(head, peer=sender))

    def _serve_mine(self, now: float) -> None:
        """What I have to say to those whose relay I am waits in my sessions while they read what is here already."""
        tunnels = self._tunnels
        while tunnels is not None:
            mine = tunnels.following(self._me, now, lambda to: self.forwarding.held(to) < CHUNK)
            if mine is None:
                break
            self._forward(self._me, *mine)
        self._serve()

    def _serve(self) -> None:
        self._blocked = False
        for to in self.forwarding.waiting():
            while (first := self.forwarding.first(to)) is not None and self._handed(to, *first):
                self.forwarding.left(to)

    def _handed(self, to: bytes, route: bytes, frames: tuple[bytes, bytes | memoryview]) -> bool:
        assert self._door is not None  # only a relay serves
        for _ in range(2):
            try:
                self._door.send_multipart([route, *frames], zmq.NOBLOCK, copy=False)
            except zmq.ZMQError as error:
                if error.errno == zmq.EHOSTUNREACH:
                    self.forwarding.gone(to)
                    return False
                if error.errno != zmq.EAGAIN:
                    raise
                self._door.get(zmq.EVENTS)  # in a burst libzmq learns only when asked what has already left
            else:
                self._yard.count("relayed_sent", [len(frame) for frame in frames])
                return True
        self._blocked = True
        return False
