"""`peerage verify`: one model file against the chain."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    app.command("verify")(verify)


def verify(
    model: Annotated[Path, typer.Argument(metavar="MODEL.safetensors")],
    run_dir: Annotated[Path | None, typer.Argument(metavar="[RUN_DIR]")] = None,
    *,
    deployment: Annotated[Path | None, typer.Option(help="Without a run directory: its deployment.json,")] = None,
    rpc: Annotated[str | None, typer.Option(help="a node that has the chain,")] = None,
    store: Annotated[str | None, typer.Option(help="and, for signatures, the artefacts' URL.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Is this file a model of the federation? Exit code 0: verified, 1: altered or unknown, 2: cannot be said."""
    from msgspec.json import encode

    from peerage.provenance import verifying
    from peerage.provenance.sources import open_sources

    verdict = verifying.verify(model, open_sources(run_dir, deployment, rpc, store))
    typer.echo(encode(verdict.document).decode() if json else verdict.in_words())
    raise typer.Exit(verdict.code)
