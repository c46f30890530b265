"""The public history of one round, as an artefact: what was acknowledged, opened and thereby recorded.

A round's transcript names its session transcript (the proof of the sum) and adds the acknowledgements, the opened
numbers and the parents. The record that the chain keeps is a pure function of the two: whoever has the artefacts can
compute it, and nobody needs the chain to know it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec

from peerage_crypto.crossfit import ShownGradient
from peerage_crypto.digest import address_root, tagged
from peerage_crypto.opening import Openings
from peerage_crypto.pair_audit import Shown, Unconfirmed
from peerage_crypto.session import SessionTranscript
from peerage_crypto.statements import Bytes20, Bytes32, Count, ResultAck, Signed
from peerage_ledger.records import RoundRecord
from peerage_ledger.rewards import EXPONENT_RANGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peerage_crypto.secagg_judge import Proven

SCHEMA = 1
NOTHING = bytes(32)  # stands where a round has no direction: it was closed unscored
MAX_TRANSCRIPT_BYTES = 4 << 20
CLOSED_LEAF = bytes(24) + (-(2**63)).to_bytes(8, "big", signed=True)  # of a number that stayed closed

T = TypeVar("T")
Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Exponent = Annotated[int, msgspec.Meta(ge=-EXPONENT_RANGE, le=EXPONENT_RANGE)]


class Versioned(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One entry of a version vector."""

    peer: Bytes20
    version: Count


class ParentLink(msgspec.Struct, frozen=True, array_like=True):
    """A parent by its record, its round, and the artefact of its transcript (NOTHING for the genesis)."""

    record: Bytes32
    round: Count
    transcript: Bytes32


class RoundTranscript(msgspec.Struct, frozen=True, omit_defaults=True):
    """One masked round after its session. Lists follow the survivors' order (sorted by address).

    `base` is the artefact of the parent's aggregate, `aggregate` that of the new one; `versions` the joined version
    vector; `direction` the artefact of g (NOTHING when unscored), `exponent` its power of two, `numbers` the opened
    < q_i , g > (None where one stayed closed). `gradients` are there where validation is private and all survivors
    have shown theirs, which is when the sums of both halves were known: also in a round that was closed unscored.
    Where pairs are audited, `lates` is what drew them and `shown` the keys that were shown; with `unconfirmed` pairs
    `opened` are the numbers as they were opened, and `numbers` what is left of them (`pair_audit.charged`).
    """

    schema: int
    round: Count
    sid: Bytes32
    parents: tuple[ParentLink, ...]
    session: Bytes32
    sum_artefact: Bytes32
    base: Bytes32
    aggregate: Bytes32
    versions: tuple[Versioned, ...]
    acks: tuple[Signed[ResultAck], ...]
    direction: Bytes32
    exponent: Exponent
    openings: tuple[Openings, ...]
    numbers: tuple[Number | None, ...]
    gradients: tuple[ShownGradient, ...] = ()
    lates: tuple[Bytes32, ...] = ()
    shown: tuple[Shown, ...] = ()
    unconfirmed: tuple[Unconfirmed, ...] = ()
    opened: tuple[Number | None, ...] = ()


def as_opened(transcript: RoundTranscript) -> tuple[int | None, ...]:
    """The numbers < q_i , g > themselves, whatever an audit has made of them."""
    return transcript.opened or transcript.numbers


def encode(value: RoundTranscript | SessionTranscript) -> bytes:
    """Canonical JSON: an auditor reads it with any tool."""
    return msgspec.json.encode(value, order="deterministic")


def decode_round(blob: bytes) -> RoundTranscript:
    """A round transcript, or ValueError with what is wrong; refuses bytes that are not the canonical encoding."""
    return _decode(blob, RoundTranscript)


def decode_session(blob: bytes) -> SessionTranscript:
    """A session transcript, under the same rules."""
    return _decode(blob, SessionTranscript)


def _decode(blob: bytes, kind: type[T]) -> T:
    if len(blob) > MAX_TRANSCRIPT_BYTES:
        raise ValueError("a transcript is larger than any legal one")
    try:
        value = msgspec.json.decode(blob, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from error
    if msgspec.json.encode(value, order="deterministic") != blob:
        raise ValueError(f"a {kind.__name__} that is not in its canonical form")
    return value


def record_of(
    transcript: RoundTranscript, transcript_id: bytes, proven: Proven, session: SessionTranscript
) -> RoundRecord:
    """The record of a round: roots sorted by address, so that an omission shows between two neighbours."""
    domain = proven.roster.plan.domain
    joins = {a: j.statement.digest(domain) for a, j in zip(proven.roster.members, proven.roster.joins, strict=True)}
    masked = {a: m.statement.digest(domain) for a, m in zip(proven.u3, session.manifests, strict=True)}
    acks = {ack.signer(domain): tagged("peerage/ack/v1", ack.signature) for ack in transcript.acks}
    scored = zip(proven.u3, transcript.numbers, strict=True) if transcript.direction != NOTHING else ()
    scores = {a: score_leaf(number, transcript.exponent) for a, number in scored}
    emissions = {o.signed.signer(domain): o.signed.statement.emissions for o in transcript.openings}
    return RoundRecord(
        round=transcript.round,
        sid=transcript.sid,
        parent_rounds=tuple(p.round for p in transcript.parents),
        parents=tuple(p.record for p in transcript.parents),
        aggregate=transcript.aggregate,
        join_root=address_root(joins),
        masked_root=address_root(masked),
        ack_root=address_root(acks),
        score_root=address_root(scores),
        emission_root=address_root(emissions),
        transcript=transcript_id,
        members=len(proven.u3),
    )


def score_leaf(number: int | None, exponent: int) -> bytes:
    """32 bytes: the opened number (24 bytes, signed, big-endian) and the exponent of its direction (8 bytes).

    A number that stayed closed has a leaf of its own, so that a scored round's table names every member of the sum.
    """
    if number is None:
        return CLOSED_LEAF
    return number.to_bytes(24, "big", signed=True) + exponent.to_bytes(8, "big", signed=True)


def read_scores(table: Mapping[bytes, bytes], members: int) -> tuple[dict[bytes, int | None], int]:
    """(numbers, exponent) of the leaves under a score root, by address, as `PayRule` reads them.

    A table that no honest peer makes pays nobody: another number of rows than members, a leaf out of its range, two
    exponents. It reads as an unscored round: ({}, 0).
    """
    numbers: dict[bytes, int | None] = {}
    exponents: set[int] = set()
    for address, leaf in table.items():
        numbers[address] = None
        if leaf != CLOSED_LEAF:
            number, exponent = (int.from_bytes(part, "big", signed=True) for part in (leaf[:24], leaf[24:]))
            if not (-(2**63) <= number < 2**63 and -EXPONENT_RANGE <= exponent <= EXPONENT_RANGE):
                return {}, 0
            numbers[address] = number
            exponents.add(exponent)
    if len(table) != members or len(exponents) > 1:
        return {}, 0
    return numbers, min(exponents, default=0)
