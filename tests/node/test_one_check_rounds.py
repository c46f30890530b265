"""Checks of the rounds behind which others stand: each is met alone, so that taking it out shows."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from simulator import Host, Simulation

from peerage import effects as fx
from peerage import messages as m
from peerage.rounds import joining, leaves, leaving, recovery, results, standing
from peerage.rounds.chase import Chase
from peerage.rounds.recovery import LEAP, Recovery
from peerage.rounds.results import MANY, Outcome
from peerage.rounds.round import Engine
from peerage.rounds.round_state import EARLY_MESSAGES
from peerage.rounds.scoring_step import Scoring, agree, my_openings
from peerage.rounds.screened import release
from peerage.rounds.version import Status
from peerage_crypto.digest import sha256
from peerage_crypto.opening import Openings, Pledge, values_digest
from peerage_crypto.secagg_member import Stage
from peerage_crypto.session import Certificate, Frozen, RosterMessage, Survivors
from peerage_crypto.statements import Abstention, Opened, ResultAck, session_id, sign
from peerage_ledger.transcript import NOTHING, encode

change = msgspec.structs.replace


def until(sim: Simulation, happened: Callable[[], object]) -> None:
    while not happened():
        assert sim.now < 60
        sim.run(sim.now + 0.0005)


def said(effects: list[fx.Effect], kind: type) -> list[m.Message]:
    return [e.message for e in effects if isinstance(e, fx.Send | fx.Broadcast) and isinstance(e.message, kind)]


def faults(effects: list[fx.Effect]) -> list[tuple[str, str]]:
    return [(e.fields["culprit"], e.fields["sentence"]) for e in effects if getattr(e, "kind", "") == "fault"]


def named(engine: Engine) -> str:
    return "0x" + engine.me.hex()


def told(engine: Engine, sender: Engine, message: m.Message) -> list[fx.Effect]:
    return engine.handle(fx.Received(sender.me, message))


# -- opening and joining -----------------------------------------------------------------------------------------------


def fresh(peers: int = 4) -> tuple[Simulation, list[Engine]]:
    """Peers with a first version each, in no session."""
    sim = Simulation(peers, rounds=2)
    engines = [sim.hosts[a].engine for a in sorted(sim.hosts)]
    for engine in engines:
        engine.handle(fx.Started(None))
        engine.handle(fx.Trained(engine.own.base + np.float32(0.01), 1, 100, 50, 0.5))
    return sim, engines


def opened(sim: Simulation, by: Engine, nonce: int = 1, **fields: object) -> Opened:
    """An opening whose name is the hash of its parts, whatever these are."""
    s = {"parent": by.head.record, "params": sim.federation.terms, "round_": 1, **fields}
    names = {"chain_id": sim.federation.chain_id, "registry": sim.federation.registry}
    sid = session_id(**names, initiator=by.me, nonce=bytes([nonce]) * 32, **s)
    return Opened(sid, s["round_"], by.me, s["parent"], s["params"], bytes([nonce]) * 32)


def opening(sim: Simulation, by: Engine, nonce: int = 1, **fields: object) -> m.Open:
    return m.Open(sign(opened(sim, by, nonce, **fields), by.account, sim.federation.domain))


def test_a_sound_opening_is_joined() -> None:
    sim, (a, b, *_) = fresh()
    assert said(told(a, b, opening(sim, b)), m.Join)


def test_an_opening_under_other_terms_is_its_senders_fault() -> None:
    sim, (a, b, *_) = fresh()
    effects = told(a, b, opening(sim, b, params=sha256(b"other terms")))
    assert [who for who, _ in faults(effects)] == [named(b)]
    assert not said(effects, m.Join)


def test_an_opening_in_anothers_name_is_its_senders_fault() -> None:
    sim, (a, b, c, _) = fresh()
    effects = told(a, c, m.Open(sign(opened(sim, b), c.account, sim.federation.domain)))
    assert [who for who, _ in faults(effects)] == [named(c)]
    assert not said(effects, m.Join)


def test_an_opening_that_its_initiator_did_not_sign_is_joined_by_nobody() -> None:
    sim, (a, b, c, _) = fresh()
    effects = told(a, b, m.Open(sign(opened(sim, b), c.account, sim.federation.domain)))
    assert [who for who, _ in faults(effects)] == [named(b)]
    assert not said(effects, m.Join)


def test_an_opening_on_another_record_is_not_joined() -> None:
    sim, (a, b, *_) = fresh()
    assert not said(told(a, b, opening(sim, b, parent=sha256(b"another branch"))), m.Join)


def test_who_broke_a_rule_on_this_record_is_joined_no_more() -> None:
    sim, (a, b, *_) = fresh()
    a.distrusted.add(b.me)
    effects = told(a, b, opening(sim, b))
    assert not said(effects, m.Join)
    assert "broke a rule" in said(effects, m.Refusal)[0].sentence


def test_a_session_that_was_left_is_not_joined_again() -> None:
    sim, (a, b, *_) = fresh()
    message = opening(sim, b)
    told(a, b, message)
    leaving.leave(a, "a test")
    assert a.own.status is Status.FREE
    assert not said(told(a, b, message), m.Join)
    assert said(told(a, b, opening(sim, b, nonce=2)), m.Join), "another session of it is"


def test_a_version_in_use_joins_nothing() -> None:
    sim, (a, b, *_) = fresh()
    a.own = a.own.spent()
    assert not said(told(a, b, opening(sim, b)), m.Join)


def test_who_waits_for_a_quorum_joins_nothing() -> None:
    sim, (a, b, *_) = fresh()
    a.bound = True
    effects = told(a, b, opening(sim, b))
    assert not said(effects, m.Join)
    assert "waits for its quorum" in said(effects, m.Refusal)[0].sentence


def test_who_lost_its_disk_joins_nothing() -> None:
    sim, (a, b, *_) = fresh()
    a.recovery = Recovery()
    effects = told(a, b, opening(sim, b))
    assert not said(effects, m.Join)
    assert "lost its disk" in said(effects, m.Refusal)[0].sentence


@pytest.mark.parametrize("lower_first", [True, False])
def test_of_two_sessions_the_lower_name_is_kept(lower_first: bool) -> None:
    sim, (a, b, c, _) = fresh()
    pair = sorted([(b, opening(sim, b)), (c, opening(sim, c))], key=lambda p: sha256(p[1].signed.statement.sid))
    for by, message in pair if lower_first else pair[::-1]:
        told(a, by, message)
    assert a.session.sid == pair[0][1].signed.statement.sid


def test_once_shares_have_left_no_lower_name_is_followed() -> None:
    sim, (a, b, c, _) = fresh()
    pair = sorted([(b, opening(sim, b)), (c, opening(sim, c))], key=lambda p: sha256(p[1].signed.statement.sid))
    told(a, *pair[1])
    a.session.member.stage = Stage.DEALT
    told(a, *pair[0])
    assert a.session.sid == pair[1][1].signed.statement.sid


def test_a_join_in_anothers_name_is_its_senders_fault() -> None:
    sim, (a, b, c, d) = fresh()
    message = opening(sim, b)
    told(a, b, message)
    (theirs,) = said(told(c, b, message), m.Join)
    effects = told(a, d, theirs)
    assert [who for who, _ in faults(effects)] == [named(d)]


def test_a_join_with_a_version_that_the_model_contains_is_its_senders_fault() -> None:
    sim, (a, b, c, _) = fresh()
    message = opening(sim, b)
    told(a, b, message)
    (theirs,) = said(told(c, b, message), m.Join)
    old = change(theirs.signed.statement, version=0)
    effects = told(a, c, m.Join(sign(old, c.account, sim.federation.domain)))
    assert [who for who, _ in faults(effects)] == [named(c)]


def test_the_lock_is_saved_before_the_join_is_said() -> None:
    sim, (a, b, *_) = fresh()
    effects = told(a, b, opening(sim, b))
    saved = next(i for i, e in enumerate(effects) if isinstance(e, fx.Save) and e.state.status == "locked")
    assert saved < next(i for i, e in enumerate(effects) if isinstance(getattr(e, "message", None), m.Join))


def test_a_stranger_is_not_heard() -> None:
    _, (a, *_) = fresh()
    before = dict(a.membership.news)
    assert not a.handle(fx.Received(b"\x09" * 20, a.news()))
    assert a.membership.news == before


def test_early_messages_of_one_peer_are_bounded() -> None:
    _, (a, b, *_) = fresh()
    for i in range(2 * EARLY_MESSAGES):
        told(a, b, some_direction(i))
    assert len(a.early[b.me]) == EARLY_MESSAGES


def some_direction(i: int) -> m.Direction:
    return m.Direction(sha256(i.to_bytes(4, "big")), bytes(32), 0)


def test_who_is_gone_is_not_fresh_whatever_it_said() -> None:
    _, (a, b, *_) = fresh()
    a.membership.heard(b.me, b.news())
    assert b.me in a.membership.fresh(a.head.record)
    a.membership.gone.add(b.me)
    assert b.me not in a.membership.fresh(a.head.record)


def test_who_broke_a_rule_of_a_session_is_remembered() -> None:
    sim, (a, b, *_) = fresh()
    message = opening(sim, b)
    told(a, b, message)
    assert faults(told(a, b, RosterMessage(message.signed.statement.sid, ())))
    assert a.distrusted == {b.me}


def test_what_was_voted_for_counts_though_its_sum_was_never_seen() -> None:
    sim, (a, *_) = fresh()
    a.rules = replace(a.rules, least_roster_change=3)
    everybody = tuple(sorted(sim.hosts))
    a.voted_for[sha256(b"lost")] = (everybody, everybody)
    assert joining.caution_of(a).of_roster(everybody[:-1])


# -- the session -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [RosterMessage, Frozen, Survivors, Certificate])
def test_a_step_of_the_session_is_the_initiators_to_say(kind: type) -> None:
    sim = Simulation(4, rounds=1)
    kept: list[tuple[Host, bytes, m.Message]] = []

    def swallow(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        if isinstance(effect, fx.Send | fx.Broadcast) and isinstance(effect.message, kind):
            to = effect.to if isinstance(effect, fx.Send) else next(a for a in sim.hosts if a != host.account.address)
            kept.append((host, to, effect.message))
            return []
        return [effect]

    for address in sim.hosts:
        sim.cheats[address] = swallow
    sim.start()
    until(sim, lambda: kept)
    initiator, to, message = kept[0]
    victim = sim.hosts[to].engine
    other = next(h.engine for h in sim.hosts.values() if h is not initiator and h.engine is not victim)
    before = victim.session.member.stage
    assert not told(victim, other, message)
    assert victim.session.member.stage is before
    assert told(victim, initiator.engine, message), "from the initiator it is a step"


def masked() -> tuple[Simulation, list[Engine]]:
    """Five peers that have all masked in one session, and not voted; the initiator first."""
    sim = Simulation(5, rounds=1)

    def mute(_s: Simulation, _h: Host, effect: fx.Effect) -> list[fx.Effect]:
        return [] if isinstance(getattr(effect, "message", None), Survivors) else [effect]

    for address in sim.hosts:
        sim.cheats[address] = mute
    sim.start()
    until(sim, lambda: all(h.engine.session and h.engine.session.member.u2 for h in sim.hosts.values()))
    engines = [h.engine for h in sim.hosts.values()]
    first = engines[0].session.plan.initiator
    return sim, sorted(engines, key=lambda e: (e.me != first, e.me))


def test_only_its_initiator_gives_a_session_up() -> None:
    _, (first, a, b, *_) = masked()
    told(a, b, m.Abandoned(a.session.sid, "b says so"))
    assert a.session is not None
    told(a, first, m.Abandoned(a.session.sid, "the initiator says so"))
    assert a.session is None


def abstained(sim: Simulation, sid: bytes, by: Engine) -> m.Abstained:
    return m.Abstained(sign(Abstention(sid, 1), by.account, sim.federation.domain))


def test_a_version_whose_vector_has_left_waits_for_an_abort_certificate() -> None:
    sim, (_, a, b, c, d) = masked()
    sid = a.session.sid
    leaving.leave(a, "a test")
    assert a.own.status is Status.LOCKED
    told(a, b, abstained(sim, sid, c))
    told(a, d, abstained(sim, sid, c))
    assert a.abstentions[sid] == {a.me}, "in whose name it is signed must say it"
    told(a, b, abstained(sim, sid, b))
    assert a.own.status is Status.LOCKED
    told(a, c, abstained(sim, sid, c))
    assert a.own.status is Status.FREE


def test_abstentions_from_outside_the_roster_count_for_nothing() -> None:
    _, (_, a, *_) = masked()
    sid = a.session.sid
    leaving.leave(a, "a test")
    a.abstentions[sid] |= {bytes([i]) * 20 for i in range(9)}
    leaving._maybe_aborted(a, sid)
    assert a.own.status is Status.LOCKED


def test_without_an_abort_certificate_the_version_is_spent() -> None:
    _, (_, a, *_) = masked()
    sid = a.session.sid
    leaving.leave(a, "a test")
    a.handle(fx.Timeout(f"abort:{sid.hex()}"))
    assert a.own.status is not Status.FREE


def test_a_peer_in_the_sum_keeps_its_version() -> None:
    _, (_, a, b, *_) = masked()
    everybody = a.session.member.roster.members
    proven = SimpleNamespace(u2=everybody, u3=everybody, screening=None)
    release(a, a.own.sid, proven)
    assert a.own.status is Status.LOCKED
    proven.u3 = (b.me,)
    release(a, a.own.sid, proven)
    assert a.own.status is Status.FREE


# -- the result --------------------------------------------------------------------------------------------------------


def bound() -> tuple[Simulation, Engine, m.Result]:
    """A peer that has acknowledged a result and hears of nobody else's acknowledgement."""
    sim = Simulation(4, rounds=1)

    def mute(_s: Simulation, _h: Host, effect: fx.Effect) -> list[fx.Effect]:
        return [] if isinstance(getattr(effect, "message", None), m.Ack) else [effect]

    for address in sim.hosts:
        sim.cheats[address] = mute
    sim.start()
    until(sim, lambda: any(h.engine.acked for h in sim.hosts.values()))
    engine = next(h.engine for h in sim.hosts.values() if h.engine.acked)
    return sim, engine, engine.acked


