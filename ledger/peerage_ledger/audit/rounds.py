"""Every round judged again from its artefacts, parent before child, and compared with the record that the chain keeps.

A round is reached from the chain's records and from the journals' word; neither is believed. What follows from a round
that does not hold is not judged, and said to be so. Models are held for the last few rounds only; older ones are read
from the store again where a fork needs them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from peerage_crypto.digest import sha256
from peerage_ledger.audit.findings import Notebook
from peerage_ledger.audit.numbers import check_numbers
from peerage_ledger.audit.told import Recall, Told, told_of
from peerage_ledger.judgement import NO_STATE, Evidence, Federation, Judged, Standing, genesis, judge_round
from peerage_ledger.transcript import NOTHING, RoundTranscript, decode_round, decode_session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from peerage_ledger.audit.findings import RoundCheck
    from peerage_ledger.audit.terms import CaseFile, Mathematics
    from peerage_ledger.judgement import Merge

    Vector = NDArray[np.float32]

Named = tuple[bytes, int, "bytes | None", str]  # a transcript, its round, and who says so


@dataclass
class Rounds:
    """The told rounds by transcript id, oldest first; `broken` are transcripts that do not hold or stand on one.

    `standings` has the models of the newest rounds.
    """

    federation: Federation
    start: Standing
    store: Mapping[bytes, bytes]
    judged: dict[bytes, Told] = field(default_factory=dict[bytes, Told])
    standings: dict[bytes, Standing] = field(default_factory=dict[bytes, Standing])
    broken: dict[bytes, int] = field(default_factory=dict[bytes, int])
    referenced: dict[bytes, tuple[str, int, bytes | None]] = field(default_factory=dict)
    unjudged: list[int] = field(default_factory=list[int])
    merge: Merge | None = None  # where it has a state that only the sums of all rounds before tell

    @property
    def checks(self) -> list[RoundCheck]:
        return [told.check for told in self.judged.values() if told.check is not None]

    def by_record(self) -> dict[bytes, Told]:
        return {told.record_hash: told for told in self.judged.values()}

    def line_to(self, record: bytes) -> list[Told]:
        """The rounds from the first to the one of this record."""
        known, line = self.by_record(), list[Told]()
        while record in known:
            line.append(known[record])
            record = known[record].parent
        return line[::-1]

    def applied_before(self, transcript: RoundTranscript, count: int) -> list[Vector]:
        """What the last `count` rounds told everybody and a round's direction is taken off, newest first."""
        told: list[Vector] = []
        while count > 0 and transcript.parents[0].transcript in self.judged:
            parent = self.judged[transcript.parents[0].transcript]
            told += self.standing_of(parent).told
            transcript, count = parent.transcript, count - 1
        return told

    def standing_of(self, told: Told) -> Standing:
        """Where a told round leaves everybody, its model read again if it is not at hand."""
        known = self.standings.get(told.name)
        if known is None and self.merge is not None:
            return self._merged_again(told, self.merge)
        if known is None:
            first = told.transcript.parents[0].transcript == NOTHING
            model = np.frombuffer(self.store[told.aggregate], "<f4")
            before = self.start.model if first else np.frombuffer(self.store[told.transcript.base], "<f4")
            known = self.standings[told.name] = self._standing(told, model, before, NO_STATE)
        return known

    def _standing(self, told: Told, model: Vector, before: Vector, state: Vector) -> Standing:
        return Standing(
            record=told.record_hash,
            round=told.round,
            transcript=told.name,
            aggregate=told.aggregate,
            model=model,
            step=(model.astype(np.float64) - before.astype(np.float64)).astype(np.float32),
            versions={entry.peer: entry.version for entry in told.transcript.versions},
            seed=told.seed,
            halving=told.halving,
            state=state,
        )

    def _merged_again(self, told: Told, merge: Merge) -> Standing:
        """The same where the optimiser has a state: the sums since the nearest known state are merged again."""
        line = [told]
        while (link := line[-1].transcript.parents[0].transcript) != NOTHING and link not in self.standings:
            line.append(self.judged[link])
        standing = self.start if link == NOTHING else self.standings[link]
        ring, length = self.federation.ring, self.federation.length
        for one in reversed(line):
            words = np.frombuffer(self.store[one.transcript.sum_artefact], ring.dtype.newbyteorder("<"))
            sums = list(words.astype(ring.dtype).reshape(len(one.groups), length))
            merged = merge(standing, sums, [len(group) for group in one.groups])
            assert not isinstance(merged, str), "a round that was judged does not merge"
            standing = self._standing(one, merged.model, standing.model, merged.state)
        self.standings[told.name] = standing
        return standing

    def forget(self, before: int) -> None:
        """The models of rounds below this one: nothing that is still to come stands on them."""
        for name in [name for name, standing in self.standings.items() if standing.round < before]:
            del self.standings[name]


