"""`peerage market`: sell a finished model, buy one, open it, and split what it earned."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from peerage.rundir import RunDir
    from peerage_crypto.identity import Account
    from peerage_ledger.market.door import Door

RunFolder = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A finished run: model, store, keystores.")]
Rpc = Annotated[str, typer.Option(help="The node's URL; without it the deployment's.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Keystore = Annotated[
    Path | None, typer.Option(envvar="PEERAGE_KEYSTORE", help="The account that acts and pays the gas.")
]
PasswordFile = Annotated[Path | None, typer.Option(help="Its password; or PEERAGE_PASSWORD.")]
Deployed = Annotated[Path, typer.Option(help="deployment.json")]
Licence = Annotated[Path, typer.Option(help="The licence's text; its SHA-256 stands on every receipt.")]
Artefact = Annotated[Path, typer.Option(help="The encrypted model.")]

DEPLOYMENT = Path("deployment.json")


def add_to(app: typer.Typer) -> None:
    market = typer.Typer(
        help="Licences for finished models: list, buy, deliver, open, collect.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for name, command in (
        ("list", list_model),
        ("sign", sign),
        ("post", post),
        ("delist", delist),
        ("show", show),
        ("buy", buy),
        ("deliver", deliver),
        ("open", open_model),
        ("close", close),
        ("collect", collect),
    ):
        market.command(name)(command)
    app.add_typer(market, name="market")


def list_model(
    run_dir: RunFolder,
    *,
    price: Annotated[str, typer.Option(help="In whole tokens, such as 2.5.")],
    licence: Licence,
    rpc: Rpc = "",
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    json: Json = False,
) -> None:
    """Encrypt the model, sign a listing with every keystore that is here, and post it when they are a quorum."""
    from peerage.market import files, selling

    run, units = run_of(run_dir), files.units(price)
    door = door_of(run.deployment, rpc)
    path = selling.draft(run, door, units, licence)
    passed = files.read_listing(path, door.deployment)
    ciphertext = run.market / f"{passed.listing.ciphertext.hex()}.enc"
    key = files.read_content_key(selling.content_key_file(run, passed.listing.ciphertext))
    accounts = list(selling.local_accounts(run).values())
    drafted = selling.sign(path, door, accounts, ciphertext, key, licence)
    posted = drafted.signatures >= drafted.needed
    if posted:
        selling.post(path, door, payer_of(run, keystore, password_file))
    words = (
        f"listed as {drafted.digest.hex()}, signed by {drafted.signatures} peers"
        if posted
        else f"{drafted.signatures} of {drafted.needed} signatures: others add theirs to {path} with `market sign`"
    )
    document = {
        "listing": drafted.digest.hex(),
        "posted": posted,
        "signatures": drafted.signatures,
        "needed": drafted.needed,
        "file": str(path),
        "artefact": str(ciphertext),
    }
    _tell(document, f"{words}\nthe encrypted artefact for buyers: {ciphertext}", json=json)


def sign(
    listing_file: Annotated[Path, typer.Argument(metavar="LISTING.json")],
    *,
    artefact: Artefact,
    content_key: Annotated[Path, typer.Option(help="The key to the artefact; keep it secret.")],
    licence: Licence,
    deployment: Deployed = DEPLOYMENT,
    rpc: Rpc = "",
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    json: Json = False,
) -> None:
    """Check what a listing vouches for, and add this peer's signature to the file."""
    from peerage.market import files, selling

    door, account = door_of(deployment, rpc), _account(keystore, password_file)
    key = files.read_content_key(content_key)
    drafted = selling.sign(listing_file, door, [account], artefact, key, licence)
    document = {"listing": drafted.digest.hex(), "signatures": drafted.signatures, "needed": drafted.needed}
    _tell(document, f"{drafted.signatures} of {drafted.needed} signatures", json=json)


def post(
    listing_file: Annotated[Path, typer.Argument(metavar="LISTING.json")],
    *,
    deployment: Deployed = DEPLOYMENT,
    rpc: Rpc = "",
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    json: Json = False,
) -> None:
    """Send a listing that a quorum has signed; anyone may."""
    from peerage.market import selling

    name = selling.post(listing_file, door_of(deployment, rpc), _account(keystore, password_file)).hex()
    _tell({"listing": name}, f"listed as {name}", json=json)


