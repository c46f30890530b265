"""One leaf of a sum, decided from signatures: a wrong one convicts who signed it; a right one, or tampering, nobody."""

import contextlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohort import DOMAIN, Cohort
from peerage_crypto import secagg_collector as sc
from peerage_crypto.buckets import Grouping
from peerage_crypto.digest import sha256
from peerage_crypto.leaf_check import (
    LeafEvidence,
    NoEvidence,
    Piece,
    decode,
    encode,
    evidence_of,
    judge_leaf,
    leaves_of,
    piece_of,
    right_leaf,
    sum_root,
)
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.session import gathered_root
from peerage_crypto.statements import BucketSum, ResultAck, sign

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "leaf_evidence.json").read_text())
LENGTHS = {16: 1300, 32: 650, 64: 325}  # words: 2600 bytes, two whole leaves and a short one
KINDS = ("flat16", "flat32", "flat64", "dropped", "buckets", "led")


@cache
def told(kind: str) -> Cohort:
    """Sessions of several shapes, each with a lane of six counts."""
    bits = int(kind[4:]) if kind.startswith("flat") else 16
    how: dict = {"bits": bits, "length": LENGTHS[bits], "lane": 6}
    if kind == "dropped":
        return Cohort(8, vanish={2: sc.Step.VECTORS}, **how).run()
    if kind == "buckets":
        return Cohort(12, grouping=Grouping(buckets=2), vanish={3: sc.Step.VECTORS}, **how).run()
    if kind == "led":
        addresses = Cohort(12).addresses
        regions = (frozenset(addresses[:6]), frozenset(addresses[6:]))
        cohort = Cohort(12, grouping=Grouping(regions=regions), **how).run()  # the leader's word is made below
        cohort.plan = replace(cohort.plan, grouping=Grouping(regions=regions, leaders=frozenset({addresses[8]})))
        return cohort
    return Cohort(5, **how).run()


def signer(cohort: Cohort, address: bytes):
    return next(a for a in cohort.people if a.address == address)


def led_by(cohort: Cohort, bucket: int):
    """The word of a bucket's leader about all survivors of its bucket."""
    roster, proven = cohort.proven.roster, cohort.proven
    members = [m for m in roster.buckets[bucket] if m in proven.u3]
    manifests = dict(zip(proven.u3, cohort.transcript.manifests, strict=True))
    statement = BucketSum(
        sid=cohort.plan.sid,
        bucket=bucket,
        members=roster.bitmap(frozenset(members)).ljust(32, b"\0"),
        masked_root=gathered_root(roster, [manifests[m] for m in members]),
        artefact=sha256(b"its sum"),
    )
    return sign(statement, signer(cohort, roster.leader_of(bucket)), DOMAIN)


def brought(kind: str, group: int, leaf: int, *, change: dict[int, int] | None = None) -> LeafEvidence:
    """Evidence about a sum whose words `change` the initiator raised."""
    cohort, session = told(kind), told(kind).transcript
    proven, plan = cohort.proven, cohort.plan
    total = cohort.summed.total.copy()
    for word, by in (change or {}).items():
        total[word] += by
    blob = ring_bytes(total)
    claim = sign(
        ResultAck(plan.sid, sum_root(blob, plan.vector_bytes), sha256(b"model")), signer(cohort, plan.initiator), DOMAIN
    )
    pieces = {m: piece_of(v, plan.vector_bytes, leaf) for m, v in cohort.masked().items()}
    return evidence_of(proven, session, claim, group, leaf, blob, pieces)