def acknowledged(engine: Engine, result: m.Result) -> list[m.Message]:
    engine.out = []
    results._acknowledge(engine, result, engine.outcomes[engine.acked].candidate)
    return said(engine.out, m.Ack)


def test_who_is_bound_acknowledges_nothing_else() -> None:
    _, engine, result = bound()
    assert acknowledged(engine, result), "the same once more is no harm"
    assert not acknowledged(engine, change(result, sid=sha256(b"another session")))
    assert engine.acked == result


def test_who_is_free_again_acknowledges_no_second_result_of_the_same_session() -> None:
    """Two would convict an honest peer by its own signatures (F1): the whole stake."""
    _, engine, result = bound()
    candidate = engine.outcomes[result].candidate
    results.on_bound_timer(engine, result.sid)
    assert not engine.bound
    other = change(result, sum_artefact=sha256(b"another sum"), model=sha256(b"another model"))
    wrong = replace(candidate, sum_root=sha256(b"another root"), aggregate=other.model)
    for _ in range(2):
        engine.out = []
        results._acknowledge(engine, other, wrong)
        assert not said(engine.out, m.Ack)
        assert engine.acked == result
        engine.acks.clear()  # the second time as after a restart, which knows the result alone
    assert acknowledged(engine, result), "the same once more is no harm"


