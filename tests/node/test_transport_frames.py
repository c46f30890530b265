"""The bulk protocol's bytes: what is not exactly right is refused by name."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerage.transport.frames import (
    REQUEST_LIMIT,
    Answer,
    BadFrame,
    ChunkHeader,
    ChunkRequest,
    decode_answer,
    decode_request,
    encode,
    wire_size,
)

ID = bytes(range(32))


def test_messages_come_back_as_they_went():
    request = ChunkRequest(1, ID, 5 << 20)
    header = ChunkHeader(1, ID, 0, 123, Answer.CHUNK)
    assert decode_request([encode(request)]) == request
    assert decode_answer([encode(header), b"chunk"]) == (header, b"chunk")


def test_a_request_stays_small():
    assert len(encode(ChunkRequest(1, ID, 2**40))) <= 48 < REQUEST_LIMIT


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [2, ID, 0],  # another version
        [1, ID[:31], 0],
        [1, ID, -1],
        [1, ID, 2**41],
        [1, ID, 0, 0],  # one field too many
        [1, ID],
        {"v": 1, "artefact": ID, "offset": 0},
    ],
)
def test_a_wrong_request_is_refused(fields):
    with pytest.raises(BadFrame):
        decode_request([msgspec.msgpack.encode(fields)])


def test_a_request_is_one_short_frame():
    good = encode(ChunkRequest(1, ID, 0))
    for frames in ([], [good, b""], [good + bytes(REQUEST_LIMIT)]):
        with pytest.raises(BadFrame):
            decode_request(frames)


def test_an_answer_is_a_header_and_a_chunk():
    good = encode(ChunkHeader(1, ID, 0, 1, Answer.CHUNK))
    for frames in ([], [good], [good, b"", b""], [b"\xc1", b""], [msgspec.msgpack.encode([1, ID, 0, 1, 9]), b""]):
        with pytest.raises(BadFrame):
            decode_answer(frames)


@given(st.binary(max_size=200))
def test_garbage_is_never_anything_but_refused(garbage):
    for decode in (lambda: decode_request([garbage]), lambda: decode_answer([garbage, b""])):
        try:
            decode()
        except BadFrame:
            continue
        assert len(garbage) >= 36  # only bytes that hold a whole id can have meant something


def test_the_envelope_is_counted():
    assert wire_size(0) == 35
    assert wire_size(1 << 20) == (1 << 20) + 42
