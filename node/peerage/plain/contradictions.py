"""One version, two signed statements: the proof that a peer serves different models to different peers.

A version is one signed statement about one artefact, for ever, and whoever merged it keeps that statement in its
transcript, which the next pull brings here. So a peer that tells two others two things is convicted as soon as anybody
pulls from both: the two statements are the proof, and need no word of whoever found them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peerage_crypto.plain_statements import PlainUpdate
from peerage_crypto.statements import Signed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peerage_ledger.judgement import Federation

Said = dict[int, Signed[PlainUpdate]]

KEPT = 64  # versions of a peer whose statements are compared: no honest peer's transcripts reach further back


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two statements by one peer about one version."""

    peer: bytes
    first: Signed[PlainUpdate]
    second: Signed[PlainUpdate]

    @property
    def sentence(self) -> str:
        version = self.first.statement.version
        return f"it signed two different statements of its version {version}, for different peers"

    def holds(self, federation: Federation) -> bool:
        """Whether it convicts: asked by anybody, of two statements alone."""
        one, other = self.first.statement, self.second.statement
        same = (one.sid, one.version) == (other.sid, other.version)
        signed = all(s.is_by(self.peer, federation.domain) for s in (self.first, self.second))
        return same and one != other and signed and self.peer in federation.registered


@dataclass
class Statements:
    """What every peer was heard to say of its versions, itself or in others' transcripts; signatures are checked."""

    said: dict[bytes, Said] = field(default_factory=dict[bytes, "Said"])
    convicted: set[bytes] = field(default_factory=set[bytes])

    def heard(self, signed: Iterable[tuple[bytes, Signed[PlainUpdate]]]) -> list[Contradiction]:
        """Contradictions with what was heard before: one a peer is enough."""
        found: list[Contradiction] = []
        for peer, update in signed:
            versions = self.said.setdefault(peer, {})
            before = versions.setdefault(update.statement.version, update)
            if before.statement != update.statement and peer not in self.convicted:
                self.convicted.add(peer)
                found.append(Contradiction(peer, before, update))
            while len(versions) > KEPT:
                del versions[min(versions)]
        return found
