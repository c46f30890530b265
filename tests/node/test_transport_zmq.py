"""Real sockets between honest peers: meeting, waiting, pulling, losing each other, and coming back."""

import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from queue import Empty, SimpleQueue

import pytest

from peerage.transport.curve import ZmqTransport
from peerage.transport.interface import (
    CHUNK,
    CONTROL_LIMIT,
    Dropped,
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
from peerage_crypto.errors import InputError, OurError
from peerage_crypto.identity import CurveKeys

QUICK = TransportSettings(heartbeat=0.1, silence=0.5, reconnect=0.02, reconnect_most=0.1, stall=1.0, resend=0.3)


class Peer:
    """A transport, its name, and what it was told."""

    def __init__(self, name, settings=QUICK, port=0, host="127.0.0.1"):
        self.address = bytes([name]) * 20
        self.keys = CurveKeys.from_secret(hashlib.sha256(bytes([name])).digest())
        self.transport = ZmqTransport(self.keys, host, port, settings=settings)
        self.endpoint = self.transport.bind()
        self.events = SimpleQueue()
        self.transport.start(self.address, self.events.put)

    def contact(self, active=True):
        return PeerContact(self.keys.public, self.endpoint, active)

    def next(self, kind, within=5.0):
        """The next event of this kind; others before it are passed over."""
        until = time.monotonic() + within
        while True:
            event = self.events.get(timeout=max(0.0, until - time.monotonic()))
            assert not isinstance(event, TransportFailed), event
            if isinstance(event, kind):
                return event

    def hears_nothing_of(self, kind, within=0.3):
        with pytest.raises(Empty):
            self.next(kind, within)


@pytest.fixture
def meet():
    """Makes peers that know each other."""
    made = []

    def make(*names, **options):
        peers = [Peer(name, **options) for name in names]
        made.extend(peers)
        introduce(*peers)
        return peers

    yield make
    for peer in made:
        peer.transport.close()


def introduce(*peers):
    directory = {peer.address: peer.contact() for peer in peers}
    for peer in peers:
        peer.transport.update_directory(directory)


def test_peers_meet_and_know_who_speaks(meet):
    a, b = meet(1, 2)
    assert a.next(PeerUp) == PeerUp(b.address)
    assert b.next(PeerUp) == PeerUp(a.address)
    a.transport.send(b.address, b"hello")
    assert b.next(Received) == Received(a.address, b"hello")


def test_twelve_peers_meet_all_to_all_within_two_seconds(meet):
    peers = meet(*range(1, 13), settings=TransportSettings())
    until = time.monotonic() + 2.0
    for peer in peers:
        assert len({peer.next(PeerUp, until - time.monotonic()).address for _ in range(11)}) == 11


def test_a_broadcast_reaches_everyone_else(meet):
    a, b, c = meet(1, 2, 3)
    a.transport.broadcast(b"hello")
    assert b.next(Received) == c.next(Received) == Received(a.address, b"hello")
    a.hears_nothing_of(Received, 0.05)


def test_a_peer_may_write_to_and_fetch_from_itself(meet):
    (a,) = meet(1)
    name = hashlib.sha256(b"blob").digest()
    a.transport.serve({name: b"blob"}.get)
    a.transport.send(a.address, b"note")
    a.transport.fetch(a.address, name, 4)
    a.transport.fetch(a.address, bytes(32), 4)
    assert a.next(Received) == Received(a.address, b"note")
    assert a.next(Fetched) == Fetched(a.address, name, b"blob")
    assert a.next(FetchFailed).artefact == bytes(32)


def test_a_store_that_cannot_be_read_has_nothing(meet):
    a, b = meet(1, 2)

    def broken(_artefact):
        raise PermissionError

    a.transport.serve(broken)
    for peer in (a, b):
        peer.transport.fetch(a.address, bytes(32), 1)
        assert "not have" in peer.next(FetchFailed).reason


def test_peers_meet_over_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6")
    a, b = Peer(1, host="[::1]"), Peer(2, host="::1")
    try:
        introduce(a, b)
        a.transport.send(b.address, b"hello")
        assert b.next(Received) == Received(a.address, b"hello")
    finally:
        a.transport.close()
        b.transport.close()


def test_frames_of_one_sender_stay_in_order_and_the_longest_passes(meet):
    a, b = meet(1, 2)
    frames = [n.to_bytes(4) * 100 for n in range(500)] + [bytes(CONTROL_LIMIT)]
    for frame in frames:
        a.transport.send(b.address, frame)
    assert [b.next(Received).frame for _ in frames] == frames


def test_a_frame_that_nobody_would_take_is_our_bug(meet):
    a, b = meet(1, 2)
    with pytest.raises(OurError):
        a.transport.send(b.address, bytes(CONTROL_LIMIT + 1))


def test_frames_wait_for_a_peer_that_is_not_there_yet(meet):
    (a,) = meet(1)
    with_port = Peer(2)
    port = parse_endpoint(with_port.endpoint).control
    with_port.transport.close()
    a.transport.update_directory({a.address: a.contact(), with_port.address: with_port.contact()})
    a.transport.send(with_port.address, b"early")
    b = Peer(2, port=port)
    try:
        b.transport.update_directory({a.address: a.contact()})
        assert b.next(Received) == Received(a.address, b"early")
    finally:
        b.transport.close()


def test_a_peer_that_was_not_registered_yet_gets_in_as_soon_as_it_is(meet):
    a, b = meet(1), meet(2)
    a, b = a[0], b[0]
    a.transport.update_directory({b.address: b.contact()})  # b does not know a: its handshakes are refused
    a.hears_nothing_of(PeerUp)
    b.transport.update_directory({a.address: a.contact()})
    assert a.next(PeerUp) == PeerUp(b.address)


def test_too_many_waiting_frames_are_dropped_with_an_event_and_nobody_waits(meet):
    (a,) = meet(1, settings=TransportSettings(pending_frames=10))
    nobody = PeerContact(CurveKeys.from_secret(bytes(32)).public, "tcp://127.0.0.1:1/2", True)
    a.transport.update_directory({b"n" * 20: nobody})
    for _ in range(12):
        a.transport.send(b"n" * 20, b"x")
    assert [a.next(Dropped).to for _ in range(2)] == [b"n" * 20] * 2
    assert a.transport.stats().frames_dropped == 2


def test_what_waited_too_long_is_not_sent(meet):
    (a,) = meet(1, settings=TransportSettings(pending_age=0.05, reconnect=0.02, reconnect_most=0.1))
    gone = Peer(2)
    gone.transport.close()
    a.transport.update_directory({gone.address: gone.contact()})
    a.transport.send(gone.address, b"stale")
    time.sleep(0.1)
    b = Peer(2, port=parse_endpoint(gone.endpoint).control)
    try:
        b.transport.update_directory({a.address: a.contact()})
        a.next(PeerUp)
        a.transport.send(b.address, b"fresh")
        assert b.next(Received).frame == b"fresh"
        assert a.transport.stats().frames_dropped == 1
    finally:
        b.transport.close()


def test_a_frame_to_a_stranger_is_dropped_with_an_event(meet):
    (a,) = meet(1)
    a.transport.send(b"?" * 20, b"x")
    a.transport.fetch(b"?" * 20, bytes(32), 1)
    assert a.next(Dropped).to == b"?" * 20
    assert a.next(FetchFailed).owner == b"?" * 20


@pytest.mark.parametrize("size", [0, 1, CHUNK, 7 * CHUNK + 5])
def test_a_blob_is_pulled_by_its_name(meet, size):
    a, b = meet(1, 2)
    blob = random.Random(1).randbytes(size)
    name = hashlib.sha256(blob).digest()
    a.transport.serve({name: blob}.get)
    b.transport.fetch(a.address, name, size)
    assert b.next(Fetched) == Fetched(a.address, name, blob)
    assert size <= b.transport.stats().bulk_received <= 1.001 * size + 200


def test_many_blobs_from_many_owners_all_arrive(meet):
    peers = meet(1, 2, 3, 4)
    blobs = [random.Random(n).randbytes(n * 300_000) for n in range(6)]
    store = {hashlib.sha256(blob).digest(): blob for blob in blobs}
    for peer in peers[1:]:
        peer.transport.serve(store.get)
        for name, blob in store.items():
            peers[0].transport.fetch(peer.address, name, len(blob))
    got = [peers[0].next(Fetched) for _ in range(18)]
    assert {(event.owner, event.artefact) for event in got} == {(p.address, name) for p in peers[1:] for name in store}


def test_a_lying_owner_is_blamed(meet):
    a, b = meet(1, 2)
    a.transport.serve(lambda _: b"something else")
    b.transport.fetch(a.address, bytes(32), 100)
    assert b.next(PeerFault).address == a.address
    assert b.next(FetchFailed).artefact == bytes(32)


def test_the_same_peer_on_the_same_endpoint_is_found_again(meet):
    a, b = meet(1, 2)
    a.next(PeerUp)
    b.transport.close()
    assert a.next(PeerDown) == PeerDown(b.address)
    again = Peer(2, port=parse_endpoint(b.endpoint).control)
    try:
        assert again.endpoint == b.endpoint
        again.transport.update_directory({a.address: a.contact()})
        assert a.next(PeerUp) == PeerUp(b.address)
        a.transport.send(b.address, b"welcome")
        assert again.next(Received) == Received(a.address, b"welcome")
        again.transport.send(a.address, b"thanks")
        assert a.next(Received) == Received(b.address, b"thanks")
    finally:
        again.transport.close()


def test_a_fetch_goes_on_when_its_owner_restarts_and_fails_when_it_does_not(meet):
    a, b = meet(1, 2)
    b.next(PeerUp)
    blob = random.Random(1).randbytes(3 * CHUNK)
    name = hashlib.sha256(blob).digest()
    a.transport.close()
    b.transport.fetch(a.address, name, len(blob))
    again = Peer(1, port=parse_endpoint(a.endpoint).control)
    again.transport.serve({name: blob}.get)
    again.transport.update_directory({b.address: b.contact()})
    assert b.next(Fetched).data == blob
    again.transport.close()
    b.transport.fetch(a.address, bytes(32), 1)
    assert "sent nothing for 1 s" in b.next(FetchFailed).reason


def test_a_peer_that_moves_is_followed(meet):
    a, b = meet(1, 2)
    a.next(PeerUp)
    moved = Peer(2)
    try:
        introduce(a, moved)
        assert a.next(PeerDown) == PeerDown(b.address)
        assert a.next(PeerUp) == PeerUp(b.address)
        a.transport.send(b.address, b"x")
        assert moved.next(Received).frame == b"x"
    finally:
        moved.transport.close()


def test_a_peer_that_leaves_the_ledger_is_down(meet):
    a, b = meet(1, 2)
    a.next(PeerUp)
    a.transport.update_directory({b.address: b.contact(active=False)})
    assert a.next(PeerDown) == PeerDown(b.address)
    a.transport.send(b.address, b"x")
    assert a.next(Dropped).to == b.address


CHILD = """
import sys, queue
from peerage.transport.interface import PeerContact
from peerage.transport.limits import TransportSettings
from peerage.transport.curve import ZmqTransport
from peerage_crypto.identity import CurveKeys
me, other, key, endpoint, port = (bytes.fromhex(sys.argv[1]), bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3]),
                                  sys.argv[4], int(sys.argv[5]))
transport = ZmqTransport(CurveKeys.from_secret(me * 2), "127.0.0.1", port)
print(transport.bind(), flush=True)
transport.start(me[:16] + me[:4], queue.SimpleQueue().put)
transport.update_directory({other: PeerContact(key, endpoint, True)})
sys.stdin.read()
"""


def child(a, port=0):
    arguments = [(b"c" * 16).hex(), a.address.hex(), a.keys.public.hex(), a.endpoint, str(port)]
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    endpoint = process.stdout.readline().strip()
    return process, PeerContact(CurveKeys.from_secret(b"c" * 32).public, endpoint, True)


def end(process):
    process.kill()
    process.communicate()


def test_a_peer_that_hangs_is_down_within_the_silence_and_up_when_it_wakes(meet):
    (a,) = meet(1)
    process, contact = child(a)
    try:
        a.transport.update_directory({b"c" * 20: contact})
        a.next(PeerUp)
        os.kill(process.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        assert a.next(PeerDown) == PeerDown(b"c" * 20)
        assert time.monotonic() - stopped > 0.3
        os.kill(process.pid, signal.SIGCONT)
        assert a.next(PeerUp) == PeerUp(b"c" * 20)
    finally:
        end(process)


def test_a_killed_peer_is_down_at_once_and_its_successor_is_found_on_the_same_ports(meet):
    (a,) = meet(1, settings=replace(QUICK, silence=60.0))  # so that silence is not what tells
    process, contact = child(a)
    try:
        a.transport.update_directory({b"c" * 20: contact})
        a.next(PeerUp)
        end(process)
        a.next(PeerDown)
        process, again = child(a, parse_endpoint(contact.endpoint).control)
        assert again == contact
        a.next(PeerUp)
    finally:
        end(process)


def test_a_taken_port_is_one_sentence():
    first = ZmqTransport(CurveKeys.from_secret(bytes(32)), "127.0.0.1")
    endpoint = parse_endpoint(first.bind())
    try:
        for port in (endpoint.control, endpoint.control - 1):  # its control port, and its bulk port
            second = ZmqTransport(CurveKeys.from_secret(bytes(32)), "127.0.0.1", port)
            with pytest.raises(InputError, match=f"port {endpoint.control} on 127.0.0.1 is in use"):
                second.bind()
    finally:
        first.close()


def test_a_host_that_is_not_ours_is_one_sentence():
    with pytest.raises(InputError, match="cannot listen"):
        ZmqTransport(CurveKeys.from_secret(bytes(32)), "192.0.2.1", 23456).bind()
    with pytest.raises(InputError, match="has no address"):
        ZmqTransport(CurveKeys.from_secret(bytes(32)), "no host", 23456)


def test_a_name_of_ours_is_registered_as_its_address():
    transport = ZmqTransport(CurveKeys.from_secret(bytes(32)), "127.0.0.1", advertise="localhost")
    assert parse_endpoint(transport.bind()).host in ("127.0.0.1", "[::1]")
    transport.close()


def test_every_interface_needs_a_name_for_others():
    keys = CurveKeys.from_secret(bytes(32))
    with pytest.raises(InputError, match="no place to connect to"):
        ZmqTransport(keys, "0.0.0.0")
    transport = ZmqTransport(keys, "0.0.0.0", advertise="127.0.0.1")
    assert transport.bind().startswith("tcp://127.0.0.1:")
    transport.close()


def test_what_was_sent_leaves_before_the_close(meet):
    a, b = meet(1, 2)
    a.next(PeerUp)
    for n in range(200):
        a.transport.send(b.address, n.to_bytes(2) * 1000)
    a.transport.close()
    assert [b.next(Received).frame[:2] for _ in range(200)] == [n.to_bytes(2) for n in range(200)]


def test_a_closed_transport_takes_calls_and_does_nothing(meet):
    a, b = meet(1, 2)
    a.next(PeerUp)
    a.transport.close()
    a.transport.send(b.address, b"x")
    a.transport.close()
    b.hears_nothing_of(Received, 0.05)


def test_a_bug_in_what_we_are_given_ends_the_transport_loudly():
    peer = Peer(9)
    peer.transport.serve(lambda _: 1 // 0)
    peer.transport.fetch(peer.address, bytes(32), 1)
    event = peer.events.get(timeout=5)
    assert isinstance(event, TransportFailed)
    assert "ZeroDivisionError" in str(event.error)
    peer.transport.close()
