"""The chain of a run: a devnet or somebody's node, accounts with gas, the contracts, and a sentence when it falters."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec.structs import replace as replace_struct

from peerage.config import Federation
from peerage.config_toml import federation_hash
from peerage.footing import rule_of
from peerage.rundir import RunDir
from peerage_crypto.errors import InputError, Unreachable
from peerage_ledger import rawtx
from peerage_ledger.blueprint import DeployTerms
from peerage_ledger.deploy import deploy, verify_code
from peerage_ledger.deployment import Deployment
from peerage_ledger.devnets.devnet import Devnet, start
from peerage_ledger.fees import fees
from peerage_ledger.rpc import RpcError, connect
from peerage_ledger.waiting import wait_until

if TYPE_CHECKING:
    from peerage_crypto.identity import Account

GAS_MONEY = 10 * 10**18  # wei for each account of a devnet
SHARED_GAS_MONEY = 10**17  # where a real account pays it
TRANSFER_GAS = 21_000
FUNDING_SECONDS = 60.0


def open_chain(
    federation: Federation, run: RunDir, deployer: "Account", peers: Sequence[bytes], revive_seconds: float
) -> tuple[Devnet, Deployment]:
    """A chain with this federation's contracts on it; a resumed run finds its own again, on the port it had."""
    again = Deployment.read(run.deployment) if run.deployment.exists() else None
    local = "://" not in federation.ledger.engine
    devnet = start(
        federation.ledger.engine,
        run.devnet,
        chain_id=federation.ledger.chain_id,
        accounts=dict.fromkeys([deployer.address, *peers], GAS_MONEY),
        port=(urlsplit(again.rpc).port or 0) if again is not None and local else 0,
        revive_seconds=revive_seconds,
    )
    try:
        if again is not None:
            verify_code(again, connect(again.rpc, again.chain_id), rule_of(federation))
            return devnet, again
        if not local:
            share_gas_money(devnet.rpc_url, federation.ledger.chain_id, deployer, peers)
        stake = int(federation.rewards.min_stake)
        deployment, _ = deploy(
            devnet.rpc_url,
            deployer,
            federation_hash(federation),
            deploy_terms(federation),
            chain_id=federation.ledger.chain_id,
            peers=dict.fromkeys(peers, stake),
        )
        devnet.keep()
        deployment.write(run.deployment)
    except BaseException:
        devnet.stop()
        raise
    return devnet, deployment


def deploy_terms(federation: Federation) -> DeployTerms:
    """What the contracts are built with; a stake stays bound until disputes over it are over."""
    disputes = federation.ledger.activation_delay + federation.ledger.answer_seconds
    return DeployTerms(
        unbonding_seconds=max(DeployTerms().unbonding_seconds, 2 * disputes),
        activation_delay=federation.ledger.activation_delay,
        answer_seconds=federation.ledger.answer_seconds,
        bond=int(federation.ledger.bond),
        min_stake=int(federation.rewards.min_stake),
        pool=int(federation.rewards.pool),
        planned_rounds=federation.rounds,
        cap=federation.scores.cap,
        window=federation.scores.window,
    )


def share_gas_money(url: str, chain_id: int, deployer: "Account", peers: Sequence[bytes]) -> None:
    """Plain transfers from the deployer; it must hold enough itself."""
    rpc = connect(url, chain_id)
    sender = "0x" + deployer.address.hex()
    have = int(rpc.call("eth_getBalance", sender, "latest"), 16)
    needed = SHARED_GAS_MONEY * (len(peers) + 1)
    if have < needed:
        raise InputError(
            f"{sender} holds {have / 1e18:.3f} ETH on {url} and needs {needed / 1e18:.1f} for {len(peers)} peers: "
            "name a funded account with PEERAGE_KEYSTORE and PEERAGE_PASSWORD (`peerage devnet` prints one)"
        )
    max_fee, tip = fees(rpc.call("eth_getBlockByNumber", "latest", False))
    nonce = int(rpc.call("eth_getTransactionCount", sender, "latest"), 16)
    names: list[str] = []
    for offset, peer in enumerate(peers):
        raw = rawtx.sign(
            deployer,
            chain_id=chain_id,
            nonce=nonce + offset,
            to=peer,
            data=b"",
            gas=TRANSFER_GAS,
            max_fee=max_fee,
            priority_fee=tip,
            value=SHARED_GAS_MONEY,
        )
        try:
            rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        except RpcError as error:
            raise InputError(f"{url} refused to fund 0x{peer.hex()}: {error}") from None
        names.append("0x" + rawtx.transaction_hash(raw).hex())
    for name in names:
        if wait_until(partial(rpc.call, "eth_getTransactionReceipt", name), FUNDING_SECONDS) is None:
            raise Unreachable(f"{url} mined no block for {FUNDING_SECONDS:.0f} s while peers were funded")


class DevnetWatch:
    """Says once when the devnet falls and once when it is back; its own supervisor brings it back."""

    def __init__(self, devnet: Devnet) -> None:
        self._devnet, self._down, self._restarts = devnet, False, devnet.restarts

    def __call__(self) -> Sequence[str]:
        if self._devnet.engine == "url":
            return ()
        alive, restarts = self._devnet.alive(), self._devnet.restarts
        notes: list[str] = []
        if restarts > self._restarts:  # counted once it answers again
            notes.append(f"the {self._devnet.engine} devnet is back with its state")
            self._down, self._restarts = False, restarts
        elif not alive and not self._down:
            notes.append(f"the {self._devnet.engine} devnet is down: records wait in the outboxes, training goes on")
            self._down = True
        return notes


def engine_sentence(devnet: Devnet, wanted: str) -> str:
    why = {
        "anvil": "Anvil, the first choice",
        "ganache": "Ganache (Anvil was not found)",
        "embedded": "the embedded EVM (neither Anvil nor Ganache was found; both come with Node.js)",
    }
    chosen = why.get(devnet.engine, devnet.engine) if wanted == "auto" else devnet.engine
    return f"Ledger: {chosen} at {devnet.rpc_url}, chain id {devnet.chain_id}."


def with_engine(federation: Federation, engine: str) -> Federation:
    """A resumed run keeps the engine whose state lies in its folder."""
    if engine == "url":
        return federation
    return replace_struct(federation, ledger=replace_struct(federation.ledger, engine=engine))
