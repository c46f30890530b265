"""What a quorum of peers signs for the market and for the watch, hashed as `ModelMarket` and `ModelWatch` hash it."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Final

from eth_abi.abi import encode

from peerage_crypto.digest import keccak256
from peerage_crypto.identity import eip712_digest, eip712_domain

if TYPE_CHECKING:
    from collections.abc import Mapping

LISTING_TYPE: Final = (
    "Listing(bytes32 aggregate,bytes32 record,uint64 round,uint256 price,bytes32 licence,bytes32 ciphertext,"
    "bytes32 keyCommitment,uint64 epoch)"
)
DELISTING_TYPE: Final = "Delisting(bytes32 listing)"
WATCH_TYPE: Final = (
    "Watch(bytes32 record,uint64 round,uint16 threshold,uint16 recovery,uint16 periods,uint16 watchers,uint64 serial)"
)
PERFORMANCE_TYPE: Final = "Performance(bytes32 watch,uint64 period,uint256 correct,uint256 total,uint16 watchers)"
WHOLE: Final = 10_000  # basis points


@dataclass(frozen=True, slots=True)
class Listing:
    """A finished model for sale; hashes are 32 bytes, the price in smallest units. See `IModelMarket.Listing`."""

    aggregate: bytes
    record: bytes
    round: int
    price: int
    licence: bytes
    ciphertext: bytes
    key_commitment: bytes
    epoch: int

    def digest(self, chain_id: int, market: bytes) -> bytes:
        """What is signed, and the listing's name; ValueError when a field does not fit its type."""
        return eip712_digest(market_domain(chain_id, market), LISTING_TYPE, astuple(self))


@dataclass(frozen=True, slots=True)
class Watch:
    """A deployed model and the rule that replaces it (`IModelWatch.Watch`); threshold and recovery in basis points."""

    record: bytes
    round: int
    threshold: int
    recovery: int
    periods: int
    watchers: int
    serial: int = 0

    def digest(self, chain_id: int, watch: bytes) -> bytes:
        return eip712_digest(watch_domain(chain_id, watch), WATCH_TYPE, astuple(self))


@dataclass(frozen=True, slots=True)
class Performance:
    """The sums of one period over all watchers. See `IModelWatch.Performance`."""

    watch: bytes
    period: int
    correct: int
    total: int
    watchers: int

    def digest(self, chain_id: int, watch: bytes) -> bytes:
        return eip712_digest(watch_domain(chain_id, watch), PERFORMANCE_TYPE, astuple(self))


def delisting_digest(listing: bytes, chain_id: int, market: bytes) -> bytes:
    return eip712_digest(market_domain(chain_id, market), DELISTING_TYPE, [listing])


def market_domain(chain_id: int, market: bytes) -> bytes:
    return eip712_domain("PeerageMarket", "1", chain_id, market)


def watch_domain(chain_id: int, watch: bytes) -> bytes:
    return eip712_domain("PeerageWatch", "1", chain_id, watch)


def sale_name(listing: bytes, buyer: bytes, buyer_key: bytes) -> bytes:
    """keccak256(abi.encode(listing, buyer, buyerKey))."""
    return keccak256(listing + buyer.rjust(32, b"\0") + buyer_key)


def task_name(watch: bytes, period: int) -> bytes:
    """keccak256(abi.encode(watch, period))."""
    return keccak256(encode(["bytes32", "uint64"], [watch, period]))


def share_of(revenue: int, cumulative: int, total: int) -> int:
    """What an account may have collected of a listing in all: rounded down."""
    return revenue * cumulative // total


def dust_of(revenue: int, totals: Mapping[bytes, int]) -> int:
    """What rounding down leaves in the market when everybody has collected."""
    total = sum(totals.values())
    return revenue - sum(share_of(revenue, cumulative, total) for cumulative in totals.values())


def bad_after(bad: int, terms: Watch, correct: int, total: int) -> int:
    """Bad periods since the last good one, after this one: `ModelWatch._badAfter`."""
    right = correct * WHOLE
    if right < terms.threshold * total:
        return bad + 1
    return 0 if right >= terms.recovery * total else bad
