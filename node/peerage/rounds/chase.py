"""Catching up: follow the chain of transcripts from somebody's head back to a record of mine, then judge it forward.

A peer that was away, or that missed a message, needs no favours: every round proves itself. Artefacts come from
whoever named the head; each is checked by hash and judged before anybody stands on it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peerage.effects import Effect, FetchArtefact
from peerage_ledger.judgement import Evidence
from peerage_ledger.transcript import MAX_TRANSCRIPT_BYTES, NOTHING, RoundTranscript, decode_round, decode_session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peerage_ledger.judgement import Judged, Standing

FETCH_ATTEMPTS = 3


@dataclass
class Chase:
    """One pursuit of one head. `known` are the records I stand on; `stack` the rounds not yet judged (oldest last);
    `judged` those that hold, oldest first.
    """

    owner: bytes
    target: bytes
    round: int
    known: Mapping[bytes, Standing]
    sum_bytes: int
    stack: list[tuple[bytes, RoundTranscript]] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    blobs: dict[bytes, bytes] = field(default_factory=dict)
    waiting: dict[bytes, int] = field(default_factory=dict)  # artefact -> size limit
    attempts: Counter[bytes] = field(default_factory=Counter)
    parent: Standing | None = None  # the record of mine that the branch starts from
    failed: str = ""

    def start(self) -> list[Effect]:
        return self._fetch(self.target, MAX_TRANSCRIPT_BYTES)

    def on_blob(self, artefact: bytes, blob: bytes) -> list[Effect]:
        """An artefact that this pursuit waits for has arrived."""
        if self.waiting.pop(artefact, None) is None:
            return []
        self.blobs[artefact] = blob
        return self._walk(artefact, blob) if self.parent is None else []

    def on_missing(self, artefact: bytes) -> list[Effect]:
        """An artefact could not be had from the owner: ask again, a few times."""
        if artefact not in self.waiting:
            return []
        self.attempts[artefact] += 1
        if self.attempts[artefact] < FETCH_ATTEMPTS:
            return self._fetch(artefact, self.waiting[artefact])
        self.failed = "an artefact of the chain cannot be had"
        return []

    def ready(self) -> tuple[Standing, Evidence] | None:
        """The next round to judge and its parent, once its artefacts are here; ValueError when one is garbage."""
        if self.parent is None or not self.stack:
            return None
        transcript_id, transcript = self.stack[-1]
        session, total = self.blobs.get(transcript.session), self.blobs.get(transcript.sum_artefact)
        if session is None or total is None:
            return None
        self.stack.pop()
        parent = self.judged[-1].standing if self.judged else self.parent
        return parent, Evidence(transcript_id, transcript, transcript.session, decode_session(session), total)

    @property
    def done(self) -> bool:
        return self.parent is not None and not self.stack

    def _walk(self, artefact: bytes, blob: bytes) -> list[Effect]:
        try:
            transcript = decode_round(blob)
        except ValueError as error:
            self.failed = str(error)
            return []
        if self.stack and transcript.round != self.stack[-1][1].round - 1:
            self.failed = "the rounds of the chain do not follow each other"
            return []
        self.stack.append((artefact, transcript))
        if len(transcript.parents) != 1:
            self.failed = "a round without exactly one parent"
            return []
        parent = transcript.parents[0]
        self.parent = self.known.get(parent.record)
        if self.parent is not None:
            wanted = [(t.session, MAX_TRANSCRIPT_BYTES) for _, t in reversed(self.stack)]
            wanted += [(t.sum_artefact, self.sum_bytes) for _, t in reversed(self.stack)]
            return [effect for a, limit in wanted for effect in self._fetch(a, limit)]
        if parent.transcript == NOTHING or transcript.round <= 1:
            self.failed = "the chain starts from another federation than mine"
            return []
        return self._fetch(parent.transcript, MAX_TRANSCRIPT_BYTES)

    def _fetch(self, artefact: bytes, limit: int) -> list[Effect]:
        self.waiting[artefact] = limit
        return [FetchArtefact(self.owner, artefact, limit)]
