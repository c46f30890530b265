"""`peerage bonus`: what peers that emit less get on top of their pay, and the transfers that pay it."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    app.command("bonus")(bonus)


def bonus(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR")],
    *,
    pay: Annotated[
        bool, typer.Option("--pay", help="Send what is owed; what was paid already is not sent again.")
    ] = False,
    keystore: Annotated[
        Path | None,
        typer.Option(envvar="PEERAGE_KEYSTORE", help="Who pays; without it the run directory's deployer."),
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="Its password; or PEERAGE_PASSWORD.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """The green bonus of a run: who gets what, who gets none and why, what was paid. It audits the run first.

    Exit code 0: done, 1: the run has findings, 2: wrong input, 3: the chain was unreachable.
    """
    import msgspec

    from peerage.audit.paying import bonus_run
    from peerage.audit.progress import Progress
    from peerage.keys import load_account, read_password
    from peerage_crypto.errors import InputError

    if not (run_dir / "federation.toml").is_file():
        raise InputError(f"{run_dir} is no run directory: it has no federation.toml")
    account = None if keystore is None else load_account(keystore, read_password(password_file))
    progress = Progress()

    def say(sentence: str) -> None:
        progress.end()
        typer.echo(sentence, err=True)

    try:
        report = bonus_run(run_dir.absolute(), pay=pay, account=account, heard=progress, say=say)
    finally:
        progress.end()
    assert report.bonus is not None
    if json:
        typer.echo(msgspec.json.encode(report.bonus.told()).decode())
    else:
        typer.echo("\n".join([*report.bonus.in_words(report.names), *map(report.bonus.of, report.bonus.amounts)]))
    raise typer.Exit(1 if report.findings else 0)
