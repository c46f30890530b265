"""After the sum: open one number of each update along the round's own path, and close the round.

The initiator names its direction g; a member opens only for a g that is its own (same bytes, or cosine at least 0.99
with the one it computed from the public path), once per session. Then the round's transcript is written, and with it
the record that the ledger will keep. A member checks its own number against its own update before it stands on the
record: so only liars can be shifted against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from peerage.rounds.aggregation import AUXILIARY
from peerage_crypto.digest import sha256
from peerage_crypto.fixedpoint import into_ring
from peerage_crypto.opening import Opened, Openings, open_numbers, pair_numbers, values_digest
from peerage_crypto.statements import Opening, Signed
from peerage_ledger.transcript import NOTHING, SCHEMA, RoundTranscript, Versioned

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from peerage_crypto.secagg_judge import Proven
    from peerage_crypto.session import SessionTranscript
    from peerage_crypto.statements import ResultAck
    from peerage_ledger.judgement import Standing

AGREEING_COSINE = 0.99


@dataclass(frozen=True, slots=True)
class Candidate:
    """A round that T members acknowledged and that waits for its record."""

    parent: Standing
    proven: Proven
    session: SessionTranscript
    session_id: bytes
    model: NDArray[np.float32]
    aggregate: bytes
    versions: dict[bytes, int]

    @property
    def sid(self) -> bytes:
        return self.proven.roster.plan.sid

    @property
    def round(self) -> int:
        return self.proven.roster.plan.opened.round

    def base_transcript(self, acks: tuple[Signed[ResultAck], ...]) -> RoundTranscript:
        """The round closed without scores; openings are filled in by `Scoring.close`."""
        return RoundTranscript(
            schema=SCHEMA,
            round=self.round,
            sid=self.sid,
            parents=(self.parent.link,),
            session=self.session_id,
            sum_artefact=self.session.sum_artefact,
            base=self.parent.aggregate,
            aggregate=self.aggregate,
            versions=tuple(Versioned(p, v) for p, v in sorted(self.versions.items())),
            acks=acks,
            direction=NOTHING,
            exponent=0,
            openings=(),
            numbers=tuple(None for _ in self.proven.u3),
        )


def direction_bytes(direction: NDArray[np.int64]) -> bytes:
    """The artefact of g: int32 little-endian, one per parameter."""
    return direction.astype("<i4").tobytes()


def direction_from(blob: bytes, parameters: int) -> NDArray[np.int64]:
    """G from its artefact; ValueError on another length."""
    if len(blob) != 4 * parameters:
        msg = f"a direction of {len(blob)} bytes where the layout has {4 * parameters}"
        raise ValueError(msg)
    return np.frombuffer(blob, "<i4").astype(np.int64)


def agree(a: NDArray[np.int64], b: NDArray[np.int64]) -> bool:
    """Whether two directions are the same for our purpose: cosine at least AGREEING_COSINE."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    norms = float(np.linalg.norm(x)) * float(np.linalg.norm(y))
    return norms > 0 and float(x @ y) >= AGREEING_COSINE * norms


def ring_direction(direction: NDArray[np.int64], proven: Proven) -> NDArray[np.unsignedinteger]:
    """G over the whole masked vector: nothing is opened of the auxiliary coordinates."""
    return into_ring(np.concatenate([np.zeros(AUXILIARY, np.int64), direction]), proven.roster.plan.ring)


def my_openings(
    candidate: Candidate,
    me: bytes,
    pair_keys: dict[bytes, bytes],
    direction: NDArray[np.int64],
    emissions: bytes,
    sign: Callable[[bytes], bytes],
) -> tuple[Opening, Openings]:
    """My pair numbers for g, signed together with the record of my emissions."""
    proven = candidate.proven
    values = pair_numbers(pair_keys, me, proven.u3, ring_direction(direction, proven), proven)
    statement = Opening(candidate.sid, sha256(direction_bytes(direction)), values_digest(values), emissions)
    signed = Signed(statement, sign(statement.digest(proven.roster.plan.domain)))
    return statement, Openings(candidate.sid, signed, values)


@dataclass
class Scoring:
    """The initiator's collection of openings for one round."""

    candidate: Candidate
    vectors: dict[bytes, NDArray[np.unsignedinteger]]
    direction: NDArray[np.int64]
    exponent: int
    expected: set[bytes]
    openings: dict[bytes, Openings] = field(default_factory=dict)

    def on_openings(self, sender: bytes, message: Openings) -> str:
        """Take one survivor's pair numbers; returns what is wrong with them (then their owner counts as silent)."""
        proven, s = self.candidate.proven, message.signed.statement
        if sender not in proven.u3:
            return ""
        right = (
            message.signed.is_by(sender, proven.roster.plan.domain)
            and s.sid == self.candidate.sid == message.sid
            and s.direction == sha256(direction_bytes(self.direction))
            and s.values == values_digest(message.values)
            and len(message.values) == len(proven.u3) - 1
        )
        self.expected.discard(sender)
        if not right:
            return "its pair numbers are not what it signed for this direction"
        self.openings.setdefault(sender, message)
        return ""

    @property
    def complete(self) -> bool:
        return not self.expected

    def close(self, acks: tuple[Signed[ResultAck], ...]) -> tuple[RoundTranscript, Opened]:
        """The round's transcript with every number that the openings give."""
        proven, bare = self.candidate.proven, self.candidate.base_transcript(acks)
        opened = open_numbers(
            proven,
            self.candidate.session,
            self.vectors,
            ring_direction(self.direction, proven),
            {peer: message.values for peer, message in self.openings.items()},
        )
        transcript = RoundTranscript(
            **{
                f: getattr(bare, f)
                for f in bare.__struct_fields__
                if f not in {"direction", "exponent", "openings", "numbers"}
            },
            direction=sha256(direction_bytes(self.direction)),
            exponent=self.exponent,
            openings=tuple(self.openings[p] for p in sorted(self.openings)),
            numbers=tuple(opened.numbers[p] for p in proven.u3),
        )
        return transcript, opened
