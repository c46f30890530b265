"""Puts a federation's contracts on a chain, gives every peer its stake, fills the vault; and checks what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from peerage_crypto.errors import ChainError, InputError
from peerage_ledger import rawtx
from peerage_ledger.contracts import NAMES, contract, revert_reason
from peerage_ledger.deployment import Deployment
from peerage_ledger.fees import fees
from peerage_ledger.rpc import Rpc, RpcError, connect
from peerage_ledger.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peerage_crypto.identity import Account

RECEIPT_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Sent:
    """One transaction of a deployment, for the gas account."""

    what: str
    hash: bytes
    gas_used: int
    block: int


class Deployer:
    """Sends transactions one after the other and waits for each; for set-up only, peers use the outbox."""

    def __init__(self, rpc: Rpc, account: Account, chain_id: int) -> None:
        self._rpc, self._account, self._chain_id = rpc, account, chain_id
        self._nonce = int(rpc.call("eth_getTransactionCount", "0x" + account.address.hex(), "latest"), 16)
        self.sent: list[Sent] = []

    def send_all(self, calls: Sequence[tuple[str, bytes | None, bytes]]) -> list[dict[str, Any]]:
        """Calls are (what, to, data); all leave before the first receipt is waited for. ChainError on a revert."""
        max_fee, tip = fees(self._rpc.call("eth_getBlockByNumber", "latest", False))
        names: list[str] = []
        for what, to, data in calls:
            raw = rawtx.sign(
                self._account,
                chain_id=self._chain_id,
                nonce=self._nonce,
                to=to,
                data=data,
                gas=self._gas(what, to, data),
                max_fee=max_fee,
                priority_fee=tip,
            )
            try:
                self._rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
            except RpcError as error:
                raise ChainError(f"{what}: {self._rpc.url} refused the transaction: {_reason(error)}") from None
            self._nonce += 1
            names.append("0x" + rawtx.transaction_hash(raw).hex())
        return [self._receipt(what, name) for (what, _, _), name in zip(calls, names, strict=True)]

    def _gas(self, what: str, to: bytes | None, data: bytes) -> int:
        call = {"from": "0x" + self._account.address.hex(), "data": "0x" + data.hex()}
        if to is not None:
            call["to"] = "0x" + to.hex()
        try:
            return int(self._rpc.call("eth_estimateGas", call), 16) * 5 // 4 + 10_000
        except RpcError as error:
            raise ChainError(f"{what}: {_reason(error)}") from None

    def _receipt(self, what: str, name: str) -> dict[str, Any]:
        receipt = wait_until(lambda: self._rpc.call("eth_getTransactionReceipt", name), RECEIPT_SECONDS)
        if receipt is None:
            raise ChainError(f"{what}: {self._rpc.url} mined no block for {RECEIPT_SECONDS:.0f} s")
        if int(receipt["status"], 16) != 1:
            raise ChainError(f"{what}: transaction {name} was reverted")
        gas, block = int(receipt["gasUsed"], 16), int(receipt["blockNumber"], 16)
        self.sent.append(Sent(what, bytes.fromhex(name[2:]), gas, block))
        return dict(receipt)


def deploy(
    rpc_url: str,
    account: Account,
    federation: bytes,
    *,
    chain_id: int = 31337,
    peers: Mapping[bytes, int] | None = None,
    pool: int = 0,
    min_stake: int = 10**18,
    supply: int = 10**27,
    unbonding_seconds: int = 3600,
    activation_delay: int = 0,
) -> tuple[Deployment, tuple[Sent, ...]]:
    """Four contracts; `peers` maps address -> tokens it gets (its stake), `pool` goes into the vault."""
    rpc = connect(rpc_url, chain_id)
    start_block = int(rpc.call("eth_blockNumber"), 16) + 1
    deployer = Deployer(rpc, account, chain_id)
    token = _create(deployer, "PeerageToken", account.address, supply)
    registry = _create(deployer, "PeerRegistry", token, min_stake, unbonding_seconds)
    ledger = _create(deployer, "RoundLedger", registry, federation)
    vault = _create(deployer, "RewardVault", token, registry, activation_delay)
    coin = contract("PeerageToken")
    calls: list[tuple[str, bytes | None, bytes]] = [
        (f"stake for 0x{peer.hex()}", token, coin.call("transfer", peer, amount))
        for peer, amount in (peers or {}).items()
    ]
    if pool:
        calls.append(("allowance of the vault", token, coin.call("approve", vault, pool)))
    deployer.send_all(calls)
    if pool:
        deployer.send_all([("filling the vault", vault, contract("RewardVault").call("fund", pool))])
    hashes = {name: contract(name).code_hash(contract(name).runtime) for name in NAMES}
    places = (token, registry, ledger, vault)
    made = Deployment(chain_id, rpc_url, federation, *places, start_block, min_stake, pool, hashes)
    verify_code(made, rpc)
    return made, tuple(deployer.sent)


def _create(deployer: Deployer, name: str, *arguments: object) -> bytes:
    (receipt,) = deployer.send_all([(f"deploying {name}", None, contract(name).creation(*arguments))])
    return bytes.fromhex(receipt["contractAddress"][2:])


def verify_code(deployment: Deployment, rpc: Rpc) -> None:
    """InputError unless every address holds exactly the code that we compiled, wired to the others."""
    addresses = deployment.addresses()
    codes = rpc.batch([("eth_getCode", ("0x" + address.hex(), "latest")) for address in addresses.values()])
    for (name, address), code in zip(addresses.items(), codes, strict=True):
        have = bytes.fromhex(code[2:])
        if not have:
            raise InputError(f"no contract at 0x{address.hex()} ({name}) on {rpc.url}; run `peerage deploy` there")
        if not contract(name).is_code(have):
            raise InputError(f"the contract at 0x{address.hex()} is not this version's {name}; check deployment.json")
    wiring = (
        ("PeerRegistry", "token", deployment.token),
        ("RoundLedger", "registry", deployment.registry),
        ("RoundLedger", "federation", deployment.federation),
        ("RewardVault", "token", deployment.token),
        ("RewardVault", "registry", deployment.registry),
    )
    calls = [(addresses[name], contract(name).call(view)) for name, view, _ in wiring]
    answers = rpc.batch([("eth_call", ({"to": "0x" + to.hex(), "data": "0x" + d.hex()}, "latest")) for to, d in calls])
    for (name, view, want), answer in zip(wiring, answers, strict=True):
        (have,) = contract(name).result(view, bytes.fromhex(answer[2:]))
        if have != want:
            raise InputError(f"{name} at 0x{addresses[name].hex()} belongs to another {view}; check deployment.json")


def _reason(error: RpcError) -> str:
    name, arguments = revert_reason(error.data)
    return f"{name}{arguments}" if name else error.message
