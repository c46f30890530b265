"""What stands beside rounds and chain: emission records, the host's record, the final model, the summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from eth_utils.address import to_checksum_address

from peerage.audit.privacy import given_away
from peerage.audit.store import NAME
from peerage.emissions import MARKED, BadRecord, HostRecord, check_run, decode_host_record, summarise
from peerage.launch.cast import announced
from peerage.launch.faults import faults_of
from peerage.launch.summary import Summary, other_version, validation_of
from peerage.launch.turns import told_of
from peerage.learning.model import load_safetensors
from peerage.privacy.noise import promised
from peerage.rounds.aggregation import canonical
from peerage_crypto.digest import sha256
from peerage_crypto.equivocation import judge_equivocation
from peerage_crypto.errors import InputError
from peerage_crypto.leaf_check import NoEvidence, judge_leaf
from peerage_ledger.audit.findings import name_of
from peerage_ledger.transcript import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peerage.audit.store import Shelves
    from peerage.config import Federation
    from peerage.learning.model import Layout
    from peerage_ledger.audit.findings import Notebook
    from peerage_ledger.audit.judge import Judgement


def check_equivocations(judged: Judgement, shelves: Shelves) -> None:
    """Evidence in the store convicts by its two signatures alone; whoever wrote it down need not be believed."""
    book, domain = judged.book, judged.rounds.federation.domain
    rounds = {session.sid: session.round for session in shelves.sessions}
    for evidence in shelves.equivocations:
        culprit = judge_equivocation(domain, evidence)
        if isinstance(culprit, str):
            book.note(f"an equivocation in the store proves nothing: {culprit}")
        elif culprit not in judged.history.registered:
            book.note(f"an equivocation in the store is of {name_of(culprit)}, who is not registered")
        else:
            sentence = f"{name_of(culprit)} signed 2 different {evidence.equivocation} statements in one session"
            round_ = rounds.get(evidence.first.statement.sid)
            book.find("equivocation", sentence, round_=round_, peer=culprit)
    if shelves.equivocations:
        book.count("equivocations", len(shelves.equivocations))


def check_leaves(judged: Judgement, shelves: Shelves) -> None:
    """Evidence about a leaf of a sum convicts by the signatures in it; its session may have come to nothing."""
    book, federation = judged.book, judged.rounds.federation
    seeds = {record: round_.seed for record, round_ in judged.rounds.by_record().items()}
    seeds[judged.rounds.start.record] = judged.rounds.start.seed
    for evidence in shelves.leaves:
        opened = evidence.session.opened.statement
        plan = federation.plan(opened, seeds.get(opened.parent, NOTHING))
        try:
            fault = judge_leaf(plan, evidence) if plan else None
        except NoEvidence as error:
            book.note(f"evidence about a leaf in the store proves nothing: {error}")
            continue
        if fault is None:
            book.note("evidence about a leaf in the store proves nothing: the leaf is right, or of another federation")
        else:
            book.find(fault.code, f"round {opened.round}: {fault.sentence}", round_=opened.round, peer=fault.culprit)
    if shelves.leaves:
        book.count("leaves in dispute", len(shelves.leaves))


def check_emissions(judged: Judgement, shelves: Shelves, host_lines: bytes | None, peers: int = 0) -> None:
    """Every record that a round or the settlement names is there and its owner's; then physics and conservation.

    `peers` is how many the settings agree on (0: not known).
    """
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
    for fault in check_run(shelves.records.values(), hosts, peers):
        if fault.code == MARKED:  # a host that slept is told, and nobody's fault
            book.note(f"{name_of(fault.peer)}: {fault.sentence}" if fault.peer else fault.sentence)
        else:
            book.find(fault.code, fault.sentence, round_=fault.round, peer=fault.peer)
    for record in shelves.records.values():
        if record.address not in judged.history.registered:
            sentence = f"an emission record speaks for {record.peer}, who is not registered"
            book.find("emission-owner", sentence, round_=record.round, peer=record.address)
    book.count("emission records", len(shelves.records))


def _named_records(judged: Judgement) -> Iterator[tuple[bytes, bytes, int | None, str]]:
    for one in judged.rounds.judged.values():
        for peer, artefact in one.emissions:
            yield artefact, peer, one.round, "an opening"
    for merge in judged.plain.stated.values() if judged.plain else ():
        yield merge.body.emissions, merge.body.initiator, merge.body.round, "a merge"
    for epoch in judged.accounts.epochs:
        for peer, artefact in epoch.document.emissions if epoch.document else ():
            yield artefact, peer, None, "the settlement"
    for journal in judged.journals:
        for entry in journal.of("emissions"):
            name = str(entry.fields.get("record", ""))
            if journal.peer is not None and NAME.fullmatch(name):
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
        last = judged.accounts.line[-1].round if judged.accounts.line else None
        book.find("model", "model.safetensors is not the aggregate of the last round", round_=last)


def check_summary(path: Path, shelves: Shelves, judged: Judgement, federation: Federation) -> None:
    """The numbers that people quote, as far as evidence has them: settings, model, claims, energy, who was missing."""
    book, accounts = judged.book, judged.accounts
    if not path.exists():
        book.note("there is no summary.json to compare with")
        return
    raw = path.read_bytes()
    try:
        told = msgspec.json.decode(raw, type=Summary)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        book.find("summary", other_version(raw) or f"summary.json cannot be read: {error}")
        return
    if other := other_version(raw):
        book.find("summary", f"{other}: audit it with the version that made it, or train it anew")
    elif told.to_json() != raw:
        book.find("summary", "summary.json is not in the form that a run writes: a key was added or renamed")
    facts = [*_agreed(told, federation), *_facts(told, judged), *_energy(told, shelves)]
    for key, wanted, have in [*facts, *given_away(told, judged, federation)]:
        if have != wanted:
            book.find("summary", f"summary.json says {key} = {have!r}, the audit finds {wanted!r}")
    if accounts.line and told.rounds != len(accounts.line) and not judged.rounds.broken:
        book.note(f"{len(accounts.line)} of {told.rounds} rounds were closed")


def _agreed(told: Summary, federation: Federation) -> Iterator[tuple[str, object, object]]:
    """What the settings say; that they are the agreed ones is checked by their hash."""
    yield "name", federation.name, told.name
    yield "rounds", federation.rounds, told.rounds
    yield "exchange", federation.exchange, told.exchange
    yield "seed", federation.seed, told.seed
    yield "smallest_honest_sum", promised(federation), told.smallest_honest_sum
    yield "validation", validation_of(federation), told.validation
    yield "parts", announced(federation), told.parts
    yield "schedule", told_of(federation), told.schedule


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
    ground = judged.rounds.federation
    absent = {(told.round, p) for told in accounts.line for p in registered - set(told.u3)}
    resting = {(round_, p) for round_, p in absent if ground.scale(p, round_) is None}
    for key, wanted, have in (("missing", absent - resting, told.missing), ("resting", resting, told.resting)):
        yield key, sorted((n, _checksummed(p)) for n, p in wanted), sorted((m.round, m.address) for m in have)
    if len(names) == len(told.accounts):
        peers = {j.name: j.peer for j in judged.journals if j.peer is not None}
        yield "faults", faults_of(judged.journals, peers), told.faults


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
