"""What meets a door that the whole network can reach: crowds, halves, garbage, sloth. The peer is a process of its own.

Bounds are asserted in bytes of resident memory and in descriptors. `scripts/bench flood` measures the same attacks.
"""

import hashlib
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty
from threading import Event

import pytest
import zmq

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from benchmarks.exposed import GREETING, MIB, Here, Strangers, There, address, half_a_command, keys

from peerage.transport.curve import ZmqTransport
from peerage.transport.doors import Doors
from peerage.transport.envelopes import Head, Kind, encode_head
from peerage.transport.frames import Answer, ChunkHeader, ChunkRequest, encode
from peerage.transport.interface import CHUNK, Dropped, Fetched, FetchFailed, PeerContact, PeerFault, Received
from peerage.transport.limits import TransportSettings
from peerage.transport.zap import ZAP_ENDPOINT, zap_answer
from peerage_crypto.identity import CurveKeys

QUICK = {"heartbeat": 0.2, "silence": 2.0, "reconnect": 0.02, "reconnect_most": 0.1, "handshake": 1.0}
VICTIM, HONEST, INSIDER, LATE = 1, 2, 3, 4
NOWHERE = "tcp://127.0.0.1:1/2"


@pytest.fixture
def victim():
    with There(VICTIM, settings=QUICK) as there:
        yield there


@pytest.fixture
def here():
    """Makes honest peers that know the victim and are known to it."""
    made = []

    def make(victim, name=HONEST, others=()):
        peer = Here(name, settings=TransportSettings(**QUICK))
        made.append(peer)
        directory = {VICTIM: victim.endpoint} | {one.name: one.endpoint for one in made} | dict(others)
        for one in made:
            one.knows(directory)
        victim.knows(directory)
        return peer

    yield make
    for peer in made:
        peer.close()


@pytest.fixture
def dealer():
    """Raw sockets with a peer's keys, or a stranger's."""
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 4096)
    made = []

    def make(url, name, *, server=VICTIM, kind=zmq.DEALER, **options):
        client = context.socket(kind)
        made.append(client)
        mine = keys(name) if isinstance(name, int) else name
        client.linger, client.reconnect_ivl = 0, 20
        client.curve_secretkey, client.curve_publickey = mine.secret, mine.public
        client.curve_serverkey = keys(server).public
        for option, value in options.items():
            setattr(client, option, value)
        client.connect(url)
        return client

    yield make
    for client in made:
        client.close(linger=0)
    context.term()