def delist(
    run_dir: RunFolder,
    listing: Annotated[str, typer.Argument(metavar="LISTING")],
    *,
    rpc: Rpc = "",
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    json: Json = False,
) -> None:
    """Take a model off the market with the keystores that are here; what was sold is still delivered and paid."""
    from peerage.market import files, selling

    run, name = run_of(run_dir), files.name_of(listing, "the listing")
    selling.delist(run, door_of(run.deployment, rpc), name, payer_of(run, keystore, password_file))
    _tell({"delisted": name.hex()}, f"{name.hex()} is off the market", json=json)


def show(
    name: Annotated[str, typer.Argument(metavar="[LISTING]", help="One listing; without it all.")] = "",
    *,
    deployment: Deployed = DEPLOYMENT,
    rpc: Rpc = "",
    json: Json = False,
) -> None:
    """What is for sale, for how much, and what it has earned; with the sales."""
    from peerage.market import files

    door = door_of(deployment, rpc)
    wanted = files.name_of(name, "the listing") if name else None
    offers = [v["listing"] for v in door.happened("ModelMarket", "ModelListed") if wanted in (None, v["listing"])]
    bought = [(v["sale"], v["listing"]) for v in door.happened("ModelMarket", "LicenceBought")]
    document: list[dict[str, Any]] = [_offer(door, one, [s for s, of in bought if of == one]) for one in offers]
    _tell({"listings": document}, "\n".join(_in_words(one) for one in document) or "nothing is listed", json=json)


def buy(
    listing: Annotated[str, typer.Argument(metavar="LISTING")],
    *,
    artefact: Artefact,
    licence: Licence,
    key: Annotated[Path, typer.Option(help="Where the one-time key of this purchase goes; keep it.")],
    deployment: Deployed = DEPLOYMENT,
    rpc: Rpc = "",
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    json: Json = False,
) -> None:
    """Pay for a licence; the money is held until the key is delivered."""
    from peerage.market import buying, files

    buyer = _account(keystore, password_file)
    name = files.name_of(listing, "the listing")
    sale = buying.buy(door_of(deployment, rpc), buyer, name, artefact, licence, key).hex()
    _tell({"sale": sale, "key": str(key)}, f"bought: sale {sale}; its key is in {key}", json=json)


def deliver(
    run_dir: RunFolder,
    sale: Annotated[str, typer.Argument(metavar="[SALE]", help="One sale; without it every one that waits.")] = "",
    *,
    rpc: Rpc = "",
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    json: Json = False,
) -> None:
    """Seal the content key for buyers who wait for it; the account must be an active peer's."""
    from peerage.market import files, selling
    from peerage_crypto.errors import InputError

    run = run_of(run_dir)
    door = door_of(run.deployment, rpc)
    named = [_account(keystore, password_file)] if keystore is not None else []
    peers = door.active(named) or door.active(list(selling.local_accounts(run).values()))
    if not peers:
        raise InputError(f"{run_dir} holds no keystore of an active peer: give --keystore")
    names = [s.hex() for s in selling.deliver(run, door, peers[0], files.name_of(sale, "the sale") if sale else None)]
    _tell({"delivered": names}, "\n".join(f"delivered {s}" for s in names) or "no sale waits for a key", json=json)


def open_model(
    key: Annotated[Path, typer.Argument(metavar="KEY", help="What `buy` wrote.")],
    *,
    artefact: Artefact,
    out: Annotated[Path, typer.Option(help="Where the model goes.")] = Path("model.safetensors"),
    deployment: Deployed = DEPLOYMENT,
    rpc: Rpc = "",
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    json: Json = False,
) -> None:
    """Open the model, prove that it is the recorded one, and accept it; a wrong key is complained of instead."""
    from peerage.market import buying

    buyer = _account(keystore, password_file) if keystore is not None else None
    found = buying.open_model(door_of(deployment, rpc), key, artefact, out, buyer)
    document = {
        "sale": found.sale.hex(),
        "aggregate": found.aggregate.hex(),
        "licence": found.licence.hex(),
        "model": str(out),
        "accepted": found.accepted,
    }
    words = f"{out} is the model {found.aggregate.hex()} of the ledger's record; licence {found.licence.hex()}"
    _tell(document, words + ("; delivery accepted" if found.accepted else ""), json=json)


