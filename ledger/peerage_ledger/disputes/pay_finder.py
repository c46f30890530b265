"""Wrong pay: every published step is computed again, and the first that differs is what the pay arbiter is shown. Pure.

What nobody disputed before it could be claimed stands; what follows it cannot be computed from a state that is known,
and is not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peerage_crypto.digest import claim_root
from peerage_ledger.audit.pay_court import after, signers
from peerage_ledger.disputes.dispute import Dispute
from peerage_ledger.disputes.forest import score_rows
from peerage_ledger.disputes.shown import NotShown
from peerage_ledger.disputes.tables import disordered
from peerage_ledger.events import RootVoided
from peerage_ledger.records import RewardRoot, Steps
from peerage_ledger.rewards import PayState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peerage_ledger.archive.reader import ArchivedTransaction
    from peerage_ledger.disputes.dispute import Docket
    from peerage_ledger.records import RoundRecord

ARBITER = "PayArbiter"


@dataclass(frozen=True, slots=True)
class Published:
    """One call of `publish` that was taken."""

    epoch: int
    root: bytes
    total: int
    emission_root: bytes
    records: tuple[bytes, ...]
    states: tuple[bytes, ...]
    signatures: bytes
    digest: bytes
    signed_by: tuple[bytes, ...]

    @property
    def told(self) -> tuple[Any, ...]:
        """As IPayArbiter.Publication."""
        return (self.epoch, self.root, self.total, self.emission_root, list(self.records), list(self.states))


def find_pay(docket: Docket) -> list[Dispute]:
    """F6, F7, F8 and voided rounds that are paid."""
    found: list[Dispute] = []
    state: PayState | None = PayState(0, docket.deployment.federation)
    digests = {e.event.digest for e in docket.archive.events() if isinstance(e.event, RootVoided)}
    for told in _published(docket):
        if state is None:
            break
        disputes, end = _examine(docket, told, state)
        for dispute in disputes:
            left = [s for s in told.signed_by if (told.digest, s) not in docket.decided.signers]
            if told.digest in docket.decided.wrong and left:
                found.append(_convict(told, tuple(left)))
            elif told.digest not in docket.decided.wrong and (told.digest not in digests or dispute.accused):
                found.append(dispute)
        if told.digest not in digests:  # a voided root's steps start nothing
            state = end
    return found


def _published(docket: Docket) -> Iterator[Published]:
    place = docket.deployment
    for tx in docket.archive.transactions:
        if tx.succeeded and (tx.contract, tx.function) == ("RewardVault", "publish"):
            yield _read(tx, place.chain_id, place.vault)


def _read(tx: ArchivedTransaction, chain_id: int, vault: bytes) -> Published:
    v = tx.arguments
    records, states = tuple(v["records"]), tuple(v["states"])
    signed = RewardRoot(v["epoch"], v["root"], v["total"], v["emissionRoot"], Steps(records, states).digest())
    digest = signed.digest(chain_id, vault)
    try:
        by = tuple(signers(digest, v["signatures"]))
    except NotShown:
        by = ()
    return Published(v["epoch"], v["root"], v["total"], v["emissionRoot"], records, states, v["signatures"], digest, by)


def _examine(docket: Docket, told: Published, state: PayState) -> tuple[list[Dispute], PayState | None]:
    """The first thing that is wrong, what is paid and void before it, and the state that it leads to; None: unknown."""
    found: list[Dispute] = []
    for at, name in enumerate(told.records):
        record = docket.decided.records.get(name)
        if record is None:
            return [*found, *_broken_line(docket, told, at)], None
        dispute, after_it = _step(docket, told, at, record, state)
        found += [] if dispute is None else [dispute]
        if after_it is None:
            return found, None
        state = after_it
    due = state.totals()
    if (claim_root(due), sum(due.values())) == (told.root, told.total):
        return found, state
    total = sum(due.values())
    fault, what = (
        ("F8", f"pay {told.total} in all where the last state gives {total}")
        if told.total != total
        else (
            "F7",
            "have a claim tree that is not that of the last state",
        )
    )
    call = (told.told, _tuple(state), told.signatures)
    sentence = f"epoch {told.epoch}: what a quorum signed would {what}"
    return [*found, _wrong(told, fault, "proveWrongRoot", call, None, sentence)], None


def _step(
    docket: Docket, told: Published, at: int, record: RoundRecord, state: PayState
) -> tuple[Dispute | None, PayState | None]:
    where = f"epoch {told.epoch}, round {record.round}"
    if record.parents != (state.record,) or record.round != state.rounds + 1:
        call: tuple[Any, ...] = (told.told, at, _tuple(state), record.as_tuple(), [], [], told.signatures)
        what = f"{where}: the record that is paid does not follow from the one before it"
        return _wrong(told, "F6", "proveWrongStep", call, record, what), None
    skipped, signed = after(state, record, {}, docket.rule), told.states[at]
    void = bool(docket.decided.voided.get(told.records[at]))
    if void and signed == skipped.digest():
        return None, skipped
    rows = score_rows(docket.shelf, record)
    if rows is None:
        return None, None  # its scores are not here: the record can be asked about
    paid = after(state, record, dict(rows) if disordered(rows) is None else {}, docket.rule)
    if signed != paid.digest():
        accounts, leaves = [account for account, _ in rows], [leaf for _, leaf in rows]
        call = (told.told, at, _tuple(state), record.as_tuple(), accounts, leaves, told.signatures)
        what = f"{where}: a quorum signed another pay than the scores on the ledger give"
        return _wrong(told, "F6", "proveWrongStep", call, record, what), None
    if not void:
        return None, paid
    call = (told.told, at, _tuple(state))
    what = f"{where}: a round is paid that was proven false; nobody is blamed"
    return Dispute("F8", record.round, told.records[at], (), ARBITER, "proveVoidedPaid", call, what, takes=0), paid


def _broken_line(docket: Docket, told: Published, unknown: int) -> list[Dispute]:
    """A record that was never recorded is paid: the first known one behind it does not stand on what is said."""
    for at in range(unknown + 1, len(told.records)):
        record = docket.decided.records.get(told.records[at])
        if record is not None and record.parents != (told.records[at - 1],):
            call = (told.told, at, record.as_tuple(), told.signatures)
            what = f"epoch {told.epoch}: round {record.round} does not stand on the record that is paid before it"
            return [_wrong(told, "F6", "proveWrongLine", call, record, what)]
    return []


def _wrong(
    told: Published, fault: str, function: str, call: tuple[Any, ...], record: RoundRecord | None, sentence: str
) -> Dispute:
    round_, name = (None, None) if record is None else (record.round, record.record_hash())
    return Dispute(fault, round_, name, told.signed_by, ARBITER, function, call, sentence)


def _convict(told: Published, left: tuple[bytes, ...]) -> Dispute:
    sentence = f"epoch {told.epoch}: proven wrong, and {len(left)} of its signers have not been convicted yet"
    return Dispute("F6", None, None, left, ARBITER, "convict", (told.digest, told.signatures), sentence)


def _tuple(state: PayState) -> tuple[Any, ...]:
    """As PayRule.State."""
    return (state.rounds, state.record, [(e.account, e.cumulative, list(e.values)) for e in state.earners])