def until(look, seconds=10.0):
    """The first truthy answer."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


# Crowds of strangers


CROWDS = {
    "silent": b"",
    "half a greeting": GREETING[:30],
    "a greeting": GREETING,
    "half a command": half_a_command(200 * 1024),
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_a_crowd_of_half_open_connections_is_let_go_and_peers_get_through_meanwhile(victim, here, crowd):
    first = here(victim)
    first.echoed(VICTIM)
    descriptors, memory = victim.descriptors(), victim.reset_most()
    with Strangers(victim.doors.control, 300, CROWDS[crowd]) as strangers:
        late = here(victim, LATE)
        assert victim.descriptors() <= descriptors + 300 + 20
        for peer in (first, late):
            peer.echoed(VICTIM)
        # the handshake's time is 1 s here; nothing of the crowd outlives it
        until(lambda: strangers.open() == 0, 8)
        until(lambda: victim.descriptors() <= descriptors + 20)
        # a stranger costs at most one message of the control door, which it must have sent
        said = 0 if crowd != "half a command" else 300 * 256 * 1024
        assert victim.most_memory() - memory < 16 * MIB + said
        first.echoed(VICTIM)


def test_one_crowd_after_another_costs_no_more_than_the_first():
    grown = []
    with There(VICTIM, settings={**QUICK, "handshake": 60.0}) as victim:  # so that all of a crowd are there at once
        memory = victim.memory()
        for _ in range(4):
            with Strangers(victim.doors.control, 150, CROWDS["half a command"]):
                until(lambda: victim.descriptors() >= 150)
            until(lambda: victim.descriptors() < 50)
            grown.append(victim.memory() - memory)
    assert grown[-1] - grown[0] < 16 * MIB


def test_a_stranger_that_drips_is_cut_off_as_one_that_is_silent(victim):
    started = time.monotonic()
    sent = 0
    with socket.create_connection(("127.0.0.1", victim.doors.control), timeout=5) as one, suppress(OSError):
        while sent < 200:  # ten seconds of it, if nobody hangs up
            one.sendall((GREETING * 4)[sent : sent + 1])
            sent += 1
            time.sleep(0.05)
    assert 1 < sent < 120
    assert time.monotonic() - started > 0.5


def test_a_crowd_with_keys_that_nobody_registered_is_refused_and_peers_get_through(victim, here, dealer):
    first = here(victim)
    first.echoed(VICTIM)
    memory, descriptors = victim.reset_most(), victim.descriptors()
    for n in range(200):
        dealer(victim.doors.control_url(), CurveKeys.from_secret(n.to_bytes(32)))
    until(lambda: victim.ask("stats")["refused"] >= 200)
    here(victim, LATE).echoed(VICTIM)
    first.echoed(VICTIM)
    assert victim.most_memory() - memory < 32 * MIB
    assert victim.descriptors() <= descriptors + 200 + 20


def test_without_descriptors_it_goes_on_and_opens_its_links_when_there_are_some(here):
    """A stranger needs no key to use them all up. Ours must not end by it."""
    with There(VICTIM, settings=QUICK, descriptors=90) as victim:
        first = here(victim)
        first.echoed(VICTIM)
        with Strangers(victim.doors.control, 150):
            until(lambda: victim.descriptors() >= 88)
            victim.ask("fetch", owner=HONEST, artefact=bytes(32).hex(), limit=10)  # wants a second connection
            first.echoed(VICTIM)
            assert victim.ask("heard")["failed"] == ""
        blob = b"blob"
        first.transport.serve({hashlib.sha256(blob).digest(): blob}.get)
        victim.ask("fetch", owner=HONEST, artefact=hashlib.sha256(blob).hexdigest(), limit=10)
        until(lambda: victim.ask("heard")["fetched"] == 1, 15)
        assert victim.ask("heard")["failed"] == ""


def test_as_many_descriptors_are_taken_as_the_operator_allows():
    script = (
        "import resource; from peerage.transport.limits import raise_descriptor_limit as r\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200)); r(); r()\n"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["200", "200"]
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] != 200


# Halves and wrong bytes, layer by layer: greeting, CURVE command


def command(name, body, *, flags=0x04, length=None):
    """A ZMTP command frame; ``length`` overrides what it says of itself."""
    content = bytes([len(name)]) + name + body
    return bytes([flags, len(content) if length is None else length]) + content


HELLO = bytes([1, 0]) + bytes(72) + bytes(32) + bytes(8) + bytes(80)
WRONG = {
    "no ZMTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".ljust(80, b"\n"),
    "old ZMTP": b"\xff" + bytes(8) + b"\x7f\x00".ljust(60, b"\0"),
    "another mechanism": GREETING.replace(b"CURVE", b"NULL\0"),
    "a password": GREETING.replace(b"CURVE", b"PLAIN") + command(b"HELLO", b"\x05admin\x05admin"),
    "a server like us": GREETING[:32] + b"\1" + GREETING[33:],
    "an empty command": GREETING + b"\x04\x00",
    "a hello that does not open": GREETING + command(b"HELLO", HELLO),
    "a short hello": GREETING + command(b"HELLO", HELLO[:50]),
    "a long hello": GREETING + command(b"HELLO", HELLO + bytes(40)),
    "initiate without hello": GREETING + command(b"INITIATE", bytes(200)),
    "a message before the handshake": GREETING + bytes([0, 100]) + bytes(100),
    "a command with a name of 255": GREETING + bytes([0x04, 10, 255]) + bytes(9),
    "an error": GREETING + command(b"ERROR", b"\xffshort"),
    "reserved flags": GREETING + bytes([0xF8, 4]) + bytes(4),
    "a length of 2^63": GREETING + b"\x06" + struct.pack(">Q", 1 << 63) + bytes(100),
    "a length of 2^64 - 1": GREETING + b"\x06" + struct.pack(">Q", (1 << 64) - 1) + bytes(100),
}


@pytest.mark.parametrize("door", ["control", "bulk", "relay"])
def test_wrong_bytes_at_any_layer_of_the_handshake_are_let_go_and_cost_nothing(here, door):
    with There(VICTIM, "127.0.0.1+relay", settings=QUICK) as victim:
        first = here(victim)
        first.echoed(VICTIM)
        memory, descriptors = victim.reset_most(), victim.descriptors()
        port = getattr(victim.doors, door)
        crowds = [Strangers(port, 3, words) for words in WRONG.values()]
        crowds += [Strangers(port, 1, words[:cut]) for words in WRONG.values() for cut in (1, 11, 65, 70)]
        first.echoed(VICTIM)
        until(lambda: all(crowd.open() == 0 for crowd in crowds), 8)
        until(lambda: victim.descriptors() <= descriptors + 10)
        for crowd in crowds:
            crowd.close()
        assert victim.most_memory() - memory < 16 * MIB
        here(victim, LATE).echoed(VICTIM)
        assert victim.ask("heard")["failed"] == ""
        assert victim.ask("heard")["faults"] == []  # nobody is named who is nobody


# Authenticated, and hostile


def test_wrong_frames_of_an_insider_are_its_fault_and_nobody_elses(victim, here, dealer):
    first = here(victim, others={INSIDER: NOWHERE})
    control, bulk = (dealer(url, INSIDER) for url in (victim.doors.control_url(), victim.doors.bulk_url()))
    control.send(b"")
    control.send_multipart([b"a"] * 3)
    request = encode(ChunkRequest(1, bytes(32), 0))
    for wrong in (b"", request[:-1], request[:5], request + b"\0", os.urandom(1000)):
        bulk.send(wrong)
    first.echoed(VICTIM)
    faults = until(lambda: len(victim.ask("heard")["faults"]) >= 5 and victim.ask("heard")["faults"])
    assert {who for who, _ in faults} == {address(INSIDER).hex()}
    bulk.send(bytes(2000))  # above what the bulk door takes: the connection goes, the door stays
    until(lambda: bulk.send(request) or bulk.poll(100))


@pytest.mark.parametrize("what", ["frames", "bytes", "requests"])
def test_an_insider_that_floods_is_named_and_others_are_heard(here, dealer, what):
    limits = {
        "frames": {"frames_a_second": 200},
        "bytes": {"bytes_a_second": MIB},
        "requests": {"requests_a_second": 50},
    }
    with There(VICTIM, settings=QUICK | limits[what]) as victim:
        first = here(victim, others={INSIDER: NOWHERE})
        first.echoed(VICTIM)
        memory = victim.reset_most()
        flood = dealer(victim.doors.bulk_url() if what == "requests" else victim.doors.control_url(), INSIDER)
        request = encode(ChunkRequest(1, bytes(32), 0))
        for _ in range(3000 if what != "bytes" else 200):
            flood.send({"frames": b"x", "bytes": bytes(100_000), "requests": request}[what])
        faults = until(lambda: victim.ask("heard")["faults"])
        assert faults[0][0] == address(INSIDER).hex()
        assert "faster" in faults[0][1]
        first.echoed(VICTIM)
        assert len(faults) <= 8  # a flood of garbage is not a flood of events
        assert victim.most_memory() - memory < 48 * MIB
        assert {who for who, _ in victim.ask("heard")["faults"]} == {address(INSIDER).hex()}


def test_who_never_reads_holds_up_nobody_and_fills_no_memory(victim, here, dealer):
    """Its door is open, its key is right, it takes nothing: what waits for it is bounded in bytes."""
    sloth = zmq.Context()
    door = sloth.socket(zmq.ROUTER)
    door.linger, door.rcvhwm = 0, 1
    door.curve_server, door.curve_secretkey = True, keys(INSIDER).secret
    port = door.bind_to_random_port("tcp://127.0.0.1")
    try:
        first = here(victim, others={INSIDER: f"tcp://127.0.0.1:{port}/2"})
        first.echoed(VICTIM)
        until(lambda: address(INSIDER).hex() in victim.ask("heard")["up"])
        memory = victim.reset_most()
        for _ in range(10):  # 200 MB
            victim.ask("send", to=INSIDER, size=200_000, count=100)
            first.echoed(VICTIM)
        assert until(lambda: victim.ask("heard")["dropped"]) > 500
        # 16 MiB wait by our count, 100 frames of 200 kB in the socket, each sealed once
        assert victim.most_memory() - memory < 80 * MIB
        first.echoed(VICTIM)
    finally:
        sloth.destroy(linger=0)


def test_who_asks_for_everything_and_reads_nothing_gets_no_more_than_the_high_water(victim, dealer, here):
    """Every name is a blob of its own here, so each answer that waits is a MiB of memory."""
    first = here(victim, others={INSIDER: NOWHERE})
    first.echoed(VICTIM)
    victim.ask("serve anything")
    client = dealer(victim.doors.bulk_url(), INSIDER, rcvhwm=1)
    memory = victim.reset_most()
    for n in range(400):
        client.send(encode(ChunkRequest(1, n.to_bytes(32), 0)))
    until(lambda: victim.ask("stats")["bulk_received"] >= 400 * 40)
    first.echoed(VICTIM)
    time.sleep(0.3)
    assert victim.most_memory() - memory < 60 * MIB
    assert victim.ask("stats")["bulk_sent"] < 100 * MIB


def test_a_routing_id_squatted_at_the_bulk_door_keeps_nobody_from_its_chunks(victim, here, dealer):
    first = here(victim, others={INSIDER: NOWHERE})
    name = bytes.fromhex(victim.ask("serve", size=3 * CHUNK))
    squatter = dealer(victim.doors.bulk_url(), INSIDER, routing_id=keys(HONEST).public)
    squatter.send(encode(ChunkRequest(1, name, 0)))
    assert squatter.poll(5000)
    first.transport.fetch(address(VICTIM), name, 3 * CHUNK)
    assert len(first.next(Fetched).data) == 3 * CHUNK


# The other direction: what a hostile door can do to whoever dials it


@pytest.fixture
def hostile():
    """A door with the insider's key that does what ours never would."""
    context = zmq.Context()
    door = context.socket(zmq.ROUTER)
    door.linger, door.sndhwm, door.router_mandatory = 0, 4, True
    door.curve_server, door.curve_secretkey = True, keys(INSIDER).secret
    port = door.bind_to_random_port("tcp://127.0.0.1")
    yield door, port
    context.destroy(linger=0)


