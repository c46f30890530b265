"""Every round judged again from its artefacts, parent before child, and compared with the record that the chain keeps.

A round is reached from the chain's records and from the journals' word; neither is believed. What follows from a round
that does not hold is not judged, and said to be so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peerage_crypto.digest import sha256
from peerage_ledger.audit.numbers import check_numbers
from peerage_ledger.judgement import Evidence, Federation, Judged, Standing, genesis, judge_round
from peerage_ledger.transcript import NOTHING, RoundTranscript, decode_round, decode_session

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from peerage_ledger.audit.findings import Notebook, RoundCheck
    from peerage_ledger.audit.terms import CaseFile, Mathematics

    Vector = NDArray[np.float32]

Named = tuple[bytes, int, "bytes | None", str]  # a transcript, its round, and who says so


@dataclass
class Rounds:
    """The judged rounds by transcript id, oldest first; `broken` are transcripts that do not hold or stand on one."""

    federation: Federation
    start: Standing
    judged: dict[bytes, Judged] = field(default_factory=dict)
    checks: dict[bytes, RoundCheck] = field(default_factory=dict)
    broken: dict[bytes, int] = field(default_factory=dict[bytes, int])
    referenced: dict[bytes, tuple[str, int, bytes | None]] = field(default_factory=dict)

    def by_record(self) -> dict[bytes, Judged]:
        return {judged.standing.record: judged for judged in self.judged.values()}

    def line_to(self, record: bytes) -> list[Judged]:
        """The rounds from the first to the one of this record."""
        known, line = self.by_record(), list[Judged]()
        while record in known:
            line.append(known[record])
            record = known[record].transcript.parents[0].record
        return line[::-1]

    def applied_before(self, transcript: RoundTranscript, count: int) -> list[Vector]:
        """The last `count` applied steps that a round's direction is taken off, newest first."""
        steps: list[Vector] = []
        while len(steps) < count and transcript.parents[0].transcript in self.judged:
            parent = self.judged[transcript.parents[0].transcript]
            steps.append(parent.standing.step)
            transcript = parent.transcript
        return steps


def judge_named(
    case: CaseFile, registered: frozenset[bytes], wanted: list[Named], maths: Mathematics, book: Notebook
) -> Rounds:
    """The rounds of these transcripts and their ancestors, whether a chain keeps them or not."""
    rounds = no_rounds(case, registered)
    found = _collect(case, rounds, wanted, book)
    newest = max((t.round for t in found.values()), default=0)
    for transcript_id, transcript in sorted(found.items(), key=lambda item: (item[1].round, item[0])):
        _judge_one(case, rounds, transcript_id, transcript, newest, maths, book)
    return rounds


def no_rounds(case: CaseFile, registered: frozenset[bytes]) -> Rounds:
    """Before the first: the agreed model."""
    terms = case.terms
    aggregate = sha256(terms.initial.astype("<f4", copy=False).tobytes())
    rounds = Rounds(ground_of(case, registered), genesis(terms.record, terms.initial, aggregate))
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
        length=terms.auxiliary + terms.initial.size,
    )


def _collect(case: CaseFile, rounds: Rounds, wanted: list[Named], book: Notebook) -> dict[bytes, RoundTranscript]:
    """Every transcript that is named, and their ancestors."""
    wanted = list(wanted)
    found: dict[bytes, RoundTranscript] = {}
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
        found[artefact] = transcript
        rounds.referenced[artefact] = ("transcript", transcript.round, None)
        wanted += [
            (p.transcript, p.round, None, f"round {transcript.round}")
            for p in transcript.parents
            if p.transcript != NOTHING
        ]
    return found


def _judge_one(
    case: CaseFile,
    rounds: Rounds,
    transcript_id: bytes,
    transcript: RoundTranscript,
    newest: int,
    maths: Mathematics,
    book: Notebook,
) -> None:
    round_ = transcript.round
    parent = _parent_of(rounds, transcript)
    if parent is None:
        rounds.broken[transcript_id] = round_
        if not any(link.transcript in rounds.broken for link in transcript.parents):
            book.find("round-parent", f"round {round_} stands on no known round", round_=round_)
        else:
            book.note(f"round {round_} is not judged: the round that it stands on does not hold")
        return
    evidence = _evidence(case, rounds, transcript_id, transcript, book)
    if evidence is None:
        rounds.broken[transcript_id] = round_
        return
    try:
        judged = judge_round(rounds.federation, parent, evidence, maths.merge)
    except (ValueError, OverflowError) as error:
        book.find("transcript-malformed", f"round {round_}: a value outside its range: {error}", round_=round_)
        judged = []
    if isinstance(judged, list):
        rounds.broken[transcript_id] = round_
        book.faults(judged, round_)
        return
    rounds.judged[transcript_id] = judged
    _refer(rounds, judged)
    try:
        rounds.checks[transcript_id] = check_numbers(case, rounds, parent, judged, newest, maths, book)
    except ValueError as error:
        book.find("transcript-malformed", f"round {round_}: its sum cannot be opened again: {error}", round_=round_)


def _parent_of(rounds: Rounds, transcript: RoundTranscript) -> Standing | None:
    if len(transcript.parents) != 1:
        return None
    link = transcript.parents[0]
    if link.transcript == NOTHING:
        return rounds.start
    judged = rounds.judged.get(link.transcript)
    return judged.standing if judged else None


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


def _refer(rounds: Rounds, judged: Judged) -> None:
    """Which artefact of the store belongs to which round and peer."""
    t, round_ = judged.transcript, judged.transcript.round
    rounds.referenced[t.aggregate] = ("aggregate", round_, None)
    if t.direction != NOTHING:
        rounds.referenced[t.direction] = ("direction", round_, judged.proven.roster.plan.initiator)
    for member, manifest in zip(judged.proven.u3, judged.session.manifests, strict=True):
        rounds.referenced[manifest.statement.artefact] = ("masked vector", round_, member)
    for opening in t.openings:
        signer = opening.signed.signer(rounds.federation.domain)
        rounds.referenced[opening.signed.statement.emissions] = ("emission record", round_, signer)
