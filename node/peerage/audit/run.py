"""The auditor's hands: read a run directory (or a node and a store), let the judgement look at it, hand back a report.

Reads only what may be mailed to an auditor; `secrets/` and the engines' native state are never opened. Nothing here
decides what is right: that is `peerage_ledger.audit.judge`, with `audit_maths` for floating point.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import msgspec
import torch
from eth_utils.address import to_checksum_address

from peerage.audit.files import check_emissions, check_model, check_summary
from peerage.audit.store import Shelves, judge_rest, shelve
from peerage.audit.terms import Agreement, agreement_of
from peerage.audit.words import AuditReport, Finding
from peerage.config_toml import load_federation
from peerage.launch.prune import already_pruned
from peerage.rounds.aggregation import weighted_mean
from peerage.rundir import RunDir
from peerage_crypto.errors import InputError, Unreachable
from peerage_ledger.archive.export import ChainExport
from peerage_ledger.archive.reader import ChainArchive, parse, read_export
from peerage_ledger.audit.findings import Notebook
from peerage_ledger.audit.judge import Judgement, judge
from peerage_ledger.audit.terms import CaseFile, Settled, Terms
from peerage_ledger.deployment import Deployment

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from peerage.config import Federation


NEWLINE = b"\n"
AMOUNT = re.compile(r"0|[1-9][0-9]{0,76}")  # below 2^256


class _Told(msgspec.Struct, frozen=True):
    """What of summary.json guides an audit: who the peers say they are, who was lost. Proves nothing."""

    accounts: dict[str, str] = {}
    lost: dict[str, str] = {}


@dataclass(frozen=True)
class _Sources:
    """Everything read, before anything is judged."""

    federation: Federation
    deployment: Deployment
    archive: ChainArchive
    shelves: Shelves
    journals: Mapping[str, bytes]
    told: _Told
    pruned: frozenset[bytes]


def audit(run_dir: Path) -> AuditReport:
    """Replay a finished (or still growing) run. InputError when there is nothing that could be audited."""
    run, book = RunDir(run_dir), Notebook()
    if not run.store.is_dir():
        raise InputError(f"{run_dir} is no run directory: it has no store/")
    shelves = shelve([path.name for path in run.store.iterdir()], lambda name: (run.store / name).read_bytes(), book)
    peers = run.root / "peers"
    folders = sorted(peers.iterdir()) if peers.is_dir() else []
    files = {folder.name: folder / "journal.jsonl" for folder in folders if folder.is_dir()}
    sources = _Sources(
        federation=load_federation(run.federation),
        deployment=Deployment.read(run.deployment),
        archive=_archive_in(run.chain / "chain.jsonl", book),
        shelves=shelves,
        journals={name: path.read_bytes() for name, path in files.items() if path.is_file()},
        told=_told(run.summary),
        pruned=frozenset(bytes.fromhex(name) for name in already_pruned(run)),
    )
    with _one_thread():
        judged, agreed = _judge(sources, book)
        host = run.host_log.read_bytes() if run.host_log.exists() else None
        check_emissions(judged, shelves, host)
        check_model(run.model, agreed.layout, judged)
    check_summary(run.summary, shelves, judged)
    return _report(sources, judged)


def audit_remote(deployment: Path, rpc: str, store: str) -> AuditReport:
    """The same from a node and an artefact store. `federation.toml` is looked for beside `deployment.json`."""
    book, placed = Notebook(), Deployment.read(deployment)
    settings = deployment.parent / "federation.toml"
    if not settings.is_file():
        raise InputError(f"{settings} is missing: put the federation's settings beside {deployment.name}")
    names, read = _open_store(store)
    sources = _Sources(
        federation=load_federation(settings),
        deployment=placed,
        archive=_archive_of(placed, rpc),
        shelves=shelve(names, read, book),
        journals={},
        told=_Told(),
        pruned=frozenset(),
    )
    book.note("journals are not here: what peers wrote down is not compared with what they signed")
    with _one_thread():
        judged, _ = _judge(sources, book)
        check_emissions(judged, sources.shelves, None)
    return _report(sources, judged)


def _judge(sources: _Sources, book: Notebook) -> tuple[Judgement, Agreement]:
    federation, shelves = sources.federation, sources.shelves
    agreed = agreement_of(federation, sources.deployment, shelves, book)
    keep = federation.store.keep
    case = CaseFile(
        terms=agreed.terms,
        deployment=sources.deployment,
        archive=sources.archive,
        store=shelves.artefacts,
        journals=sources.journals,
        settlements=tuple(_settled(shelves, book)),
        accounts=_accounts(sources.told, book),
        keep=None if keep == "all" else int(keep),
        pruned=sources.pruned,
        lost=frozenset({*sources.told.lost, *_killed(federation)}),
        misnamed=frozenset(shelves.misnamed),
        prologue=agreed.prologue,
        mean=weighted_mean if federation.exchange == "plain" else None,
    )
    judged = judge(case, agreed.maths, book)
    grounds = [agreed.terms, *([agreed.prologue.terms] if agreed.prologue else [])]
    lengths = {length for t in grounds for length in (4 * t.initial.size, _masked_bytes(t))}
    judge_rest(shelves, frozenset(lengths), agreed.used, book)
    return judged, agreed


def _masked_bytes(terms: Terms) -> int:
    return (terms.auxiliary + terms.initial.size) * terms.ring.word_bytes


def _killed(federation: Federation) -> Iterator[str]:
    """Peers that a demonstration kills for good: nobody is left to seal their journals."""
    return (part.peer for part in federation.cast if part.kill_in_round and not part.return_in_round)


def _settled(shelves: Shelves, book: Notebook) -> Iterator[Settled]:
    for artefact, document in shelves.settlements.items():
        if not all(AMOUNT.fullmatch(due.cumulative) for due in document.dues):
            book.find("store-undecodable", f"store/{artefact.hex()} is a settlement with an amount that is no number")
            continue
        dues = tuple((due.account, int(due.cumulative)) for due in document.dues)
        emissions = tuple((last.peer, last.emissions) for last in document.emissions)
        yield Settled(artefact, document.epoch, document.record, dues, emissions)


def _told(path: Path) -> _Told:
    if not path.exists():
        return _Told()
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Told)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _Told()  # check_summary says what is wrong with it


def _accounts(told: _Told, book: Notebook) -> dict[str, bytes]:
    accounts: dict[str, bytes] = {}
    for name, text in told.accounts.items():
        try:
            accounts[name] = bytes.fromhex(text.removeprefix("0x"))
        except ValueError:
            book.find("summary", f"summary.json: the account of {name} is no address")
    return accounts


def _open_store(url: str) -> tuple[list[str], Callable[[str], bytes]]:
    """The names in an artefact store and how to read one: a folder, or whatever fsspec reaches (http, s3 ...)."""
    try:
        system, root = fsspec.core.url_to_fs(url)
        names = [str(path).rstrip("/").rpartition("/")[2] for path in system.ls(root, detail=False)]
    except (OSError, ValueError, ImportError) as error:
        raise Unreachable(f"the store {url} cannot be listed: {error}") from None

    def read(name: str) -> bytes:
        try:
            return bytes(system.cat_file(f"{root}/{name}"))
        except OSError as error:
            raise Unreachable(f"{url}/{name} cannot be read: {error}") from None

    return names, read


def _archive_in(path: Path, book: Notebook) -> ChainArchive:
    """The run's own record of its chain. Bytes that are no text at all are a fault of one line, not of the audit."""
    if not path.is_file():
        return read_export(path)  # says what is missing
    raw = path.read_bytes()
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        book.find("chain-archive", f"chain.jsonl: line {raw[: error.start].count(NEWLINE) + 1} is no text")
        raw = raw.decode(errors="replace").encode()
    return parse(raw)


def _archive_of(deployment: Deployment, rpc: str) -> ChainArchive:
    """The chain behind a node, written down as a run would have and read back."""
    with tempfile.TemporaryDirectory(prefix="peerage-audit-") as folder:
        path = Path(folder) / "chain.jsonl"
        ChainExport(deployment, path, rpc_url=rpc).finish()
        return read_export(path)


@contextmanager
def _one_thread() -> Generator[None]:
    """Sums of gradients have one order with one thread: the peers' own."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _report(sources: _Sources, judged: Judgement) -> AuditReport:
    findings = tuple(
        Finding(f.code, f.round, None if f.peer is None else str(to_checksum_address(f.peer)), f.sentence)
        for f in judged.findings
    )
    scores = sources.federation.scores
    return AuditReport(
        findings=findings,
        notes=tuple(judged.book.notes),
        counts=dict(judged.book.counts),
        rounds=judged.checks,
        judged=judged,
        cap=scores.cap,
        window=scores.window,
        names={journal.peer: journal.name for journal in judged.journals if journal.peer is not None},
    )
