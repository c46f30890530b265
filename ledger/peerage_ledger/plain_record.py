"""One merge of plain exchange as an artefact, and the record that follows from it.

A peer's merge takes the signed weights of those whose version it does not contain yet (BrainTorrent, arXiv 1905.06731)
and its own; the aggregate is their mean, weighted by sample counts over these participants alone. The record has one
parent for every model that went in: the initiator's own record before, and the record that each pulled model was
trained on. So records form a directed acyclic graph, whose rounds are depths: 1 + the deepest parent.

Nothing is scored and nothing is paid: the score root is zero, and the pool stays where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from peerage_crypto.digest import address_root, sha256, tagged
from peerage_crypto.plain_statements import PlainMerge, PlainUpdate, exchange_id, merge_id
from peerage_crypto.statements import Bytes20, Bytes32, Count, Signed
from peerage_ledger.records import RoundRecord
from peerage_ledger.transcript import MAX_TRANSCRIPT_BYTES, NOTHING, ParentLink, Versioned

if TYPE_CHECKING:
    from peerage_ledger.judgement import Federation

SCHEMA: Final = 1
OLDEST_PARENT: Final = 128  # rounds behind the newest parent: RoundLedger forgets what lies 256 back
NO_SCORES: Final = bytes(32)


class PlainBody(msgspec.Struct, frozen=True):
    """What went into a merge and what came out. `updates` follow their signers' addresses, `parents` their hashes.

    `merge` counts the initiator's own merges from 1; `round` is the depth in the graph of records; `previous` is the
    initiator's record before; `versions` says which version of each peer it has pulled so far (BrainTorrent's v_old,
    its own version beside them); `emissions` is its emission record of this merge.
    """

    schema: int
    sid: Bytes32
    initiator: Bytes20
    merge: Count
    round: Count
    previous: Bytes32
    parents: tuple[ParentLink, ...]
    updates: tuple[Signed[PlainUpdate], ...]
    versions: tuple[Versioned, ...]
    aggregate: Bytes32
    emissions: Bytes32

    def digest(self) -> bytes:
        return sha256(msgspec.json.encode(self, order="deterministic"))


class PlainTranscript(msgspec.Struct, frozen=True):
    """A merge and its initiator's signature under it."""

    body: PlainBody
    signed: Signed[PlainMerge]


def encode_plain(transcript: PlainTranscript) -> bytes:
    """Canonical JSON."""
    return msgspec.json.encode(transcript, order="deterministic")


def decode_plain(blob: bytes) -> PlainTranscript:
    """A merge's transcript from exactly its canonical bytes; ValueError otherwise."""
    if len(blob) > MAX_TRANSCRIPT_BYTES:
        raise ValueError("a merge's transcript is larger than any legal one")
    try:
        transcript = msgspec.json.decode(blob, type=PlainTranscript)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not the transcript of a merge: {error}") from error
    if encode_plain(transcript) != blob:
        raise ValueError("the transcript of a merge is not in its canonical form")
    return transcript


def exchange_of(federation: Federation) -> bytes:
    """The `sid` of a federation's plain exchange."""
    return exchange_id(
        chain_id=federation.chain_id,
        registry=federation.registry,
        genesis=federation.genesis,
        terms=federation.terms,
    )


def genesis_link(federation: Federation) -> ParentLink:
    """What stands before everybody's first merge."""
    return ParentLink(federation.genesis, 0, NOTHING)


def record_of_merge(
    federation: Federation, body: PlainBody, transcript_id: bytes, signed: Signed[PlainMerge]
) -> RoundRecord:
    """What the chain keeps of a merge. Parents too old for the contract's window stay in the transcript alone."""
    by_peer = {u.signer(federation.domain): u.statement for u in body.updates}
    newest = max(p.round for p in body.parents)
    parents = [p for p in body.parents if newest - p.round <= OLDEST_PARENT]
    return RoundRecord(
        round=body.round,
        sid=merge_id(body.sid, body.initiator, body.merge),
        parent_rounds=tuple(p.round for p in parents),
        parents=tuple(p.record for p in parents),
        aggregate=body.aggregate,
        join_root=address_root({peer: u.digest(federation.domain) for peer, u in by_peer.items()}),
        masked_root=address_root({peer: u.artefact for peer, u in by_peer.items()}),
        ack_root=address_root({body.initiator: tagged("peerage/ack/v1", signed.signature)}),
        score_root=NO_SCORES,
        emission_root=address_root({body.initiator: body.emissions}),
        transcript=transcript_id,
        members=len(by_peer),
    )
