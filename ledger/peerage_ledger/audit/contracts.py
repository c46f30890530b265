"""The four contracts' rules in Python, for whoever does not believe a node: a transaction in, events or an error out.

Word for word the Solidity in `contracts/src`, without gas and without Ether. Every rule is checked before anything
changes, so an error leaves the state as it was. Constructors run too: what a contract was built with is read from the
transaction that created it, not from a file beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import rlp  # type: ignore[import-untyped]  # ships no types
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from peerage_crypto.digest import claim_leaf, keccak256
from peerage_crypto.identity import BadSignature, recover
from peerage_ledger.audit.registry import NOBODY, UINT128, Registry, Reverted, Token, require
from peerage_ledger.contracts import NAMES, BadEncoding, contract
from peerage_ledger.events import ContractEvent, RewardClaimed, RootPublished, RoundRecorded, VaultFunded
from peerage_ledger.records import RewardRoot, RoundRecord
from peerage_ledger.view import quorum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peerage_ledger.rawtx import Transaction

WINDOW: Final = 256


def created_address(sender: bytes, nonce: int) -> bytes:
    """Where a transaction without recipient puts its contract."""
    encoded: bytes = rlp.encode([sender, nonce])
    return keccak256(encoded)[12:]


@dataclass
class Rounds:
    """RoundLedger: a ring of the last rounds, and further records of a round beside it."""

    address: bytes
    registry: Registry
    federation: bytes
    ring: dict[int, tuple[int, bytes]] = field(default_factory=dict[int, tuple[int, bytes]])
    siblings: dict[bytes, int] = field(default_factory=dict[bytes, int])

    def __post_init__(self) -> None:
        self.ring[0] = (0, self.federation[:24])

    def is_recorded(self, round_: int, record: bytes) -> bool:
        entry = self.ring.get(round_ % WINDOW, (0, b""))
        if entry == (round_, record[:24]):
            return True
        return round_ != 0 and entry[0] == round_ and self.siblings.get(record) == round_

    def call(self, sender: bytes, name: str, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        del now  # no round depends on the time
        if name != "recordRound":
            return []
        record = RoundRecord(*v["round"])
        require(self.registry.is_active(sender), "NotAPeer")
        require(0 < len(record.parents) == len(record.parent_rounds), "ParentsMismatch")
        for at, parent in zip(record.parent_rounds, record.parents, strict=True):
            require(self.is_recorded(at, parent), "UnknownParent")
        require(record.round == max(record.parent_rounds) + 1, "WrongRound")
        hash_ = record.record_hash()
        slot = record.round % WINDOW
        if self.ring.get(slot, (0, b""))[0] != record.round:
            self.ring[slot] = (record.round, hash_[:24])
        else:
            new = self.ring[slot] != (record.round, hash_[:24]) and hash_ not in self.siblings
            require(new, "AlreadyRecorded")
            self.siblings[hash_] = record.round
        return [RoundRecorded(record, hash_, sender)]


@dataclass
class Vault:
    address: bytes
    token: Token
    registry: Registry
    activation_delay: int
    chain_id: int
    funded: int = 0
    claimed: int = 0
    active_at: int = 0
    previous_root: bytes = bytes(32)
    published: RewardRoot = RewardRoot(0, bytes(32), 0, bytes(32))  # noqa: RUF009 - frozen
    claimed_by: dict[bytes, int] = field(default_factory=dict[bytes, int])

    def call(self, sender: bytes, name: str, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        match name:
            case "fund":
                require(self.funded + v["amount"] <= UINT128, "SafeCastOverflowedUintDowncast")
                self.token.can_spend(sender, self.address, self.address, v["amount"])
                self.funded += v["amount"]
                self.token.spend(sender, self.address, self.address, v["amount"])
                return [VaultFunded(sender, v["amount"])]
            case "publish":
                return self._publish(v, now)
            case "claim":
                due = self._due([v["account"]], [v["cumulative"]], [v["proof"]], now)
                require(bool(due), "NothingToClaim")
                return self._pay(due)
            case "claimMany":
                fits = len(v["accounts"]) == len(v["cumulatives"]) == len(v["proofs"])
                require(fits, "LengthMismatch")
                return self._pay(self._due(v["accounts"], v["cumulatives"], v["proofs"], now))
            case _:
                return []

    def _publish(self, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        root = RewardRoot(v["epoch"], v["root"], v["total"], v["emissionRoot"])
        require(root.epoch == self.published.epoch + 1, "WrongEpoch")
        require(now >= self.active_at, "PreviousRootPending")
        require(root.total >= self.published.total, "TotalBelowPrevious")
        require(root.total <= self.funded, "TotalAboveFunded")
        require(len(v["signatures"]) >= quorum(self.registry.active_count()), "QuorumMissing")
        digest, previous = root.digest(self.chain_id, self.address), NOBODY
        for signature in v["signatures"]:
            try:
                signer = recover(digest, signature)
            except BadSignature:
                raise Reverted("ECDSAInvalidSignature") from None
            require(signer > previous, "SignersNotAscending")
            require(self.registry.is_active(signer), "NotAPeer")
            previous = signer
        self.previous_root, self.published = self.published.root, root
        self.active_at = now + self.activation_delay
        return [RootPublished(root)]

    def _due(
        self, accounts: Sequence[bytes], totals: Sequence[int], proofs: Sequence[Sequence[bytes]], now: int
    ) -> list[tuple[bytes, int, int]]:
        """(account, amount, cumulative) in the order given, what is paid already left out."""
        root = self.published.root if now >= self.active_at else self.previous_root
        paid, due = dict(self.claimed_by), list[tuple[bytes, int, int]]()
        for account, cumulative, proof in zip(accounts, totals, proofs, strict=True):
            before = paid.get(account, 0)
            if cumulative <= before:
                continue
            require(root != bytes(32) and proves(proof, root, claim_leaf(account, cumulative)), "BadProof")
            paid[account] = cumulative
            due.append((account, cumulative - before, cumulative))
        return due

    def _pay(self, due: list[tuple[bytes, int, int]]) -> list[ContractEvent]:
        total = sum(amount for _, amount, _ in due)
        require(self.claimed + total <= self.published.total, "ClaimsAboveTotal")
        self.token.can_move(self.address, self.address, total)
        require(all(account != NOBODY for account, _, _ in due), "ERC20InvalidReceiver")
        self.claimed += total
        self.claimed_by |= {account: cumulative for account, _, cumulative in due}
        for account, amount, _ in due:
            self.token.move(self.address, account, amount)
        return [RewardClaimed(account, amount, cumulative) for account, amount, cumulative in due]


def proves(proof: Sequence[bytes], root: bytes, leaf: bytes) -> bool:
    """OpenZeppelin's MerkleProof.verify: commutative keccak."""
    node = leaf
    for sibling in proof:
        node = keccak256(node + sibling if node < sibling else sibling + node)
    return node == root