def judge_named(
    case: CaseFile, registered: frozenset[bytes], wanted: list[Named], maths: Mathematics, book: Notebook
) -> Rounds:
    """The rounds of these transcripts and their ancestors, whether a chain keeps them or not."""
    rounds = no_rounds(case, registered)
    rounds.merge = maths.merge if maths.remembers else None
    found = _collect(case, rounds, wanted, book)
    newest = max((round_ for _, round_ in found), default=0)
    recall = None if case.memory is None else Recall(case.memory, rounds.federation)
    for done, (round_, transcript_id) in enumerate(sorted((round_, name) for name, round_ in found), 1):
        rounds.forget(round_ - 1 - case.terms.novelty)
        told = recall.get(transcript_id, rounds.judged, case.store, book) if recall else None
        if told is None:
            apart = Notebook()
            told = _judge_one(case, rounds, transcript_id, newest, maths, apart)
            book.add(apart)
            if told is not None and recall:
                recall.put(told, case, apart)
        if told is not None:
            rounds.judged[transcript_id] = told
            rounds.referenced |= {n.artefact: (n.what, told.round, n.peer) for n in told.names}
            rounds.referenced[told.transcript.session] = ("session transcript", told.round, None)
            rounds.referenced[told.transcript.sum_artefact] = ("sum", told.round, None)
        case.told("rounds", done, len(found))
    if rounds.unjudged:
        first, last = min(rounds.unjudged), max(rounds.unjudged)
        which = f"round {first} is" if first == last else f"rounds {first} to {last} are"
        book.note(f"{which} not judged: what stands on a round that does not hold cannot be said to hold")
    if recall and recall.recalled:
        book.note(f"{recall.recalled} rounds were judged by an earlier audit of the same artefacts and not again")
    return rounds


def no_rounds(case: CaseFile, registered: frozenset[bytes]) -> Rounds:
    """Before the first: the agreed model."""
    terms = case.terms
    aggregate = sha256(terms.initial.astype("<f4", copy=False).tobytes())
    rounds = Rounds(ground_of(case, registered), genesis(terms.record, terms.initial, aggregate), case.store)
    rounds.referenced[aggregate] = ("first model", 0, None)
    return rounds


def ground_of(case: CaseFile, registered: frozenset[bytes]) -> Federation:
    """What every judgement rests on."""
    terms, deployment = case.terms, case.deployment
    return Federation(
        chain_id=deployment.chain_id,
        registry=deployment.registry,
        round_ledger=deployment.ledger,
        vault=deployment.vault,
        genesis=terms.record,
        terms=terms.session,
        registered=registered,
        ring=terms.ring,
        length=terms.ring.lane_words + terms.size,
        grouping=terms.grouping,
        sketches=terms.sketches,
        crossfit=terms.crossfit,
        audited=terms.audited,
        turns=terms.turns(registered),
        whole=terms.whole,
        near=terms.near(registered),
    )


