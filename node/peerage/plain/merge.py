"""BrainTorrent's merge: what was pulled and my own version, by the federation's rule over these participants alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.rounds.aggregation import canonical
from peerage_crypto.digest import sha256
from peerage_ledger.plain_judgement import Participants, versions_after
from peerage_ledger.plain_record import SCHEMA, PlainBody
from peerage_ledger.transcript import ParentLink

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from peerage.plain.pull import Pull
    from peerage.plain.rules import MergeRule
    from peerage.plain.state import PlainStanding, Served

    Vector = NDArray[np.float32]


def merged(
    exchange: bytes,
    me: bytes,
    head: PlainStanding,
    pull: Pull,
    mine: Served | None,
    emissions: bytes,
    rule: MergeRule,
) -> tuple[PlainBody, Vector]:
    """The next merge of a peer on `head`; `mine` is its own version, if none of its merges contains that yet."""
    models = dict(pull.weights)
    signed = {peer: news.update for peer, news in pull.chosen.items() if news.update}
    transcripts = {peer: news.transcript for peer, news in pull.chosen.items()}
    bases = {ParentLink(u.statement.base, u.statement.base_round, transcripts[p]) for p, u in signed.items()}
    if mine is not None:
        models[me], signed[me] = mine.weights, mine.signed
    peers = tuple(sorted(signed))
    updates = tuple(signed[peer].statement for peer in peers)
    own = peers.index(me) if me in peers else None
    model = rule([models[peer] for peer in peers], [update.examples for update in updates], own, head.round + 1)
    parents = {link.record: link for link in {*bases, head.link}}
    body = PlainBody(
        schema=SCHEMA,
        sid=exchange,
        initiator=me,
        merge=head.round + 1,
        round=1 + max(link.round for link in parents.values()),
        previous=head.record,
        parents=tuple(parents[record] for record in sorted(parents)),
        updates=tuple(signed[peer] for peer in peers),
        versions=versions_after(head.versions, Participants(peers, updates)),
        aggregate=sha256(canonical(model)),
        emissions=emissions,
    )
    return body, model
