"""Where a peer in plain exchange stands, what it serves, what it is doing: values that its engine passes on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from peerage.plain.rules import FEDAVG, MergeRule
from peerage_ledger.transcript import ParentLink, Versioned

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from peerage_crypto.plain_statements import PlainUpdate
    from peerage_crypto.statements import Signed
    from peerage_ledger.plain_judgement import PlainJudged

    Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PlainRules:
    """The agreed number of merges, and this peer's patience (seconds)."""

    rounds: int
    patience: float  # how long a peer with a version waits for those who are there and have no news
    stall_seconds: float  # what has not been pulled by then is left out
    rule: MergeRule = FEDAVG


@dataclass(frozen=True, slots=True)
class PlainStanding:
    """Where my last merge left me. `round` counts my merges, `depth` is the round of its record on the ledger."""

    round: int
    depth: int
    record: bytes
    transcript: bytes
    aggregate: bytes
    model: Vector
    step: Vector
    versions: Mapping[bytes, int]

    @property
    def link(self) -> ParentLink:
        return ParentLink(self.record, self.depth, self.transcript)


class Stage(Enum):
    """What the peer is doing."""

    RETURNING = "returning"  # reading its own past after a restart
    TRAINING = "training"
    WAITING = "waiting"
    PULLING = "pulling"
    CLOSING = "closing"  # all is here; the meter closes its record of the merge
    LEAVING = "leaving"  # all merges are made; the chain is behind
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Served:
    """What I serve: one signed version, its weights, and what the model that it was trained on contains."""

    signed: Signed[PlainUpdate]
    weights: Vector
    transcript: bytes
    contains: tuple[Versioned, ...]


def standing_on(judged: PlainJudged, model: Vector, step: Vector) -> PlainStanding:
    """Where a merge leaves its initiator."""
    body, link = judged.body, judged.link
    versions = {v.peer: v.version for v in body.versions}
    return PlainStanding(body.merge, link.round, link.record, link.transcript, body.aggregate, model, step, versions)
