"""Checks at a peer's doors, each met alone over real sockets, so that taking it out shows."""

import hashlib
import time
from queue import Empty, SimpleQueue

import pytest
import zmq

from peerage.transport.curve import ZmqTransport
from peerage.transport.frames import ChunkRequest, encode
from peerage.transport.interface import CONTROL_LIMIT, PeerContact, PeerFault, PeerUp, Received, parse_endpoint
from peerage.transport.limits import TokenBucket, TransportSettings
from peerage.transport.sealed import Ends, as_caller
from peerage.transport.zap import zap_answer
from peerage_crypto.agreement import SessionKeys
from peerage_crypto.identity import CurveKeys

QUICK = TransportSettings(
    heartbeat=0.2, silence=1.0, reconnect=0.02, reconnect_most=0.1, frames_a_second=20.0, requests_a_second=20.0
)
ASKED = [b"1.0", b"7", b"peerage", b"127.0.0.1", b"", b"CURVE", bytes(32)]


def keys(name: int) -> CurveKeys:
    return CurveKeys.from_secret(hashlib.sha256(bytes([name])).digest())


class Peer:
    """A transport with a directory of its own making."""

    def __init__(self, name, key=None):
        self.address, self.keys = bytes([name]) * 20, keys(key or name)
        self.transport = ZmqTransport(self.keys, "127.0.0.1", 0, settings=QUICK)
        self.endpoint = self.transport.bind()
        self.events = SimpleQueue()
        self.transport.start(self.address, self.events.put)

    def contact(self, *, active=True, public=None):
        return PeerContact(public or self.keys.public, self.endpoint, active)

    def next(self, kind, within=3.0):
        until = time.monotonic() + within
        while True:
            event = self.events.get(timeout=max(0.0, until - time.monotonic()))
            if isinstance(event, kind):
                return event

    def hears_nothing_of(self, kind, within=0.3):
        with pytest.raises(Empty):
            self.next(kind, within)


@pytest.fixture
def peer():
    made = []

    def make(name, key=None):
        made.append(Peer(name, key))
        return made[-1]

    yield make
    for one in made:
        one.transport.close()


@pytest.fixture
def dealer():
    """A raw socket; without keys it speaks no CURVE."""
    context = zmq.Context()
    made = []

    def make(url, mine=None, theirs=None):
        made.append(context.socket(zmq.DEALER))
        made[-1].linger, made[-1].reconnect_ivl = 0, 20
        if mine is not None:
            made[-1].curve_secretkey, made[-1].curve_publickey = mine.secret, mine.public
            made[-1].curve_serverkey = theirs.public
        made[-1].connect(url)
        return made[-1]

    yield make
    for one in made:
        one.close(linger=0)
    context.term()


def known(victim, *names, active=True):
    """The victim's directory: itself and these, who listen nowhere."""
    contacts = {victim.address: victim.contact()}
    contacts |= {bytes([n]) * 20: PeerContact(keys(n).public, "tcp://127.0.0.1:1/2", active) for n in names}
    victim.transport.update_directory(contacts)
    victim.transport.send(victim.address, b"in force")  # calls are taken in order, frames from outside when they come
    assert victim.next(Received) == Received(victim.address, b"in force")


def control(victim):
    return parse_endpoint(victim.endpoint).control_url()


def bulk(victim):
    return parse_endpoint(victim.endpoint).bulk_url()


# -- the authenticator's word


def test_a_key_that_nobody_registered_is_not_let_in():
    assert zap_answer(ASKED, lambda _: False)[2] == b"400"
    assert zap_answer(ASKED, lambda _: True)[2] == b"200"


@pytest.mark.parametrize(
    ("at", "value"), [(2, b"other"), (5, b"NULL"), (6, bytes(31))], ids=["domain", "mechanism", "credential"]
)
def test_only_curve_in_our_domain_is_let_in(at, value):
    assert zap_answer([*ASKED[:at], value, *ASKED[at + 1 :]], lambda _: True)[2] == b"400"


def test_what_is_not_zap_gets_no_answer():
    assert zap_answer([b"9.9", *ASKED[1:]], lambda _: True) is None


# -- through a relay


