"""Private validation among peers: rounds are scored along the halves' sums, and whoever spoils them leaks nothing."""

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from schedules import kill_at
from simulator import Cheat, Host, Simulation, Weather, honest_gradient

from peerage import effects as fx
from peerage import messages as m
from peerage.testimony import Witness, found_in
from peerage_crypto import crossfit
from peerage_crypto.crossfit import RING, commitment
from peerage_crypto.digest import sha256
from peerage_crypto.equivocation import judge_equivocation
from peerage_crypto.opening import Openings, Pledge
from peerage_crypto.statements import PathGradient, sign
from peerage_ledger.transcript import NOTHING

PEERS = 10


def first_initiator(sim: Simulation) -> Host:
    return sim.hosts[min(sim.hosts, key=lambda a: sha256(sim.federation.genesis, a))]


def scored(sim: Simulation) -> list[bool]:
    """Round by round, as the first peer that is alive stands on them."""
    host = next(h for h in sim.hosts.values() if h.alive)
    return [j.transcript.direction != NOTHING for j in host.engine.history]


def unscored(sim: Simulation) -> list[fx.Journal]:
    return [e for h in sim.hosts.values() for e in h.journal if e.kind == "unscored"]


def shown(sim: Simulation, sid: bytes) -> set[bytes]:
    """Who let its vector go in a session."""
    return {
        who
        for who, _, x in sim.wire
        if isinstance(x, m.Gradient) and x.sid == sid and x.artefact and who not in sim.cheats
    }


def play(cheat: Cheat | None = None, *, initiator: bool = False, rounds: int = 2, **how) -> tuple[Simulation, Host]:
    """Ten peers, one of which may lie in the first session: its initiator, or another member."""
    sim = Simulation(PEERS, seed=5, rounds=rounds, private=True, **how)
    liar = first_initiator(sim)
    if not initiator:
        liar = next(h for h in reversed(sim.hosts.values()) if h is not liar)
    if cheat is not None:
        sim.cheats[liar.account.address] = cheat
    sim.start().run()
    invariants.check(sim)
    return sim, liar


