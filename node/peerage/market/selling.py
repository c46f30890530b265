"""The sellers' side: encrypt and list a finished model, deliver its key, split what it has earned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from peerage.config_toml import load_federation
from peerage.keys import account_file, load_account, password_file, random_secret, read_password
from peerage.launch.claims import settled_totals
from peerage.market import files
from peerage.market.artefact import check_model, model_name, read_bounded
from peerage_crypto.agreement import BadSeal
from peerage_crypto.digest import claim_proof, sha256
from peerage_crypto.errors import InputError
from peerage_crypto.keysale import decrypt, encrypt, key_commitment, seal_key
from peerage_ledger.market.statements import Listing, delisting_digest, dust_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from peerage.rundir import RunDir
    from peerage_crypto.identity import Account
    from peerage_ledger.market.door import Door

MOST_LICENCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Drafted:
    """Where a listing lies, how many have signed it, and how many must."""

    digest: bytes
    file: Path
    ciphertext: Path
    signatures: int
    needed: int


@dataclass(frozen=True, slots=True)
class Collected:
    """Amounts in smallest units: what each had of this listing in all, and what rounding left."""

    paid: dict[bytes, int]
    dust: int


def local_accounts(run: RunDir) -> dict[str, Account]:
    """The peers whose keystores and passwords lie in this run directory, by name."""
    found: dict[str, Account] = {}
    for name in load_federation(run.federation).peer_names():
        keystore, password = account_file(run.secrets, name), password_file(run.secrets, name)
        if keystore.is_file() and password.is_file():
            found[name] = load_account(keystore, read_password(password))
    return found


def content_key_file(run: RunDir, ciphertext: bytes) -> Path:
    return run.secrets / "market" / f"{ciphertext.hex()}.key"


def draft(run: RunDir, door: Door, price: int, licence: Path) -> Path:
    """Encrypts the run's model under a fresh key and writes an unsigned listing; the path of its file."""
    artefact = read_bounded(run.model, "the model of a finished run")
    try:
        aggregate = model_name(artefact)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{run.model} cannot be sold: {error}; resume the run with this version") from None
    record, round_ = door.record_of(aggregate)
    epoch, _, total, _ = door.views("RewardVault", "published")
    if total == 0:
        raise InputError("no rewards are published on this chain: nobody is known to have contributed")
    key = random_secret()
    ciphertext = encrypt(key, aggregate, artefact)
    name = sha256(ciphertext)
    files.write_content_key(content_key_file(run, name), key)  # before anything that needs it
    text = read_bounded(licence, "the licence's text", MOST_LICENCE)
    folder = files.folder_of(run.market)
    (folder / f"{name.hex()}.enc").write_bytes(ciphertext)
    (folder / f"{sha256(text).hex()}.licence").write_bytes(text)
    listing = Listing(aggregate, record, round_.round, price, sha256(text), name, key_commitment(key), epoch)
    path = folder / f"listing-{name.hex()[:16]}.json"
    files.write_listing(path, door.deployment, listing, {})
    return path


def sign(path: Path, door: Door, accounts: Sequence[Account], ciphertext: Path, key: bytes, licence: Path) -> Drafted:
    """Adds signatures of those who are active peers, after a look at everything that they vouch for."""
    passed = files.read_listing(path, door.deployment)
    listing = passed.listing
    blob = read_bounded(ciphertext, "the encrypted artefact")
    if sha256(blob) != listing.ciphertext:
        raise InputError(f"{ciphertext} is not the artefact that {path} names")
    if sha256(read_bounded(licence, "the licence's text", MOST_LICENCE)) != listing.licence:
        raise InputError(f"{licence} is not the licence that {path} names")
    if key_commitment(key) != listing.key_commitment:
        raise InputError(f"this content key is not the one that {path} commits to")
    try:
        check_model(decrypt(key, listing.aggregate, blob), listing.aggregate, str(ciphertext))
    except BadSeal:
        raise InputError(f"{ciphertext} does not open with this content key") from None
    record, _ = door.record_of(listing.aggregate)
    if record != listing.record:
        raise InputError(f"{path} names a record that the ledger does not have for this model")
    signers = door.active(accounts)
    if not signers:
        raise InputError("none of these accounts is an active peer: only peers sign a listing")
    signatures = passed.signatures | {one.address: one.sign(passed.digest) for one in signers}
    files.write_listing(path, door.deployment, listing, signatures)
    return Drafted(passed.digest, path, ciphertext, len(signatures), door.quorum())


def post(path: Path, door: Door, payer: Account) -> bytes:
    """Sends a listing that a quorum has signed; its name."""
    passed = files.read_listing(path, door.deployment)
    needed = door.quorum()
    if len(passed.signatures) < needed:
        raise InputError(
            f"{path} has {len(passed.signatures)} of {needed} signatures: pass it on to peers for `peerage market sign`"
        )
    _, record = door.record_of(passed.listing.aggregate)
    door.list_model(payer, passed.listing, record, passed.signatures)
    return passed.digest


def delist(run: RunDir, door: Door, listing: bytes, payer: Account) -> None:
    deployment = door.deployment
    digest = delisting_digest(listing, deployment.chain_id, deployment.market)
    signers = door.active(list(local_accounts(run).values()))
    signatures = [one.sign(digest) for one in signers]
    door.send(payer, "taking the model off the market", "ModelMarket", "delist", listing, signatures)


def deliver(run: RunDir, door: Door, peer: Account, sale: bytes | None) -> list[bytes]:
    """Seals the content key for one sale, or for every one that waits and whose key is here; the sales."""
    names = [values["sale"] for values in door.happened("ModelMarket", "LicenceBought")] if sale is None else [sale]
    done: list[bytes] = []
    for name in dict.fromkeys(names):
        receipt = door.receipt(name)
        if sale is None and (receipt["state"] != "bought" or receipt["until"] < door.now()):
            continue
        path = content_key_file(run, door.offer(receipt["listing"])["listing"].ciphertext)
        if sale is None and not path.is_file():
            continue
        mine = files.fresh_one_time()
        sealed = seal_key(files.read_content_key(path), name, mine, receipt["buyer_key"])
        door.send(peer, "delivering the key", "ModelMarket", "deliver", name, mine.public, sealed)
        done.append(name)
    return done


def close(door: Door, payer: Account, sale: bytes) -> str:
    """After its time: a refund where nobody delivered, the price to the contributors where nobody complained."""
    receipt = door.receipt(sale)
    how = {"bought": "refund", "delivered": "settle"}.get(receipt["state"])
    if how is None:
        raise InputError(f"the sale is {receipt['state']} already: nothing is left to do")
    door.send(payer, f"{how} of the sale", "ModelMarket", how, sale)
    return how


def collect(run: RunDir, door: Door, listing: bytes, payer: Account) -> Collected:
    """Pays everybody's share of what a listing has earned so far; idempotent."""
    offer = door.offer(listing)
    totals = settled_totals(run.store, offer["root"])
    accounts = sorted(account for account, cumulative in totals.items() if cumulative > 0)
    if offer["revenue"] > offer["paid"]:
        proofs = [list(claim_proof(totals, account)) for account in accounts]
        amounts = [totals[account] for account in accounts]
        arguments = listing, accounts, amounts, proofs
        door.send(payer, "collecting the shares", "ModelMarket", "collectMany", *arguments)
    paid = {one: int(door.view("ModelMarket", "collectedBy", listing, one)) for one in accounts}
    return Collected(paid, dust_of(offer["revenue"], totals))
