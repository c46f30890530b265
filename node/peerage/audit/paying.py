"""Pays a green bonus: one transfer of the token to each peer, with the tag behind it by which everybody knows it again.

What is paid already is read from the chain's own record, so a batch that was cut short is finished by the next call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.audit.bonus import OURS
from peerage.audit.cache import beside
from peerage.audit.run import Manner, audit
from peerage.disputes.place import chain_of, deployer_of
from peerage.rundir import RunDir
from peerage_crypto.errors import ChainError, InputError, Unreachable
from peerage_ledger.contracts import contract
from peerage_ledger.deploy import Deployer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from peerage.audit.bonus import Reckoning
    from peerage.audit.words import AuditReport
    from peerage_crypto.identity import Account
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.rpc import Rpc

    Heard = Callable[[str, int, int], None]


def bonus_run(
    run_dir: Path, *, pay: bool, account: Account | None, heard: Heard, say: Callable[[str], None]
) -> AuditReport:
    """The audit of a run directory with its bonus; with `pay`, after what is owed has been sent and read again."""
    run, manner = RunDir(run_dir), Manner(cache=beside(run_dir.resolve()), heard=heard)
    with chain_of(run, say) as chain:
        chain.archive(heard)
        report = audit(run_dir, manner)
        if report.bonus is None:
            raise InputError("this federation has no green bonus: rewards.green_bonus is 0 in its settings")
        if not pay:
            return report
        if chain.rpc is None:
            raise Unreachable(f"nothing can be paid: the chain at {chain.deployment.rpc} does not answer")
        funder = account or deployer_of(run)
        if funder is None:
            raise InputError("who pays? Name a keystore with --keystore: this run directory has no deployer's")
        check_payable(report)
        if send_owed(report.bonus, chain.rpc, chain.deployment, funder):
            chain.archive(heard)
            report = audit(run_dir, manner)
        return report


def check_payable(report: AuditReport) -> None:
    """InputError while the amounts may still change, and where what they follow from does not hold."""
    other = sorted({finding.code for finding in report.findings if not finding.code.startswith(OURS)})
    if other:
        raise InputError(f"nothing is paid on a run that does not hold ({', '.join(other)}): see peerage audit")
    if report.bonus is None or not report.bonus.final:
        raise InputError("nothing is paid yet: the bonus is final when every planned round's pay is settled")


def send_owed(bonus: Reckoning, rpc: Rpc, deployment: Deployment, funder: Account) -> int:
    """How many transfers were sent. ChainError when the funder holds too little: then none leaves."""
    token, coin = deployment.places["PeerageToken"], contract("PeerageToken")
    owed = bonus.owed
    (have,) = coin.result("balanceOf", _ask(rpc, token, coin.call("balanceOf", funder.address)))
    if have < sum(owed.values()):
        raise ChainError(f"the bonus takes {sum(owed.values())}, 0x{funder.address.hex()} holds {have}: fund it first")
    calls = [
        (f"bonus of 0x{peer.hex()}", token, coin.call("transfer", peer, due) + bonus.tag) for peer, due in owed.items()
    ]
    if calls:
        Deployer(rpc, funder, deployment.chain_id).send_all(calls)
    return len(calls)


def _ask(rpc: Rpc, to: bytes, data: bytes) -> bytes:
    return bytes.fromhex(rpc.call("eth_call", {"to": "0x" + to.hex(), "data": "0x" + data.hex()}, "latest")[2:])
