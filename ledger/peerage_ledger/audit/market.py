"""ModelMarket and ModelWatch in Python, word for word; their own events say nothing about pay and are left out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from peerage_crypto.agreement import BadKey
from peerage_crypto.digest import claim_leaf
from peerage_crypto.identity import ORDER, BadSignature, recover
from peerage_crypto.keysale import OneTimeKey, is_key, key_commitment, open_key
from peerage_ledger.audit.registry import NOBODY, Registry, Token, require
from peerage_ledger.market.statements import (
    WHOLE,
    Listing,
    Performance,
    Watch,
    bad_after,
    delisting_digest,
    sale_name,
    share_of,
    task_name,
)
from peerage_ledger.records import RoundRecord
from peerage_ledger.view import quorum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peerage_ledger.audit.contracts import Rounds, Vault
    from peerage_ledger.events import ContractEvent

LEAST_WATCHERS: Final = 3
MOST: Final = (1 << 128) - 1


def check_quorum(registry: Registry, digest: bytes, signatures: Sequence[bytes]) -> None:
    """`QuorumSigned.check`."""
    require(len(signatures) >= quorum(registry.active_count()), "QuorumMissing")
    previous = NOBODY
    for signature in signatures:
        try:
            signer = recover(digest, signature)
        except BadSignature:
            signer = NOBODY
            require(False, "ECDSAInvalidSignature")
        require(signer > previous, "SignersNotAscending")
        require(registry.is_active(signer), "NotAPeer")
        previous = signer


@dataclass
class Offer:
    listing: Listing
    root: bytes
    total: int
    delisted: bool = False
    revenue: int = 0
    paid: int = 0
    collected: defaultdict[bytes, int] = field(default_factory=lambda: defaultdict[bytes, int](int))


class State(IntEnum):
    """`IModelMarket.State`."""

    NONE = 0
    BOUGHT = 1
    DELIVERED = 2
    SETTLED = 3
    REFUNDED = 4


@dataclass
class Sale:
    offer: Offer
    buyer: bytes
    until: int
    buyer_key: bytes
    state: State = State.BOUGHT
    sender_key: bytes = b""
    sealed_key: bytes = b""


@dataclass
class Market:
    address: bytes
    chain_id: int
    registry: Registry
    ledger: Rounds
    vault: Vault
    token: Token
    delivery_seconds: int
    offers: dict[bytes, Offer] = field(default_factory=dict[bytes, Offer])
    sales: dict[bytes, Sale] = field(default_factory=dict[bytes, Sale])

    def call(self, sender: bytes, name: str, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        match name:
            case "list":
                self._list(Listing(*v["terms"]), RoundRecord(*v["round"]), v["signatures"], now)
            case "delist":
                offer = self._for_sale(v["listing"])
                digest = delisting_digest(v["listing"], self.chain_id, self.address)
                check_quorum(self.registry, digest, v["signatures"])
                offer.delisted = True
            case "buy":
                self._buy(sender, v["listing"], v["buyerKey"], now)
            case "deliver":
                self._deliver(sender, v, now)
            case "accept" | "settle" | "complain" | "refund":
                self._end(sender, name, v, now)
            case "collect":
                due = self._due(v["listing"], [(v["account"], v["cumulative"], v["proof"])])
                require(bool(due), "NothingToCollect")
                self._pay(v["listing"], due)
            case "collectMany":
                lists = v["accounts"], v["cumulatives"], v["proofs"]
                require(len({len(one) for one in lists}) == 1, "LengthMismatch")
                self._pay(v["listing"], self._due(v["listing"], list(zip(*lists, strict=True))))
            case _:
                pass
        return []

    def _list(self, terms: Listing, record: RoundRecord, signatures: Sequence[bytes], now: int) -> None:
        name = terms.digest(self.chain_id, self.address)
        require(name not in self.offers, "AlreadyListed")
        require(0 < terms.price <= MOST, "BadPrice")
        named = (record.record_hash(), record.aggregate, record.round)
        require(named == (terms.record, terms.aggregate, terms.round), "NotTheRecords")
        require(self.ledger.is_recorded(terms.round, terms.record), "UnknownRecord")
        published = self.vault.published
        require(terms.epoch == published.epoch, "WrongEpoch")
        require(now >= self.vault.active_at, "RootPending")
        require(published.total > 0, "NobodyContributed")
        check_quorum(self.registry, name, signatures)
        self.offers[name] = Offer(terms, published.root, published.total)

    def _for_sale(self, listing: bytes) -> Offer:
        require(listing in self.offers and not self.offers[listing].delisted, "NotListed")
        return self.offers[listing]

    def _buy(self, buyer: bytes, listing: bytes, key: bytes, now: int) -> None:
        offer = self._for_sale(listing)
        require(is_key(key), "BadKey")
        name = sale_name(listing, buyer, key)
        require(name not in self.sales, "AlreadyBought")
        self.token.can_spend(buyer, self.address, self.address, offer.listing.price)
        self.token.spend(buyer, self.address, self.address, offer.listing.price)
        self.sales[name] = Sale(offer, buyer, now + self.delivery_seconds, key)

    def _in(self, name: bytes, state: State) -> Sale:
        require(name in self.sales and self.sales[name].state is state, "WrongState")
        return self.sales[name]

    def _deliver(self, sender: bytes, v: Mapping[str, Any], now: int) -> None:
        require(self.registry.is_active(sender), "NotAPeer")
        sale = self._in(v["sale"], State.BOUGHT)
        require(now <= sale.until, "TooLate")
        require(is_key(v["senderKey"]), "BadKey")
        sale.until, sale.state = now + self.delivery_seconds, State.DELIVERED
        sale.sender_key, sale.sealed_key = v["senderKey"], v["sealedKey"]

    def _end(self, sender: bytes, how: str, v: Mapping[str, Any], now: int) -> None:
        sale = self._in(v["sale"], State.BOUGHT if how == "refund" else State.DELIVERED)
        price = sale.offer.listing.price
        match how:
            case "accept":
                require(sender == sale.buyer, "NotTheBuyer")
            case "complain":
                require(now <= sale.until, "TooLate")
                self._check_complaint(v["sale"], sale, v["secret"])
            case _:
                require(now > sale.until, "TooEarly")
        if how in ("accept", "settle"):
            sale.state, sale.offer.revenue = State.SETTLED, sale.offer.revenue + price
            return
        self.token.can_move(self.address, sale.buyer, price)
        self.token.move(self.address, sale.buyer, price)
        sale.state = State.REFUNDED

    def _check_complaint(self, name: bytes, sale: Sale, secret: int) -> None:
        shown = (secret % ORDER).to_bytes(32, "big")
        try:
            mine = OneTimeKey.from_secret(shown)
        except ValueError:
            mine = OneTimeKey(b"", b"")
        # of the two secrets with this abscissa the contract takes the one whose ordinate is even
        require(mine.public == sale.buyer_key and mine.secret == shown, "WrongSecret")
        try:
            key = open_key(sale.sealed_key, name, mine, sale.sender_key)
        except BadKey:
            key = b""
        require(key_commitment(key) != sale.offer.listing.key_commitment, "KeyIsRight")

    def _due(self, listing: bytes, claims: Sequence[tuple[bytes, int, Sequence[bytes]]]) -> dict[bytes, int]:
        """By account what it is owed now; those who have it already are left out."""
        from peerage_ledger.audit.contracts import proves  # noqa: PLC0415 - it builds this contract

        due: dict[bytes, int] = {}
        if not claims:
            return due
        require(listing in self.offers, "NotListed")
        offer = self.offers[listing]
        for account, cumulative, proof in claims:
            proven = cumulative <= offer.total and proves(proof, offer.root, claim_leaf(account, cumulative))
            require(proven, "BadProof")
            share = share_of(offer.revenue, cumulative, offer.total)
            have = offer.collected[account] + due.get(account, 0)
            if share > have:
                due[account] = due.get(account, 0) + share - have
        return due

    def _pay(self, listing: bytes, due: Mapping[bytes, int]) -> None:
        offer = self.offers.get(listing)
        if offer is None:
            return
        amount = sum(due.values())
        require(offer.paid + amount <= offer.revenue, "SharesAboveRevenue")
        payees = {account: self.registry.payee_of(account) for account in due}
        require(NOBODY not in payees.values(), "ERC20InvalidReceiver")
        offer.paid += amount
        for account, share in due.items():
            offer.collected[account] += share
            self.token.move(self.address, payees[account], share)


@dataclass
class Watched:
    terms: Watch
    reported_at: int
    last: int = 0
    bad: int = 0
    task: bytes = b""


@dataclass
class Watches:
    address: bytes
    chain_id: int
    registry: Registry
    ledger: Rounds
    period_seconds: int
    watched: dict[bytes, Watched] = field(default_factory=dict[bytes, Watched])

    def call(self, sender: bytes, name: str, v: Mapping[str, Any], now: int) -> list[ContractEvent]:
        del sender  # whoever sends it: a quorum has signed
        match name:
            case "open":
                self._open(Watch(*v["terms"]), v["signatures"], now)
            case "report":
                self._report(Performance(*v["sums"]), v["signatures"], now)
            case _:
                pass
        return []

    def _open(self, terms: Watch, signatures: Sequence[bytes], now: int) -> None:
        name = terms.digest(self.chain_id, self.address)
        require(name not in self.watched, "AlreadyWatched")
        sound = 0 < terms.threshold <= terms.recovery <= WHOLE and terms.periods > 0
        require(sound and terms.watchers >= LEAST_WATCHERS, "BadTerms")
        require(self.ledger.is_recorded(terms.round, terms.record), "UnknownRecord")
        check_quorum(self.registry, name, signatures)
        self.watched[name] = Watched(terms, now)

    def _report(self, sums: Performance, signatures: Sequence[bytes], now: int) -> None:
        require(sums.watch in self.watched, "UnknownWatch")
        watched = self.watched[sums.watch]
        require(not watched.task, "WatchOver")
        require(sums.period > watched.last, "StalePeriod")
        require(sums.period == watched.last + 1, "PeriodGap")
        require(now >= watched.reported_at + self.period_seconds, "TooSoon")
        require(0 < sums.total <= MOST and sums.correct <= sums.total, "BadCounts")
        require(sums.watchers >= watched.terms.watchers, "TooFewWatchers")
        check_quorum(self.registry, sums.digest(self.chain_id, self.address), signatures)
        watched.bad = bad_after(watched.bad, watched.terms, sums.correct, sums.total)
        watched.last, watched.reported_at = sums.period, now
        if watched.bad >= watched.terms.periods:
            watched.task = task_name(sums.watch, sums.period)
