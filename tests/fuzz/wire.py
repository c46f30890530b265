"""Everything that arrives over the network before anybody has judged it."""

from __future__ import annotations

import msgspec
import numpy as np

from cohort import Cohort, accounts
from fuzz.builder import build, tree
from fuzz.draw import Draw, deep_msgpack, edited
from fuzz.target import target
from peerage import greeting, messages
from peerage.plain.scale import PlainScale
from peerage.transport import frames
from peerage.transport.interface import parse_endpoint
from peerage_crypto import agreement, digest, sharing
from peerage_crypto.errors import InputError, PeerError
from peerage_crypto.identity import BadSignature, recover
from peerage_crypto.session import Roster, RosterRefused
from peerage_crypto.statements import JoinIntent, MaskedUpdate, Opened, ResultAck, Signed, Vote, sign

SENDER = b"\x07" * 20
KINDS = messages.Message.__args__
PLAIN = {kind: build(kind, Draw(kind.__name__.encode() * 40)) for kind in KINDS}


def packed(value: object) -> bytes | None:
    """MessagePack of a spoilt tree; None when it cannot be said in it."""
    try:
        return msgspec.msgpack.encode(value)
    except (OverflowError, TypeError, RecursionError):
        return None


@target("wire.control", allowed=(PeerError,), seeds=lambda: [messages.encode(m) for m in PLAIN.values()])
def control(data: bytes) -> None:
    message = messages.decode(SENDER, data)
    assert messages.decode(SENDER, messages.encode(message)) == message


@target("wire.control-spoilt", allowed=(PeerError,), seeds=lambda: [bytes([i, 9, 3, 7]) for i in range(len(KINDS))])
def control_spoilt(data: bytes) -> None:
    draw = Draw(data)
    frame = packed(edited(tree(PLAIN[draw.pick(KINDS)]), draw, deep_msgpack))
    if frame is not None:
        control(frame)


REQUEST = frames.encode(frames.ChunkRequest(1, b"a" * 32, 0))
HEADER = frames.encode(frames.ChunkHeader(1, b"a" * 32, 0, 5, frames.Answer.CHUNK))


@target("wire.bulk", allowed=(frames.BadFrame,), seeds=lambda: [b"\0" + REQUEST, b"\1" + HEADER])
def bulk(data: bytes) -> None:
    if data[:1] == b"\0":
        assert frames.decode_request([frames.encode(frames.decode_request([data[1:]]))])
    else:
        header, chunk = frames.decode_answer([data[1:], b"chunk"])
        assert frames.decode_answer([frames.encode(header), chunk]) == (header, b"chunk")


@target("wire.bulk-spoilt", allowed=(frames.BadFrame,), seeds=lambda: [b"", b"\1\2\3\4"])
def bulk_spoilt(data: bytes) -> None:
    draw = Draw(data)
    kind, raw = draw.pick(((b"\0", REQUEST), (b"\1", HEADER)))
    frame = packed(edited(msgspec.msgpack.decode(raw), draw, deep_msgpack))
    if frame is not None:
        bulk(kind + frame)


GREETING = greeting.Greeting(bytes(32), bytes(32), bytes(32), (("0.weight", (2, 3)), ("0.bias", (2,))))


@target("wire.greeting", allowed=(PeerError,), seeds=lambda: [greeting.encode(GREETING)])
def greet(data: bytes) -> None:
    said = greeting.decode(SENDER, data)
    assert greeting.decode(SENDER, greeting.encode(said)) == said
    greeting.difference(GREETING, said)


@target("wire.greeting-spoilt", allowed=(PeerError,), seeds=lambda: [b"", b"\1\2\3\4"])
def greet_spoilt(data: bytes) -> None:
    frame = packed(edited(tree(GREETING), Draw(data), deep_msgpack))
    if frame is not None:
        greet(frame)


@target("wire.statistics", allowed=(PeerError,), seeds=lambda: [msgspec.msgpack.encode([1.0, 2.0, 3.5])])
def statistics(data: bytes) -> None:
    scale = PlainScale(b"me", frozenset({b"me", SENDER}), {b"me": np.ones(3)})
    scale.heard(SENDER, data)
    agreed = scale.agreed()
    assert agreed is not None
    assert np.isfinite([*agreed.mean, *agreed.spread]).all()


