"""What the artefacts of a record prove about it: every list they show must hash to the root that the chain keeps.

No settings, no model and no floating point: signatures are recovered, tables are hashed again. That the sum and the
merge are right is the audit's to say; this says who stands behind a model and with which version.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from peerage_crypto.digest import address_root, sha256, tagged
from peerage_crypto.errors import InputError
from peerage_crypto.plain_statements import exchange_id, merge_id
from peerage_crypto.statements import session_id
from peerage_crypto.thresholds import thresholds
from peerage_ledger.plain_record import decode_plain
from peerage_ledger.provenance.model import Contribution, Exchange, ModelNode
from peerage_ledger.transcript import RoundTranscript, decode_round, decode_session

if TYPE_CHECKING:
    from peerage_ledger.plain_record import PlainTranscript
    from peerage_ledger.records import RoundRecord

PLAIN_QUORUM = 1


class Artefacts(Protocol):
    """Where artefacts are had by name; whoever asks hashes what comes back."""

    def get(self, artefact: bytes, /) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Ground:
    """The names that signatures of a federation are bound to, and how many peers it has."""

    chain_id: int
    registry: bytes
    federation: bytes
    domain: bytes
    registered: int


class _Unproven(Exception):
    """The artefacts do not bear the record out; the sentence says where."""


def node_of(record: RoundRecord, ground: Ground, artefacts: Artefacts) -> ModelNode:
    """The record as a node, with all that its artefacts prove, or with the reason why they prove nothing."""
    bare = ModelNode(
        record=record.record_hash(),
        round=record.round,
        parents=record.parents,
        aggregate=record.aggregate,
        transcript=record.transcript,
        members=record.members,
    )
    try:
        blob = _take(artefacts, record.transcript, "transcript")
        transcript = _transcript(blob)
        if isinstance(transcript, RoundTranscript):
            return _masked(bare, record, transcript, ground, artefacts)
        return _plain(bare, record, transcript, ground)
    except _Unproven as error:
        return replace(bare, unproven=str(error))
    except ValueError as error:  # a signature that nobody can have made, an address table that cannot be
        return replace(bare, unproven=f"its artefacts hold what nobody signs: {error}")


def _transcript(blob: bytes) -> RoundTranscript | PlainTranscript:
    try:
        return decode_round(blob)
    except ValueError:
        pass
    try:
        return decode_plain(blob)
    except ValueError:
        raise _Unproven("its transcript cannot be read") from None


def _take(artefacts: Artefacts, artefact: bytes, what: str) -> bytes:
    blob = artefacts.get(artefact)
    if blob is None:
        raise _Unproven(f"its {what} is not in the store")
    if sha256(blob) != artefact:
        raise _Unproven(f"its {what} in the store holds other bytes than its name says")
    return blob


def _masked(
    bare: ModelNode, record: RoundRecord, t: RoundTranscript, ground: Ground, artefacts: Artefacts
) -> ModelNode:
    stated = (t.round, t.sid, tuple(p.record for p in t.parents), tuple(p.round for p in t.parents), t.aggregate)
    _hold(stated == (record.round, record.sid, record.parents, record.parent_rounds, record.aggregate), "transcript")
    try:
        session = decode_session(_take(artefacts, t.session, "session transcript"))
    except ValueError:
        raise _Unproven("its session transcript cannot be read") from None
    domain, opened = ground.domain, session.opened.statement
    expected = session_id(
        chain_id=ground.chain_id,
        registry=ground.registry,
        round_=opened.round,
        initiator=opened.initiator,
        parent=opened.parent,
        params=opened.params,
        nonce=opened.nonce,
    )
    _hold(record.sid == opened.sid == expected and opened.round == record.round, "session")
    _hold(session.opened.is_by(opened.initiator, domain), "opening of the session")
    joins = {j.signer(domain): j.statement for j in session.joins}
    _hold(address_root({a: j.digest(domain) for a, j in joins.items()}) == record.join_root, "list of joins")
    masked = {m.signer(domain): m.statement.digest(domain) for m in session.manifests}
    _hold(address_root(masked) == record.masked_root and len(masked) == record.members, "list of members")
    _hold(masked.keys() <= joins.keys() and all(j.sid == record.sid for j in joins.values()), "list of members")
    acks = {a.signer(domain): a for a in t.acks}
    leaves = {signer: tagged("peerage/ack/v1", a.signature) for signer, a in acks.items()}
    _hold(address_root(leaves) == record.ack_root, "list of acknowledgements")
    same = all((a.statement.sid, a.statement.model) == (record.sid, record.aggregate) for a in acks.values())
    _hold(same and acks.keys() <= joins.keys(), "list of acknowledgements")
    try:
        quorum = thresholds(ground.registered, len(joins)).quorum
    except InputError:
        raise _Unproven(f"a roster of {len(joins)} among {ground.registered} registered peers cannot be") from None
    return replace(
        bare,
        exchange=Exchange.MASKED,
        initiator=opened.initiator,
        contributions=tuple(
            Contribution(peer, j.version, j.update, j.data_manifest, j.code_manifest)
            for peer, j in sorted(joins.items())
            if peer in masked
        ),
        versions=tuple((v.peer, v.version) for v in t.versions),
        terms=opened.params,
        roster=len(joins),
        acknowledged=tuple(sorted(acks)),
        quorum=quorum,
    )


def _plain(bare: ModelNode, record: RoundRecord, transcript: PlainTranscript, ground: Ground) -> ModelNode:
    body, signed, domain = transcript.body, transcript.signed, ground.domain
    _hold((body.round, body.aggregate) == (record.round, record.aggregate), "transcript")
    _hold(merge_id(body.sid, body.initiator, body.merge) == record.sid, "transcript")
    _hold(signed.is_by(body.initiator, domain) and signed.statement.body == body.digest(), "merge's signature")
    _hold((signed.statement.sid, signed.statement.merge) == (body.sid, body.merge), "merge's signature")
    updates = {u.signer(domain): u.statement for u in body.updates}
    _hold(address_root({a: u.digest(domain) for a, u in updates.items()}) == record.join_root, "list of updates")
    _hold(address_root({a: u.artefact for a, u in updates.items()}) == record.masked_root, "list of weights")
    _hold(len(updates) == record.members and all(u.sid == body.sid for u in updates.values()), "list of updates")
    leaf = {body.initiator: tagged("peerage/ack/v1", signed.signature)}
    _hold(address_root(leaf) == record.ack_root, "merge's signature")
    links = {p.record: p.round for p in body.parents}
    recorded = dict(zip(record.parents, record.parent_rounds, strict=False))
    _hold(recorded.items() <= links.items(), "list of parents")
    return replace(
        bare,
        # with those that were too old for the contract's window and stand in the transcript alone
        parents=tuple(p.record for p in body.parents),
        exchange=Exchange.PLAIN,
        initiator=body.initiator,
        contributions=tuple(
            Contribution(peer, update.version, update.artefact, None, None) for peer, update in sorted(updates.items())
        ),
        versions=tuple((v.peer, v.version) for v in body.versions),
        terms=body.sid,
        roster=len(updates),
        acknowledged=(body.initiator,),
        quorum=PLAIN_QUORUM,
    )


def _hold(held: bool, what: str) -> None:
    if not held:
        raise _Unproven(f"its {what} is not the one that the chain's record commits to")


def binds(node: ModelNode, terms: bytes, ground: Ground) -> bool:
    """Whether this model's statements are bound to the terms with this digest (`manifests.AgreedTerms.digest`)."""
    if node.exchange is Exchange.PLAIN:
        sid = exchange_id(chain_id=ground.chain_id, registry=ground.registry, genesis=ground.federation, terms=terms)
        return node.terms == sid
    return node.terms == terms