@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_initiator_is_convicted_by_no_leaf(kind):
    for group in range(len(told(kind).proven.groups)):
        for leaf in range(3):
            assert judge_leaf(told(kind).plan, brought(kind, group, leaf)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_leaf_convicts_the_initiator_and_only_that_leaf_does(kind):
    cohort = told(kind)
    last, per_leaf = len(cohort.proven.groups) - 1, 1024 * 8 // cohort.plan.ring.bits
    for leaf in range(3):
        at = last * cohort.plan.length + leaf * per_leaf + 3
        for judged in range(3):
            fault = judge_leaf(cohort.plan, brought(kind, last, judged, change={at: 1}))
            if judged == leaf:
                assert fault is not None
                assert (fault.code, fault.culprit) == ("leaf-wrong", cohort.plan.initiator)
            else:
                assert fault is None


def test_a_carry_of_the_lane_is_part_of_the_leaf():
    cohort = told("flat16")
    lane = cohort.summed.total[:24].view("<u8")
    plain = [cohort.vectors[m][:24].view("<u8") for m in cohort.proven.u3]
    assert [int(w) for w in lane] == [sum(int(p[i]) for p in plain) % 2**64 for i in range(6)]


def test_where_a_leader_added_a_leaf_decides_nothing():
    cohort = told("led")
    plan, good = cohort.plan, brought("led", 1, 1, change={cohort.plan.length + 600: 9})
    assert judge_leaf(plan, good).code == "leaf-wrong", "the initiator's own bucket, as long as nobody led it"
    signed = led_by(cohort, 1)
    with pytest.raises(NoEvidence, match="leader"):
        judge_leaf(
            plan, msgspec.structs.replace(good, session=msgspec.structs.replace(good.session, gathered=(signed,)))
        )


def _tampered(good: LeafEvidence, other: LeafEvidence):
    """Every part of the evidence changed, dropped, or taken from elsewhere."""
    change = msgspec.structs.replace
    flipped = bytes([good.total.leaf[0] ^ 1]) + good.total.leaf[1:]
    masked, session, claim = good.masked, good.session, good.claim
    yield change(good, schema=2)
    yield change(good, leaf=good.leaf + 1)
    yield change(good, leaf=2**32)
    yield change(good, group=1)
    yield change(good, total=Piece(flipped, good.total.path))
    yield change(good, total=Piece(good.total.leaf[:-1], good.total.path))
    yield change(good, total=Piece(good.total.leaf, good.total.path[:-1]))
    yield change(good, total=Piece(good.total.leaf, (*good.total.path, bytes(32))))
    yield change(good, total=other.total)
    yield change(good, masked=masked[1:])
    yield change(good, masked=(*masked, masked[0]))
    yield change(good, masked=(masked[1], masked[0], *masked[2:]))
    yield change(good, masked=(Piece(flipped, masked[0].path), *masked[1:]))
    yield change(good, claim=change(claim, statement=change(claim.statement, sum_root=bytes(32))))
    yield change(good, claim=change(claim, statement=change(claim.statement, sid=bytes(32))))
    yield change(good, claim=other.claim)
    yield change(good, session=change(session, self_seeds=(bytes(32), *session.self_seeds[1:])))
    yield change(good, session=change(session, votes=session.votes[:1]))
    yield change(good, session=change(session, joins=session.joins[1:]))
    yield change(good, session=change(session, manifests=session.manifests[1:]))
    yield change(good, session=change(session, u2=b"\x07"))
    yield change(good, session=other.session)


def test_tampered_evidence_convicts_nobody():
    """Of a right leaf and of a wrong one: whatever is changed, what is left proves nothing."""
    cohort = told("flat16")
    member = next(p for p in cohort.people if p.address != cohort.plan.initiator)
    other = brought("dropped", 0, 1)
    for good in (brought("flat16", 0, 1), brought("flat16", 0, 1, change={600: 1})):
        forged = msgspec.structs.replace(good, claim=sign(good.claim.statement, member, DOMAIN))
        for changed in (forged, *_tampered(good, other)):
            assert changed != good
            with pytest.raises(NoEvidence):
                judge_leaf(cohort.plan, changed)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 10**9), st.integers(1, 255))
def test_no_changed_byte_convicts_an_honest_initiator(position, flip):
    cohort = told("flat16")
    wire = bytearray(msgspec.msgpack.encode(brought("flat16", 0, 2)))
    wire[position % len(wire)] ^= flip
    try:
        changed = msgspec.msgpack.decode(bytes(wire), type=LeafEvidence)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    with contextlib.suppress(NoEvidence):
        assert judge_leaf(cohort.plan, changed) is None


def test_a_member_computes_the_right_leaf_from_its_survivors_leaves():
    for kind in KINDS[:5]:
        cohort, proven = told(kind), told(kind).proven
        size, masked = cohort.plan.vector_bytes, cohort.masked()
        blob = ring_bytes(cohort.summed.total)
        for group, members in enumerate(proven.groups):
            for leaf in range(leaves_of(size)):
                pieces = [piece_of(masked[m], size, leaf).leaf for m in members]
                right = right_leaf(proven, cohort.transcript, group, leaf, pieces)
                assert right == piece_of(blob, size, group * leaves_of(size) + leaf).leaf


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda c: c["name"])
def test_evidence_keeps_its_format(case):
    cohort = told(case["kind"])
    wire = case["evidence"].encode()
    evidence = decode(wire)
    assert encode(evidence) == wire
    with pytest.raises(ValueError, match="canonical"):
        decode(wire + b" ")
    with pytest.raises(ValueError, match="not leaf evidence"):
        decode(wire[:-1])
    fault = judge_leaf(cohort.plan, evidence)
    assert (fault.code if fault else None) == case["verdict"]
    assert sha256(evidence.total.leaf).hex() == case["leaf_sha256"]
