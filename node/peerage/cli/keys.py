"""`peerage keys`: an account and a CURVE key, encrypted."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from peerage.keys import PeerKeys

Folder = Annotated[Path, typer.Option("--secrets", help="The folder of the keystores (0700).")]
Name = Annotated[str, typer.Option(help="The peer's name: its files are NAME.json and NAME.curve.json.")]
PasswordFile = Annotated[
    Path | None, typer.Option(help="A file with the password; without it PEERAGE_PASSWORD from the environment.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

SECRETS = Path("secrets")


def add_to(app: typer.Typer) -> None:
    keys = typer.Typer(
        help="Encrypted keys of a peer: Ethereum account and CURVE transport key.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    keys.command("new")(new)
    keys.command("show")(show)
    keys.command("rotate")(rotate)
    app.add_typer(keys, name="keys")


def new(
    *, name: Name = "peer", secrets: Folder = SECRETS, password_file: PasswordFile = None, json: Json = False
) -> None:
    """Make both keys; refuses to write over others."""
    from peerage.keys import create_keys, read_password

    _tell(create_keys(secrets, name, read_password(password_file)), json=json)


def show(
    *, name: Name = "peer", secrets: Folder = SECRETS, password_file: PasswordFile = None, json: Json = False
) -> None:
    """The public halves; opens the keystores to prove that the password fits."""
    from peerage.keys import load_keys, read_password

    _tell(load_keys(secrets, name, read_password(password_file)), json=json)


def rotate(
    *, name: Name = "peer", secrets: Folder = SECRETS, password_file: PasswordFile = None, json: Json = False
) -> None:
    """A new transport key for the same account; the registry learns it when the peer starts next."""
    from peerage.keys import read_password, rotate_curve

    _tell(rotate_curve(secrets, name, read_password(password_file)), json=json)


def _tell(keys: "PeerKeys", *, json: bool) -> None:
    import msgspec
    from eth_utils.address import to_checksum_address

    address, transport = str(to_checksum_address(keys.account.address)), keys.curve.public.hex()
    if json:
        typer.echo(msgspec.json.encode({"schema": 1, "address": address, "transport_key": transport}).decode())
    else:
        typer.echo(f"account        {address}\ntransport key  {transport}")
