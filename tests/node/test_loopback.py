"""The loopback keeps the transport's promises, and the same seed is the same story."""

import hashlib
from queue import SimpleQueue
from threading import Thread

import pytest

from peerage.transport.interface import (
    Dropped,
    Fetched,
    FetchFailed,
    PeerContact,
    PeerDown,
    PeerFault,
    PeerUp,
    Received,
)
from peerage.transport.loopback import LoopbackNetwork
from peerage_crypto.errors import OurError

A, B, C = (bytes([n]) * 20 for n in (1, 2, 3))


class Town:
    """Peers on a network, each with a list of what it was told."""

    def __init__(self, *addresses, seed=None):
        self.network = LoopbackNetwork(seed)
        self.peers = {address: self.network.transport(hashlib.sha256(address).digest()) for address in addresses}
        self.heard = {address: [] for address in addresses}
        self.directory = {
            address: PeerContact(peer.public_key, peer.bind(), True) for address, peer in self.peers.items()
        }
        for address, peer in self.peers.items():
            peer.start(address, self.heard[address].append)
            peer.update_directory(self.directory)
        self.network.run()

    def frames(self, address):
        return [(event.sender, event.frame) for event in self.heard[address] if isinstance(event, Received)]

    def of(self, address, kind):
        return [event for event in self.heard[address] if isinstance(event, kind)]


def test_everyone_learns_who_is_there():
    town = Town(A, B, C)
    assert set(town.heard[A]) == {PeerUp(B), PeerUp(C)}


def test_a_broadcast_reaches_all_but_its_sender():
    town = Town(A, B, C)
    town.peers[A].broadcast(b"hello")
    assert town.frames(B) == []
    town.network.run()
    assert town.frames(B) == town.frames(C) == [(A, b"hello")]
    assert town.frames(A) == []


def test_a_peer_may_write_to_itself():
    town = Town(A)
    town.peers[A].send(A, b"note")
    town.network.run()
    assert town.frames(A) == [(A, b"note")]


def test_without_a_seed_frames_arrive_as_they_were_sent():
    town = Town(A, B, C)
    for n in range(3):
        town.peers[B].send(A, bytes([n + 1]))
        town.peers[C].send(A, bytes([n + 1]))
    town.network.run()
    assert town.frames(A) == [(s, bytes([n + 1])) for n in range(3) for s in (B, C)]


def chatter(seed):
    town = Town(A, B, C, seed=seed)
    for n in range(20):
        town.peers[B].send(A, bytes([n + 1]))
        town.peers[C].send(A, bytes([n + 1]))
    town.network.run()
    return town.frames(A)


def test_a_seed_repeats_its_schedule_and_keeps_each_sender_in_order():
    assert chatter(7) == chatter(7)
    assert chatter(7) != chatter(8)
    assert [frame for sender, frame in chatter(7) if sender == B] == [bytes([n + 1]) for n in range(20)]


def test_frames_wait_for_a_peer_that_is_down_and_come_first_when_it_returns():
    town = Town(A, B)
    town.network.down(B)
    town.network.run()
    assert town.heard[A][-1] == PeerDown(B)
    town.peers[A].send(B, b"one")
    town.network.up(B)
    town.peers[A].send(B, b"two")
    town.network.run()
    assert town.frames(B) == [(A, b"one"), (A, b"two")]


def test_too_many_waiting_frames_are_dropped_with_an_event():
    town = Town(A, B)
    town.network.down(B)
    for _ in range(1001):
        town.peers[A].send(B, b"x")
    (dropped,) = town.of(A, Dropped)
    assert dropped.to == B
    assert town.peers[A].stats().frames_dropped == 1


def test_what_is_under_way_when_a_link_breaks_is_lost():
    town = Town(A, B)
    town.peers[A].send(B, b"x")
    town.network.cut(A, B)
    town.network.heal(A, B)
    town.network.run()
    assert town.frames(B) == []


