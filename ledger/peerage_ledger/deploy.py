"""Puts a federation's contracts on a chain, gives every peer its stake, fills the vault; and checks what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from peerage_crypto.errors import ChainError, InputError
from peerage_ledger import rawtx
from peerage_ledger.blueprint import NOBODY, DeployTerms, Plan, plan
from peerage_ledger.contracts import contract, revert_reason
from peerage_ledger.deployment import Deployment
from peerage_ledger.fees import fees
from peerage_ledger.rpc import Rpc, RpcError, connect
from peerage_ledger.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peerage_crypto.identity import Account
    from peerage_ledger.rewards import Rule

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
        self.nonce = int(rpc.call("eth_getTransactionCount", "0x" + account.address.hex(), "latest"), 16)
        self.sent: list[Sent] = []

    def send_all(self, calls: Sequence[tuple[str, bytes | None, bytes]]) -> list[dict[str, Any]]:
        """Calls are (what, to, data); all leave before the first receipt is waited for. ChainError on a revert."""
        max_fee, tip = fees(self._rpc.call("eth_getBlockByNumber", "latest", False))
        names: list[str] = []
        for what, to, data in calls:
            raw = rawtx.sign(
                self._account,
                chain_id=self._chain_id,
                nonce=self.nonce,
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
            self.nonce += 1
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
    terms: DeployTerms | None = None,
    *,
    chain_id: int = 31337,
    peers: Mapping[bytes, int] | None = None,
) -> tuple[Deployment, tuple[Sent, ...]]:
    """A federation's contracts; `peers` maps address -> tokens it gets (its stake), the pool goes into the vault.

    The account must send nothing else meanwhile: the contracts know one another by its nonces. ChainError if it did.
    """
    terms = terms or DeployTerms()
    rpc = connect(rpc_url, chain_id)
    start_block = int(rpc.call("eth_blockNumber"), 16) + 1
    deployer = Deployer(rpc, account, chain_id)
    planned = plan(account.address, deployer.nonce, federation, terms)
    names = planned.names()
    for name in names:
        _create(deployer, planned, name)
    token, vault, coin = planned.at["PeerageToken"], planned.at["RewardVault"], contract("PeerageToken")
    calls: list[tuple[str, bytes | None, bytes]] = [
        (f"stake for 0x{peer.hex()}", token, coin.call("transfer", peer, amount))
        for peer, amount in (peers or {}).items()
    ]
    if terms.pool:
        calls.append(("allowance of the vault", token, coin.call("approve", vault, terms.pool)))
    deployer.send_all(calls)
    if terms.pool:
        deployer.send_all([("filling the vault", vault, contract("RewardVault").call("fund", terms.pool))])
    made = Deployment(
        chain_id=chain_id,
        rpc=rpc_url,
        federation=federation,
        places={name: planned.at[name] for name in names},
        start_block=start_block,
        min_stake=terms.min_stake,
        pool=terms.pool,
        code_hashes={name: contract(name).code_hash(contract(name).runtime) for name in names},
    )
    verify_code(made, rpc)
    return made, tuple(deployer.sent)


def _create(deployer: Deployer, planned: Plan, name: str) -> None:
    data = contract(name).creation(*planned.arguments(name))
    (receipt,) = deployer.send_all([(f"deploying {name}", None, data)])
    have = bytes.fromhex(receipt["contractAddress"][2:])
    if have != planned.at[name]:
        raise ChainError(
            f"deploying {name}: it stands at 0x{have.hex()}, the others expect it at 0x{planned.at[name].hex()}: "
            "the account sent something else meanwhile; deploy again with an account of its own"
        )


def verify_code(deployment: Deployment, rpc: Rpc, pay: Rule | None = None) -> None:
    """InputError unless every address holds exactly the code that we compiled, wired to the others, and no arbiter can
    take a stake for what an honest peer does. `pay`: the rule that the settings declare, where they are known.
    """
    addresses = deployment.addresses()
    codes = rpc.batch([("eth_getCode", ("0x" + address.hex(), "latest")) for address in addresses.values()])
    for (name, address), code in zip(addresses.items(), codes, strict=True):
        have = bytes.fromhex(code[2:])
        if not have:
            raise InputError(f"no contract at 0x{address.hex()} ({name}) on {rpc.url}; run `peerage deploy` there")
        if not contract(name).is_code(have):
            raise InputError(f"the contract at 0x{address.hex()} is not this version's {name}; check deployment.json")
    wiring = _wiring(deployment)
    answers = _views(rpc, [(name, addresses[name], view) for name, view, _ in wiring])
    for (name, view, want), have in zip(wiring, answers, strict=True):
        if have != want:
            raise InputError(f"{name} at 0x{addresses[name].hex()} belongs to another {view}; check deployment.json")
    _verify_judge(deployment, rpc)
    _verify_terms(deployment, rpc, pay)


def _verify_judge(d: Deployment, rpc: Rpc) -> None:
    """The round arbiter makes its judge while it is made itself, so its own code does not say whose that is."""
    (judge,) = _views(rpc, [("RoundArbiter", d.round_arbiter, "drawJudge")])
    code = bytes.fromhex(rpc.call("eth_getCode", "0x" + judge.hex(), "latest")[2:])
    right = contract("DrawJudge").is_code(code)
    if not right or _views(rpc, [("DrawJudge", judge, v) for v in ("registry", "ledger")]) != [d.registry, d.ledger]:
        raise InputError(
            f"RoundArbiter at 0x{d.round_arbiter.hex()} asks a judge of draws at 0x{judge.hex()} that is not this "
            "version's: take no part in that deployment"
        )


def _verify_terms(d: Deployment, rpc: Rpc, pay: Rule | None) -> None:
    unbonding, answer, activation, terms = _views(
        rpc,
        [
            ("PeerRegistry", d.registry, "unbondingSeconds"),
            ("RoundArbiter", d.round_arbiter, "answerSeconds"),
            ("RewardVault", d.vault, "activationDelay"),
            ("PayArbiter", d.pay_arbiter, "terms"),
        ],
    )
    if unbonding < answer + activation:
        raise InputError(
            f"PeerRegistry at 0x{d.registry.hex()} frees a stake after {unbonding} s, before a dispute over it ends "
            f"({activation} s + {answer} s): take no part in that deployment"
        )
    if pay is not None and tuple(terms) != (pay.pool, pay.planned, pay.cap, pay.window):
        raise InputError(
            f"PayArbiter at 0x{d.pay_arbiter.hex()} computes pay by other terms than the settings, and would take the "
            "stakes of all who sign what the settings give: take no part in that deployment"
        )


def _views(rpc: Rpc, asked: Sequence[tuple[str, bytes, str]]) -> list[Any]:
    """What views without arguments answer: (contract, address, view)."""
    calls = [("0x" + at.hex(), "0x" + contract(name).call(view).hex()) for name, at, view in asked]
    answers = rpc.batch([("eth_call", ({"to": to, "data": data}, "latest")) for to, data in calls])
    given = zip(asked, answers, strict=True)
    return [contract(name).result(view, bytes.fromhex(answer[2:]))[0] for (name, _, view), answer in given]


def _wiring(d: Deployment) -> list[tuple[str, str, object]]:
    """(contract, view, what it must answer). A contract that is not deployed must not be asked for."""
    admission = d.places.get("MemberAdmission")
    wiring: list[tuple[str, str, object]] = [
        ("PeerRegistry", "token", d.token),
        ("PeerRegistry", "vault", d.vault),
        ("PeerRegistry", "admission", admission or NOBODY),
        ("RoundLedger", "registry", d.registry),
        ("RoundLedger", "federation", d.federation),
        ("RewardVault", "token", d.token),
        ("RewardVault", "registry", d.registry),
        ("RewardVault", "payArbiter", d.pay_arbiter),
        ("ModelMarket", "registry", d.registry),
        ("ModelMarket", "ledger", d.ledger),
        ("ModelMarket", "vault", d.vault),
        ("ModelMarket", "token", d.token),
        ("ModelWatch", "registry", d.registry),
        ("ModelWatch", "ledger", d.ledger),
    ]
    if admission is not None:
        wiring.append(("MemberAdmission", "registry", d.registry))
    wiring += [
        ("PeerRegistry", "arbiters", (d.round_arbiter, d.pay_arbiter)),
        ("RoundArbiter", "registry", d.registry),
        ("RoundArbiter", "ledger", d.ledger),
        ("RoundArbiter", "vault", d.vault),
        ("RoundArbiter", "token", d.token),
        ("PayArbiter", "registry", d.registry),
        ("PayArbiter", "ledger", d.ledger),
        ("PayArbiter", "vault", d.vault),
        ("PayArbiter", "roundArbiter", d.round_arbiter),
    ]
    return wiring


def _reason(error: RpcError) -> str:
    name, arguments = revert_reason(error.data)
    return f"{name}{arguments}" if name else error.message
