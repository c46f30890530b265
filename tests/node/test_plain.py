"""Plain exchange in virtual time: BrainTorrent's merge, its barrier, and what becomes of it in bad weather."""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from msgspec import structs

from peerage import effects as fx
from peerage import messages as m
from peerage.plain.engine import PlainEngine
from peerage.plain.messages import PlainNews
from peerage.plain.rules import FEDAVG, MergeRule
from peerage.plain.state import PlainRules
from peerage.rounds.aggregation import canonical
from peerage_crypto.digest import sha256
from peerage_crypto.plain_statements import PlainUpdate
from peerage_crypto.statements import sign
from peerage_ledger.memory import WINDOW
from peerage_ledger.plain_judgement import MAX_EXAMPLES, judge_plain_history

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from peerage_crypto.identity import Account
    from peerage_ledger.plain_judgement import PlainHistory


def _simulator() -> ModuleType:
    """tests/node/simulator.py, which is no package's module."""
    found = sys.modules.get("simulator")
    if found is None:
        spec = importlib.util.spec_from_file_location("simulator", Path(__file__).with_name("simulator.py"))
        assert spec is not None
        assert spec.loader is not None
        found = sys.modules["simulator"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
    return found


Host, Simulation, Weather = (getattr(_simulator(), name) for name in ("Host", "Simulation", "Weather"))


class Plain(Simulation):
    """The simulator with plain engines; `examples` gives each peer its sample count."""

    def __init__(
        self,
        peers: int,
        *,
        examples: Callable[[str], int] = lambda _: 100,
        rule: MergeRule = FEDAVG,
        **rest: object,
    ) -> None:
        self.examples, self.rule = examples, rule
        super().__init__(peers, **rest)  # type: ignore[arg-type]

    def _engine(self, account: Account, index: int) -> PlainEngine:  # type: ignore[override]
        rules = PlainRules(self.rules.rounds, 2.0, 12.0, self.rule)
        return PlainEngine(rules=rules, federation=self.federation, account=account, genesis=self.genesis)

    def carry(self, host: Host, effect: fx.Effect) -> None:
        life = host.life
        match effect:
            case fx.Train():
                model = self.train(self, host, effect)
                done = fx.Trained(model, effect.version, self.examples(host.name), 50, 0.5)
                self.at(self.train_seconds(host), lambda: host.life == life and self.event(host, done))
            case fx.AwaitLedger():
                self._ask_ledger(host, life)
            case _:
                super().carry(host, effect)

    def _ask_ledger(self, host: Host, life: int) -> None:
        """Published once the chain can have taken my last record: a record waits for its parents."""
        if host.life == life and self.on_chain(host.engine.head.record):
            self.event(host, fx.Published())
        elif host.life == life:
            self.at(0.5, lambda: self._ask_ledger(host, life))

    def on_chain(self, name: bytes) -> bool:
        known = name in self.records or name == self.federation.genesis
        return known and all(self.on_chain(p) for p in getattr(self.records.get(name), "parents", ()))

    @property
    def peers(self) -> list[Host]:
        return list(self.hosts.values())

    def judge(self) -> PlainHistory:
        store = {a: b for host in self.peers for a, b in host.holdings.items()}
        parameters = self.federation.length - self.federation.ring.lane_words
        return judge_plain_history(self.federation, self.records.values(), store, self.rule, parameters)


def finals(sim: Plain) -> set[bytes]:
    return {host.engine.head.aggregate for host in sim.peers}


def accepted_by_the_contract(sim: Plain) -> None:
    """Every record has recorded parents and the round that follows from them: the rules of RoundLedger."""
    rounds = {sim.federation.genesis: 0}
    waiting = dict(sim.records)
    while waiting:
        ready = [name for name, r in waiting.items() if all(p in rounds for p in r.parents)]
        assert ready, "records whose parents are recorded nowhere"
        for name in ready:
            record = waiting.pop(name)
            assert [rounds[p] for p in record.parents] == list(record.parent_rounds)
            assert record.round == 1 + max(record.parent_rounds)
            assert max(record.parent_rounds) - min(record.parent_rounds) < WINDOW
            rounds[name] = record.round


@pytest.mark.parametrize("peers", [2, 5])
def test_everybody_merges_everybody_and_stands_on_one_model(peers: int) -> None:
    sim = Plain(peers, rounds=3).start().run()
    assert all(host.finished for host in sim.peers)
    assert len(finals(sim)) == 1
    assert len(sim.records) == 3 * peers
    assert all(r.members == peers for r in sim.records.values())
    assert {r.round for r in sim.records.values()} == {1, 2, 3}
    assert max(len(r.parents) for r in sim.records.values()) == peers
    accepted_by_the_contract(sim)
    history = sim.judge()
    assert not history.faults
    assert not history.unsummed
    assert history.final == finals(sim).pop()
    assert not [line for host in sim.peers for line in host.journal if line.kind == "fault"]


def test_equal_counts_and_full_participation_are_fedavg() -> None:
    sim = Plain(4, rounds=1)
    trained: list[np.ndarray] = []
    honest = sim.train
    sim.train = lambda s, h, e: trained.append(honest(s, h, e)) or trained[-1]
    sim.start().run()
    fedavg = np.mean([model.astype(np.float64) for model in trained], axis=0)
    for host in sim.peers:
        assert np.abs(host.engine.head.model - fedavg).max() < 1e-6


def test_weights_are_sample_counts_normalised_over_participants() -> None:
    counts = {"peer-01": 10, "peer-02": 30, "peer-03": 1000}
    sim = Plain(3, rounds=1, examples=counts.__getitem__, train_seconds=lambda h: 60.0 if h.name == "peer-03" else 0.05)
    trained: dict[str, np.ndarray] = {}
    honest = sim.train
    sim.train = lambda s, h, e: trained.setdefault(h.name, honest(s, h, e))
    sim.start().run(until=30)
    first, second, third = sim.peers
    expected = 0.25 * trained["peer-01"].astype(np.float64) + 0.75 * trained["peer-02"].astype(np.float64)
    assert np.abs(first.engine.head.model - expected).max() < 1e-6
    assert first.engine.head.aggregate == second.engine.head.aggregate
    assert first.progress[0].missing == (third.account.address,)


@pytest.mark.parametrize("seed", range(4))
def test_a_seeded_run_repeats_whatever_the_order_of_messages(seed: int) -> None:
    """Delays differ, one peer is slow within everybody's patience: the models do not."""
    slow = lambda h: 0.9 if h.name == "peer-02" else 0.05  # noqa: E731
    calm = Plain(4, rounds=4, seed=seed, train_seconds=slow).start().run()
    windy = Plain(4, rounds=4, seed=seed, train_seconds=slow, weather=Weather(delay=(0.001, 0.8), repeat=0.2))
    windy.start().run()
    assert finals(calm) == finals(windy)
    assert len(finals(calm)) == 1


@pytest.mark.parametrize("seed", range(12))
def test_everybody_ends_in_bad_weather(seed: int) -> None:
    weather = Weather(loss=0.15, repeat=0.1, delay=(0.001, 0.5), fetch_loss=0.15)
    sim = Plain(5, rounds=4, seed=seed, weather=weather).start().run(until=2000)
    assert all(host.finished for host in sim.peers)
    accepted_by_the_contract(sim)
    assert not sim.judge().faults


@pytest.mark.parametrize("seed", range(8))
def test_a_crash_for_good_stops_nobody(seed: int) -> None:
    sim = Plain(4, rounds=4, seed=seed).start()
    victim = sim.peers[1]
    sim.at(0.02 + 0.05 * seed, lambda: sim.crash(victim))
    sim.run(until=500)
    others = [host for host in sim.peers if host is not victim]
    assert all(host.finished and host.engine.head.round == 4 for host in others)
    accepted_by_the_contract(sim)
    assert not sim.judge().faults


@pytest.mark.parametrize("seed", range(8))
def test_a_crash_whose_records_never_reached_the_chain_leaves_no_gap(seed: int) -> None:
    """What the victim merged it never handed in: whoever built on it does so in its stead."""
    sim = Plain(4, rounds=3, seed=seed)
    victim = sim.peers[2]
    sim.cheats[victim.account.address] = lambda _s, _h, effect: [] if isinstance(effect, fx.Record) else [effect]
    sim.start()
    sim.at(0.13 + 0.01 * seed, lambda: sim.crash(victim))
    sim.run(until=500)
    accepted_by_the_contract(sim)
    assert not sim.judge().faults


@pytest.mark.parametrize("moment", [0.01, 0.06, 0.08, 0.13, 0.2, 0.3])
@pytest.mark.parametrize("peers", [2, 4])
def test_a_killed_peer_comes_back_and_goes_on_from_what_it_saved(moment: float, peers: int) -> None:
    sim = Plain(peers, rounds=5).start()
    victim = sim.peers[0]
    sim.at(moment, lambda: sim.crash(victim))
    sim.at(moment + 4.0, lambda: sim.revive(victim))
    sim.run(until=500)
    assert all(host.finished for host in sim.peers)
    merges = [line.fields["record"] for line in victim.journal if line.kind == "closed"]
    assert len(merges) == len(set(merges)) == victim.engine.head.round
    trained = [line.fields["version"] for line in victim.journal if line.kind == "trained"]
    assert trained == sorted(set(trained)), "a version is trained and signed once"
    accepted_by_the_contract(sim)
    assert not sim.judge().faults


def test_two_peers_and_one_vanishes_for_good() -> None:
    sim = Plain(2, rounds=4).start()
    survivor, victim = sim.peers
    sim.at(0.09, lambda: sim.crash(victim))
    sim.run(until=500)
    assert survivor.finished
    assert survivor.engine.head.round == 4
    assert sim.records[survivor.engine.head.record].members == 1
    assert survivor.progress[-1].missing == (victim.account.address,)


def test_a_mute_peer_that_keeps_its_connection_is_waited_for_a_while_only() -> None:
    sim = Plain(3, rounds=6)
    mute = sim.peers[2]
    sim.cheats[mute.account.address] = lambda *_: []
    sim.start().run(until=500)
    speaking = sim.peers[:2]
    assert all(host.finished for host in speaking)
    assert any("ping" in report.sentence for report in speaking[0].reports)
    assert sim.now < 30, "after two unanswered pings nobody waits for it"


def test_a_peer_that_is_slow_but_answers_is_never_given_up() -> None:
    sim = Plain(2, rounds=2, train_seconds=lambda h: 40.0 if h.name == "peer-02" else 0.05).start().run(until=500)
    assert all(r.members == 2 for r in sim.records.values())
    assert len(finals(sim)) == 1


def test_a_nan_in_served_weights_is_its_owners_fault_and_stops_nobody() -> None:
    sim = Plain(4, rounds=3)
    culprit = sim.peers[3]
    poison = np.full(sim.parameters, np.nan, np.float32)

    def cheat(s: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        return [served_instead(s, host, effect, canonical(poison))]

    sim.cheats[culprit.account.address] = cheat
    sim.start()
    culprit.holdings[sha256(canonical(poison))] = canonical(poison)
    sim.run(until=300)
    honest = sim.peers[:3]
    for host in honest:
        assert host.finished
        assert np.isfinite(host.engine.head.model).all()
        faults = [line.fields for line in host.journal if line.kind == "fault"]
        assert any("NaN" in f["sentence"] for f in faults)
        assert {f["culprit"] for f in faults} == {"0x" + culprit.account.address.hex()}
    assert all(r.members == 3 for r in sim.records.values() if r.round > 0 and not mine(sim, r, culprit))


def mine(sim: Plain, record: object, host: Host) -> bool:
    transcript = sim.judge().stated
    judged = transcript.get(record.record_hash())  # type: ignore[attr-defined]
    return judged is not None and judged.body.initiator == host.account.address


def served_instead(sim: Simulation, host: Host, effect: fx.Effect, blob: bytes, **changes: object) -> fx.Effect:
    """The same news, properly signed, of other weights."""
    news = getattr(effect, "message", None)
    if not isinstance(news, PlainNews) or news.update is None:
        return effect
    old = news.update.statement
    fields = {"artefact": sha256(blob), **changes}
    update = PlainUpdate(
        old.sid, old.version, fields["artefact"], fields.get("examples", old.examples), old.base, old.base_round
    )  # type: ignore[arg-type]
    signed = sign(update, host.account, sim.federation.domain)
    return replace(effect, message=structs.replace(news, update=signed))  # type: ignore[call-arg]


@pytest.mark.parametrize("what", ["long", "short", "count", "zero", "signature", "foreign", "missing"])
def test_what_cannot_be_merged_is_refused_and_recorded(what: str) -> None:
    sim = Plain(4, rounds=2)
    culprit, other = sim.peers[3], sim.peers[0]
    blob = bytes(4 * (sim.parameters + {"long": 1, "short": -1}.get(what, 0)))
    count = {"count": MAX_EXAMPLES + 1, "zero": 0}.get(what, 100)

    def cheat(s: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        news = getattr(effect, "message", None)
        if not isinstance(news, PlainNews) or news.update is None:
            return [effect]
        if what == "signature":
            update = m.Signed(news.update.statement, bytes(64) + b"\x1b")
        elif what == "foreign":
            update = sign(news.update.statement, other.account, s.federation.domain)
        else:
            return [served_instead(s, host, effect, blob, examples=count)]
        return [replace(effect, message=structs.replace(news, update=update))]  # type: ignore[call-arg]

    sim.cheats[culprit.account.address] = cheat
    sim.start()
    if what != "missing":
        culprit.holdings[sha256(blob)] = blob
    sim.run(until=300)
    address = "0x" + culprit.account.address.hex()
    for host in sim.peers[:3]:
        assert host.finished
        recorded = [e.fields for e in host.journal if e.kind in ("fault", "refusal")]
        assert any(address in (f.get("culprit"), f.get("by")) for f in recorded)
        assert all(culprit.account.address not in p.members for p in host.progress)
    assert len({host.engine.head.aggregate for host in sim.peers[:3]}) == 1


def test_a_nan_in_ones_own_training_is_not_served() -> None:
    sim = Plain(3, rounds=2)
    ill, honest = sim.peers[0], sim.train
    sim.train = lambda s, h, e: np.full(s.parameters, np.nan, np.float32) if h is ill else honest(s, h, e)
    sim.start().run(until=300)
    assert all(host.finished for host in sim.peers)
    assert ill.engine.version == 0
    assert ill.engine.head.round == 2, "it goes on merging what the others learn"
    assert len(finals(sim)) == 1
    assert not sim.judge().faults


@pytest.mark.parametrize("ill", [1, 2])
def test_peers_that_never_learn_anything_and_one_that_vanishes(ill: int) -> None:
    """Everybody who is left is there and answers, and yet nobody brings news: they must not wait for each other."""
    sim = Plain(ill + 2, rounds=4)
    sick, victim, honest = sim.peers[:ill], sim.peers[ill], sim.train
    sim.train = lambda s, h, e: np.full(s.parameters, np.nan, np.float32) if h in sick else honest(s, h, e)
    sim.start()
    sim.at(0.09, lambda: sim.crash(victim))
    sim.run(until=500)
    assert all(host.finished for host in sim.peers if host is not victim)
    assert sim.peers[-1].engine.head.round == 4
    assert not sim.judge().faults


def test_nobody_learns_anything() -> None:
    sim = Plain(3, rounds=4, train=lambda s, *_: np.full(s.parameters, np.nan, np.float32)).start().run(until=500)
    assert all(host.finished for host in sim.peers)
    assert not sim.records


def test_a_base_that_is_no_record_of_its_owner_is_refused() -> None:
    """Otherwise one lie would keep all records that follow off the chain."""
    sim = Plain(3, rounds=3)
    liar = sim.peers[2]

    def cheat(s: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        news = getattr(effect, "message", None)
        if not isinstance(news, PlainNews) or news.update is None or news.update.statement.base_round == 0:
            return [effect]
        old = news.update.statement
        update = PlainUpdate(old.sid, old.version, old.artefact, old.examples, sha256(b"made up"), old.base_round)
        signed = sign(update, host.account, s.federation.domain)
        return [replace(effect, message=structs.replace(news, update=signed))]  # type: ignore[call-arg]

    sim.cheats[liar.account.address] = cheat
    sim.start().run(until=300)
    assert all(host.finished for host in sim.peers[:2])
    faults = [e.fields["sentence"] for e in sim.peers[0].journal if e.kind == "fault"]
    assert any("not the one it names" in sentence for sentence in faults)
    accepted_by_the_contract(sim)


def test_a_triple_is_consistent_while_training_goes_on() -> None:
    """Version, weights and count are served from one statement, though the next version is half trained."""
    sim = Plain(2, rounds=3, train_seconds=lambda h: 3.0 if h.name == "peer-02" else 0.05).start()
    sim.run(until=100)
    for _, _, message in sim.wire:
        if isinstance(message, PlainNews) and message.update:
            update = message.update.statement
            held = [h for h in sim.peers if update.artefact in h.holdings]
            assert held
            assert math.isfinite(float(np.frombuffer(held[0].holdings[update.artefact], "<f4").sum()))
    said: dict[tuple[bytes, int], bytes] = {}
    for sender, _, message in sim.wire:
        if isinstance(message, PlainNews) and message.update:
            key = (sender, message.update.statement.version)
            digest = message.update.statement.digest(sim.federation.domain)
            assert said.setdefault(key, digest) == digest
