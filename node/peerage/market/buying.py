"""The buyer's side: pay for a model whose encrypted artefact is at hand, open it, or prove that the key was wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from peerage.market import files
from peerage.market.artefact import check_model, read_bounded
from peerage.rundir import write_whole
from peerage_crypto.agreement import BadKey, BadSeal
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError, PeerError, Unreachable
from peerage_crypto.keysale import decrypt, key_commitment, open_key
from peerage_ledger.market.statements import sale_name

if TYPE_CHECKING:
    from pathlib import Path

    from peerage_crypto.identity import Account
    from peerage_ledger.market.door import Door


@dataclass(frozen=True, slots=True)
class Opened:
    """A licence that was used: its receipt's facts."""

    sale: bytes
    aggregate: bytes
    licence: bytes
    accepted: bool


def buy(door: Door, buyer: Account, listing: bytes, ciphertext: Path, licence: Path, key_file: Path) -> bytes:
    """The sale's name. Nothing is paid before artefact and licence are here and are the ones that are sold."""
    offer = door.offer(listing)
    terms = offer["listing"]
    if offer["delisted"]:
        raise InputError(f"the listing {listing.hex()} is off the market")
    if sha256(read_bounded(ciphertext, "the encrypted artefact")) != terms.ciphertext:
        raise InputError(
            f"{ciphertext} is not the artefact of this listing: a key to it would open nothing; keep your money"
        )
    if sha256(read_bounded(licence, "the licence's text")) != terms.licence:
        raise InputError(f"{licence} is not the licence of this listing: read what is really sold")
    have = int(door.view("PeerageToken", "balanceOf", buyer.address))
    if have < terms.price:
        raise InputError(f"0x{buyer.address.hex()} has {have} units and the licence costs {terms.price}")
    key = files.fresh_one_time()
    sale = sale_name(listing, buyer.address, key.public)
    files.write_one_time(key_file, key, listing, buyer.address, sale)
    door.buy(buyer, listing, terms.price, key.public)
    return sale


def open_model(door: Door, key_file: Path, ciphertext: Path, out: Path, buyer: Account | None) -> Opened:
    """Writes the model once it is proven to be the one that the ledger recorded, and accepts the delivery.

    A wrong key: PeerError that names its sender, after a complaint that brings the money back (when `buyer` can pay
    for the transaction).
    """
    key, sale = files.read_one_time(key_file)
    receipt = door.receipt(sale)
    if receipt["state"] in ("bought", "refunded"):
        raise Unreachable(_no_key_yet(receipt["state"], receipt["until"], door.now()))
    terms = door.offer(receipt["listing"])["listing"]
    try:
        content = open_key(receipt["sealed_key"], sale, key, receipt["sender_key"])
    except BadKey:
        content = b""
    if key_commitment(content) != terms.key_commitment:
        _complain(door, sale, key.secret, receipt, buyer)
    blob = read_bounded(ciphertext, "the encrypted artefact")
    if sha256(blob) != terms.ciphertext:
        raise InputError(f"{ciphertext} is damaged or another listing's: find the artefact {terms.ciphertext.hex()}")
    try:
        model = decrypt(content, terms.aggregate, blob)
    except BadSeal:
        raise InputError(_false_listing(terms.ciphertext)) from None
    check_model(model, terms.aggregate, str(ciphertext))
    door.record_of(terms.aggregate)
    write_whole(out, model)
    accepted = receipt["state"] == "delivered" and buyer is not None and buyer.address == receipt["buyer"]
    if accepted and buyer is not None:
        door.send(buyer, "accepting the delivery", "ModelMarket", "accept", sale)
    return Opened(sale, terms.aggregate, terms.licence, accepted)


def _complain(door: Door, sale: bytes, secret: bytes, receipt: dict[str, object], buyer: Account | None) -> NoReturn:
    deliverer = receipt["deliverer"]
    assert isinstance(deliverer, bytes)
    sentence = "delivered another key than the one that was sold"
    if receipt["state"] != "delivered":
        raise PeerError(deliverer, f"{sentence}; the time for a complaint is over")
    if buyer is None:
        raise PeerError(deliverer, f"{sentence}: give --keystore, and the complaint brings your money back")
    door.send(buyer, "complaining", "ModelMarket", "complain", sale, int.from_bytes(secret, "big"))
    raise PeerError(deliverer, f"{sentence}; this is proven on the chain, and your money is back")


def _no_key_yet(state: str, until: int, now: int) -> str:
    if state == "refunded":
        return "the sale was refunded: no key was or will be delivered; buy again with another key"
    if now > until:
        return "nobody delivered the key in time: `peerage market close` brings your money back"
    return f"no key is delivered yet; peers have {until - now} s left, then your money can be had back"


def _false_listing(ciphertext: bytes) -> str:
    return (
        f"the right key does not open the artefact {ciphertext.hex()[:16]}: its quorum has lied; "
        "its signatures are in the listing's transaction. The contract cannot decide this: see docs/market.md"
    )
