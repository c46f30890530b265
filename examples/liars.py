"""Peers that lie, a few lines each: name one in the cast of a federation file and watch what the others do.

    [[cast]]
    peer = "peer-04"
    behaviour = "examples/liars.py:two_rosters"

The rest of such a peer is the real engine. `edits` makes a lie of a function that rewrites messages of one kind for
each receiver. An initiator's lie also sees to it that it opens every round: who opens is no matter of trust.
`peerage.behaviour` says what a lie is given. Every lie here is played in tests/federation/test_liar_processes.py.
"""

# ruff: noqa: ANN001, ANN002, ANN201, ANN202 - a lie takes (stage, effect), an edit (stage, to, message)
import functools
import os

import msgspec
import numpy as np

from peerage import effects as fx
from peerage import messages as m
from peerage.rounds.aggregation import canonical
from peerage_crypto.digest import sha256
from peerage_crypto.opening import Openings, Pledge, values_digest
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.session import Ballot, Certificate, Frozen, Manifest, Revealed, RosterMessage, Survivors
from peerage_crypto.statements import ResultAck, Vote, session_id
from peerage_ledger.transcript import decode_session, encode

change = msgspec.structs.replace


def edits(*kinds, once_a_round=True):
    """A lie from `change(stage, to, message) -> messages`; by default in the first session of each round only."""

    def make(edit):
        @functools.wraps(edit)
        def lie(stage, effect):
            match effect:
                case fx.Send(to, message) if isinstance(message, kinds):
                    receivers = [to]
                case fx.Broadcast(message) if isinstance(message, kinds):
                    receivers = stage.others
                case _:
                    return [effect]
            sid = getattr(message, "sid", None) or message.signed.statement.sid
            first = stage.memory.setdefault((edit.__name__, stage.engine.head.round), sid)
            if once_a_round and sid != first:
                return [effect]
            return [fx.Send(to, said) for to in receivers for said in edit(stage, to, message)]

        return lie

    return make


def initiator(lie):
    """Whoever plays this opens every round: it is silent until everybody else is fresh, opens out of turn, and finds
    session names that win against everybody's.
    """

    @functools.wraps(lie)
    def eager(stage, effect):
        engine = stage.engine
        engine.membership.turn = lambda _record, _fresh: stage.me
        engine.draw = lambda: _low_name(engine)
        match effect:
            case fx.Send(to, m.Fresh(ready=True) as news) if not engine.attempts:
                return [fx.Send(to, change(news, ready=False))]
            case fx.Broadcast(m.Fresh(ready=True)) if not engine.attempts:
                return []
            case _:
                return lie(stage, effect)

    return eager


def member(lie):
    """Whoever plays this opens no round."""

    @functools.wraps(lie)
    def shy(stage, effect):
        stage.engine.membership.turn = lambda _record, _fresh: victim_of(stage)
        if isinstance(effect, fx.SetTimer) and effect.name == "open":
            return []
        return lie(stage, effect)

    return shy


def _low_name(engine):
    """32 fresh bytes that, as the nonce of my next session, give it a name whose hash is low."""
    while True:
        nonce, federation = os.urandom(32), engine.federation
        sid = session_id(
            chain_id=federation.chain_id,
            registry=federation.registry,
            round_=engine.head.round + 1,
            initiator=engine.me,
            parent=engine.head.record,
            params=federation.terms,
            nonce=nonce,
        )
        if sha256(sid)[0] == 0:
            return nonce


def victim_of(stage):
    """The same honest peer all along."""
    return stage.others[0]


