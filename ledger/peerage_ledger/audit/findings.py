"""What an audit says: faults with their round and peer where these are defined, and what was checked at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peerage_crypto.secagg_judge import Fault


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold. `round` and `peer` (20 bytes) are None where the fault is of none."""

    code: str
    round: int | None
    peer: bytes | None
    sentence: str


class Check(Enum):
    """What became of one kind of check in one round. Only PASSED means that it was done and holds."""

    PASSED = "passed"
    CLOSE = "within tolerance"
    FAILED = "failed"
    PRUNED = "pruned"
    UNSCORED = "unscored"
    SKIPPED = "not checked"


@dataclass(frozen=True, slots=True)
class RoundCheck:
    """One judged round: which statements were verified (by kind), and what became of the sum, g and the numbers."""

    round: int
    record: bytes
    sid: bytes
    initiator: bytes
    members: tuple[bytes, ...]
    statements: int
    sum: Check
    direction: Check
    numbers: Check


@dataclass
class Notebook:
    """Collects while the judgement goes on; the same finding twice is one finding."""

    findings: dict[Finding, None] = field(default_factory=dict[Finding, None])
    notes: dict[str, None] = field(default_factory=dict[str, None])
    counts: Counter[str] = field(default_factory=Counter[str])

    def find(self, code: str, sentence: str, *, round_: int | None = None, peer: bytes | None = None) -> None:
        self.findings[Finding(code, round_, peer, sentence)] = None

    def faults(self, faults: Iterable[Fault], round_: int | None) -> None:
        for fault in faults:
            self.find(fault.code, fault.sentence, round_=round_, peer=fault.culprit)

    def note(self, sentence: str) -> None:
        self.notes[sentence] = None

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] += number

    def add(self, other: Notebook) -> None:
        """Everything that another one holds."""
        self.findings |= other.findings
        self.notes |= other.notes
        self.counts.update(other.counts)

    def in_order(self) -> tuple[Finding, ...]:
        """The findings by round, those of none first."""
        return tuple(sorted(self.findings, key=_order))

    def has(self, code: str) -> bool:
        return any(finding.code == code for finding in self.findings)


def _order(finding: Finding) -> tuple[int, str, bytes, str]:
    round_ = -1 if finding.round is None else finding.round
    return (round_, finding.code, finding.peer or b"", finding.sentence)


def name_of(peer: bytes) -> str:
    """An address as sentences carry it."""
    return "0x" + peer.hex()
