"""What makes a round valid, decided from artefacts alone: the same words for the peer that catches up and the auditor.

A round follows from its parent: its session must be proven (`secagg_judge`), its aggregate must be the exact merge of
the proven sum into the parent's base, its versions must all be fresh, and at least T members of the roster must have
acknowledged exactly this sum and this model. The chain is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from peerage_crypto.buckets import FLAT, Grouping
from peerage_crypto.crossfit import shown_fault
from peerage_crypto.digest import sha256, tagged
from peerage_crypto.leaf_check import sum_root
from peerage_crypto.masking import total_of
from peerage_crypto.opening import slots, values_digest
from peerage_crypto.pair_audit import audit_fault, charged
from peerage_crypto.secagg_judge import Fault, Proven, judge_session
from peerage_crypto.session import Plan, SessionTranscript
from peerage_crypto.statements import session_id, signing_domain
from peerage_crypto.thresholds import opening_quorum
from peerage_ledger.transcript import NOTHING, SCHEMA, ParentLink, RoundTranscript, Versioned, record_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from peerage_crypto.fixedpoint import Ring
    from peerage_crypto.opening import Openings
    from peerage_crypto.sketch_terms import Sketching
    from peerage_crypto.statements import Opened
    from peerage_ledger.records import RoundRecord

    Vector = NDArray[np.float32]

Sums = Sequence["NDArray[np.unsignedinteger]"]  # of each bucket with survivors
Merge = Callable[["Standing", Sums, Sequence[int]], "Merged | str"]  # parent, sums, members of each
NO_STATE = np.zeros((0, 0), np.float32)

Near = Callable[[bytes, int], frozenset[bytes]]  # plain exchange: whose models a peer may merge in its n-th merge
Turns = tuple[Mapping[bytes, Fraction], ...]  # of each round: who may take part, and the scale of its update


@dataclass(frozen=True, slots=True)
class Federation:
    """What every judgement rests on: the chain's names, the agreed terms, the registered peers."""

    chain_id: int
    registry: bytes
    round_ledger: bytes
    vault: bytes
    genesis: bytes  # the hash of the agreed settings: the record before the first
    terms: bytes  # the `params` of every session: settings, layout, initial model, validation data, standardiser
    registered: frozenset[bytes]
    ring: Ring
    length: int  # ring elements of a masked vector: auxiliary coordinates and parameters
    grouping: Grouping = FLAT
    sketches: Sketching | None = None
    crossfit: bool = False  # validation is private
    audited: bool = False  # random pairs show the keys of their masks; never where updates are sketched
    turns: Turns | None = None  # of each round from 1, where peers take turns
    whole: bool = False  # a round takes all registered peers or none
    near: Near | None = None  # plain exchange: None where everybody may merge everybody

    @property
    def domain(self) -> bytes:
        return signing_domain(self.chain_id, self.round_ledger)

    def scale(self, peer: bytes, round_: int) -> Fraction | None:
        """What this peer's update is multiplied with in a round; None where it is not its turn."""
        if self.turns is None or not 0 < round_ <= len(self.turns):
            return Fraction(1)
        return self.turns[round_ - 1].get(peer)

    def plan(self, opened: Opened, draw: bytes = NOTHING, halving: bytes = NOTHING) -> Plan | None:
        """The plan of an opened session; None when its sid is not the hash of its parts or its terms are not ours.

        `draw` is its parent's seed: it matters where buckets are drawn. `halving` is its parent's, too.
        """
        expected = session_id(
            chain_id=self.chain_id,
            registry=self.registry,
            round_=opened.round,
            initiator=opened.initiator,
            parent=opened.parent,
            params=self.terms,
            nonce=opened.nonce,
        )
        if opened.sid != expected or opened.params != self.terms or opened.initiator not in self.registered:
            return None
        return Plan(
            opened,
            self.domain,
            self.registered,
            self.ring,
            self.length,
            self.grouping,
            self.sketches,
            draw=draw,
            crossfit=self.crossfit,
            audited=self.audited and self.sketches is None,
            halving=halving,
        )