def test_who_is_no_member_acknowledges_nothing() -> None:
    _, engine, result = bound()
    engine.me = b"\x09" * 20
    assert not acknowledged(engine, result)


def test_who_lost_its_disk_acknowledges_nothing() -> None:
    _, engine, result = bound()
    engine.recovery = Recovery()
    assert not acknowledged(engine, result)


def test_an_acknowledgement_is_saved_before_it_is_said() -> None:
    _, engine, result = bound()
    acknowledged(engine, result)
    kinds = [type(e).__name__ for e in engine.out]
    assert kinds.index("Save") < kinds.index("Broadcast")


def test_an_acknowledgement_in_anothers_name_is_its_senders_fault() -> None:
    sim, a, result = bound()
    b, c = (h.engine for h in list(sim.hosts.values())[:3] if h.engine is not a)
    ack = m.Ack(sign(ResultAck(result.sid, bytes(32), bytes(32)), c.account, sim.federation.domain))
    assert [who for who, _ in faults(told(a, b, ack))] == [named(b)]


def test_acknowledgements_and_results_of_one_peer_are_bounded() -> None:
    sim, a, _ = bound()
    b = next(h.engine for h in sim.hosts.values() if h.engine is not a)
    for i in range(2 * MANY):
        sid = sha256(bytes([i]))
        told(a, b, m.Ack(sign(ResultAck(sid, bytes(32), bytes(32)), b.account, sim.federation.domain)))
        told(a, b, m.Result(sid, sha256(b"session", sid), 10, sha256(b"sum", sid), bytes(32)))
    assert sum(b.me in acks for acks in a.acks.values()) == MANY
    assert sum(o.sender == b.me for o in a.outcomes.values()) <= MANY


