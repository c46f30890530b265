"""The contracts' rules in Python, for whoever does not believe a node: a transaction in, events or an error out.

Word for word the Solidity in `contracts/src`, without gas and without Ether. Every rule is checked before anything
changes, so an error leaves the state as it was. Constructors run too: what a contract was built with is read from the
transaction that created it, not from a file beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from peerage_crypto.digest import claim_leaf, keccak256
from peerage_crypto.identity import BadSignature, recover
from peerage_ledger.audit.admission import Admission
from peerage_ledger.audit.court import RoundCourt
from peerage_ledger.audit.market import Market, Watches
from peerage_ledger.audit.pay_court import PayCourt
from peerage_ledger.audit.registry import NOBODY, UINT128, Registry, Reverted, Token, require
from peerage_ledger.blueprint import created_address
from peerage_ledger.contracts import NAMES, BadEncoding, contract
from peerage_ledger.events import ContractEvent, RewardClaimed, RootPublished, RootVoided, RoundRecorded, VaultFunded
from peerage_ledger.records import RewardRoot, RoundRecord, Steps, unpacked
from peerage_ledger.rewards import Rule
from peerage_ledger.view import quorum

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from peerage_ledger.rawtx import Transaction

WINDOW: Final = 256


@dataclass
class Rounds:
    """RoundLedger: a ring of the last rounds, and further records of a round beside it."""

    address: bytes
    registry: Registry
    federation: bytes
    ring: dict[int, tuple[int, bytes, int]] = field(default_factory=dict[int, tuple[int, bytes, int]])
    siblings: dict[bytes, tuple[int, int]] = field(default_factory=dict[bytes, tuple[int, int]])

    def __post_init__(self) -> None:
        self.ring[0] = (0, self.federation[:24], 0)

    def is_recorded(self, round_: int, record: bytes) -> bool:
        return self._seat(round_, record) is not None

    def poster_of(self, round_: int, record: bytes) -> bytes:
        """Who recorded it; NOBODY if it is not there, or behind the window."""
        return self.registry.peer_at(self._seat(round_, record) or 0)

    def _seat(self, round_: int, record: bytes) -> int | None:
        held, prefix, seat = self.ring.get(round_ % WINDOW, (0, b"", 0))
        if held != round_:
            return None
        if prefix == record[:24]:
            return seat
        sibling = self.siblings.get(record)
        return sibling[1] if sibling is not None and round_ != 0 and sibling[0] == round_ else None

    def call(self, sender: bytes, name: str, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        del now  # no round depends on the time
        match name:
            case "recordRound":
                events = self._record(sender, self._may_record(sender), RoundRecord(*v["round"]))
                require(bool(events), "AlreadyRecorded")
                return events
            case "recordRounds":
                return self._record_all(sender, [RoundRecord(*one) for one in v["batch"]])
            case _:
                return []

    def _record_all(self, sender: bytes, batch: Sequence[RoundRecord]) -> list[ContractEvent]:
        """All or none; those recorded already are skipped."""
        before = dict(self.ring), dict(self.siblings)
        seat = self._may_record(sender)
        try:
            return [event for record in batch for event in self._record(sender, seat, record)]
        except Reverted:
            self.ring, self.siblings = before
            raise

    def _may_record(self, sender: bytes) -> int:
        """The sender's seat."""
        require(self.registry.is_active(sender), "NotAPeer")
        return self.registry.seat_of(sender)

    def _record(self, sender: bytes, seat: int, record: RoundRecord) -> list[ContractEvent]:
        """Nothing for a record that is there already."""
        require(0 < len(record.parents) == len(record.parent_rounds), "ParentsMismatch")
        for at, parent in zip(record.parent_rounds, record.parents, strict=True):
            require(self.is_recorded(at, parent), "UnknownParent")
        require(record.round == max(record.parent_rounds) + 1, "WrongRound")
        hash_ = record.record_hash()
        slot = record.round % WINDOW
        held, prefix, _ = self.ring.get(slot, (0, b"", 0))
        if held != record.round:
            self.ring[slot] = (record.round, hash_[:24], seat)
        elif prefix == hash_[:24] or hash_ in self.siblings:
            return []
        else:
            self.siblings[hash_] = (record.round, seat)
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
    pay_arbiter: bytes = NOBODY
    rounds: int = 0
    state: bytes = bytes(32)
    state_before: bytes = bytes(32)
    before: tuple[int, int] = (0, 0)  # rounds and total under the root before
    voided: set[bytes] = field(default_factory=set[bytes])
    published: RewardRoot = RewardRoot(0, bytes(32), 0, bytes(32), bytes(32))  # noqa: RUF009 - frozen
    claimed_by: dict[bytes, int] = field(default_factory=dict[bytes, int])
    ledger: Rounds | None = None  # which the pay arbiter asks

    def call(self, sender: bytes, name: str, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        match name:
            case "fund":
                return self.fund(sender, v["amount"])
            case "publish":
                return self._publish(v, now)
            case "voidRoot":
                return self.void_root(sender, v["epoch"], now)
            case "claim":
                due = self._due([v["account"]], [v["cumulative"]], [v["proof"]], now)
                require(bool(due), "NothingToClaim")
                return self._pay(due, now)
            case "claimMany":
                fits = len(v["accounts"]) == len(v["cumulatives"]) == len(v["proofs"])
                require(fits, "LengthMismatch")
                return self._pay(self._due(v["accounts"], v["cumulatives"], v["proofs"], now), now)
            case _:
                return []

    def fund(self, sender: bytes, amount: int) -> list[ContractEvent]:
        require(self.funded + amount <= UINT128, "SafeCastOverflowedUintDowncast")
        self.token.can_spend(sender, self.address, self.address, amount)
        self.funded += amount
        self.token.spend(sender, self.address, self.address, amount)
        return [VaultFunded(sender, amount)]

    def _publish(self, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        steps = Steps(tuple(v["records"]), tuple(v["states"]))
        root = RewardRoot(v["epoch"], v["root"], v["total"], v["emissionRoot"], steps.digest())
        require(root.epoch == self.published.epoch + 1, "WrongEpoch")
        require(now >= self.active_at, "PreviousRootPending")
        require(root.total >= self.published.total, "TotalBelowPrevious")
        require(root.total <= self.funded, "TotalAboveFunded")
        digest, previous = root.digest(self.chain_id, self.address), NOBODY
        require(digest not in self.voided, "RootWasVoided")
        require(len(v["signatures"]) % 64 == 0, "BadSignatures")
        signatures = unpacked(v["signatures"])
        require(len(signatures) >= quorum(self.registry.active_count()), "QuorumMissing")
        for signature in signatures:
            try:
                signer = recover(digest, signature)
            except BadSignature:
                raise Reverted("ECDSAInvalidSignature") from None
            require(signer > previous, "SignersNotAscending")
            require(self.registry.is_active(signer), "NotAPeer")
            previous = signer
        require(len(steps.records) == len(steps.states), "LengthMismatch")
        last = self.rounds + len(steps.records)
        if steps.records and self.pay_arbiter != NOBODY:
            require(self.ledger is not None and self.ledger.is_recorded(last, steps.records[-1]), "UnknownRecord")
        self.before, self.state_before = (self.rounds, self.published.total), self.state
        self.rounds, self.state = last, steps.states[-1] if steps.states else self.state
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

    def void_root(self, sender: bytes, epoch: int, now: int) -> list[ContractEvent]:
        """What the pay arbiter does when a step was shown to be wrong."""
        require(sender == self.pay_arbiter, "NotThePayArbiter")
        require(epoch == self.published.epoch and now < self.active_at, "NotPending")
        digest = self.published.digest(self.chain_id, self.address)
        self.voided.add(digest)
        rounds, total = self.before
        self.rounds, self.state, self.active_at = rounds, self.state_before, 0
        self.published = RewardRoot(epoch - 1, self.previous_root, total, bytes(32), bytes(32))
        return [RootVoided(epoch, digest)]

    def _pay(self, due: list[tuple[bytes, int, int]], now: int) -> list[ContractEvent]:
        limit = self.published.total if now >= self.active_at else self.before[1]
        total = sum(amount for _, amount, _ in due)
        require(self.claimed + total <= limit, "ClaimsAboveTotal")
        self.token.can_move(self.address, self.address, total)
        require(all(account != NOBODY for account, _, _ in due), "ERC20InvalidReceiver")
        self.claimed += total
        self.claimed_by |= {account: cumulative for account, _, cumulative in due}
        for account, amount, _ in due:
            self.token.move(self.address, self.registry.payee_of(account), amount)
        return [RewardClaimed(account, amount, cumulative) for account, amount, cumulative in due]


def proves(proof: Sequence[bytes], root: bytes, leaf: bytes) -> bool:
    """OpenZeppelin's MerkleProof.verify: commutative keccak."""
    node = leaf
    for sibling in proof:
        node = keccak256(node + sibling if node < sibling else sibling + node)
    return node == root


class Built(Protocol):
    """A contract that runs: its state, and what a call does to it."""

    def call(self, sender: bytes, name: str, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        """The events; Reverted, and nothing changed, when the contract refuses."""
        ...


B = TypeVar("B", bound=Built)


class Contracts:
    """All of a federation's, from the first transaction on; those at other addresses are nobody's business here."""

    def __init__(self, chain_id: int, addresses: Mapping[str, bytes]) -> None:
        self.chain_id = chain_id
        self.addresses = dict(addresses)
        self._names = {address: name for name, address in addresses.items()}
        self.built: dict[str, Built] = {}

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
        try:
            arguments = contract(name).creation_arguments(tx.data)
        except BadEncoding:
            raise Reverted("OtherCode") from None
        self.built[name] = _BUILDERS[name](self, address, arguments)
        return []

    def at(self, address: bytes, kind: type[B]) -> B:
        """The contract there, if it is built already and of that kind; else Reverted."""
        built = self.built.get(self._names.get(address, ""))
        if not isinstance(built, kind):
            raise Reverted("OtherFederation")
        return built

    def expect(self, name: str, address: bytes) -> bytes:
        """An address that is known before there is anything: `name` will stand there."""
        require(self.addresses.get(name, NOBODY) == address, "OtherFederation")
        return address

    @property
    def complete(self) -> bool:
        return set(NAMES) <= self.built.keys()

    def get(self, kind: type[B]) -> B | None:
        """The one contract of that kind, once it was created."""
        return next((built for built in self.built.values() if isinstance(built, kind)), None)


def _admission(to: Contracts, address: bytes, given: Sequence[Any]) -> Admission:
    registry, founders = given
    to.expect("PeerRegistry", registry)
    require(NOBODY not in founders and len(set(founders)) == len(founders), "BadFounder")
    return Admission(address, to.chain_id, frozenset(founders))


def _token(to: Contracts, address: bytes, given: Sequence[Any]) -> Token:
    holder, supply = given
    token = Token(address, to.chain_id)
    token.balances[holder] = supply
    return token


def _registry(to: Contracts, address: bytes, given: Sequence[Any]) -> Registry:
    token, min_stake, unbonding, admission, arbiters, vault = given
    to.expect("MemberAdmission", admission)
    asked = to.at(admission, Admission) if admission != NOBODY else None
    for name, arbiter in zip(("RoundArbiter", "PayArbiter"), arbiters, strict=True):
        if name in to.addresses:
            to.expect(name, arbiter)
    to.expect("RewardVault", vault)
    return Registry(address, to.at(token, Token), min_stake, unbonding, arbiters, vault, asked)


def _rounds(to: Contracts, address: bytes, given: Sequence[Any]) -> Rounds:
    registry, federation = given
    return Rounds(address, to.at(registry, Registry), federation)


def _vault(to: Contracts, address: bytes, given: Sequence[Any]) -> Vault:
    token, registry, delay, pay_arbiter = given
    vault = Vault(address, to.at(token, Token), to.at(registry, Registry), delay, to.chain_id)
    vault.pay_arbiter, vault.ledger = pay_arbiter, to.get(Rounds)
    vault.registry.pool = vault.fund
    return vault


def _round_arbiter(to: Contracts, address: bytes, given: Sequence[Any]) -> RoundCourt:
    registry, ledger, vault, token, bond, answer_seconds = given
    rounds, held = to.at(ledger, Rounds), to.at(vault, Vault)
    require(to.at(registry, Registry) is rounds.registry and token == held.token.address, "OtherFederation")
    return RoundCourt(address, rounds, bond, answer_seconds, to.chain_id, held)


def _pay_arbiter(to: Contracts, address: bytes, given: Sequence[Any]) -> PayCourt:
    registry, ledger, vault, round_arbiter, (pool, planned, cap, window) = given
    require(planned > 0 and cap > 0 and window > 0, "BadTerms")
    court, held = to.at(round_arbiter, RoundCourt), to.at(vault, Vault)
    require(to.at(ledger, Rounds) is court.rounds and to.at(registry, Registry) is held.registry, "OtherFederation")
    return PayCourt(address, held, court, Rule(pool, planned, cap, window))


def _market(to: Contracts, address: bytes, given: Sequence[Any]) -> Market:
    registry, ledger, vault, token, seconds = given
    require(seconds > 0, "NoTime")
    parts = to.at(registry, Registry), to.at(ledger, Rounds), to.at(vault, Vault), to.at(token, Token)
    return Market(address, to.chain_id, *parts, seconds)


def _watches(to: Contracts, address: bytes, given: Sequence[Any]) -> Watches:
    registry, ledger, seconds = given
    return Watches(address, to.chain_id, to.at(registry, Registry), to.at(ledger, Rounds), seconds)


_BUILDERS: Final[Mapping[str, Callable[[Contracts, bytes, Sequence[Any]], Built]]] = {
    "MemberAdmission": _admission,
    "PeerageToken": _token,
    "PeerRegistry": _registry,
    "RoundLedger": _rounds,
    "RewardVault": _vault,
    "RoundArbiter": _round_arbiter,
    "PayArbiter": _pay_arbiter,
    "ModelMarket": _market,
    "ModelWatch": _watches,
}
