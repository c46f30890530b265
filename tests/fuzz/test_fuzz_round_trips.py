"""Every message and every transcript: what was encoded comes back, in one encoding; spoilt, it is refused in words."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.builder import build, tree
from fuzz.draw import Draw, deep_json, deep_msgpack, edited
from peerage import greeting, messages
from peerage.emissions import BadRecord, decode_host_record, decode_record
from peerage.emissions.host_record import HostRecord
from peerage.emissions.record import EmissionRecord
from peerage.rounds.settlement import SettlementDocument, decode_settlement
from peerage_crypto.errors import PeerError
from peerage_crypto.session import SessionTranscript
from peerage_ledger.plain_record import PlainTranscript, decode_plain, encode_plain
from peerage_ledger.transcript import RoundTranscript, decode_round, decode_session, encode

SENDER = bytes(20)
MESSAGES = messages.Message.__args__


@dataclass
class Choices:
    """Hypothesis as the builder's source of choices."""

    draw: Any

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def binary(self, low: int, high: int) -> bytes:
        return self.draw(st.binary(min_size=low, max_size=high))


@st.composite
def values(draw, kind):
    return build(kind, Choices(draw))


def canonical(value):
    return msgspec.json.encode(value, order="deterministic")


def spoilt(value, seed, pack, deep):
    """Bytes of a value with a few places changed; None when they cannot be said in this format."""
    try:
        return pack(edited(tree(value), Draw(seed), deep))
    except (OverflowError, TypeError, RecursionError):
        return None


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(data=st.data(), seed=st.binary(max_size=40))
def test_a_message_comes_back_and_is_refused_when_it_is_spoilt(kind, data, seed):
    message = data.draw(values(kind))
    frame = messages.encode(message)
    assert messages.decode(SENDER, frame) == message
    assert messages.encode(messages.decode(SENDER, frame)) == frame
    for wrong in (spoilt(message, seed, msgspec.msgpack.encode, deep_msgpack), frame[:-1], frame + b"\0"):
        if wrong is None:
            continue
        try:
            said = messages.decode(SENDER, wrong)
        except PeerError:
            continue
        assert messages.decode(SENDER, messages.encode(said)) == said


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(data=st.data(), seed=st.binary(max_size=40))
def test_a_greeting_comes_back_and_is_refused_when_it_is_spoilt(data, seed):
    said = data.draw(values(greeting.Greeting))
    assert greeting.decode(SENDER, greeting.encode(said)) == said
    wrong = spoilt(said, seed, msgspec.msgpack.encode, deep_msgpack)
    with contextlib.suppress(PeerError):
        greeting.decode(SENDER, wrong or b"")


DOCUMENTS = (
    (SessionTranscript, encode, decode_session),
    (RoundTranscript, encode, decode_round),
    (PlainTranscript, encode_plain, decode_plain),
    (SettlementDocument, canonical, decode_settlement),
)


@pytest.mark.parametrize(("kind", "pack", "unpack"), DOCUMENTS, ids=lambda part: getattr(part, "__name__", ""))
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(data=st.data(), seed=st.binary(max_size=40), at=st.integers(0, 10**6))
def test_a_document_has_one_encoding_and_comes_back_from_it_alone(kind, pack, unpack, data, seed, at):
    value = data.draw(values(kind))
    blob = pack(value)
    assert unpack(blob) == value
    place = at % len(blob)
    for other in (blob + b" ", b" " + blob, blob[:place] + b" " + blob[place:], blob[:-1] + b',"x":1}'):
        try:
            said = unpack(other)
        except ValueError:
            continue
        assert said != value  # a space inside a text is another text
        assert pack(said) == other
    wrong = spoilt(value, seed, msgspec.json.encode, deep_json)
    if wrong is not None:
        with contextlib.suppress(ValueError):
            assert pack(unpack(wrong)) == wrong


@pytest.mark.parametrize(
    ("kind", "unpack"), [(EmissionRecord, decode_record), (HostRecord, decode_host_record)], ids=["peer", "host"]
)
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(data=st.data(), seed=st.binary(max_size=40))
def test_an_emission_record_made_up_is_refused_in_words(kind, unpack, data, seed):
    value = data.draw(values(kind))
    for wrong in (value.encode(), spoilt(value, seed, msgspec.json.encode, deep_json)):
        with contextlib.suppress(BadRecord):
            assert unpack(wrong or b"").encode() == wrong
