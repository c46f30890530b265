"""What is known to go wrong with CURVE, ZAP and ROUTER sockets, each tried against our doors with a client that cheats.

The numbers are those of the findings in the design notes on transport security.
"""

import hashlib
import os
import socket
import struct
import time
from queue import Empty, SimpleQueue

import psutil
import pytest
import zmq

from peerage.transport.curve import ZmqTransport
from peerage.transport.doors import Doors
from peerage.transport.frames import ChunkRequest, encode
from peerage.transport.interface import CHUNK, CONTROL_LIMIT, Dropped, PeerContact, PeerFault, Received, parse_endpoint
from peerage.transport.limits import TransportSettings
from peerage.transport.zap import DOMAIN, zap_answer
from peerage_crypto.identity import CurveKeys

QUICK = TransportSettings(heartbeat=0.1, silence=0.5, reconnect=0.02, reconnect_most=0.1)
VICTIM, INSIDER, OTHER = (bytes([n]) * 20 for n in (1, 2, 3))
KEYS = {name: CurveKeys.from_secret(hashlib.sha256(name).digest()) for name in (VICTIM, INSIDER, OTHER)}
OUTSIDER = CurveKeys.from_secret(b"outsider" * 4)
MIB = 1 << 20


def directory(*names, revoked=()):
    """Attackers register doors where nobody listens: what we look at is what comes in at ours."""
    return {name: PeerContact(KEYS[name].public, "tcp://127.0.0.1:1/2", name not in revoked) for name in names}


class Victim:
    def __init__(self, settings=QUICK):
        self.transport = ZmqTransport(KEYS[VICTIM], "127.0.0.1+relay", settings=settings)
        self.endpoint = parse_endpoint(self.transport.bind())
        self.events = SimpleQueue()
        self.transport.start(VICTIM, self.events.put)
        self.transport.update_directory(directory(INSIDER, OTHER))

    def next(self, kind, within=5.0):
        until = time.monotonic() + within
        while True:
            event = self.events.get(timeout=max(0.0, until - time.monotonic()))
            if isinstance(event, kind):
                return event

    def refused_within(self, seconds=5.0):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.transport.stats().refused:
                return True
            time.sleep(0.01)
        return False


@pytest.fixture
def victim():
    victim = Victim()
    yield victim
    victim.transport.close()


@pytest.fixture
def dealer():
    """Raw sockets that do what ours never would."""
    context = zmq.Context()
    made = []

    def make(url, keys, *, routing_id=None, server=KEYS[VICTIM].public):
        client = context.socket(zmq.DEALER)
        made.append(client)
        client.linger = 0
        client.reconnect_ivl = 20
        if keys is not None:
            client.curve_secretkey, client.curve_publickey, client.curve_serverkey = keys.secret, keys.public, server
        if routing_id:
            client.routing_id = routing_id
        client.connect(url)
        return client

    yield make
    for client in made:
        client.close(linger=0)
    context.term()


def nothing_comes(victim, within=0.3):
    with pytest.raises(Empty):
        victim.next(Received, within)


# 1. A CURVE server without an authenticator accepts any client; with an enforced domain it cannot be forgotten.


@pytest.mark.parametrize("keys", [OUTSIDER, None], ids=["unknown key", "no CURVE at all"])
@pytest.mark.parametrize("door", ["control_url", "bulk_url", "relay_url"])
def test_1_an_outsider_cannot_say_anything(victim, dealer, keys, door):
    client = dealer(getattr(victim.endpoint, door)(), keys)
    client.send(b"let me in")
    nothing_comes(victim)
    if keys:
        assert victim.refused_within()


def test_1_the_doors_demand_an_authenticator():
    context = zmq.Context()
    doors = Doors(context, OUTSIDER, QUICK, relays=True)
    try:
        for door in (doors.control, doors.bulk, doors.relay):
            assert door.curve_server
            assert door.zap_domain.rstrip(b"\0") == DOMAIN != b""
            assert door.get(zmq.ZAP_ENFORCE_DOMAIN) == 1
    finally:
        doors.close()
        context.term()