def test_a_channels_keys_are_of_one_session_though_its_ephemeral_keys_be_another_ones():
    ends = Ends(b"a" * 20, b"b" * 20, keys(1).public, keys(2).public)
    mine, theirs = SessionKeys.from_secret(keys(3).secret), keys(4).public
    one, other = (as_caller(ends, keys(1).secret, bytes([s]) * 16, mine, theirs) for s in (1, 2))
    assert one.sealing != other.sealing


# -- who is heard


def test_without_curve_nobody_is_heard(peer, dealer):
    victim = peer(1)
    known(victim, 2)
    dealer(control(victim)).send(b"hello")
    victim.hears_nothing_of((Received, PeerFault))


def test_a_registered_key_is_heard_and_another_is_not(peer, dealer):
    victim = peer(1)
    known(victim, 2)
    dealer(control(victim), keys(9), victim.keys).send(b"a stranger")
    dealer(control(victim), keys(2), victim.keys).send(b"hello")
    assert victim.next(Received) == Received(bytes([2]) * 20, b"hello")
    victim.hears_nothing_of(Received)


def test_a_key_that_was_revoked_is_not_heard_on_its_living_connection(peer, dealer):
    victim = peer(1)
    known(victim, 2)
    client = dealer(control(victim), keys(2), victim.keys)
    client.send(b"before")
    victim.next(Received)
    known(victim, 2, active=False)
    client.send(b"after")
    victim.hears_nothing_of(Received)


def test_a_key_of_two_peers_names_neither(peer, dealer):
    victim = peer(1)
    contacts = {bytes([n]) * 20: PeerContact(keys(2).public, "tcp://127.0.0.1:1/2", active=True) for n in (2, 3)}
    victim.transport.update_directory(contacts | {victim.address: victim.contact()})
    dealer(control(victim), keys(2), victim.keys).send(b"hello")
    victim.hears_nothing_of(Received)


def test_a_door_with_another_key_than_the_registered_is_not_used(peer):
    """Somebody listens where the peer did."""
    a, impostor = peer(1), peer(2, key=9)
    impostor.transport.update_directory({a.address: a.contact(), impostor.address: impostor.contact()})
    a.transport.update_directory({a.address: a.contact(), impostor.address: impostor.contact(public=keys(2).public)})
    a.hears_nothing_of(PeerUp)


def test_peers_behind_their_registered_keys_meet(peer):
    a, b = peer(1), peer(2)
    for one in (a, b):
        one.transport.update_directory({a.address: a.contact(), b.address: b.contact()})
    assert a.next(PeerUp) == PeerUp(b.address)


# -- how much


def test_a_bucket_is_never_fuller_than_its_burst():
    bucket = TokenBucket(rate=10.0, burst=5.0)
    assert bucket.take(5, 0.0)
    assert not bucket.take(6, 100.0)
    assert bucket.take(5, 100.0)


@pytest.mark.parametrize(
    ("parts", "word"),
    [([b"a", b"b"], "2 parts"), ([b""], "of 0 bytes"), ([bytes(CONTROL_LIMIT + 1)], "bytes; 1 to")],
    ids=["parts", "empty", "long"],
)
def test_a_control_message_is_one_frame_of_a_legal_length(peer, dealer, parts, word):
    victim = peer(1)
    known(victim, 2)
    dealer(control(victim), keys(2), victim.keys).send_multipart(parts)
    assert word in victim.next(PeerFault).sentence
    victim.hears_nothing_of(Received, 0.05)


def test_a_frame_beyond_the_doors_own_limit_ends_the_connection_unread(peer, dealer):
    victim = peer(1)
    known(victim, 2)
    dealer(control(victim), keys(2), victim.keys).send(bytes(1 << 20))
    victim.hears_nothing_of((Received, PeerFault))


def test_who_sends_too_many_frames_is_named(peer, dealer):
    victim = peer(1)
    known(victim, 2)
    client = dealer(control(victim), keys(2), victim.keys)
    for _ in range(60):
        client.send(b"x")
    assert "faster" in victim.next(PeerFault).sentence


def test_who_asks_for_too_many_chunks_is_named(peer, dealer):
    victim = peer(1)
    known(victim, 2)
    client = dealer(bulk(victim), keys(2), victim.keys)
    for _ in range(60):
        client.send(encode(ChunkRequest(1, bytes(32), 0)))
    assert "faster" in victim.next(PeerFault).sentence
