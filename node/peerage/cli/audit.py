"""`peerage audit`: replay a run and say what does not hold."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    app.command("audit")(audit)


def audit(
    run_dir: Annotated[Path | None, typer.Argument(metavar="RUN_DIR")] = None,
    *,
    deployment: Annotated[Path | None, typer.Option(help="Without a run directory: its deployment.json,")] = None,
    rpc: Annotated[str | None, typer.Option(help="a node that has the chain,")] = None,
    store: Annotated[str | None, typer.Option(help="and the artefacts' URL.")] = None,
    explain: Annotated[str | None, typer.Option(metavar="PEER", help="How this peer's pay came about.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Recompute everything from artefacts and chain. Exit code 0: clean, 1: findings, 2: could not be audited."""
    from peerage.audit import door as audit_door
    from peerage_crypto.errors import InputError

    if run_dir is not None and not (deployment or rpc or store):
        if not (run_dir / "federation.toml").is_file():
            raise InputError(f"{run_dir} is no run directory: it has no federation.toml")
        report = audit_door.audit(run_dir.absolute())
    elif run_dir is None and deployment and rpc and store:
        report = audit_door.audit_remote(deployment, rpc, store)
    else:
        raise InputError("audit what? Give RUN_DIR, or --deployment, --rpc and --store together")
    if json:
        typer.echo(report.to_json().decode())
    else:
        typer.echo(report.in_words())
    if explain is not None:
        typer.echo(report.explain(explain), err=json)
    raise typer.Exit(1 if report.findings else 0)
