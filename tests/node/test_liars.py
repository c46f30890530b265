"""Peers that lie. Honest ones refuse, write down whose lie it was, show nothing more than they may, and go on."""

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Cheat, Host, Simulation, honest_training

from peerage import effects as fx
from peerage import messages as m
from peerage.rounds import joining
from peerage.rounds.aggregation import canonical
from peerage_crypto.digest import sha256
from peerage_crypto.opening import Openings, Pledge, values_digest
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.session import Ballot, Certificate, Frozen, Manifest, Revealed, RosterMessage, Survivors
from peerage_crypto.statements import ResultAck, Signed, Vote, sign
from peerage_ledger.transcript import NOTHING, decode_round, decode_session, encode, record_of

Edit = Callable[[Simulation, Host, bytes, m.Message], "list[m.Message]"]


def first_initiator(sim: Simulation) -> Host:
    """Whose turn it is in the first round."""
    return sim.hosts[min(sim.hosts, key=lambda a: sha256(sim.federation.genesis, a))]


def last(sim: Simulation) -> Host:
    return sim.hosts[max(sim.hosts)]


def others(sim: Simulation, liar: Host) -> list[Host]:
    return [h for h in sim.hosts.values() if h is not liar]


def lies(edit: Edit) -> Cheat:
    """A cheat that edits every message for each receiver; the rest of the engine is honest."""

    def cheat(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        match effect:
            case fx.Send(to, message):
                return [fx.Send(to, said) for said in edit(sim, host, to, message)]
            case fx.Broadcast(message):
                receivers = [a for a in sim.hosts if a != host.account.address]
                return [fx.Send(to, said) for to in receivers for said in edit(sim, host, to, message)]
            case _:
                return [effect]

    return cheat


def once(kind: type, change: Callable[[Simulation, Host, bytes, m.Message], "list[m.Message]"]) -> Edit:
    """Lie in the first session only, in messages of one type."""
    first: list[bytes] = []

    def edit(sim: Simulation, host: Host, to: bytes, message: m.Message) -> list[m.Message]:
        if not isinstance(message, kind):
            return [message]
        first.append(message.sid)
        return change(sim, host, to, message) if message.sid == first[0] else [message]

    return edit


def play(edit: Edit, *, peers: int = 5, initiator: bool = True, seed: int = 3) -> tuple[Simulation, Host]:
    """A run of two rounds in which one peer lies: the first initiator, or another member."""
    sim = Simulation(peers, seed=seed, rounds=2)
    liar = first_initiator(sim)
    if not initiator:
        liar = others(sim, liar)[-1]
    sim.cheats[liar.account.address] = lies(edit)
    sim.start().run()
    invariants.check(sim)
    return sim, liar


def blamed(sim: Simulation, liar: Host, words: str) -> set[str]:
    """Which honest peers wrote down the liar's name, with these words; nobody honest may be named by an honest peer."""
    honest = {h.name for h in others(sim, liar)}
    faults = [f for f in invariants.faults(sim) if f[0] in honest]
    assert {culprit for _, culprit, _ in faults} <= {liar.name, ""}
    return {who for who, culprit, sentence in faults if culprit == liar.name and words in sentence}


def said(sim: Simulation, kind: type, sid: bytes | None = None, *, but: Host | None = None) -> list[m.Message]:
    """Messages of one type on the wire."""
    mine = but.account.address if but else b""
    return [x for who, _, x in sim.wire if isinstance(x, kind) and who != mine and sid in (None, x.sid)]


def left_out(host: Host) -> list[fx.Journal]:
    """Where a peer wrote down that a survivor set leaves it out (too late, or on purpose: it cannot know)."""
    return [e for e in host.journal if e.kind == "left" and "leaves me out" in e.fields["why"]]


def first_sid(sim: Simulation) -> bytes:
    return next(x.signed.statement.sid for _, _, x in sim.wire if isinstance(x, m.Open))


# -- lying initiators: who is in ---------------------------------------------------------------------------------------


def test_a_roster_of_friends_is_below_the_smallest_legal_one() -> None:
    def friends(_s: Simulation, _h: Host, _to: bytes, x: m.Message) -> list[m.Message]:
        return [msgspec.structs.replace(x, joins=x.joins[:3])]

    sim, liar = play(once(RosterMessage, friends))
    assert len(blamed(sim, liar, "outside the legal")) == 4
    assert not said(sim, Manifest, first_sid(sim), but=liar), "no masked vector left for it"


def test_a_roster_that_leaves_out_a_join_that_was_seen_is_refused() -> None:
    def without_one(sim: Simulation, liar: Host, _to: bytes, x: m.Message) -> list[m.Message]:
        victim = others(sim, liar)[0].account.address
        joins = tuple(j for j in x.joins if j.signer(sim.federation.domain) != victim)
        return [msgspec.structs.replace(x, joins=joins)]

    sim, liar = play(once(RosterMessage, without_one))
    assert len(blamed(sim, liar, "leaves out 1 join")) == 3
    assert not said(sim, Manifest, first_sid(sim), but=liar)


def test_two_rosters_do_not_mask_for_each_other() -> None:
    def two(sim: Simulation, liar: Host, to: bytes, x: m.Message) -> list[m.Message]:
        if to > sorted(sim.hosts)[2]:
            return [x]
        joins = tuple(
            sign(
                msgspec.structs.replace(j.statement, data_manifest=sha256(b"other")),
                liar.account,
                sim.federation.domain,
            )
            if j.signer(sim.federation.domain) == liar.account.address
            else j
            for j in x.joins
        )
        return [msgspec.structs.replace(x, joins=joins)]

    sim, _ = play(once(RosterMessage, two))
    assert first_sid(sim) not in invariants.revealed_sums(sim)
    assert not said(sim, Revealed, first_sid(sim)), "nobody showed a share"


def test_two_views_of_u2_expose_nobody() -> None:
    def two(sim: Simulation, liar: Host, to: bytes, x: m.Message) -> list[m.Message]:
        run = liar.engine.session
        if run is None or run.collector is None or run.collector.roster is None or to != max(sim.hosts):
            return [x]
        roster = run.collector.roster
        gone = next(p for p in roster.members if p not in (to, liar.account.address))
        u2 = roster.bitmap(frozenset(roster.members) - {gone})
        position = [p for p in roster.members if p != to].index(gone)
        return [msgspec.structs.replace(x, u2=u2, deliveries=x.deliveries[:position] + x.deliveries[position + 1 :])]

    seed = next(s for s in range(99) if first_initiator(sim := Simulation(5, seed=s)).name != last(sim).name)
    sim, liar = play(once(Frozen, two), seed=seed)
    victim = last(sim)
    assert not blamed(sim, liar, ""), "nobody can prove whose fault the other view is"
    assert left_out(victim)
    transcript = invariants.revealed_sums(sim)[first_sid(sim)]
    assert victim.account.address not in dict(invariants.survivors(sim, transcript))
    assert [e for e in victim.journal if e.kind == "released"], "its version is free again"


def test_withheld_packets_are_noticed_before_anything_is_masked() -> None:
    def withhold(_s: Simulation, _h: Host, _to: bytes, x: m.Message) -> list[m.Message]:
        return [msgspec.structs.replace(x, deliveries=x.deliveries[1:])]

    sim, liar = play(once(Frozen, withhold))
    assert len(blamed(sim, liar, "withheld share packets")) == 4
    assert not said(sim, Manifest, first_sid(sim), but=liar)


# -- lying initiators: who survives ------------------------------------------------------------------------------------


def _without(sim: Simulation, liar: Host, x: Survivors) -> Survivors:
    """The survivor set without one live peer."""
    roster = liar.engine.session.collector.roster
    domain, victim = sim.federation.domain, others(sim, liar)[0].account.address
    u3 = roster.bitmap(frozenset(roster.select(x.u3)) - {victim})
    return Survivors(x.sid, u3, tuple(s for s in x.manifests if s.signer(domain) != victim))


def test_a_live_peer_cannot_be_declared_lost() -> None:
    sim, liar = play(once(Survivors, lambda s, h, _to, x: [_without(s, h, x)]))
    assert len(blamed(sim, liar, "left out a peer whose vector can be had")) == 3
    assert [h.name for h in others(sim, liar) if left_out(h)] == [others(sim, liar)[0].name]
    assert not said(sim, Revealed, first_sid(sim), but=liar)


def test_two_survivor_sets_are_never_both_certified() -> None:
    def two(sim: Simulation, liar: Host, to: bytes, x: m.Message) -> list[m.Message]:
        return [x] if to > sorted(sim.hosts)[2] else [_without(sim, liar, x)]

    sim, liar = play(once(Survivors, two))
    assert blamed(sim, liar, "left out a peer")
    assert len({v.signed.statement.survivors for v in said(sim, Ballot, first_sid(sim), but=liar)}) <= 1
    assert not said(sim, Revealed, first_sid(sim), but=liar)


@pytest.mark.parametrize(
    "forge", [lambda v: v[:2], lambda v: v[:1] * len(v), lambda v: ()], ids=["few", "copies", "none"]
)
def test_a_forged_certificate_opens_no_share(forge: Callable[[tuple], tuple]) -> None:
    def forged(_s: Simulation, _h: Host, _to: bytes, x: m.Message) -> list[m.Message]:
        return [msgspec.structs.replace(x, votes=forge(x.votes))]

    sim, liar = play(once(Certificate, forged))
    assert len(blamed(sim, liar, "too few valid votes")) == 4
    assert not said(sim, Revealed, first_sid(sim), but=liar)


# -- lying initiators: the result --------------------------------------------------------------------------------------


def _false_result(change: Callable[[Simulation, Host, m.Result], m.Result]) -> Edit:
    made: dict[bytes, m.Result] = {}

    def edit(sim: Simulation, liar: Host, _to: bytes, x: m.Message) -> list[m.Message]:
        if x.sid not in made:
            made[x.sid] = change(sim, liar, x)
        return [made[x.sid]]

    return once(m.Result, edit)


def _announce(liar: Host, x: m.Result, transcript: object, total: bytes, model: bytes) -> m.Result:
    blob = encode(transcript)
    liar.holdings |= {sha256(blob): blob, sha256(total): total}
    return m.Result(x.sid, sha256(blob), len(blob), sha256(total), model)


def test_a_wrong_sum_is_acknowledged_by_nobody() -> None:
    def wrong(sim: Simulation, liar: Host, x: m.Result) -> m.Result:
        session = decode_session(liar.holdings[x.session])
        total = np.frombuffer(liar.holdings[x.sum_artefact], sim.federation.ring.dtype).copy()
        total[-1] += 12345
        merged = liar.engine.merge(liar.engine.head, [total], [len(session.manifests)]).model
        changed = msgspec.structs.replace(session, sum_artefact=sha256(ring_bytes(total)))
        return _announce(liar, x, changed, ring_bytes(total), sha256(canonical(merged)))

    sim, liar = play(_false_result(wrong))
    assert len(blamed(sim, liar, "is not the sum of the survivors' masked vectors")) == 4
    acked = {x.signed.statement.sid for who, _, x in sim.wire if isinstance(x, m.Ack) and who != liar.account.address}
    assert first_sid(sim) not in acked


def test_a_wrong_model_is_acknowledged_by_nobody() -> None:
    sim, liar = play(_false_result(lambda _s, _h, x: msgspec.structs.replace(x, model=sha256(b"mine"))))
    assert len(blamed(sim, liar, "another model")) == 4


def test_without_a_certificate_nothing_is_opened() -> None:
    def without(_s: Simulation, liar: Host, x: m.Result) -> m.Result:
        session = decode_session(liar.holdings[x.session])
        few = msgspec.structs.replace(session, votes=session.votes[:2])
        return _announce(liar, x, few, liar.holdings[x.sum_artefact], x.model)

    sim, liar = play(_false_result(without))
    assert len(blamed(sim, liar, "not certified by a quorum")) == 4
    assert not said(sim, Openings, first_sid(sim), but=liar)


# -- lying initiators: what is opened ----------------------------------------------------------------------------------


def _one_coordinate(liar: Host, x: m.Direction, k: int) -> m.Direction:
    blob = np.eye(1, liar.engine.parameters, k, dtype="<i4").tobytes()
    liar.holdings[sha256(blob)] = blob
    return msgspec.structs.replace(x, direction=sha256(blob))


def test_a_single_coordinate_is_opened_by_nobody() -> None:
    sim, liar = play(once(m.Direction, lambda _s, h, _to, x: [_one_coordinate(h, x, 5)]))
    assert len(blamed(sim, liar, "not the one that the public path gives")) == 4
    assert not said(sim, Openings, first_sid(sim), but=liar)
    assert not said(sim, Pledge, first_sid(sim), but=liar)


def test_a_second_direction_opens_nothing_more() -> None:
    sim, liar = play(once(m.Direction, lambda _s, h, _to, x: [x, _one_coordinate(h, x, 5)]))
    assert len(blamed(sim, liar, "a second direction")) == 4
    asked = {o.signed.statement.direction for o in said(sim, Openings, first_sid(sim), but=liar)}
    assert len(asked) == 1


def test_two_directions_shown_to_two_halves_open_neither_or_one() -> None:
    def two(sim: Simulation, liar: Host, to: bytes, x: m.Message) -> list[m.Message]:
        near = np.frombuffer(liar.holdings[x.direction], "<i4").copy()
        near[3] += 20
        liar.holdings[sha256(near.tobytes())] = near.tobytes()
        half = to > sorted(sim.hosts)[2]
        return [msgspec.structs.replace(x, direction=sha256(near.tobytes())) if half else x]

    sim, liar = play(once(m.Direction, two))
    asked = {o.signed.statement.direction for o in said(sim, Openings, first_sid(sim), but=liar)}
    assert len(asked) <= 1


# -- lying members -----------------------------------------------------------------------------------------------------


def test_wrong_pair_numbers_name_their_liar_and_shift_nobody() -> None:
    def wrong(sim: Simulation, liar: Host, _to: bytes, x: m.Message) -> list[m.Message]:
        if not isinstance(x, Pledge | Openings):
            return [x]
        mine = liar.engine.pledged
        values = tuple((v + 1000) % 2**32 for v in mine.values)
        statement = msgspec.structs.replace(mine.signed.statement, values=values_digest(values))
        signed = sign(statement, liar.account, sim.federation.domain)
        return [Pledge(x.sid, signed) if isinstance(x, Pledge) else Openings(x.sid, signed, values)]

    sim, liar = play(wrong, initiator=False)
    assert blamed(sim, liar, "contradict those of more peers than can collude")
    opened = invariants.plain_numbers(sim, others(sim, liar), invariants.revealed_sums(sim))
    assert opened == 8, "four honest numbers in each of two rounds, every one of them true"


def test_a_wrong_share_names_its_liar() -> None:
    def wrong(_s: Simulation, _h: Host, _to: bytes, x: m.Message) -> list[m.Message]:
        shares = (msgspec.structs.replace(x.shares[0], self_seed=bytes(33)), *x.shares[1:])
        return [msgspec.structs.replace(x, shares=shares)]

    sim, liar = play(once(Revealed, wrong), initiator=False)
    assert blamed(sim, liar, "a share that it revealed is not the one it was dealt")


def test_a_forged_vote_names_its_liar() -> None:
    def forged(sim: Simulation, liar: Host, _to: bytes, x: m.Message) -> list[m.Message]:
        return [Ballot(x.sid, sign(Vote(x.sid, sha256(b"friends only")), liar.account, sim.federation.domain))]

    sim, liar = play(once(Ballot, forged), initiator=False)
    assert blamed(sim, liar, "its vote is for something else")


def test_who_copies_anothers_masked_vector_drives_nobody_out() -> None:
    seen: list[m.Message] = []

    def copy(sim: Simulation, liar: Host, _to: bytes, x: m.Message) -> list[m.Message]:
        theirs = next(y for y in seen if y.sid == x.sid).signed.statement
        mine = x.signed.statement
        copied = {"masked_root": theirs.masked_root, "artefact": theirs.artefact}
        liar.holdings |= {k: v for h in sim.hosts.values() for k, v in h.holdings.items() if k == theirs.artefact}
        signed = sign(msgspec.structs.replace(mine, **copied), liar.account, sim.federation.domain)
        return [Manifest(x.sid, signed)]

    def note(_s: Simulation, _h: Host, _to: bytes, x: m.Message) -> None:
        if isinstance(x, Manifest):
            seen.append(x)

    sim = Simulation(5, seed=3, rounds=2)
    liar = others(sim, first_initiator(sim))[-1]
    sim.watchers.append(note)
    edit = once(Manifest, copy)

    def last_to_speak(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        if isinstance(effect, fx.Broadcast) and isinstance(effect.message, Manifest) and not seen:
            sim.at(0.05, lambda: [sim.carry(host, e) for e in lies(edit)(sim, host, effect)])
            return []
        return lies(edit)(sim, host, effect)

    sim.cheats[liar.account.address] = last_to_speak
    sim.start().run()
    invariants.check(sim)
    assert not blamed(sim, liar, "left out a peer")
    assert all(len(j.proven.u3) >= 4 for j in next(h for h in others(sim, liar)).engine.history)


def test_two_acknowledgements_of_one_session_convict() -> None:
    def two(sim: Simulation, liar: Host, _to: bytes, x: m.Message) -> list[m.Message]:
        if not isinstance(x, m.Ack):
            return [x]
        s = x.signed.statement
        return [x, m.Ack(sign(ResultAck(s.sid, s.sum_root, sha256(b"mine")), liar.account, sim.federation.domain))]

    sim, liar = play(two, initiator=False)
    assert len(blamed(sim, liar, "acknowledged two different results")) == 4


def test_a_statement_in_anothers_name_is_no_statement() -> None:
    def stolen(_s: Simulation, _h: Host, _to: bytes, x: m.Message) -> list[m.Message]:
        return [m.Ack(Signed(x.signed.statement, bytes(64) + b"\x1b"))] if isinstance(x, m.Ack) else [x]

    sim, liar = play(stolen, initiator=False)
    assert len(blamed(sim, liar, "did not sign")) == 4


def test_messages_of_an_old_session_change_nothing_in_a_new_one() -> None:
    old: dict[type, m.Message] = {}

    def replay(_s: Simulation, _h: Host, _to: bytes, x: m.Message) -> list[m.Message]:
        again = [old[type(x)]] if type(x) in old else []
        old.setdefault(type(x), x)
        return [*again, x]

    sim, _ = play(replay, initiator=False)
    assert [j.transcript.round for j in next(iter(sim.hosts.values())).engine.history] == [1, 2]


def test_an_update_cannot_be_used_twice() -> None:
    def stale(sim: Simulation, liar: Host, _to: bytes, x: m.Message) -> list[m.Message]:
        if not isinstance(x, m.Join) or x.signed.statement.round != 2:
            return [x]
        statement = msgspec.structs.replace(x.signed.statement, version=1)
        return [m.Join(sign(statement, liar.account, sim.federation.domain))]

    sim, liar = play(stale, initiator=False)
    assert len(blamed(sim, liar, "a version that the model contains already")) >= 1
    second = next(h for h in others(sim, liar)).engine.history[1]
    assert liar.account.address not in second.proven.u3


# -- accidents ---------------------------------------------------------------------------------------------------------


def test_a_nan_in_training_is_that_peers_own_fault_and_the_others_go_on() -> None:
    def train(sim: Simulation, host: Host, effect: fx.Train) -> np.ndarray:
        model = honest_training(sim, host, effect)
        if host.name == "peer-02":
            model[3] = np.nan
        return model

    sim = Simulation(5, rounds=2, train=train).start().run()
    invariants.check(sim)
    ill = next(h for h in sim.hosts.values() if h.name == "peer-02")
    assert {(who, culprit) for who, culprit, _ in invariants.faults(sim)} == {("peer-02", "peer-02")}
    assert all(ill.account.address not in j.proven.u3 for j in ill.engine.history)


@pytest.mark.parametrize("seed", range(6))
def test_of_two_concurrent_initiators_the_lower_name_wins(seed: int) -> None:
    sim = Simulation(5, seed=seed, rounds=1)
    pair = list(sim.hosts.values())[:2]

    def open_both() -> None:
        for host in pair:
            host.engine.out = []
            joining.open_session(host.engine, frozenset(sim.hosts))
            for effect in host.engine.out:
                sim.carry(host, effect)

    sim.start().at(0.0501, open_both)
    sim.run()
    invariants.check(sim)
    opened = {x.signed.statement.sid for _, _, x in sim.wire if isinstance(x, m.Open)}
    assert len(opened) >= 2
    assert {h.engine.history[0].transcript.sid for h in sim.hosts.values()} == {min(opened, key=sha256)}
    assert next(iter(sim.hosts.values())).engine.history[0].transcript.direction != NOTHING


def test_who_finds_a_wrong_number_of_its_own_in_a_record_signs_no_pay_on_it() -> None:
    sim = Simulation(5, rounds=1, seed=3)
    liar = first_initiator(sim)
    victim = others(sim, liar)[0].account.address
    renamed: dict[bytes, bytes] = {}

    def cheat(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        match effect:
            case fx.Store(blob) if blob.startswith(b'{"schema":1,"round"') and b'"aggregate"' in blob:
                t = decode_round(blob)
                judged = host.engine.history[-1] if host.engine.history else None
                survivors = judged.proven.u3 if judged else host.engine.candidate.proven.u3
                moved = dict(zip(survivors, t.numbers, strict=True))
                moved[victim] -= 1000
                moved[liar.account.address] += 1000
                forged = encode(msgspec.structs.replace(t, numbers=tuple(moved[p] for p in survivors)))
                renamed[sha256(blob)] = forged
                return [fx.Store(forged)]
            case fx.Broadcast(m.Closed(sid, _, round_, transcript)) if transcript in renamed:
                judged, forged = host.engine.history[-1], renamed[transcript]
                record = record_of(decode_round(forged), sha256(forged), judged.proven, judged.session)
                return [fx.Broadcast(m.Closed(sid, record.record_hash(), round_, sha256(forged)))]
            case _:
                return [effect]

    sim.cheats[liar.account.address] = cheat
    sim.start().run(120)
    told = [j.fields["sentence"] for j in sim.hosts[victim].journal if j.kind == "fault"]
    assert renamed
    assert any("not its own" in sentence for sentence in told)
    assert all(victim not in signatures for _, signatures, _ in sim.published)