def test_a_cut_parts_two_and_no_third():
    town = Town(A, B, C)
    town.network.cut(A, B)
    town.network.run()
    town.peers[C].broadcast(b"x")
    town.network.run()
    assert town.frames(A) == town.frames(B) == [(C, b"x")]


def test_a_revoked_peer_is_not_heard():
    town = Town(A, B)
    town.peers[B].send(A, b"x")
    town.peers[A].update_directory({**town.directory, B: PeerContact(town.peers[B].public_key, "", False)})
    town.network.run()
    assert town.frames(A) == []
    town.peers[A].send(B, b"y")
    assert town.of(A, Dropped)


def test_a_peer_with_another_key_is_not_heard():
    town = Town(A, B)
    town.peers[A].update_directory({**town.directory, B: PeerContact(b"?" * 32, "", True)})
    town.peers[B].send(A, b"x")
    town.network.run()
    assert town.frames(A) == []


def test_a_blob_is_fetched_by_its_name():
    town = Town(A, B)
    name = hashlib.sha256(b"blob").digest()
    town.peers[B].serve({name: memoryview(b"blob")}.get)
    town.peers[A].fetch(B, name, 4)
    town.peers[A].fetch(B, name, 4)
    town.network.run()
    assert town.of(A, Fetched) == [Fetched(B, name, b"blob")]
    assert (town.peers[A].stats().bulk_received, town.peers[B].stats().bulk_sent) == (4, 4)


def test_a_peer_fetches_from_itself():
    town = Town(A)
    name = hashlib.sha256(b"blob").digest()
    town.peers[A].serve({name: b"blob"}.get)
    town.peers[A].fetch(A, name, 4)
    town.network.run()
    assert town.of(A, Fetched) == [Fetched(A, name, b"blob")]


@pytest.mark.parametrize(("blob", "limit", "word"), [(b"other", 9, "hash"), (b"blob", 3, "at most 3")])
def test_a_lying_owner_is_blamed(blob, limit, word):
    town = Town(A, B)
    name = hashlib.sha256(b"blob").digest()
    town.peers[B].serve(lambda _: blob)
    town.peers[A].fetch(B, name, limit)
    town.network.run()
    assert word in town.of(A, PeerFault)[0].sentence
    assert len(town.of(A, FetchFailed)) == 1


def test_a_fetch_fails_when_its_owner_lacks_it_is_down_or_breaks_off():
    town = Town(A, B)
    town.peers[A].fetch(B, b"1" * 32, 9)
    town.network.run()
    town.peers[A].fetch(B, b"2" * 32, 9)
    town.network.down(B)
    town.network.run()
    town.peers[A].fetch(B, b"3" * 32, 9)
    town.network.run()
    assert [event.artefact[:1] for event in town.of(A, FetchFailed)] == [b"1", b"2", b"3"]


def test_peers_that_never_stop_are_found_out():
    town = Town(A, B)
    town.peers[B].start(B, lambda _: town.peers[B].send(A, b"ping"))
    town.peers[A].start(A, lambda _: town.peers[A].send(B, b"pong"))
    town.peers[A].send(B, b"go")
    with pytest.raises(OurError, match="still busy"):
        town.network.run(100)


def test_a_direct_network_delivers_at_once_and_from_any_thread():
    network = LoopbackNetwork(direct=True)
    keys = {A: b"a" * 32, B: b"b" * 32}
    peers = {address: network.transport(key) for address, key in keys.items()}
    queues = {address: SimpleQueue() for address in keys}
    for address, peer in peers.items():
        peer.start(address, queues[address].put)
        peer.update_directory({a: PeerContact(key, peers[a].bind(), True) for a, key in keys.items()})
    assert queues[B].get(timeout=1) == PeerUp(A)
    threads = [Thread(target=lambda: [peers[A].send(B, b"x") for _ in range(200)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queues[B].qsize() == 600


def test_a_closed_peer_is_down_for_the_others_and_hears_nothing():
    town = Town(A, B)
    town.peers[B].close()
    town.network.run()
    assert town.heard[A][-1] == PeerDown(B)