@pytest.mark.parametrize("size", [2 * CHUNK, 200 * MIB])
def test_an_answer_longer_than_a_chunk_is_never_taken_in(hostile, size):
    door, port = hostile
    with There(VICTIM, settings=QUICK | {"stall": 1.5, "resend": 0.5}) as victim:
        victim.knows({INSIDER: f"tcp://127.0.0.1:1/{port}"})
        memory = victim.reset_most()
        victim.ask("fetch", owner=INSIDER, artefact=bytes(32).hex(), limit=10 * CHUNK)
        assert door.poll(5000)
        route, _ = door.recv_multipart()
        header = encode(ChunkHeader(1, bytes(32), 0, size, Answer.CHUNK))
        door.send_multipart([route, header, bytes(size)])
        time.sleep(1.0)
        assert victim.most_memory() - memory < 16 * MIB
        assert victim.ask("stats")["bulk_received"] == 0
        assert victim.ask("heard")["failed"] == ""


def test_an_owner_that_pushes_at_a_peer_that_is_busy_meets_the_high_water(hostile):
    """The sink blocks, as a machine does that swaps: what was not asked for waits with its sender."""
    door, port = hostile
    gate, told = Event(), []

    def slow(event):
        told.append(event)
        gate.wait(10)

    transport = ZmqTransport(keys(VICTIM), "127.0.0.1", settings=TransportSettings(stall=20))
    transport.bind()
    try:
        transport.start(address(VICTIM), slow)
        contact = PeerContact(keys(INSIDER).public, f"tcp://127.0.0.1:1/{port}", True)
        transport.update_directory({address(INSIDER): contact})
        transport.fetch(address(INSIDER), bytes(32), CHUNK)
        assert door.poll(5000)
        route, _ = door.recv_multipart()
        transport.send(b"?" * 20, b"x")  # Dropped: the I/O thread now waits in its sink
        until(lambda: told)
        pushed = 0
        end = time.monotonic() + 2.0
        while time.monotonic() < end and pushed < 200:
            try:
                door.send_multipart([route, b"junk", bytes(CHUNK)], zmq.NOBLOCK)
                pushed += 1
            except zmq.Again:
                time.sleep(0.01)
        assert isinstance(told[0], Dropped)
        assert pushed < 40  # its own pipe, ours, and what TCP holds
    finally:
        gate.set()
        transport.close()


