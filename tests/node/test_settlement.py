"""After the last round: a quorum signs what everybody finds in its own books, and nothing else."""

import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from peerage import effects as fx
from peerage import messages as m
from peerage.rounds.settlement import Due, SettlementDocument, decode_settlement
from peerage_crypto.digest import sha256
from peerage_crypto.identity import recover
from peerage_crypto.thresholds import colluders, quorum

sys.path.insert(0, str(Path(__file__).parent))

import invariants
from simulator import Host, Simulation


def settling(peers: int = 4) -> tuple[Simulation, list[Host]]:
    """All peers at the start of their settlement; nobody has proposed yet."""
    sim = Simulation(peers, rounds=1).start()
    while not all(h.engine.settlement for h in sim.hosts.values()):
        sim.run(sim.now + 0.0005)
    return sim, list(sim.hosts.values())


def faults(effects: list[fx.Effect]) -> list[str]:
    return [e.fields["sentence"] for e in effects if isinstance(e, fx.Journal) and e.kind == "fault"]


def propose(document: SettlementDocument, proposer: Host, voter: Host) -> list[fx.Effect]:
    """What a voter answers to a proposal."""
    blob = msgspec.json.encode(document, order="deterministic")
    message = m.Proposal(document.record, sha256(blob))
    voter.engine.handle(fx.Received(proposer.account.address, message))
    return voter.engine.handle(fx.Fetched(sha256(blob), blob))


def honest_document(host: Host) -> SettlementDocument:
    settlement = host.engine.settlement
    dues = tuple(Due(a, str(amount)) for a, amount in sorted(settlement.totals.items()))
    steps = settlement.books.steps.digest()
    return SettlementDocument(1, 1, host.engine.head.record, dues, (), steps, ())


def test_a_run_ends_with_one_root_that_a_quorum_signed() -> None:
    sim = Simulation(5, rounds=2).start().run()
    invariants.check(sim)
    root, signatures, _ = sim.published[0]
    digest = root.digest(sim.federation.chain_id, sim.federation.vault)
    assert len(signatures) >= quorum(5, colluders(5))
    assert all(recover(digest, s) == peer for peer, s in signatures.items())
    assert list(signatures) == sorted(signatures), "ascending, as the vault wants them"


def test_an_honest_proposal_gets_a_vote() -> None:
    _, (a, b, *_) = settling()
    said = propose(honest_document(a), a, b)
    assert [type(e.message) for e in said if isinstance(e, fx.Send)] == [m.RewardVote]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: msgspec.structs.replace(d, dues=d.dues[1:]),
        lambda d: msgspec.structs.replace(d, dues=(Due(d.dues[0].account, str(10**30)), *d.dues[1:])),
        lambda d: msgspec.structs.replace(d, epoch=2),
        lambda d: msgspec.structs.replace(d, record=sha256(b"other")),
        lambda d: msgspec.structs.replace(d, dues=(Due(d.dues[0].account, "many"),)),
        lambda d: msgspec.structs.replace(d, steps=sha256(b"other")),
    ],
    ids=["left-out", "too-much", "another-epoch", "another-record", "no-number", "other-steps"],
)
def test_a_proposal_with_other_numbers_than_mine_gets_none(change: object) -> None:
    _, (a, b, *_) = settling()
    blob = msgspec.json.encode(change(honest_document(a)), order="deterministic")
    b.engine.handle(fx.Received(a.account.address, m.Proposal(a.engine.head.record, sha256(blob))))
    said = b.engine.handle(fx.Fetched(sha256(blob), blob))
    assert len(faults(said)) == 1
    assert not [e for e in said if isinstance(e, fx.Send)]


def test_a_settlement_has_one_form() -> None:
    _, (a, *_) = settling()
    blob = msgspec.json.encode(honest_document(a), order="deterministic")
    assert decode_settlement(blob) == honest_document(a)
    with pytest.raises(ValueError, match="canonical"):
        decode_settlement(b" " + blob)
    with pytest.raises(ValueError, match="not a settlement"):
        decode_settlement(b"[]")