def one_half(stage, to):
    return to in stage.others[: len(stage.others) // 2]


# -- initiators: who is in ---------------------------------------------------------------------------------------------


@initiator
@edits(RosterMessage)
def roster_of_friends(_stage, _to, x):
    """A roster of three around a victim, below the smallest that hides anybody."""
    return [change(x, joins=x.joins[:3])]


@initiator
@edits(RosterMessage)
def left_out(stage, _to, x):
    """A roster without one peer whose join everybody saw."""
    kept = tuple(join for join in x.joins if join.signer(stage.domain) != victim_of(stage))
    return [change(x, joins=kept)]


@initiator
@edits(RosterMessage)
def two_rosters(stage, to, x):
    """One roster for some, another one (with another join of its own) for the rest."""
    if one_half(stage, to):
        return [x]
    return [change(x, joins=tuple(_rejoined(stage, join) for join in x.joins))]


def _rejoined(stage, join):
    if join.signer(stage.domain) != stage.me:
        return join
    return stage.sign(change(join.statement, data_manifest=sha256(b"other")))


@initiator
@edits(Frozen)
def withheld_packets(_stage, _to, x):
    """Everybody's first share packet stays with the initiator."""
    return [change(x, deliveries=x.deliveries[1:])]


@initiator
@edits(Frozen)
def two_views(stage, to, x):
    """To one peer another U2 than to the rest."""
    collector = stage.engine.session.collector if stage.engine.session else None
    if collector is None or collector.roster is None or to != victim_of(stage):
        return [x]
    roster = collector.roster
    gone = next(peer for peer in roster.members if peer not in (to, stage.me))
    u2 = roster.bitmap(frozenset(roster.members) - {gone})
    place = [peer for peer in roster.members if peer != to].index(gone)
    return [change(x, u2=u2, deliveries=x.deliveries[:place] + x.deliveries[place + 1 :])]


# -- initiators: who survives ------------------------------------------------------------------------------------------


def _without(stage, x):
    """The survivor set without one live peer: the first of those that survived."""
    roster = stage.engine.session.collector.roster
    survivors = roster.select(x.u3)
    victim = next(peer for peer in survivors if peer != stage.me)
    u3 = roster.bitmap(frozenset(survivors) - {victim})
    return Survivors(x.sid, u3, tuple(s for s in x.manifests if s.signer(stage.domain) != victim))


@initiator
@edits(Survivors)
def dropped_alive(stage, _to, x):
    """A live peer is declared lost, so that its mask key may be asked for."""
    return [_without(stage, x)]


@initiator
@edits(Survivors)
def two_survivor_sets(stage, to, x):
    """With and without one peer: with both certified, both secrets of it could be asked for."""
    return [x] if one_half(stage, to) else [_without(stage, x)]


@initiator
@edits(Certificate)
def forged_certificate(_stage, _to, x):
    """Two votes for a quorum."""
    return [change(x, votes=x.votes[:2])]


@initiator
@edits(Certificate)
def both_secrets(stage, _to, x):
    """A second certificate, without one peer, with the votes for the first: it asks for that peer's other secret."""
    roster = stage.engine.session.collector.roster
    u3 = roster.bitmap(frozenset(roster.select(x.u3)) - {victim_of(stage)})
    return [change(x, u3=u3, survivors=sha256(b"without it")), x]


# -- initiators: the result --------------------------------------------------------------------------------------------


def _announced(stage, x, transcript, total, model):
    blob = encode(transcript)
    return m.Result(x.sid, stage.put(blob), len(blob), stage.put(total), model)


@initiator
@edits(m.Result)
def wrong_sum(stage, _to, x):
    """One number of the posted sum is another, with the model and all hashes to fit."""
    engine, session = stage.engine, decode_session(stage.get(x.session))
    total = np.frombuffer(stage.get(x.sum_artefact), engine.federation.ring.dtype).copy()
    total[-1] += 12345
    merged = engine.merge(engine.head, (total,), (len(session.manifests),)).model
    forged = change(session, sum_artefact=sha256(ring_bytes(total)))
    return [_announced(stage, x, forged, ring_bytes(total), sha256(canonical(merged)))]


@initiator
@edits(m.Result)
def wrong_model(_stage, _to, x):
    """A model that does not follow from the sum."""
    return [change(x, model=sha256(b"mine"))]


@initiator
@edits(m.Result)
def result_without_votes(stage, _to, x):
    """A sum whose survivors nobody certified."""
    session = decode_session(stage.get(x.session))
    few = change(session, votes=session.votes[:2])
    return [_announced(stage, x, few, stage.get(x.sum_artefact), x.model)]


# -- initiators: what is opened, and when ------------------------------------------------------------------------------


def _coordinate(stage, x, k):
    return change(x, direction=stage.put(np.eye(1, stage.engine.parameters, k, dtype="<i4").tobytes()))


@initiator
@edits(m.Direction)
def one_coordinate(stage, _to, x):
    """The direction e_k would open coordinate k of every update."""
    return [_coordinate(stage, x, 5)]


@initiator
@edits(m.Direction)
def second_direction(stage, _to, x):
    """The right direction, and then another one: a second number of every peer."""
    return [x, _coordinate(stage, x, 5)]


@initiator
def other_base(stage, effect):
    """A session on other terms (another model, other rules) than those that everybody agreed on."""
    match effect:
        case fx.Broadcast(m.Open(signed)) if not stage.memory.get("based"):
            stage.memory["based"] = True
            federation, s = stage.engine.federation, signed.statement
            terms = sha256(b"another model")
            sid = session_id(
                chain_id=federation.chain_id,
                registry=federation.registry,
                round_=s.round,
                initiator=s.initiator,
                parent=s.parent,
                params=terms,
                nonce=s.nonce,
            )
            other = stage.sign(change(s, sid=sid, params=terms))
            return [fx.Broadcast(m.Open(other)), effect]
        case _:
            return [effect]


@initiator
def reopened(stage, effect):
    """Gives its session up in the midst, and then opens the very same one again: who joins it twice masks twice."""
    match effect:
        case fx.Broadcast(m.Open()):
            stage.memory.setdefault("open", effect)
            return [effect]
        case fx.Send(_, Frozen(sid)) if sid == stage.memory["open"].message.signed.statement.sid:
            if stage.memory.setdefault("given up", False):
                return []
            stage.memory["given up"] = True
            return [fx.Broadcast(m.Abandoned(sid, "I changed my mind")), stage.memory["open"]]
        case _:
            return [effect]


# -- members -----------------------------------------------------------------------------------------------------------


@member
def replayed(stage, effect):
    """Everything that it said in its first session comes again with each later message of that kind."""
    match effect:
        case fx.Send(_, message) | fx.Broadcast(message):
            old = stage.memory.setdefault(type(message), message)
            return [effect] if old is message else [fx.Broadcast(old), effect]
        case _:
            return [effect]


@member
def garbage(stage, effect):
    """Frames that are no messages, and a masked vector that cannot be had."""
    match effect:
        case fx.Broadcast(message):
            for to in stage.others:
                stage.frame(to, os.urandom(64))
            return [effect] if not isinstance(message, Manifest) else [fx.Broadcast(_unheld(stage, message))]
        case _:
            return [effect]


def _unheld(stage, x):
    return Manifest(x.sid, stage.sign(change(x.signed.statement, artefact=sha256(x.signed.statement.artefact))))


@member
def selfish(_stage, effect):
    """Joins, so that it gets every model and its pay, and never gives its vector."""
    match effect:
        case fx.Broadcast(Manifest()):
            return []
        case _:
            return [effect]


@member
@edits(Revealed)
def wrong_share(_stage, _to, x):
    """A share that it was not dealt."""
    return [change(x, shares=(change(x.shares[0], self_seed=bytes(33)), *x.shares[1:]))]


@member
@edits(Pledge, Openings)
def wrong_numbers(stage, _to, x):
    """Pair numbers that shift what is opened of others."""
    mine = stage.engine.pledged
    values = tuple((value + 1000) % 2**32 for value in mine.values)
    signed = stage.sign(change(mine.signed.statement, values=values_digest(values)))
    return [Pledge(x.sid, signed) if isinstance(x, Pledge) else Openings(x.sid, signed, values)]


# -- members that contradict themselves: two signatures convict --------------------------------------------------------


@member
@edits(m.Ack)
def two_acks(stage, _to, x):
    """Acknowledges the result, and another model of the same sum."""
    s = x.signed.statement
    return [x, m.Ack(stage.sign(ResultAck(s.sid, s.sum_root, sha256(b"mine"))))]


@member
@edits(Ballot)
def two_votes(stage, _to, x):
    """Votes for the survivors, and for its friends."""
    return [x, Ballot(x.sid, stage.sign(Vote(x.sid, sha256(b"friends only"))))]


@member
@edits(Manifest)
def two_vectors(stage, to, x):
    """The initiator and half of the others hear of one masked vector, the rest of another."""
    session = stage.engine.session
    if one_half(stage, to) or (session and to == session.plan.initiator):
        return [x]
    other = stage.put(bytes(x.signed.statement.length))
    return [Manifest(x.sid, stage.sign(change(x.signed.statement, artefact=other)))]


@member
@edits(Pledge)
def two_pledges(stage, _to, x):
    """Pledges its numbers, and others."""
    return [x, Pledge(x.sid, stage.sign(change(x.signed.statement, values=sha256(b"others"))))]


# -- several in one run ------------------------------------------------------------------------------------------------


def _in_turn(*lies):
    """The k-th lie in round k; after the last it is honest."""

    def tour(stage, effect):
        at = stage.engine.head.round
        return lies[at](stage, effect) if at < len(lies) else [effect]

    return tour


WHO_IS_IN = (roster_of_friends, left_out, two_rosters, withheld_packets, two_views)
WHO_SURVIVES = (dropped_alive, two_survivor_sets, forged_certificate, both_secrets)
WHAT_COMES_OUT = (wrong_sum, wrong_model, result_without_votes, one_coordinate, second_direction)
AS_MEMBER = (two_acks, two_votes, two_vectors, two_pledges, wrong_share, wrong_numbers)
TWICE = (other_base, reopened)

who_is_in = _in_turn(*WHO_IS_IN, *WHO_SURVIVES, *TWICE)
what_comes_out = _in_turn(*WHAT_COMES_OUT)
as_member = _in_turn(*AS_MEMBER)
