"""The bulk protocol byte by byte: a request names an artefact and an offset, an answer is a header and at most one
raw chunk.

    DEALER -> ROUTER   [ChunkRequest]
    ROUTER -> DEALER   [ChunkHeader, chunk]       chunk = bytes offset .. offset + 1 MiB, or empty when there is none

Control frames carry the round's own messages and are opaque here. Never more than two frames a message: ZeroMQ's
high-water marks count whole messages, so that 400 parts of 1 MB pass any of them.
"""

import enum
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

_Id = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Size = Annotated[int, msgspec.Meta(ge=0, le=2**40)]

REQUEST_LIMIT = 1024
"""Bytes a bulk door takes in one frame. Values below about 276 break the CURVE handshake itself (libzmq #4436)."""
HEADER_LIMIT = 4096


class Answer(enum.IntEnum):
    """What an owner says to one request."""

    CHUNK = 0
    MISSING = 1
    PAST_END = 2


class ChunkRequest(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Give me the chunk of this artefact that begins at this offset (a multiple of CHUNK)."""

    v: Literal[1]
    artefact: _Id
    offset: _Size


class ChunkHeader(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Precedes the chunk; ``total`` is the artefact's size in bytes."""

    v: Literal[1]
    artefact: _Id
    offset: _Size
    total: _Size
    answer: Answer


class BadFrame(ValueError):
    """Bytes from a peer that are not what the protocol says; the text tells what is wrong with them."""


_encode = msgspec.msgpack.Encoder().encode
_request = msgspec.msgpack.Decoder(ChunkRequest)
_header = msgspec.msgpack.Decoder(ChunkHeader)


def encode(message: ChunkRequest | ChunkHeader) -> bytes:
    return _encode(message)


def decode_request(frames: Sequence[bytes]) -> ChunkRequest:
    """Raises BadFrame."""
    if len(frames) != 1 or len(frames[0]) > REQUEST_LIMIT:
        raise BadFrame(f"a bulk request of {len(frames)} frames and {sum(map(len, frames))} bytes")
    try:
        return _request.decode(frames[0])
    except msgspec.DecodeError as error:
        raise BadFrame(f"not a bulk request: {error}") from error


def decode_answer(frames: Sequence[bytes | memoryview]) -> tuple[ChunkHeader, bytes | memoryview]:
    """The header and the chunk that it precedes. Raises BadFrame."""
    if len(frames) != 2 or len(frames[0]) > HEADER_LIMIT:
        raise BadFrame(f"a bulk answer of {len(frames)} frames and {sum(map(len, frames))} bytes")
    try:
        return _header.decode(frames[0]), frames[1]
    except msgspec.DecodeError as error:
        raise BadFrame(f"not a bulk header: {error}") from error


def wire_size(length: int) -> int:
    """Bytes of a frame of this length on a CURVE connection: 33 of envelope, and ZMTP's 2 or 9 byte frame head."""
    sealed = length + 33
    return sealed + (2 if sealed < 256 else 9)
