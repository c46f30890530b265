"""The one way to disputes, imported when asked for: it brings the auditor with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from peerage.audit.cache import beside
from peerage.audit.run import Manner, audit, audit_remote
from peerage.disputes.court import Court
from peerage.disputes.filing import Session, Wants
from peerage.disputes.place import chain_of, deployer_of
from peerage.disputes.words import Document, checked, in_words
from peerage.rundir import RunDir
from peerage_ledger.deployment import Deployment
from peerage_ledger.rpc import connect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from peerage.audit.sources import Address
    from peerage.audit.words import AuditReport
    from peerage_crypto.identity import Account

    Heard = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Told:
    """What the command ends in."""

    document: Document
    words: str


def dispute_run(run_dir: Path, wants: Wants, account: Account | None, heard: Heard, say: Callable[[str], None]) -> Told:
    """A run directory; without an account of one's own its deployer files."""
    run = RunDir(run_dir)
    with chain_of(run, say) as chain:
        chain.archive(heard)
        report = audit(run_dir, Manner(cache=beside(run_dir.resolve()), heard=heard))
        court = None
        if chain.rpc is not None:
            court = Court(chain.rpc, chain.deployment, account or (deployer_of(run) if wants.acts else None))
        told = _told(report, court, wants, say)
        if wants.acts:
            chain.archive(heard)
        return told


def dispute_afar(
    address: Address, wants: Wants, account: Account | None, heard: Heard, say: Callable[[str], None]
) -> Told:
    """From a node and stores."""
    report = audit_remote(address, Manner(heard=heard))
    placed = report.docket().deployment if address.deployment is None else Deployment.read(address.deployment)
    return _told(report, Court(connect(address.rpc, placed.chain_id), placed, account), wants, say)


def _told(report: AuditReport, court: Court | None, wants: Wants, say: Callable[[str], None]) -> Told:
    docket = report.docket()
    session = Session(report, docket, court, docket.store.get, say)
    document = session.go(wants)
    names = {checked(address): name for address, name in report.names.items()}
    return Told(document, in_words(document, names))
