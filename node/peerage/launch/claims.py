"""Paying out: the settlement behind the published root, found among the artefacts, and the claim for everybody."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from peerage.rounds.settlement import MAX_SETTLEMENT_BYTES, decode_settlement
from peerage.rundir import RunDir
from peerage_crypto.errors import InputError, Unreachable
from peerage_crypto.identity import Account
from peerage_ledger.chain import ChainLedger
from peerage_ledger.deployment import Deployment
from peerage_ledger.interface import Registration, VaultState
from peerage_ledger.rpc import connect

SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What the chain says of one account; amounts in smallest units."""

    registration: Registration | None
    rounds: int  # recorded by anybody
    vault: VaultState


def settled_totals(store: Path, root: bytes) -> dict[bytes, int]:
    """Cumulative pay by account behind a published root; InputError when no artefact here gives that root."""
    for path in store.iterdir():
        if not path.is_file() or path.stat().st_size > MAX_SETTLEMENT_BYTES:
            continue
        try:
            document = decode_settlement(path.read_bytes())
            if document.reward_root().root == root:
                return {due.account: int(due.cumulative) for due in document.dues}
        except ValueError:
            continue  # another kind of artefact
    raise InputError(f"no artefact in {store} is the settlement behind the published root {root.hex()[:16]}")


def claim_for_all(run: RunDir, account: Account, rpc: str) -> dict[bytes, int]:
    """Claims what is due to everybody, paid for by `account`; returns what each has had in all. Idempotent."""
    deployment = Deployment.read(run.deployment)
    with tempfile.TemporaryDirectory() as folder:
        ledger = _ledger(deployment, account, Path(folder) / "outbox.jsonl", rpc)
        try:
            published = ledger.vault_state().published
            if published is None:
                raise InputError("no reward root is published on this chain yet: nothing can be claimed")
            due = settled_totals(run.store, published.root)
            ledger.claim_many(due)
            if not ledger.settle(SETTLE_SECONDS):
                raise Unreachable(f"the claims were not confirmed within {SETTLE_SECONDS:.0f} s: try again")
            return dict(ledger.vault_state().claimed)
        finally:
            ledger.close()


def standing(deployment: Deployment, address: bytes, rpc: str) -> Standing:
    """Reads only; the account that looks is made up."""
    with tempfile.TemporaryDirectory() as folder:
        nobody = Account.from_secret(b"\x01" * 32)
        ledger = _ledger(deployment, nobody, Path(folder) / "outbox.jsonl", rpc)
        try:
            mine = next((r for r in ledger.registrations() if r.address == address), None)
            return Standing(mine, len(ledger.records()), ledger.vault_state())
        finally:
            ledger.close()


def _ledger(deployment: Deployment, account: Account, outbox: Path, rpc: str) -> ChainLedger:
    connect(rpc or deployment.rpc, deployment.chain_id)  # a peer waits for a node that is down; a person wants to know
    return ChainLedger(deployment, account, outbox, rpc_url=rpc)