def test_a_door_that_accepts_and_says_nothing_is_tried_again():
    """Without a handshake's time the link would wait for it half a minute, and then again."""
    with socket.create_server(("127.0.0.1", 0)) as mute, Here(HONEST, settings=TransportSettings(**QUICK)) as peer:
        mute.settimeout(8)
        peer.knows({INSIDER: f"tcp://127.0.0.1:{mute.getsockname()[1]}/2"})
        taken = [mute.accept()[0] for _ in range(3)]
        for one in taken:
            one.close()


# The authenticator's own door is not on the network; whatever reaches it does not end it


def test_garbage_at_the_authenticator_is_not_answered_and_it_goes_on():
    context = zmq.Context()
    doors = Doors(context, keys(VICTIM), TransportSettings())
    asking = context.socket(zmq.DEALER)
    asking.linger = 0
    try:
        asking.connect(ZAP_ENDPOINT)
        for frames in ([b""], [b"", b""], [b"", b"9.9", b"x"], [os.urandom(50)] * 7, [b""] * 300, [b"x"]):
            asking.send_multipart(frames)
        assert doors.zap.poll(1000)
        assert doors.answer_zap(lambda _: True) == 0 or zap_answer([], lambda _: True) is None
        asking.send_multipart([b"", b"1.0", b"1", b"peerage", b"127.0.0.1", b"", b"CURVE", keys(HONEST).public])
        assert doors.zap.poll(1000)
        doors.answer_zap(lambda key: key == keys(HONEST).public)
        answers = []
        while asking.poll(200):
            answers.append(asking.recv_multipart())
        assert [one[3] for one in answers if one[3] == b"200"] == [b"200"]
    finally:
        asking.close(linger=0)
        doors.close()
        context.term()


