"""What passes a relay: heads that it reads, sealed texts that come out of a body, and chunks in them."""

from __future__ import annotations

import msgspec

from fuzz.draw import Draw, deep_msgpack, edited
from fuzz.target import target
from peerage.transport import envelopes as e
from peerage.transport import frames

REQUEST = frames.ChunkRequest(1, b"a" * 32, 0)
HEADER = frames.encode(frames.ChunkHeader(1, b"a" * 32, 0, 5, frames.Answer.CHUNK))
HEAD = e.Head(1, e.Kind.SEALED, b"p" * 20, b"s" * 16, 7)
HEADS = [e.encode_head(msgspec.structs.replace(HEAD, kind=kind)) for kind in e.Kind]
BODIES = (0, 15, 16, 32, 48, 49, 4000, e.RELAY_LIMIT, e.RELAY_LIMIT + 1)


@target(
    "relay.envelope",
    allowed=(frames.BadFrame,),
    seeds=lambda: [bytes([2, at, *head]) for head in HEADS for at in range(len(BODIES))],
)
def envelope(data: bytes) -> None:
    """The first byte says how many frames, the second how long the body is."""
    draw = Draw(data)
    count, size, head = draw.below(4), draw.pick(BODIES), draw.rest()
    found, body = e.decode_envelope([head, bytes(size), b""][:count])
    assert len(body) == size <= e.RELAY_LIMIT
    assert e.decode_envelope([e.encode_head(found), body]) == (found, body)
    assert len(found.peer) == 20
    assert len(found.session) == 16


@target("relay.envelope-spoilt", allowed=(frames.BadFrame,), seeds=lambda: [bytes([n * 7, n, 3, 9]) for n in range(9)])
def envelope_spoilt(data: bytes) -> None:
    draw = Draw(data)
    at, raw = draw.below(len(BODIES)), draw.pick(HEADS)
    try:
        head = msgspec.msgpack.encode(edited(msgspec.msgpack.decode(raw), draw, deep_msgpack))
    except (OverflowError, TypeError, RecursionError):
        return
    envelope(bytes([2, at]) + head)


@target(
    "relay.inside",
    allowed=(frames.BadFrame,),
    seeds=lambda: [
        e.request_text(REQUEST),
        e.chunk_text(HEADER, memoryview(b"chunk")),
        *(bytes([kind]) + b"rest" for kind in e.Inside),
    ],
)
def sealed_text(data: bytes) -> None:
    kind, rest = e.inside(data)
    assert bytes([kind]) + bytes(rest) == data
    if kind is e.Inside.REQUEST:
        asked = e.request_of(rest)
        assert e.request_of(e.inside(e.request_text(asked))[1]) == asked
    elif kind is e.Inside.CHUNK:
        parts = e.chunk_frames(rest)
        header, chunk = frames.decode_answer([bytes(part) for part in parts])
        again = e.chunk_frames(e.inside(e.chunk_text(frames.encode(header), memoryview(chunk)))[1])
        assert frames.decode_answer([bytes(part) for part in again]) == (header, chunk)
