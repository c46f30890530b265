"""`peerage report`: a run as one page."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    app.command("report")(report)


def report(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR")],
    *,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The page; else report.html in RUN_DIR.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Energy and CO2e by every cut, as CSV.")] = None,
    sci: Annotated[Path | None, typer.Option(metavar="FILE", help="ISO/IEC 21031 scores per round, as JSON.")] = None,
    boamps: Annotated[Path | None, typer.Option(metavar="FILE", help="A BoAmps 1.1.0 report, as JSON.")] = None,
    offset_g: Annotated[float | None, typer.Option(help="Offsets in grams: their own line, never subtracted.")] = None,
    offset_source: Annotated[str, typer.Option(help="Whose offsets: registry and serial.")] = "",
    market_factor: Annotated[
        float | None, typer.Option(help="g CO2e/kWh of a contract, for the market-based line,")
    ] = None,
    market_source: Annotated[str, typer.Option(help="and which contract.")] = "",
    embodied_g: Annotated[float | None, typer.Option(help="Embodied grams of one host (TE), for the SCI,")] = None,
    lifespan_years: Annotated[float | None, typer.Option(help="and how long it is used (EL).")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Write a run as one self-contained HTML page: every number with its label, source and band."""
    from msgspec.json import encode
    from msgspec.json import format as indented

    from peerage.report import Asked, page, read_run
    from peerage.report.boamps import boamps_document
    from peerage.report.documents import csv_text, document, sci_document
    from peerage.rundir import write_whole
    from peerage_crypto.errors import InputError

    if offset_source and offset_g is None:
        raise InputError("--offset-source says whose offsets, and --offset-g how much: give both")
    _check(offset_g, market_factor, embodied_g, lifespan_years)
    told = read_run(run_dir, Asked(offset_g, market_factor, market_source, embodied_g, lifespan_years, offset_source))
    wanted = {out or run_dir / "report.html": page(told).encode("utf-8", "replace")}
    if csv:
        wanted[csv] = csv_text(told).encode("utf-8", "replace")
    if sci:
        wanted[sci] = indented(encode(sci_document(told)), indent=2)
    if boamps:
        wanted[boamps] = indented(encode(boamps_document(told)), indent=2)
    for path, data in wanted.items():
        try:
            write_whole(path, data)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror or error}; name a file with --out") from None
    if json:
        typer.echo(encode({**document(told), "files": [str(path) for path in wanted]}).decode())
    else:
        typer.echo("\n".join(f"Wrote {path}" for path in wanted))


def _check(
    offset_g: float | None, market_factor: float | None, embodied_g: float | None, lifespan_years: float | None
) -> None:
    from peerage_crypto.errors import InputError

    for name, number in (("--offset-g", offset_g), ("--market-factor", market_factor), ("--embodied-g", embodied_g)):
        if number is not None and not 0 <= number < 1e15:
            raise InputError(f"{name} {number:g} is no amount: give a number from 0 up")
    if (embodied_g is None) != (lifespan_years is None):
        raise InputError("--embodied-g and --lifespan-years go together: M needs both TE and EL")
    if lifespan_years is not None and not 0 < lifespan_years <= 100:
        raise InputError(f"--lifespan-years {lifespan_years:g} is no lifespan: give years from above 0 to 100")
