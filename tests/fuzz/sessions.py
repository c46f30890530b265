"""Secure aggregation with one liar at any step: real members, a real collector, messages spoilt and signed again."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from cohort import DOMAIN, WIRE, Cohort
from fuzz.builder import tree
from fuzz.draw import Draw, deep_msgpack, edited
from fuzz.target import target
from peerage_crypto.secagg_collector import Step
from peerage_crypto.secagg_judge import Proven, judge_session, judge_sum
from peerage_crypto.statements import Signed, sign
from peerage_ledger.transcript import decode_session, encode

if TYPE_CHECKING:
    from peerage_crypto.session import SessionTranscript

STEPS = (Step.SHARES, Step.VECTORS, Step.VOTES, Step.REVEALS)


class Missing(dict[bytes, bytes]):
    """Artefacts of a liar's imagination are empty."""

    def __missing__(self, _: bytes) -> bytes:
        return b""


def resigned(value: Any, signer: Any) -> Any:
    """A struct with every statement in it signed by this account."""
    fields: dict[str, Any] = {}
    for name in value.__struct_fields__:
        part = getattr(value, name)
        if isinstance(part, Signed):
            fields[name] = sign(part.statement, signer, DOMAIN)
        elif isinstance(part, tuple) and part and isinstance(part[0], Signed):
            fields[name] = tuple(sign(p.statement, signer, DOMAIN) for p in part)
    return msgspec.structs.replace(value, **fields)


@target("session.steps", seeds=lambda: [bytes([n % 3, 0, n, 5, n, 1, n * 7 % 256, 3, 1]) for n in range(0, 60, 4)])
def steps(data: bytes) -> None:
    """Whatever is said, nobody crashes, and a sum that comes out is the survivors' own."""
    draw = Draw(data)
    size = 3 + draw.below(2)
    vanish = {draw.below(size): draw.pick(STEPS)} if draw.below(4) == 1 else {}
    lies = {draw.below(60) for _ in range(1 + draw.below(2))}
    number = count()

    def cheat(sender: bytes, receiver: bytes | None, message: Any) -> Any:
        if next(number) not in lies:
            return message
        spoilt = edited(tree(message) | {"type": type(message).__struct_config__.tag}, draw, deep_msgpack)
        try:
            said = WIRE.decode(msgspec.msgpack.encode(spoilt))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError, TypeError):
            return None
        if draw.below(3):
            said = resigned(said, next(a for a in cohort.people if a.address == sender))
        return said

    cohort = Cohort(size, length=2, vanish=vanish, cheat=cheat)
    cohort.blobs = Missing()
    cohort.run()
    if cohort.summed is not None:
        proven = cohort.proven
        assert isinstance(proven, Proven), proven
        assert np.array_equal(cohort.summed.total, cohort.plain_sum(proven.u3))


WHOLE = Cohort(4, length=2).run()
LOST = Cohort(5, length=2, vanish={2: Step.VECTORS}).run()


def judged(cohort: Cohort, transcript: SessionTranscript) -> None:
    found = judge_session(cohort.plan, transcript)
    if isinstance(found, list):
        assert found
        return
    blobs = {
        m: Missing(cohort.blobs)[s.statement.artefact] for m, s in zip(found.u3, transcript.manifests, strict=True)
    }
    judge_sum(found, transcript, blobs, cohort.summed.total.tobytes())


@target("session.transcript", allowed=(ValueError,), seeds=lambda: [encode(WHOLE.transcript), encode(LOST.transcript)])
def transcript(data: bytes) -> None:
    found = decode_session(data)
    assert encode(found) == data
    judged(LOST, found)


@target("session.judged", seeds=lambda: [bytes([n, n * 5, n * 3, n, 1, 7]) for n in range(24)])
def transcript_spoilt(data: bytes) -> None:
    draw = Draw(data)
    cohort = draw.pick((WHOLE, LOST))
    try:
        said = decode_session(msgspec.json.encode(edited(tree(cohort.transcript), draw)))
    except ValueError:
        return
    if draw.below(2):
        said = resigned(said, draw.pick(cohort.people))
    judged(cohort, said)
