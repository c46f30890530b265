"""The public history of one round, as an artefact: what was acknowledged, opened and thereby recorded.

A round's transcript names its session transcript (the proof of the sum) and adds the acknowledgements, the opened
numbers and the parents. The record that the chain keeps is a pure function of the two: whoever has the artefacts can
compute it, and nobody needs the chain to know it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec

from peerage_crypto.digest import address_root, tagged
from peerage_crypto.opening import Openings
from peerage_crypto.session import SessionTranscript
from peerage_crypto.statements import Bytes20, Bytes32, Count, ResultAck, Signed
from peerage_ledger.records import RoundRecord

if TYPE_CHECKING:
    from peerage_crypto.secagg_judge import Proven

SCHEMA = 1
NOTHING = bytes(32)  # stands where a round has no direction: it was closed unscored
MAX_TRANSCRIPT_BYTES = 4 << 20

T = TypeVar("T")
Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Exponent = Annotated[int, msgspec.Meta(ge=-64, le=64)]  # rewards.EXPONENT_RANGE


class Versioned(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One entry of a version vector."""

    peer: Bytes20
    version: Count


class ParentLink(msgspec.Struct, frozen=True, array_like=True):
    """A parent by its record, its round, and the artefact of its transcript (NOTHING for the genesis)."""

    record: Bytes32
    round: Count
    transcript: Bytes32


class RoundTranscript(msgspec.Struct, frozen=True):
    """One masked round after its session. Lists follow the survivors' order (sorted by address).

    `base` is the artefact of the parent's aggregate, `aggregate` that of the new one; `versions` the joined version
    vector; `direction` the artefact of g (NOTHING when unscored), `exponent` its power of two, `numbers` the opened
    < q_i , g > (None where one stayed closed).
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
    except msgspec.MsgspecError as error:
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
    masked = {a: m.statement.masked_root for a, m in zip(proven.u3, session.manifests, strict=True)}
    acks = {ack.signer(domain): tagged("peerage/ack/v1", ack.signature) for ack in transcript.acks}
    scores = {
        a: score_leaf(number, transcript.exponent)
        for a, number in zip(proven.u3, transcript.numbers, strict=True)
        if number is not None
    }
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


def score_leaf(number: int, exponent: int) -> bytes:
    """32 bytes: the opened number (24 bytes, signed, big-endian) and the exponent of its direction (8 bytes)."""
    return number.to_bytes(24, "big", signed=True) + exponent.to_bytes(8, "big", signed=True)