def test_a_second_result_of_one_session_is_its_senders_fault() -> None:
    sim, a, _ = bound()
    b = next(h.engine for h in sim.hosts.values() if h.engine is not a)
    sid = sha256(b"some session")
    told(a, b, m.Result(sid, bytes(32), 10, bytes(32), bytes(32)))
    effects = told(a, b, m.Result(sid, bytes(32), 10, bytes(32), sha256(b"another model")))
    assert [who for who, _ in faults(effects)] == [named(b)]


def test_an_acknowledgement_of_another_model_counts_for_nothing() -> None:
    sim, a, result = bound()
    candidate = a.outcomes[result].candidate
    others = [h.engine for h in sim.hosts.values() if h.engine is not a]
    for b in others:
        told(a, b, m.Ack(sign(ResultAck(result.sid, result.sum_artefact, bytes(32)), b.account, sim.federation.domain)))
    assert [ack.signer(sim.federation.domain) for ack in results.matching_acks(a, candidate)] == [a.me]
    assert a.candidate is None


def judged_again(engine: Engine, result: m.Result, kept: Outcome, **fields: object) -> Outcome:
    """The same artefacts under another announcement."""
    domain, session = engine.federation.domain, kept.session
    blobs = {s.statement.artefact: BLOBS[s.statement.artefact] for s in session.manifests}
    outcome = Outcome(
        session.opened.signer(domain), session, {**blobs, result.sum_artefact: BLOBS[result.sum_artefact]}
    )
    engine.out = []
    results.judge(engine, change(result, **fields), outcome)
    return outcome


