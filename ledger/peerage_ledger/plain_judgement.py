"""What makes a merge of plain exchange valid, from artefacts alone: for the peer that pulls, and for the auditor.

`judge_statements` looks at one transcript by itself, `judge_plain` at it beside its past and its weights, and
`judge_plain_history` at all records of a federation, from the genesis to the final model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_crypto.plain_statements import PlainMerge, PlainUpdate
from peerage_crypto.secagg_judge import Fault
from peerage_ledger.judgement import joined
from peerage_ledger.plain_record import SCHEMA, PlainBody, decode_plain, exchange_of, genesis_link, record_of_merge
from peerage_ledger.transcript import ParentLink, Versioned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from peerage_crypto.statements import Signed
    from peerage_ledger.judgement import Federation
    from peerage_ledger.plain_record import PlainTranscript
    from peerage_ledger.records import RoundRecord

    Vector = NDArray[np.float32]

MAX_EXAMPLES: Final = 2**32  # nobody's rows on one site: a count above it is no count

# (models, sample counts, which of them is the merging peer's own, the number of its merge) -> the merged model;
# InputError where the federation's rule allows no such merge
Mean = Callable[["list[Vector]", "list[int]", "int | None", int], "Vector"]


@dataclass(frozen=True, slots=True)
class Participants:
    """Whose models went in, in the order of the mean: addresses ascending."""

    peers: tuple[bytes, ...]
    updates: tuple[PlainUpdate, ...]


@dataclass(frozen=True, slots=True)
class PlainJudged:
    """A merge whose statements hold. `model` is None where the weights were not there to be added up again."""

    transcript_id: bytes
    body: PlainBody
    participants: Participants
    record: RoundRecord
    model: Vector | None

    @property
    def link(self) -> ParentLink:
        return ParentLink(self.record.record_hash(), self.body.round, self.transcript_id)


def wrong_update(federation: Federation, signed: Signed[PlainUpdate], peer: bytes) -> str:
    """Why this is no update of this peer's (empty when it is one): asked by who pulls, and by the auditor."""
    update = signed.statement
    if peer not in federation.registered:
        return "it is not registered"
    if not signed.is_by(peer, federation.domain) or update.sid != exchange_of(federation):
        return "it did not sign the update in its name for this federation"
    if not 0 < update.examples <= MAX_EXAMPLES:
        return f"it claims {update.examples} training examples: 1 to {MAX_EXAMPLES} can be"
    if update.version == 0 or (update.base_round == 0) != (update.base == federation.genesis):
        return "its update names a version or a base that cannot be"
    return ""


def weights_of(blob: bytes, parameters: int) -> Vector | str:
    """Served weights from their canonical bytes, or what is wrong with them."""
    if len(blob) != 4 * parameters:
        return f"its weights have {len(blob)} bytes where the layout has {4 * parameters}"
    weights = np.frombuffer(blob, "<f4").astype(np.float32)
    if not np.isfinite(weights).all():
        return "its weights contain a NaN or an infinity"
    return weights


def judge_statements(federation: Federation, transcript_id: bytes, transcript: PlainTranscript) -> PlainJudged | Fault:
    """All that a transcript says by itself: signatures, counts, the shape of its parents; no weights, no past."""
    body, signed = transcript.body, transcript.signed
    who = body.initiator
    if who not in federation.registered or not signed.is_by(who, federation.domain):
        return Fault("merge-signature", None, "a merge is not signed by the peer in whose name it stands")
    statement = PlainMerge(exchange_of(federation), body.merge, body.digest())
    if signed.statement != statement or body.sid != statement.sid or body.schema != SCHEMA:
        return Fault("merge-signature", who, "its signature is not under this merge of this federation")
    peers: list[bytes] = []
    for update in body.updates:
        try:
            peer = update.signer(federation.domain)
        except ValueError:
            return Fault("update-signature", who, "it merged an update that is signed by nobody")
        wrong = wrong_update(federation, update, peer)
        if wrong:
            return Fault("update", who, f"it merged an update of 0x{peer.hex()} that does not hold: {wrong}")
        peers.append(peer)
    if not peers or peers != sorted(set(peers)):
        return Fault("merge-updates", who, "its updates are none, or not one a peer in the order of addresses")
    if federation.near is not None and not set(peers) <= federation.near(who, body.merge) | {who}:
        return Fault("merge-neighbours", who, "it merged the model of a peer that is no neighbour of its own")
    wrong = _wrong_parents(federation, body)
    if wrong:
        return Fault("merge-parents", who, wrong)
    record = record_of_merge(federation, body, transcript_id, signed)
    participants = Participants(tuple(peers), tuple(u.statement for u in body.updates))
    return PlainJudged(transcript_id, body, participants, record, None)