class Merged(NamedTuple):
    """What a merge makes of a proven sum; `state` (rows, d) is what its optimiser carries to the next round."""

    model: Vector
    state: Vector


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a round leaves everybody: its record, its model, its last applied step, its version vector.

    `state` is the merge's optimiser's: without rows before the first round, and for ever where it has none. Its last
    row is the round's mean update.
    """

    record: bytes
    round: int
    transcript: bytes
    aggregate: bytes
    model: Vector
    step: Vector
    versions: Mapping[bytes, int]
    seed: bytes = NOTHING  # the shared randomness of its session, which draws the next round's buckets
    halving: bytes = NOTHING  # that of the first round's session, which has drawn the halves of private validation
    state: Vector = field(default_factory=NO_STATE.view)

    @property
    def told(self) -> tuple[Vector, ...]:
        """What this round told everybody: the applied step, and the mean update where the step is no multiple of it."""
        return (self.step, *self.state[-1:])

    @property
    def link(self) -> ParentLink:
        return ParentLink(self.record, self.round, self.transcript)


def genesis(record: bytes, model: Vector, aggregate: bytes) -> Standing:
    """Before the first round: the agreed initial model, no step, no versions."""
    return Standing(record, 0, NOTHING, aggregate, model, np.zeros_like(model), {}, record)


def session_terms(settings: bytes, layout: bytes, model: bytes, validation: bytes, standardiser: bytes) -> bytes:
    """What every session is bound to: five hashes (zeros where there is nothing); a peer that differs in one of them
    cannot take part, and its masks would not cancel.
    """
    return tagged("peerage/terms/v1", settings, layout, model, validation, standardiser)


@dataclass(frozen=True, slots=True)
class Judged:
    """A valid round: what it proves, where it leads, what the chain should say of it."""

    transcript: RoundTranscript
    session: SessionTranscript
    proven: Proven
    record: RoundRecord
    standing: Standing
    update_sum: NDArray[np.unsignedinteger]  # over all buckets

    @property
    def known_halves(self) -> tuple[tuple[bytes, ...], ...]:
        """Private validation: the halves whose sums of path gradients everybody knows, scored or not."""
        halves = self.proven.halves
        return halves.members if halves is not None and self.transcript.gradients else ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """The artefacts of one round, hashes not yet compared."""

    transcript_id: bytes
    transcript: RoundTranscript
    session: bytes
    session_transcript: SessionTranscript
    sum_blob: bytes


def judge_result(
    federation: Federation, parent: Standing, session: SessionTranscript, sum_blob: bytes, merge: Merge
) -> tuple[Proven, NDArray[np.unsignedinteger], Merged] | list[Fault]:
    """What a member checks before it acknowledges: the session, the sum's bounds, the model that follows."""
    opened = session.opened.statement
    plan = federation.plan(opened, parent.seed, parent.halving)
    if plan is None:
        return [
            Fault("session-id", None, "the session's name is not the hash of this federation's terms and its opening")
        ]
    if opened.parent != parent.record or opened.round != parent.round + 1:
        return [Fault("session-parent", plan.initiator, "the session was not opened on its parent's record")]
    proven = judge_session(plan, session)
    if isinstance(proven, list):
        return proven
    stale = [
        m
        for m, j in zip(proven.roster.members, proven.roster.joins, strict=True)
        if j.statement.version <= parent.versions.get(m, 0)
    ]
    if stale:
        return [Fault("version-reused", m, "a version that an aggregate contains already joined again") for m in stale]
    early = [peer for peer in proven.roster.members if federation.scale(peer, opened.round) is None]
    if early:
        sentence = "it took part in a round where its schedule gives it no turn"
        return [Fault("out-of-turn", peer, sentence) for peer in early]
    if federation.whole and len(proven.roster.members) < len(federation.registered):
        return [Fault("roster-incomplete", plan.initiator, "the round did not wait for all, as this federation does")]
    counts = [len(group) for group in proven.groups]
    if sha256(sum_blob) != session.sum_artefact or len(sum_blob) != plan.vector_bytes * len(counts):
        return [Fault("sum-artefact", plan.initiator, "the sum is not the artefact that its transcript names")]
    words = np.frombuffer(sum_blob, plan.ring.dtype.newbyteorder("<")).astype(plan.ring.dtype)
    sums = words.reshape(len(counts), plan.length)
    merged = merge(parent, list(sums), counts)
    if isinstance(merged, str):
        return [Fault("sum-bounds", None, merged)]  # some survivor's vector is out of bounds: its mask hides whose
    return proven, total_of(list(sums), plan.ring), merged


def judge_round(federation: Federation, parent: Standing, evidence: Evidence, merge: Merge) -> Judged | list[Fault]:
    """A whole round with its acknowledgements, openings and versions."""
    t = evidence.transcript
    if t.schema != SCHEMA:
        return [Fault("round-schema", None, f"a round transcript of schema {t.schema}, not {SCHEMA}")]
    if evidence.session != t.session or evidence.session_transcript.sum_artefact != t.sum_artefact:
        return [Fault("round-session", None, "the round's transcript names another session or sum")]
    if t.parents != (parent.link,) or t.base != parent.aggregate or t.round != parent.round + 1:
        return [Fault("round-parent", None, "the round's transcript does not follow its parent")]
    result = judge_result(federation, parent, evidence.session_transcript, evidence.sum_blob, merge)
    if isinstance(result, list):
        return result
    proven, total, (model, state) = result
    if t.sid != proven.roster.plan.sid:
        return [Fault("round-session", None, "the round's transcript names another session")]
    aggregate = sha256(model.astype("<f4", copy=False).tobytes())
    faults: list[Fault] = []
    if aggregate != t.aggregate:
        faults.append(Fault("aggregate", None, "the aggregate is not the merge of the sum into its base"))
    versions = joined(parent.versions, {m: proven.roster.join_of(m).version for m in proven.u3})
    if t.versions != tuple(Versioned(p, v) for p, v in sorted(versions.items())):
        faults.append(Fault("versions", None, "the version vector is not the joined one"))
    faults += _acks(proven, t, sum_root(evidence.sum_blob, proven.roster.plan.vector_bytes))
    faults += _gradients(proven, t) + _openings(proven, t)
    if faults:
        return faults
    record = record_of(t, evidence.transcript_id, proven, evidence.session_transcript)
    step = (model.astype(np.float64) - parent.model.astype(np.float64)).astype(np.float32)
    seed = proven.seed()
    standing = Standing(
        record=record.record_hash(),
        round=t.round,
        transcript=evidence.transcript_id,
        aggregate=aggregate,
        model=model,
        step=step,
        versions=versions,
        seed=seed,
        halving=seed if parent.halving == NOTHING else parent.halving,
        state=state,
    )
    return Judged(t, evidence.session_transcript, proven, record, standing, total)


