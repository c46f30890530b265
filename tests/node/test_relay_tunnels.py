"""Sessions through relays in virtual time: calling, being called, giving up, trying the next."""

import hashlib
import random
from itertools import pairwise

import msgspec
import pytest

from peerage.transport.bulk import Uploads
from peerage.transport.envelopes import Head, Inside, Kind, decode_envelope, encode_head
from peerage.transport.frames import BadFrame, ChunkRequest, decode_answer
from peerage.transport.interface import CONTROL_LIMIT, PeerDown, PeerFault, PeerUp, Received
from peerage.transport.limits import Allowance, TransportSettings
from peerage.transport.tunnels import Chunk, Tunnels
from peerage_crypto.identity import CurveKeys

CALLER, CALLEE, RELAY, SECOND = (bytes([n]) * 20 for n in range(1, 5))
KEYS = {name: CurveKeys.from_secret(hashlib.sha256(name).digest()) for name in (CALLER, CALLEE, RELAY, SECOND)}
PUBLIC = {name: keys.public for name, keys in KEYS.items()}
SETTINGS = TransportSettings(heartbeat=1.0, silence=4.0, reconnect=0.1, reconnect_most=2.0, handshake=5.0)


class End:
    """One peer's sessions; randomness from a seed."""

    def __init__(self, me, calls=None, via=(), uploads=None, settings=SETTINGS):
        self.me = me
        self.allowances = {}
        self.tunnels = Tunnels(
            me,
            KEYS[me],
            settings,
            uploads or Uploads(),
            allowance=lambda address: self.allowances.setdefault(address, Allowance(settings)),
            rand=random.Random(int.from_bytes(me)).randbytes,
        )
        self.tunnels.direct(PUBLIC, calls or {}, via)

    def says(self, relay=RELAY, now=0.0):
        out = []
        while (envelope := self.tunnels.following(relay, now)) is not None:
            out.append(envelope)
        return out

    def hears(self, envelope, sender, relay=RELAY, now=0.0):
        head, body = envelope
        return self.tunnels.receive(relay, msgspec.structs.replace(head, peer=sender), body, now)


def always(_relay):
    return True


@pytest.fixture
def ends():
    uploads = Uploads()
    uploads.lookup = {bytes(32): b"blob"}.get
    return End(CALLER, {CALLEE: (RELAY, SECOND)}), End(CALLEE, via=(RELAY, SECOND), uploads=uploads)


def carried(caller, callee, now=0.0, relay=RELAY):
    """Carry everything both ways until nobody speaks; what each was told."""
    told, heard = [], []
    while True:
        there, back = caller.says(relay, now), callee.says(relay, now)
        if not there and not back:
            return told, heard
        for envelope in there:
            heard += callee.hears(envelope, caller.me, relay, now)
        for envelope in back:
            told += caller.hears(envelope, callee.me, relay, now)


def up(ends, now=0.0):
    caller, callee = ends
    assert caller.tunnels.due(now, always) == []
    assert carried(caller, callee, now) == ([PeerUp(CALLEE)], [])
    return ends


def test_a_call_is_answered_and_frames_and_chunks_pass(ends):
    caller, callee = up(ends)
    caller.tunnels.offer(CALLEE, b"frame", 0.0)
    caller.tunnels.ask(CALLEE, ChunkRequest(1, bytes(32), 0))
    told, heard = carried(caller, callee)
    assert heard == [Received(CALLER, b"frame")]
    (chunk,) = told
    assert isinstance(chunk, Chunk)
    assert bytes(decode_answer(chunk.frames)[1]) == b"blob"


def test_frames_wait_until_the_call_is_answered(ends):
    caller, callee = ends
    caller.tunnels.offer(CALLEE, b"early", 0.0)
    assert caller.says() == []
    caller.tunnels.due(0.0, always)
    assert carried(caller, callee) == ([PeerUp(CALLEE)], [Received(CALLER, b"early")])