def _collect(case: CaseFile, rounds: Rounds, wanted: list[Named], book: Notebook) -> list[tuple[bytes, int]]:
    """Every transcript that is named, and their ancestors: its id and round."""
    wanted = list(wanted)
    found: dict[bytes, int] = {}
    while wanted:
        artefact, round_, peer, who = wanted.pop()
        if artefact in found or artefact in rounds.broken:
            continue
        blob = case.store.get(artefact)
        if blob is None:
            rounds.broken[artefact] = round_
            what = "does not hold what its name says" if artefact in case.misnamed else "is not in the store"
            book.find(
                "transcript-missing",
                f"the transcript of round {round_}, named by {who}, {what}",
                round_=round_,
                peer=peer,
            )
            continue
        try:
            transcript = decode_round(blob)
        except ValueError as error:
            rounds.broken[artefact] = round_
            book.find("transcript-malformed", f"round {round_}, named by {who}: {error}", round_=round_, peer=peer)
            continue
        found[artefact] = transcript.round
        rounds.referenced[artefact] = ("transcript", transcript.round, None)
        wanted += [
            (p.transcript, p.round, None, f"round {transcript.round}")
            for p in transcript.parents
            if p.transcript != NOTHING
        ]
    return list(found.items())


def _judge_one(
    case: CaseFile, rounds: Rounds, transcript_id: bytes, newest: int, maths: Mathematics, book: Notebook
) -> Told | None:
    """What a round proves; None, and the round is broken, where it does not hold."""
    transcript = decode_round(case.store[transcript_id])
    round_ = transcript.round
    parent = _parent_of(rounds, transcript)
    if parent is None:
        rounds.broken[transcript_id] = round_
        if not any(link.transcript in rounds.broken for link in transcript.parents):
            book.find("round-parent", f"round {round_} stands on no known round", round_=round_)
        else:
            rounds.unjudged.append(round_)
        return None
    evidence = _evidence(case, rounds, transcript_id, transcript, book)
    if evidence is None:
        rounds.broken[transcript_id] = round_
        return None
    try:
        judged = judge_round(rounds.federation, parent, evidence, maths.merge)
    except (ValueError, OverflowError) as error:
        book.find("transcript-malformed", f"round {round_}: a value outside its range: {error}", round_=round_)
        judged = []
    if isinstance(judged, list):
        rounds.broken[transcript_id] = round_
        book.faults(judged, round_)
        return None
    rounds.standings[transcript_id] = judged.standing
    told = told_of(judged, rounds.federation.domain)
    return _numbered(case, rounds, parent, judged, told, newest, maths, book)


def _numbered(
    case: CaseFile,
    rounds: Rounds,
    parent: Standing,
    judged: Judged,
    told: Told,
    newest: int,
    maths: Mathematics,
    book: Notebook,
) -> Told:
    try:
        check = check_numbers(case, rounds, parent, judged, newest, maths, book)
    except ValueError as error:
        sentence = f"round {told.round}: its sum cannot be opened again: {error}"
        book.find("transcript-malformed", sentence, round_=told.round)
        return told
    return msgspec.structs.replace(told, check=check)


def _parent_of(rounds: Rounds, transcript: RoundTranscript) -> Standing | None:
    if len(transcript.parents) != 1:
        return None
    link = transcript.parents[0]
    if link.transcript == NOTHING:
        return rounds.start
    told = rounds.judged.get(link.transcript)
    return rounds.standing_of(told) if told else None


def _evidence(
    case: CaseFile, rounds: Rounds, transcript_id: bytes, t: RoundTranscript, book: Notebook
) -> Evidence | None:
    blobs: dict[str, bytes] = {}
    for what, artefact in (("session transcript", t.session), ("sum", t.sum_artefact)):
        blob = case.store.get(artefact)
        if blob is None:
            why = "does not hold what its name says" if artefact in case.misnamed else "is not in the store"
            book.find("artefact-missing", f"round {t.round}: its {what} {why}", round_=t.round)
            return None
        blobs[what] = blob
        rounds.referenced[artefact] = (what, t.round, None)
    try:
        session = decode_session(blobs["session transcript"])
    except ValueError as error:
        book.find("transcript-malformed", f"round {t.round}: {error}", round_=t.round)
        return None
    return Evidence(transcript_id, t, t.session, session, blobs["sum"])
