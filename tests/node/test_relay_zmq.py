"""Peers that nobody can dial, over real sockets: reached through relays that read nothing and forge nothing."""

import hashlib
import random
import time
import zlib
from queue import Empty, SimpleQueue

import msgspec
import pytest

from peerage.transport.curve import ZmqTransport
from peerage.transport.envelopes import Head, Kind, decode_envelope, encode_head
from peerage.transport.interface import (
    CHUNK,
    CONTROL_LIMIT,
    Fetched,
    FetchFailed,
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

QUICK = TransportSettings(
    heartbeat=0.1, silence=0.6, reconnect=0.02, reconnect_most=0.1, handshake=0.5, stall=5.0, resend=1.0
)


def address_of(name):
    return bytes([name]) * 20


class Peer:
    """A transport, its name, and what it was told."""

    def __init__(self, name, via=(), *, relays=False, settings=QUICK, port=0):
        self.address = address_of(name)
        self.keys = CurveKeys.from_secret(hashlib.sha256(bytes([name])).digest())
        host = "127.0.0.1+relay" if relays else "127.0.0.1"
        if via:
            host = "relay:" + ",".join(f"0x{address_of(relay).hex()}" for relay in via)
        self.transport = ZmqTransport(self.keys, host, port, settings=settings)
        self.endpoint = self.transport.bind()
        self.events = SimpleQueue()
        self.there = set()  # who was up when we last listened
        self.transport.start(self.address, self.events.put)

    def contact(self, active=True):
        return PeerContact(self.keys.public, self.endpoint, active)

    def next(self, kind, within=8.0, of=lambda _: True):
        until = time.monotonic() + within
        while True:
            event = self.events.get(timeout=max(0.0, until - time.monotonic()))
            assert not isinstance(event, TransportFailed), event
            if isinstance(event, PeerUp):
                self.there.add(event.address)
            elif isinstance(event, PeerDown):
                self.there.discard(event.address)
            if isinstance(event, kind) and of(event):
                return event

    def up(self, other):
        while other.address not in self.there:
            self.next(PeerUp)

    def hears_nothing_of(self, kind, within=0.3):
        with pytest.raises(Empty):
            self.next(kind, within)

    def stats(self):
        return self.transport.stats()


def introduce(*peers):
    directory = {peer.address: peer.contact() for peer in peers}
    for peer in peers:
        peer.transport.update_directory(directory)


@pytest.fixture
def peers():
    """Makes peers, and closes them."""
    made = []

    def make(*names, **options):
        fresh = [Peer(name, **options) for name in names]
        made.extend(fresh)
        return fresh

    yield make
    for peer in made:
        peer.transport.close()


@pytest.fixture
def three(peers):
    """A relay, a peer that can be dialled, and one that cannot."""
    (relay,), (plain,), (hidden,) = peers(1, relays=True), peers(2), peers(3, via=(1,))
    introduce(relay, plain, hidden)
    return relay, plain, hidden


def test_it_registers_its_relays_and_listens_nowhere(three):
    relay, plain, hidden = three
    assert hidden.endpoint == f"relay:0x{relay.address.hex()}"
    assert parse_endpoint(relay.endpoint).relay > 0
    assert parse_endpoint(plain.endpoint).relay == 0


def test_frames_go_both_ways_and_name_their_sender(three):
    for one in three:
        for other in three:
            if one is not other:
                one.up(other)
    for one in three:
        for other in three:
            if one is not other:
                one.transport.send(other.address, b"from " + one.address)
                got = other.next(Received)
                assert got == Received(one.address, b"from " + one.address)


def test_a_broadcast_reaches_whoever_cannot_be_dialled(three):
    relay, plain, hidden = three
    plain.up(hidden)
    plain.transport.broadcast(b"to all")
    assert hidden.next(Received) == relay.next(Received) == Received(plain.address, b"to all")


def test_frames_wait_for_it_in_order_and_the_longest_passes(three):
    _, plain, hidden = three
    frames = [n.to_bytes(4) * 100 for n in range(500)] + [bytes(CONTROL_LIMIT)]
    for frame in frames:
        plain.transport.send(hidden.address, frame)  # from before it is up
    assert [hidden.next(Received).frame for _ in frames] == frames


@pytest.mark.parametrize("puller", [0, 1], ids=["the relay itself", "another peer"])
@pytest.mark.parametrize("size", [0, 1, CHUNK, 9 * CHUNK + 5])
def test_its_artefacts_are_pulled_through_the_relay(three, puller, size):
    hidden, other = three[2], three[puller]
    blob = random.Random(size).randbytes(size)
    name = hashlib.sha256(blob).digest()
    hidden.transport.serve({name: blob}.get)
    other.transport.fetch(hidden.address, name, size + 1000)
    assert other.next(Fetched) == Fetched(hidden.address, name, blob)


def test_it_pulls_from_whom_it_can_dial_without_the_relay(three):
    relay, plain, hidden = three
    blob = random.Random(1).randbytes(3 * CHUNK)
    name = hashlib.sha256(blob).digest()
    plain.transport.serve({name: blob}.get)
    hidden.transport.fetch(plain.address, name, len(blob))
    assert hidden.next(Fetched).data == blob
    assert relay.stats().relayed_received < CHUNK


@pytest.mark.parametrize("relays", [(1, 1), (1, 2)], ids=["one relay", "a relay each"])
def test_two_that_nobody_can_dial_talk_to_each_other(peers, relays):
    one_relay, other_relay = peers(1, 2, relays=True)
    (one,), (other,) = peers(3, via=relays[:1]), peers(4, via=relays[1:])
    introduce(one_relay, other_relay, one, other)
    one.up(other)
    other.up(one)
    blob = random.Random(1).randbytes(2 * CHUNK)
    name = hashlib.sha256(blob).digest()
    for here, there in ((one, other), (other, one)):
        here.transport.send(there.address, b"hello")
        assert there.next(Received) == Received(here.address, b"hello")
        here.transport.serve({name: blob}.get)
        there.transport.fetch(here.address, name, len(blob))
        assert there.next(Fetched).data == blob


def test_what_it_lacks_fails_at_once_and_what_it_lies_about_is_its_fault(three):
    _, plain, hidden = three
    plain.transport.fetch(hidden.address, bytes(32), 10)
    assert "does not have" in plain.next(FetchFailed).reason
    hidden.transport.serve(lambda _: b"something else")
    plain.transport.fetch(hidden.address, bytes(32), 100)
    assert plain.next(PeerFault).address == hidden.address


def test_when_the_relay_dies_it_is_down_and_it_is_up_again_with_the_relay(peers):
    (relay,), (plain,), (hidden,) = peers(1, relays=True), peers(2), peers(3, via=(1,))
    introduce(relay, plain, hidden)
    plain.up(hidden)
    relay.transport.close()
    plain.next(PeerDown, of=lambda event: event.address == hidden.address)
    (again,) = peers(1, relays=True, port=parse_endpoint(relay.endpoint).control)
    again.transport.update_directory({p.address: p.contact() for p in (plain, hidden)})
    plain.up(hidden)
    plain.transport.send(hidden.address, b"back")
    assert hidden.next(Received) == Received(plain.address, b"back")


def test_a_relay_that_moves_is_followed(peers):
    (relay,), (plain,), (hidden,) = peers(1, relays=True), peers(2), peers(3, via=(1,))
    introduce(relay, plain, hidden)
    plain.up(hidden)
    relay.transport.close()
    (moved,) = peers(1, relays=True)
    assert moved.endpoint != relay.endpoint
    introduce(moved, plain, hidden)
    plain.next(PeerDown, of=lambda event: event.address == hidden.address)
    plain.up(hidden)
    plain.transport.send(hidden.address, b"by the new door")
    assert hidden.next(Received) == Received(plain.address, b"by the new door")


def test_when_one_relay_dies_the_other_is_used(peers):
    first, second = peers(1, 2, relays=True)
    (plain,), (hidden,) = peers(3), peers(4, via=(1, 2))
    introduce(first, second, plain, hidden)
    plain.up(hidden)
    if plain.transport._hub.relays._tunnels._calls[hidden.address].relay == second.address:
        first, second = second, first  # it was not yet there when it was called through its first
    first.transport.close()
    plain.next(PeerDown, of=lambda event: event.address == hidden.address)
    plain.up(hidden)
    plain.transport.send(hidden.address, b"the other way")
    assert hidden.next(Received) == Received(plain.address, b"the other way")
    assert second.stats().relayed_sent > 0


def test_one_that_was_restarted_is_found_again(peers):
    (relay,), (plain,), (hidden,) = peers(1, relays=True), peers(2), peers(3, via=(1,))
    introduce(relay, plain, hidden)
    plain.up(hidden)
    hidden.transport.close()
    (again,) = peers(3, via=(1,))
    again.transport.update_directory({p.address: p.contact() for p in (relay, plain)})
    plain.next(PeerDown, of=lambda event: event.address == hidden.address)
    plain.up(hidden)
    plain.transport.send(hidden.address, b"welcome")
    assert again.next(Received) == Received(plain.address, b"welcome")


def test_one_that_leaves_the_ledger_is_down_and_not_heard(three):
    relay, plain, hidden = three
    plain.up(hidden)
    hidden.up(plain)
    for peer in (relay, plain):
        peer.transport.update_directory({p.address: p.contact(active=p is not hidden) for p in three})
    plain.next(PeerDown, of=lambda event: event.address == hidden.address)
    hidden.transport.send(plain.address, b"still here")
    plain.hears_nothing_of(Received)
    assert relay.transport._hub.relays.forwarding.connected() <= {plain.address}


def test_one_that_moves_behind_a_relay_and_back_is_followed(peers):
    (relay,), (plain, moving) = peers(1, relays=True), peers(2, 3)
    introduce(relay, plain, moving)
    plain.up(moving)
    for via in ((1,), ()):
        moving.transport.close()
        (moving,) = peers(3, via=via)
        introduce(relay, plain, moving)
        plain.next(PeerDown, of=lambda event: event.address == address_of(3))
        plain.up(moving)
        plain.transport.send(moving.address, b"found")
        assert moving.next(Received) == Received(plain.address, b"found")


def test_one_with_a_new_key_is_called_under_it(peers):
    (relay,), (plain,), (hidden,) = peers(1, relays=True), peers(2), peers(3, via=(1,))
    introduce(relay, plain, hidden)
    plain.up(hidden)
    hidden.transport.close()
    hidden.keys = CurveKeys.from_secret(b"new" * 10 + b"ke")
    again = hidden.transport = ZmqTransport(hidden.keys, f"relay:0x{relay.address.hex()}", settings=QUICK)
    again.bind()
    again.start(hidden.address, hidden.events.put)
    introduce(relay, plain, hidden)
    plain.next(PeerDown, of=lambda event: event.address == hidden.address)
    plain.up(hidden)
    plain.transport.send(hidden.address, b"under the new key")
    assert hidden.next(Received).frame == b"under the new key"


def test_from_several_at_once_no_more_is_under_way_than_one_peers_credits(peers):
    """What a relay holds for one that pulls is bounded by that, however many hidden ones it pulls from."""
    (relay,), (plain,), hidden = peers(1, relays=True), peers(2), peers(3, 4, 5, via=(1,))
    tap, most = Tap(relay), []
    downloads = plain.transport._hub._downloads

    def look(s, t, h, b):
        most.append(sum(downloads.under_way(one.address) for one in hidden))
        return [(s, t, h, b)]

    tap.change = look
    introduce(relay, plain, *hidden)
    names = {}
    for one in hidden:
        plain.up(one)
        blob = random.Random(one.address[0]).randbytes(8 * CHUNK)
        names[one.address] = hashlib.sha256(blob).digest()
        one.transport.serve({names[one.address]: blob}.get)
    for one in hidden:
        plain.transport.fetch(one.address, names[one.address], 8 * CHUNK)
    assert {plain.next(Fetched).owner for _ in hidden} == set(names)
    assert max(most) == QUICK.credits
    assert relay.stats().relay_dropped == 0


def test_a_relay_that_forwards_for_nobody_is_no_relay(peers):
    (plain,), (other,), (hidden,) = peers(1), peers(2), peers(3, via=(1,))
    introduce(plain, other, hidden)
    assert "names no relay" in other.next(PeerFault).sentence
    other.transport.send(hidden.address, b"x")
    hidden.hears_nothing_of(Received)


# A relay that does more than it should. Its program is ours, with one function put in the way.


SECRET = b"the plaintext that nobody but the two may see " * 4


class Tap:
    """Sits where the relay takes in what it forwards; `change` gives back what is forwarded in its place."""

    def __init__(self, relay):
        self.seen, self.offers = [], []
        self.change = lambda sender, to, head, body: [(sender, to, head, body)]
        self._forwarding = relay.transport._hub.relays.forwarding
        self._offer = self._forwarding.offer
        self._forwarding.offer = self._take

    def _take(self, sender, to, frames):
        self.seen.append(b"".join(map(bytes, frames)))
        self.offers.append((sender, to))
        head, body = decode_envelope([bytes(frames[0]), bytes(frames[1])])
        done = [
            self._offer(s, t, (encode_head(msgspec.structs.replace(h, peer=s)), b))
            for s, t, h, b in self.change(sender, to, head, body)
        ]
        return all(done)


@pytest.fixture
def tapped(peers):
    (relay,), (plain, other), (hidden,) = peers(1, relays=True), peers(2, 4), peers(3, via=(1,))
    tap = Tap(relay)
    introduce(relay, plain, other, hidden)
    for one in (plain, other):
        one.up(hidden)
    hidden.up(plain)
    return tap, relay, plain, other, hidden


def test_a_relay_sees_ciphertext_only(tapped):
    tap, _, plain, _, hidden = tapped
    blob = SECRET * 10_000
    name = hashlib.sha256(blob).digest()
    hidden.transport.serve({name: blob}.get)
    plain.transport.send(hidden.address, SECRET)
    assert hidden.next(Received).frame == SECRET
    plain.transport.fetch(hidden.address, name, len(blob))
    assert plain.next(Fetched).data == blob
    seen = b"".join(tap.seen)
    assert len(seen) > len(blob)
    for known in (SECRET[:16], name[:16]):  # nor which artefact was asked for
        assert known not in seen
    assert len(zlib.compress(seen, 1)) > 0.98 * len(seen)


def test_a_relay_that_changes_a_byte_is_named_and_nothing_arrives(tapped):
    tap, relay, plain, _, hidden = tapped
    tap.change = lambda s, t, h, b: [(s, t, h, b[:-1] + bytes([b[-1] ^ 1]))] if t == hidden.address else [(s, t, h, b)]
    plain.transport.send(hidden.address, SECRET)
    fault = hidden.next(PeerFault)
    assert fault.address == relay.address
    assert "does not open" in fault.sentence
    hidden.hears_nothing_of(Received)


def test_a_relay_that_repeats_is_named_and_once_is_once(tapped):
    tap, relay, plain, _, hidden = tapped
    tap.change = lambda s, t, h, b: [(s, t, h, b), (s, t, h, b)]
    plain.transport.send(hidden.address, SECRET)
    assert hidden.next(Received).frame == SECRET
    fault = hidden.next(PeerFault)
    assert fault.address == relay.address
    assert "here before" in fault.sentence
    hidden.hears_nothing_of(Received)


def test_a_relay_that_repeats_an_old_session_moves_nothing(tapped):
    tap, _, plain, _, hidden = tapped
    kept = []

    def keep(s, t, h, b):
        if t == hidden.address and s == plain.address:
            kept.append((s, t, h, b))
        return [(s, t, h, b)]

    tap.change = keep
    plain.transport.send(hidden.address, SECRET)
    hidden.next(Received)
    plain.transport.update_directory({hidden.address: hidden.contact(active=False)})  # the session ends, and a new
    plain.next(PeerDown, of=lambda event: event.address == hidden.address)  # one begins
    introduce(*tapped[1:])
    plain.up(hidden)
    old = list(kept)
    refused = hidden.stats().refused
    tap.change = lambda s, t, h, b: [*old, (s, t, h, b)]
    plain.transport.send(hidden.address, b"now")
    assert hidden.next(Received).frame == b"now"
    tap.change = lambda s, t, h, b: [(s, t, h, b)]
    assert hidden.stats().refused > refused
    hidden.hears_nothing_of(Received)


def test_a_relay_that_says_it_came_from_another_is_named_and_nothing_arrives(tapped):
    tap, relay, plain, other, hidden = tapped

    def misattribute(s, t, h, b):
        if s != plain.address or h.kind is not Kind.SEALED:
            return [(s, t, h, b)]
        mine = other.transport._hub.relays._tunnels._calls[hidden.address].channel  # all that a relay sees of it
        return [(other.address, t, msgspec.structs.replace(h, session=mine.session, counter=2**40), b)]

    tap.change = misattribute
    plain.transport.send(hidden.address, SECRET)
    fault = hidden.next(PeerFault)
    assert fault.address == relay.address
    assert "0x" + other.address.hex() in fault.sentence
    hidden.hears_nothing_of(Received)


def test_a_relay_that_answers_in_its_place_is_named_and_it_is_not_up(peers):
    (relay,), (plain,), (hidden,) = peers(1, relays=True), peers(2), peers(3, via=(1,))
    tap = Tap(relay)
    forged = CurveKeys.from_secret(b"f" * 32).public
    tap.change = lambda s, t, h, b: [(s, t, h, forged + b[32:] if h.kind is Kind.ANSWER else b)]
    introduce(relay, plain, hidden)
    fault = plain.next(PeerFault)
    assert fault.address == relay.address
    assert "answer" in fault.sentence
    assert hidden.address not in plain.there


def test_what_the_relay_itself_is_sent_names_the_sender(three):
    """It changes nothing on the way to itself, so there is one culprit."""
    relay, _, hidden = three
    relay.up(hidden)
    tunnels = relay.transport._hub.relays._tunnels
    session = tunnels._calls[hidden.address].channel.session
    hub = hidden.transport._hub
    head = Head(1, Kind.SEALED, relay.address, session, 2**40)
    hidden.transport._post(
        lambda _: hub.relays._links[relay.address].socket.send_multipart([encode_head(head), bytes(40)])
    )
    assert relay.next(PeerFault).address == hidden.address


def test_two_that_can_be_dialled_are_not_forwarded_for(peers):
    (relay,), (one, other), (hidden,) = peers(1, relays=True), peers(2, 4), peers(3, via=(1,))
    introduce(relay, one, other, hidden)
    for peer in (one, other):
        peer.up(hidden)
    tap = Tap(relay)
    head = Head(1, Kind.CALL, other.address, bytes(16), 0)
    frames = [encode_head(head), CurveKeys.from_secret(b"f" * 32).public]
    hub = one.transport._hub
    one.transport._post(lambda _: hub.relays._links[relay.address].socket.send_multipart(frames))
    one.transport.send(hidden.address, b"after")
    hidden.next(Received)
    assert (one.address, hidden.address) in tap.offers
    assert (one.address, other.address) not in tap.offers


def test_garbage_at_a_relays_door_is_its_senders_fault(three):
    relay, plain, hidden = three
    plain.up(hidden)
    hub = plain.transport._hub
    for frames in ([b""], [b"\xc1", b""], [b"x"] * 3, [encode_head(Head(1, Kind.GONE, bytes(20), bytes(16), 0)), b""]):
        plain.transport._post(lambda _, f=frames: hub.relays._links[relay.address].socket.send_multipart(f))
        assert relay.next(PeerFault).address == plain.address
    plain.transport.send(hidden.address, b"still open")
    assert hidden.next(Received).frame == b"still open"
