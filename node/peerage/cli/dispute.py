"""`peerage dispute`: bring to the chain what an audit found and a contract decides."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    app.command("dispute")(dispute)


def dispute(
    run_dir: Annotated[Path | None, typer.Argument(metavar="RUN_DIR")] = None,
    *,
    deployment: Annotated[Path | None, typer.Option(help="Without a run directory: deployment.json,")] = None,
    rpc: Annotated[str, typer.Option(help="a node that has the chain,")] = "",
    store: Annotated[list[str] | None, typer.Option(help="and the artefacts' URL (or several).")] = None,
    settings: Annotated[Path | None, typer.Option(help="federation.toml, if the store has no settings.")] = None,
    file: Annotated[bool, typer.Option("--file", help="Send what the contracts would take.")] = False,
    answer: Annotated[bool, typer.Option("--answer", help="Answer open questions from the artefacts here.")] = False,
    expire: Annotated[bool, typer.Option("--expire", help="Close questions that nobody answered in time.")] = False,
    keystore: Annotated[
        Path | None,
        typer.Option(envvar="PEERAGE_KEYSTORE", help="Who files and pays; without it a run directory's deployer."),
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="Its password; or PEERAGE_PASSWORD.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """What can be disputed: who did what, the call that proves it, what it costs and what it takes.

    Exit code 0: nothing to dispute, or all decided; 1: something can be disputed or somebody was convicted; 2: wrong
    input; 3: node or store was unreachable.
    """
    import msgspec

    from peerage.audit.progress import Progress
    from peerage.audit.sources import Address
    from peerage.disputes.door import dispute_afar, dispute_run
    from peerage.disputes.filing import Wants
    from peerage.keys import load_account, read_password
    from peerage_crypto.errors import InputError

    wants = Wants(file, answer, expire)
    account = None if keystore is None else load_account(keystore, read_password(password_file))
    progress = Progress()

    def say(sentence: str) -> None:
        progress.end()
        typer.echo(sentence, err=True)

    try:
        if run_dir is not None and not (deployment or rpc or store):
            if not (run_dir / "federation.toml").is_file():
                raise InputError(f"{run_dir} is no run directory: it has no federation.toml")
            told = dispute_run(run_dir.absolute(), wants, account, progress, say)
        elif run_dir is None and deployment and rpc and store:
            address = Address(rpc, tuple(store), deployment=deployment, settings=settings)
            told = dispute_afar(address, wants, account, progress, say)
        else:
            raise InputError("dispute what? Give RUN_DIR; or --deployment, --rpc and --store together")
    finally:
        progress.end()
    typer.echo(msgspec.json.encode(told.document).decode() if json else told.words)
    raise typer.Exit(1 if told.document.found_fault else 0)
