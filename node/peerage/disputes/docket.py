"""From an audit to what can be disputed, and to what no contract decides, with why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerage.config_toml import SETTINGS_HEAD, settings_artefact
from peerage_ledger.audit.pay import rule_of
from peerage_ledger.disputes.dispute import Decided, Dispute, Docket, Undecided
from peerage_ledger.disputes.finder import find_rounds
from peerage_ledger.disputes.pay_finder import find_pay
from peerage_ledger.disputes.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerage.audit.sources import Sources
    from peerage_ledger.audit.findings import Finding
    from peerage_ledger.audit.judge import Judgement
    from peerage_ledger.audit.terms import Terms

# a finding's code, or its first word -> why a chain cannot decide it
WHY: Final[dict[str, str]] = {
    "aggregate": "a quorum acknowledged this model; a chain does not merge models",
    "sum": "a chain does not add up masked vectors; the members that acknowledged it should have",
    "leaf": "a chain does not add up masked vectors",
    "direction": "a chain does not train models",
    "number": "a chain does not open numbers again",
    "fork": "two acknowledgements of two sessions are no contradiction that a contract knows",
    "equivocation": "its two signatures are not both here: a journal has digests only",
    "version": "versions are not in the record",
    "journal": "what a peer writes down for itself proves nothing to a chain",
    "unjournalled": "what a peer writes down for itself proves nothing to a chain",
    "store": "a file that was changed or is gone is nobody's proven fault",
    "artefact": "a file that is gone is nobody's proven fault",
    "vector": "a file that is gone is nobody's proven fault",
    "emission": "no contract knows energy",
    "chain": "the record of the chain is wrong, not the chain: read it from another node",
    "summary": "a summary is not on the chain",
    "model": "the file is not on the chain",
    "settlement": "the settlement's document is not on the chain, its steps are",
    "unrecorded": "what was not recorded cannot be voided; anybody may record it",
}


def docket_of(sources: Sources, judged: Judgement, terms: Terms) -> Docket:
    """What the finder looks through."""
    federation = judged.rounds.federation
    told = judged.rounds.by_record()
    merges = judged.plain.judged.keys() if judged.plain is not None else ()
    return Docket(
        deployment=sources.deployment,
        archive=sources.archive,
        store=sources.shelves.artefacts,
        shelf=Shelf.of(federation.domain, sources.shelves.artefacts),
        federation=federation,
        right=frozenset({*told, *merges}),
        told=told,
        rule=rule_of(terms),
        settings=settings_artefact(sources.federation).removeprefix(SETTINGS_HEAD),
        decided=Decided.from_events(happened.event for happened in sources.archive.events()),
    )


def find(docket: Docket) -> list[Dispute]:
    """Everything that the chain can still decide."""
    return [*find_rounds(docket), *find_pay(docket)]


def settled(findings: Sequence[Finding], disputes: Sequence[Dispute], docket: Docket) -> dict[Finding, str]:
    """The findings that a verdict of the chain was about, with what it said.

    A round's: every record of it that does not hold is void. A contradiction: its signer was convicted of it.
    """
    decided, accused = docket.decided, {peer for d in disputes if d.fault == "F1" for peer in d.accused}
    names: dict[int, list[bytes]] = {}
    for name, record in decided.records.items():
        if name not in docket.right:
            names.setdefault(record.round, []).append(name)
    rounds = {sid: sessions[0].opened.statement.round for sid, sessions in docket.shelf.sessions.items()}
    rounds |= {record.sid: record.round for record in decided.records.values()}
    convicted = {(peer, rounds.get(sid)) for peer, sid, fault in decided.convicted if fault == 1}
    found: dict[Finding, str] = {}
    for finding in findings:
        wrong = names.get(finding.round, []) if finding.round is not None else []
        if (
            finding.code == "equivocation"
            and finding.peer not in accused
            and (finding.peer, finding.round) in convicted
        ):
            found[finding] = "the chain convicted it"
        elif _of_record(finding.code) and wrong and all(decided.voided.get(name) for name in wrong):
            found[finding] = "the chain voided the record"
    return found


def _of_record(code: str) -> bool:
    """Whether a finding says that what is under a record does not hold."""
    return code in _OF_RECORDS or code.partition("-")[0] in _OF_EVIDENCE


def undecided(findings: Sequence[Finding], disputes: Sequence[Dispute], docket: Docket) -> list[Undecided]:
    """The findings that neither a dispute nor a verdict is about."""
    rounds = {d.round for d in disputes if d.record is not None}
    signers = {peer for d in disputes if d.fault in {"F1", "F10"} for peer in d.accused}
    paid = any(d.contract == "PayArbiter" for d in disputes) or bool(docket.decided.wrong)
    left, done = list[Undecided](), settled(findings, disputes, docket)
    for finding in findings:
        about_round = finding.round is not None and finding.round in rounds and _of_record(finding.code)
        about_signer = finding.code == "equivocation" and finding.peer in signers
        about_pay = finding.code in _OF_PAY and paid
        if not (about_round or about_signer or about_pay or finding in done):
            why = WHY.get(finding.code, WHY.get(finding.code.partition("-")[0], "no contract decides it"))
            left.append(Undecided(finding.code, finding.round, finding.peer, finding.sentence, why))
    return left


_OF_RECORDS: Final = frozenset(
    {"record", "transcript-missing", "transcript-malformed", "artefact-missing", "round-parent", "round-session"}
)
_OF_EVIDENCE: Final = frozenset({"session", "manifest", "ack", "screening", "opening"})
_OF_PAY: Final = frozenset({"settlement", "settlement-missing", "reward-root", "pay"})
