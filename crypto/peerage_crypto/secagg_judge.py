"""What a session's transcript proves, for the member who is asked to acknowledge it and for the auditor years later.

Nothing is believed: joins and manifests are checked by signature, revealed secrets by the commitments of the joins,
the survivor set by a certificate of T votes, the sum by adding the masked vectors again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from peerage_crypto import crossfit
from peerage_crypto.buckets import live, void_members
from peerage_crypto.digest import chunks, merkle_root, sha256
from peerage_crypto.secagg_collector import opens_commitment
from peerage_crypto.secagg_member import LEAF_BYTES, MASK_KEY, RAND, SELF_SEED, is_certificate
from peerage_crypto.secagg_sum import add_masked, ring_bytes, unmask
from peerage_crypto.session import (
    MANIFEST_FAULTS,
    UNDRAWN,
    Plan,
    Roster,
    RosterRefused,
    SessionTranscript,
    gathered_root,
    manifest_fault,
)
from peerage_crypto.sketch_judge import Screening, judge_screening
from peerage_crypto.sketch_terms import late_commitment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from peerage_crypto.statements import BucketSum, Signed


SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that does not hold; `culprit` is the peer it speaks of, or None when it is the record itself."""

    code: str
    culprit: bytes | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Proven:
    """A session whose statements all hold."""

    roster: Roster
    u2: tuple[bytes, ...]
    u3: tuple[bytes, ...]
    rands: tuple[bytes, ...]
    screening: Screening | None = None

    @property
    def groups(self) -> tuple[tuple[bytes, ...], ...]:
        """The survivors bucket by bucket, void buckets left out: who is in each of the sums."""
        alive = ([m for m in bucket if m in self.u3] for bucket in self.roster.buckets)
        return tuple(tuple(group) for group in alive if group)

    @property
    def dropped(self) -> tuple[bytes, ...]:
        return tuple(m for m in self.u2 if m not in self.u3)

    def partners(self, member: bytes) -> tuple[bytes, ...]:
        """The survivors with whom a survivor shares a mask, in roster order: whose numbers both ends state."""
        return tuple(m for m in self.roster.partners(member) if m in self.u3)

    def seed(self) -> bytes:
        """The session's shared randomness: every member of U2 has put in 32 bytes that it had committed to."""
        return sha256(self.roster.plan.sid, *self.rands)

    @property
    def halves(self) -> crossfit.Halves | None:
        """The survivors' two halves where validation is private; None where all numbers are along one direction."""
        plan = self.roster.plan
        seed = self.seed() if plan.halving == UNDRAWN else plan.halving
        return crossfit.draw(seed, plan.sid, plan.registered, self.u3) if plan.crossfit else None


def judge_session(plan: Plan, transcript: SessionTranscript) -> Proven | list[Fault]:
    """Check every statement of a transcript; either the session it proves or the faults found (never empty)."""
    faults: list[Fault] = []
    if transcript.schema != SCHEMA:
        return [Fault("session-schema", None, f"a session transcript of schema {transcript.schema}, not {SCHEMA}")]
    if transcript.opened.statement != plan.opened or not transcript.opened.is_by(plan.initiator, plan.domain):
        faults.append(Fault("session-open", plan.initiator, "the opening of the round is not signed by its initiator"))
    try:
        roster = Roster.assemble(plan, transcript.joins)
        u2, u3 = roster.select(transcript.u2), roster.select(transcript.u3)
    except RosterRefused as error:
        return [*faults, Fault("session-roster", plan.initiator, f"the roster does not hold: {error}")]
    faults += _counts(roster, u2, u3, transcript)
    if faults:
        return faults
    faults += _manifests(roster, u3, transcript) + _gathered(roster, u3, transcript)
    survivors = roster.survivors_digest(transcript.u3, transcript.manifests)
    screened = plan.sketches is not None or transcript.screening is not None
    if not screened and not is_certificate(roster, survivors, transcript.votes):
        faults.append(Fault("session-votes", plan.initiator, "the survivors are not certified by a quorum of votes"))
    faults += _secrets(roster, u2, u3, transcript)
    if faults:
        return faults
    screening = judge_screening(roster, u2, u3, transcript) if screened else None
    if isinstance(screening, list):
        return [Fault(*found) for found in screening]
    rands = (late_commitment(r) for r in transcript.rands) if plan.audited else transcript.rands
    revealed = dict(zip((m for m in u2 if m not in u3), rands, strict=True))
    revealed |= {m: s.statement.rand for m, s in zip(u3, transcript.manifests, strict=True)}
    return Proven(roster, u2, u3, tuple(revealed[m] for m in u2), screening)


def _counts(roster: Roster, u2: tuple[bytes, ...], u3: tuple[bytes, ...], t: SessionTranscript) -> list[Fault]:
    initiator = roster.plan.initiator
    least = len(roster.members) - roster.limits.losses
    if not set(u3) <= set(u2) or len(u3) < least:
        return [Fault("session-survivors", initiator, f"{len(u3)} survivors where the rule wants {least} of U2")]
    if void_members(roster.buckets, u3):
        return [Fault("session-bucket", initiator, "a bucket that has lost too many is among the survivors")]
    if live(roster.buckets, u3) < roster.plan.grouping.least:
        return [Fault("session-bucket", initiator, "fewer buckets have survivors than the rule needs")]
    if len(t.gathered) > len(roster.buckets) or not all(_is_leaders(roster, signed) for signed in t.gathered):
        return [Fault("session-gathered", initiator, "a sum in the transcript is not signed by the leader of a bucket")]
    dropped = len(u2) - len(u3)
    if not (len(t.manifests) == len(t.self_seeds) == len(u3) and len(t.mask_secrets) == len(t.rands) == dropped):
        return [Fault("session-shape", initiator, "the transcript's lists do not fit its survivors")]
    return []


