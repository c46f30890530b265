"""What lies on disks around a sale: the listing that is passed round, the content key, the buyer's one-time key."""

from __future__ import annotations

import os
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import msgspec

from peerage.keys import make_private_folder, random_secret, write_private
from peerage.market.artefact import read_bounded
from peerage.rundir import write_whole
from peerage_crypto.errors import InputError
from peerage_crypto.identity import ORDER, BadSignature, recover
from peerage_crypto.keysale import OneTimeKey
from peerage_ledger.market.statements import Listing

if TYPE_CHECKING:
    from pathlib import Path

    from peerage_ledger.deployment import Deployment

SCHEMA = 1
DECIMALS = 18
_MOST_BYTES = 1 << 20


class ListingDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A listing and the signatures that it has so far, by signer; every hash in hex."""

    schema: int
    chain_id: int
    market: str
    aggregate: str
    record: str
    round: int
    price: str
    licence: str
    ciphertext: str
    key_commitment: str
    epoch: int
    signatures: dict[str, str] = {}

    def listing(self) -> Listing:
        named = (self.licence, self.ciphertext, self.key_commitment)
        licence, ciphertext, commitment = (bytes.fromhex(text) for text in named)
        aggregate, record = bytes.fromhex(self.aggregate), bytes.fromhex(self.record)
        return Listing(aggregate, record, self.round, int(self.price), licence, ciphertext, commitment, self.epoch)

    def signed(self) -> dict[bytes, bytes]:
        """Signature by signer, as they are sent."""
        return {bytes.fromhex(signer): bytes.fromhex(one) for signer, one in self.signatures.items()}


class OneTimeDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a buyer keeps of a purchase: without the secret the licence's key cannot be opened."""

    schema: int
    listing: str
    buyer: str
    sale: str
    secret: str


@dataclass(frozen=True, slots=True)
class Passed:
    """A listing file that was read and whose signatures hold."""

    listing: Listing
    digest: bytes
    signatures: dict[bytes, bytes]


def write_listing(path: Path, deployment: Deployment, listing: Listing, signatures: dict[bytes, bytes]) -> None:
    document = ListingDocument(
        schema=SCHEMA,
        chain_id=deployment.chain_id,
        market=deployment.market.hex(),
        aggregate=listing.aggregate.hex(),
        record=listing.record.hex(),
        round=listing.round,
        price=str(listing.price),
        licence=listing.licence.hex(),
        ciphertext=listing.ciphertext.hex(),
        key_commitment=listing.key_commitment.hex(),
        epoch=listing.epoch,
        signatures={signer.hex(): one.hex() for signer, one in sorted(signatures.items())},
    )
    write_whole(path, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def read_listing(path: Path, deployment: Deployment) -> Passed:
    """InputError for another market's, for a signature that is not its signer's, and for anything malformed."""
    blob = read_bounded(path, "a listing", _MOST_BYTES)
    try:
        document = msgspec.json.decode(blob, type=ListingDocument)
        listing, signatures = document.listing(), document.signed()
        digest = listing.digest(deployment.chain_id, deployment.market)
        for signer, signature in signatures.items():
            if recover(digest, signature) != signer:
                raise InputError(f"{path}: the signature of 0x{signer.hex()} is of something else; strike it out")
    except (ValueError, RecursionError, msgspec.MsgspecError, BadSignature) as error:
        raise InputError(f"{path} is no listing: {error}") from None
    if (document.schema, document.chain_id, document.market) != (
        SCHEMA,
        deployment.chain_id,
        deployment.market.hex(),
    ):
        raise InputError(f"{path} is of another market, chain or version than this deployment")
    return Passed(listing, digest, signatures)


def write_content_key(path: Path, key: bytes) -> None:
    make_private_folder(path.parent)
    write_private(path, key.hex().encode() + b"\n")


def read_content_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(read_bounded(path, "a content key", 256).decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise InputError(f"{path} is no content key: 64 hex digits are read here")
    return key


def fresh_one_time() -> OneTimeKey:
    """A one-time key from the operating system's randomness."""
    while True:
        secret = random_secret()
        if 0 < int.from_bytes(secret, "big") < ORDER:
            return OneTimeKey.from_secret(secret)


def write_one_time(path: Path, key: OneTimeKey, listing: bytes, buyer: bytes, sale: bytes) -> None:
    """Before any money moves; refuses to write over another."""
    if path.exists():
        raise InputError(f"{path} exists already: it may be the key of another purchase; name another --key")
    document = OneTimeDocument(SCHEMA, listing.hex(), buyer.hex(), sale.hex(), key.secret.hex())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, msgspec.json.encode(document) + b"\n")


def read_one_time(path: Path) -> tuple[OneTimeKey, bytes]:
    """The key, and the name of its sale."""
    try:
        document = msgspec.json.decode(read_bounded(path, "the key of a purchase", _MOST_BYTES), type=OneTimeDocument)
        return OneTimeKey.from_secret(bytes.fromhex(document.secret)), bytes.fromhex(document.sale)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise InputError(f"{path} is not the key of a purchase: {error}") from None


def name_of(text: str, what: str) -> bytes:
    """32 bytes from the command line."""
    try:
        name = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        name = b""
    if len(name) != 32:
        raise InputError(f"{what} {text}: 64 hex digits name one (`peerage market show` prints them)")
    return name


def units(text: str) -> int:
    """A price in whole tokens, with up to 18 decimals, in smallest units."""
    try:
        price = Decimal(text).scaleb(DECIMALS)
        value = int(price)
    except (InvalidOperation, ValueError, OverflowError):
        price, value = Decimal(1), 0
    if len(text) > 60 or value != price or not 0 < value < 1 << 128:
        raise InputError(f"--price {text}: a positive number of tokens with at most {DECIMALS} decimals")
    return value


def folder_of(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        raise InputError(f"{path} cannot be written to")
    return path
