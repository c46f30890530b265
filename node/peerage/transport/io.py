"""The I/O thread: every socket of a peer lives and dies here, and nothing here waits for anything but its poll.

Others come in by our doors; DEALERs of ours lead to theirs, the bulk one only once something is fetched. Frames go
DEALER to ROUTER, so that a sender is the key its connection proved (``User-Id`` from our ZAP answer); routing ids are
chosen by clients and name nobody. The key is looked up again for every frame: ZAP runs at the handshake alone, and a
revoked peer keeps its connection.

What is left open: the parts of one multipart message pile up in libzmq until its last part, past every high-water
mark. Only a registered peer can do that to us; the answer is its stake and the operator's memory limit, not this
file.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import cast

import zmq

from peerage.transport.bulk import Downloads, Uploads
from peerage.transport.doors import Doors
from peerage.transport.frames import HEADER_LIMIT, REQUEST_LIMIT, BadFrame, decode_request, encode, wire_size
from peerage.transport.interface import (
    CHUNK,
    CONTROL_LIMIT,
    Dropped,
    Endpoint,
    Event,
    Fetched,
    FetchFailed,
    PeerContact,
    PeerDown,
    PeerFault,
    PeerUp,
    Received,
    Sink,
    TransportStats,
    parse_endpoint,
)
from peerage.transport.limits import Allowance, TransportSettings
from peerage.transport.link import Door, Link, LinkEvent, Socket, Way
from peerage.transport.relays import Relays
from peerage_crypto.errors import InputError
from peerage_crypto.identity import CurveKeys

_AT_ONCE = 256  # messages from one socket before the others get their turn


class Hub:
    """One peer's sockets and what is under way on them. Every method but ``stats`` runs on the I/O thread."""

    def __init__(
        self,
        keys: CurveKeys,
        settings: TransportSettings,
        wake: int,
        on_wake: Callable[[], None],
        *,
        relays: bool = False,
        via: tuple[bytes, ...] = (),
    ) -> None:
        self._keys, self._settings, self._via = keys, settings, via
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 8192)
        self._poller = zmq.Poller()
        self._handlers: dict[Socket | int, Callable[[], None]] = {}
        self._counts = Counter(dict.fromkeys((f.name for f in fields(TransportStats)), 0))
        self._me: bytes | None = None
        self._sink: Sink | None = None
        self._contacts: dict[bytes, PeerContact] = {}
        self._senders: dict[str, bytes] = {}  # hex of an active key -> its peer
        self._allowances: dict[bytes, Allowance] = {}
        self._control: dict[bytes, Link] = {}
        self._bulk: dict[bytes, Link] = {}
        self._reopen: dict[Link, float] = {}
        self._on_sockets: dict[Link, Callable[[], None]] = {}
        self._downloads = Downloads(settings.credits, settings.resend, settings.stall)
        self.uploads = Uploads()
        self._running = True
        self.doors = Doors(self._context, keys, settings, relays=relays)
        self.relays = Relays(
            self,
            self._context,
            keys,
            settings,
            door=self.doors.relay,
            downloads=self._downloads,
            uploads=self.uploads,
        )
        self._watch(wake, zmq.POLLIN, on_wake)
        self._watch(self.doors.zap, zmq.POLLIN, self._on_zap)
        self._watch(self.doors.control, zmq.POLLIN, self._on_control)
        self._watch(self.doors.bulk, zmq.POLLIN, self._on_request)
        if self.doors.relay is not None:
            self._watch(self.doors.relay, zmq.POLLIN, self.relays.on_door)

    def loop(self) -> None:
        while self._running:
            for socket, _flags in self._poller.poll(self._until_due()):
                handler = self._handlers.get(cast("Socket | int", socket))
                if handler is not None:  # an earlier handler of this turn may have closed it
                    handler()
            self._on_time(time.monotonic())

    def stop(self) -> None:
        self._running = False

    def close(self, linger: float) -> None:
        """Ends everything; up to ``linger`` seconds for control frames on their way to peers that are there."""
        until = time.monotonic() + linger
        for link in self._control.values():
            # asking for POLLOUT also makes the socket notice a pipe that is younger than its last look
            while (
                link.up
                and link.waiting
                and link.socket.poll(max(0, int(1000 * (until - time.monotonic()))), zmq.POLLOUT)
            ):
                self._flush(link)
            link.close(max(0.0, until - time.monotonic()) if link.up else 0.0)
        for link in self._bulk.values():
            link.close()
        self.relays.close(until)
        self.doors.close()
        self._context.term()

    def stats(self) -> TransportStats:
        refused = self._counts["refused"] + self.relays.refused()
        return TransportStats(**{**self._counts, "refused": refused, "relay_dropped": self.relays.forwarding.dropped})

    # -- what the peer asks of us --------------------------------------------------------------------------------------

    def start(self, me: bytes, sink: Sink) -> None:
        self._me, self._sink = me, sink
        self.relays.start(me)
        self.direct(self._contacts)

    def direct(self, contacts: Mapping[bytes, PeerContact]) -> None:
        """The directory as it is now: links follow it. Before ``start`` it only waits, because we might call
        ourselves.
        """
        self._contacts = dict(contacts)
        if self._me is None:
            return
        active = {address: contact for address, contact in contacts.items() if contact.active}
        claims = Counter(contact.public_key for contact in active.values())
        for address, contact in active.items():
            if claims[contact.public_key] > 1:
                self.fault(address, "its transport key is registered by another peer too, so it identifies nobody")
        self._senders = {
            c.public_key.hex(): a for a, c in active.items() if claims[c.public_key] == 1 and a != self._me
        }
        endpoints = {a: e for a in sorted(self._senders.values()) if (e := self._endpoint(a, active[a])) is not None}
        dialled = [address for address, endpoint in endpoints.items() if not endpoint.via]
        for address in [a for a in self._control if a not in dialled]:
            self._forget(address)
        for address in dialled:
            self._meet(address, endpoints[address], active[address].public_key)
        self.relays.direct({a: c.public_key for a, c in active.items() if a in endpoints}, endpoints, self._via)

    def _endpoint(self, address: bytes, contact: PeerContact) -> Endpoint | None:
        try:
            return parse_endpoint(contact.endpoint)
        except InputError as error:
            self.fault(address, f"registered an endpoint that leads nowhere: {error}")
            return None

    def send(self, to: bytes, frame: bytes) -> None:
        if to == self._me:
            self._emit(Received(to, frame))
            return
        link = self._control.get(to)
        if link is None and self.relays.reaches(to):
            self.relays.send(to, frame)
        elif link is None:
            self.drop(to, 1, "it is not an active peer with an endpoint")
        else:
            if not link.waiting.offer(frame, time.monotonic()):
                self.drop(to, 1, "too many frames already wait for it")
            self._flush(link)

    def broadcast(self, frame: bytes) -> None:
        for address in (*self._control, *self.relays.called()):
            self.send(address, frame)

    def fetch(self, owner: bytes, artefact: bytes, size_limit: int) -> None:
        if owner == self._me:
            found = self.uploads.find(artefact)
            reason = "this peer does not have it itself"
            self._emit(
                FetchFailed(owner, artefact, reason) if found is None else Fetched(owner, artefact, bytes(found))
            )
            return
        relayed = self.relays.reaches(owner)
        if owner not in self._control and not relayed:
            self._emit(FetchFailed(owner, artefact, "it is not an active peer with an endpoint"))
            return
        self._downloads.add(owner, artefact, size_limit, time.monotonic())
        if relayed:
            self.relays.ask()
            return
        link = self._bulk.get(owner)
        if link is None:
            door = self._control[owner].door
            url = parse_endpoint(self._contacts[owner].endpoint).bulk_url()
            self._bulk[owner] = self._link(
                Door(owner, Way.BULK, url, door.public_key), CHUNK + HEADER_LIMIT, 2 * self._settings.credits
            )
        elif link.up:
            self._ask(owner)

    # -- links to the others -------------------------------------------------------------------------------------------

    def _meet(self, address: bytes, endpoint: Endpoint, public_key: bytes) -> None:
        door = Door(address, Way.CONTROL, endpoint.control_url(), public_key)
        bulk = self._bulk.get(address)
        known = self._control.get(address)
        if known is not None:
            if known.door == door and (bulk is None or bulk.door.url == endpoint.bulk_url()):
                return
            self._forget(address)
        self._control[address] = self._link(door, REQUEST_LIMIT, 1)  # nothing comes back on a control link

    def _link(self, door: Door, largest: int, receives: int) -> Link:
        link = Link(self._context, self._keys, door, self._settings, largest=largest, receives=receives)
        self.watch_link(link, partial(self._on_link, link))
        self._flush(link)
        return link

    def watch_link(self, link: Link, on_socket: Callable[[], None]) -> None:
        """From now on, and with new sockets whenever the link is opened again."""
        self._on_sockets[link] = on_socket
        if not link.opened:
            self._reopen[link] = time.monotonic() + link.retry_after()
            return
        self._watch(link.monitor, zmq.POLLIN, partial(self._on_monitor, link))
        self._handlers[link.socket] = on_socket

    def unwatch_link(self, link: Link) -> None:
        self._on_sockets.pop(link, None)
        if link.opened:
            self._unwatch(link.monitor)
            self._unwatch(link.socket)
        self._reopen.pop(link, None)

    def _forget(self, address: bytes) -> None:
        for links in (self._control, self._bulk):
            link = links.pop(address, None)
            if link is None:
                continue
            if link.up and link.door.way is Way.CONTROL:
                self._emit(PeerDown(address))
            self.unwatch_link(link)
            link.close()
        for event in self._downloads.abandon(address, "it is no longer the active peer that was asked"):
            self._emit(event)

    def _flush(self, link: Link) -> None:
        bulk = link.door.way is Way.BULK
        self._sent("bulk_sent" if bulk else "control_sent", link.flush(time.monotonic()))
        aged = link.waiting.take_aged()
        if aged:
            self.drop(link.door.address, aged, f"they waited {self._settings.pending_age:g} s for it")
        if link.opened:
            self.poll(link.socket, (zmq.POLLIN if bulk else 0) | (zmq.POLLOUT if link.waiting else 0))

    def _ask(self, owner: bytes) -> None:
        link = self._bulk[owner]
        now = time.monotonic()
        for request in self._downloads.requests(owner):
            link.waiting.offer(encode(request), now)
        self._flush(link)

    def _on_monitor(self, link: Link) -> None:
        for change in list(link.changes()):
            if change is LinkEvent.REFUSED:
                self._reopen.setdefault(link, time.monotonic() + link.retry_after())
            elif change is LinkEvent.UP:
                self._reopen.pop(link, None)
                self._went_up(link)
            elif link.door.way is Way.CONTROL:
                self._emit(PeerDown(link.door.address))
            elif link.door.way is Way.RELAY:
                self.relays.went_down(link.door.address)

    def _went_up(self, link: Link) -> None:
        address = link.door.address
        match link.door.way:
            case Way.BULK:
                link.waiting.clear()
                self._downloads.restart(address, time.monotonic())
                self._ask(address)
            case Way.CONTROL:
                self._emit(PeerUp(address))
                self._flush(link)
            case Way.RELAY:
                self.relays.went_up(address)

    def _on_link(self, link: Link) -> None:
        if link.door.way is Way.BULK:
            owner = link.door.address
            for frames in self.messages(link.socket):
                self._counted("bulk_received", frames)
                for event in self._downloads.answer(owner, [frame.buffer for frame in frames], time.monotonic()):
                    self.report(event)
            self._ask(owner)
        else:
            self._flush(link)

    def _on_time(self, now: float) -> None:
        for link in [link for link, at in self._reopen.items() if at <= now]:
            on_socket = self._on_sockets[link]
            self.unwatch_link(link)
            link.close()
            link.open()
            self.watch_link(link, on_socket)
            if link.door.way is not Way.RELAY:
                self._flush(link)
        events, again = self._downloads.due(now)
        for event in events:
            self.report(event)
        for owner in again:
            if owner in self._bulk and self._bulk[owner].up:
                self._ask(owner)
        self.relays.ask()
        self.relays.turn(now)

    def _until_due(self) -> int | None:
        deadlines = list(self._reopen.values())
        deadlines += [at for at in (self._downloads.deadline(), self.relays.deadline()) if at is not None]
        return None if not deadlines else max(0, int(1000 * (min(deadlines) - time.monotonic())) + 1)

    # -- what comes in by our doors ------------------------------------------------------------------------------------

    def _on_zap(self) -> None:
        self._counts["refused"] += self.doors.answer_zap(lambda key: key.hex() in self._senders)

    def sender(self, frame: zmq.Frame) -> bytes | None:
        """The peer whose key this connection proved, if the ledger still says that it may speak."""
        try:
            sender = self._senders.get(str(frame.get("User-Id")))
        except zmq.ZMQError:  # a message without the property; our doors admit none, so it is nobody's
            sender = None
        self._counts["refused"] += sender is None
        return sender

    def _on_control(self) -> None:
        for _route, *frames in self.messages(self.doors.control):
            self._counted("control_received", frames)
            sender = self.sender(frames[-1]) if frames else None
            if sender is None:
                continue
            length = sum(len(frame) for frame in frames)
            if not self.allowance(sender).frame(length, time.monotonic()):
                self.fault(sender, "sends faster than any round needs; what is too much is dropped")
            elif len(frames) != 1:
                self.fault(sender, f"sent a control message of {len(frames)} parts instead of 1")
            elif not 0 < length <= CONTROL_LIMIT:
                self.fault(sender, f"sent a control frame of {length} bytes; 1 to {CONTROL_LIMIT} are allowed")
            else:
                self._emit(Received(sender, frames[0].bytes))

    def _on_request(self) -> None:
        for route, *frames in self.messages(self.doors.bulk):
            self._counted("bulk_received", frames)
            sender = self.sender(frames[-1]) if frames else None
            if sender is None:
                continue
            if not self.allowance(sender).request(time.monotonic()):
                self.fault(sender, "asks for chunks faster than they can be sent; what is too much is dropped")
                continue
            try:
                request = decode_request([frame.bytes for frame in frames])
            except BadFrame as error:
                self.fault(sender, f"sent {error}")
                continue
            header, chunk = self.uploads.answer(request)
            head = encode(header)
            if self._answered([route.bytes, head, chunk]):
                self._sent("bulk_sent", (len(head), len(chunk)), frames=1)

    def _answered(self, answer: list[bytes | memoryview]) -> bool:
        """False if it asked beyond its credits, or is gone: its loss, it will ask again."""
        for _ in range(2):
            try:
                self.doors.bulk.send_multipart(answer, zmq.NOBLOCK, copy=False)
            except zmq.ZMQError as error:
                if error.errno == zmq.EHOSTUNREACH:
                    return False
                if error.errno != zmq.EAGAIN:
                    raise
                self.doors.bulk.get(zmq.EVENTS)  # in a burst libzmq learns only when asked what has already left
            else:
                return True
        return False

    # -- small change --------------------------------------------------------------------------------------------------

    def _watch(self, socket: Socket | int, flags: int, handler: Callable[[], None]) -> None:
        self._handlers[socket] = handler
        self._poller.register(socket, flags)

    def _unwatch(self, socket: Socket) -> None:
        self._handlers.pop(socket, None)
        self._unpoll(socket)

    def _unpoll(self, socket: Socket) -> None:
        if socket in self._poller:
            self._poller.unregister(socket)

    def allowance(self, address: bytes) -> Allowance:
        known = self._allowances.get(address)
        if known is None:
            known = self._allowances[address] = Allowance(self._settings)
        return known

    def _emit(self, event: Event) -> None:
        if self._sink is not None:
            self._sink(event)

    def report(self, event: Event) -> None:
        if isinstance(event, PeerFault):
            self.fault(event.address, event.sentence)
        else:
            self._emit(event)

    def fault(self, address: bytes, sentence: str) -> None:
        if self.allowance(address).fault(time.monotonic()):
            self._emit(PeerFault(address, sentence))

    def drop(self, to: bytes, frames: int, reason: str) -> None:
        self._counts["frames_dropped"] += frames
        self._emit(Dropped(to, frames, reason))

    def _sent(self, what: str, lengths: Sequence[int], frames: int | None = None) -> None:
        self._counts[what] += sum(map(wire_size, lengths))
        self._counts["frames_sent"] += len(lengths) if frames is None else frames

    def count(self, what: str, lengths: Sequence[int]) -> None:
        """Frames of one message that has left or come in, by the name of its sum in the statistics."""
        self._counts[what] += sum(map(wire_size, lengths))
        self._counts["frames_sent" if what.endswith("sent") else "frames_received"] += 1

    def messages(self, socket: Socket) -> Iterator[list[zmq.Frame]]:
        """What has arrived, a turn's worth at most."""
        for _ in range(_AT_ONCE):
            try:
                yield socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return

    def poll(self, socket: Socket, flags: int) -> None:
        """Whether to be woken when it can be read or written to; 0: neither."""
        if flags:
            self._poller.register(socket, flags)
        else:
            self._unpoll(socket)

    def _counted(self, what: str, frames: Sequence[zmq.Frame]) -> None:
        self._counts[what] += sum(wire_size(len(frame)) for frame in frames)
        self._counts["frames_received"] += 1
