"""One KiB of a sum, decided from signatures alone: what a member draws at random, and what a dispute brings to a judge.

A survivor signs the Merkle root of its masked vector, the initiator the root of the sum (its acknowledgement). Both
trees have leaves of 1 KiB; a sum of several buckets has the leaves of the first bucket's sum, then those of the second,
and so on. One leaf of the sum needs the same leaf of each survivor of its bucket, and of each mask that has to come off
only those bytes: AES-CTR can start anywhere. So `LeafEvidence` is small (1 KiB and a path for each survivor, and the
session's transcript) whatever the model's size.

Why nobody honest is convicted: the leaf of the sum stands under a root that the initiator itself signed for this
session; each masked leaf under a root that its owner signed for this session and this U2; who survived is certified by
a quorum of votes; every revealed secret opens a commitment of a signed join. All that an honest initiator adds up
follows from these. Where a regional leader handed over the sum of a bucket, the initiator added that, and a leaf does
not tell which of the two was wrong: such evidence is refused; the auditor adds the whole vectors and names one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from peerage_crypto.digest import chunks, merkle_proof, merkle_proofs, merkle_root, merkle_verify
from peerage_crypto.fixedpoint import Ring
from peerage_crypto.masking import apply_masks, total_of
from peerage_crypto.secagg_judge import Fault, judge_session
from peerage_crypto.secagg_member import LEAF_BYTES
from peerage_crypto.secagg_sum import keys_left, ring_bytes
from peerage_crypto.session import Plan, SessionTranscript
from peerage_crypto.statements import Bytes32, ResultAck, Signed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from peerage_crypto.secagg_judge import Proven

    Words = NDArray[np.unsignedinteger]

SCHEMA = 1
Leaf = Annotated[bytes, msgspec.Meta(min_length=1, max_length=LEAF_BYTES)]


class NoEvidence(ValueError):
    """What was brought does not prove anything about anybody; the sentence says what is wrong with it."""


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """A leaf and the siblings on its way to a root, lowest first."""

    leaf: Leaf
    path: Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=32)]


class LeafEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """Leaf `leaf` of the sum of the `group`-th bucket that has survivors, and all that decides whether it is right.

    `claim` is the initiator's signature under the sum's root. `masked` are the same leaves of the survivors of that
    bucket, in roster order.
    """

    schema: int
    session: SessionTranscript
    claim: Signed[ResultAck]
    group: Annotated[int, msgspec.Meta(ge=0, le=255)]
    leaf: Annotated[int, msgspec.Meta(ge=0, le=2**32)]
    total: Piece
    masked: Annotated[tuple[Piece, ...], msgspec.Meta(max_length=256)]


def encode(evidence: LeafEvidence) -> bytes:
    """The artefact: canonical JSON."""
    return msgspec.json.encode(evidence, order="deterministic")


def decode(blob: bytes) -> LeafEvidence:
    """The evidence in an artefact; ValueError when it is something else, or not in its one form."""
    try:
        evidence = msgspec.json.decode(blob, type=LeafEvidence)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not leaf evidence: {error}") from error
    if encode(evidence) != blob:
        raise ValueError("leaf evidence that is not in its canonical form")
    return evidence


def leaves_of(vector_bytes: int) -> int:
    """How many leaves a vector has; the last may be shorter."""
    return -(-vector_bytes // LEAF_BYTES)


def sum_leaves(blob: bytes, vector_bytes: int) -> list[memoryview]:
    """The leaves of a sum (of each bucket's, one after the other), each of LEAF_BYTES but the last of a vector."""
    view = memoryview(blob)
    return [
        leaf
        for start in range(0, len(blob), vector_bytes)
        for leaf in chunks(view[start : start + vector_bytes], LEAF_BYTES)
    ]


def sum_root(blob: bytes, vector_bytes: int) -> bytes:
    """What a ResultAck says of a sum: the Merkle root over its leaves."""
    return merkle_root(sum_leaves(blob, vector_bytes))


def piece_of(blob: bytes, vector_bytes: int, at: int) -> Piece:
    """Leaf `at` of a vector or of a whole sum, with its path; IndexError outside."""
    leaves = sum_leaves(blob, vector_bytes)
    return Piece(bytes(leaves[at]), merkle_proof(leaves, at))


def pieces_of(vector: bytes, leaves: Sequence[int]) -> tuple[Piece, ...]:
    """These leaves of one vector, with their paths; IndexError outside."""
    parts = chunks(memoryview(vector), LEAF_BYTES)
    return tuple(
        Piece(bytes(parts[leaf]), path) for leaf, path in zip(leaves, merkle_proofs(parts, leaves), strict=True)
    )


def leaf_of(total: bytes, vector_bytes: int, group: int, leaf: int) -> bytes:
    """One leaf of a group's sum, without its path."""
    vector = memoryview(total)[group * vector_bytes : (group + 1) * vector_bytes]
    return bytes(vector[leaf * LEAF_BYTES : (leaf + 1) * LEAF_BYTES])


def evidence_of(
    proven: Proven,
    session: SessionTranscript,
    claim: Signed[ResultAck],
    group: int,
    leaf: int,
    total: bytes,
    pieces: Mapping[bytes, Piece],
) -> LeafEvidence:
    """Put together what a judge needs: `total` is the whole sum, `pieces` the survivors' leaves by address."""
    size = proven.roster.plan.vector_bytes
    mine = piece_of(total, size, group * leaves_of(size) + leaf)
    masked = tuple(pieces[m] for m in proven.groups[group])
    return LeafEvidence(SCHEMA, session, claim, group, leaf, mine, masked)


def judge_leaf(plan: Plan, evidence: LeafEvidence) -> Fault | None:
    """The initiator's conviction of a wrong leaf; None when the leaf is right.

    NoEvidence when any part of it is not what its owner signed, or not of this session.
    """
    if evidence.schema != SCHEMA:
        raise NoEvidence(f"leaf evidence of schema {evidence.schema}, not {SCHEMA}")
    proven = judge_session(plan, evidence.session)
    if isinstance(proven, list):
        raise NoEvidence(f"its session does not hold: {proven[0].sentence}")
    claim, size = evidence.claim, plan.vector_bytes
    if claim.statement.sid != plan.sid or not claim.is_by(plan.initiator, plan.domain):
        raise NoEvidence("the root of the sum is not signed by the session's initiator")
    count = leaves_of(size)
    if evidence.group >= len(proven.groups) or evidence.leaf >= count:
        raise NoEvidence("the session's sum has no such leaf")
    members = proven.groups[evidence.group]
    if is_led(proven, evidence.session, evidence.group):
        raise NoEvidence(
            "a leader handed over the sum of this bucket: a leaf does not tell which of the two added wrongly"
        )
    at = evidence.group * count + evidence.leaf
    _check(evidence.total, claim.statement.sum_root, at, count * len(proven.groups), plan, evidence.leaf)
    roots = dict(zip(proven.u3, (s.statement.masked_root for s in evidence.session.manifests), strict=True))
    if len(evidence.masked) != len(members):
        raise NoEvidence("it does not come with one leaf for each survivor")
    words: dict[bytes, Words] = {}
    for member, piece in zip(members, evidence.masked, strict=True):
        words[member] = _check(piece, roots[member], evidence.leaf, count, plan, evidence.leaf)
    ring = _ring_of(plan.ring, evidence.leaf)
    added = total_of(list(words.values()), ring)
    return None if _unmasked(proven, evidence, added, ring) == evidence.total.leaf else _wrong(evidence.leaf, plan)


def right_leaf(proven: Proven, session: SessionTranscript, group: int, leaf: int, masked: Iterable[bytes]) -> bytes:
    """What leaf `leaf` of the `group`-th sum must be, given that leaf of all survivors of its bucket."""
    plan = proven.roster.plan
    ring = _ring_of(plan.ring, leaf)
    total = total_of([np.frombuffer(blob, plan.ring.dtype) for blob in masked], ring)
    return _without_masks(proven, session, proven.groups[group], leaf, total, ring)


def is_led(proven: Proven, session: SessionTranscript, group: int) -> bool:
    """Whether a regional leader handed over the sum of this bucket: its word names vectors, not the sum's leaves."""
    bucket = proven.roster.bucket_of(proven.groups[group][0])
    return any(signed.statement.bucket == bucket for signed in session.gathered)


def _unmasked(proven: Proven, evidence: LeafEvidence, added: Words, ring: Ring) -> bytes:
    members = proven.groups[evidence.group]
    return _without_masks(proven, evidence.session, members, evidence.leaf, added, ring)


def _without_masks(
    proven: Proven, session: SessionTranscript, members: Sequence[bytes], leaf: int, added: Words, ring: Ring
) -> bytes:
    roster, bucket = proven.roster, proven.roster.bucket_of(members[0])
    keys = keys_left(roster, proven.u2, session.u2, proven.u3, session.self_seeds, session.mask_secrets)[bucket]
    return ring_bytes(apply_masks(added, *keys, ring, first_byte=leaf * LEAF_BYTES))


def _check(piece: Piece, root: bytes, at: int, count: int, plan: Plan, leaf: int) -> Words:
    length = min(LEAF_BYTES, plan.vector_bytes - leaf * LEAF_BYTES)
    if len(piece.leaf) != length or not merkle_verify(root, piece.leaf, at, count, piece.path):
        raise NoEvidence("a leaf does not stand under the root that its owner signed")
    return np.frombuffer(piece.leaf, plan.ring.dtype)


def _ring_of(ring: Ring, leaf: int) -> Ring:
    """The ring of one leaf by itself: the lane lies in the first leaves."""
    per_leaf = LEAF_BYTES // 8
    return Ring(ring.bits, min(max(ring.lane - leaf * per_leaf, 0), per_leaf))


def _wrong(leaf: int, plan: Plan) -> Fault:
    sentence = f"leaf {leaf} of the sum is not what the survivors' leaves add up to"
    return Fault("leaf-wrong", plan.initiator, sentence)