def close(
    sale: Annotated[str, typer.Argument(metavar="SALE")],
    *,
    deployment: Deployed = DEPLOYMENT,
    rpc: Rpc = "",
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    json: Json = False,
) -> None:
    """After its time: the money back where no key came, to the contributors where nobody complained; anyone may."""
    from peerage.market import files, selling

    name = files.name_of(sale, "the sale")
    how = selling.close(door_of(deployment, rpc), _account(keystore, password_file), name)
    _tell({"sale": name.hex(), "closed_by": how}, f"{how} of {name.hex()}", json=json)


def collect(
    run_dir: RunFolder,
    listing: Annotated[str, typer.Argument(metavar="LISTING")],
    *,
    rpc: Rpc = "",
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    json: Json = False,
) -> None:
    """Pay every contributor its share of what a listing has earned so far."""
    from eth_utils.address import to_checksum_address

    from peerage.launch.live import amount
    from peerage.market import files, selling

    run, name = run_of(run_dir), files.name_of(listing, "the listing")
    done = selling.collect(run, door_of(run.deployment, rpc), name, payer_of(run, keystore, password_file))
    paid = {str(to_checksum_address(one)): str(units) for one, units in done.paid.items()}
    words = [f"{one}  {amount(units)}" for one, units in paid.items()]
    words.append(f"{done.dust} smallest units stay in the market: shares are rounded down")
    _tell({"collected": paid, "dust": str(done.dust)}, "\n".join(words), json=json)


def run_of(folder: Path) -> "RunDir":
    from peerage.rundir import RunDir
    from peerage_crypto.errors import InputError

    run = RunDir(folder.absolute())
    if not run.deployment.is_file() or not run.federation.is_file():
        raise InputError(f"{folder} is no run directory: it has no deployment.json or no federation.toml")
    return run


def door_of(deployment: Path, rpc: str) -> "Door":
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.market.door import Door

    return Door(Deployment.read(deployment), rpc)


def _account(keystore: Path | None, password_file: Path | None) -> "Account":
    from peerage.keys import load_account, read_password
    from peerage_crypto.errors import InputError

    if keystore is None:
        raise InputError("who acts? Give --keystore, or PEERAGE_KEYSTORE in the environment")
    return load_account(keystore, read_password(password_file))


def payer_of(run: "RunDir", keystore: Path | None, password_file: Path | None) -> "Account":
    """Of the run itself, unless another account is named: its deployer, or a peer where that was somebody else."""
    from peerage import keys
    from peerage.market.selling import local_accounts

    if keystore is not None:
        return _account(keystore, password_file)
    if not keys.account_file(run.secrets, keys.DEPLOYER).is_file():
        for account in local_accounts(run).values():
            return account
    return _account(keys.account_file(run.secrets, keys.DEPLOYER), keys.password_file(run.secrets, keys.DEPLOYER))


def _offer(door: "Door", name: bytes, sales: list[bytes]) -> dict[str, Any]:
    from eth_utils.address import to_checksum_address

    offer = door.offer(name)
    terms = offer["listing"]
    return {
        "listing": name.hex(),
        "for_sale": not offer["delisted"],
        "aggregate": terms.aggregate.hex(),
        "record": terms.record.hex(),
        "round": terms.round,
        "price": str(terms.price),
        "licence": terms.licence.hex(),
        "artefact": terms.ciphertext.hex(),
        "epoch": terms.epoch,
        "revenue": str(offer["revenue"]),
        "paid": str(offer["paid"]),
        "sales": [
            {
                "sale": sale.hex(),
                "state": receipt["state"],
                "buyer": str(to_checksum_address(receipt["buyer"])),
                "until": receipt["until"],
            }
            for sale in sales
            for receipt in (door.receipt(sale),)
        ],
    }


def _in_words(offer: dict[str, Any]) -> str:
    from peerage.launch.live import amount

    state = "for sale" if offer["for_sale"] else "off the market"
    lines = [
        f"listing {offer['listing']}: {state}, {amount(offer['price'])} a licence",
        f"  model {offer['aggregate']} of round {offer['round']}, licence {offer['licence']}",
        f"  earned {amount(offer['revenue'])}, paid out {amount(offer['paid'])}",
    ]
    lines += [f"  sale {sale['sale']}: {sale['state']}, buyer {sale['buyer']}" for sale in offer["sales"]]
    return "\n".join(lines)


def _tell(document: dict[str, Any], words: str, *, json: bool) -> None:
    import msgspec

    typer.echo(msgspec.json.encode({"schema": 1, **document}).decode() if json else words)