def _manifests(roster: Roster, u3: tuple[bytes, ...], t: SessionTranscript) -> list[Fault]:
    faults: list[Fault] = []
    plan, u2_digest = roster.plan, roster.u2_digest(t.u2)
    for member, signed in zip(u3, t.manifests, strict=True):
        code = manifest_fault(roster, u2_digest, member, signed)
        if code:  # its signature convicts the owner of a wrong rand; everything else only the initiator can have done
            culprit = member if code == "manifest-rand" else plan.initiator
            faults.append(Fault(code, culprit, MANIFEST_FAULTS[code]))
    return faults


def _gathered(roster: Roster, u3: tuple[bytes, ...], t: SessionTranscript) -> list[Fault]:
    """A leader's word stands for the manifests that it saw: under others only the initiator can have put it."""
    manifests = dict(zip(u3, t.manifests, strict=True))
    for signed in t.gathered:
        try:
            members = roster.select(signed.statement.members[: (len(roster.members) + 7) // 8])
        except RosterRefused:
            members = ()
        known = [manifests[m] for m in members if m in manifests]
        is_void = not any(m in manifests for m in roster.buckets[signed.statement.bucket])
        if not is_void and (
            not members or len(known) < len(members) or gathered_root(roster, known) != signed.statement.masked_root
        ):
            return [
                Fault("session-gathered", roster.plan.initiator, "a leader's sum stands for other vectors than these")
            ]
    return []


def _secrets(roster: Roster, u2: tuple[bytes, ...], u3: tuple[bytes, ...], t: SessionTranscript) -> list[Fault]:
    dropped = tuple(m for m in u2 if m not in u3)
    revealed = [
        *((m, SELF_SEED, s) for m, s in zip(u3, t.self_seeds, strict=True)),
        *((m, MASK_KEY, s) for m, s in zip(dropped, t.mask_secrets, strict=True)),
        *((m, RAND, s) for m, s in zip(dropped, t.rands, strict=True)),
    ]
    return [
        Fault(
            "session-secret", roster.plan.initiator, f"a secret shown for 0x{owner.hex()} is not what it committed to"
        )
        for owner, kind, secret in revealed
        if not opens_commitment(roster, owner, kind, secret)
    ]


def judge_sum(
    proven: Proven, transcript: SessionTranscript, blobs: Mapping[bytes, bytes], sum_blob: bytes
) -> list[Fault]:
    """Add the survivors' masked vectors again (`blobs` by address) and compare with the posted sum, bit for bit.

    A vector that is not the one in its owner's manifest convicts nobody: whoever kept it may have changed it.
    """
    faults: list[Fault] = []
    plan, vectors = proven.roster.plan, {}
    for member, signed in zip(proven.u3, transcript.manifests, strict=True):
        blob, s = blobs[member], signed.statement
        if sha256(blob) != s.artefact or len(blob) != s.length:
            faults.append(
                Fault("masked-vector", None, f"the vector kept for 0x{member.hex()} is not the one that it signed")
            )
        elif merkle_root(chunks(blob, LEAF_BYTES)) != s.masked_root:
            faults.append(
                Fault("masked-root", member, "the Merkle root that its owner signed is not that of its vector")
            )
        else:
            vectors[member] = np.frombuffer(blob, plan.ring.dtype.newbyteorder("<"))
    if sha256(sum_blob) != transcript.sum_artefact:
        faults.append(Fault("sum-artefact", None, "the stored sum is not the one that the transcript names"))
    if proven.screening:
        faults += [Fault(*found) for found in proven.screening.false_vectors(vectors)]
    if faults:
        return faults
    roster = proven.roster
    total = unmask(
        roster,
        proven.u2,
        transcript.u2,
        proven.u3,
        add_masked(roster, vectors),
        transcript.self_seeds,
        transcript.mask_secrets,
    )
    if ring_bytes(total) == sum_blob:
        return []
    wrong = "is not the sum of the survivors' masked vectors"
    liars = [leader for leader, signed in _led(proven, transcript) if not _adds_up(roster, signed, vectors)]
    if liars:
        return [Fault("sum-leader", a, f"the sum that a leader handed over for its bucket {wrong}") for a in liars]
    return [Fault("sum-wrong", plan.initiator, f"the posted sum {wrong}")]


def _led(proven: Proven, transcript: SessionTranscript) -> Iterator[tuple[bytes, Signed[BucketSum]]]:
    """Each leader and its word."""
    for signed in transcript.gathered:
        leader = proven.roster.leader_of(signed.statement.bucket)
        if leader:
            yield leader, signed


def _is_leaders(roster: Roster, signed: Signed[BucketSum]) -> bool:
    s = signed.statement
    leader = roster.leader_of(s.bucket) if s.bucket < len(roster.buckets) else None
    return leader is not None and s.sid == roster.plan.sid and signed.is_by(leader, roster.plan.domain)


def _adds_up(roster: Roster, signed: Signed[BucketSum], vectors: Mapping[bytes, NDArray[np.unsignedinteger]]) -> bool:
    """Whether a leader's sum is that of the vectors that it names; True where one of them is not here to compare."""
    s = signed.statement
    try:
        members = roster.select(s.members[: (len(roster.members) + 7) // 8])
    except RosterRefused:
        return False
    if not set(members) <= vectors.keys():
        return True
    total = add_masked(roster, {m: vectors[m] for m in members}).get(s.bucket)
    return total is not None and sha256(ring_bytes(total)) == s.artefact
