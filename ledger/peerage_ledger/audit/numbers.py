"""One judged round's numbers: masked vectors added again, g computed again, opened numbers opened again.

A check that cannot be done because vectors were pruned says "pruned"; it never says "passed".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from peerage_crypto.crossfit import RING, sums_of
from peerage_crypto.fixedpoint import into_ring, norm_limit
from peerage_crypto.opening import open_numbers, products_of
from peerage_crypto.pair_audit import audited_pairs, owners_of, unconfirmed_pairs
from peerage_crypto.secagg_judge import judge_sum
from peerage_ledger.audit.findings import Check, Notebook, RoundCheck, name_of
from peerage_ledger.rewards import EXPONENT_RANGE
from peerage_ledger.transcript import NOTHING, as_opened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from peerage_ledger.audit.rounds import Rounds
    from peerage_ledger.audit.terms import CaseFile, Mathematics, Terms
    from peerage_ledger.judgement import Judged, Standing

TOLERANCE = 0.005  # of a round's scores: by so much may those under the auditor's own g differ


def check_numbers(
    case: CaseFile,
    rounds: Rounds,
    parent: Standing,
    judged: Judged,
    newest: int,
    maths: Mathematics,
    book: Notebook,
) -> RoundCheck:
    """The three checks of one round, each with its outcome."""
    t, session, proven = judged.transcript, judged.session, judged.proven
    vectors = _vectors(case, judged, newest, book)
    summed = Check.PRUNED
    if len(vectors) == len(proven.u3):
        faults = judge_sum(proven, session, vectors, case.store[t.sum_artefact])
        book.faults(faults, t.round)
        summed = Check.FAILED if faults else Check.PASSED
        book.count("masked vectors", len(vectors))
    if case.terms.crossfit:
        direction, g = _cross_directions(case, rounds, parent, judged, newest, maths, book)
    else:
        direction, g = _direction(case, rounds, parent, judged, maths, book)
    numbers = Check.UNSCORED if t.direction == NOTHING else Check.FAILED
    if g is not None and t.direction != NOTHING:
        numbers = _numbers(case.terms, judged, vectors, g, book) if summed is not Check.PRUNED else Check.PRUNED
    book.count("rounds")
    return RoundCheck(
        round=t.round,
        record=judged.standing.record,
        sid=t.sid,
        initiator=proven.roster.plan.initiator,
        members=proven.u3,
        statements=1
        + len(session.joins)
        + len(session.manifests)
        + len(session.votes)
        + len(t.acks)
        + len(t.gradients)
        + len(t.openings),
        sum=summed,
        direction=direction,
        numbers=numbers,
    )


def _due(case: CaseFile, round_: int, newest: int) -> bool:
    """Whether vectors of this round should still be there."""
    return case.keep is None or round_ > newest - case.keep


def _vectors(case: CaseFile, judged: Judged, newest: int, book: Notebook) -> dict[bytes, bytes]:
    """The survivors' masked vectors that are there. One that should still be there and is not is a finding."""
    round_ = judged.transcript.round
    due = _due(case, round_, newest)
    named = (manifest.statement.artefact for manifest in judged.session.manifests)
    wanted = dict(zip(judged.proven.u3, named, strict=True))
    return _kept(case, wanted, "masked vector", round_, book, due=due)


def _kept(
    case: CaseFile, wanted: Mapping[bytes, bytes], what: str, round_: int, book: Notebook, *, due: bool
) -> dict[bytes, bytes]:
    kept: dict[bytes, bytes] = {}
    for member, artefact in wanted.items():
        blob = case.store.get(artefact)
        if blob is not None:
            kept[member] = blob
        elif artefact in case.misnamed:
            pass  # the finding about the file names round and peer
        elif due and artefact not in case.pruned:
            sentence = f"round {round_}: the {what} of {name_of(member)} is not in the store, where it is still due"
            book.find("vector-missing", sentence, round_=round_, peer=member)
        else:
            book.note(f"round {round_}: {what}s are pruned, what follows from them is not checked")
    return kept


def _direction(
    case: CaseFile, rounds: Rounds, parent: Standing, judged: Judged, maths: Mathematics, book: Notebook
) -> tuple[Check, NDArray[np.int64] | None]:
    t = judged.transcript
    if t.direction == NOTHING:
        return Check.UNSCORED, None
    initiator = judged.proven.roster.plan.initiator
    blob = case.store.get(t.direction)
    size = case.terms.size
    if blob is None or len(blob) != 4 * size:
        sentence = f"round {t.round}: the direction of its scores is not in the store, or of another length"
        book.find("direction-missing", sentence, round_=t.round, peer=initiator)
        return Check.FAILED, None
    g = np.frombuffer(blob, "<i4").astype(np.int64)
    mine = maths.direction(parent, judged, rounds.applied_before(t, case.terms.novelty))
    if mine is None:
        book.note("directions are not computed again: the validation data or the model are not here")
        return Check.SKIPPED, g
    if np.array_equal(mine[0], g) and mine[1] == t.exponent:
        return Check.PASSED, g
    if mine[1] != t.exponent:
        sentence = f"round {t.round}: the scale of its scores is 2^{t.exponent}, the public path gives 2^{mine[1]}"
    else:
        worst, allowed = _worst_difference(case.terms, g, mine[0]), TOLERANCE * _total(judged)
        if worst <= allowed:
            return Check.CLOSE, g
        sentence = f"round {t.round}: the direction of its scores is not the one that the public path gives"
    book.find("direction", sentence, round_=t.round, peer=initiator)
    return Check.FAILED, g


