"""PayArbiter in Python: the disputed step is executed again, by the rule that the peers pay by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from peerage_crypto.digest import claim_root, merkle_root
from peerage_ledger.audit.registry import Reverted
from peerage_ledger.disputes import shown
from peerage_ledger.disputes.shown import need
from peerage_ledger.events import ContractEvent, PublicationProvenWrong, RootTakenBack, SignerConvicted
from peerage_ledger.records import RewardRoot, Steps, unpacked
from peerage_ledger.rewards import Earner, PayState, RoundScores, Rule, step
from peerage_ledger.transcript import read_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from peerage_ledger.audit.contracts import Vault
    from peerage_ledger.audit.court import RoundCourt
    from peerage_ledger.records import RoundRecord

FIFTH: Final = 2_000
NO_FAULT, WRONG_STEP, WRONG_ROOT, WRONG_TOTAL = 0, 6, 7, 8
NOTHING = bytes(32)


@dataclass(frozen=True, slots=True)
class Case:
    """A publication that can be disputed: what was signed, where its steps start, whether it can be taken back."""

    root: RewardRoot
    records: tuple[bytes, ...]
    states: tuple[bytes, ...]
    digest: bytes
    start: bytes
    pending: bool


@dataclass
class PayCourt:
    """PayArbiter's state."""

    address: bytes
    vault: Vault
    rounds: RoundCourt
    rule: Rule
    starts: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    wrong: set[bytes] = field(default_factory=set[bytes])
    convicted: set[tuple[bytes, bytes]] = field(default_factory=set[tuple[bytes, bytes]])

    def call(self, sender: bytes, name: str, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        act = _CALLS.get(name)
        if act is None:
            return []
        try:
            return act(self, sender, v, now)
        except (ValueError, IndexError, OverflowError) as error:  # arguments that show nothing
            raise Reverted(str(error)) from None

    def case(self, told: Sequence[Any], now: int) -> Case:
        """NotShown unless it is the root that waits, or one that was taken back."""
        epoch, root, total, emissions, records, states = told
        need(len(records) == len(states), "ListsDiffer")
        signed = RewardRoot(epoch, root, total, emissions, Steps(tuple(records), tuple(states)).digest())
        digest = signed.digest(self.vault.chain_id, self.vault.address)
        last = self.vault.published.digest(self.vault.chain_id, self.vault.address)
        pending = digest == last and now < self.vault.active_at
        need(pending or digest in self.vault.voided, "NotDisputable")
        start = self.vault.state_before if pending else self.starts.get(digest, NOTHING)
        if start == NOTHING:
            start = PayState(0, self.rounds.rounds.federation).digest()
        return Case(signed, tuple(records), tuple(states), digest, start, pending)

    def condemn(self, case: Case, fault: int, sender: bytes, signatures: bytes, now: int) -> list[ContractEvent]:
        events = self.take_back(case, fault, sender, now) if case.pending else []
        if case.digest not in self.wrong:
            self.wrong.add(case.digest)
            events.append(PublicationProvenWrong(case.digest, sender, fault))
        return events + self.convict(case.digest, signatures, sender, now)

    def take_back(self, case: Case, fault: int, sender: bytes, now: int) -> list[ContractEvent]:
        self.starts[case.digest] = case.start
        voided = self.vault.void_root(self.address, case.root.epoch, now)
        return [RootTakenBack(case.root.epoch, case.digest, sender, fault), *voided]

    def convict(self, digest: bytes, signatures: bytes, sender: bytes, now: int) -> list[ContractEvent]:
        events: list[ContractEvent] = []
        for signer in signers(digest, signatures):
            if (digest, signer) in self.convicted:
                continue
            self.convicted.add((digest, signer))
            events.append(SignerConvicted(digest, signer, sender))
            events += self.vault.registry.slash(self.address, signer, FIFTH, sender, now)[1]
        return events


def signers(digest: bytes, signatures: bytes) -> list[bytes]:
    """Whose they are; NotShown when one is none."""
    return [shown.signer(digest, signature) for signature in unpacked(signatures)]


def state_of(told: Sequence[Any]) -> PayState:
    """A decoded PayRule.State."""
    rounds, record, earners = told
    return PayState(rounds, record, tuple(Earner(shown.account(a), paid, tuple(values)) for a, paid, values in earners))


def after(before: PayState, record: RoundRecord, table: Mapping[bytes, bytes], rule: Rule) -> PayState:
    """The state that a record's score table leads to."""
    numbers, exponent = read_scores(table, record.members)
    return step(before, RoundScores(record.round, numbers, exponent, record.record_hash()), rule)


def _check_state(case: Case, at: int, state: PayState) -> None:
    need(at <= len(case.states), "NoSuchStep")
    need(state.digest() == (case.start if at == 0 else case.states[at - 1]), "NotThisState")


def _record_at(case: Case, at: int, told: Sequence[Any]) -> RoundRecord:
    record = shown.record(told)
    need(record.record_hash() == case.records[at], "NotThisRecord")
    return record


def _wrong_step(c: PayCourt, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    case, at, before = c.case(v["publication"], now), v["step"], state_of(v["before"])
    _check_state(case, at, before)
    record, accounts, leaves = _record_at(case, at, v["round"]), v["accounts"], v["leaves"]
    signers(case.digest, v["signatures"])  # before anything changes
    if record.round == before.rounds + 1 and tuple(record.parents) == (before.record,):
        need(len(accounts) == len(leaves), "NotTheScores")
        root = merkle_root([a + leaf for a, leaf in zip(accounts, leaves, strict=True)])
        need(root == record.score_root, "NotTheScores")
        legal = list(accounts) == sorted(set(accounts))
        paid = after(before, record, dict(zip(accounts, leaves, strict=True)) if legal else {}, c.rule)
        skipped = after(before, record, {}, c.rule)
        unpaid = skipped.digest() == case.states[at] and case.records[at] in c.rounds.voided
        need(not unpaid and paid.digest() != case.states[at], "HonestStep")
    return c.condemn(case, WRONG_STEP, sender, v["signatures"], now)


def _wrong_line(c: PayCourt, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    case, at = c.case(v["publication"], now), v["step"]
    record = _record_at(case, at, v["round"])
    signers(case.digest, v["signatures"])
    need(at > 0 and tuple(record.parents) != (case.records[at - 1],), "HonestStep")
    return c.condemn(case, WRONG_STEP, sender, v["signatures"], now)


def _wrong_root(c: PayCourt, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    case, last = c.case(v["publication"], now), state_of(v["last"])
    _check_state(case, len(case.states), last)
    signers(case.digest, v["signatures"])
    due = last.totals()
    root, total = claim_root(due), sum(due.values())
    need((root, total) != (case.root.root, case.root.total), "HonestRoot")
    fault = WRONG_TOTAL if total != case.root.total else WRONG_ROOT
    return c.condemn(case, fault, sender, v["signatures"], now)


def _voided_paid(c: PayCourt, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    case, at, before = c.case(v["publication"], now), v["step"], state_of(v["before"])
    need(case.pending, "NotDisputable")
    need(case.records[at] in c.rounds.voided, "NotVoided")
    _check_state(case, at, before)
    skipped = step(before, RoundScores(0, {}, 0, case.records[at]), c.rule)
    need(skipped.digest() != case.states[at], "HonestStep")
    return c.take_back(case, NO_FAULT, sender, now)


def _convict(c: PayCourt, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
    need(v["digest"] in c.wrong, "NotProvenWrong")
    signers(v["digest"], v["signatures"])
    return c.convict(v["digest"], v["signatures"], sender, now)


_CALLS: Final[Mapping[str, Callable[[PayCourt, bytes, Mapping[str, Any], int], list[ContractEvent]]]] = {
    "proveWrongStep": _wrong_step,
    "proveWrongLine": _wrong_line,
    "proveWrongRoot": _wrong_root,
    "proveVoidedPaid": _voided_paid,
    "convict": _convict,
}
