"""The auditor's hands: read a run directory (or a node and a store), let the judgement look at it, hand back a report.

Reads only what may be mailed to an auditor; `secrets/` and the engines' native state are never opened. Nothing here
decides what is right: that is `peerage_ledger.audit.judge`, with `audit_maths` for floating point.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from eth_utils.address import to_checksum_address

from peerage.audit.bonus import reckon
from peerage.audit.cache import AuditCache
from peerage.audit.files import check_emissions, check_equivocations, check_leaves, check_model, check_summary
from peerage.audit.scales import check_scales
from peerage.audit.sources import Address, Hints, Sources, from_afar, from_run
from peerage.audit.store import Shelves, judge_rest
from peerage.audit.terms import Agreement, agreement_of
from peerage.audit.words import AuditReport, Comparison, Finding
from peerage.config_toml import settings_name
from peerage.disputes.docket import docket_of, find, settled
from peerage.plain.rules import merge_rule_of
from peerage.rundir import RunDir
from peerage_crypto.errors import InputError
from peerage_ledger.archive.compare import Witness, compare
from peerage_ledger.audit.findings import Notebook
from peerage_ledger.audit.judge import Judgement, judge
from peerage_ledger.audit.terms import CaseFile, Settled, Terms, silence
from peerage_ledger.events import PeerSlashed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from peerage.config import Federation
    from peerage_ledger.audit.findings import Finding as Found
    from peerage_ledger.audit.told import Memory
    from peerage_ledger.disputes.dispute import Dispute

ARBITERS = frozenset({"RoundArbiter", "PayArbiter"})
AMOUNT = re.compile(r"0|[1-9][0-9]{0,76}")  # below 2^256


@dataclass(frozen=True)
class Manner:
    """How an audit goes about it: what others archived of the chain, where it keeps what it found, who is told."""

    archives: tuple[Path, ...] = ()
    cache: Path | None = None
    heard: Callable[[str, int, int], None] = silence


PLAINLY = Manner()


def audit(run_dir: Path, manner: Manner = PLAINLY) -> AuditReport:
    """Replay a finished (or still growing) run. InputError when there is nothing that could be audited."""
    run, book = RunDir(run_dir), Notebook()
    with ExitStack() as stack:
        memory = _memory(manner.cache, stack)
        sources = from_run(run, book, manner.heard)
        stack.enter_context(_one_thread())
        judged, agreed = _judge(sources, book, memory, manner)
        host = run.host_log.read_bytes() if run.host_log.exists() else None
        check_emissions(judged, sources.shelves, host, sources.federation.peers)
        check_model(run.model, agreed.layout, judged)
    check_summary(run.summary, sources.shelves, judged, sources.federation)
    return _report(sources, judged, agreed)


def audit_remote(address: Address, manner: Manner = PLAINLY) -> AuditReport:
    """The same from a node and artefact stores, without anybody's run directory."""
    book = Notebook()
    with ExitStack() as stack:
        memory = _memory(manner.cache, stack)
        kept = manner.cache or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peerage-audit-")))
        sources = from_afar(address, kept, book, manner.heard)
        stack.enter_context(_one_thread())
        judged, agreed = _judge(sources, book, memory, manner)
        check_emissions(judged, sources.shelves, None, sources.federation.peers)
    return _report(sources, judged, agreed)


def compare_archives(paths: Sequence[Path]) -> Comparison:
    """What peers archived of one chain, held against each other and nothing else."""
    book = Notebook()
    compare(_witnesses(paths), book)
    return Comparison(_findings(book.in_order()), tuple(book.notes), dict(book.counts))


def _memory(folder: Path | None, stack: ExitStack) -> AuditCache | None:
    if folder is None:
        return None
    cache = AuditCache(folder)
    stack.callback(cache.close)
    return cache


def _witnesses(paths: Sequence[Path]) -> list[Witness]:
    """Named by the peer's folder, or by the file."""
    witnesses: list[Witness] = []
    for path in paths:
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise InputError(f"--archive {path}: {error.strerror or error}") from None
        witnesses.append(Witness(str(path), raw))
    return witnesses


