"""The one way to the auditor, which is imported when asked for: it brings numpy, torch and the ledger."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from peerage.factory import load_factory

AUDIT = "peerage.audit_run:audit"


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


def audit(run_dir: Path) -> Report:
    """InputError when there is nothing that could be audited; findings are no error."""
    report: Report = load_factory(AUDIT)(run_dir)
    return report
