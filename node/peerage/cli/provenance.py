"""`peerage provenance`: where models come from, and who is in them."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from peerage.provenance.sources import Opened
    from peerage_crypto.identity import Account


def add_to(app: typer.Typer) -> None:
    app.command("provenance")(provenance)


def provenance(
    run_dir: Annotated[Path | None, typer.Argument(metavar="RUN_DIR")] = None,
    *,
    deployment: Annotated[Path | None, typer.Option(help="Without a run directory: its deployment.json,")] = None,
    rpc: Annotated[str | None, typer.Option(help="a node that has the chain,")] = None,
    store: Annotated[str | None, typer.Option(help="and, for who is in a model, the artefacts' URL.")] = None,
    contains: Annotated[str | None, typer.Option(metavar="PEER:VERSION", help="Which models contain it?")] = None,
    between: Annotated[tuple[str, str] | None, typer.Option(metavar="A B", help="What is between them?")] = None,
    of: Annotated[Path | None, typer.Option(metavar="MODEL_FILE", help="Where does this file come from?")] = None,
    log: Annotated[bool, typer.Option("--log", help="Every record, newest first.")] = False,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the graph of models.")] = None,
    in_toto: Annotated[Path | None, typer.Option(metavar="DIR", help="Write an in-toto statement a model,")] = None,
    keystore: Annotated[Path | None, typer.Option(metavar="FILE", help="signed with this account's key,")] = None,
    password_file: Annotated[Path | None, typer.Option(help="which this file opens (or PEERAGE_PASSWORD).")] = None,
    mlflow: Annotated[str | None, typer.Option(metavar="URI", help="Register the paid models with MLflow.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Ask for the models of a federation. A and B: a round, genesis, final, or how a record or model hash begins."""
    from msgspec.json import encode

    from peerage.provenance import answers
    from peerage.provenance.sources import open_sources

    answers.check_asked(contains=contains, keystore=keystore, in_toto=in_toto)
    account = _account(keystore, password_file)
    opened = open_sources(run_dir, deployment, rpc, store)
    if warning := answers.warning(opened):
        typer.echo(warning, err=True)
    said, document = _answer(opened, contains, between, of, log=log)
    for words, key, value in answers.written(opened, svg=svg, in_toto=in_toto, account=account, mlflow=mlflow):
        said.append(words)
        document[key] = value
    if not said:
        said, document = [answers.overview(opened)], answers.whole(opened)
    typer.echo(encode({"schema": 1, **document}).decode() if json else "\n\n".join(said))


def _answer(
    opened: Opened, contains: str | None, between: tuple[str, str] | None, of: Path | None, *, log: bool
) -> tuple[list[str], dict[str, Any]]:
    from peerage.provenance import answers

    found: dict[str, tuple[str, dict[str, Any]]] = {}
    if contains is not None:
        found["contains"] = answers.contains(opened, contains)
    if between is not None:
        found["between"] = answers.between(opened, between)
    if of is not None:
        found["of"] = answers.of(opened, of)
    if log:
        found["log"] = answers.log(opened)
    return [words for words, _ in found.values()], {key: document for key, (_, document) in found.items()}


def _account(keystore: Path | None, password_file: Path | None) -> Account | None:
    if keystore is None:
        return None
    from peerage.keys import load_account, read_password

    return load_account(keystore, read_password(password_file))