def _wrong_parents(federation: Federation, body: PlainBody) -> str:
    bases = {(u.statement.base, u.statement.base_round) for u in body.updates}
    rounds = {p.record: p.round for p in body.parents}
    if [p.record for p in body.parents] != sorted(rounds):
        return "its parents are not one of each, in the order of their hashes"
    if rounds.keys() != {body.previous, *(base for base, _ in bases)} or any(rounds[b] != r for b, r in bases):
        return "its parents are not its own record before and the records that the models stand on"
    if body.round != 1 + max(rounds.values()):
        return "its round is not one more than the deepest parent's"
    if any((p.round == 0) != (p == genesis_link(federation)) for p in body.parents):
        return "only the federation's genesis stands at round 0"
    if (body.merge == 1) != (body.previous == federation.genesis):
        return "a first merge, and only a first one, stands on the genesis"
    return ""


def judge_plain(
    federation: Federation,
    judged: PlainJudged,
    past: Mapping[bytes, PlainJudged],
    store: Mapping[bytes, bytes],
    mean: Mean,
    parameters: int,
) -> PlainJudged | list[Fault]:
    """A merge against its past and its weights: `past` has the judged parents by record, `store` artefacts by id.

    Where a participant's weights are gone (pruned), the sum is not checked and `model` stays None; everything else is.
    """
    body, who = judged.body, judged.body.initiator
    faults = _past_faults(federation, judged, past)
    models: list[Vector] = []
    for peer, update in zip(judged.participants.peers, judged.participants.updates, strict=True):
        blob = store.get(update.artefact)
        if blob is None:
            continue
        weights = weights_of(blob, parameters)
        if isinstance(weights, str):
            faults.append(Fault("weights", peer, f"{weights} (version {update.version})"))
            faults.append(Fault("merge-weights", who, f"it merged weights of 0x{peer.hex()} that cannot be merged"))
        else:
            models.append(weights)
    if faults or len(models) < len(judged.participants.peers):
        return faults or judged
    peers = judged.participants.peers
    own = peers.index(who) if who in peers else None
    try:
        model = mean(models, [u.examples for u in judged.participants.updates], own, body.merge)
    except InputError as error:
        return [Fault("merge-rule", who, f"its merge is none that the federation's rule allows: {error}")]
    if sha256(model.astype("<f4", copy=False).tobytes()) != body.aggregate:
        return [Fault("aggregate", who, "its aggregate is not what the rule makes of the models that it merged")]
    return PlainJudged(judged.transcript_id, body, judged.participants, judged.record, model)


def _past_faults(federation: Federation, judged: PlainJudged, past: Mapping[bytes, PlainJudged]) -> list[Fault]:
    body, who = judged.body, judged.body.initiator
    faults: list[Fault] = []
    for parent in body.parents:
        known = past.get(parent.record)
        if parent.record == federation.genesis:
            continue
        if known is None:
            faults.append(Fault("merge-parent-missing", who, f"its parent {parent.record.hex()} cannot be found"))
        elif known.link != parent:
            faults.append(Fault("merge-parents", who, "it names a parent with a wrong round or transcript"))
    previous = past.get(body.previous)
    if previous is not None and (previous.body.initiator != who or previous.body.merge + 1 != body.merge):
        faults.append(Fault("merge-order", who, "its merge does not follow from its own merge before"))
    if previous is None and body.merge != 1:
        return faults
    return faults + _version_faults(judged, previous, past)


def _version_faults(
    judged: PlainJudged, previous: PlainJudged | None, past: Mapping[bytes, PlainJudged]
) -> list[Fault]:
    """Only what is newer than the version vector says goes in, and then the vector says so."""
    who = judged.body.initiator
    before = {v.peer: v.version for v in previous.body.versions} if previous else {}
    faults: list[Fault] = []
    for peer, update in zip(judged.participants.peers, judged.participants.updates, strict=True):
        base = past.get(update.base)
        if base is not None and base.body.initiator != peer:
            faults.append(Fault("update", peer, "it served a model as standing on another peer's record"))
        if update.version <= before.get(peer, 0):
            faults.append(Fault("version-reused", who, f"it merged version {update.version} of 0x{peer.hex()} again"))
    if judged.body.versions != versions_after(before, judged.participants):
        faults.append(Fault("versions", who, "its version vector is not the joined one"))
    return faults


