"""What a store proves: its sessions, rounds and contradictions, read once, believed for their signatures alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from peerage_crypto import equivocation
from peerage_crypto.digest import address_root
from peerage_crypto.equivocation import Witness
from peerage_crypto.identity import BadSignature
from peerage_ledger.disputes.evidence import Tables, ack_leaf
from peerage_ledger.transcript import (
    MAX_TRANSCRIPT_BYTES,
    RoundTranscript,
    decode_round,
    decode_session,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from peerage_crypto.session import SessionTranscript
    from peerage_crypto.statements import MaskedUpdate, ResultAck, Signed
    from peerage_ledger.records import RoundRecord


@dataclass
class Shelf:
    """Sessions by sid, rounds by artefact; `evidence` are contradictions that somebody has written down."""

    domain: bytes
    sessions: dict[bytes, list[SessionTranscript]] = field(default_factory=dict[bytes, "list[SessionTranscript]"])
    rounds: dict[bytes, RoundTranscript] = field(default_factory=dict[bytes, RoundTranscript])
    evidence: list[equivocation.Evidence] = field(default_factory=list[equivocation.Evidence])

    @classmethod
    def of(cls, domain: bytes, store: Mapping[bytes, bytes]) -> Shelf:
        """Every document of a store that is one of these."""
        shelf = cls(domain)
        for artefact in sorted(store):
            shelf.take(artefact, store[artefact])
        return shelf

    def take(self, artefact: bytes, blob: bytes) -> None:
        """Another kind of artefact is left alone."""
        if blob[:1] != b"{" or len(blob) > MAX_TRANSCRIPT_BYTES:
            return
        for read in (self._session, self._round, self._contradiction):
            try:
                read(artefact, blob)
            except (ValueError, RecursionError):
                continue
            return

    def _session(self, _artefact: bytes, blob: bytes) -> None:
        session = decode_session(blob)
        self.sessions.setdefault(session.opened.statement.sid, []).append(session)

    def _round(self, artefact: bytes, blob: bytes) -> None:
        self.rounds[artefact] = decode_round(blob)

    def _contradiction(self, _artefact: bytes, blob: bytes) -> None:
        self.evidence.append(equivocation.decode(blob))

    def session_of(self, record: RoundRecord) -> SessionTranscript | None:
        """That of the record's sid; where there are several, the one that gives most of the record's roots."""
        found = self.sessions.get(record.sid, [])
        return max(found, key=lambda s: self._fits(s, record), default=None)

    def _fits(self, session: SessionTranscript, record: RoundRecord) -> int:
        tables = self.tables(session)
        wanted = ((tables.joins, record.join_root), (tables.masked, record.masked_root))
        return sum(address_root(table) == root for table, root in wanted)

    def tables(self, session: SessionTranscript, acks: Mapping[bytes, Signed[ResultAck]] | None = None) -> Tables:
        """What a record of this session has under its roots."""
        joins = {signer: one.statement.digest(self.domain) for signer, one in self.signed(session.joins)}
        masked = {signer: one.statement.digest(self.domain) for signer, one in self.updates(session).items()}
        return Tables(joins, masked, {signer: ack_leaf(ack) for signer, ack in (acks or {}).items()})

    def updates(self, session: SessionTranscript) -> dict[bytes, Signed[MaskedUpdate]]:
        """The survivors' statements, by signer."""
        return dict(self.signed(session.manifests))

    def rounds_of(self, record: RoundRecord) -> list[RoundTranscript]:
        """Those of the record's session, the one that it names first."""
        others = [t for name, t in self.rounds.items() if t.sid == record.sid and name != record.transcript]
        named = self.rounds.get(record.transcript)
        return [named, *others] if named is not None else others

    def acks(self, record: RoundRecord) -> list[dict[bytes, Signed[ResultAck]]]:
        """All acknowledgements of the record's session, grouped by what they say, by signer; largest group first."""
        groups: dict[bytes, dict[bytes, Signed[ResultAck]]] = {}
        for transcript in self.rounds_of(record):
            for signer, ack in self.signed(transcript.acks):
                if ack.statement.sid == record.sid:
                    groups.setdefault(ack.statement.digest(self.domain), {})[signer] = ack
        return sorted(groups.values(), key=len, reverse=True)

    def contradictions(self, registered: frozenset[bytes]) -> Iterator[equivocation.Evidence]:
        """What was written down, and what the statements of all documents contradict in one another."""
        yield from self.evidence
        witness = Witness(self.domain, registered)
        for signed in self._all():
            found = witness.hear(signed)
            if found is not None:
                yield found

    def _all(self) -> Iterator[Signed[Any]]:
        for sessions in self.sessions.values():
            for session in sessions:
                yield from session.manifests
                yield from session.votes
        for transcript in self.rounds.values():
            yield from transcript.acks
            yield from (opening.signed for opening in transcript.openings)

    def signed(self, statements: tuple[Signed[Any], ...]) -> Iterator[tuple[bytes, Signed[Any]]]:
        """Each with its signer, in their order; those that nobody has signed are left out."""
        for signed in statements:
            try:
                yield signed.signer(self.domain), signed
            except BadSignature:
                continue