def test_1_without_an_answer_to_zap_even_insiders_stay_outside(dealer):
    context = zmq.Context()
    doors = Doors(context, KEYS[VICTIM], QUICK)
    try:
        port = doors.bind("127.0.0.1", 0)  # bound, and nobody serves the authenticator
        dealer(f"tcp://127.0.0.1:{port}", KEYS[INSIDER]).send(b"x")
        assert doors.control.poll(200) == 0
    finally:
        doors.close()
        context.term()


# 2. A wildcard domain matches nothing: the domain is exact. 3. Nothing that comes in may end the authenticator.


def zap(domain=DOMAIN, mechanism=b"CURVE", key=KEYS[INSIDER].public):
    return [b"1.0", b"7", domain, b"127.0.0.1", b"", mechanism, key]


def test_2_only_our_exact_domain_is_answered_with_yes():
    assert zap_answer(zap(), lambda _: True)[2] == b"200"
    for domain in (b"*", b"", b"global", DOMAIN + b"x"):
        assert zap_answer(zap(domain), lambda _: True)[2] == b"400"


def test_3_the_key_is_raw_and_comes_back_as_the_user_id():
    seen = []
    reply = zap_answer(zap(), lambda key: seen.append(key) or True)
    assert seen == [KEYS[INSIDER].public]
    assert reply == [b"1.0", b"7", b"200", b"", KEYS[INSIDER].public.hex().encode(), b""]


@pytest.mark.parametrize(
    "request_frames",
    [
        [],
        [b""],
        [b"2.0", *zap()[1:]],
        zap()[:5],
        zap()[:6],
        [*zap(), b"more"],
        zap(mechanism=b"PLAIN"),
        zap(mechanism=b"NULL"),
        zap(key=b"short"),
        zap(key=b"\xff" * 40),
    ],
)
def test_3_no_other_request_is_granted_or_raises(request_frames):
    reply = zap_answer(request_frames, lambda _: True)
    assert reply is None or reply[2] == b"400"


def test_3_after_a_hundred_refusals_a_peer_still_gets_in(victim, dealer):
    for n in range(100):
        keys = CurveKeys.from_secret(n.to_bytes(32))
        dealer(victim.endpoint.control_url(), keys)
    assert victim.refused_within()
    dealer(victim.endpoint.control_url(), KEYS[INSIDER]).send(b"x")
    assert victim.next(Received) == Received(INSIDER, b"x")


# 4. The sender is the key of the connection; routing ids are what clients like.


def test_4_an_insider_cannot_speak_as_another(victim, dealer):
    for routing_id in (OTHER, KEYS[OTHER].public, KEYS[OTHER].public.hex().encode()):
        client = dealer(victim.endpoint.control_url(), KEYS[INSIDER], routing_id=routing_id)
        client.send(b"I am the other")
        assert victim.next(Received).sender == INSIDER


def test_4_squatting_on_a_routing_id_locks_nobody_out(victim, dealer):
    squatter = dealer(victim.endpoint.control_url(), KEYS[INSIDER], routing_id=b"id")
    squatter.send(b"mine")
    victim.next(Received)
    honest = dealer(victim.endpoint.control_url(), KEYS[OTHER])  # ids of ours are automatic
    honest.send(b"x")
    assert victim.next(Received) == Received(OTHER, b"x")


def test_4_a_peer_at_an_endpoint_of_somebody_else_is_never_up(victim):
    """It registered the victim's door as its own; whoever connects there wants its key, and the victim has another."""
    caller = ZmqTransport(KEYS[OTHER], "127.0.0.1", settings=QUICK)
    caller.bind()
    events = SimpleQueue()
    caller.start(OTHER, events.put)
    try:
        caller.update_directory({INSIDER: PeerContact(KEYS[INSIDER].public, str(victim.endpoint), True)})
        caller.send(INSIDER, b"for the insider's eyes")
        with pytest.raises(Empty):
            events.get(timeout=0.3)
        nothing_comes(victim, 0.01)
    finally:
        caller.close()


