"""`peerage devnet` and `peerage deploy`."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

DEVNET_ETHER = 10_000
WEI = 10**18


def add_to(app: typer.Typer) -> None:
    app.command("devnet")(devnet)
    app.command("deploy")(deploy)


def devnet(
    *,
    engine: Annotated[str, typer.Option(help="auto, anvil, ganache or embedded.")] = "auto",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8545,
    chain_id: Annotated[int, typer.Option(min=1)] = 31337,
    state: Annotated[Path, typer.Option(help="Where the chain and its funded account are kept.")] = Path("devnet"),
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout when it is ready.")] = False,
) -> None:
    """A local chain until Ctrl-C, with one funded account whose keystore it names."""
    import msgspec
    from eth_utils.address import to_checksum_address

    from peerage.keys import (
        DEPLOYER,
        account_file,
        create_with_random_password,
        load_keys,
        password_file,
        read_password,
    )
    from peerage_crypto.errors import InputError
    from peerage_ledger.devnets.devnet import start

    if "://" in engine:
        raise InputError(f"--engine {engine}: a devnet is started here: say auto, anvil, ganache or embedded")
    from peerage_ledger.devnets.engines import choose

    choose(engine)  # a wrong name is refused before anything is written
    secrets = state.absolute() / "secrets"
    if account_file(secrets, DEPLOYER).exists():
        keys = load_keys(secrets, DEPLOYER, read_password(password_file(secrets, DEPLOYER)))
    else:
        keys = create_with_random_password(secrets, DEPLOYER)
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    funds = {keys.account.address: DEVNET_ETHER * WEI}
    with start(engine, state.absolute() / "chain", chain_id=chain_id, accounts=funds, port=port) as chain:
        said = {
            "schema": 1,
            "engine": chain.engine,
            "rpc": chain.rpc_url,
            "chain_id": chain_id,
            "account": str(to_checksum_address(keys.account.address)),
            "keystore": str(account_file(secrets, DEPLOYER)),
            "password_file": str(password_file(secrets, DEPLOYER)),
        }
        if json:
            typer.echo(msgspec.json.encode(said).decode())
        else:
            typer.echo(f"{said['engine']} devnet at {said['rpc']}, chain id {chain_id}; Ctrl-C ends it.")
            typer.echo(f"funded account {said['account']}: {said['keystore']}, password in {said['password_file']}")
        stop.wait()


def deploy(
    federation: Annotated[Path | None, typer.Argument(metavar="FEDERATION.toml")] = None,
    *,
    rpc: Annotated[str, typer.Option(help="The node's URL.")],
    keystore: Annotated[
        Path, typer.Option(envvar="PEERAGE_KEYSTORE", help="Keystore of the account that pays and holds the tokens.")
    ],
    password_file: Annotated[Path | None, typer.Option(help="Its password; or PEERAGE_PASSWORD.")] = None,
    peer: Annotated[list[str] | None, typer.Option(help="An address that gets the stake; may be repeated.")] = None,
    founder: Annotated[
        list[str] | None,
        typer.Option(
            help="Admit by invitation; these accounts need none. May be repeated. Without it anybody may join."
        ),
    ] = None,
    fund: Annotated[bool, typer.Option("--fund", help="Send each --peer 0.1 ether too, for its gas.")] = False,
    out: Annotated[Path, typer.Option(help="Where the addresses go.")] = Path("deployment.json"),
    json: Annotated[bool, typer.Option("--json", help="Print deployment.json on stdout.")] = False,
) -> None:
    """Put a federation's contracts on a chain; peers and auditors need the deployment.json that it writes."""
    from dataclasses import replace

    from peerage.cli.run import assemble
    from peerage.config_toml import federation_hash
    from peerage.keys import load_account, read_password
    from peerage.launch.chain_side import deploy_terms, share_gas_money
    from peerage_crypto.errors import InputError
    from peerage_ledger.deploy import deploy as put

    settings = assemble(federation, {})
    if out.exists():
        raise InputError(f"{out} exists already: name another --out, or move it away")
    stake = int(settings.rewards.min_stake)
    account, peers = load_account(keystore, read_password(password_file)), [_address(text) for text in peer or []]
    if fund:
        share_gas_money(rpc, settings.ledger.chain_id, account, peers)
    deployment, sent = put(
        rpc,
        account,
        federation_hash(settings),
        replace(deploy_terms(settings), founders=tuple(_address(text) for text in founder or [])),
        chain_id=settings.ledger.chain_id,
        peers=dict.fromkeys(peers, stake),
    )
    deployment.write(out)
    if json:
        typer.echo(deployment.to_json().decode(), nl=False)
    else:
        gas = sum(one.gas_used for one in sent)
        count = len(deployment.addresses())
        typer.echo(
            f"{count} contracts on chain {deployment.chain_id} in {len(sent)} transactions, {gas} gas: see {out}"
        )


def _address(text: str) -> bytes:
    from eth_utils.address import is_address

    from peerage_crypto.errors import InputError

    if not is_address(text):
        raise InputError(f"{text}: that is no address (0x and 40 hex digits, checksum right)")
    return bytes.fromhex(text[2:])