def _cross_directions(
    case: CaseFile,
    rounds: Rounds,
    parent: Standing,
    judged: Judged,
    newest: int,
    maths: Mathematics,
    book: Notebook,
) -> tuple[Check, NDArray[np.int64] | None]:
    """Private validation: both halves' path gradients added up again, and the directions made of them, bit for bit."""
    t, proven, size = judged.transcript, judged.proven, case.terms.size
    if t.direction == NOTHING or proven.halves is None:
        return Check.UNSCORED, None
    initiator = proven.roster.plan.initiator
    blob = case.store.get(t.direction)
    if blob is None or len(blob) != 2 * 4 * size:
        sentence = f"round {t.round}: the directions of its scores are not in the store, or of another length"
        book.find("direction-missing", sentence, round_=t.round, peer=initiator)
        return Check.FAILED, None
    g = np.frombuffer(blob, "<i4").astype(np.int64).reshape(2, size)
    wanted = dict(zip(proven.u3, (shown.artefact for shown in t.gradients), strict=True))
    blobs = _kept(case, wanted, "masked path gradient", t.round, book, due=_due(case, t.round, newest))
    if len(blobs) < len(wanted):
        return Check.PRUNED, g
    for member, vector in blobs.items():
        if len(vector) != RING.word_bytes * size:
            sentence = f"round {t.round}: the path gradient of {name_of(member)} has another length than it signed"
            book.find("gradient-length", sentence, round_=t.round, peer=member)
            return Check.FAILED, g
    book.count("path gradients", len(blobs))
    sums = sums_of(proven.halves, blobs)
    if isinstance(sums, str):
        book.find("direction", f"round {t.round} was scored, but {sums}", round_=t.round, peer=initiator)
        return Check.FAILED, g
    applied = rounds.applied_before(t, case.terms.novelty)
    mine, exponent = maths.cross_directions(parent, sums, proven.seed(), applied)
    if np.array_equal(mine, g) and exponent == t.exponent:
        return Check.PASSED, g
    sentence = f"round {t.round}: the directions of its scores are not those that the path gradients add up to"
    book.find("direction", sentence, round_=t.round, peer=initiator)
    return Check.FAILED, g


def _worst_difference(terms: Terms, g: NDArray[np.int64], mine: NDArray[np.int64]) -> float:
    """By how much any one score can differ at most: |<q, g - g'>| <= |q| |g - g'|, and |q| is bounded.

    The auditor cannot open single scores under its own g (they were opened for one g only), hence the bound.
    """
    return norm_limit(terms.frac_bits, terms.clip, len(g)) * float(np.linalg.norm((g - mine).astype(np.float64)))


def _total(judged: Judged) -> float:
    return float(sum(abs(n) for n in judged.transcript.numbers if n is not None))


def _numbers(terms: Terms, judged: Judged, blobs: Mapping[bytes, bytes], g: NDArray[np.int64], book: Notebook) -> Check:
    """Open everybody's number again from the masked vectors and the signed pair numbers."""
    t, proven = judged.transcript, judged.proven
    ring = terms.ring
    if not -EXPONENT_RANGE <= t.exponent <= EXPONENT_RANGE:
        book.find("direction", f"round {t.round}: the exponent {t.exponent} is outside its range", round_=t.round)
        return Check.FAILED
    words = {m: np.frombuffer(b, ring.dtype.newbyteorder("<")).astype(ring.dtype, copy=False) for m, b in blobs.items()}
    lane = np.zeros((*g.shape[:-1], ring.lane_words), np.int64)
    whole = into_ring(np.concatenate([lane, g], axis=-1), ring)
    domain = proven.roster.plan.domain
    stated = {opening.signed.signer(domain): opening.values for opening in t.openings}
    opened = open_numbers(proven, judged.session, products_of(words, whole, proven), whole, stated)
    good = True
    for liar in opened.liars:
        good = False
        sentence = f"{name_of(liar)} signed pair numbers that contradict those of more peers than can collude"
        book.find("opening-lie", sentence, round_=t.round, peer=liar)
    for a, b in opened.disputed:
        book.note(f"round {t.round}: {name_of(a)} and {name_of(b)} contradict each other: neither has a number")
    for member, number in zip(proven.u3, as_opened(t), strict=True):
        if opened.numbers[member] != number:
            good = False
            sentence = (
                f"the number recorded for {name_of(member)} is {number}, its vector gives {opened.numbers[member]}"
            )
            book.find("number", sentence, round_=t.round, peer=member)
    if t.lates:
        owners = owners_of(proven, t.shown) or {}
        unconfirmed = unconfirmed_pairs(proven, judged.session, t.lates, owners, opened.agreed, whole)
        book.count("audited pairs", len(audited_pairs(proven, t.lates)))
        for pair in sorted({*unconfirmed} ^ {*t.unconfirmed}):
            good = False
            called = (
                "is called unconfirmed, and is not" if pair in t.unconfirmed else "is unconfirmed, and not called so"
            )
            sentence = f"round {t.round}: the pair of {name_of(pair.a)} and {name_of(pair.b)} {called}"
            book.find("pair-audit", sentence, round_=t.round, peer=proven.roster.plan.initiator)
        for pair in t.unconfirmed:
            names = f"{name_of(pair.a)} and {name_of(pair.b)}"
            book.note(f"round {t.round}: neither {names} has shown the key of their mask: both are charged")
    book.count("opened numbers", sum(n is not None for n in t.numbers))
    return Check.PASSED if good else Check.FAILED
