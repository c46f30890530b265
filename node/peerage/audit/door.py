"""The one way to the auditor, which is imported when asked for: it brings numpy, torch and the ledger."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from peerage.learning.factory import load_factory

AUDIT = "peerage.audit.run:audit"  # (run_dir, manner) -> Report
AUDIT_REMOTE = "peerage.audit.run:audit_remote"  # (address, manner) -> Report
COMPARE = "peerage.audit.run:compare_archives"  # (archives) -> Report
MANNER = "peerage.audit.run:Manner"
ADDRESS = "peerage.audit.sources:Address"


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


class Verdict(Protocol):
    """What every kind of audit ends in."""

    @property
    def findings(self) -> Sequence[Finding]: ...
    def to_json(self) -> bytes: ...
    def in_words(self) -> str: ...


class Report(Protocol):
    @property
    def findings(self) -> Sequence[Finding]: ...
    def to_json(self, explain: str = "") -> bytes: ...
    def in_words(self) -> str: ...
    def explain(self, peer: str) -> str: ...


def audit(run_dir: Path, **manner: object) -> Report:
    """InputError when there is nothing that could be audited; findings are no error. `manner`: fields of Manner."""
    report: Report = load_factory(AUDIT)(run_dir, _manner(manner))
    return report


def audit_remote(address: Mapping[str, object], **manner: object) -> Report:
    """The same from a node and artefact stores, without anybody's run directory. `address`: fields of Address."""
    made = load_factory(ADDRESS)
    report: Report = load_factory(AUDIT_REMOTE)(made(**address), _manner(manner))
    return report


def compare(archives: Sequence[Path]) -> Verdict:
    """Only what peers archived of their chain, against each other."""
    verdict: Verdict = load_factory(COMPARE)(archives)
    return verdict


def _manner(fields: dict[str, object]) -> object:
    made: Callable[..., object] = load_factory(MANNER)
    return made(**fields)
