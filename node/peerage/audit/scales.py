"""Declared scales against the schedule: what each peer sealed in its journal, and what the record gives.

A journal's `locked` line says with which scale an update went under the mask, and its owner signed the chain of lines.
Whether the vector was multiplied with that number is hidden by the mask: nothing here proves it (docs/scheduling.md).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from peerage.schedule import fedau_of
from peerage.scheduling.policies import own_scale
from peerage_ledger.audit.findings import name_of

if TYPE_CHECKING:
    from peerage.config import Federation
    from peerage_ledger.audit.judge import Judgement


def check_scales(judged: Judgement, federation: Federation) -> None:
    """A finding for each update that was locked with another scale than is due. A journal without the line at all is
    of a peer that lost it; what it signed then is `unjournalled`.
    """
    book, ground, fedau = judged.book, judged.rounds.federation, fedau_of(federation)
    if ground.turns is None:
        return
    checked = 0
    for journal in judged.journals:
        peer = journal.peer
        if peer is None:
            continue
        declared = {str(e.fields.get("sid", "")): e.fields.get("scale") for e in journal.of("locked")}
        attended = list[int]()
        for told in judged.accounts.line:
            due = ground.scale(peer, told.round)
            if peer not in told.u3 or due is None:
                continue
            if fedau is not None:
                due = own_scale(fedau, attended, told.round - 1)
            attended.append(told.round - 1)
            if told.sid.hex() not in declared:
                continue
            said = declared[told.sid.hex()]
            checked += 1
            if said != str(due):
                sentence = f"{name_of(peer)} declared the scale {_shown(said)} in round {told.round}, and {due} is due"
                book.find("scale", sentence, round_=told.round, peer=peer)
    book.count("declared scales", checked)
    book.note(
        "whether an update was multiplied with its declared scale is hidden by the mask: only the bounds of the sum, "
        "survivors times the clip in each coordinate, hold for a peer that changed its program"
    )


def _shown(said: object) -> str:
    """At most a few characters of what a journal holds; `Fraction` reads no expression."""
    if not isinstance(said, str):
        return "of nothing"
    try:
        return str(Fraction(said[:40]))
    except (ValueError, ZeroDivisionError):
        return "of no number"
