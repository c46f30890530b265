"""The green bonus, from what an audit has: settled pay, the emission records under the rounds' roots, findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from eth_utils.address import to_checksum_address

from peerage.emissions import Label
from peerage.launch.live import amount
from peerage_ledger.bonus import A_MICROGRAM, BonusRule, Footprint, bonuses, payment_tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from peerage.config import Federation
    from peerage.emissions import EmissionRecord
    from peerage_ledger.archive.reader import ArchivedTransaction
    from peerage_ledger.audit.findings import Finding
    from peerage_ledger.audit.judge import Judgement
    from peerage_ledger.audit.pay import Accounts

COUNTED: Final = frozenset({Label.MEASURED_COUNTER, Label.ATTRIBUTED})
OURS: Final = "emission-"
TRANSFER_BYTES: Final = 4 + 32 + 32  # a call of the token: selector, receiver, amount; the tag follows


class BonusLine(msgspec.Struct, frozen=True):
    """One peer in `--json`; amounts and micrograms are decimal strings. `why` it takes no part: empty where it does."""

    peer: str
    earned: str
    co2e_ug: str
    bonus: str
    paid: str
    why: str = ""


class BonusTold(msgspec.Struct, frozen=True):
    """`pool`, `cap` (basis points) and whether all pay is settled, so that the amounts are final; `tag` is hex."""

    pool: str
    cap: int
    final: bool
    tag: str
    peers: tuple[BonusLine, ...]


@dataclass(frozen=True)
class Reckoning:
    """Who gets what by the rule, who takes no part and why, and what was paid: transfers that bear the `tag`."""

    rule: BonusRule
    footprints: dict[bytes, Footprint]
    amounts: dict[bytes, int]
    reasons: dict[bytes, str]
    tag: bytes
    paid: dict[bytes, int]
    final: bool

    @property
    def owed(self) -> dict[bytes, int]:
        """What is still to be paid; nothing before it is final."""
        left = {peer: due - self.paid.get(peer, 0) for peer, due in self.amounts.items()}
        return {peer: one for peer, one in left.items() if one > 0} if self.final else {}

    def told(self) -> BonusTold:
        lines = tuple(
            BonusLine(
                peer=str(to_checksum_address(peer)),
                earned=str(one.earned),
                co2e_ug=str(one.emitted // A_MICROGRAM),
                bonus=str(self.amounts.get(peer, 0)),
                paid=str(self.paid.get(peer, 0)),
                why=self.reasons.get(peer, ""),
            )
            for peer, one in self.footprints.items()
        )
        return BonusTold(str(self.rule.pool), self.rule.cap, self.final, self.tag.hex(), lines)

    def of(self, peer: bytes) -> str:
        """One peer's line, for whoever asks why."""
        one = self.footprints[peer]
        said = f"Green bonus: {amount(str(self.amounts.get(peer, 0)))} PEER on {amount(str(one.earned))} earned"
        why = self.reasons.get(peer, "")
        if why:
            return f"{said}: {why}."
        paid = amount(str(self.paid.get(peer, 0)))
        return f"{said}, {one.emitted / A_MICROGRAM:.4g} ug of CO2e by its own records; {paid} paid."

    def in_words(self, names: Mapping[bytes, str]) -> list[str]:
        total, paid = sum(self.amounts.values()), sum(self.paid.values())
        many = sum(due > 0 for due in self.amounts.values())
        when = "" if self.final else ", so far: it is final when every round's pay is settled"
        said = f"Green bonus: {amount(str(total))} of a pool of {amount(str(self.rule.pool))} PEER for {many} peers"
        limit = f"no bonus exceeds {self.rule.cap / 100:g} % of what was earned"
        lines = [f"{said}, {amount(str(paid))} paid{when}. Reported energy is the peers' own word; {limit}."]
        lines += [
            f"No green bonus for {names.get(peer, '0x' + peer.hex())}: {why}." for peer, why in self.reasons.items()
        ]
        return lines


def reckon(
    federation: Federation,
    genesis: bytes,
    judged: Judgement,
    records: Mapping[bytes, EmissionRecord],
    transactions: Iterable[ArchivedTransaction],
) -> Reckoning | None:
    """None where the settings have no bonus. `genesis` names the federation on its ledger."""
    rule = BonusRule(int(federation.rewards.green_pool), federation.rewards.green_bonus)
    accounts = judged.accounts
    if not rule.cap:
        return None
    named = _named(accounts)
    footprints = {
        peer: Footprint(accounts.due.get(peer, 0), sum(map(_emitted, (records[n] for n in names if n in records))))
        for peer, names in ((peer, named.get(peer, ())) for peer in sorted(judged.history.registered))
    }
    reasons = {
        peer: why
        for peer in footprints
        if (why := _against(peer, footprints[peer], named.get(peer, ()), records, judged.findings))
    }
    amounts = bonuses({peer: one for peer, one in footprints.items() if peer not in reasons}, rule)
    final = bool(accounts.epochs) and accounts.settled_rounds == len(accounts.line) == federation.rounds
    last = accounts.line[-1].record_hash if accounts.line else bytes(32)
    tag = payment_tag(genesis, last, rule, amounts)
    return Reckoning(rule, footprints, amounts, reasons, tag, _paid(tag, transactions), final)


def _emitted(record: EmissionRecord) -> int:
    return record.energy_uj.mid * record.factor.mid_mg


def _named(accounts: Accounts) -> dict[bytes, tuple[bytes, ...]]:
    """Emission records by peer that stand under an emission root: of the rounds that are paid, and of settlements."""
    found: dict[bytes, dict[bytes, None]] = {}
    for one in accounts.line:
        for peer, artefact in one.emissions:
            found.setdefault(peer, {})[artefact] = None
    for epoch in accounts.epochs:
        for peer, artefact in epoch.document.emissions if epoch.document else ():
            found.setdefault(peer, {})[artefact] = None
    return {peer: tuple(names) for peer, names in found.items()}


def _against(
    peer: bytes,
    footprint: Footprint,
    names: tuple[bytes, ...],
    records: Mapping[bytes, EmissionRecord],
    findings: Iterable[Finding],
) -> str:
    """The first reason why this peer takes no part; empty where there is none."""
    if not footprint.earned:
        return "it earned nothing"
    if not names:
        return "no emission record of its own stands under a root"
    if any(name not in records or records[name].address != peer for name in names):
        return "an emission record that it named is gone, or is another's"
    implausible = sorted({f.code for f in findings if f.peer == peer and f.code.startswith(OURS)})
    if implausible:
        return f"its emission records do not hold ({', '.join(implausible)})"
    for record in (records[name] for name in names):
        weak = {record.labels.cpu_dyn, record.labels.idle} - COUNTED
        if weak:
            return f"its energy is {max(weak)}: no counter of the host stands behind it (round {record.round})"
        if record.factor.label is Label.ASSUMED:
            return f"its country is not given (round {record.round})"
    return ""


def _paid(tag: bytes, transactions: Iterable[ArchivedTransaction]) -> dict[bytes, int]:
    """What transfers of the federation's token that end with this tag have brought, by receiver."""
    paid: dict[bytes, int] = {}
    for one in transactions:
        ours = one.succeeded and (one.contract, one.function) == ("PeerageToken", "transfer")
        if ours and one.signed.data[TRANSFER_BYTES:] == tag:
            paid[one.arguments["to"]] = paid.get(one.arguments["to"], 0) + int(one.arguments["value"])
    return paid
