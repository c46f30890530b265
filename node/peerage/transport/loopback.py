"""The transport without a network: a dictionary, for tests and simulations. Same Protocol, same events, no clock and
no threads.

Frames of one sender to one receiver stay in order; between links the seed decides who goes next, so a schedule can be
repeated. Nothing is delivered until ``step`` or ``run`` is called, unless the network is ``direct``: then it is
delivered at once, from whichever thread causes it. Peers can be taken down and links cut, to see what the round makes
of it.
"""

import hashlib
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import RLock

from peerage.transport.interface import (
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
    Serve,
    Sink,
    TransportStats,
    check_frame,
)
from peerage_crypto.errors import OurError

_PENDING = 1000

_Link = tuple[bytes, bytes]  # addresses: from, to


class LoopbackNetwork:
    """Everybody's ether. ``seed`` None delivers in the order of sending."""

    def __init__(self, seed: int | None = None, *, direct: bool = False) -> None:
        self._random = None if seed is None else random.Random(seed)  # noqa: S311  (a schedule, no secret)
        self._direct = direct
        self._running = False
        self._lock = RLock()
        self._made = 0
        self._peers: dict[bytes, LoopbackTransport] = {}
        self._links: dict[_Link, deque[tuple[int, Callable[[], None]]]] = {}
        self._count = 0
        self._down: set[bytes] = set()
        self._cut: set[frozenset[bytes]] = set()
        self._up: set[_Link] = set()

    def transport(self, public_key: bytes) -> "LoopbackTransport":
        """A new peer's door; its key is what others must find in their directory before they hear it."""
        self._made += 1
        return LoopbackTransport(self, public_key, Endpoint("127.0.0.1", 2 * self._made, 2 * self._made + 1))

    def down(self, address: bytes) -> None:
        """The peer falls silent: nothing reaches it and nothing leaves it, until ``up``."""
        with self._lock:
            self._down.add(address)
            self.refresh()

    def up(self, address: bytes) -> None:
        with self._lock:
            self._down.discard(address)
            self.refresh()

    def cut(self, one: bytes, other: bytes) -> None:
        """Both still reach everybody else."""
        with self._lock:
            self._cut.add(frozenset((one, other)))
            self.refresh()

    def heal(self, one: bytes, other: bytes) -> None:
        with self._lock:
            self._cut.discard(frozenset((one, other)))
            self.refresh()

    def step(self) -> bool:
        """Deliver one thing; False if there is nothing under way."""
        with self._lock:
            busy = [link for link, queue in self._links.items() if queue]
            if not busy:
                return False
            if self._random is None:
                link = min(busy, key=lambda each: self._links[each][0][0])
            else:
                link = busy[self._random.randrange(len(busy))]
            _, deliver = self._links[link].popleft()
            deliver()
            return True

    def run(self, most: int = 1_000_000) -> int:
        """Deliver until all is quiet; how many things that took. OurError after ``most``: peers that never stop
        talking.
        """
        for done in range(most):
            if not self.step():
                return done
        raise OurError(f"the loopback network is still busy after {most} deliveries")

    # -- for LoopbackTransport -----------------------------------------------------------------------------------------

    def join(self, address: bytes, peer: "LoopbackTransport") -> None:
        with self._lock:
            self._peers[address] = peer
            self.refresh()

    def part(self, address: bytes) -> None:
        with self._lock:
            self._peers.pop(address, None)
            self.refresh()

    def peer(self, address: bytes) -> "LoopbackTransport | None":
        return self._peers.get(address)

    def is_up(self, sender: bytes, to: bytes) -> bool:
        return (sender, to) in self._up

    def put(self, link: _Link, deliver: Callable[[], None]) -> None:
        with self._lock:
            self._enqueue(link, deliver)
            self._pump()

    def refresh(self) -> None:
        """Compare who can reach whom with who could, and tell them."""
        with self._lock:
            reachable = {
                (one, other)
                for one in self._peers
                for other in self._peers
                if one != other and self._reaches(one, other)
            }
            broken, new = sorted(self._up - reachable), sorted(reachable - self._up)
            self._up = reachable
            for link in broken:
                self._links.pop(link, None)  # what was under way is lost, as it is when a connection breaks
            for one, other in broken:
                self._tell(one, PeerDown(other))
            for one, other in new:
                self._tell(one, PeerUp(other))
            self._pump()

    def _tell(self, address: bytes, event: PeerUp | PeerDown) -> None:
        peer = self._peers.get(address)
        if peer is not None:
            self._enqueue((event.address, address), lambda: peer.link_changed(event))

    def _enqueue(self, link: _Link, deliver: Callable[[], None]) -> None:
        self._count += 1
        self._links.setdefault(link, deque()).append((self._count, deliver))

    def _reaches(self, one: bytes, other: bytes) -> bool:
        if one in self._down or other in self._down or frozenset((one, other)) in self._cut:
            return False
        sender, receiver = self._peers[one], self._peers[other]
        return sender.knows(other, receiver) and receiver.knows(one, sender)

    def _pump(self) -> None:
        if self._direct and not self._running:
            self._running = True
            try:
                while self.step():
                    pass
            finally:
                self._running = False


