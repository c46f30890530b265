"""A judged round in short: what the rest of an audit asks of it, without its vectors and signatures.

Told rounds are what an audit keeps in memory and in its cache: a thousand of them are some megabytes, and a round that
was told once need not be judged again as long as its artefacts are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from peerage_crypto.digest import tagged
from peerage_ledger.audit.findings import Notebook, RoundCheck
from peerage_ledger.records import RoundRecord
from peerage_ledger.transcript import NOTHING, ParentLink, RoundTranscript

if TYPE_CHECKING:
    from collections.abc import Collection

    from peerage_crypto.statements import Signed
    from peerage_ledger.audit.terms import CaseFile
    from peerage_ledger.judgement import Federation, Judged


class Said(msgspec.Struct, frozen=True, array_like=True):
    """Who signed what: the statement's type and its EIP-712 digest."""

    peer: bytes
    kind: str
    digest: bytes


class Named(msgspec.Struct, frozen=True, array_like=True):
    """An artefact of this round: what it is, and whose."""

    artefact: bytes
    what: str
    peer: bytes | None


class Told(msgspec.Struct, frozen=True):
    """`transcript` has lost what peers signed in it: `acknowledged`, `emissions` and `halves` say by whom it was.

    `members` are the roster, `u3` who is in the sum, `groups` whose vectors were summed together, `joined` the version
    of each of `u3`; `check` is missing where the sum could not be opened again at all.
    """

    name: bytes  # the transcript's artefact
    transcript: RoundTranscript
    record: RoundRecord
    record_hash: bytes
    initiator: bytes
    members: tuple[bytes, ...]
    u3: tuple[bytes, ...]
    groups: tuple[tuple[bytes, ...], ...]
    joined: tuple[int, ...]
    seed: bytes
    said: tuple[Said, ...]
    acknowledged: tuple[bytes, ...]
    emissions: tuple[tuple[bytes, bytes], ...]  # (peer, record) of each opening
    names: tuple[Named, ...]
    check: RoundCheck | None = None
    halving: bytes = NOTHING  # what has drawn the halves of private validation
    halves: tuple[tuple[bytes, ...], ...] = ()  # whose path gradients were summed together, where all were shown

    @property
    def round(self) -> int:
        return self.transcript.round

    @property
    def sid(self) -> bytes:
        return self.transcript.sid

    @property
    def aggregate(self) -> bytes:
        return self.transcript.aggregate

    @property
    def parent(self) -> bytes:
        """The record that it stands on."""
        return self.transcript.parents[0].record

    @property
    def scored(self) -> bool:
        return self.transcript.direction != NOTHING

    @property
    def link(self) -> ParentLink:
        return ParentLink(self.record_hash, self.round, self.name)


def told_of(judged: Judged, domain: bytes) -> Told:
    """What stays of a round once its numbers are checked."""
    t, s, proven = judged.transcript, judged.session, judged.proven
    signed: list[Signed[Any]] = [
        s.opened,
        *s.joins,
        *s.manifests,
        *s.votes,
        *t.acks,
        *(shown.signed for shown in t.gradients),
        *(opening.signed for opening in t.openings),
    ]
    emissions = [(o.signed.signer(domain), o.signed.statement.emissions) for o in t.openings]
    named = [Named(t.aggregate, "aggregate", None)]
    if t.direction != NOTHING:
        named.append(Named(t.direction, "direction", proven.roster.plan.initiator))
    vectors = zip(proven.u3, s.manifests, strict=True)
    named += [Named(manifest.statement.artefact, "masked vector", member) for member, manifest in vectors]
    shown = zip(proven.u3, t.gradients, strict=False)  # of all survivors, or of none
    named += [Named(one.artefact, "masked path gradient", member) for member, one in shown]
    named += [Named(artefact, "emission record", peer) for peer, artefact in emissions]
    return Told(
        name=judged.standing.transcript,
        transcript=msgspec.structs.replace(t, acks=(), openings=(), gradients=()),
        record=judged.record,
        record_hash=judged.standing.record,
        initiator=proven.roster.plan.initiator,
        members=proven.roster.members,
        u3=proven.u3,
        groups=proven.groups,
        joined=tuple(proven.roster.join_of(member).version for member in proven.u3),
        seed=judged.standing.seed,
        said=tuple(
            Said(one.signer(domain), type(one.statement).__name__, one.statement.digest(domain)) for one in signed
        ),
        acknowledged=tuple(ack.signer(domain) for ack in t.acks),
        emissions=tuple(emissions),
        names=tuple(named),
        halving=judged.standing.halving,
        halves=judged.known_halves,
    )


class Memory(Protocol):
    """What an earlier audit found, by key; `code` names everything that decides a verdict and is no input."""

    @property
    def code(self) -> bytes: ...

    def get(self, key: bytes, /) -> bytes | None: ...

    def put(self, key: bytes, value: bytes, /) -> None: ...


class _Kept(msgspec.Struct, frozen=True):
    told: Told
    notes: tuple[str, ...]
    counts: dict[str, int]
    used: tuple[bytes, ...]


class Recall:
    """Judged rounds kept from audit to audit: only those without any fault, with all of their artefacts there.

    The key names the audit's own code, the federation with its terms and registered peers, and the transcript, which
    names everything that the round rests on by hash: parents, session, sum, vectors. A round is recalled only if each
    of its artefacts is in the store now; the store hashes what it has.
    """

    def __init__(self, memory: Memory, federation: Federation) -> None:
        self._memory, self.recalled = memory, 0
        f = federation
        ground = [f.registry, f.round_ledger, f.vault, f.genesis, f.terms, *sorted(f.registered)]
        self._context = tagged("peerage/audit/context/1", memory.code, f.chain_id.to_bytes(32, "big"), *ground)

    def get(
        self, transcript: bytes, standing: Collection[bytes], store: Collection[bytes], book: Notebook
    ) -> Told | None:
        """The round, if it and the round before it (one of `standing`) hold in this audit too."""
        raw = self._memory.get(self._key(transcript))
        if raw is None:
            return None
        try:
            kept = msgspec.json.decode(raw, type=_Kept)
        except (msgspec.DecodeError, ValueError):
            return None  # torn, or not ours: judged again
        link = kept.told.transcript.parents[0].transcript
        if link != NOTHING and link not in standing:
            return None
        if kept.told.name != transcript or not all(artefact in store for artefact in kept.used):
            return None
        for note in kept.notes:
            book.note(note)
        book.counts.update(kept.counts)
        self.recalled += 1
        return kept.told

    def put(self, told: Told, case: CaseFile, book: Notebook) -> None:
        """`book` is that of this round alone."""
        t = told.transcript
        used = {t.aggregate, t.session, t.sum_artefact}
        if t.parents[0].transcript != NOTHING:
            used.add(t.base)  # the first model is agreed, and need not be in the store
        used |= {named.artefact for named in told.names if named.what != "emission record"}
        if book.findings or told.check is None or not all(artefact in case.store for artefact in used):
            return
        kept = _Kept(told, tuple(book.notes), dict(book.counts), tuple(sorted(used)))
        self._memory.put(self._key(told.name), msgspec.json.encode(kept))

    def _key(self, transcript: bytes) -> bytes:
        return tagged("peerage/audit/round/1", self._context, transcript)
