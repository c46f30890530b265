"""`peerage compare`: runs side by side."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    app.command("compare")(compare)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_A RUN_B [RUN...]")],
    *,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as one HTML page too, with plots.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Lay finished runs side by side, and say which difference is larger than the spread over seeds."""
    from msgspec.json import encode

    from peerage.comparison import document, grouped, in_words, page, read_runs
    from peerage.rundir import write_whole
    from peerage_crypto.errors import InputError

    groups = grouped(read_runs(runs))
    if out:
        try:
            write_whole(out, page(groups).encode("utf-8", "replace"))
        except OSError as error:
            raise InputError(f"{out} cannot be written: {error.strerror or error}; name another file") from None
    typer.echo(encode(document(groups)).decode() if json else in_words(groups))
    if out and not json:
        typer.echo(f"\nWrote {out}")