@dataclass(slots=True)
class _Counts:
    sent: int = 0
    received: int = 0
    bulk_sent: int = 0
    bulk_received: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    dropped: int = 0
    refused: int = 0


@dataclass(slots=True, eq=False)
class LoopbackTransport:
    """One peer on a LoopbackNetwork; make it with ``network.transport``."""

    network: LoopbackNetwork
    public_key: bytes
    endpoint: Endpoint
    _me: bytes | None = None
    _sink: Sink | None = None
    _serve: Serve | None = None
    _contacts: dict[bytes, PeerContact] = field(default_factory=dict[bytes, PeerContact])
    _waiting: dict[bytes, deque[bytes]] = field(default_factory=dict[bytes, deque[bytes]])
    _fetching: dict[tuple[bytes, bytes], int] = field(default_factory=dict[tuple[bytes, bytes], int])
    _counts: _Counts = field(default_factory=_Counts)

    def bind(self) -> str:
        return str(self.endpoint)

    def start(self, me: bytes, sink: Sink) -> None:
        self._me, self._sink = me, sink
        self.network.join(me, self)

    def update_directory(self, registrations: Mapping[bytes, PeerContact]) -> None:
        self._contacts = dict(registrations)
        self.network.refresh()
        for owner, artefact in [key for key in self._fetching if not self._active(key[0])]:
            self._fetch_failed(owner, artefact, "it is no longer the active peer that was asked")

    def serve(self, lookup: Serve) -> None:
        self._serve = lookup

    def send(self, to: bytes, frame: bytes) -> None:
        check_frame(frame)
        me = self._me
        if me is None:
            return
        if to == me:
            self.network.put((me, me), lambda: self._emit(Received(me, frame)))
        elif not self._active(to):
            self._drop(to, "it is not an active peer with an endpoint")
        elif self.network.is_up(me, to) and not self._waiting.get(to):
            self._transmit(to, frame)
        elif len(waiting := self._waiting.setdefault(to, deque())) < _PENDING:
            waiting.append(frame)
        else:
            self._drop(to, "too many frames already wait for it")

    def broadcast(self, frame: bytes) -> None:
        for address in sorted(self._contacts):
            if address != self._me and self._active(address):
                self.send(address, frame)

    def fetch(self, owner: bytes, artefact: bytes, size_limit: int) -> None:
        me, key = self._me, (owner, artefact)
        if me is None or key in self._fetching:
            return
        self._fetching[key] = size_limit
        if owner == me:
            self.network.put((me, me), lambda: self.answer(owner, artefact, self.look_up(artefact)))
        elif not self.network.is_up(me, owner):
            self.network.put((me, me), lambda: self._fetch_failed(owner, artefact, "it cannot be reached"))
        else:
            self.network.put((me, owner), lambda: self._ask(owner, artefact))

    def stats(self) -> TransportStats:
        c = self._counts
        return TransportStats(
            control_sent=c.sent,
            control_received=c.received,
            bulk_sent=c.bulk_sent,
            bulk_received=c.bulk_received,
            frames_sent=c.frames_sent,
            frames_received=c.frames_received,
            frames_dropped=c.dropped,
            refused=c.refused,
        )

    def close(self) -> None:
        self._sink = None
        if self._me is not None:
            self.network.part(self._me)

    # -- for the network -----------------------------------------------------------------------------------------------

    def knows(self, address: bytes, peer: "LoopbackTransport") -> bool:
        """Whether this peer's directory lists that one, active, with the key it really has."""
        contact = self._contacts.get(address)
        return contact is not None and contact.active and contact.public_key == peer.public_key

    def link_changed(self, event: PeerUp | PeerDown) -> None:
        self._emit(event)
        if isinstance(event, PeerDown):
            for owner, artefact in [key for key in self._fetching if key[0] == event.address]:
                self._fetch_failed(owner, artefact, "the connection broke")
        elif self._me is not None and self.network.is_up(self._me, event.address):
            for frame in self._waiting.pop(event.address, ()):
                self._transmit(event.address, frame)

    def take(self, sender: bytes, frame: bytes) -> None:
        peer = self.network.peer(sender)
        if peer is None or not self.knows(sender, peer):
            self._counts.refused += 1
            return
        self._counts.received += len(frame)
        self._counts.frames_received += 1
        self._emit(Received(sender, frame))

    def look_up(self, artefact: bytes) -> bytes | None:
        found = None if self._serve is None else self._serve(artefact)
        return None if found is None else bytes(found)

    def answer(self, owner: bytes, artefact: bytes, data: bytes | None) -> None:
        """What the owner says to our fetch; None if it lacks the artefact."""
        limit = self._fetching.get((owner, artefact))
        if limit is None:
            return
        if data is None:
            self._fetch_failed(owner, artefact, "it does not have this artefact")
        elif len(data) > limit or hashlib.sha256(data).digest() != artefact:
            sentence = (
                f"offers an artefact of {len(data)} bytes where at most {limit} are expected"
                if len(data) > limit
                else "sent bytes that do not hash to the artefact's name"
            )
            self._emit(PeerFault(owner, sentence))
            self._fetch_failed(owner, artefact, f"it {sentence}")
        else:
            del self._fetching[owner, artefact]
            self._counts.bulk_received += len(data)
            self._emit(Fetched(owner, artefact, data))

    # -- its own -------------------------------------------------------------------------------------------------------

    def _active(self, address: bytes) -> bool:
        contact = self._contacts.get(address)
        return contact is not None and contact.active

    def _transmit(self, to: bytes, frame: bytes) -> None:
        me, receiver = self._me, self.network.peer(to)
        if me is None or receiver is None:
            return
        self._counts.sent += len(frame)
        self._counts.frames_sent += 1
        self.network.put((me, to), lambda: receiver.take(me, frame))

    def _ask(self, owner: bytes, artefact: bytes) -> None:
        """Runs when the request reaches the owner: its answer travels back on its own link."""
        me, peer = self._me, self.network.peer(owner)
        if me is None or peer is None:
            return
        data = peer.look_up(artefact)
        peer._counts.bulk_sent += len(data or b"")  # noqa: SLF001  (the other end of the same class)
        self.network.put((owner, me), lambda: self.answer(owner, artefact, data))

    def _fetch_failed(self, owner: bytes, artefact: bytes, reason: str) -> None:
        if self._fetching.pop((owner, artefact), None) is not None:
            self._emit(FetchFailed(owner, artefact, reason))

    def _drop(self, to: bytes, reason: str) -> None:
        self._counts.dropped += 1
        self._emit(Dropped(to, 1, reason))

    def _emit(self, event: Event) -> None:
        if self._sink is not None:
            self._sink(event)
