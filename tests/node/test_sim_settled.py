"""Who says that the rewards are settled must show it, and what it shows is brought to the chain by everybody."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import invariants
import sim_ledger
from simulator import Host, Simulation

from peerage import effects as fx
from peerage import messages as m
from peerage_crypto.digest import sha256
from peerage_crypto.identity import Account
from peerage_crypto.thresholds import colluders, quorum
from peerage_ledger import events

PEERS = 5
EMISSIONS = sha256(b"last emission records")


def settling() -> tuple[Host, list[Host]]:
    """One peer at the start of its settlement, and the others."""
    sim = Simulation(PEERS, rounds=1).start()
    while not all(h.engine.settlement for h in sim.hosts.values()):
        sim.run(sim.now + 0.0005)
    one, *others = sim.hosts.values()
    return one, others


def hears(host: Host, sender: Host, message: m.Message) -> list[fx.Effect]:
    return host.engine.handle(fx.Received(sender.account.address, message))


def kinds(effects: list[fx.Effect]) -> set[type]:
    return {type(e) for e in effects}


def word(host: Host) -> m.Settled:
    """Settled, with nothing behind it."""
    return m.Settled(host.engine.head.record, bytes(32), bytes(32), ())


def proof(host: Host, signers: list[Account]) -> m.Settled:
    """Settled, with these signatures under the root that the rounds give."""
    digest = host.engine.settlement.books.root(1, EMISSIONS).digest(host.engine.federation.chain_id, bytes([3]) * 20)
    return m.Settled(host.engine.head.record, bytes(32), EMISSIONS, tuple(a.sign(digest) for a in signers))


def test_one_liar_ends_nobodys_run_and_more_than_can_lie_do() -> None:
    one, (liar, *honest) = settling()
    for _ in range(3):
        assert kinds(hears(one, liar, word(one))) <= {fx.Journal}, "one word, however often"
    assert not one.engine.done
    assert colluders(PEERS) == 1
    assert fx.Finish in kinds(hears(one, honest[0], word(one)))


def test_the_word_of_one_is_not_enough_where_nobody_is_thought_to_collude() -> None:
    sim = Simulation(3, rounds=1).start()
    while not all(h.engine.settlement for h in sim.hosts.values()):
        sim.run(sim.now + 0.0005)
    one, liar, _ = sim.hosts.values()
    hears(one, liar, word(one))
    assert not one.engine.done


@pytest.mark.parametrize("kind", ["few", "copies", "strangers", "garbage", "another-root"])
def test_signatures_that_are_no_quorum_name_their_liar(kind: str) -> None:
    one, others = settling()
    needed, accounts = quorum(PEERS, colluders(PEERS)), [h.account for h in others]
    strangers = [Account.from_secret(bytes([9, i]) * 16) for i in range(PEERS)]
    shown = {
        "few": proof(one, accounts[: needed - 1]),
        "copies": proof(one, accounts[:1] * PEERS),
        "strangers": proof(one, [accounts[0], *strangers]),
        "garbage": msgspec.structs.replace(proof(one, []), signatures=(bytes(65),) * PEERS),
        "another-root": msgspec.structs.replace(proof(one, accounts), emissions=bytes(32)),
    }[kind]
    said = hears(one, others[0], shown)
    assert not kinds(said) & {fx.Finish, fx.Publish}
    faults = [e.fields for e in said if isinstance(e, fx.Journal) and e.kind == "fault"]
    assert [f["culprit"] for f in faults] == ["0x" + others[0].account.address.hex()]
    assert "without a quorum" in faults[0]["sentence"]


def test_a_quorum_is_checked_brought_to_the_chain_and_ends_the_run_there() -> None:
    one, others = settling()
    shown = proof(one, [h.account for h in others])
    said = hears(one, others[0], shown)
    (published,) = (e for e in said if isinstance(e, fx.Publish))
    assert published.signatures.keys() == {h.account.address for h in others}
    assert not one.engine.done, "the chain has not said so yet"
    assert fx.Finish in kinds(one.engine.handle(fx.Published()))
    (answer,) = (e for e in hears(one, others[1], m.Settling(shown.record, bytes(32))) if isinstance(e, fx.Send))
    assert answer.message == shown, "whoever asks gets what I checked"


def test_a_proposer_that_keeps_the_quorums_signatures_to_itself_and_says_settled_takes_nobodys_pay() -> None:
    honest = Simulation(PEERS, seed=4, rounds=2, whole=True).start().run()
    proposer = next(who for who, _, x in honest.wire if isinstance(x, m.Proposal))
    kept: list[fx.Publish] = []

    def keep(_sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        if not isinstance(effect, fx.Publish):
            return [effect]
        kept.append(effect)
        return [fx.Broadcast(host.engine.settlement._proof)]

    sim = Simulation(PEERS, seed=4, rounds=2, whole=True)
    sim.cheats[proposer] = keep
    sim.start().run()
    assert kept, "it had the signatures"
    invariants.check(sim)
    assert len([e for e in sim_ledger.log(sim) if isinstance(e, events.RootPublished)]) == 1


def test_a_liar_that_says_settled_all_the_time_changes_nothing() -> None:
    sim = Simulation(PEERS, seed=4, rounds=2, whole=True)
    liar = sim.hosts[min(sim.hosts)]

    def cry(_sim: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        return [effect, replace(effect, message=word(host))] if isinstance(effect, fx.Broadcast) else [effect]

    sim.cheats[liar.account.address] = cry
    sim.start().run()
    invariants.check(sim)
