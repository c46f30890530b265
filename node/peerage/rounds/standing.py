"""Standing on records: apply the round that was closed, catch up with a longer chain, settle which of two counts.

Two branches on one parent can only come of a partition (or of a peer that acknowledged, stayed away for long, and came
back). They are never hidden, and everybody takes the same one: the one on which a quorum settled rewards, else the
longer, then the scored, then the lower record.
Work that only the lost branch contains is lost with it, and nobody is paid for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from peerage.effects import Clipped, Journal, Phase, Progress, Report, Send, Store
from peerage.rounds import pair_audits
from peerage.rounds.aggregation import canonical, split_sum
from peerage.rounds.chase import Chase
from peerage.rounds.results import judge
from peerage.rounds.scoring_step import direction_bytes, ring_direction
from peerage.rounds.screened import refresh, release
from peerage_crypto.digest import sha256
from peerage_crypto.opening import add_up, own_row
from peerage_ledger.judgement import judge_round
from peerage_ledger.rewards import totals
from peerage_ledger.transcript import NOTHING, as_opened

if TYPE_CHECKING:
    from peerage import messages as m
    from peerage.rounds.round_state import RoundState
    from peerage_ledger.judgement import Evidence, Judged, Standing


def on_closed(s: RoundState, sender: bytes, message: m.Closed) -> None:
    """A round was closed: with its transcript everybody stands on its record."""
    if message.record in s.unpaid_heads:
        s.out.append(Send(sender, s.settled()))
    elif message.record in s.rejected:
        s.out.append(Send(sender, s.closed()))
    elif message.record != s.head.record and message.round >= s.head.round:
        pursue(s, sender, message.transcript, message.round)


def pursue(s: RoundState, owner: bytes, transcript: bytes, round_: int) -> None:
    """Follow somebody's chain back to mine; one pursuit at a time."""
    if s.chase is not None or transcript == NOTHING or s.done or transcript == s.head.transcript:
        return
    s.chase = Chase(owner, transcript, round_, _chain(s), s.sum_bytes)
    s.out += s.chase.start()


def _chain(s: RoundState) -> dict[bytes, Standing]:
    """Every record that I stand on, the genesis too."""
    return {standing.record: standing for standing in (s.genesis, *(j.standing for j in s.history))}


def on_fetched(s: RoundState, artefact: bytes, blob: bytes) -> None:
    if s.chase:
        s.out += s.chase.on_blob(artefact, blob)
        _drive(s, s.chase)


def on_unfetched(s: RoundState, artefact: bytes) -> None:
    if s.chase:
        s.out += s.chase.on_missing(artefact)
        _drive(s, s.chase)


def on_down(s: RoundState, peer: bytes) -> None:
    if s.chase and s.chase.owner == peer:
        _end(s, s.chase, "its owner is gone")


def _end(s: RoundState, chase: Chase, why: str) -> None:
    s.journal("chase", owner="0x" + chase.owner.hex(), why=why)
    s.chase = None
    if chase.owner == s.me:
        s.awaiting = None


def _drive(s: RoundState, chase: Chase) -> None:
    """Judge what has arrived, each round on its parent; stand on it when all of it holds."""
    try:
        while (ready := chase.ready()) is not None:
            parent, evidence = ready
            judged = judge_round(s.federation, parent, evidence, s.merge)
            if isinstance(judged, list):
                raise ValueError(judged[0].sentence)  # noqa: TRY004, TRY301 - one place says whose chain it is
            chase.judged.append(judged)
    except ValueError as error:
        s.fault(chase.owner, f"it served a chain that does not hold: {error}")
        chase.failed = str(error)
    if chase.failed:
        _end(s, chase, chase.failed)
    elif chase.done:
        s.chase = None
        _take(s, chase.owner, chase.judged)


def _take(s: RoundState, owner: bytes, branch: list[Judged]) -> None:
    """Stand on a judged branch, if it counts more than mine."""
    chain = _chain(s)
    while branch and branch[0].standing.record in chain:
        branch = branch[1:]
    if not branch or branch[0].transcript.parents[0].record not in chain:
        return
    ancestor = chain[branch[0].transcript.parents[0].record].round
    lost = s.history[ancestor:]
    if lost:
        settled = any(s.settles(j.standing.record) for j in branch)
        signed = s.settlement is not None and s.settlement.head.round > ancestor
        if not settled and signed and s.settlement is not None and s.settlement.holding:
            return  # I signed rewards on mine: the other counts when it is settled, or when nobody took my signature
        if ancestor < s.paid_rounds:
            s.unpaid_heads.add(branch[-1].standing.record)
            s.out.append(Send(owner, s.settled()))
            return
        kept = any(s.settles(j.standing.record) for j in lost) or _preference(branch[-1]) > _preference(s.history[-1])
        if not settled and kept:
            s.rejected.add(branch[-1].standing.record)
            s.out.append(Send(owner, s.closed()))
            return
        s.rejected.add(s.history[-1].standing.record)
        del s.history[ancestor:]
        if signed:
            s.settlement = None
        _say_lost(s, lost, branch)
    twice_closed = len(lost) == 1 and lost[0].transcript.sid == branch[0].transcript.sid
    for i, judged in enumerate(branch):
        _apply(s, judged, moves=not (twice_closed and i == 0))
    _rejudge(s)


def _preference(judged: Judged) -> tuple[int, bool, bytes]:
    """Of two heads the longer counts, then the scored one, then the lower record: the smaller tuple wins."""
    return -judged.transcript.round, judged.transcript.direction == NOTHING, judged.standing.record