def test_4_a_key_that_two_peers_claim_identifies_nobody(victim, dealer):
    both = directory(INSIDER, OTHER)
    both[OTHER] = both[INSIDER]
    victim.transport.update_directory(both)
    dealer(victim.endpoint.control_url(), KEYS[INSIDER]).send(b"x")
    assert {victim.next(PeerFault).address for _ in range(2)} == {INSIDER, OTHER}
    nothing_comes(victim)


# 5. Authentication happens at the handshake alone: a revoked key keeps its connection, and is dropped frame by frame.


def test_5_a_revoked_key_is_not_heard_on_its_living_connection(victim, dealer):
    control = dealer(victim.endpoint.control_url(), KEYS[INSIDER])
    bulk = dealer(victim.endpoint.bulk_url(), KEYS[INSIDER])
    control.send(b"before")
    assert victim.next(Received).frame == b"before"
    bulk.send(encode(ChunkRequest(1, bytes(32), 0)))
    assert bulk.poll(5000)
    bulk.recv_multipart()
    victim.transport.update_directory(directory(INSIDER, OTHER, revoked=[INSIDER]))
    victim.transport.send(INSIDER, b"x")
    victim.next(Dropped)  # by now it has read the new directory
    control.send(b"after")
    bulk.send(encode(ChunkRequest(1, bytes(32), 0)))
    nothing_comes(victim)
    assert bulk.poll(0) == 0
    assert victim.transport.stats().refused == 2
    victim.transport.update_directory(directory(INSIDER, OTHER))
    control.send(b"again")
    assert victim.next(Received).frame == b"again"


# 6. Without a message limit a stranger fills our memory in the handshake.


def rss():
    return psutil.Process().memory_info().rss


def push(client, most):
    """Bytes that went before the other side hung up, or all."""
    sent = 0
    try:
        while sent < most:
            sent += client.send(bytes(MIB))
    except (ConnectionResetError, BrokenPipeError):
        return sent
    return sent


@pytest.mark.parametrize("door", ["control", "bulk", "relay"])
def test_6_a_stranger_with_a_huge_first_command_is_cut_off(victim, door):
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + b"\0" + bytes(31)
    before = rss()
    with socket.create_connection(("127.0.0.1", getattr(victim.endpoint, door)), timeout=5) as client:
        client.sendall(greeting + b"\x06" + struct.pack(">Q", 200 * MIB))
        sent = push(client, 200 * MIB)
    assert sent < 50 * MIB
    assert rss() - before < 20 * MIB


def test_6_a_message_above_the_limit_costs_an_insider_its_connection_and_us_nothing(victim, dealer):
    client = dealer(victim.endpoint.control_url(), KEYS[INSIDER])
    client.send(bytes(257 * 1024))
    nothing_comes(victim)
    client.send(b"small")
    assert victim.next(Received) == Received(INSIDER, b"small")


def test_6_what_fits_the_socket_and_not_the_protocol_is_a_fault(victim, dealer):
    client = dealer(victim.endpoint.control_url(), KEYS[INSIDER])
    client.send(bytes(CONTROL_LIMIT))  # and 33 bytes of envelope
    assert len(victim.next(Received).frame) == CONTROL_LIMIT
    for length in (CONTROL_LIMIT + 1, 0):
        client.send(bytes(length))
        assert f"frame of {length} bytes" in victim.next(PeerFault).sentence


# 7. High-water marks count whole messages: one frame a message, and nothing that pushes.


def test_7_multipart_messages_are_faults(victim, dealer):
    control = dealer(victim.endpoint.control_url(), KEYS[INSIDER])
    control.send_multipart([b"a", b"b"])
    assert "2 parts" in victim.next(PeerFault).sentence
    bulk = dealer(victim.endpoint.bulk_url(), KEYS[INSIDER])
    bulk.send_multipart([encode(ChunkRequest(1, bytes(32), 0)), b""])
    assert "2 frames" in victim.next(PeerFault).sentence


