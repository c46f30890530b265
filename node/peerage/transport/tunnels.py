"""Sessions that run through relays, without sockets: whom I call, who calls me, and what is to be sent next.

A peer that nobody can dial names relays in its endpoint and stays connected to all of them. Whoever wants to tell it
something calls it through the first of them, and through the next when that one does not lead there: frames, requests
and pings go one way, chunks and pongs the other, as from DEALER to ROUTER on a direct connection. What the called peer
has to say by itself takes its own way, for it can dial. Two that nobody can dial call each other: two sessions.

Texts are sealed when they leave, not when they are queued, so what waits is the round's own frames and requests of a
few bytes, and a chunk exists once. Time and randomness are arguments.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from peerage.transport.bulk import Uploads
from peerage.transport.envelopes import (
    Envelope,
    Head,
    Inside,
    Kind,
    chunk_frames,
    chunk_text,
    inside,
    request_of,
    request_text,
)
from peerage.transport.frames import BadFrame, ChunkRequest, encode
from peerage.transport.interface import CONTROL_LIMIT, Event, PeerDown, PeerFault, PeerUp, Received
from peerage.transport.limits import Allowance, TransportSettings
from peerage.transport.sealed import BadSeal, Channel, Ends, Replayed, as_callee, as_caller
from peerage.transport.waiting import Waiting
from peerage_crypto.agreement import BadKey, SessionKeys
from peerage_crypto.identity import CurveKeys

_URGENT = 1000  # calls, answers and pongs that wait for one relay


@dataclass(frozen=True, slots=True)
class Chunk:
    """A bulk answer from a peer that I called: the two frames that a direct connection would have brought."""

    owner: bytes
    frames: list[bytes | memoryview]


News = Event | Chunk


@dataclass(slots=True)
class _Call:
    """A peer that I call."""

    key: bytes
    via: tuple[bytes, ...]
    waiting: Waiting
    pause: float
    requests: deque[bytes] = field(default_factory=deque[bytes])
    turn: int = 0
    since: float = 0.0  # when I began to try the relay whose turn it is
    again: float = 0.0
    attempt: tuple[bytes, SessionKeys] | None = None
    channel: Channel | None = None
    heard: float = 0.0
    pinged: float = 0.0

    @property
    def relay(self) -> bytes:
        return self.via[self.turn % len(self.via)]


@dataclass(slots=True)
class _Caller:
    """A peer that calls me. A session counts from the first text that it opens on: a repeated call moves nothing."""

    answers: deque[ChunkRequest] = field(default_factory=deque[ChunkRequest])
    relay: bytes = b""
    current: Channel | None = None
    offered: Channel | None = None
    answer: Envelope | None = None


class Tunnels:
    """All of one peer's sessions. Methods return what is to be told; ``following`` has what is to be sent."""

    def __init__(
        self,
        me: bytes,
        keys: CurveKeys,
        settings: TransportSettings,
        uploads: Uploads,
        *,
        allowance: Callable[[bytes], Allowance],
        rand: Callable[[int], bytes],
    ) -> None:
        self._me, self._keys, self._settings, self._uploads = me, keys, settings, uploads
        self._allowance, self._rand = allowance, rand
        self._peers: dict[bytes, bytes] = {}
        self._via: tuple[bytes, ...] = ()
        self._calls: dict[bytes, _Call] = {}
        self._callers: dict[bytes, _Caller] = {}
        self._urgent: dict[bytes, deque[Envelope]] = {}
        self.refused = 0

    def direct(
        self, peers: Mapping[bytes, bytes], calls: Mapping[bytes, tuple[bytes, ...]], via: tuple[bytes, ...]
    ) -> list[Event]:
        """Keys of all active peers, the relays of those that must be called, and my own if I am one of them."""
        events: list[Event] = []
        for address in list(self._calls):
            known = self._calls[address]
            if peers.get(address) != known.key or calls.get(address) != known.via:
                events += [PeerDown(address)] if known.channel else []
                del self._calls[address]
        for address in list(self._callers):
            if peers.get(address) != self._peers.get(address):
                del self._callers[address]
        self._peers, self._via = dict(peers), via
        for address, relays in calls.items():
            if address not in self._calls:
                waiting, pause = Waiting(self._settings), self._settings.reconnect
                self._calls[address] = _Call(peers[address], relays, waiting, pause)
        return events

    def calls(self, address: bytes) -> bool:
        """Whether this peer is one that I reach through relays."""
        return address in self._calls

    def is_up(self, address: bytes) -> bool:
        call = self._calls.get(address)
        return call is not None and call.channel is not None

    def relays(self) -> set[bytes]:
        """To whom a connection is wanted now."""
        return {*self._via, *(call.relay for call in self._calls.values())}

    def offer(self, to: bytes, frame: bytes, now: float) -> bool:
        return self._calls[to].waiting.offer(frame, now)

    def ask(self, owner: bytes, request: ChunkRequest) -> None:
        """Only of whom is up; what was asked of a session that ends is forgotten."""
        self._calls[owner].requests.append(request_text(request))

    def aged(self) -> Iterator[tuple[bytes, int]]:
        """Frames that waited too long, by peer."""
        for address, call in self._calls.items():
            if aged := call.waiting.take_aged():
                yield address, aged

    # -- time and connections ------------------------------------------------------------------------------------------

    def due(self, now: float, connected: Callable[[bytes], bool]) -> list[Event]:
        """Calls to make, pings to send, silences to notice."""
        events: list[Event] = []
        for address, call in self._calls.items():
            if call.channel is not None and now >= call.heard + self._settings.silence:
                events += self._hang_up(address, call, now, turn=True)
            elif call.channel is not None and now >= call.pinged + self._settings.heartbeat:
                call.pinged = now
                self._say(call.relay, address, call.channel, bytes([Inside.PING]))
            elif call.channel is None and now >= call.again:
                self._ring(address, call, now, connected)
        return events

    def deadline(self) -> float | None:
        """When ``due`` is next worth calling."""
        settings = self._settings
        ends = [
            call.again if call.channel is None else min(call.heard + settings.silence, call.pinged + settings.heartbeat)
            for call in self._calls.values()
        ]
        return min(ends, default=None)

    def connected(self, relay: bytes) -> None:
        """The way to a relay is open: whoever is called through it is called now."""
        for call in self._calls.values():
            if call.relay == relay and call.channel is None:
                call.since, call.again, call.pause = 0.0, 0.0, self._settings.reconnect

    def cut(self, relay: bytes, now: float) -> list[Event]:
        """The way to a relay broke: whoever was called through it is down, and the next relay is tried."""
        self._urgent.pop(relay, None)
        events: list[Event] = []
        for address, call in self._calls.items():
            if call.relay == relay and call.channel is not None:
                events += self._hang_up(address, call, now, turn=True)
        for caller in self._callers.values():
            if caller.relay == relay:
                caller.answers.clear()
        return events

    def _ring(self, address: bytes, call: _Call, now: float, connected: Callable[[bytes], bool]) -> None:
        if call.since and now >= call.since + self._settings.handshake:
            self._next_relay(call, now)
        call.since = call.since or now
        if call.attempt is None:
            call.attempt = (self._rand(16), SessionKeys.from_secret(self._rand(32)))
        session, mine = call.attempt
        if connected(call.relay):
            self._put(call.relay, (Head(1, Kind.CALL, address, session, 0), mine.public))
        call.again = now + call.pause
        call.pause = min(2 * call.pause, self._settings.reconnect_most)

    def _next_relay(self, call: _Call, now: float) -> None:
        call.turn += 1
        call.attempt, call.since = None, now

    def _hang_up(self, address: bytes, call: _Call, now: float, *, turn: bool) -> list[Event]:
        was_up, call.channel, call.attempt = call.channel is not None, None, None
        call.requests.clear()
        call.since, call.again, call.pause = now, now, self._settings.reconnect
        if turn:
            self._next_relay(call, now)
        return [PeerDown(address)] if was_up else []

    # -- what comes in -------------------------------------------------------------------------------------------------

    def receive(self, relay: bytes, head: Head, body: bytes | memoryview, now: float) -> list[News]:
        """One envelope that a relay handed over; ``head.peer`` is who sent it, as the relay says."""
        if head.peer not in self._peers:
            self.refused += 1
            return []
        match head.kind:
            case Kind.CALL:
                return self._called(relay, head, bytes(body), now)
            case Kind.ANSWER:
                return self._answered(relay, head, bytes(body), now)
            case Kind.SEALED:
                return self._sealed(relay, head, bytes(body), now)
            case Kind.UNKNOWN | Kind.GONE:
                return self._unheard(relay, head, now)
            case _:
                return [PeerFault(relay, "handed over an envelope that is for relays alone")]

    def _called(self, relay: bytes, head: Head, theirs: bytes, now: float) -> list[News]:
        caller = self._callers.get(head.peer)
        if relay not in self._via:
            self.refused += 1  # who can be dialled is dialled
            return []
        if caller is None:
            caller = self._callers[head.peer] = _Caller()
        if caller.current is not None and caller.current.session == head.session:
            return []
        if caller.offered is None or caller.offered.session != head.session:
            if not self._allowance(head.peer).call(now):
                self.refused += 1
                return []
            mine = SessionKeys.from_secret(self._rand(32))
            ends = Ends(head.peer, self._me, self._peers[head.peer], self._keys.public)
            try:
                caller.offered = as_callee(ends, self._keys.secret, head.session, mine, theirs)
            except BadKey as error:
                return [self._blame(relay, head.peer, f"a call with a bad key ({error})")]
            counter, proof = caller.offered.seal(b"")
            caller.answer = Head(1, Kind.ANSWER, head.peer, head.session, counter), mine.public + proof
        if caller.answer is not None:
            self._put(relay, caller.answer)
        return []

    def _answered(self, relay: bytes, head: Head, body: bytes, now: float) -> list[News]:
        call = self._calls.get(head.peer)
        if call is None or call.attempt is None or relay != call.relay or head.session != call.attempt[0]:
            self.refused += 1  # late, or never asked for
            return []
        session, mine = call.attempt
        ends = Ends(self._me, head.peer, self._keys.public, call.key)
        try:
            channel = as_caller(ends, self._keys.secret, session, mine, body[:32])
            channel.open(head.counter, body[32:])
        except (BadKey, BadSeal, Replayed):
            return [self._blame(relay, head.peer, "an answer to our call that does not open")]
        call.channel, call.attempt, call.since = channel, None, 0.0
        call.heard = call.pinged = now
        call.pause = self._settings.reconnect
        self._say(relay, head.peer, channel, bytes([Inside.PING]))  # whoever called is believed from here on
        return [PeerUp(head.peer)]

    def _sealed(self, relay: bytes, head: Head, body: bytes, now: float) -> list[News]:
        call, caller = self._calls.get(head.peer), self._callers.get(head.peer)
        if call is not None and call.channel is not None and call.channel.session == head.session:
            channel = call.channel
        elif caller is not None and (found := _channel(caller, head.session)) is not None:
            channel, call = found, None
        else:
            self.refused += 1
            self._put(relay, (Head(1, Kind.UNKNOWN, head.peer, head.session, 0), b""))
            return []
        try:
            text = channel.open(head.counter, body)
        except BadSeal:
            return [self._blame(relay, head.peer, "an envelope that does not open")]
        except Replayed:
            return [self._blame(relay, head.peer, "an envelope that was here before")]
        try:
            what, rest = inside(text)
            if call is not None:
                call.heard = now
                return self._from_callee(head.peer, what, rest)
            assert caller is not None  # the channel is its
            return self._from_caller(relay, head.peer, caller, channel, what, rest, now)
        except BadFrame as error:
            return [PeerFault(head.peer, f"sent {error}")]

    def _from_callee(self, sender: bytes, what: Inside, rest: memoryview) -> list[News]:
        if what is Inside.CHUNK:
            return [Chunk(sender, chunk_frames(rest))]
        if what is not Inside.PONG:
            raise BadFrame("what only a caller may send")
        return []

    def _from_caller(
        self,
        relay: bytes,
        sender: bytes,
        caller: _Caller,
        channel: Channel,
        what: Inside,
        rest: memoryview,
        now: float,
    ) -> list[News]:
        if channel is caller.offered:
            caller.current, caller.offered, caller.answer = channel, None, None
            caller.answers.clear()
        caller.relay = relay
        if what is Inside.FRAME:
            if not 0 < len(rest) <= CONTROL_LIMIT:
                raise BadFrame(f"a control frame of {len(rest)} bytes; 1 to {CONTROL_LIMIT} are allowed")
            return [Received(sender, bytes(rest))]
        if not self._allowance(sender).request(now):
            return [PeerFault(sender, "asks for chunks faster than they can be sent; what is too much is dropped")]
        if what is Inside.REQUEST:
            request = request_of(rest)
            if len(caller.answers) < 2 * self._settings.credits:  # beyond its credits: its loss, it will ask again
                caller.answers.append(request)
        elif what is Inside.PING:
            self._say(relay, sender, channel, bytes([Inside.PONG]))
        else:
            raise BadFrame("what only a callee may send")
        return []

    def _unheard(self, relay: bytes, head: Head, now: float) -> list[News]:
        """Anybody on the way can say this; it can lose us a call, as silence can, and nothing more."""
        call = self._calls.get(head.peer)
        if call is None or call.relay != relay:
            return []
        gone = head.kind is Kind.GONE
        if call.channel is not None and call.channel.session == head.session:
            return list(self._hang_up(head.peer, call, now, turn=gone))
        if gone and call.attempt is not None and call.attempt[0] == head.session:
            self._next_relay(call, now)
        return []

    def _blame(self, relay: bytes, sender: bytes, what: str) -> PeerFault:
        """A relay that is me has changed nothing."""
        if relay == self._me:
            return PeerFault(sender, f"sent {what}")
        return PeerFault(relay, f"handed over, as relay, {what}: it or 0x{sender.hex()}, whom it names, is to blame")

    # -- what goes out -------------------------------------------------------------------------------------------------

    def following(self, relay: bytes, now: float, ready: Callable[[bytes], bool] = lambda _: True) -> Envelope | None:
        """What is next for this relay, sealed now; ``peer`` is whom it is for, ``ready`` says who has room."""
        urgent = self._urgent.get(relay)
        if urgent:
            return urgent.popleft()
        for address, call in self._calls.items():
            if call.channel is None or call.relay != relay or not ready(address):
                continue
            frame = call.waiting.first(now)
            if frame is not None:
                call.waiting.left()
                text = bytes([Inside.FRAME]) + frame
            elif call.requests:
                text = call.requests.popleft()
            else:
                continue
            self._calls[address] = self._calls.pop(address)  # the others' turn next
            return _seal(address, call.channel, text)
        for address, caller in self._callers.items():
            if caller.relay == relay and caller.answers and caller.current is not None:
                self._callers[address] = self._callers.pop(address)
                header, chunk = self._uploads.answer(caller.answers.popleft())
                return _seal(address, caller.current, chunk_text(encode(header), chunk))
        return None

    def _say(self, relay: bytes, to: bytes, channel: Channel, text: bytes) -> None:
        self._put(relay, _seal(to, channel, text))

    def _put(self, relay: bytes, envelope: Envelope) -> None:
        self._urgent.setdefault(relay, deque(maxlen=_URGENT)).append(envelope)


def _channel(caller: _Caller, session: bytes) -> Channel | None:
    for channel in (caller.current, caller.offered):
        if channel is not None and channel.session == session:
            return channel
    return None


def _seal(to: bytes, channel: Channel, text: bytes) -> Envelope:
    counter, body = channel.seal(text)
    return Head(1, Kind.SEALED, to, channel.session, counter), body
