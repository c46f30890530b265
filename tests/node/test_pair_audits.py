"""Two that move score between them, and initiators that cheat with the audit, in whole federations."""

import invariants
import msgspec
import pytest
from simulator import Host, Simulation, honest_training

from peerage import effects as fx
from peerage.rounds import openings, pair_audits, standing
from peerage.rounds.scoring_step import my_openings
from peerage_crypto.digest import sha256
from peerage_crypto.opening import Openings, values_digest
from peerage_crypto.pair_audit import Drawn, Late, Shown, Spoken, Unconfirmed, audited_pairs, charged
from peerage_crypto.statements import Opening, Signed
from peerage_ledger.judgement import Evidence, judge_round
from peerage_ledger.rewards import totals
from peerage_ledger.transcript import as_opened, encode

ROUNDS = 8


def conspire(monkeypatch, a: bytes, b: bytes, by: int = 1 << 28) -> None:
    """Both state so much less of their common mask as the first wants to have more."""

    def wrong(candidate, me, pair_keys, direction, emissions, signing):
        statement, said = my_openings(candidate, me, pair_keys, direction, emissions, signing)
        other = {a: b, b: a}.get(me)
        if other is None or other not in candidate.proven.u3:
            return statement, said
        values = list(said.values)
        at = candidate.proven.partners(me).index(other)
        values[at] = (values[at] - (by if a < b else -by)) % 2**32
        statement = Opening(statement.sid, statement.direction, values_digest(tuple(values)), emissions)
        signed = Signed(statement, signing(statement.digest(candidate.proven.roster.plan.domain)))
        return statement, Openings(said.sid, signed, tuple(values))

    check = standing._check_my_number
    monkeypatch.setattr(openings, "my_openings", wrong)
    monkeypatch.setattr(standing, "_check_my_number", lambda s, judged: s.me in (a, b) or check(s, judged))


def idle(*liars: bytes):
    """Everybody trains but these, who send nothing."""

    def train(sim: Simulation, host: Host, effect: fx.Train):
        return effect.model if host.account.address in liars else honest_training(sim, host, effect)

    return train


def ended(sim: Simulation) -> tuple[Host, dict[bytes, int]]:
    sim.start().run(400)
    assert all(host.finished for host in sim.hosts.values())
    first = next(iter(sim.hosts.values()))
    return first, totals(first.engine.pay)


@pytest.mark.parametrize("peers", [6, 8, 12])
def test_two_that_move_score_are_found_in_most_rounds_and_earn_nothing(monkeypatch, peers):
    a, b = sorted(Simulation(peers, seed=5).hosts)[1:3]
    unwatched = Simulation(peers, seed=5, rounds=ROUNDS, audited=False, train=idle(a, b))
    conspire(monkeypatch, a, b)
    _, paid = ended(unwatched)
    assert paid[a] == max(paid.values()), "unwatched, the one who is given to earns most of all"
    assert paid.get(b, 0) == 0

    first, paid = ended(Simulation(peers, seed=5, rounds=ROUNDS, train=idle(a, b)))
    print({p.hex()[:4]: v / 1e18 for p, v in paid.items()})
    found = [j for j in first.engine.history if j.transcript.unconfirmed]
    assert all([(p.a, p.b) for p in j.transcript.unconfirmed] == [(a, b)] for j in found)
    drawn = [j for j in first.engine.history if (a, b) in audited_pairs(j.proven, j.transcript.lates)]
    assert [j.transcript.round for j in found] == [j.transcript.round for j in drawn] != []
    assert paid.get(a, 0) * 4 * len(paid) <= sum(paid.values()), "less than a quarter of an equal share"
    assert paid.get(b, 0) == 0
    assert sum(value > 0 for value in paid.values()) >= peers // 2
    for judged in found:
        raw = dict(zip(judged.proven.u3, as_opened(judged.transcript), strict=True))
        left = dict(zip(judged.proven.u3, judged.transcript.numbers, strict=True))
        assert {p for p in raw if raw[p] != left[p]} <= {a, b}
        assert left[a] <= 0


def test_honest_peers_are_all_confirmed():
    sim = Simulation(8, seed=2, rounds=3)
    first, _ = ended(sim)
    invariants.check(sim)
    assert [len(j.transcript.shown) for j in first.engine.history] == [8] * 3
    assert not any(j.transcript.unconfirmed or j.transcript.opened for j in first.engine.history)


def test_a_record_whose_audit_does_not_hold_is_nobodys_record():
    sim = Simulation(6, seed=2, rounds=1)
    first, _ = ended(sim)
    engine, judged = first.engine, first.engine.history[0]
    t = judged.transcript

    def codes(**changes: object) -> list[str]:
        forged = msgspec.structs.replace(t, **changes)
        total = sim.archive[t.sum_artefact]
        evidence = Evidence(sha256(encode(forged)), forged, t.session, judged.session, total)
        found = judge_round(sim.federation, engine.genesis, evidence, engine.merge)
        return [fault.code for fault in found] if isinstance(found, list) else []

    a, b = min(audited_pairs(judged.proven, t.lates))
    named = (Unconfirmed(a, b),)
    left = charged(judged.proven, dict(zip(judged.proven.u3, t.numbers, strict=True)), named)
    counted = tuple(left[m] for m in judged.proven.u3)
    assert codes() == []
    assert codes(unconfirmed=named, opened=t.numbers, numbers=counted) == []
    assert codes(unconfirmed=named, opened=t.numbers) == ["pair-audit"], "not charged"
    assert codes(unconfirmed=named, numbers=counted) == ["pair-audit"], "what was opened is not said"
    assert codes(opened=t.numbers) == ["pair-audit"], "numbers beside the numbers"
    assert codes(lates=(), shown=()) == ["pair-audit"], "no audit at all"
    assert codes(lates=t.lates[::-1]) == ["pair-audit"]
    assert codes(shown=tuple(s for s in t.shown if s.signed.signer(sim.federation.domain) not in {a, b})) == [
        "pair-audit"
    ]


