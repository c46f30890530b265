import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohort import DOMAIN, PARENT, Cohort
from peerage_crypto.digest import address_root, sha256
from peerage_crypto.statements import ResultAck, sign
from peerage_ledger.transcript import (
    MAX_TRANSCRIPT_BYTES,
    NOTHING,
    ParentLink,
    RoundTranscript,
    Versioned,
    decode_round,
    decode_session,
    encode,
    read_scores,
    record_of,
    score_leaf,
)

change = msgspec.structs.replace
TOLD = Cohort(4).run()
G = np.arange(7, dtype=np.uint32)
OPENINGS = tuple(TOLD.openings(a, G) for a in TOLD.addresses)
ROUND = RoundTranscript(
    schema=1,
    round=1,
    sid=TOLD.plan.sid,
    parents=(ParentLink(PARENT, 0, NOTHING),),
    session=sha256(b"session"),
    sum_artefact=TOLD.transcript.sum_artefact,
    base=sha256(b"base"),
    aggregate=sha256(b"model"),
    versions=tuple(Versioned(a, 1) for a in TOLD.addresses),
    acks=tuple(
        sign(ResultAck(TOLD.plan.sid, TOLD.transcript.sum_artefact, sha256(b"model")), p, DOMAIN) for p in TOLD.people
    ),
    direction=sha256(G.tobytes()),
    exponent=-3,
    openings=OPENINGS,
    numbers=(5, -7, None, 0),
)


def record(**edit):
    return record_of(change(ROUND, **edit), sha256(b"id"), TOLD.proven, TOLD.transcript)


# -- bytes -------------------------------------------------------------------------------------------------------------


def test_transcripts_read_back_from_their_bytes():
    assert decode_round(encode(ROUND)) == ROUND
    assert decode_session(encode(TOLD.transcript)) == TOLD.transcript


def test_a_transcript_is_json_that_any_tool_reads():
    assert json.loads(encode(ROUND))["numbers"] == [5, -7, None, 0]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda b: b + b" ",
        lambda b: b.replace(b'"schema":1', b'"schema": 1'),
        lambda b: b.replace(b'"schema":1', b'"schema":1,"more":2'),
        lambda b: b[:-1],
        lambda b: b"",
        lambda b: b"[]",
        lambda b: b"\xff\xfe",
        lambda b: b.replace(b'"exponent":-3', b'"exponent":65'),
        lambda b: b.replace(b'"exponent":-3', b'"exponent":-3.0'),
        lambda b: b.replace(b'"exponent":-3', b'"exponent":' + b"9" * 5000),
        lambda b: b.replace(b"[5,-7,null,0]", b"[9223372036854775808,-7,null,0]"),
        lambda b: b.replace(b"[5,-7,null,0]", b"[" * 100000),
        lambda b: b" " * (MAX_TRANSCRIPT_BYTES + 1),
    ],
)
def test_bytes_that_are_not_the_one_encoding_are_refused(spoil):
    with pytest.raises(ValueError):
        decode_round(spoil(encode(ROUND)))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.integers(0, 10**6), st.integers(0, 255))
def test_no_changed_byte_does_more_than_change_or_refuse(at, byte):
    blob = bytearray(encode(TOLD.transcript))
    blob[at % len(blob)] = byte
    try:
        other = decode_session(bytes(blob))
    except ValueError:
        return
    assert (other == TOLD.transcript) == (bytes(blob) == encode(TOLD.transcript))


# -- the record --------------------------------------------------------------------------------------------------------


def test_the_record_holds_the_roots_sorted_by_address():
    made, people = record(), TOLD.addresses

    assert made.parents == (PARENT,)
    assert (made.members, made.round, made.transcript) == (4, 1, sha256(b"id"))
    assert made.masked_root == address_root(
        {a: m.statement.digest(DOMAIN) for a, m in zip(people, TOLD.transcript.manifests, strict=True)}
    )
    assert made.score_root == address_root({a: score_leaf(n, -3) for a, n in zip(people, ROUND.numbers, strict=True)})
    assert made.emission_root == address_root(dict.fromkeys(people, bytes(32)))


@pytest.mark.parametrize(
    ("root", "edit"),
    [
        ("score_root", {"numbers": (5, -7, None, 1)}),
        ("score_root", {"numbers": (5, -7, 0, 0)}),
        ("score_root", {"exponent": -2}),
        ("ack_root", {"acks": ROUND.acks[:3]}),
        ("emission_root", {"openings": OPENINGS[1:]}),
    ],
)
def test_each_part_of_a_round_stands_under_its_root(root, edit):
    assert getattr(record(**edit), root) != getattr(record(), root)


@pytest.mark.parametrize(
    ("number", "exponent", "leaf"),
    [
        (0, 0, "00" * 32),
        (None, 5, "00" * 24 + "80" + "00" * 7),
        (1, -1, "00" * 23 + "01" + "ff" * 8),
        (-1, 64, "ff" * 24 + "00" * 7 + "40"),
        (-(2**63), -64, "ff" * 16 + "80" + "00" * 7 + "ff" * 7 + "c0"),
    ],
)
def test_a_score_leaf_is_two_signed_numbers(number, exponent, leaf):
    assert score_leaf(number, exponent).hex() == leaf


A, B = bytes([1]) * 20, bytes([2]) * 20


@pytest.mark.parametrize(
    ("table", "members", "read"),
    [
        ({}, 4, ({}, 0)),
        ({A: score_leaf(5, -3), B: score_leaf(None, 0)}, 2, ({A: 5, B: None}, -3)),
        ({A: score_leaf(None, 0)}, 1, ({A: None}, 0)),
        ({A: score_leaf(2**63 - 1, 64)}, 1, ({A: 2**63 - 1}, 64)),
        ({A: score_leaf(5, -3)}, 2, ({}, 0)),
        ({A: score_leaf(5, -3), B: score_leaf(5, -2)}, 2, ({}, 0)),
        ({A: score_leaf(5, 65)}, 1, ({}, 0)),
        ({A: score_leaf(5, -65)}, 1, ({}, 0)),
        ({A: score_leaf(2**63, 0)}, 1, ({}, 0)),
        ({A: score_leaf(-(2**63) - 1, 0)}, 1, ({}, 0)),
        ({A: bytes(23) + b"\x01" + (-(2**63)).to_bytes(8, "big", signed=True)}, 1, ({}, 0)),
    ],
)
def test_a_table_that_no_honest_peer_makes_pays_nobody(table, members, read):
    assert read_scores(table, members) == read


def test_an_unscored_round_has_no_table_and_a_scored_one_names_everybody():
    assert record(direction=NOTHING, numbers=(None,) * 4, exponent=0).score_root == bytes(32)
    assert record(numbers=(None,) * 4).score_root == address_root(dict.fromkeys(TOLD.addresses, score_leaf(None, -3)))