ENDPOINTS = ("tcp://192.0.2.7:40001/40002", "tcp://[::1]:1/2", "tcp://[fe80::1:2]:65535/1")


@target("wire.endpoint", allowed=(InputError, UnicodeDecodeError), seeds=lambda: [e.encode() for e in ENDPOINTS])
def endpoint(data: bytes) -> None:
    found = parse_endpoint(data.decode())
    assert parse_endpoint(str(found)) == found


COHORT = Cohort(5, length=2)
JOINED = [
    m.join(version=1, update=bytes(32), data_manifest=bytes(32), code_manifest=bytes(32))
    for m in COHORT.members.values()
]
ROSTER = Roster.assemble(COHORT.plan, tuple(JOINED))


@target("wire.roster", allowed=(RosterRefused,), seeds=lambda: [b"", b"\1\2\3", bytes(40)])
def roster(data: bytes) -> None:
    """Bitmaps and join lists."""
    draw = Draw(data)
    bitmap = draw.binary(0, 3)
    joins = [draw.pick(JOINED) for _ in range(draw.below(40))]
    if draw.below(2):
        assert ROSTER.bitmap(frozenset(ROSTER.select(bitmap))) == bitmap
    else:
        spoilt = edited(tree(tuple(joins)), draw)
        try:
            said = msgspec.json.decode(msgspec.json.encode(spoilt), type=tuple[Signed[JoinIntent], ...])
        except (msgspec.MsgspecError, RecursionError):
            return
        Roster.assemble(COHORT.plan, said)


@target("wire.signatures", allowed=(BadSignature,), seeds=lambda: [JOINED[0].signature + bytes(32)])
def signatures(data: bytes) -> None:
    assert len(recover(data[65:97].ljust(32, b"\0"), data[:65])) == 20


STATEMENTS = (Opened, JoinIntent, MaskedUpdate, Vote, ResultAck)


@target("wire.statements", seeds=lambda: [b"", b"\2" * 300])
def statements(data: bytes) -> None:
    """Signed by one, mutated: nobody else's, and never an exception from `is_by`."""
    draw = Draw(data)
    me = accounts(3)[0]
    signed = sign(build(draw.pick(STATEMENTS), draw), me, COHORT.plan.domain)
    assert signed.is_by(me.address, COHORT.plan.domain)
    other = Signed(signed.statement, draw.binary(0, 70))
    assert other.signature == signed.signature or not other.is_by(me.address, COHORT.plan.domain)


@target("wire.merkle", seeds=lambda: [b"\x05\x02abc" + bytes(64)])
def merkle(data: bytes) -> None:
    draw = Draw(data)
    leaves = [draw.binary(0, 5) for _ in range(1 + draw.below(9))]
    at, root = draw.below(len(leaves)), digest.merkle_root(leaves)
    proof = list(digest.merkle_proof(leaves, at))
    assert digest.merkle_verify(root, leaves[at], at, len(leaves), proof)
    wrong = [draw.binary(0, 40) for _ in range(draw.below(6))]
    index, count = draw.integer(-3, 2**40), draw.integer(-3, 2**40)
    assert (
        not digest.merkle_verify(root, leaves[at], index, count, wrong)
        or (index, count) == (at, len(leaves))
        or not wrong
    )


@target("wire.shares", allowed=(ValueError,), seeds=lambda: [b"\3" + bytes(99), bytes(70)])
def shares(data: bytes) -> None:
    draw = Draw(data)
    points = {draw.integer(-1, 40): draw.binary(31, 34) for _ in range(draw.below(40))}
    assert len(sharing.combine(points)) == 32


@target("wire.sealed", allowed=(agreement.BadSeal, agreement.BadKey), seeds=lambda: [bytes(160)])
def sealed(data: bytes) -> None:
    key = agreement.shared(bytes(31) + b"\x40", data[:32])
    agreement.unseal(key, bytes(12), data[32:], b"")