def versions_after(before: Mapping[bytes, int], participants: Participants) -> tuple[Versioned, ...]:
    """The version vector once these are merged, sorted by address."""
    taken = {p: u.version for p, u in zip(participants.peers, participants.updates, strict=True)}
    return tuple(Versioned(p, v) for p, v in sorted(joined(before, taken).items()))


@dataclass
class PlainHistory:
    """All merges of a federation: what holds, by record; what does not, with the record's round; the final model.

    `stated` has every merge whose statements hold by themselves: what follows from a bad merge is not bad for that.
    `unsummed` names records whose weights were not there to be added up again (pruned): for them only the statements
    and the past were checked.
    """

    judged: dict[bytes, PlainJudged] = field(default_factory=dict[bytes, PlainJudged])
    stated: dict[bytes, PlainJudged] = field(default_factory=dict[bytes, PlainJudged])
    faults: list[tuple[int, Fault]] = field(default_factory=list[tuple[int, Fault]])
    unsummed: list[bytes] = field(default_factory=list[bytes])
    final: bytes = b""


def judge_plain_history(
    federation: Federation, records: Iterable[RoundRecord], store: Mapping[bytes, bytes], mean: Mean, parameters: int
) -> PlainHistory:
    """Judge what the chain recorded: `records` as it holds them, in any order; `store` gives artefacts by their id."""
    history = PlainHistory()
    for record in sorted(records, key=lambda r: (r.round, r.record_hash())):
        faults = _judge_recorded(federation, record, history, store, mean, parameters)
        history.faults += [(record.round, fault) for fault in faults]
    history.faults += _equivocations(federation, history.stated.values())
    history.final = final_aggregate((j.body.merge, j.body.aggregate) for j in history.judged.values())
    return history


def _judge_recorded(
    federation: Federation,
    record: RoundRecord,
    history: PlainHistory,
    store: Mapping[bytes, bytes],
    mean: Mean,
    parameters: int,
) -> list[Fault]:
    blob = store.get(record.transcript)
    if blob is None or sha256(blob) != record.transcript:
        return [Fault("merge-transcript", None, f"the transcript {record.transcript.hex()} of a record is not there")]
    try:
        transcript = decode_plain(blob)
    except ValueError as error:
        return [Fault("merge-transcript", None, f"the transcript {record.transcript.hex()} does not hold: {error}")]
    stated = judge_statements(federation, record.transcript, transcript)
    if isinstance(stated, Fault):
        return [stated]
    if stated.record != record:
        return [Fault("merge-record", stated.body.initiator, "the chain's record is not what its transcript gives")]
    name = record.record_hash()
    history.stated[name] = stated
    judged = judge_plain(federation, stated, history.stated, store, mean, parameters)
    if isinstance(judged, list):
        return judged
    history.judged[name] = stated  # without the model: a run has many
    if judged.model is None:
        history.unsummed.append(name)
    return []


def _equivocations(federation: Federation, judged: Iterable[PlainJudged]) -> list[tuple[int, Fault]]:
    """One peer, one version, two sets of weights; or one merge told in two ways."""
    first: dict[tuple[bytes, str, int], bytes] = {}
    faults: dict[tuple[bytes, str, int], tuple[int, Fault]] = {}
    for one in judged:
        said = [(one.body.initiator, "merge", one.body.merge, one.body.digest())]
        said += [
            (peer, "version", update.version, update.digest(federation.domain))
            for peer, update in zip(one.participants.peers, one.participants.updates, strict=True)
        ]
        for peer, what, number, digest in said:
            key = (peer, what, number)
            if first.setdefault(key, digest) != digest:
                fault = Fault("equivocation", peer, f"it signed two different statements of its {what} {number}")
                faults[key] = (one.body.round, fault)
    return list(faults.values())


def final_aggregate(merges: Iterable[tuple[int, bytes]]) -> bytes:
    """The model of the run, from (merge, aggregate) of every record: of the highest merge that anybody made, the
    aggregate that most peers share, and of equals the lowest name. Empty without a merge.
    """
    found = list(merges)
    newest = max((merge for merge, _ in found), default=0)
    last = [aggregate for merge, aggregate in found if merge == newest]
    return max(sorted(set(last)), key=last.count, default=b"")