def test_7_asking_for_everything_and_reading_nothing_bounds_what_we_hold(victim, dealer):
    """Chunks of one blob share its memory, so each name is a fresh MiB here: what waits unsent is what RSS shows."""
    victim.transport.serve(lambda name: name * (MIB // 32))
    client = dealer(victim.endpoint.bulk_url(), KEYS[INSIDER])
    client.rcvhwm = 1
    before = rss()
    for n in range(256):
        client.send(encode(ChunkRequest(1, n.to_bytes(32), 0)))
    until = time.monotonic() + 5
    while victim.transport.stats().bulk_received < 256 * 40 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.2)
    # 256 MiB were asked for; the client's own sockets take some of it off us
    assert rss() - before < 60 * MIB


def test_garbage_is_a_fault_and_the_door_stays_open(victim, dealer):
    bulk = dealer(victim.endpoint.bulk_url(), KEYS[INSIDER])
    for garbage in (b"", b"\xc1", os.urandom(300), b"\x93" + os.urandom(40)):
        bulk.send(garbage)
        assert victim.next(PeerFault).address == INSIDER
    victim.transport.serve({hashlib.sha256(b"blob").digest(): b"blob"}.get)
    bulk.send(encode(ChunkRequest(1, hashlib.sha256(b"blob").digest(), 0)))
    assert bulk.poll(5000)
    assert bulk.recv_multipart()[1] == b"blob"


def test_a_sender_beyond_all_measure_is_cut_to_it_and_the_others_are_not(dealer):
    victim = Victim(TransportSettings(frames_a_second=50))
    try:
        flood = dealer(victim.endpoint.control_url(), KEYS[INSIDER])
        for _ in range(1000):
            flood.send(b"x")
        assert "faster" in victim.next(PeerFault).sentence
        dealer(victim.endpoint.control_url(), KEYS[OTHER]).send(b"honest")
        heard = [victim.next(Received)]
        while heard[-1].sender != OTHER:
            heard.append(victim.next(Received))
        assert len(heard) < 200
    finally:
        victim.transport.close()


def test_an_endpoint_that_leads_nowhere_is_a_fault_and_no_connection(victim):
    nowhere = {INSIDER: PeerContact(KEYS[INSIDER].public, "ipc:///etc/passwd", True)}
    victim.transport.update_directory(nowhere)
    assert "leads nowhere" in victim.next(PeerFault).sentence
    victim.transport.send(INSIDER, b"x")


def test_an_owner_that_pushes_cannot_fill_our_memory(dealer):
    """A registered peer whose bulk door answers one request with a thousand chunks."""
    context = zmq.Context()
    caller = ZmqTransport(KEYS[VICTIM], "127.0.0.1", settings=TransportSettings(stall=0.5))
    caller.bind()
    events = SimpleQueue()
    caller.start(VICTIM, events.put)
    pusher = context.socket(zmq.ROUTER)
    pusher.linger = 0
    pusher.curve_server, pusher.curve_secretkey = True, KEYS[INSIDER].secret
    pusher.sndhwm = 4
    port = pusher.bind_to_random_port("tcp://127.0.0.1")
    try:
        contact = PeerContact(KEYS[INSIDER].public, f"tcp://127.0.0.1:1/{port}", True)
        caller.update_directory({INSIDER: contact})
        caller.fetch(INSIDER, bytes(32), CHUNK)
        assert pusher.poll(5000)
        route, _ = pusher.recv_multipart()
        before = rss()
        for _ in range(300):
            pusher.send_multipart([route, b"junk", bytes(CHUNK)])
        fault = events.get(timeout=5)
        assert isinstance(fault, PeerFault)
        assert rss() - before < 60 * MIB
    finally:
        caller.close()
        context.destroy(linger=0)
