"""`peerage invite`: how a federation that is not open to everybody admits a peer."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from peerage_crypto.identity import Account

File = Annotated[Path, typer.Argument(metavar="INVITATION.json")]
Place = Annotated[Path, typer.Option(help="deployment.json")]
Keystore = Annotated[Path, typer.Option(envvar="PEERAGE_KEYSTORE", help="Keystore of the member that signs.")]
Secret = Annotated[Path | None, typer.Option("--password-file", help="Its password; or PEERAGE_PASSWORD.")]
Rpc = Annotated[str, typer.Option(help="The node's URL; without it the deployment's.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

DEPLOYMENT = Path("deployment.json")
DAY = 86_400


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Invitations to a federation that was deployed with --founder.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("new")(new)
    group.command("sign")(sign)
    group.command("show")(show)
    app.add_typer(group, name="invite")


def new(
    account: Annotated[str, typer.Argument(metavar="ADDRESS", help="Who is invited.")],
    *,
    deployment: Place = DEPLOYMENT,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long it may be used.")] = 30,
    out: Annotated[Path, typer.Option(help="Where it is written.")] = Path("invitation.json"),
    keystore: Annotated[
        Path | None, typer.Option(envvar="PEERAGE_KEYSTORE", help="Sign it at once with this member's keystore.")
    ] = None,
    password_file: Secret = None,
) -> None:
    """Write an invitation; pass it round until a quorum of the active peers has signed it."""
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.invitations import invite, to_json

    place, address = Deployment.read(deployment), _address(account)
    if out.exists():
        _fail(f"{out} exists already: name another --out, or move it away")
    invitation = invite(place, address, int(time.time()) + days * DAY)
    if keystore is not None:
        invitation = invitation.signed_by(_account(keystore, password_file))
    out.write_bytes(to_json(invitation))
    typer.echo(f"{out}: invites {account} for {days} days, {len(invitation.signatures)} signatures so far")


def sign(file: File, *, keystore: Keystore, password_file: Secret = None, deployment: Place = DEPLOYMENT) -> None:
    """Add this member's signature; signing twice changes nothing."""
    from peerage.launch.admission import read_invitation
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.invitations import to_json

    invitation = read_invitation(file, Deployment.read(deployment)).signed_by(_account(keystore, password_file))
    part = file.with_suffix(".part")
    part.write_bytes(to_json(invitation))
    part.replace(file)
    typer.echo(f"{file}: {len(invitation.signatures)} signatures")


def show(file: File, *, deployment: Place = DEPLOYMENT, rpc: Rpc = "", json: Json = False) -> None:
    """Who has signed it, how many more it needs, and whether the register would take it now."""
    from dataclasses import replace

    import msgspec
    from eth_utils.address import to_checksum_address

    from peerage.launch.admission import ask, may_register, read_invitation
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.rpc import connect
    from peerage_ledger.view import quorum

    place = Deployment.read(deployment)
    place = replace(place, rpc=rpc or place.rpc)
    invitation = read_invitation(file, place)
    node = connect(place.rpc, place.chain_id)
    (active,) = ask(node, place, "PeerRegistry", "activeCount")
    signers = list(invitation.signers())
    counted = [s for s in signers if ask(node, place, "PeerRegistry", "isActive", s)[0]]
    assert isinstance(active, int)
    document = {
        "schema": 1,
        "account": str(to_checksum_address(invitation.account)),
        "deadline": invitation.deadline,
        "signed_by": [str(to_checksum_address(signer)) for signer in signers],
        "active_signatures": len(counted),
        "needed": quorum(active),
        "admitted": may_register(place, invitation.account, invitation.blobs()),
    }
    if json:
        typer.echo(msgspec.json.encode(document).decode())
        return
    typer.echo(f"invites {document['account']} until Unix second {invitation.deadline}")
    typer.echo(f"signed by {len(counted)} active peers of {document['needed']} that are needed")
    for signer in signers:
        typer.echo(f"  {to_checksum_address(signer)}{'' if signer in counted else ' (no active peer)'}")
    typer.echo("the register takes it" if document["admitted"] else "the register does not take it yet")
    if not document["admitted"]:
        raise typer.Exit(1)


def _account(keystore: Path, password_file: Path | None) -> "Account":
    from peerage.keys import load_account, read_password

    return load_account(keystore, read_password(password_file))


def _address(text: str) -> bytes:
    from eth_utils.address import is_address

    if not is_address(text):
        _fail(f"{text}: that is no address (0x and 40 hex digits, checksum right)")
    return bytes.fromhex(text[2:])


def _fail(sentence: str) -> None:
    from peerage_crypto.errors import InputError

    raise InputError(sentence)