BLOBS: dict[bytes, bytes] = {}


def test_a_result_names_its_session_and_its_model() -> None:
    sim, a, result = bound()
    BLOBS.update({k: v for h in sim.hosts.values() for k, v in h.holdings.items()})
    kept = a.outcomes[result]
    assert judged_again(a, result, kept).candidate is not None
    assert judged_again(a, result, kept, sid=sha256(b"another")).refused
    assert judged_again(a, result, kept, model=sha256(b"another")).refused


def test_a_result_is_not_acknowledged_before_every_vector_is_here() -> None:
    _, a, result = bound()
    kept = a.outcomes[result]
    blobs = {result.sum_artefact: kept.blobs[result.sum_artefact]}
    outcome = Outcome(kept.sender, kept.session, blobs)
    results.judge(a, result, outcome)
    assert outcome.candidate is None
    assert not outcome.refused


def test_a_result_on_a_record_that_is_behind_me_blames_nobody() -> None:
    sim = Simulation(4, rounds=2).start().run()
    a = next(iter(sim.hosts.values())).engine
    judged = a.history[0]
    total = sim.archive[judged.transcript.sum_artefact]
    a.candidate, a.out = None, []
    result = m.Result(judged.transcript.sid, bytes(32), 1, judged.transcript.sum_artefact, judged.standing.aggregate)
    results.judge(a, result, Outcome(b"\x01" * 20, judged.session, {judged.transcript.sum_artefact: total}))
    assert not faults(a.out)