def test_two_peers_whose_keys_an_initiator_hides_can_tell_and_are_charged(monkeypatch):
    sim = Simulation(8, seed=4, rounds=1)
    take, hidden = pair_audits.Audit.take, set[bytes]()

    def forgetful(self, sender, message):
        drawn = sorted(audited_pairs(self.candidate.proven, self.drawn.lates)) if self.drawn else []
        initiator = self.candidate.proven.roster.plan.initiator
        pair = next((p for p in drawn if initiator not in p), ())
        hidden.update(pair)
        if sender in pair:
            self.expected.discard(sender)
            return ""
        return take(self, sender, message)

    monkeypatch.setattr(pair_audits.Audit, "take", forgetful)
    sim.start().run(200)
    assert len(hidden) == 2
    judged = next(iter(sim.hosts.values())).engine.history[0]
    assert {end for pair in judged.transcript.unconfirmed for end in (pair.a, pair.b)} == hidden
    assert sim.published, "what may have been lost on its way stops nobody's pay"
    for victim in hidden:
        told = [j.fields["sentence"] for j in sim.hosts[victim].journal if j.kind == "fault"]
        assert any("though it has shown its key" in sentence for sentence in told)


def test_nobody_shows_a_key_for_a_draw_that_an_initiator_made_up():
    sim = Simulation(6, seed=1, rounds=1)
    liars: set[bytes] = set()

    def cheat(_sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        match effect:
            case fx.Broadcast(Drawn(sid, lates)):
                liars.add(host.account.address)
                return [fx.Broadcast(Drawn(sid, (sha256(b"mine"), *lates[1:])))]
            case fx.Send(to, Drawn(sid, lates)):
                return [fx.Send(to, Drawn(sid, (sha256(b"mine"), *lates[1:])))]
            case _:
                return [effect]

    sim.cheats = dict.fromkeys(sim.hosts, cheat)
    sim.start().run(200)
    assert len(liars) == 1
    assert not any(isinstance(message, Shown) for _, _, message in sim.wire)
    told = [j.fields["sentence"] for h in sim.hosts.values() for j in h.journal if j.kind == "fault"]
    assert sum("shows no key" in sentence for sentence in told) >= 5


def test_a_record_with_other_numbers_than_were_fixed_is_paid_by_nobodys_signature():
    """An initiator that waits with a friend's numbers until it knows the draw has told others what it fixed."""
    sim = Simulation(6, seed=1, rounds=1)
    liars: set[bytes] = set()

    def cheat(_sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        match effect:
            case fx.Broadcast(Spoken(sid)):
                liars.add(host.account.address)
                return [fx.Broadcast(Spoken(sid, sha256(b"others")))]
            case _:
                return [effect]

    sim.cheats = dict.fromkeys(sim.hosts, cheat)
    sim.start().run(200)
    assert len(liars) == 1
    for address, host in sim.hosts.items():
        told = [j.fields["sentence"] for j in host.journal if j.kind == "fault"]
        assert any("fixed before pairs were drawn" in sentence for sentence in told) is (address not in liars)
        assert all(signers <= liars for _, signatures, _ in sim.published for signers in [set(signatures)])


def test_numbers_that_come_when_the_draw_may_be_known_are_not_taken():
    sim = Simulation(6, seed=1, rounds=1)
    slow = max(sim.hosts)
    held: list[fx.Effect] = []

    def cheat(_sim: Simulation, _host: Host, effect: fx.Effect) -> list[fx.Effect]:
        match effect:
            case fx.Send(_, Openings()):
                held[:] = [effect]
                return []
            case fx.Send(_, Late()):
                return [*held, effect]
            case _:
                return [effect]

    sim.cheats[slow] = cheat
    first, _ = ended(sim)
    judged = first.engine.history[0]
    signers = {one.signed.signer(sim.federation.domain) for one in judged.transcript.openings}
    assert held
    assert judged.proven.roster.plan.initiator != slow
    assert signers == set(judged.proven.u3) - {slow}
    told = [j.fields["sentence"] for h in sim.hosts.values() for j in h.journal if j.kind == "fault"]
    assert not any("fixed before" in sentence for sentence in told)


def test_nobody_answers_a_second_set_of_numbers():
    sim = Simulation(6, seed=1, rounds=1)

    def cheat(_sim: Simulation, _host: Host, effect: fx.Effect) -> list[fx.Effect]:
        match effect:
            case fx.Broadcast(Spoken(sid)):
                return [effect, fx.Broadcast(Spoken(sid, sha256(b"others")))]
            case _:
                return [effect]

    sim.cheats = dict.fromkeys(sim.hosts, cheat)
    sim.start().run(200)
    told = [j.fields["sentence"] for h in sim.hosts.values() for j in h.journal if j.kind == "fault"]
    assert sum("fixed the numbers of one session twice" in sentence for sentence in told) == 5


def test_a_draw_from_somebody_else_than_the_initiator_is_no_draw():
    sim = Simulation(6, seed=1, rounds=1)
    first, _ = ended(sim)
    engine, judged = first.engine, first.engine.history[0]
    before = len(engine.out)
    engine.candidate = None
    pair_audits.on_drawn(engine, max(sim.hosts), Drawn(judged.transcript.sid, judged.transcript.lates))
    assert engine.drawn is None
    assert len(engine.out) == before
    assert isinstance(msgspec.msgpack.decode(msgspec.msgpack.encode(judged.transcript.shown[0]), type=Shown), Shown)