def test_a_call_is_repeated_with_the_same_key_and_pauses_that_grow(ends):
    caller, _ = ends
    said, times, now = [], [], 0.0
    while now < 4.9:
        caller.tunnels.due(now, always)
        fresh = caller.says(now=now)
        said += fresh
        times += [now] * len(fresh)
        now = caller.tunnels.deadline()
    assert len({body for _, body in said}) == 1
    pauses = [later - sooner for sooner, later in pairwise(times)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])


def test_a_repeated_call_gets_the_same_answer(ends):
    caller, callee = ends
    caller.tunnels.due(0.0, always)
    (call,) = caller.says()
    assert callee.hears(call, CALLER) == callee.hears(call, CALLER) == []
    first, second = callee.says()
    assert first == second
    assert caller.hears(first, CALLEE) == [PeerUp(CALLEE)]
    assert caller.hears(second, CALLEE) == []


def test_a_silent_callee_is_down_and_called_through_the_next_relay(ends):
    caller, _ = up(ends)
    for now in (1.0, 2.0, 3.0):
        assert caller.tunnels.due(now, always) == []
        assert len(caller.says(now=now)) == 1  # a ping that nobody answers
    assert caller.tunnels.due(4.0, always) == [PeerDown(CALLEE)]
    assert caller.tunnels.relays() == {SECOND}
    caller.tunnels.due(4.2, always)
    assert caller.says(SECOND)[0][0].kind is Kind.CALL


def test_pings_keep_it_up(ends):
    caller, callee = up(ends)
    for now in range(1, 20):
        assert caller.tunnels.due(float(now), always) == []
        assert carried(caller, callee, float(now)) == ([], [])


def test_a_relay_that_leads_nowhere_is_left_after_the_handshakes_time(ends):
    caller, _ = ends
    now = 0.0
    while now < 5.0:
        caller.tunnels.due(now, lambda _: False)
        assert caller.tunnels.relays() == {RELAY}
        now = caller.tunnels.deadline()
    caller.tunnels.due(now, lambda _: False)
    assert caller.tunnels.relays() == {SECOND}
    assert caller.says() == caller.says(SECOND) == []


def test_gone_leads_to_the_next_relay_at_once_and_only_for_our_own_call(ends):
    caller, _ = ends
    caller.tunnels.due(0.0, always)
    ((head, _),) = caller.says()
    for other in (b"x" * 16, bytes(16)):
        caller.hears((Head(1, Kind.GONE, CALLEE, other, 0), b""), CALLEE)
        assert caller.tunnels.relays() == {RELAY}
    caller.hears((Head(1, Kind.GONE, CALLEE, head.session, 0), b""), CALLEE, relay=SECOND)
    assert caller.tunnels.relays() == {RELAY}
    caller.hears((Head(1, Kind.GONE, CALLEE, head.session, 0), b""), CALLEE)
    assert caller.tunnels.relays() == {SECOND}


def test_a_broken_way_to_the_relay_is_down(ends):
    caller, _ = up(ends)
    assert caller.tunnels.cut(SECOND, 1.0) == []
    assert caller.tunnels.cut(RELAY, 1.0) == [PeerDown(CALLEE)]
    assert caller.tunnels.cut(RELAY, 1.0) == []


def test_a_callee_that_lost_its_memory_says_so_and_is_called_again(ends):
    caller, _ = up(ends)
    reborn = End(CALLEE, via=(RELAY,))
    caller.tunnels.offer(CALLEE, b"lost", 1.0)
    told, heard = carried(caller, reborn, 1.0)
    assert (told, heard) == ([PeerDown(CALLEE)], [])
    caller.tunnels.due(1.2, always)
    caller.tunnels.offer(CALLEE, b"again", 1.2)
    assert carried(caller, reborn, 1.2) == ([PeerUp(CALLEE)], [Received(CALLER, b"again")])