# Relays are doors too


def test_a_revoked_key_is_not_forwarded_on_its_living_connection(here):
    with (
        There(VICTIM, "127.0.0.1+relay", settings=QUICK) as relay,
        Here(INSIDER, "relay:0x" + address(VICTIM).hex(), TransportSettings(**QUICK)) as hidden,
    ):
        first = here(relay, others={INSIDER: hidden.endpoint})
        directory = {VICTIM: relay.endpoint, HONEST: first.endpoint, INSIDER: hidden.endpoint}
        hidden.knows(directory)
        first.transport.send(hidden.address, b"before")
        assert hidden.next(Received).frame == b"before"
        relay.knows(directory, revoked=[HONEST])
        refused = relay.ask("stats")["refused"]
        first.transport.send(hidden.address, b"after")
        with pytest.raises(Empty):
            hidden.next(Received, 0.5)
        until(lambda: relay.ask("stats")["refused"] > refused)


def test_a_relays_memory_is_bounded_when_the_receivers_do_not_read(here, dealer):
    """Four insiders connect to the relay as if they were hidden and never read; others pour chunks at them."""
    sloths = [10, 11, 12, 13]
    with There(VICTIM, "127.0.0.1+relay", settings=QUICK) as relay:
        others = {n: "relay:0x" + address(VICTIM).hex() for n in sloths} | {INSIDER: NOWHERE}
        first = here(relay, others=others)
        memory = relay.reset_most()
        for n in sloths:
            sloth = dealer(relay.doors.relay_url(), n, rcvhwm=1)
            sloth.send_multipart([encode_head(Head(1, Kind.HERE, address(n), bytes(16), 0)), b""])
        pourer = dealer(relay.doors.relay_url(), INSIDER)
        pourer.sndhwm = 4
        for round_ in range(60):  # 240 MiB
            for n in sloths:
                head = Head(1, Kind.SEALED, address(n), bytes(16), round_ + 1)
                pourer.send_multipart([encode_head(head), bytes(CHUNK)])
        until(lambda: relay.ask("stats")["relay_dropped"] > 100)
        # for each: credits x 1 MiB held, as much again in the socket's pipe, a few in libzmq's and TCP's hands
        assert relay.most_memory() - memory < len(sloths) * 2 * 4 * MIB + 48 * MIB
        first.echoed(VICTIM)


@pytest.mark.parametrize(("envelopes", "size"), [(60, CHUNK // 2), (3000, 16)])
def test_an_insider_that_pours_through_the_relay_is_named_and_others_get_through(here, dealer, envelopes, size):
    with (
        There(VICTIM, "127.0.0.1+relay", settings=QUICK | {"relayed_a_second": 4.0 * MIB}) as relay,
        Here(LATE, "relay:0x" + address(VICTIM).hex(), TransportSettings(**QUICK)) as hidden,
    ):
        first = here(relay, others={INSIDER: NOWHERE, LATE: hidden.endpoint})
        hidden.knows({VICTIM: relay.endpoint, HONEST: first.endpoint, INSIDER: NOWHERE})
        first.transport.send(hidden.address, b"before")
        assert hidden.next(Received).frame == b"before"
        pourer = dealer(relay.doors.relay_url(), INSIDER)
        for n in range(envelopes):
            head = Head(1, Kind.SEALED, hidden.address, bytes(16), n + 1)
            pourer.send_multipart([encode_head(head), bytes(size)])
        faults = until(lambda: relay.ask("heard")["faults"])
        assert {who for who, _ in faults} == {address(INSIDER).hex()}
        assert "forwarded" in faults[0][1]
        first.transport.send(hidden.address, b"meanwhile")
        assert hidden.next(Received).frame == b"meanwhile"
        assert hidden.transport.stats().refused > 0  # what it poured belongs to no session
        with pytest.raises(Empty):
            hidden.next(PeerFault, 0.1)
        with pytest.raises(Empty):
            hidden.next(FetchFailed, 0.1)
