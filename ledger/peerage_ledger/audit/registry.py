"""Token and registry in Python, rule for rule as in `contracts/src`: who has staked and may act."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from peerage_crypto.identity import BadSignature, eip712_digest, eip712_domain, recover
from peerage_ledger.events import (
    ContractEvent,
    EndpointChanged,
    PeerLeft,
    PeerRegistered,
    StakeWithdrawn,
    TransportKeyRotated,
)
from peerage_ledger.wishes import PERMIT

if TYPE_CHECKING:
    from collections.abc import Mapping

UINT128, UINT256 = 2**128 - 1, 2**256 - 1
NOBODY: Final = bytes(20)
MAX_ENDPOINT: Final = 255


class Reverted(Exception):
    """The contract refuses; the text is its error's name."""


def require(holds: bool, error: str) -> None:
    if not holds:
        raise Reverted(error)


@dataclass
class Token:
    address: bytes
    chain_id: int
    balances: defaultdict[bytes, int] = field(default_factory=lambda: defaultdict[bytes, int](int))
    allowances: dict[tuple[bytes, bytes], int] = field(default_factory=dict[tuple[bytes, bytes], int])
    nonces: defaultdict[bytes, int] = field(default_factory=lambda: defaultdict[bytes, int](int))

    def can_move(self, owner: bytes, to: bytes, amount: int) -> None:
        require(to != NOBODY, "ERC20InvalidReceiver")
        require(self.balances[owner] >= amount, "ERC20InsufficientBalance")

    def move(self, owner: bytes, to: bytes, amount: int) -> None:
        self.balances[owner] -= amount
        self.balances[to] += amount

    def can_spend(self, owner: bytes, spender: bytes, to: bytes, amount: int) -> None:
        require(self.allowances.get((owner, spender), 0) >= amount, "ERC20InsufficientAllowance")
        self.can_move(owner, to, amount)

    def spend(self, owner: bytes, spender: bytes, to: bytes, amount: int) -> None:
        allowed = self.allowances.get((owner, spender), 0)
        if allowed != UINT256:
            self.allowances[owner, spender] = allowed - amount
        self.move(owner, to, amount)

    def approve(self, owner: bytes, spender: bytes, amount: int) -> None:
        require(spender != NOBODY, "ERC20InvalidSpender")
        self.allowances[owner, spender] = amount

    def permit(self, v: Mapping[str, Any], now: int) -> None:
        require(now <= v["deadline"], "ERC2612ExpiredSignature")
        owner, spender, value = v["owner"], v["spender"], v["value"]
        domain = eip712_domain("Peerage Credit", "1", self.chain_id, self.address)
        digest = eip712_digest(domain, PERMIT, [owner, spender, value, self.nonces[owner], v["deadline"]])
        try:
            signer = recover(digest, v["r"] + v["s"] + bytes([v["v"]]))
        except BadSignature:
            raise Reverted("ECDSAInvalidSignature") from None
        require(signer == owner, "ERC2612InvalidSigner")
        self.nonces[owner] += 1
        self.approve(owner, spender, value)

    def call(self, sender: bytes, name: str, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        """The token's own events say nothing about a federation and are left out."""
        match name:
            case "transfer":
                self.can_move(sender, v["to"], v["value"])
                self.move(sender, v["to"], v["value"])
            case "transferFrom":
                self.can_spend(v["from"], sender, v["to"], v["value"])
                self.spend(v["from"], sender, v["to"], v["value"])
            case "approve":
                self.approve(sender, v["spender"], v["value"])
            case "permit":
                self.permit(v, now)
            case _:
                pass
        return []


@dataclass
class PeerEntry:
    key: bytes
    endpoint: str
    stake: int
    active: bool = True
    withdrawable_at: int = 0


@dataclass
class Registry:
    address: bytes
    token: Token
    min_stake: int
    unbonding: int
    peers: dict[bytes, PeerEntry] = field(default_factory=dict[bytes, PeerEntry])
    key_owners: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])

    def is_active(self, account: bytes) -> bool:
        return account in self.peers and self.peers[account].active

    def active_count(self) -> int:
        return sum(peer.active for peer in self.peers.values())

    def call(self, sender: bytes, name: str, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        match name:
            case "register":
                return self._register(sender, v)
            case "registerWithPermit":
                return self._register_with_permit(sender, v, now)
            case "setEndpoint":
                require(self.is_active(sender), "NotAPeer")
                _check_endpoint(v["endpoint"])
                self.peers[sender].endpoint = v["endpoint"]
                return [EndpointChanged(sender, v["endpoint"])]
            case "rotateKey":
                require(self.is_active(sender), "NotAPeer")
                self._can_take(sender, v["transportKey"])
                self.key_owners[v["transportKey"]] = sender
                self.peers[sender].key = v["transportKey"]
                return [TransportKeyRotated(sender, v["transportKey"])]
            case "leave":
                require(self.is_active(sender), "NotAPeer")
                peer = self.peers[sender]
                peer.active, peer.withdrawable_at = False, now + self.unbonding
                return [PeerLeft(sender, peer.withdrawable_at)]
            case "withdraw":
                return self._withdraw(sender, now)
            case _:
                return []

    def _register_with_permit(self, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        """A permit that fails is no obstacle (somebody may have used it already); one that works goes with the rest."""
        token, place = self.token, (sender, self.address)
        before = (token.nonces[sender], token.allowances.get(place, 0))
        with suppress(Reverted):
            token.permit({**v, "owner": sender, "spender": self.address, "value": v["stake"]}, now)
        try:
            return self._register(sender, v)
        except Reverted:
            token.nonces[sender], token.allowances[place] = before
            raise

    def _can_register(self, sender: bytes, v: Mapping[str, Any]) -> None:
        known = self.peers.get(sender)
        require(known is None or not known.active, "AlreadyRegistered")
        require(known is None or known.stake == 0, "StakeLocked")
        require(v["stake"] >= self.min_stake, "StakeTooLow")
        _check_endpoint(v["endpoint"])
        self._can_take(sender, v["transportKey"])
        require(v["stake"] <= UINT128, "SafeCastOverflowedUintDowncast")

    def _register(self, sender: bytes, v: Mapping[str, Any]) -> list[ContractEvent]:
        self._can_register(sender, v)
        self.token.can_spend(sender, self.address, self.address, v["stake"])
        self.key_owners[v["transportKey"]] = sender
        self.peers[sender] = PeerEntry(v["transportKey"], v["endpoint"], v["stake"])
        self.token.spend(sender, self.address, self.address, v["stake"])
        return [PeerRegistered(sender, v["transportKey"], v["endpoint"], v["stake"])]

    def _withdraw(self, sender: bytes, now: int) -> list[ContractEvent]:
        peer = self.peers.get(sender)
        require(peer is None or not peer.active, "AlreadyRegistered")
        if peer is None or peer.stake == 0:
            raise Reverted("NothingToWithdraw")
        require(now >= peer.withdrawable_at, "StakeLocked")
        self.token.can_move(self.address, sender, peer.stake)
        del self.peers[sender]
        self.token.move(self.address, sender, peer.stake)
        return [StakeWithdrawn(sender, peer.stake)]

    def _can_take(self, sender: bytes, key: bytes) -> None:
        require(key != bytes(32), "TransportKeyMissing")
        require(self.key_owners.get(key, sender) == sender, "TransportKeyTaken")


def _check_endpoint(endpoint: str) -> None:
    require(0 < len(endpoint.encode()) <= MAX_ENDPOINT, "EndpointLength")
