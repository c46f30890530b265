"""A chain with arbiters on it, for whoever files: what a call would do, sending it, and what was decided by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from peerage_crypto.errors import InputError
from peerage_ledger import events
from peerage_ledger.contracts import BadEncoding, contract, revert_reason
from peerage_ledger.deploy import Deployer
from peerage_ledger.rpc import RpcError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerage_crypto.identity import Account
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.disputes.dispute import Dispute
    from peerage_ledger.events import ContractEvent
    from peerage_ledger.rpc import Rpc

ANYBODY: Final = bytes(19) + b"\x01"  # asks where no keystore was given; it holds nothing
DECIDED: Final = frozenset({"AlreadyDecided", "AlreadyAsked", "NotOpen"})
LATE: Final = frozenset({"NotDisputable", "NotPending"})
UNPAID: Final = frozenset({"ERC20InsufficientAllowance", "ERC20InsufficientBalance"})


@dataclass(frozen=True, slots=True)
class Prospect:
    """What the chain would say to a call now: `refusal` is the contract's error, empty when it would be taken.

    `gas` is the node's estimate, 0 where it has none (a bond that is not allowed yet).
    """

    refusal: str
    gas: int = 0

    @property
    def open(self) -> bool:
        return not self.refusal or self.refusal in UNPAID

    @property
    def state(self) -> str:
        """open, filed, decided, late or refused."""
        if self.refusal == "filed":
            return "filed"
        if self.open:
            return "open"
        return "decided" if self.refusal in DECIDED else "late" if self.refusal in LATE else "refused"


class Court:
    """`account` None: looks only."""

    def __init__(self, rpc: Rpc, deployment: Deployment, account: Account | None) -> None:
        self.rpc, self.deployment, self.account = rpc, deployment, account
        self._places = {place: name for name, place in deployment.addresses().items()}
        self._sender = ANYBODY if account is None else account.address

    def ask(self, name: str, function: str, *arguments: object) -> tuple[Any, ...]:
        """A view, now."""
        data = contract(name).call(function, *arguments)
        answer = self.rpc.call("eth_call", self._query(name, data), "latest")
        return contract(name).result(function, bytes.fromhex(answer[2:]))

    def stake(self, peer: bytes) -> int:
        return int(self.ask("PeerRegistry", "peerOf", peer)[1])

    def prospect(self, name: str, data: bytes) -> Prospect:
        """Nothing is sent."""
        try:
            self._would(name, data)
        except RpcError as error:
            refusal, _ = revert_reason(error.data)
            return Prospect(refusal or error.message)
        try:
            gas = int(self.rpc.call("eth_estimateGas", self._query(name, data)), 16)
        except RpcError:
            gas = 0
        return Prospect("", gas)

    def _would(self, name: str, data: bytes) -> None:
        """As of the newest block; where the time matters, as of the next one."""
        query = self._query(name, data)
        try:
            self.rpc.call("eth_call", query, "latest")
        except RpcError:
            self.rpc.call("eth_call", query, "pending")

    def _query(self, name: str, data: bytes) -> dict[str, str]:
        place = self.deployment.addresses()[name]
        return {"from": "0x" + self._sender.hex(), "to": "0x" + place.hex(), "data": "0x" + data.hex()}

    # sending

    def lacks_allowance(self) -> bool:
        """Whether the bond must be allowed first. InputError where the account does not hold it."""
        bond = int(self.ask("RoundArbiter", "bond")[0])
        held = int(self.ask("PeerageToken", "balanceOf", self._sender)[0])
        if held < bond:
            raise InputError(
                f"0x{self._sender.hex()} holds {held} of the token's smallest units and the bond is {bond}: "
                "name a --keystore of an account that holds it"
            )
        arbiter = self.deployment.round_arbiter
        return int(self.ask("PeerageToken", "allowance", self._sender, arbiter)[0]) < bond

    def allow_bond(self) -> None:
        bond = int(self.ask("RoundArbiter", "bond")[0])
        data = contract("PeerageToken").call("approve", self.deployment.round_arbiter, bond)
        self.send("PeerageToken", "approve", data)

    def file(self, dispute: Dispute) -> list[ContractEvent]:
        """The events of the call. ChainError when it is refused after all."""
        return self.send(dispute.contract, dispute.function, dispute.data)

    def send(self, name: str, function: str, data: bytes) -> list[ContractEvent]:
        if self.account is None:
            raise InputError("nothing can be sent without an account: give --keystore and --password-file")
        self._can_pay(name, data)
        deployer = Deployer(self.rpc, self.account, self.deployment.chain_id)
        (receipt,) = deployer.send_all([(function, self.deployment.addresses()[name], data)])
        return self._decode(receipt["logs"])

    def _can_pay(self, name: str, data: bytes) -> None:
        """InputError where the account has too little ether for what the node estimates."""
        held = int(self.rpc.call("eth_getBalance", "0x" + self._sender.hex(), "latest"), 16)
        try:
            gas = int(self.rpc.call("eth_estimateGas", self._query(name, data)), 16)
        except RpcError:
            gas = 1
        if held < gas * int(self.rpc.call("eth_gasPrice"), 16):
            raise InputError(
                f"0x{self._sender.hex()} has {held} wei, too little for the gas: send it some ether, "
                "or name a --keystore of an account that has some"
            )

    def _decode(self, logs: Sequence[Any]) -> list[ContractEvent]:
        found: list[ContractEvent] = []
        for log in logs:
            name = self._places.get(bytes.fromhex(log["address"][2:]))
            if name is None:
                continue
            topics, data = [bytes.fromhex(t[2:]) for t in log["topics"]], bytes.fromhex(log["data"][2:])
            try:
                event = events.from_log(contract(name).decode_event(topics, data))
            except BadEncoding:
                continue
            if event is not None:
                found.append(event)
        return found