def _judge(sources: Sources, book: Notebook, memory: Memory | None, manner: Manner) -> tuple[Judgement, Agreement]:
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
        accounts=_accounts(sources.hints, book),
        keep=None if keep == "all" else int(keep),
        pruned=sources.pruned,
        lost=frozenset({*sources.hints.lost, *_killed(federation)}),
        misnamed=frozenset(shelves.misnamed),
        prologue=agreed.prologue,
        mean=merge_rule_of(federation) if federation.exchange == "plain" else None,
        memory=memory,
        told=manner.heard,
    )
    judged = judge(case, agreed.maths, book)
    if manner.archives:
        mine = Witness("the chain that is audited", sources.chain, audited=True, live=sources.live)
        compare([mine, *_witnesses(manner.archives)], book)
    for artefact, blob in shelves.settings.items():
        if settings_name(blob) != agreed.terms.record:
            book.find("store-undecodable", f"store/{artefact.hex()} holds settings of another federation")
    check_equivocations(judged, shelves)
    check_leaves(judged, shelves)
    check_scales(judged, federation)
    grounds = [agreed.terms, *([agreed.prologue.terms] if agreed.prologue else [])]
    lengths = {length for t in grounds for length in (4 * t.initial.size, 4 * t.size, *_masked_bytes(t))}
    lengths |= {8 * t.size for t in grounds if t.crossfit}  # two directions
    judge_rest(shelves, frozenset(lengths), agreed.used, book)
    return judged, agreed


def _masked_bytes(terms: Terms) -> Iterator[int]:
    """Of a masked vector, and of the sums of one, two, ... buckets."""
    for sums in range(1, max(terms.grouping.buckets, len(terms.grouping.regions)) + 1):
        yield sums * (terms.ring.lane_words + terms.size) * terms.ring.word_bytes


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
        yield Settled(artefact, document.epoch, document.record, dues, emissions, document.steps, document.voided)


def _accounts(hints: Hints, book: Notebook) -> dict[str, bytes]:
    accounts: dict[str, bytes] = {}
    for name, text in hints.accounts.items():
        try:
            accounts[name] = bytes.fromhex(text.removeprefix("0x"))
        except ValueError:
            book.find("summary", f"summary.json: the account of {name} is no address")
    return accounts


@contextmanager
def _one_thread() -> Generator[None]:
    """Sums of gradients have one order with one thread: the peers' own."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _findings(found: Iterable[Found]) -> tuple[Finding, ...]:
    return tuple(
        Finding(f.code, f.round, None if f.peer is None else str(to_checksum_address(f.peer)), f.sentence)
        for f in found
    )


def _report(sources: Sources, judged: Judgement, agreed: Agreement) -> AuditReport:
    scores = sources.federation.scores
    docket = partial(docket_of, sources, judged, agreed.terms)
    verdicts = [h.event for h in sources.archive.events() if h.contract in ARBITERS or isinstance(h.event, PeerSlashed)]
    proposed: list[Dispute] = []
    closed: dict[Found, str] = {}
    if judged.findings or verdicts:
        looked_through = docket()
        proposed = find(looked_through)
        closed = settled(judged.findings, proposed, looked_through)
    return AuditReport(
        findings=_findings([f for f in judged.book.in_order() if f not in closed]),
        notes=tuple(judged.book.notes),
        counts=dict(judged.book.counts),
        rounds=judged.checks,
        judged=judged,
        cap=scores.cap,
        window=scores.window,
        names={journal.peer: journal.name for journal in judged.journals if journal.peer is not None},
        docket=docket,
        proposed=tuple(proposed),
        settled=tuple(zip(_findings(closed), closed.values(), strict=True)),
        verdicts=tuple(verdicts),
        bonus=reckon(
            sources.federation,
            sources.deployment.federation,
            judged,
            sources.shelves.records,
            sources.archive.transactions,
        ),
    )