B = TypeVar("B", Token, Registry, Rounds, Vault)


class Contracts:
    """All four, from the first transaction on; those at other addresses are nobody's business here."""

    def __init__(self, chain_id: int, addresses: Mapping[str, bytes]) -> None:
        self.chain_id = chain_id
        self._names = {address: name for name, address in addresses.items()}
        self.built: dict[str, Token | Registry | Rounds | Vault] = {}

    def execute(self, tx: Transaction, now: int) -> list[ContractEvent]:
        """The events of one transaction in their order; Reverted when a contract refuses it."""
        if tx.to is None:
            return self._create(tx)
        name = self._names.get(tx.to)
        if name is None:
            return []
        target = self.built.get(name)
        if target is None:
            raise Reverted("NoCode")
        require(tx.value == 0, "NotPayable")
        try:
            called = contract(name).decode_call(tx.data)
        except BadEncoding:
            raise Reverted("BadEncoding") from None
        return target.call(tx.sender, called.name, called.values, now)

    def _create(self, tx: Transaction) -> list[ContractEvent]:
        address = created_address(tx.sender, tx.nonce)
        name = self._names.get(address)
        if name is None:
            return []
        code = contract(name).bytecode
        require(tx.data.startswith(code), "OtherCode")
        try:
            arguments = decode(_CONSTRUCTORS[name], tx.data[len(code) :])
        except DecodingError:
            raise Reverted("BadEncoding") from None
        self._build(name, address, [_raw(a) for a in arguments])
        return []

    def _build(self, name: str, address: bytes, given: Sequence[Any]) -> None:
        if name == "PeerageToken":
            token = Token(address, self.chain_id)
            token.balances[given[0]] = given[1]
            self.built[name] = token
        elif name == "PeerRegistry":
            self.built[name] = Registry(address, self._at(given[0], Token), given[1], given[2])
        elif name == "RoundLedger":
            self.built[name] = Rounds(address, self._at(given[0], Registry), given[1])
        else:
            token, registry = self._at(given[0], Token), self._at(given[1], Registry)
            self.built[name] = Vault(address, token, registry, given[2], self.chain_id)

    def _at(self, address: bytes, kind: type[Any]) -> Any:  # noqa: ANN401 - whichever contract the kind says
        built = self.built.get(self._names.get(address, ""))
        require(isinstance(built, kind), "OtherFederation")
        return built

    @property
    def complete(self) -> bool:
        return len(self.built) == len(NAMES)

    def get(self, kind: type[B]) -> B | None:
        """The one contract of that kind, once it was created."""
        return next((built for built in self.built.values() if isinstance(built, kind)), None)


_CONSTRUCTORS: Final = {
    "PeerageToken": ("address", "uint256"),
    "PeerRegistry": ("address", "uint256", "uint64"),
    "RoundLedger": ("address", "bytes32"),
    "RewardVault": ("address", "address", "uint64"),
}


def _raw(value: Any) -> Any:  # noqa: ANN401 - an ABI value
    return bytes.fromhex(value[2:]) if isinstance(value, str) else value
