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
from msgspec.structs import replace

from peerage_crypto.digest import sha256
from peerage_crypto.fixedpoint import into_ring
from peerage_crypto.masking import inner
from peerage_crypto.opening import Opened, Openings, open_numbers, pair_numbers, slots, values_digest
from peerage_crypto.pair_audit import charged, unconfirmed_pairs
from peerage_crypto.statements import Opening, Signed
from peerage_crypto.thresholds import opening_quorum
from peerage_ledger.judgement import NO_STATE
from peerage_ledger.transcript import NOTHING, SCHEMA, RoundTranscript, Versioned

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from peerage.messages import Products
    from peerage.rounds.pair_audits import Audit
    from peerage_crypto.crossfit import ShownGradient
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
    sum_root: bytes  # over the leaves of the sum: what the acknowledgements sign
    model: NDArray[np.float32]
    aggregate: bytes
    versions: dict[bytes, int]
    state: NDArray[np.float32] = field(default_factory=NO_STATE.view)  # of the merge's optimiser, after this round

    @property
    def sid(self) -> bytes:
        return self.proven.roster.plan.sid

    @property
    def round(self) -> int:
        return self.proven.roster.plan.opened.round

    def base_transcript(
        self, acks: tuple[Signed[ResultAck], ...], gradients: tuple[ShownGradient, ...] = ()
    ) -> RoundTranscript:
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
            gradients=gradients,
        )


def direction_bytes(direction: NDArray[np.int64]) -> bytes:
    """The artefact of g: int32 little-endian, one per parameter; of two rows one after the other."""
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
    """G over the whole masked vector, row by row: nothing is opened of the auxiliary coordinates."""
    ring = proven.roster.plan.ring
    lane = np.zeros((*direction.shape[:-1], ring.lane_words), np.int64)
    return into_ring(np.concatenate([lane, direction], axis=-1), ring)


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
    values = pair_numbers(pair_keys, me, ring_direction(direction, proven), proven)
    statement = Opening(candidate.sid, sha256(direction_bytes(direction)), values_digest(values), emissions)
    signed = Signed(statement, sign(statement.digest(proven.roster.plan.domain)))
    return statement, Openings(candidate.sid, signed, values)


@dataclass
class Scoring:
    """The initiator's collection of openings for one round."""

    candidate: Candidate
    products: dict[bytes, int]  # < y_i , g > of the survivors whose vectors, or leaders' words, are here
    direction: NDArray[np.int64]
    exponent: int
    expected: set[bytes]
    led: dict[int, NDArray[np.unsignedinteger]] = field(default_factory=dict)  # masked sums, as leaders gathered them
    openings: dict[bytes, Openings] = field(default_factory=dict)
    audit: Audit | None = None  # where pairs are audited

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
            and len(message.values) == len(slots(proven, sender))
        )
        self.expected.discard(sender)
        if not right:
            return "its pair numbers are not what it signed for this direction"
        self.openings.setdefault(sender, message)
        return ""

    def on_products(self, leader: bytes, message: Products) -> str:
        """A leader's word for its bucket; returns what is wrong with it. It must add up to the sum that it gathered."""
        gathered = next((s for s in self.candidate.session.gathered if s.is_by(leader, self._domain)), None)
        if gathered is None or message.direction != sha256(direction_bytes(self.direction)):
            return ""
        roster, ring = self.candidate.proven.roster, self.candidate.proven.roster.plan.ring
        members = roster.select(gathered.statement.members[: (len(roster.members) + 7) // 8])
        masked, g = self.led.get(gathered.statement.bucket), ring_direction(self.direction, self.candidate.proven)
        if masked is None or len(message.numbers) != len(members):
            return "its numbers are not those of the vectors that it gathered"
        if (sum(message.numbers) - inner(masked, g, ring)) % ring.modulus:
            return "its numbers do not add up to that of the sum that it gathered"
        for member, number in zip(members, message.numbers, strict=True):
            if member in self.candidate.proven.u3:
                self.products.setdefault(member, number % ring.modulus)
        return ""

    def missing(self) -> tuple[bytes, ...]:
        """The survivors of whose vectors nobody has told me < y_i , g >."""
        return tuple(p for p in self.candidate.proven.u3 if p not in self.products)

    @property
    def _domain(self) -> bytes:
        return self.candidate.proven.roster.plan.domain

    @property
    def complete(self) -> bool:
        return not self.expected and not self.missing()

    @property
    def quorate(self) -> bool:
        """Whether so many survivors have opened that the direction was everybody's."""
        proven = self.candidate.proven
        return len(self.openings) >= opening_quorum(len(proven.u3), proven.roster.limits.colluders)

    def close(
        self, acks: tuple[Signed[ResultAck], ...], gradients: tuple[ShownGradient, ...] = ()
    ) -> tuple[RoundTranscript, Opened]:
        """The round's transcript with every number that the openings give."""
        proven, bare = self.candidate.proven, self.candidate.base_transcript(acks, gradients)
        session, g = self.candidate.session, ring_direction(self.direction, proven)
        stated = {peer: message.values for peer, message in self.openings.items()}
        opened = open_numbers(proven, session, self.products, g, stated)
        lates, shown = (self.audit.drawn.lates, self.audit.shown) if self.audit and self.audit.drawn else ((), {})
        unconfirmed = unconfirmed_pairs(proven, session, lates, shown, opened.agreed, g) if lates else ()
        numbers = charged(proven, opened.numbers, unconfirmed)
        transcript = replace(
            bare,
            direction=sha256(direction_bytes(self.direction)),
            exponent=self.exponent,
            openings=tuple(self.openings[p] for p in sorted(self.openings)),
            numbers=tuple(numbers[p] for p in proven.u3),
            lates=lates,
            shown=tuple(shown[p] for p in sorted(shown)),
            unconfirmed=unconfirmed,
            opened=tuple(opened.numbers[p] for p in proven.u3) if unconfirmed else (),
        )
        return transcript, opened
