"""What passes through a relay, byte by byte: a head that the relay reads, and a body that it cannot.

    DEALER -> relay's ROUTER   [Head, body]       ``peer`` is whom it is for
    relay's ROUTER -> DEALER   [Head, body]       ``peer`` is whom it is from: the relay writes whose key it came by

Nothing in a head is believed by the receiver: a body opens under the key of the peer in the head or not at all.
"""

import enum
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from peerage.transport.frames import BadFrame, ChunkRequest, decode_request, encode
from peerage.transport.interface import CHUNK

RELAY_LIMIT = CHUNK + 4096
"""Bytes of the longest frame at a relay's door: a chunk, its header and the seal."""
_KEY, _TAG = 32, 16


class Kind(enum.IntEnum):
    """What an envelope is for."""

    CALL = 0
    """Body: the caller's ephemeral key."""
    ANSWER = 1
    """Body: the callee's ephemeral key, and an empty sealed text that proves who answers."""
    SEALED = 2
    UNKNOWN = 3
    """From a peer that was restarted: it has no such session any more."""
    GONE = 4
    """From the relay: the peer is not connected here."""
    HERE = 5
    """To the relay: from now on what is for me goes to this connection."""


class Head(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """In the clear; 46 to 54 bytes."""

    v: Literal[1]
    kind: Kind
    peer: Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
    session: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    counter: Annotated[int, msgspec.Meta(ge=0, le=2**62)]


Envelope = tuple[Head, bytes]

_encode = msgspec.msgpack.Encoder().encode
_head = msgspec.msgpack.Decoder(Head)
_BODY = {
    Kind.CALL: range(_KEY, _KEY + 1),
    Kind.ANSWER: range(_KEY + _TAG, _KEY + _TAG + 1),
    Kind.SEALED: range(_TAG, RELAY_LIMIT + 1),
}


def encode_head(head: Head) -> bytes:
    return _encode(head)


def decode_envelope(frames: Sequence[bytes | memoryview]) -> tuple[Head, bytes | memoryview]:
    """Raises BadFrame."""
    if len(frames) != 2:
        raise BadFrame(f"an envelope of {len(frames)} frames and {sum(map(len, frames))} bytes")
    try:
        head = _head.decode(frames[0])
    except msgspec.DecodeError as error:
        raise BadFrame(f"not the head of an envelope: {error}") from error
    if len(frames[1]) not in _BODY.get(head.kind, range(1)):
        raise BadFrame(f"an envelope of kind {head.kind.name} with a body of {len(frames[1])} bytes")
    return head, frames[1]


class Inside(enum.IntEnum):
    """First byte of a sealed text. A caller sends frames, requests and pings; a callee sends chunks and pongs."""

    FRAME = 0
    REQUEST = 1
    CHUNK = 2
    PING = 3
    PONG = 4


def inside(text: bytes) -> tuple[Inside, memoryview]:
    """Raises BadFrame."""
    if not text or text[0] > Inside.PONG:
        raise BadFrame("a sealed text that is of no known kind")
    return Inside(text[0]), memoryview(text)[1:]


def chunk_text(head: bytes, chunk: memoryview) -> bytes:
    """The two frames of a bulk answer as one sealed text."""
    return b"".join((bytes([Inside.CHUNK, len(head)]), head, chunk))


def chunk_frames(rest: memoryview) -> list[bytes | memoryview]:
    """Those two frames again; of bytes that are something else, frames that ``decode_answer`` refuses."""
    if not rest or len(rest) < 1 + rest[0]:
        return []
    return [rest[1 : 1 + rest[0]], rest[1 + rest[0] :]]


def request_text(request: ChunkRequest) -> bytes:
    return bytes([Inside.REQUEST]) + encode(request)


def request_of(rest: memoryview) -> ChunkRequest:
    """Raises BadFrame."""
    return decode_request([bytes(rest)])