def test_a_session_ends_with_the_registration_or_the_key(ends):
    caller, callee = up(ends)
    other_key = PUBLIC | {CALLEE: PUBLIC[SECOND]}
    assert caller.tunnels.direct(other_key, {CALLEE: (RELAY,)}, ()) == [PeerDown(CALLEE)]
    caller.tunnels.direct(PUBLIC, {CALLEE: (RELAY,)}, ())
    gone = {name: key for name, key in PUBLIC.items() if name != CALLER}
    callee.tunnels.direct(gone, {}, (RELAY,))
    caller.tunnels.due(10.0, always)
    (call,) = caller.says()
    assert callee.hears(call, CALLER) == []
    assert callee.says() == []
    assert callee.tunnels.refused == 1


def test_a_session_ends_with_its_callers_key(ends):
    """A key that was rotated or revoked is heard on no session that it opened."""
    caller, callee = up(ends)
    carried(caller, callee)
    for peers in (PUBLIC | {CALLER: PUBLIC[SECOND]}, {n: k for n, k in PUBLIC.items() if n != CALLER}):
        caller.tunnels.offer(CALLEE, b"old", 0.0)
        (old,) = caller.says()
        refused = callee.tunnels.refused
        callee.tunnels.direct(peers, {}, (RELAY,))
        assert callee.hears(old, CALLER) == []
        assert callee.tunnels.refused == refused + 1


def test_an_answer_by_another_relay_than_the_calls_is_refused(ends):
    caller, callee = ends
    caller.tunnels.due(0.0, always)
    (call,) = caller.says()
    callee.hears(call, CALLER)
    (answer,) = callee.says()
    assert caller.hears(answer, CALLEE, relay=SECOND) == []
    assert caller.tunnels.refused == 1
    assert caller.hears(answer, CALLEE) == [PeerUp(CALLEE)]


def test_only_my_own_relays_may_bring_a_call(ends):
    caller, callee = ends
    caller.tunnels.due(0.0, always)
    (call,) = caller.says()
    assert callee.hears(call, CALLER, relay=CALLER) == []
    plain = End(SECOND)  # it can be dialled
    assert plain.hears(call, CALLER) == []
    assert callee.says(CALLER) == plain.says() == []
    assert (callee.tunnels.refused, plain.tunnels.refused) == (1, 1)


def test_calls_are_counted(ends):
    """Each costs four X25519; a session that holds is not lost to them."""
    caller, callee = up(ends)
    for n in range(100):
        key = CurveKeys.from_secret(n.to_bytes(32)).public
        callee.hears((Head(1, Kind.CALL, CALLER, n.to_bytes(16), 0), key), CALLER)
    assert 15 <= len(callee.says()) <= 20
    caller.tunnels.offer(CALLEE, b"still", 0.0)
    assert carried(caller, callee)[1] == [Received(CALLER, b"still")]


def test_requests_beyond_the_credits_are_not_kept(ends):
    caller, callee = up(ends)
    for n in range(100):
        caller.tunnels.ask(CALLEE, ChunkRequest(1, bytes(32), n << 20))
    for envelope in caller.says():
        callee.hears(envelope, CALLER)
    assert len(callee.says()) == 2 * SETTINGS.credits


def test_requests_beyond_all_measure_are_a_fault():
    settings = TransportSettings(requests_a_second=5)
    caller, callee = End(CALLER, {CALLEE: (RELAY,)}, settings=settings), End(CALLEE, via=(RELAY,), settings=settings)
    caller.tunnels.due(0.0, always)
    carried(caller, callee)
    for _ in range(20):
        caller.tunnels.ask(CALLEE, ChunkRequest(1, bytes(32), 0))
    _, heard = carried(caller, callee)
    assert {(type(event), event.address) for event in heard} == {(PeerFault, CALLER)}


def sealed_by_the_caller(caller, text):
    counter, body = caller.tunnels._calls[CALLEE].channel.seal(text)
    return Head(1, Kind.SEALED, CALLEE, caller.tunnels._calls[CALLEE].channel.session, counter), body


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\x09",
        bytes([Inside.FRAME]),
        bytes([Inside.FRAME]) + bytes(CONTROL_LIMIT + 1),
        bytes([Inside.REQUEST]) + b"\xc1",
        bytes([Inside.CHUNK]) + b"xyz",
        bytes([Inside.PONG]),
    ],
)
def test_what_a_caller_may_not_send_is_the_callers_fault(ends, text):
    caller, callee = up(ends)
    (fault,) = callee.hears(sealed_by_the_caller(caller, text), CALLER)
    assert (type(fault), fault.address) == (PeerFault, CALLER)