# -- opened numbers ----------------------------------------------------------------------------------------------------


def adopted() -> tuple[Simulation, list[Engine]]:
    """All have adopted the first round and computed its direction, and none has been asked to open; initiator first."""
    sim = Simulation(4, rounds=1)

    def mute(_s: Simulation, _h: Host, effect: fx.Effect) -> list[fx.Effect]:
        return [] if isinstance(getattr(effect, "message", None), m.Direction) else [effect]

    for address in sim.hosts:
        sim.cheats[address] = mute
    sim.start()
    until(sim, lambda: all(h.engine.scored for h in sim.hosts.values()))
    engines = [h.engine for h in sim.hosts.values()]
    first = engines[0].candidate.proven.roster.plan.initiator
    return sim, sorted(engines, key=lambda e: (e.me != first, e.me))


def test_only_the_initiator_names_a_direction() -> None:
    _, (first, a, b, _) = adopted()
    told(a, b, first.directed)
    assert a.directed is None
    assert said(told(a, first, first.directed), Pledge)


def test_another_scale_than_that_of_the_public_path_is_opened_by_nobody() -> None:
    _, (first, a, *_) = adopted()
    wrong = m.Direction(first.directed.sid, first.directed.direction, first.directed.exponent + 1)
    effects = told(a, first, wrong)
    assert not said(effects, Pledge)
    assert next(why for who, why in faults(effects) if who == named(first)).endswith("the public path gives")


def test_who_did_not_survive_opens_nothing() -> None:
    _, (first, a, *_) = adopted()
    proven = a.candidate.proven
    a.candidate = replace(a.candidate, proven=replace(proven, u3=tuple(p for p in proven.u3 if p != a.me)))
    assert not said(told(a, first, first.directed), Pledge)


def test_a_pledge_in_anothers_name_is_its_senders_fault() -> None:
    _, (first, a, b, c) = adopted()
    (pledge,) = said(told(b, first, first.directed), Pledge)
    assert [who for who, _ in faults(told(a, c, pledge))] == [named(c)]


def scoring_of(engines: list[Engine], direction: np.ndarray | None = None) -> Scoring:
    first = engines[0]
    g = first.scored.direction if direction is None else direction
    return Scoring(first.candidate, {}, g, 10, set(first.candidate.proven.u3))


def numbers_of(a: Engine, **fields: object) -> Openings:
    """What a would send to the initiator, signed by it with other fields."""
    keys, g = a.closing.member.pair_keys, a.scored.direction
    _, good = my_openings(a.candidate, a.me, keys, g, bytes(32), a.account.sign)
    values = fields.pop("values", good.values)
    statement = change(good.signed.statement, values=values_digest(values), **fields)
    return Openings(good.sid, sign(statement, a.account, a.federation.domain), values)


def test_the_initiator_takes_openings_of_this_session_with_a_number_for_each_partner() -> None:
    _, engines = adopted()
    a = engines[1]
    assert not scoring_of(engines).on_openings(a.me, numbers_of(a))
    assert scoring_of(engines).on_openings(a.me, numbers_of(a, sid=bytes(32)))
    assert scoring_of(engines).on_openings(a.me, numbers_of(a, values=(1, 2)))


def test_directions_that_agree_by_less_than_99_hundredths_do_not() -> None:
    one, other = np.array([100, 0]), np.array([100, 20])  # a cosine of 0.98
    assert not agree(one, other)


