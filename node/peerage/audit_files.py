"""What stands beside rounds and chain: emission records, the host's record, the final model, the summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec
from eth_utils.address import to_checksum_address

from peerage.aggregation import canonical
from peerage.emissions import BadRecord, HostRecord, check_run, decode_host_record, summarise
from peerage.model import load_safetensors
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_ledger.audit_findings import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peerage.audit_store import Shelves
    from peerage.model import Layout
    from peerage_ledger.audit import Judgement
    from peerage_ledger.audit_findings import Notebook

WH_TOLERANCE = 1e-6  # of a sum printed with nine decimals


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
    book, line = judged.book, judged.accounts.line
    if not path.exists():
        book.note("there is no model.safetensors to compare with the last aggregate")
        return
    try:
        found = sha256(canonical(load_safetensors(path, agreed)))
    except InputError as error:
        book.find("model", f"model.safetensors: {error}")
        return
    if line and found != line[-1].standing.aggregate and not judged.rounds.broken:
        book.find("model", "model.safetensors is not the aggregate of the last round", round_=len(line))


def check_summary(path: Path, shelves: Shelves, judged: Judgement) -> None:
    """The numbers that people quote: aggregate, claims, energy, accounts."""
    book, accounts = judged.book, judged.accounts
    if not path.exists():
        book.note("there is no summary.json to compare with")
        return
    try:
        told = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        book.find("summary", f"summary.json cannot be read: {error}")
        return
    for key, wanted, have in _facts(told, judged):
        if wanted is not None and have != wanted:
            book.find("summary", f"summary.json says {key} = {have!r}, the audit finds {wanted!r}")
    if accounts.line and told.get("rounds") != len(accounts.line) and not judged.rounds.broken:
        book.note(f"{len(accounts.line)} of {told.get('rounds')} rounds were closed")
    energy = summarise(shelves.records.values())["energy_wh"]
    stated = _inside(told, "emissions", "energy_wh")
    if not isinstance(stated, (int, float)) or abs(stated - energy) > WH_TOLERANCE:
        book.find("summary", f"summary.json says {stated!r} Wh, the emission records add up to {energy} Wh")


def _facts(told: dict[str, Any], judged: Judgement) -> Iterator[tuple[str, object, object]]:
    accounts = judged.accounts
    claimed = {str(to_checksum_address(a)): str(n) for a, n in sorted(accounts.claimed.items())}
    if not judged.rounds.broken and accounts.line:
        yield "aggregate_sha256", accounts.line[-1].standing.aggregate.hex(), told.get("aggregate_sha256")
    yield "rewards.by_peer", claimed, _inside(told, "rewards", "by_peer")
    yield "rewards.paid", str(sum(accounts.claimed.values())), _inside(told, "rewards", "paid")
    yield "ledger.chain_id", judged.rounds.federation.chain_id, _inside(told, "ledger", "chain_id")
    yield "peers", len(judged.history.registered), told.get("peers")
    names = {j.name: str(to_checksum_address(j.peer)) for j in judged.journals if j.peer is not None}
    stated = told.get("accounts")
    yield "accounts", names, {n: a for n, a in stated.items() if n in names} if isinstance(stated, dict) else stated


def _inside(told: dict[str, Any], section: str, key: str) -> object:
    inner = told.get(section)
    return cast("dict[str, Any]", inner).get(key) if isinstance(inner, dict) else None
