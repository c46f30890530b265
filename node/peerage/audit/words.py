"""What an audit says: in words to people, as a JSON document to programs (docs/audit.md has its keys)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from eth_utils.address import to_checksum_address

from peerage.audit.bonus import BonusTold, Reckoning
from peerage.audit.explain import Explanation, Row
from peerage.disputes.words import Said, said
from peerage_crypto.errors import InputError
from peerage_ledger.audit.findings import Check
from peerage_ledger.audit.pay import earnings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peerage_ledger.audit.findings import RoundCheck
    from peerage_ledger.audit.judge import Judgement
    from peerage_ledger.disputes.dispute import Dispute, Docket
    from peerage_ledger.events import ContractEvent

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


class Explained(msgspec.Struct, frozen=True):
    """One peer's pay, with --explain. `due` and `claimed` in the smallest unit."""

    peer: str
    due: str
    claimed: str
    rounds: tuple[Row, ...]


class Decidable(msgspec.Struct, frozen=True):
    """What `peerage dispute` can bring to the chain; `accused` are checksummed addresses."""

    fault: str
    round: int | None
    accused: tuple[str, ...]
    call: str
    sentence: str


class SettledLine(msgspec.Struct, frozen=True):
    """A finding that a verdict of the chain was about."""

    finding: Finding
    verdict: str


class Document(msgspec.Struct, frozen=True):
    """`peerage audit --json`. Keys are added, never renamed; `schema` counts renamings."""

    schema: int
    ok: bool
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    counts: dict[str, int]
    rounds: tuple[RoundLine, ...] = ()
    rewards: dict[str, str] = {}
    claimed: dict[str, str] = {}
    explained: Explained | None = None
    decidable: tuple[Decidable, ...] = ()
    settled: tuple[SettledLine, ...] = ()
    decided: tuple[Said, ...] = ()
    bonus: BonusTold | None = None


@dataclass(frozen=True)
class Comparison:
    """What several archives of one chain say of each other."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    counts: dict[str, int]

    def to_json(self) -> bytes:
        return msgspec.json.encode(Document(1, not self.findings, self.findings, self.notes, self.counts))

    def in_words(self) -> str:
        compared = self.counts.get("archives compared", 0)
        lines = [f"Compared: {compared} archives of the chain, nothing else."]
        lines += [f"Note: {note}." for note in self.notes]
        lines += [_said(finding, finding.peer) for finding in self.findings[:SHOWN]]
        verdict = f"{len(self.findings)} findings" if self.findings else "they agree wherever they overlap"
        return "\n".join([*lines, f"Archives: {verdict}."])


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
    docket: Callable[[], Docket]
    proposed: tuple[Dispute, ...] = ()
    settled: tuple[tuple[Finding, str], ...] = ()  # findings no more: what the chain said of each
    verdicts: tuple[ContractEvent, ...] = ()  # of the arbiters, in the order of the chain
    bonus: Reckoning | None = None

    @property
    def ok(self) -> bool:
        return not self.findings

    def to_json(self, explain: str = "") -> bytes:
        """The document; with the pay of one peer, by its name or address."""
        lines = tuple(
            RoundLine(
                c.round, c.record.hex(), len(c.members), c.statements, c.sum.value, c.direction.value, c.numbers.value
            )
            for c in self.rounds
        )
        accounts = self.judged.accounts
        due, claimed = _amounts(accounts.due), _amounts(accounts.claimed)
        explained = None
        if explain:
            address = self._address(explain)
            why, name = self._explanation(address), str(to_checksum_address(address))
            explained = Explained(name, str(why.due), str(why.claimed), why.table())
        told = tuple(_decidable(dispute) for dispute in self.proposed)
        document = Document(1, self.ok, self.findings, self.notes, self.counts, lines, due, claimed, explained, told)
        bonus = self.bonus.told() if self.bonus else None
        closed = tuple(SettledLine(finding, verdict) for finding, verdict in self.settled)
        return msgspec.json.encode(
            msgspec.structs.replace(document, settled=closed, decided=self._decided(), bonus=bonus)
        )

    def _decided(self) -> tuple[Said, ...]:
        return tuple(one for event in self.verdicts if (one := said(event, self.names)) is not None)

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
        lines += [_said(f, self._called(f.peer) if f.peer else None) for f in self.findings[:SHOWN]]
        if len(self.findings) > SHOWN:
            lines.append(f"... and {len(self.findings) - SHOWN} more (--json lists all).")
        lines += [f"Decided on chain: {one.sentence}." for one in self._decided()]
        lines += [_said(f, self._called(f.peer) if f.peer else None, why) for f, why in self.settled]
        lines += self.bonus.in_words(self.names) if self.bonus else []
        holds = "clean: everything that was checked holds" + (", or was decided on chain" if self.settled else "")
        verdict = holds if self.ok else f"{len(self.findings)} findings"
        if self.proposed:
            faults = ", ".join(sorted({dispute.fault for dispute in self.proposed}))
            lines.append(
                f"Decidable on chain ({len(self.proposed)}: {faults}): peerage dispute, with what was audited."
            )
        return "\n".join([*lines, f"Audit {verdict}."])

    def _called(self, address: str) -> str:
        name = self.names.get(bytes.fromhex(address[2:]))
        return f"{name} ({address})" if name else address

    def explain(self, peer: str) -> str:
        """Per round why `peer` (its name or address) earned what it earned. InputError for nobody we know."""
        address = self._address(peer)
        why = self._explanation(address).in_words()
        return f"{why}\n{self.bonus.of(address)}" if self.bonus else why

    def _explanation(self, address: bytes) -> Explanation:
        accounts = self.judged.accounts
        return Explanation(
            called=self._called(str(to_checksum_address(address))),
            rows=earnings(accounts, address, cap=self.cap),
            window=self.window,
            cap=self.cap,
            due=accounts.due.get(address, 0),
            claimed=accounts.claimed.get(address, 0),
            settled=accounts.settled_rounds,
        )

    def _address(self, peer: str) -> bytes:
        by_name = {name: address for address, name in self.names.items()}
        if peer in by_name:
            return by_name[peer]
        try:
            address = bytes.fromhex(peer.removeprefix("0x"))
        except ValueError:
            address = b""
        if address not in self.judged.history.registered:
            known = sorted(by_name) or [str(to_checksum_address(a)) for a in sorted(self.judged.history.registered)]
            raise InputError(f"--explain: {peer} is no peer of this run: the peers are {', '.join(known)}")
        return address


def _said(finding: Finding, called: str | None, settled: str = "") -> str:
    where = f"round {finding.round}, " if finding.round is not None else ""
    who = f"{called}, " if called else ""
    if settled:
        return f"Settled ({where}{who}{finding.code}): {finding.sentence}; {settled}."
    return f"FINDING ({where}{who}{finding.code}): {finding.sentence}."


def _amounts(units: Mapping[bytes, int]) -> dict[str, str]:
    return {str(to_checksum_address(peer)): str(total) for peer, total in units.items()}


def _decidable(dispute: Dispute) -> Decidable:
    accused = tuple(str(to_checksum_address(peer)) for peer in dispute.accused)
    call = f"{dispute.contract}.{dispute.function}"
    return Decidable(dispute.fault, dispute.round, accused, call, dispute.sentence)
