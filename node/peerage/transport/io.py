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
from peerage.transport.link import Door, Link, LinkEvent, Socket
from peerage_crypto.errors import InputError
from peerage_crypto.identity import CurveKeys

_AT_ONCE = 256  # messages from one socket before the others get their turn


class Hub:
    """One peer's sockets and what is under way on them. Every method but ``stats`` runs on the I/O thread."""

    def __init__(self, keys: CurveKeys, settings: TransportSettings, wake: int, on_wake: Callable[[], None]) -> None:
        self._keys, self._settings = keys, settings
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
        self._downloads = Downloads(settings.credits, settings.resend, settings.stall)
        self.uploads = Uploads()
        self._running = True
        self.doors = Doors(self._context, keys, settings)
        self._watch(wake, zmq.POLLIN, on_wake)
        self._watch(self.doors.zap, zmq.POLLIN, self._on_zap)
        self._watch(self.doors.control, zmq.POLLIN, self._on_control)
        self._watch(self.doors.bulk, zmq.POLLIN, self._on_request)

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
        self.doors.close()
        self._context.term()

    def stats(self) -> TransportStats:
        return TransportStats(**self._counts)

    # -- what the peer asks of us --------------------------------------------------------------------------------------

    def start(self, me: bytes, sink: Sink) -> None:
        self._me, self._sink = me, sink
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
                self._fault(address, "its transport key is registered by another peer too, so it identifies nobody")
        self._senders = {
            c.public_key.hex(): a for a, c in active.items() if claims[c.public_key] == 1 and a != self._me
        }
        wanted = set(self._senders.values())
        for address in [a for a in self._control if a not in wanted]:
            self._forget(address)
        for address in sorted(wanted):
            self._meet(address, active[address])

    def send(self, to: bytes, frame: bytes) -> None:
        if to == self._me:
            self._emit(Received(to, frame))
            return
        link = self._control.get(to)
        if link is None:
            self._drop(to, 1, "it is not an active peer with an endpoint")
        else:
            if not link.offer(frame, time.monotonic()):
                self._drop(to, 1, "too many frames already wait for it")
            self._flush(link)

    def broadcast(self, frame: bytes) -> None:
        for address in self._control:
            self.send(address, frame)

    def fetch(self, owner: bytes, artefact: bytes, size_limit: int) -> None:
        if owner == self._me:
            found = self.uploads.find(artefact)
            reason = "this peer does not have it itself"
            self._emit(
                FetchFailed(owner, artefact, reason) if found is None else Fetched(owner, artefact, bytes(found))
            )
            return
        if owner not in self._control:
            self._emit(FetchFailed(owner, artefact, "it is not an active peer with an endpoint"))
            return
        self._downloads.add(owner, artefact, size_limit, time.monotonic())
        link = self._bulk.get(owner)
        if link is None:
            door = self._control[owner].door
            url = parse_endpoint(self._contacts[owner].endpoint).bulk_url()
            self._bulk[owner] = self._link(
                Door(owner, True, url, door.public_key), CHUNK + HEADER_LIMIT, 2 * self._settings.credits
            )
        elif link.up:
            self._ask(owner)

    # -- links to the others -------------------------------------------------------------------------------------------

    def _meet(self, address: bytes, contact: PeerContact) -> None:
        try:
            endpoint = parse_endpoint(contact.endpoint)
        except InputError as error:
            self._fault(address, f"registered an endpoint that leads nowhere: {error}")
            self._forget(address)
            return
        door = Door(address, False, endpoint.control_url(), contact.public_key)
        bulk = self._bulk.get(address)
        known = self._control.get(address)
        if known is not None:
            if known.door == door and (bulk is None or bulk.door.url == endpoint.bulk_url()):
                return
            self._forget(address)
        self._control[address] = self._link(door, REQUEST_LIMIT, 1)  # nothing comes back on a control link

    def _link(self, door: Door, largest: int, receives: int) -> Link:
        link = Link(self._context, self._keys, door, self._settings, largest=largest, receives=receives)
        self._watch_link(link)
        return link

    def _watch_link(self, link: Link) -> None:
        self._watch(link.monitor, zmq.POLLIN, partial(self._on_monitor, link))
        self._handlers[link.socket] = partial(self._on_link, link)
        self._flush(link)

    def _unwatch_link(self, link: Link) -> None:
        self._unwatch(link.monitor)
        self._unwatch(link.socket)
        self._reopen.pop(link, None)

    def _forget(self, address: bytes) -> None:
        for links in (self._control, self._bulk):
            link = links.pop(address, None)
            if link is None:
                continue
            if link.up and not link.door.bulk:
                self._emit(PeerDown(address))
            self._unwatch_link(link)
            link.close()
        for event in self._downloads.abandon(address, "it is no longer the active peer that was asked"):
            self._emit(event)

    def _flush(self, link: Link) -> None:
        lengths = link.flush(time.monotonic())
        self._sent("bulk_sent" if link.door.bulk else "control_sent", lengths)
        aged = link.take_aged()
        if aged:
            self._drop(link.door.address, aged, f"they waited {self._settings.pending_age:g} s for it")
        flags = (zmq.POLLIN if link.door.bulk else 0) | (zmq.POLLOUT if link.waiting else 0)
        self._poller.register(link.socket, flags) if flags else self._unpoll(link.socket)

    def _ask(self, owner: bytes) -> None:
        link = self._bulk[owner]
        now = time.monotonic()
        for request in self._downloads.requests(owner):
            link.offer(encode(request), now)
        self._flush(link)

    def _on_monitor(self, link: Link) -> None:
        address = link.door.address
        for change in list(link.changes()):
            if change is LinkEvent.REFUSED:
                self._reopen.setdefault(link, time.monotonic() + link.retry_after())
            elif change is LinkEvent.UP:
                self._reopen.pop(link, None)
                if link.door.bulk:
                    link.clear()
                    self._downloads.restart(address, time.monotonic())
                    self._ask(address)
                else:
                    self._emit(PeerUp(address))
                    self._flush(link)
            elif not link.door.bulk:
                self._emit(PeerDown(address))

    def _on_link(self, link: Link) -> None:
        if link.door.bulk:
            owner = link.door.address
            for frames in _messages(link.socket):
                self._counted("bulk_received", frames)
                for event in self._downloads.answer(owner, [frame.buffer for frame in frames], time.monotonic()):
                    self._report(event)
            self._ask(owner)
        else:
            self._flush(link)

    def _on_time(self, now: float) -> None:
        for link in [link for link, at in self._reopen.items() if at <= now]:
            self._unwatch_link(link)
            link.close()
            link.open()
            self._watch_link(link)
        events, again = self._downloads.due(now)
        for event in events:
            self._report(event)
        for owner in again:
            if self._bulk[owner].up:
                self._ask(owner)

    def _until_due(self) -> int | None:
        deadlines = list(self._reopen.values())
        fetch = self._downloads.deadline()
        if fetch is not None:
            deadlines.append(fetch)
        return None if not deadlines else max(0, int(1000 * (min(deadlines) - time.monotonic())) + 1)

    # -- what comes in by our doors ------------------------------------------------------------------------------------

    def _on_zap(self) -> None:
        self._counts["refused"] += self.doors.answer_zap(lambda key: key.hex() in self._senders)

    def _sender(self, frame: zmq.Frame) -> bytes | None:
        """The peer whose key this connection proved, if the ledger still says that it may speak."""
        try:
            sender = self._senders.get(str(frame.get("User-Id")))
        except zmq.ZMQError:  # a message without the property; our doors admit none, so it is nobody's
            sender = None
        self._counts["refused"] += sender is None
        return sender

    def _on_control(self) -> None:
        for _route, *frames in _messages(self.doors.control):
            self._counted("control_received", frames)
            sender = self._sender(frames[-1]) if frames else None
            if sender is None:
                continue
            length = sum(len(frame) for frame in frames)
            if not self._allowance(sender).frame(length, time.monotonic()):
                self._fault(sender, "sends faster than any round needs; what is too much is dropped")
            elif len(frames) != 1:
                self._fault(sender, f"sent a control message of {len(frames)} parts instead of 1")
            elif not 0 < length <= CONTROL_LIMIT:
                self._fault(sender, f"sent a control frame of {length} bytes; 1 to {CONTROL_LIMIT} are allowed")
            else:
                self._emit(Received(sender, frames[0].bytes))

    def _on_request(self) -> None:
        for route, *frames in _messages(self.doors.bulk):
            self._counted("bulk_received", frames)
            sender = self._sender(frames[-1]) if frames else None
            if sender is None:
                continue
            if not self._allowance(sender).request(time.monotonic()):
                self._fault(sender, "asks for chunks faster than they can be sent; what is too much is dropped")
                continue
            try:
                request = decode_request([frame.bytes for frame in frames])
            except BadFrame as error:
                self._fault(sender, f"sent {error}")
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

    def _allowance(self, address: bytes) -> Allowance:
        known = self._allowances.get(address)
        if known is None:
            known = self._allowances[address] = Allowance(self._settings)
        return known

    def _emit(self, event: Event) -> None:
        if self._sink is not None:
            self._sink(event)

    def _report(self, event: Event) -> None:
        if isinstance(event, PeerFault):
            self._fault(event.address, event.sentence)
        else:
            self._emit(event)

    def _fault(self, address: bytes, sentence: str) -> None:
        if self._allowance(address).fault(time.monotonic()):
            self._emit(PeerFault(address, sentence))

    def _drop(self, to: bytes, frames: int, reason: str) -> None:
        self._counts["frames_dropped"] += frames
        self._emit(Dropped(to, frames, reason))

    def _sent(self, what: str, lengths: Sequence[int], frames: int | None = None) -> None:
        self._counts[what] += sum(map(wire_size, lengths))
        self._counts["frames_sent"] += len(lengths) if frames is None else frames

    def _counted(self, what: str, frames: Sequence[zmq.Frame]) -> None:
        self._counts[what] += sum(wire_size(len(frame)) for frame in frames)
        self._counts["frames_received"] += 1


def _messages(socket: Socket) -> Iterator[list[zmq.Frame]]:
    """What has arrived, a turn's worth at most."""
    for _ in range(_AT_ONCE):
        try:
            yield socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return
