"""Catching up: follow the chain of transcripts from somebody's head back to mine, then apply it forward.

A peer that was away, or that missed a message, needs no favours: every round proves itself. Artefacts come from
whoever named the head; each is checked by hash and judged before it is applied.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from peerage_ledger.judgement import Evidence
from peerage_ledger.transcript import MAX_TRANSCRIPT_BYTES, NOTHING, RoundTranscript, decode_round, decode_session

from peerage.effects import Effect, FetchArtefact

Artefacts = dict[bytes, bytes]


@dataclass
class Chase:
    """One pursuit of one head; `blobs` holds what has arrived, `stack` the transcripts not yet applied (oldest last)."""

    owner: bytes
    target: bytes
    known: bytes  # the record I stand on
    known_round: int
    sum_bytes: int
    stack: list[tuple[bytes, RoundTranscript]] = field(default_factory=list)
    blobs: Artefacts = field(default_factory=dict)
    waiting: set[bytes] = field(default_factory=set)
    failed: str = ""
    walking: bool = True

    def start(self) -> list[Effect]:
        return self._fetch(self.target, MAX_TRANSCRIPT_BYTES)

    def on_blob(self, artefact: bytes, blob: bytes) -> list[Effect]:
        """An artefact that this pursuit waits for has arrived."""
        if artefact not in self.waiting:
            return []
        self.waiting.discard(artefact)
        self.blobs[artefact] = blob
        return self._walk(artefact, blob) if self.walking else []

    def on_missing(self, artefact: bytes) -> None:
        """An artefact cannot be had from the owner: the pursuit ends."""
        if artefact in self.waiting:
            self.failed = "an artefact of the chain cannot be had"

    def ready(self) -> Evidence | None:
        """The next round to apply, once all its artefacts are here; ValueError when one of them is garbage."""
        if self.walking or not self.stack:
            return None
        transcript_id, transcript = self.stack[-1]
        session, total = self.blobs.get(transcript.session), self.blobs.get(transcript.sum_artefact)
        if session is None or total is None:
            return None
        self.stack.pop()
        return Evidence(transcript_id, transcript, transcript.session, decode_session(session), total)

    @property
    def done(self) -> bool:
        return bool(self.failed) or (not self.walking and not self.stack)

    def _walk(self, artefact: bytes, blob: bytes) -> list[Effect]:
        try:
            transcript = decode_round(blob)
        except ValueError as error:
            self.failed = str(error)
            return []
        self.stack.append((artefact, transcript))
        parent = transcript.parents[0] if len(transcript.parents) == 1 else None
        if parent is None:
            self.failed = "a round without exactly one parent"
        elif parent.record == self.known:
            self.walking = False
            wanted = [(t.session, MAX_TRANSCRIPT_BYTES) for _, t in reversed(self.stack)]
            wanted += [(t.sum_artefact, self.sum_bytes) for _, t in reversed(self.stack)]
            return [effect for a, limit in wanted for effect in self._fetch(a, limit)]
        elif parent.transcript == NOTHING or transcript.round <= self.known_round + 1:
            self.failed = "the head stands on another branch than mine"
        else:
            return self._fetch(parent.transcript, MAX_TRANSCRIPT_BYTES)
        return []

    def _fetch(self, artefact: bytes, limit: int) -> list[Effect]:
        self.waiting.add(artefact)
        return [FetchArtefact(self.owner, artefact, limit)]
