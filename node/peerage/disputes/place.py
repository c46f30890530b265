"""Where a run's chain is: still there, or a devnet that ended with its run and is woken for the dispute."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from peerage.config_toml import load_federation
from peerage.keys import DEPLOYER, account_file, load_keys, password_file, read_password
from peerage.rundir import RunDir, lock_run_dir
from peerage_crypto.errors import InputError, Unreachable
from peerage_ledger.archive.export import export_all
from peerage_ledger.deployment import Deployment
from peerage_ledger.devnets.devnet import start
from peerage_ledger.rpc import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from peerage_crypto.identity import Account
    from peerage_ledger.rpc import Rpc

    Heard = Callable[[str, int, int], None]


class RunChain:
    """The chain of a run directory; `rpc` None when it is gone, and only its archive is left."""

    def __init__(self, run: RunDir, deployment: Deployment, rpc: Rpc | None, *, own: bool) -> None:
        self.run, self.deployment, self.rpc, self._own = run, deployment, rpc, own

    def archive(self, heard: Heard) -> None:
        """Bring chain/chain.jsonl up to date; while the run goes on its launcher does that."""
        if self.rpc is not None and self._own:
            export_all(
                self.deployment, self.run.chain / "chain.jsonl", self.rpc.url, told=lambda n, of: heard("blocks", n, of)
            )


@contextmanager
def chain_of(run: RunDir, say: Callable[[str], None]) -> Generator[RunChain]:
    """Wakes the run's own devnet where its chain was one; it sleeps again afterwards, with what was decided."""
    deployment = Deployment.read(run.deployment)
    with ExitStack() as stack:
        own = _locked(run, stack)
        try:
            rpc: Rpc | None = connect(deployment.rpc, deployment.chain_id)
        except Unreachable:
            rpc = _woken(run, deployment, stack, say) if own else None
        yield RunChain(run, deployment, rpc, own=own)


def _locked(run: RunDir, stack: ExitStack) -> bool:
    """False while a launcher holds the folder, or where it is not ours to write."""
    with suppress(InputError, OSError):
        stack.enter_context(lock_run_dir(run))
        return True
    return False


def _woken(run: RunDir, deployment: Deployment, stack: ExitStack, say: Callable[[str], None]) -> Rpc | None:
    engine = load_federation(run.federation).ledger.engine
    if "://" in engine or not run.devnet.is_dir():
        return None
    say(f"The run's {engine} devnet is started again for this command.")
    port = urlsplit(deployment.rpc).port or 0
    stack.enter_context(start(engine, run.devnet, chain_id=deployment.chain_id, port=port))
    return connect(deployment.rpc, deployment.chain_id)


def deployer_of(run: RunDir) -> Account | None:
    """The account that paid for a run's contracts holds the tokens that a bond needs."""
    if not account_file(run.secrets, DEPLOYER).exists():
        return None
    return load_keys(run.secrets, DEPLOYER, read_password(password_file(run.secrets, DEPLOYER))).account