def _say_lost(s: RoundState, lost: list[Judged], branch: list[Judged]) -> None:
    if [j.transcript.sid for j in lost] == [j.transcript.sid for j in branch[: len(lost)]]:
        return  # one session closed in two ways
    fields = {"lost": [j.standing.record.hex() for j in lost], "kept": [j.standing.record.hex() for j in branch]}
    sentence = f"{len(lost)} round(s) were closed on another branch too: everybody takes the one that counts more"
    s.journal("fault", culprit="", sentence=sentence, **fields)
    s.out.append(Report("warning", sentence, s.head.round + 1))


def close(s: RoundState, evidence: Evidence) -> None:
    """I close the round that I adopted."""
    judged = judge_round(s.federation, s.head, evidence, s.merge)
    if isinstance(judged, list):
        raise AssertionError(f"a round of our own making does not hold: {judged[0].sentence}")  # noqa: TRY004 - a bug of ours
    _apply(s, judged, moves=True)
    _rejudge(s)


def _apply(s: RoundState, judged: Judged, *, moves: bool) -> None:
    """`moves` is False when the same session is only closed in another way: the model stays."""
    _check_my_number(s, judged)
    t = judged.transcript
    if moves and (s.candidate is None or s.candidate.sid != t.sid):
        s.drop_session(f"round {t.round} was closed meanwhile")
        release(s, t.sid, judged.proven)
        taken = s.me in judged.proven.u3  # without this, a later round would take my work off a second time
        sent = taken and s.own.sent_sid == t.sid
        if sent:
            s.learn_how_i_move()
        consumed = sent or (taken and judged.standing.versions.get(s.me, 0) >= s.own.number > 0)
        s.stand_on(judged.standing.model, judged.standing.step, consumed=consumed)
        s.out.append(Phase("wait" if s.training_from is None else "train"))
    s.history.append(judged)
    s.suspected = set()
    refresh(s)
    s.candidate = s.gradients = s.scoring = s.directed = s.drawn = None
    s.attempts, s.distrusted, s.abstentions, s.replay = 0, set(), {}, True
    if s.awaiting is None:  # what I did on the record of my earlier life still holds when I am back on it
        s.acked, s.bound, s.been_in = None, False, set()
    elif judged.standing.record == s.awaiting:
        s.awaiting = None
    _keep(s, judged)
    standing = judged.standing
    fields = {
        "record": standing.record.hex(),
        "transcript": standing.transcript.hex(),
        "aggregate": standing.aggregate.hex(),
    }
    s.out.append(Journal("closed", t.round, fields))
    _progress(s, judged)
    s.save()


def _rejudge(s: RoundState) -> None:
    """A result on the new head may have come before it."""
    for result, outcome in list(s.outcomes.items()):
        judge(s, result, outcome)


def _keep(s: RoundState, judged: Judged) -> None:
    """The new model is served; what belonged to the old head is forgotten."""
    s.out.append(Store(canonical(judged.standing.model)))
    here = judged.standing.record
    s.outcomes = {r: o for r, o in s.outcomes.items() if o.session and o.session.opened.statement.parent == here}
    sids = {r.sid for r in s.outcomes} | {s.session.sid if s.session else b""}
    s.acks = {sid: acks for sid, acks in s.acks.items() if sid in sids}


def _check_my_number(s: RoundState, judged: Judged) -> None:
    """The recorded number of my update must be its own, which only I can know; and all must add up to < sum , g >.

    (Numbers along two directions add up to nothing that is known of the sum alone.)

    Where they do not, I stand on the record all the same, because training goes on, but sign no settlement with it.
    """
    scored, session = s.scored, s.closing
    mine = s.opened_update  # not s.update: I may have joined the next session before an older one was closed otherwise
    if scored is None or mine is None or session is None or scored.sid != judged.transcript.sid:
        return
    if s.me not in judged.proven.u3 or session.sid != judged.transcript.sid:
        return
    known = [g for g in (s.opened_along, scored.direction) if g is not None]
    along = next((g for g in known if sha256(direction_bytes(g)) == judged.transcript.direction), None)
    if along is None:
        return
    number = as_opened(judged.transcript)[judged.proven.u3.index(s.me)]
    row = np.atleast_2d(along)[own_row(judged.proven, s.me)]
    own = int(np.dot(mine.units, row))  # exact: ||q|| ||g|| < 2^(w-1) bounds every partial sum
    wrong = ""
    if number is not None and number != own:
        wrong = "the number recorded for this peer is not its own"
    elif judged.proven.halves is None and not add_up(
        as_opened(judged.transcript), judged.update_sum, ring_direction(along, judged.proven)
    ):
        wrong = "the recorded numbers do not add up to the one of the sum"
    if not wrong and pair_audits.was_refixed(s, judged):
        wrong = "its numbers are not those that were fixed before pairs were drawn"
    if pair_audits.wrongs_me(s, judged):  # lost on its way, or left out: nothing that others should go unpaid for
        s.fault(None, "a pair of this peer is called unconfirmed, though it has shown its key")
    if wrong:
        s.disputed[judged.standing.record] = f"round {judged.transcript.round}: {wrong}"
        s.fault(None, wrong)  # it may be its initiator's lie, a leader's, a neighbour's, or its writer's


def _progress(s: RoundState, judged: Judged) -> None:
    sums, _ = split_sum(judged.update_sum)
    accuracy = sums.correct * 1_000_000 // sums.examples if sums.examples else 0
    missing = tuple(sorted(s.federation.registered - set(judged.proven.u3)))
    earned, t = totals(s.pay), judged.transcript
    clipped = Clipped(sums.shortened, sums.peers, sums.cut)
    s.out.append(Progress(t.round, judged.proven.u3, missing, earned, judged.standing.aggregate, accuracy, clipped))
