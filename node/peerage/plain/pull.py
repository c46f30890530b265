"""Pulling for one merge: the weights of every fresh peer, and the records that they stand on, back to what I know.

A record that goes into mine must be one that the chain can accept, even when its owner vanishes before it was sent:
so whoever pulls a model also holds the transcripts behind it, and can hand in the records in its owner's stead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peerage.effects import Effect, FetchArtefact
from peerage_crypto.secagg_judge import Fault
from peerage_ledger.plain_judgement import PlainJudged, judge_statements, weights_of
from peerage_ledger.plain_record import OLDEST_PARENT, decode_plain
from peerage_ledger.transcript import MAX_TRANSCRIPT_BYTES, ParentLink

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from peerage.plain.messages import PlainNews
    from peerage_crypto.plain_statements import PlainUpdate
    from peerage_ledger.judgement import Federation

    Vector = NDArray[np.float32]

TRIES = 3  # for each artefact


@dataclass
class Ancestry:
    """Merges whose statements hold, by record, and the transcripts on their way from each owner."""

    federation: Federation
    known: dict[bytes, PlainJudged] = field(default_factory=dict[bytes, PlainJudged])
    pending: dict[bytes, dict[bytes, ParentLink]] = field(default_factory=dict[bytes, dict[bytes, ParentLink]])

    def want(self, owner: bytes, link: ParentLink) -> list[Effect]:
        """Get this record and what stands behind it, unless it is known."""
        waiting = self.pending.setdefault(owner, {})
        if link.round == 0 or link.record in self.known or link.transcript in waiting:
            return []
        waiting[link.transcript] = link
        return [FetchArtefact(owner, link.transcript, MAX_TRANSCRIPT_BYTES)]

    def waits_for(self, owner: bytes) -> bool:
        return bool(self.pending.get(owner))

    def drop(self, owner: bytes) -> None:
        self.pending.pop(owner, None)

    def on_blob(self, artefact: bytes, blob: bytes) -> tuple[list[Effect], list[tuple[bytes, str]], list[PlainJudged]]:
        """A transcript is here: what else to fetch, what is wrong with whose chain, and the merges learned."""
        effects: list[Effect] = []
        wrong: list[tuple[bytes, str]] = []
        learned: list[PlainJudged] = []
        for owner, waiting in list(self.pending.items()):
            link = waiting.pop(artefact, None)
            if link is None:
                continue
            judged = self._judge(link, artefact, blob)
            if isinstance(judged, str):
                wrong.append((owner, judged))
                continue
            if link.record not in self.known:
                self.known[link.record] = judged
                learned.append(judged)
            for parent in judged.body.parents:
                if link.round - parent.round <= OLDEST_PARENT:
                    effects += self.want(owner, parent)
        return effects, wrong, learned

    def _judge(self, link: ParentLink, artefact: bytes, blob: bytes) -> PlainJudged | str:
        try:
            judged = judge_statements(self.federation, artefact, decode_plain(blob))
        except ValueError as error:
            return str(error)
        if isinstance(judged, Fault):
            return judged.sentence
        return judged if judged.link == link else "a record that it stands on is not the one it names"


@dataclass
class Pull:
    """One merge's pulling: `chosen` is what to pull from whom, `weights` what has come."""

    chosen: dict[bytes, PlainNews]
    parameters: int
    weights: dict[bytes, Vector] = field(default_factory=dict)
    _tries: dict[tuple[bytes, bytes], int] = field(default_factory=dict[tuple[bytes, bytes], int])

    def update_of(self, peer: bytes) -> PlainUpdate:
        signed = self.chosen[peer].update
        if signed is None:
            raise AssertionError("news without an update was chosen")
        return signed.statement

    def start(self, ancestry: Ancestry) -> list[Effect]:
        effects: list[Effect] = []
        for peer, news in self.chosen.items():
            update = self.update_of(peer)
            effects.append(FetchArtefact(peer, update.artefact, 4 * self.parameters))
            effects += ancestry.want(peer, ParentLink(update.base, update.base_round, news.transcript))
        return effects

    def on_blob(self, artefact: bytes, blob: bytes) -> list[tuple[bytes, str]]:
        """Weights are here; whoever served what cannot be merged, and why."""
        wrong: list[tuple[bytes, str]] = []
        for peer in self.chosen:
            if self.update_of(peer).artefact == artefact and peer not in self.weights:
                weights = weights_of(blob, self.parameters)
                if isinstance(weights, str):
                    wrong.append((peer, weights))
                else:
                    self.weights[peer] = weights
        return wrong

    def again(self, owner: bytes, artefact: bytes, limit: int) -> list[Effect]:
        """Another attempt at an artefact; none when there were enough."""
        tried = self._tries[owner, artefact] = self._tries.get((owner, artefact), 1) + 1
        return [FetchArtefact(owner, artefact, limit)] if tried <= TRIES else []

    def complete(self, ancestry: Ancestry) -> bool:
        return all(peer in self.weights and not ancestry.waits_for(peer) for peer in self.chosen)

    def unresolved(self, ancestry: Ancestry) -> list[bytes]:
        return [peer for peer in self.chosen if peer not in self.weights or ancestry.waits_for(peer)]
