"""What a relay holds: bounded for each peer, fair between senders, forgotten with whoever left."""

import random

import pytest

from peerage.transport.forwarding import Forwarding

A, B, C, D = (bytes([n]) * 20 for n in range(1, 5))


def frames(size, mark=b"h"):
    return mark, bytes(size - 1)


def drained(forwarding, to):
    out = []
    while (first := forwarding.first(to)) is not None:
        out.append(first[1][0])
        forwarding.left(to)
    return out


def test_nothing_is_held_for_whom_is_not_here():
    forwarding = Forwarding(100, 10)
    assert not forwarding.offer(A, B, frames(10))
    assert forwarding.first(B) is None
    assert forwarding.waiting() == []


def test_envelopes_of_one_sender_leave_in_order_by_the_newest_connection():
    forwarding = Forwarding(100, 10)
    forwarding.here(B, b"old")
    for mark in (b"1", b"2", b"3"):
        assert forwarding.offer(A, B, frames(10, mark))
    forwarding.here(B, b"new")
    assert forwarding.first(B)[0] == b"new"
    assert drained(forwarding, B) == [b"1", b"2", b"3"]
    assert forwarding.held(B) == 0


def test_senders_take_turns():
    forwarding = Forwarding(1000, 100)
    forwarding.here(D, b"d")
    for sender, mark in ((A, b"a"), (A, b"a"), (A, b"a"), (B, b"b"), (C, b"c")):
        forwarding.offer(sender, D, frames(10, mark))
    assert drained(forwarding, D) == [b"a", b"b", b"c", b"a", b"a"]


def test_who_pours_loses_its_own_and_keeps_nobody_out():
    forwarding = Forwarding(100, 100)
    forwarding.here(D, b"d")
    for _ in range(50):
        forwarding.offer(A, D, frames(10, b"a"))
    assert forwarding.offer(B, D, frames(30, b"b"))
    assert forwarding.held(D) <= 100
    assert drained(forwarding, D).count(b"b") == 1
    assert forwarding.dropped == 43


def test_what_waits_longest_stays():
    forwarding = Forwarding(1000, 3)
    forwarding.here(D, b"d")
    for n in range(9):
        forwarding.offer(A, D, frames(10, b"%d" % n))
    assert drained(forwarding, D) == [b"0", b"1", b"2"]


def test_small_envelopes_are_counted_too():
    forwarding = Forwarding(10**9, 10)
    forwarding.here(D, b"d")
    for _ in range(50):
        forwarding.offer(A, D, frames(1, b"a"))
    forwarding.offer(B, D, frames(1, b"b"))
    assert sorted(drained(forwarding, D)) == [b"a"] * 9 + [b"b"]


@pytest.mark.parametrize("seed", range(20))
def test_no_peer_is_ever_held_more_than_the_bound_for(seed):
    draw = random.Random(seed)
    forwarding = Forwarding(1000, 20)
    here = [A, B, C]
    for peer in here:
        forwarding.here(peer, peer)
    offered = sent = 0
    for _ in range(500):
        to = draw.choice(here)
        if draw.random() < 0.7:
            offered += forwarding.offer(draw.choice([A, B, C, D]), to, frames(draw.randrange(1, 400)))
        elif forwarding.first(to) is not None:
            forwarding.left(to)
            sent += 1
        assert all(forwarding.held(peer) <= 1000 for peer in here)
    sent += sum(len(drained(forwarding, peer)) for peer in here)
    assert offered == sent + forwarding.dropped
    assert all(forwarding.held(peer) == 0 for peer in here)


def test_what_waits_for_one_that_is_gone_is_forgotten():
    forwarding = Forwarding(100, 10)
    forwarding.here(B, b"b")
    forwarding.offer(A, B, frames(10))
    forwarding.gone(B)
    forwarding.gone(B)
    assert (forwarding.connected(), forwarding.waiting(), forwarding.held(B), forwarding.dropped) == (set(), [], 0, 1)
    assert not forwarding.offer(A, B, frames(10))