# -- records -----------------------------------------------------------------------------------------------------------


def test_a_record_whose_numbers_do_not_add_up_is_disputed() -> None:
    sim, engines = adopted()
    for address in sim.hosts:
        sim.cheats.pop(address)
    first, a = engines[:2]
    kept = (a.scored, a.closing, a.update)
    for engine in engines:
        for other in engines[1:] if engine is first else ():
            sim.deliver(first.me, (other.me,), first.directed)
    until(sim, lambda: a.history)
    judged = a.history[0]
    a.scored, a.closing, a.update = kept
    at = next(i for i, p in enumerate(judged.proven.u3) if p != a.me)
    numbers = tuple(n + 1000 * (i == at) for i, n in enumerate(judged.transcript.numbers))
    forged = replace(judged, transcript=change(judged.transcript, numbers=numbers))
    a.disputed, a.out = {}, []
    standing._check_my_number(a, judged)
    assert not a.disputed
    standing._check_my_number(a, forged)
    assert "do not add up" in a.disputed[judged.standing.record]


def two_branches() -> tuple[Engine, Engine]:
    """Peers on two rounds that stand on one parent; the first is on the one with the lower record."""
    engines = []
    for draws in (0, 1000):
        sim = Simulation(4, rounds=1, seed=5)
        sim._draws = draws
        sim.start()
        until(sim, lambda sim=sim: all(h.engine.history for h in sim.hosts.values()))
        engines.append(sim.hosts[min(sim.hosts)].engine)
    low, high = sorted(engines, key=lambda e: e.head.record)
    assert low.head.record != high.head.record
    assert low.history[0].transcript.direction != NOTHING != high.history[0].transcript.direction
    return low, high


def take(engine: Engine, branch: Engine) -> bytes:
    engine.out = []
    standing._take(engine, b"\x01" * 20, list(branch.history))
    return engine.head.record


def test_of_two_equal_branches_the_lower_record_is_taken() -> None:
    low, high = two_branches()
    lower, higher = low.head.record, high.history
    assert take(low, high) == lower
    assert take(high, low) == lower
    assert higher


def test_the_branch_on_which_rewards_were_settled_is_kept() -> None:
    low, high = two_branches()
    higher = high.head.record
    for peer in list(high.federation.registered)[:3]:
        high.settled_on[peer].append(higher)
    assert take(high, low) == higher


def test_a_chain_has_one_parent_for_each_round_and_brings_only_what_was_asked_for() -> None:
    low, _ = two_branches()
    head = low.history[0]
    chase = Chase(b"\x01" * 20, head.standing.transcript, 1, {low.genesis.record: low.genesis}, 10**6)
    chase.start()
    assert not chase.on_blob(sha256(b"unasked"), b"unasked")
    assert not chase.blobs
    chase.on_blob(head.standing.transcript, encode(change(head.transcript, parents=())))
    assert chase.failed == "a round without exactly one parent"


# -- sums too large to be added up again -------------------------------------------------------------------------------


def test_no_leaf_is_drawn_before_the_initiator_has_signed_this_very_sum() -> None:
    _, a, result = bound()
    candidate, total = a.outcomes[result].candidate, a.outcomes[result].blobs[result.sum_artefact]
    initiator = candidate.proven.roster.plan.initiator
    a.rules = replace(a.rules, leaves=1)
    other = ResultAck(result.sid, candidate.sum_root, sha256(b"another model"))
    a.acks[result.sid][initiator] = sign(other, a.account, a.federation.domain)
    assert leaves.begin(a, candidate, total, initiator) is None
    mine = ResultAck(result.sid, candidate.sum_root, candidate.aggregate)
    a.acks[result.sid][initiator] = sign(mine, a.account, a.federation.domain)
    assert leaves.begin(a, candidate, total, initiator) is not None