def joined(a: Mapping[bytes, int], b: Mapping[bytes, int]) -> dict[bytes, int]:
    """The join of two version vectors: the newer version of every peer."""
    return {peer: max(a.get(peer, 0), b.get(peer, 0)) for peer in sorted({*a, *b})}


def _acks(proven: Proven, t: RoundTranscript, root: bytes) -> list[Fault]:
    domain = proven.roster.plan.domain
    signers: set[bytes] = set()
    for ack in t.acks:
        s = ack.statement
        try:
            signer = ack.signer(domain)
        except ValueError:
            return [Fault("ack-signature", None, "an acknowledgement is signed by nobody")]
        if signer not in proven.roster.members:
            return [Fault("ack-signature", None, "an acknowledgement is not signed by a member of the roster")]
        if (s.sid, s.sum_root, s.model) != (t.sid, root, t.aggregate):
            return [Fault("ack-content", signer, "an acknowledgement speaks of another sum or model")]
        signers.add(signer)
    if len(signers) < proven.roster.limits.quorum or len(signers) != len(t.acks):
        return [
            Fault("ack-quorum", None, f"{len(signers)} acknowledgements where {proven.roster.limits.quorum} are needed")
        ]
    return []


def _gradients(proven: Proven, t: RoundTranscript) -> list[Fault]:
    """Private validation: a scored round has the path gradients of all survivors, an unscored one may have them."""
    if not t.gradients and (t.direction == NOTHING or proven.halves is None):
        return []
    plan = proven.roster.plan
    fault = shown_fault(proven, plan.length - plan.ring.lane_words, t.gradients)
    return [Fault("gradients", None, fault)] if fault else []


def _openings(proven: Proven, t: RoundTranscript) -> list[Fault]:
    half = proven.roster.plan.ring.modulus // 2
    if len(t.numbers) != len(proven.u3) or not all(n is None or -half <= n < half for n in t.numbers):
        return [Fault("opening-shape", None, "the opened numbers do not fit the survivors and the ring")]
    if t.direction == NOTHING:
        unscored = not (t.openings or t.lates or t.shown or t.unconfirmed or t.opened or t.exponent)
        unscored = unscored and not any(n is not None for n in t.numbers)
        return [] if unscored else [Fault("opening-direction", None, "numbers were opened without a direction")]
    domain, seen = proven.roster.plan.domain, set[bytes]()
    for opening in t.openings:
        s = opening.signed.statement
        try:
            signer = opening.signed.signer(domain)
        except ValueError:
            return [Fault("opening-signature", None, "an opening is signed by nobody")]
        if signer not in proven.u3 or signer in seen:
            return [Fault("opening-signature", None, "an opening is not signed by a survivor, or twice by one")]
        seen.add(signer)
        if s.sid != t.sid or s.direction != t.direction or opening.sid != t.sid:
            return [Fault("opening-direction", signer, "an opening is for another session or direction")]
        if len(opening.values) != len(slots(proven, signer)) or not _are_signed(opening):
            return [Fault("opening-values", None, "an opening's pair numbers are not those that its owner signed")]
    fault = audit_fault(proven, t.lates, t.shown, t.unconfirmed) or _charge_fault(proven, t)
    if fault:
        return [Fault("pair-audit", None, fault)]
    wanted = opening_quorum(len(proven.u3), proven.roster.limits.colluders)
    if len(seen) < wanted:  # fewer have not pledged it: anybody could have made it up
        return [Fault("opening-quorum", None, f"{len(seen)} openings where {wanted} are needed for a direction")]
    return []


def _charge_fault(proven: Proven, t: RoundTranscript) -> str:
    if not t.unconfirmed:
        return "numbers differ from what was opened, and no pair is unconfirmed" if t.opened else ""
    if len(t.opened) != len(proven.u3):
        return "the numbers as they were opened do not fit the survivors"
    left = charged(proven, dict(zip(proven.u3, t.opened, strict=True)), t.unconfirmed)
    return "" if t.numbers == tuple(left[m] for m in proven.u3) else "an unconfirmed pair is charged something else"


def _are_signed(opening: Openings) -> bool:
    try:
        return values_digest(opening.values) == opening.signed.statement.values
    except ValueError:
        return False
