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
    PeerRecovered,
    PeerRegistered,
    PeerSlashed,
    RecoverySet,
    StakeWithdrawn,
    TransportKeyRotated,
)
from peerage_ledger.wishes import PERMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from peerage_ledger.audit.admission import Admission

UINT128, UINT256 = 2**128 - 1, 2**256 - 1
NOBODY: Final = bytes(20)
MAX_ENDPOINT: Final = 255
MAX_SEATS: Final = 2**16 - 1
WHOLE: Final = 10_000  # basis points
BOUNTY_PART: Final = 10


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
    seat: int
    active: bool = True
    withdrawable_at: int = 0


@dataclass
class Registry:
    """`pool` is what stands at the vault's address: its `fund`, or None before it is there."""

    address: bytes
    token: Token
    min_stake: int
    unbonding: int
    arbiters: tuple[bytes, ...] = ()
    vault: bytes = NOBODY
    admission: Admission | None = None
    pool: Callable[[bytes, int], list[ContractEvent]] | None = None
    peers: dict[bytes, PeerEntry] = field(default_factory=dict[bytes, PeerEntry])
    key_owners: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    seats: list[bytes] = field(default_factory=lambda: [NOBODY])  # nobody sits at 0
    recoveries: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    payees: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    barred: set[bytes] = field(default_factory=set[bytes])

    def is_active(self, account: bytes) -> bool:
        return account in self.peers and self.peers[account].active

    def active_count(self) -> int:
        return sum(peer.active for peer in self.peers.values())

    def seat_of(self, account: bytes) -> int:
        return self.peers[account].seat if self.is_active(account) else 0

    def peer_at(self, seat: int) -> bytes:
        return self.seats[seat] if seat < len(self.seats) else NOBODY

    def payee_of(self, account: bytes) -> bytes:
        return self.payees.get(account, account)

    def is_barred(self, account: bytes) -> bool:
        return account in self.barred

    def call(self, sender: bytes, name: str, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        match name:
            case "register":
                return self._register(sender, v, now)
            case "registerInvited":
                return self._register(sender, v, now, v["invitation"])
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
            case _:
                return self._about_stakes(sender, name, v, now)

    def _about_stakes(self, sender: bytes, name: str, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        match name:
            case "leave":
                require(self.is_active(sender), "NotAPeer")
                return [PeerLeft(sender, self._deactivate(sender, now))]
            case "withdraw":
                require(sender not in self.payees, "AccountBarred")
                return self._withdraw(sender, sender, now)
            case "withdrawFor":
                require(self.payees.get(v["peer"]) == sender, "NotRecovery")
                return self._withdraw(v["peer"], sender, now)
            case "setRecovery":
                return self._set_recovery(sender, v["recovery"])
            case "recover":
                return self._recover(sender, v["peer"], now)
            case "slash":
                return self.slash(sender, v["peer"], v["basisPoints"], v["challenger"], now)[1]
            case _:
                return []

    def _register_with_permit(self, sender: bytes, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        """A permit that fails is no obstacle (somebody may have used it already); one that works goes with the rest."""
        token, place = self.token, (sender, self.address)
        before = (token.nonces[sender], token.allowances.get(place, 0))
        with suppress(Reverted):
            token.permit({**v, "owner": sender, "spender": self.address, "value": v["stake"]}, now)
        try:
            return self._register(sender, v, now)
        except Reverted:
            token.nonces[sender], token.allowances[place] = before
            raise

    def _can_register(self, sender: bytes, v: Mapping[str, Any], invitation: Sequence[bytes], now: int) -> None:
        known = self.peers.get(sender)
        require(known is None or not known.active, "AlreadyRegistered")
        require(sender not in self.barred, "AccountBarred")
        require(known is None or known.stake == 0, "StakeLocked")
        require(v["stake"] >= self.min_stake, "StakeTooLow")
        _check_endpoint(v["endpoint"])
        admitted = self.admission is None or self.admission.admits(sender, invitation, self, now)
        require(admitted, "NotAdmitted")
        self._can_take(sender, v["transportKey"])
        require(len(self.seats) <= MAX_SEATS, "NoSeatLeft")
        require(v["stake"] <= UINT128, "SafeCastOverflowedUintDowncast")

    def _register(
        self, sender: bytes, v: Mapping[str, Any], now: int, invitation: Sequence[bytes] = ()
    ) -> list[ContractEvent]:
        self._can_register(sender, v, invitation, now)
        self.token.can_spend(sender, self.address, self.address, v["stake"])
        self.key_owners[v["transportKey"]] = sender
        self.peers[sender] = PeerEntry(v["transportKey"], v["endpoint"], v["stake"], len(self.seats))
        self.seats.append(sender)
        self.token.spend(sender, self.address, self.address, v["stake"])
        return [PeerRegistered(sender, v["transportKey"], v["endpoint"], v["stake"])]

    def _deactivate(self, account: bytes, now: int) -> int:
        peer = self.peers[account]
        peer.active, peer.withdrawable_at = False, now + self.unbonding
        return peer.withdrawable_at

    def _withdraw(self, account: bytes, to: bytes, now: int) -> list[ContractEvent]:
        peer = self.peers.get(account)
        require(peer is None or not peer.active, "AlreadyRegistered")
        if peer is None or peer.stake == 0:
            raise Reverted("NothingToWithdraw")
        require(now >= peer.withdrawable_at, "StakeLocked")
        self.token.can_move(self.address, to, peer.stake)
        del self.peers[account]
        self.token.move(self.address, to, peer.stake)
        return [StakeWithdrawn(account, peer.stake)]

    def _set_recovery(self, sender: bytes, recovery: bytes) -> list[ContractEvent]:
        require(self.is_active(sender), "NotAPeer")
        require(sender not in self.recoveries, "RecoveryFixed")
        require(recovery not in {NOBODY, sender}, "BadRecovery")
        self.recoveries[sender] = recovery
        return [RecoverySet(sender, recovery)]

    def _recover(self, sender: bytes, account: bytes, now: int) -> list[ContractEvent]:
        require(self.recoveries.get(account) == sender, "NotRecovery")
        require(account not in self.payees, "AccountBarred")
        known = self.peers.get(account)
        free = 0 if known is None else known.withdrawable_at
        if self.is_active(account):
            free = self._deactivate(account, now)
        self.barred.add(account)
        self.payees[account] = sender
        return [PeerRecovered(account, sender, free)]

    def slash(
        self, arbiter: bytes, account: bytes, basis_points: int, challenger: bytes, now: int
    ) -> tuple[int, list[ContractEvent]]:
        """What an arbiter's verdict takes from a stake, and the events; nothing where there is no stake."""
        require(arbiter in self.arbiters, "NotAnArbiter")
        require(basis_points <= WHOLE, "BasisPointsTooHigh")
        peer = self.peers.get(account)
        amount = 0 if peer is None else peer.stake * basis_points // WHOLE
        if peer is None or amount == 0:
            self._end(account, basis_points, now)
            return 0, [PeerSlashed(account, challenger, 0, 0)] if basis_points == WHOLE else []
        require(challenger != NOBODY, "ERC20InvalidReceiver")
        bounty = amount // BOUNTY_PART
        funded = self._fund(amount - bounty)
        peer.stake -= amount
        self._end(account, basis_points, now)
        self.token.move(self.address, challenger, bounty)
        return amount, [PeerSlashed(account, challenger, amount, bounty), *funded]

    def _end(self, account: bytes, basis_points: int, now: int) -> None:
        """A verdict over a whole stake ends its peer for good, also where the stake was gone."""
        if basis_points != WHOLE:
            return
        if account in self.peers and self.peers[account].active:
            self._deactivate(account, now)
        self.barred.add(account)

    def _fund(self, amount: int) -> list[ContractEvent]:
        if self.pool is None:
            raise Reverted("NoCode")
        place = (self.address, self.vault)
        self.token.allowances[place] = amount
        try:
            return self.pool(self.address, amount)
        finally:
            self.token.allowances[place] = 0

    def _can_take(self, sender: bytes, key: bytes) -> None:
        require(key != bytes(32), "TransportKeyMissing")
        require(self.key_owners.get(key, sender) == sender, "TransportKeyTaken")


def _check_endpoint(endpoint: str) -> None:
    require(0 < len(endpoint.encode()) <= MAX_ENDPOINT, "EndpointLength")
