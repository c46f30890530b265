"""Questions about records on the ledger, and who answers them: silence would cost an honest poster a fifth.

The poster answers at once, the others in turn after it, in case it is away; an answer that comes second costs nobody
anything. What answers is the transcript that every peer keeps of every round it stands on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerage_crypto.statements import signing_domain
from peerage_ledger.contracts import contract
from peerage_ledger.disputes.answers import answer, answer_merge
from peerage_ledger.disputes.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from peerage_ledger.deployment import Deployment
    from peerage_ledger.interface import OpenQuestion

TURN_SECONDS: Final = 5.0
MOST_TURNS: Final = 10  # later ones answer together: a question waits minutes, not hours
AGAIN_SECONDS: Final = 30.0  # what I lack may have come by then
TIMER: Final = "answer:"


def turn_of(question: OpenQuestion, me: bytes, active: Collection[bytes]) -> float:
    """How long (seconds) I leave it to those before me: the poster, then the others by address."""
    others = sorted({*active, me} - {question.poster})
    rank = 0 if me == question.poster else 1 + others.index(me)
    return min(rank, MOST_TURNS) * TURN_SECONDS


def answer_to(question: OpenQuestion, deployment: Deployment, held: Callable[[bytes], bytes | None]) -> bytes | None:
    """The calldata of the answer from artefacts that are `held`; None when they do not answer it."""
    record, shelf = question.record, Shelf(signing_domain(deployment.chain_id, deployment.ledger))
    transcript = held(record.transcript)
    if transcript is None:
        return None
    shelf.take(record.transcript, transcript)
    for told in tuple(shelf.rounds.values()):
        session = held(told.session)
        if session is not None:
            shelf.take(told.session, session)
    try:
        if shelf.rounds:
            call = answer(question.asked, record, shelf, question.seats)
        else:
            call = answer_merge(record, transcript, shelf.domain, question.seats)
    except ValueError:  # a transcript with signatures that are none: nobody honest closes a round with it
        return None
    return None if call is None else contract("RoundArbiter").call(call[0], *call[1])