@pytest.mark.parametrize("what", [Inside.FRAME, Inside.REQUEST, Inside.PING])
def test_what_a_callee_may_not_send_is_the_callees_fault(ends, what):
    caller, callee = up(ends)
    channel = callee.tunnels._callers[CALLER].current
    counter, body = channel.seal(bytes([what]))
    (fault,) = caller.hears((Head(1, Kind.SEALED, CALLER, channel.session, counter), body), CALLEE)
    assert (type(fault), fault.address) == (PeerFault, CALLEE)


def test_a_chunk_that_is_none_reaches_the_pull_as_garbage(ends):
    caller, callee = up(ends)
    channel = callee.tunnels._callers[CALLER].current
    for text in (bytes([Inside.CHUNK]), bytes([Inside.CHUNK, 200]) + b"short"):
        counter, body = channel.seal(text)
        (chunk,) = caller.hears((Head(1, Kind.SEALED, CALLER, channel.session, counter), body), CALLEE)
        with pytest.raises(BadFrame):
            decode_answer(chunk.frames)


def test_callers_take_turns_for_chunks():
    uploads = Uploads()
    uploads.lookup = {bytes(32): b"blob"}.get
    callee = End(CALLEE, via=(RELAY,), uploads=uploads)
    one, two = End(CALLER, {CALLEE: (RELAY,)}), End(SECOND, {CALLEE: (RELAY,)})
    for caller in (one, two):
        caller.tunnels.due(0.0, always)
        carried(caller, callee)
    for caller in (one, two):
        for _ in range(3):
            caller.tunnels.ask(CALLEE, ChunkRequest(1, bytes(32), 0))
        for envelope in caller.says():
            callee.hears(envelope, caller.me)
    assert [head.peer for head, _ in callee.says()] == [CALLER, SECOND] * 3


def test_there_is_a_bound_to_what_waits_for_a_relay(ends):
    _, callee = up(ends)
    for n in range(5000):
        callee.hears((Head(1, Kind.SEALED, CALLEE, n.to_bytes(16), 1), bytes(16)), CALLER)
    assert len(callee.says()) <= 1000
    assert callee.tunnels.refused == 5000


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [b"", b"", b""],
        [b"\xc1", b""],
        [b"x" * 200, b""],
        [encode_head(Head(1, Kind.CALL, CALLER, bytes(16), 0)), bytes(31)],
        [encode_head(Head(1, Kind.ANSWER, CALLER, bytes(16), 0)), bytes(32)],
        [encode_head(Head(1, Kind.SEALED, CALLER, bytes(16), 0)), bytes(15)],
        [encode_head(Head(1, Kind.HERE, CALLER, bytes(16), 0)), b"x"],
        [msgspec.msgpack.encode([1, 6, CALLER, bytes(16), 0]), b""],
        [msgspec.msgpack.encode([1, 2, CALLER[:19], bytes(16), 0]), bytes(16)],
        [msgspec.msgpack.encode([1, 2, CALLER, bytes(17), 0]), bytes(16)],
        [msgspec.msgpack.encode([1, 2, CALLER, bytes(16), -1]), bytes(16)],
        [msgspec.msgpack.encode([1, 2, CALLER, bytes(16), 2**63]), bytes(16)],
        [msgspec.msgpack.encode([2, 2, CALLER, bytes(16), 0]), bytes(16)],
        [msgspec.msgpack.encode([1, 2, CALLER, bytes(16), 0, 0]), bytes(16)],
    ],
)
def test_an_envelope_that_is_none_is_refused(frames):
    with pytest.raises(BadFrame):
        decode_envelope(frames)
