"""What stands beside rounds and chain: emission records, the host's record, the final model, the summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from eth_utils.address import to_checksum_address

from peerage.emissions import BadRecord, HostRecord, check_run, decode_host_record, summarise
from peerage.launch.summary import Summary
from peerage.learning.model import load_safetensors
from peerage.rounds.aggregation import canonical
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_ledger.audit.findings import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peerage.audit.store import Shelves
    from peerage.learning.model import Layout
    from peerage_ledger.audit.findings import Notebook
    from peerage_ledger.audit.judge import Judgement


def check_emissions(judged: Judgement, shelves: Shelves, host_lines: bytes | None) -> None:
    """Every record that a round or the settlement names is there and its owner's; then physics and conservation."""
    book = judged.book
    for artefact, peer, round_, who in _named_records(judged):
        record = shelves.records.get(artefact)
        if artefact in shelves.misnamed:
            continue  # the finding about the file says it
        if record is None:
            sentence = f"{who} names an emission record of {name_of(peer)} that is not in the store, or is none"
            book.find("emission-missing", sentence, round_=round_, peer=peer)
        elif record.address != peer:
            sentence = f"{who} names as the emission record of {name_of(peer)} one of {record.peer}"
            book.find("emission-owner", sentence, round_=round_, peer=peer)
    hosts = _hosts(host_lines, book)
    for fault in check_run(shelves.records.values(), hosts):
        book.find(fault.code, fault.sentence, round_=fault.round, peer=fault.peer)
    for record in shelves.records.values():
        if record.address not in judged.history.registered:
            sentence = f"an emission record speaks for {record.peer}, who is not registered"
            book.find("emission-owner", sentence, round_=record.round, peer=record.address)
    book.count("emission records", len(shelves.records))


def _named_records(judged: Judgement) -> Iterator[tuple[bytes, bytes, int | None, str]]:
    domain = judged.rounds.federation.domain
    for one in judged.rounds.judged.values():
        for opening in one.transcript.openings:
            statement = opening.signed.statement
            yield statement.emissions, opening.signed.signer(domain), one.transcript.round, "an opening"
    for merge in judged.plain.stated.values() if judged.plain else ():
        yield merge.body.emissions, merge.body.initiator, merge.body.round, "a merge"
    settled = judged.accounts.settled
    if settled is not None:
        for peer, artefact in settled.emissions:
            yield artefact, peer, None, "the settlement"
    for journal in judged.journals:
        for entry in journal.of("emissions"):
            name = str(entry.fields.get("record", ""))
            if journal.peer is not None and len(name) == 64:
                yield bytes.fromhex(name), journal.peer, entry.round, "a journal"


def _hosts(host_lines: bytes | None, book: Notebook) -> list[HostRecord]:
    hosts: list[HostRecord] = []
    if host_lines is None:
        book.note("no host record is here: that the peers' energy fits into their host's is not checked")
        return hosts
    for number, line in enumerate(host_lines.splitlines(), 1):
        try:
            hosts.append(decode_host_record(line))
        except BadRecord as error:
            book.find("emission-host", f"host.jsonl, line {number}: {error}")
    return hosts


def check_model(path: Path, agreed: Layout, judged: Judgement) -> None:
    """`model.safetensors` is the last aggregate, bit for bit."""
    book = judged.book
    if not path.exists():
        book.note("there is no model.safetensors to compare with the last aggregate")
        return
    try:
        found = sha256(canonical(load_safetensors(path, agreed)))
    except InputError as error:
        book.find("model", f"model.safetensors: {error}")
        return
    if judged.final and found != judged.final and not judged.broken:
        last = judged.accounts.line[-1].transcript.round if judged.accounts.line else None
        book.find("model", "model.safetensors is not the aggregate of the last round", round_=last)


def check_summary(path: Path, shelves: Shelves, judged: Judgement) -> None:
    """The numbers that people quote, as far as evidence has them: model, claims, energy, who was missing."""
    book, accounts = judged.book, judged.accounts
    if not path.exists():
        book.note("there is no summary.json to compare with")
        return
    raw = path.read_bytes()
    try:
        told = msgspec.json.decode(raw, type=Summary)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        book.find("summary", f"summary.json cannot be read: {error}")
        return
    if told.to_json() != raw:
        book.find("summary", "summary.json is not in the form that a run writes: a key was added or renamed")
    for key, wanted, have in [*_facts(told, judged), *_energy(told, shelves)]:
        if have != wanted:
            book.find("summary", f"summary.json says {key} = {have!r}, the audit finds {wanted!r}")
    if accounts.line and told.rounds != len(accounts.line) and not judged.rounds.broken:
        book.note(f"{len(accounts.line)} of {told.rounds} rounds were closed")


def _facts(told: Summary, judged: Judgement) -> Iterator[tuple[str, object, object]]:
    accounts, registered = judged.accounts, judged.history.registered
    yield "rewards.by_peer", {_checksummed(a): str(n) for a, n in accounts.claimed.items()}, told.rewards.by_peer
    yield "rewards.paid", str(sum(accounts.claimed.values())), told.rewards.paid
    yield "ledger.chain_id", judged.rounds.federation.chain_id, told.ledger.chain_id
    yield "peers", len(registered), told.peers
    names = {j.name: _checksummed(j.peer) for j in judged.journals if j.peer is not None}
    yield "accounts", names, {name: address for name, address in told.accounts.items() if name in names}
    if judged.broken or not judged.final:
        return
    yield "aggregate_sha256", judged.final.hex(), told.aggregate_sha256
    if judged.plain is not None:
        return
    missing = {(j.transcript.round, _checksummed(p)) for j in accounts.line for p in registered - set(j.proven.u3)}
    yield "missing", sorted(missing), sorted((m.round, m.address) for m in told.missing)


def _energy(told: Summary, shelves: Shelves) -> Iterator[tuple[str, object, object]]:
    counted, stated = summarise(shelves.records.values()), told.emissions
    yield "emissions.energy_wh", counted["energy_wh"], stated.energy_wh
    yield "emissions.co2e_g", dict(counted["co2e_g"]), msgspec.structs.asdict(stated.co2e_g)
    yield "emissions.by_phase", counted["by_phase"], stated.by_phase
    by_peer = {_checksummed(bytes.fromhex(peer[2:])): wh for peer, wh in counted["by_peer"].items()}
    yield "emissions.by_peer", by_peer, stated.by_peer
    yield "emissions.quality", counted["quality"], stated.quality
    yield "emissions.country", counted["country"], stated.country


def _checksummed(address: bytes) -> str:
    return str(to_checksum_address(address))
