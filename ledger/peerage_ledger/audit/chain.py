"""A chain's history executed again: are its receipts what the contracts' rules give for its signed transactions?

The node is not asked what is true. It only tells which transactions there were and in which order and time; who sent
them is in their signatures, what they did follows from the rules (`audit_contracts`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peerage_ledger.audit.contracts import Contracts, Rounds, Vault
from peerage_ledger.audit.findings import Notebook, name_of
from peerage_ledger.audit.registry import Registry, Reverted
from peerage_ledger.contracts import NAMES, contract
from peerage_ledger.events import (
    ContractEvent,
    RewardClaimed,
    RootPublished,
    RootVoided,
    RoundRecorded,
    RoundVoided,
)

if TYPE_CHECKING:
    from peerage_ledger.archive.reader import ArchivedTransaction, ChainArchive
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.records import RoundRecord


@dataclass
class History:
    """What the chain holds by the rules. `registered`: active when the first round was recorded (or at the end)."""

    registered: frozenset[bytes] = frozenset()
    records: dict[bytes, RoundRecord] = field(default_factory=dict)
    recorders: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    published: list[RootPublished] = field(default_factory=list[RootPublished])  # those that were not voided
    voided: set[bytes] = field(default_factory=set[bytes])  # records of rounds that pay nothing
    claims: list[RewardClaimed] = field(default_factory=list[RewardClaimed])
    funded: int = 0
    gas: int = 0


def replay(archive: ChainArchive, deployment: Deployment, book: Notebook) -> History:
    """Every transaction of the archive again, in order; findings go to the book."""
    for problem in archive.problems:
        where = f"chain.jsonl, line {problem.line}: " if problem.line else "chain.jsonl: "
        book.find("chain-archive", where + problem.sentence)
    if archive.deployment is not None and _core(archive.deployment) != _core(deployment):
        book.find("deployment", "the chain's record was made for other contracts than deployment.json names")
    contracts, history = Contracts(deployment.chain_id, deployment.addresses()), History()
    nonces: dict[bytes, int] = {}
    for tx in archive.transactions:
        _check_nonce(tx, nonces, book)
        events = _execute(contracts, tx, book)
        for event in events:
            _remember(history, event)
        if not history.registered and any(isinstance(e, RoundRecorded) for e in events):
            history.registered = _active(contracts)
        if tx.contract and tx.function not in {"constructor", "fund"} and tx.contract != "PeerageToken":
            history.gas += tx.gas_used
    book.count("transactions", len(archive.transactions))
    if not history.registered:
        history.registered = _active(contracts)
    _check_built(contracts, deployment, history, book)
    _say_inclusion(archive, book)
    return history


def _execute(contracts: Contracts, tx: ArchivedTransaction, book: Notebook) -> list[ContractEvent]:
    """The events by the rules; where the receipt says otherwise, that is a finding and the rules win."""
    what = f"block {tx.block}: {tx.contract or 'a transaction'}{'.' + tx.function if tx.function else ''}"
    if not tx.succeeded and tx.gas_used >= tx.signed.gas:
        book.note(f"{what} by {name_of(tx.signed.sender)} ran out of gas")
        return []
    try:
        events = contracts.execute(tx.signed, tx.timestamp)
    except Reverted as error:
        if tx.succeeded:
            sentence = f"{what} stands as done, but the contract's rules refuse it: {error}"
            book.find("chain-rule", sentence, round_=_round_of(tx), peer=tx.signed.sender)
        return []
    if not tx.succeeded and tx.contract:
        sentence = f"{what} stands as reverted, but the contract's rules take it"
        book.find("chain-receipt", sentence, round_=_round_of(tx), peer=tx.signed.sender)
    elif [happened.event for happened in tx.events] != events:
        sentence = f"{what} stands with other events than the contract's rules give"
        book.find("chain-events", sentence, round_=_round_of(tx), peer=tx.signed.sender)
    return events


def _round_of(tx: ArchivedTransaction) -> int | None:
    return int(tx.arguments["round"][0]) if tx.function == "recordRound" else None


def _remember(history: History, event: ContractEvent) -> None:
    match event:
        case RoundRecorded(record, hash_, sender):
            history.records[hash_] = record
            history.recorders[hash_] = sender
        case RootPublished():
            history.published.append(event)
        case RootVoided():
            history.published.pop()
        case RoundVoided(record):
            history.voided.add(record)
        case RewardClaimed():
            history.claims.append(event)
        case _:
            pass


def _check_nonce(tx: ArchivedTransaction, nonces: dict[bytes, int], book: Notebook) -> None:
    sender, nonce = tx.signed.sender, tx.signed.nonce
    expected = nonces.get(sender, nonce)
    if nonce != expected:
        sentence = (
            f"block {tx.block}: transaction {nonce} of {name_of(sender)} stands where its number {expected} belongs"
        )
        book.find("chain-nonce", sentence + ": one is missing or stands twice", peer=sender)
    nonces[sender] = nonce + 1


def _active(contracts: Contracts) -> frozenset[bytes]:
    registry = contracts.get(Registry)
    return frozenset() if registry is None else frozenset(a for a in registry.peers if registry.is_active(a))


def _check_built(contracts: Contracts, deployment: Deployment, history: History, book: Notebook) -> None:
    """What the contracts were built with against what deployment.json says of them."""
    if not contracts.complete:
        missing = [name for name in NAMES if name not in contracts.built]
        book.find("deployment", f"the chain's record does not create {', '.join(missing)}")
        return
    registry, rounds, vault = contracts.get(Registry), contracts.get(Rounds), contracts.get(Vault)
    if rounds is None or registry is None or vault is None:
        return
    history.funded = vault.funded
    if rounds.federation != deployment.federation:
        book.find("deployment", "the round ledger was built for another federation than deployment.json names")
    other = [name for name in deployment.addresses() if deployment.code_hashes.get(name) != _code_hash(name)]
    if other:
        book.find("deployment", f"deployment.json names another code for {', '.join(other)}")
    if registry.min_stake != deployment.min_stake:
        book.find("deployment", "the registry was built with another least stake than deployment.json names")
    if vault.funded < vault.published.total:
        book.find("vault", "the vault's published total is above what it was funded with")
    if vault.token.balances[vault.address] > vault.funded - vault.claimed:
        book.note("somebody sent the vault tokens beside its funding")


def _say_inclusion(archive: ChainArchive, book: Notebook) -> None:
    if archive.blocks_proved < archive.blocks:
        proved = f"{archive.blocks_proved} of {archive.blocks} blocks"
        book.note(f"archived chain: inclusion on the operator's word ({proved} have headers that prove their contents)")
    if archive.rewinds:
        book.note(f"the chain lost blocks {archive.rewinds} times while it was recorded; what came back is judged")


def _code_hash(name: str) -> bytes:
    ours = contract(name)
    return ours.code_hash(ours.runtime)


def _core(deployment: Deployment) -> tuple[object, ...]:
    d = deployment
    return (d.chain_id, d.federation, d.addresses(), d.min_stake, d.pool)