def test_questions_for_leaves_of_one_artefact_are_bounded() -> None:
    _, (a, *_) = fresh()
    for i in range(2 * leaves.WAITING):
        leaves.on_asked(a, bytes([i]) * 20, m.LeavesAsked(bytes(32), (0,)))
    assert len(a.leaf_questions[bytes(32)]) == leaves.WAITING


def test_a_wrong_leaf_of_a_led_bucket_convicts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    _, (a, *_) = fresh()
    monkeypatch.setattr(leaves, "is_led", lambda *_: True)
    proven = SimpleNamespace(roster=SimpleNamespace(plan=None))
    assert leaves._convict(a, SimpleNamespace(proven=proven, session=None), 0, 0, {}).culprit is None


# -- settlement --------------------------------------------------------------------------------------------------------


def test_who_disputes_a_number_proposes_nothing_and_signs_nothing() -> None:
    sim = Simulation(4, rounds=1).start()
    until(sim, lambda: all(h.engine.settlement and h.engine.settlement._mine for h in sim.hosts.values()))
    settlement = next(iter(sim.hosts.values())).engine.settlement
    assert any(isinstance(e, fx.Broadcast) for e in settlement._propose())
    artefact, document = settlement._proposed
    blob = msgspec.json.encode(document, order="deterministic")
    assert said(settlement._vote_for(b"\x01" * 20, artefact, blob), m.RewardVote)
    settlement._disputed = "round 1: a test"
    assert not settlement._propose()
    assert not said(settlement._vote_for(b"\x01" * 20, artefact, blob), m.RewardVote)


def test_my_emissions_in_a_settlement_are_mine() -> None:
    sim = Simulation(4, rounds=1).start()
    until(sim, lambda: all(h.engine.settlement and h.engine.settlement._mine for h in sim.hosts.values()))
    settlement = next(iter(sim.hosts.values())).engine.settlement
    settlement._propose()
    document = settlement._proposed[1]
    wrong = tuple(change(e, emissions=bytes(32)) if e.peer == settlement.me else e for e in document.emissions)
    assert wrong != document.emissions
    blob = msgspec.json.encode(change(document, emissions=wrong), order="deterministic")
    assert not said(settlement._vote_for(b"\x01" * 20, sha256(blob), blob), m.RewardVote)


# -- after a lost disk -------------------------------------------------------------------------------------------------


def lost() -> tuple[Simulation, Engine, list[bytes]]:
    sim, (a, *others) = fresh(5)
    recovery.start(a)
    return sim, a, [e.me for e in others]


def news(sim: Simulation, round_: int) -> m.Fresh:
    return m.Fresh(sha256(bytes([round_])), round_, bytes(32), 1, ready=False)


def test_a_peer_that_lost_its_disk_waits_for_enough_answers() -> None:
    sim, a, (b, c, d, _) = lost()
    a.recovery.waited = True
    recovery.heard(a, b, news(sim, 0))
    recovery.end_if_safe(a)
    assert a.recovery is not None
    for peer in (c, d):
        recovery.heard(a, peer, news(sim, 0))
    recovery.end_if_safe(a)
    assert a.recovery is None
    assert a.own.number >= LEAP, "above whatever it may have used"


def test_a_peer_that_lost_its_disk_waits_for_the_next_record() -> None:
    sim, a, others = lost()
    for peer in others:
        recovery.heard(a, peer, news(sim, 0))
    recovery.end_if_safe(a)
    assert a.recovery is not None, "its earlier life may have signed on this record"


def test_the_first_answer_after_a_lost_disk_counts() -> None:
    sim, a, (b, *_) = lost()
    recovery.heard(a, b, news(sim, 3))
    recovery.heard(a, b, news(sim, 2))
    assert a.recovery.rounds[b] == 3


# -- branches ----------------------------------------------------------------------------------------------------------


def test_a_branch_counts_as_settled_only_by_more_than_can_collude() -> None:
    _, (a, b, c, _) = fresh()
    a.settled_on[b.me].extend([a.head.record] * 2)
    assert not a.settles(a.head.record)
    a.settled_on[c.me].append(a.head.record)
    assert a.settles(a.head.record)
