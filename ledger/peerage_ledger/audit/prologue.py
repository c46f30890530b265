"""The round before the first: the same statements and masks, no chain and no pay; its sum gives a part of the terms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from peerage_crypto.digest import sha256
from peerage_crypto.masking import total_of
from peerage_ledger.audit.findings import Notebook
from peerage_ledger.audit.rounds import Rounds, judge_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerage_ledger.audit.chain import History
    from peerage_ledger.audit.journal import Journal
    from peerage_ledger.audit.rounds import Named
    from peerage_ledger.audit.terms import CaseFile


def judge_prologue(case: CaseFile, history: History, journals: Sequence[Journal], book: Notebook) -> list[Rounds]:
    """Empty where the terms name nothing that peers had to add up first."""
    prologue = case.prologue
    if prologue is None:
        return []
    wanted = _named(prologue.artefact, journals, book)
    if not wanted:
        book.note("the statistics round before the first is not checked: no journal names its transcript")
        return []
    apart = Notebook()
    rounds = judge_named(replace(case, terms=prologue.terms), history.registered, wanted, prologue.maths, apart)
    for finding in apart.findings:
        book.find(finding.code, f"statistics round: {finding.sentence}", round_=0, peer=finding.peer)
    for what in ("masked vectors", "opened numbers"):
        book.count(what, apart.counts[what])
    for told in rounds.judged.values():
        ring = prologue.terms.ring
        words = np.frombuffer(case.store[told.transcript.sum_artefact], ring.dtype.newbyteorder("<"))
        sums = words.astype(ring.dtype).reshape(len(told.groups), -1)
        if sha256(prologue.derive(total_of(list(sums), ring))) != prologue.artefact:
            sentence = "the scale that the sessions are bound to does not follow from the sum of the statistics round"
            book.find("standardiser", sentence, round_=0)
    return [rounds]


def _named(artefact: bytes, journals: Sequence[Journal], book: Notebook) -> list[Named]:
    """The transcripts of statistics rounds that journals name; whoever names another outcome is found."""
    wanted: list[Named] = []
    for journal in journals:
        for entry in journal.of("standardiser"):
            if str(entry.fields.get("artefact", "")) != artefact.hex():
                sentence = (
                    f"{journal.name} says that the statistics round gave another scale than sessions are bound to"
                )
                book.find("standardiser", sentence, round_=0, peer=journal.peer)
            try:
                named = bytes.fromhex(str(entry.fields.get("transcript", "")))
            except ValueError:
                named = b""
            if named:
                wanted.append((named, 0, journal.peer, f"the journal of {journal.name}"))
    return wanted
