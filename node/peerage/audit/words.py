"""What an audit says to people: a verdict, what was checked, what was not, and why a peer earned what it earned."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from eth_utils.address import to_checksum_address

from peerage.launch.live import amount
from peerage_crypto.errors import InputError
from peerage_ledger.audit.findings import Check
from peerage_ledger.audit.pay import Earning, earnings

if TYPE_CHECKING:
    from peerage_ledger.audit.findings import RoundCheck
    from peerage_ledger.audit.judge import Judgement

SHOWN = 50  # findings in words; the JSON document has all


class Finding(msgspec.Struct, frozen=True):
    """One fault; `peer` is a checksummed address."""

    code: str
    round: int | None
    peer: str | None
    sentence: str


class RoundLine(msgspec.Struct, frozen=True):
    round: int
    record: str
    members: int
    statements: int
    sum: str
    direction: str
    numbers: str


class Document(msgspec.Struct, frozen=True):
    """`peerage audit --json`."""

    schema: int
    ok: bool
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    counts: dict[str, int]
    rounds: tuple[RoundLine, ...]
    rewards: dict[str, str]


@dataclass(frozen=True)
class AuditReport:
    """The verdict. `findings` empty: everything that was checked holds; what was not checked stands in `notes`."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    counts: dict[str, int]
    rounds: tuple[RoundCheck, ...]
    judged: Judgement
    cap: int
    window: int
    names: dict[bytes, str]

    @property
    def ok(self) -> bool:
        return not self.findings

    def to_json(self) -> bytes:
        due = {str(to_checksum_address(peer)): str(total) for peer, total in self.judged.accounts.due.items()}
        lines = tuple(
            RoundLine(
                c.round, c.record.hex(), len(c.members), c.statements, c.sum.value, c.direction.value, c.numbers.value
            )
            for c in self.rounds
        )
        return msgspec.json.encode(Document(1, self.ok, self.findings, self.notes, self.counts, lines, due))

    def in_words(self) -> str:
        done = Counter(check.sum for check in self.rounds)
        parts = [f"{number} {what}" for what, number in sorted(self.counts.items())]
        lines = [f"Checked again: {', '.join(parts)}."]
        pruned = done[Check.PRUNED]
        if pruned:
            lines.append(
                f"Pruned, and so not checked: the sums and opened numbers of {pruned} of {len(self.rounds)} rounds."
            )
        lines += [f"Note: {note}." for note in self.notes]
        for finding in self.findings[:SHOWN]:
            where = f"round {finding.round}, " if finding.round is not None else ""
            who = f"{self._called(finding.peer)}, " if finding.peer else ""
            lines.append(f"FINDING ({where}{who}{finding.code}): {finding.sentence}.")
        if len(self.findings) > SHOWN:
            lines.append(f"... and {len(self.findings) - SHOWN} more (--json lists all).")
        verdict = "clean: everything that was checked holds" if self.ok else f"{len(self.findings)} findings"
        return "\n".join([*lines, f"Audit {verdict}."])

    def _called(self, address: str) -> str:
        name = self.names.get(bytes.fromhex(address[2:]))
        return f"{name} ({address})" if name else address

    def explain(self, peer: str) -> str:
        """Per round why `peer` (its name or address) earned what it earned. InputError for nobody we know."""
        address = self._address(peer)
        rows = earnings(self.judged.accounts, address, cap=self.cap, window=self.window)
        head = f"{self._called(str(to_checksum_address(address)))}, round by round:"
        claimed = self.judged.accounts.claimed.get(address, 0)
        due = self.judged.accounts.due.get(address, 0)
        lines = [head, *(_row(row, self.window) for row in rows)]
        return "\n".join([*lines, f"In all {amount(str(due))} PEER, of which {amount(str(claimed))} are claimed."])

    def _address(self, peer: str) -> bytes:
        by_name = {name: address for address, name in self.names.items()}
        if peer in by_name:
            return by_name[peer]
        try:
            address = bytes.fromhex(peer.removeprefix("0x"))
        except ValueError:
            address = b""
        if address not in self.judged.history.registered:
            raise InputError(f"--explain: {peer} is no peer of this run: the peers are {', '.join(sorted(by_name))}")
        return address


def _row(row: Earning, window: int) -> str:
    start = f"  round {row.round}: "
    if not row.attended:
        return start + "its update is not in the sum: nothing."
    if not row.scored:
        return start + "the round was closed without scores: nobody is paid for it, the pot stays in the pool."
    value = (
        "its number stayed closed and counts as 0" if row.number is None else f"scored {row.number} x 2^-{row.exponent}"
    )
    cut = " (cut at the cap)" if row.capped else ""
    if row.mean <= 0:
        return start + f"{value}{cut}; its mean over the last {window} rounds it attended is not positive: nothing."
    share = f"{100 * row.share:.1f} % of the pot of {amount(str(row.pot))}"
    return (
        start
        + f"{value}{cut}; by its mean over the last {window} rounds it attended {share}: {amount(str(row.pay))} PEER."
    )
