"""`peerage stake`: leaving with one's stake, and getting it back when the account's key is lost."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
import time
from pathlib import Path
from typing import Annotated

import typer

Place = Annotated[Path, typer.Option(help="deployment.json")]
Keystore = Annotated[Path, typer.Option(envvar="PEERAGE_KEYSTORE", help="Keystore of the account that asks and pays.")]
Secret = Annotated[Path | None, typer.Option("--password-file", help="Its password; or PEERAGE_PASSWORD.")]
Rpc = Annotated[str, typer.Option(help="The node's URL; without it the deployment's.")]

DEPLOYMENT = Path("deployment.json")


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(
        help="A peer's stake: leave, withdraw, and the address that may recover it.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("leave")(leave)
    group.command("withdraw")(withdraw)
    group.command("recovery")(recovery)
    group.command("recover")(recover)
    app.add_typer(group, name="stake")


def leave(*, keystore: Keystore, password_file: Secret = None, deployment: Place = DEPLOYMENT, rpc: Rpc = "") -> None:
    """Stop being a peer, at once; the stake comes free after the unbonding time."""
    _send(keystore, password_file, deployment, rpc, "leave")
    typer.echo("left: nothing that this account signs counts from here on")
    _say_when(keystore, password_file, deployment, rpc)


def withdraw(
    *,
    peer: Annotated[
        str, typer.Option(help="A peer that this account has recovered; without it the account's own.")
    ] = "",
    keystore: Keystore,
    password_file: Secret = None,
    deployment: Place = DEPLOYMENT,
    rpc: Rpc = "",
) -> None:
    """Take the stake out after the unbonding time."""
    if peer:
        _send(keystore, password_file, deployment, rpc, "withdrawFor", _address(peer))
    else:
        _send(keystore, password_file, deployment, rpc, "withdraw")
    typer.echo("withdrawn")


def recovery(
    address: Annotated[str, typer.Argument(help="Who may recover this account: a key that is kept elsewhere.")],
    *,
    keystore: Keystore,
    password_file: Secret = None,
    deployment: Place = DEPLOYMENT,
    rpc: Rpc = "",
) -> None:
    """Choose, once and for good, who may take over stake and rewards when this account's key is lost or stolen."""
    _send(keystore, password_file, deployment, rpc, "setRecovery", _address(address))
    typer.echo(f"{address} may recover this account: keep its key on another machine")


def recover(
    peer: Annotated[str, typer.Argument(help="The account whose key is lost or stolen.")],
    *,
    keystore: Keystore,
    password_file: Secret = None,
    deployment: Place = DEPLOYMENT,
    rpc: Rpc = "",
) -> None:
    """End a peer whose key is lost or stolen, from its recovery address: stake and rewards are this account's then."""
    _send(keystore, password_file, deployment, rpc, "recover", _address(peer))
    typer.echo(f"{peer} is no peer any more; its rewards go to this account, its stake after the unbonding time:")
    typer.echo(f"  peerage stake withdraw --peer {peer}")
    _say_when(keystore, password_file, deployment, rpc, peer)


def _send(
    keystore: Path, password_file: Path | None, deployment: Path, rpc: str, function: str, *arguments: object
) -> None:
    from peerage.keys import load_account, read_password
    from peerage_crypto.errors import ChainError, InputError
    from peerage_ledger.contracts import contract
    from peerage_ledger.deploy import Deployer
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.rpc import connect

    place, account = Deployment.read(deployment), load_account(keystore, read_password(password_file))
    node = connect(rpc or place.rpc, place.chain_id)
    call = contract("PeerRegistry").call(function, *arguments)
    try:
        Deployer(node, account, place.chain_id).send_all([(function, place.registry, call)])
    except ChainError as error:
        raise InputError(f"the register refuses: {error}") from None


def _say_when(keystore: Path, password_file: Path | None, deployment: Path, rpc: str, peer: str = "") -> None:
    from peerage.keys import load_account, read_password
    from peerage.launch.admission import ask
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.rpc import connect

    place = Deployment.read(deployment)
    whose = bytes.fromhex(peer[2:]) if peer else load_account(keystore, read_password(password_file)).address
    node = connect(rpc or place.rpc, place.chain_id)
    *_, withdrawable = ask(node, place, "PeerRegistry", "peerOf", whose)
    assert isinstance(withdrawable, int)
    left = max(0, withdrawable - int(time.time()))
    typer.echo(f"the stake comes free at Unix second {withdrawable} ({left} s from now)")


def _address(text: str) -> bytes:
    from eth_utils.address import is_address

    from peerage_crypto.errors import InputError

    if not is_address(text):
        raise InputError(f"{text}: that is no address (0x and 40 hex digits, checksum right)")
    return bytes.fromhex(text[2:])
