"""The one way to the auditor, which is imported when asked for: it brings numpy, torch and the ledger."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from peerage.learning.factory import load_factory

AUDIT = "peerage.audit.run:audit"  # (run_dir) -> Report
AUDIT_REMOTE = "peerage.audit.run:audit_remote"  # (deployment, rpc, store) -> Report


class Finding(Protocol):
    """One fault: `round` and `peer` are None where the fault is nobody's or of no round."""

    @property
    def code(self) -> str: ...
    @property
    def round(self) -> int | None: ...
    @property
    def peer(self) -> str | None: ...
    @property
    def sentence(self) -> str: ...


class Report(Protocol):
    @property
    def findings(self) -> Sequence[Finding]: ...
    def to_json(self) -> bytes: ...
    def in_words(self) -> str: ...
    def explain(self, peer: str) -> str: ...


def audit(run_dir: Path) -> Report:
    """InputError when there is nothing that could be audited; findings are no error."""
    report: Report = load_factory(AUDIT)(run_dir)
    return report


def audit_remote(deployment: Path, rpc: str, store: str) -> Report:
    """The same from a node and an artefact store, without anybody's run directory."""
    report: Report = load_factory(AUDIT_REMOTE)(deployment, rpc, store)
    return report