def test_a_signature_of_another_counts_for_nobody() -> None:
    sim = Simulation(4, rounds=1)

    def steal(_s: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        if isinstance(effect, fx.Send) and isinstance(effect.message, m.RewardVote):
            forged = sim.hosts[max(sim.hosts)].account.sign(sha256(b"something"))
            return [replace(effect, message=m.RewardVote(effect.message.settlement, forged))]
        return [effect]

    honest = sim.hosts
    liar = next(iter(honest.values()))
    sim.cheats[liar.account.address] = steal
    sim.start().run()
    invariants.check(sim)
    root, signatures, _ = sim.published[0]
    digest = root.digest(sim.federation.chain_id, sim.federation.vault)
    assert all(recover(digest, s) == peer for peer, s in signatures.items())


def test_who_lost_the_last_word_asks_and_is_told() -> None:
    sim = Simulation(4, rounds=1)
    lost: list[m.Message] = []

    def swallow(_s: Simulation, _h: Host, effect: fx.Effect) -> list[fx.Effect]:
        if isinstance(effect, fx.Broadcast) and isinstance(effect.message, m.Settled) and not lost:
            lost.append(effect.message)
            return []
        return [effect]

    sim.cheats |= dict.fromkeys(sim.hosts, swallow)
    sim.start().run()
    assert lost
    assert all(h.finished for h in sim.hosts.values())


# -- what the chain proved wrong ---------------------------------------------------------------------------------------


def test_a_round_that_was_voided_is_paid_by_nobody() -> None:
    sim, hosts = settling()
    for host in hosts:
        sim.event(host, fx.RoundVoided(host.engine.history[0].standing.record))
    sim.run()
    invariants.check(sim)
    assert {root.total for root, _, _ in sim.published} == {0}


def test_who_has_not_heard_of_it_yet_gets_no_vote_and_no_blame() -> None:
    _, (a, b, *_) = settling()
    b.engine.handle(fx.RoundVoided(a.engine.head.record))
    said = propose(honest_document(a), a, b)
    assert not faults(said)
    assert not [e for e in said if isinstance(e, fx.Send)]
    a.engine.handle(fx.RoundVoided(a.engine.head.record))
    document = msgspec.structs.replace(honest_document(a), voided=(a.engine.head.record,))
    assert [type(e.message) for e in propose(document, a, b) if isinstance(e, fx.Send)] == [m.RewardVote]


def test_what_another_branch_voids_changes_nothing() -> None:
    _, (a, *_) = settling()
    before = a.engine.settlement.books
    a.engine.handle(fx.RoundVoided(sha256(b"a record on which nobody here stands")))
    assert a.engine.settlement.books == before


def test_a_root_that_was_voided_is_published_anew_with_other_numbers() -> None:
    sim = Simulation(4, rounds=2)
    wrong: list[fx.Publish] = []

    def refuse(_s: Simulation, host: Host, effect: fx.Effect) -> list[fx.Effect]:
        """The chain takes the root, then somebody shows that it pays a voided round."""
        if not isinstance(effect, fx.Publish) or host.engine.voided:
            return [effect]
        record = host.engine.history[0].standing.record
        for other in () if wrong else sim.hosts.values():
            sim.at(0.05, lambda o=other: sim.event(o, fx.RoundVoided(record)))
            sim.at(0.06, lambda o=other: sim.event(o, fx.RootVoided()))
        wrong.append(effect)
        return []

    sim.cheats |= dict.fromkeys(sim.hosts, refuse)
    sim.start().run()
    assert all(h.finished for h in sim.hosts.values())
    assert len({effect.root for effect in wrong}) == 1
    (anew,) = {root for root, _, _ in sim.published}
    assert 0 < anew.total < wrong[0].root.total
    assert anew.steps != wrong[0].root.steps
