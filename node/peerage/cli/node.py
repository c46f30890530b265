"""`peerage node`, `peerage claim` and `peerage status`: one peer, and what the chain owes it."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
from pathlib import Path
from typing import Annotated

import typer

Rpc = Annotated[str, typer.Option(help="The node's URL; without it the deployment's.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def add_to(app: typer.Typer) -> None:
    app.command("node")(node)
    app.command("claim")(claim)
    app.command("status")(status)


def node(
    file: Annotated[Path, typer.Argument(metavar="NODE.toml")],
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after a stop or a crash.")] = False,
) -> None:
    """Run one peer; it finds the others through the registry contract. Ctrl-C stops it."""
    from peerage.launch.one_node import run_node

    raise typer.Exit(run_node(file, resume=resume))


def claim(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Its deployment.json and store/ are read.")],
    *,
    rpc: Rpc = "",
    keystore: Annotated[
        Path | None, typer.Option(envvar="PEERAGE_KEYSTORE", help="Who pays the gas; anyone may.  [default: deployer]")
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="Its password; or PEERAGE_PASSWORD.")] = None,
    json: Json = False,
) -> None:
    """Pay out everything that the published root owes, to everybody, in one transaction."""
    import msgspec
    from eth_utils.address import to_checksum_address

    from peerage import keys
    from peerage.launch.claims import claim_for_all
    from peerage.launch.live import amount
    from peerage.rundir import RunDir
    from peerage_crypto.errors import InputError

    run = RunDir(run_dir.absolute())
    if not run.deployment.is_file():
        raise InputError(f"{run_dir} is no run directory: it has no deployment.json")
    place = keystore or keys.account_file(run.secrets, keys.DEPLOYER)
    secret = password_file or (None if keystore else keys.password_file(run.secrets, keys.DEPLOYER))
    paid = claim_for_all(run, keys.load_account(place, keys.read_password(secret)), rpc)
    by_account = {str(to_checksum_address(account)): str(units) for account, units in sorted(paid.items())}
    if json:
        typer.echo(msgspec.json.encode({"schema": 1, "claimed": by_account}).decode())
        return
    for account, units in by_account.items():
        typer.echo(f"{account}  {amount(units)}")


def status(
    deployment: Annotated[Path, typer.Option(help="deployment.json")] = Path("deployment.json"),
    *,
    address: Annotated[str, typer.Option(help="Whose account; without it the one of --keystore.")] = "",
    keystore: Annotated[Path | None, typer.Option(envvar="PEERAGE_KEYSTORE")] = None,
    password_file: Annotated[Path | None, typer.Option(help="Its password; or PEERAGE_PASSWORD.")] = None,
    rpc: Rpc = "",
    json: Json = False,
) -> None:
    """What the chain says of one peer: registration, stake, pay."""
    import msgspec
    from eth_utils.address import is_address, to_checksum_address

    from peerage.keys import load_account, read_password
    from peerage.launch.claims import standing
    from peerage.launch.live import amount
    from peerage_crypto.errors import InputError
    from peerage_ledger.deployment import Deployment

    if address and not is_address(address):
        raise InputError(f"--address {address}: that is no address (0x and 40 hex digits, checksum right)")
    if not address and keystore is None:
        raise InputError("whose status? Give --address, or --keystore with its password")
    if address:
        account = bytes.fromhex(address[2:])
    else:
        assert keystore is not None
        account = load_account(keystore, read_password(password_file)).address
    found = standing(Deployment.read(deployment), account, rpc)
    mine = found.registration
    document = {
        "schema": 1,
        "address": str(to_checksum_address(account)),
        "registered": mine is not None,
        "active": mine is not None and mine.active,
        "endpoint": mine.endpoint if mine else "",
        "stake": str(mine.stake if mine else 0),
        "claimed": str(found.vault.claimed.get(account, 0)),
        "rounds_recorded": found.rounds,
        "reward_epoch": found.vault.epoch,
    }
    if json:
        typer.echo(msgspec.json.encode(document).decode())
        return
    state = "active" if document["active"] else "leaving" if mine else "not registered"
    typer.echo(f"{document['address']}: {state}{f' at {mine.endpoint}' if mine else ''}")
    typer.echo(f"stake {amount(str(document['stake']))}, paid {amount(str(document['claimed']))} PEER")
    typer.echo(f"{found.rounds} rounds are recorded; reward epoch {found.vault.epoch}")