def in_first(change) -> Cheat:
    """A cheat that edits what the liar says of path gradients in the first session; `change` gives (receiver, message)
    pairs for one receiver and one message.
    """
    first: list[bytes] = []

    def cheat(sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        kinds = (m.Gradient, m.GradientAsked, m.NoGradient, m.Direction)
        if not isinstance(effect, fx.Send | fx.Broadcast) or not isinstance(effect.message, kinds):
            return [effect]
        first.append(effect.message.sid)
        if effect.message.sid != first[0]:
            return [effect]
        everybody = [a for a in sim.hosts if a != host.account.address]
        receivers = [effect.to] if isinstance(effect, fx.Send) else everybody
        return [fx.Send(to, said) for to in receivers for said in change(sim, host, to, effect.message)]

    return cheat


def faults_of(sim: Simulation, liar: Host, words: str) -> set[str]:
    """Who names the liar with these words; nobody honest is named."""
    found = [f for f in invariants.faults(sim) if f[0] != liar.name]
    assert {culprit for _, culprit, _ in found} <= {liar.name, ""}
    return {who for who, culprit, sentence in found if culprit == liar.name and words in sentence}


# -- honest ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("peers", [10, 12, 16])
def test_every_round_is_scored_and_every_number_is_along_its_own_half(peers):
    sim = Simulation(peers, rounds=3, private=True).start().run()
    invariants.check(sim)
    assert not invariants.faults(sim)
    assert scored(sim) == [True] * 3
    opened = invariants.plain_numbers(sim, list(sim.hosts.values()), invariants.revealed_sums(sim))
    assert opened == 3 * peers
    halves = [j.proven.halves.members for j in next(iter(sim.hosts.values())).engine.history]
    assert len(set(halves)) == 1, "drawn once: sums of other halves would be solved for single gradients"


def test_halves_that_hide_too_little_close_the_round_unscored_and_at_once():
    sim = Simulation(9, rounds=2, private=True).start().run()
    invariants.check(sim)
    assert scored(sim) == [False, False]
    assert sim.now < 5, "nobody waits for anything"
    assert not [x for _, _, x in sim.wire if isinstance(x, m.Gradient)]
    assert "halves of 5 and 4" in unscored(sim)[0].fields["why"]


def test_sketches_and_private_validation_go_together():
    sim = Simulation(PEERS, rounds=2, private=True, sketches=8).start().run()
    invariants.check(sim)
    assert scored(sim) == [True, True]


def test_lost_messages_and_fetches_are_asked_for_again():
    weather = Weather(loss=0.05, repeat=0.1, delay=(0.001, 0.3), fetch_loss=0.1)
    sim = Simulation(16, seed=0, rounds=3, private=True, weather=weather).start().run()
    invariants.check(sim)
    assert scored(sim) == [True] * 3
    assert [x for _, _, x in sim.wire if isinstance(x, m.GradientAsked)]


def test_a_peer_without_a_finite_gradient_says_so_itself_and_nobody_waits():
    sim = Simulation(PEERS, seed=5, rounds=2, private=True)
    poor = next(iter(sim.hosts.values()))
    sim.measure = lambda s, h, e: None if h is poor and e.round == 1 else honest_gradient(s, h, e)
    sim.start().run()
    invariants.check(sim)
    assert scored(sim) == [False, True]
    assert sim.now < 5
    assert not invariants.faults(sim), "it is nobody's fault"
    assert {tuple(e.fields["missing"]) for e in unscored(sim)} == {("0x" + poor.account.address.hex(),)}
    assert not shown(sim, bytes.fromhex(unscored(sim)[0].fields["sid"]))


@pytest.mark.parametrize("nth", [1, 5, 9, 12, 40, 95])
@pytest.mark.parametrize("back", [None, 1.0])
def test_who_dies_among_the_path_gradients_hangs_nobody(nth, back):
    sim = Simulation(PEERS, seed=nth, rounds=3, private=True).start()
    kill_at(sim, m.Gradient, nth, back)
    sim.run()
    invariants.check(sim, everybody=back is not None)


def test_a_peer_that_comes_back_with_its_keys_gone_says_so():
    sim = Simulation(PEERS, seed=4, rounds=2, private=True).start()
    kill_at(sim, m.Gradient, 3, 0.5)
    sim.run()
    invariants.check(sim)
    said = [x.sentence for _, _, x in sim.wire if isinstance(x, m.NoGradient)]
    assert said
    assert set(said) == {"the keys of its session died with its earlier life"}


@pytest.mark.parametrize("kind", [m.Direction, m.Closed])
def test_the_initiator_may_die_after_the_sums_are_known(kind):
    sim = Simulation(PEERS, seed=7, rounds=2, private=True).start()
    kill_at(sim, kind, 1, 30.0)
    sim.run()
    invariants.check(sim)


# -- liars -------------------------------------------------------------------------------------------------------------


def test_who_waits_to_see_the_others_sees_nothing():
    """A late fitter: no commitment of its before somebody has shown a vector. Nobody ever does."""
    seen: list[bytes] = []

    def late(sim, host, _to, x):
        seen[:] = [a for a in shown(sim, x.sid) if a != host.account.address]
        return [x] if seen else []

    sim, liar = play(in_first(late))
    sid = unscored(sim)[0].fields["sid"]
    assert not shown(sim, bytes.fromhex(sid))
    assert scored(sim) == [False, True]
    assert {tuple(e.fields["missing"]) for e in unscored(sim)}
    assert not faults_of(sim, liar, ""), "missing, not convicted"
    initiators = [e for e in unscored(sim) if e.fields["missing"]]
    assert all("0x" + liar.account.address.hex() in e.fields["missing"] for e in initiators)


def test_a_withheld_vector_leaves_its_half_closed():
    sim, liar = play(in_first(lambda _s, _h, _t, x: [x] if getattr(x, "artefact", None) is None else []))
    assert scored(sim) == [False, True]
    assert not faults_of(sim, liar, "")
    host = next(iter(sim.hosts.values()))
    assert host.engine.history[0].transcript.gradients == (), "nobody had all of them"


def _instead(blob: bytes, *, half: int | None = None) -> Cheat:
    """Commit to these bytes and show them."""

    def change(sim, host, _to, x):
        if not isinstance(x, m.Gradient):
            return [x]
        host.home.store(blob)
        sim.archive[sha256(blob)] = blob
        s, me = x.signed.statement, host.account.address
        own = s.half if half is None else half
        statement = PathGradient(s.sid, own, commitment(s.sid, me, sha256(blob)), s.length)
        signed = sign(statement, host.account, sim.federation.domain)
        return [m.Gradient(x.sid, signed, None if x.artefact is None else sha256(blob))]

    return in_first(change)


def test_garbage_of_the_right_length_spoils_the_round_and_convicts_nobody():
    """The sum of its half is longer than all of it may be; whose fault that is nobody can know."""
    noise = np.random.default_rng(1).integers(0, 2**32, 24, np.uint32).tobytes()
    sim, liar = play(_instead(noise))
    assert scored(sim) == [False, True]
    assert not faults_of(sim, liar, "")
    assert "one of them lies" in unscored(sim)[0].fields["why"]
    first = next(iter(sim.hosts.values())).engine.history[0].transcript
    assert len(first.gradients) == PEERS, "what was known is on record"
    assert not [x for _, _, x in sim.wire if isinstance(x, Pledge | Openings) and x.sid == first.sid]


def test_a_vector_of_another_length_names_its_owner():
    sim, liar = play(_instead(bytes(20)))
    assert scored(sim) == [False, True]
    assert len(faults_of(sim, liar, "another length than it signed")) == PEERS - 1


def test_a_gradient_for_the_other_half_is_none():
    sim, liar = play(
        in_first(
            lambda s, h, _t, x: (
                [
                    m.Gradient(
                        x.sid,
                        sign(
                            msgspec.structs.replace(x.signed.statement, half=1 - x.signed.statement.half),
                            h.account,
                            s.federation.domain,
                        ),
                        x.artefact,
                    )
                ]
                if isinstance(x, m.Gradient)
                else [x]
            )
        )
    )
    assert scored(sim) == [False, True]
    assert len(faults_of(sim, liar, "another half than its own")) == PEERS - 1
    assert not shown(sim, bytes.fromhex(unscored(sim)[0].fields["sid"]))


def test_another_vector_than_the_one_committed_to_is_not_taken():
    def swap(_s, _h, _to, x):
        return [msgspec.structs.replace(x, artefact=sha256(b"fitted"))] if getattr(x, "artefact", None) else [x]

    sim, liar = play(in_first(swap))
    assert scored(sim) == [False, True]
    assert len(faults_of(sim, liar, "another path gradient than the one that it had committed to")) == PEERS - 1


def test_a_commitment_that_somebody_else_signed_is_its_senders_fault():
    def borrowed(sim, host, _to, x):
        others = [y for who, _, y in sim.wire if isinstance(y, m.Gradient) and who != host.account.address]
        return [others[0]] if isinstance(x, m.Gradient) and others else []

    sim, liar = play(in_first(borrowed))
    assert scored(sim) == [False, True]
    assert faults_of(sim, liar, "a path gradient that it did not sign")


def test_two_commitments_convict_and_open_no_second_direction():
    """One set of peers is told the one, the others the other; each adds up what it was told."""

    def two(sim, host, to, x):
        if not isinstance(x, m.Gradient) or to < sorted(sim.hosts)[3]:
            return [x]
        gradients = host.engine.gradients
        blob = crossfit.mask(
            -sim.gradients[x.sid, host.account.address],
            host.account.address,
            host.engine.closing.member.pair_keys,
            gradients.halves,
        )
        host.home.store(blob)
        sim.archive[sha256(blob)] = blob
        statement = crossfit.statement_of(gradients.halves, host.account.address, blob)
        signed = sign(statement, host.account, sim.federation.domain)
        return [m.Gradient(x.sid, signed, None if x.artefact is None else sha256(blob))]

    sim, liar = play(in_first(two))
    first = next(iter(sim.hosts.values())).engine.history[0].transcript.sid
    opened = {
        x.signed.statement.direction
        for who, _, x in sim.wire
        if isinstance(x, Openings) and x.sid == first and who not in sim.cheats
    }
    assert len(opened) <= 1
    witness = Witness(sim.federation.domain, sim.federation.registered)
    evidence = [e for _, _, x in sim.wire for e in found_in(witness, x)]
    assert {judge_equivocation(sim.federation.domain, e) for e in evidence} == {liar.account.address}
    assert {e.equivocation for e in evidence} == {"PathGradient"}


@pytest.mark.parametrize("k", [0, 5])
def test_a_direction_that_the_initiator_made_up_is_opened_by_nobody(k):
    def made_up(sim, host, _to, x):
        if not isinstance(x, m.Direction):
            return [x]
        g = np.zeros((2, sim.parameters), "<i4")
        g[:, k] = 1
        host.home.store(g.tobytes())
        sim.archive[sha256(g.tobytes())] = g.tobytes()
        return [msgspec.structs.replace(x, direction=sha256(g.tobytes()))]

    sim, liar = play(in_first(made_up), initiator=True)
    assert scored(sim)[0] is False
    assert len(faults_of(sim, liar, "not the one that the sums of the path gradients give")) == PEERS - 1
    first = next(iter(sim.hosts.values())).engine.history[0].transcript.sid
    assert not [
        x for who, _, x in sim.wire if isinstance(x, Pledge | Openings) and x.sid == first and who not in sim.cheats
    ]


def test_a_direction_that_differs_in_the_last_bit_is_another_one():
    """With shared validation a cosine of 0.99 is near enough; here everybody has the same integers."""

    def bent(sim, host, _to, x):
        if not isinstance(x, m.Direction):
            return [x]
        g = np.frombuffer(host.holdings[x.direction], "<i4").copy()
        g[3] += 1
        host.home.store(g.tobytes())
        sim.archive[sha256(g.tobytes())] = g.tobytes()
        return [msgspec.structs.replace(x, direction=sha256(g.tobytes()))]

    sim, liar = play(in_first(bent), initiator=True)
    assert scored(sim)[0] is False
    assert faults_of(sim, liar, "not the one that the sums of the path gradients give")


def test_questions_of_strangers_to_a_session_get_no_answer():
    sim = Simulation(PEERS, rounds=1, private=True).start().run()
    host, other = list(sim.hosts.values())[:2]
    for message in (m.GradientAsked(bytes(32)), m.NoGradient(bytes(32), "nothing")):
        out = host.engine.handle(fx.Received(other.account.address, message))
        assert not [e for e in out if isinstance(e, fx.Send | fx.Broadcast | fx.SetTimer)]


def test_vectors_are_asked_for_with_their_exact_length():
    sim = Simulation(PEERS, rounds=1, private=True)
    asked: list[int] = []
    real = sim.carry

    def watch(host, effect):
        if isinstance(effect, fx.FetchArtefact) and host.engine.gradients:
            asked.extend(
                effect.limit for a in host.engine.gradients.shown.values() if a == effect.artefact and not host.finished
            )
        real(host, effect)

    sim.carry = watch
    sim.start().run()
    assert set(asked) == {RING.word_bytes * sim.parameters}
