"""What must hold of the chain after every schedule: everything is on it, once, and nobody still wants anything."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sim_home import WholeHome

from peerage_ledger import events
from peerage_ledger.contracts import contract
from peerage_ledger.rewards import totals

if TYPE_CHECKING:
    from simulator import Host, Simulation

    from peerage_ledger.rawtx import Transaction


def recorded_once(sim: Simulation, alive: list[Host]) -> None:
    """Every round on which everybody stands is on the chain exactly once, and nothing that nobody closed."""
    on_chain = Counter(e.record_hash for e in log(sim) if isinstance(e, events.RoundRecorded))
    for judged in alive[0].engine.history:
        assert on_chain[judged.standing.record] == 1, f"round {judged.transcript.round} is not recorded exactly once"
    assert on_chain.keys() <= sim.records.keys(), "a record that nobody closed"
    assert all(count == 1 for count in on_chain.values()), "a record twice"


def paid_once(sim: Simulation, alive: list[Host]) -> None:
    """One root for each epoch, with what the rounds give; everybody has claimed exactly its due, once in each."""
    roots = [e.reward for e in log(sim) if isinstance(e, events.RootPublished)]
    epochs = -(-sim.rules.rounds // (sim.rules.epoch or sim.rules.rounds))
    assert [root.epoch for root in roots] == list(range(1, epochs + 1)), f"{len(roots)} reward roots were published"
    due = {account: total for account, total in totals(alive[0].engine.pay).items() if total > 0}
    assert roots[-1].total == sum(due.values())
    claims = Counter((e.account, e.cumulative) for e in log(sim) if isinstance(e, events.RewardClaimed))
    assert all(count == 1 for count in claims.values()), "a claim was paid twice"
    assert max(Counter(account for account, _ in claims).values(), default=0) <= epochs
    assert sim.node is not None
    assert dict(sim.node.contracts.view.vault.claimed) == due, "what was claimed is not what was earned"


def sent_once(sim: Simulation) -> None:
    """No account sends a wish again that it has had carried out (somebody else may have been faster: that reverts).

    A peer whose disk was lost does not know what it had sent, and may.
    """
    assert sim.node is not None
    done: set[tuple[bytes, bytes, bytes]] = set()
    for block in sim.node.blocks:
        for t in block.transactions:
            if sim.hosts[t.sender].forgetful:
                continue
            call = t.sender, t.to or b"", t.data
            assert call not in done, "a wish was sent again after it was done"
            if block.receipts[t.hash][0]:
                done.add(call)
    used = Counter((t.sender, t.nonce) for block in sim.node.blocks for t in block.transactions)
    assert all(count == 1 for count in used.values()), "a nonce was used twice"


def nothing_left(sim: Simulation, alive: list[Host]) -> None:
    """No wish is open, none was refused for good, and every living client sees the chain as it is."""
    assert sim.node is not None
    truth = sim.node.contracts.view
    for host in alive:
        home = host.home
        assert isinstance(home, WholeHome)
        assert home.ledger is not None
        assert home.ledger.pending() == 0, "a wish is left"
        assert not host.refused, f"the chain refused {host.refused[0]}"
        assert home.ledger.records().keys() == truth.records.keys(), "a client sees another chain"
        assert home.ledger.vault_state() == truth.vault, "a client sees another vault"
        if host.rotated:
            assert truth.peers[host.account.address].transport_key == host.rotated, "a rotated key is not registered"
        assert {r.address for r in home.ledger.registrations()} == truth.peers.keys()


def log(sim: Simulation) -> list[events.ContractEvent]:
    """Every event of the chain as it now is."""
    assert sim.node is not None
    return [event for block in sim.node.blocks for event in block.events]


def transactions(sim: Simulation) -> list[tuple[str, Transaction, bool]]:
    """(function, transaction, whether it succeeded) of everything mined, for a story."""
    assert sim.node is not None
    places = {address: name for name, address in sim.node.contracts.deployment.addresses().items()}
    return [
        (contract(places[t.to or b""]).decode_call(t.data).name, t, block.receipts[t.hash][0] == 1)
        for block in sim.node.blocks
        for t in block.transactions
    ]
