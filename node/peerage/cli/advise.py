"""`peerage advise`: where, and when, the same run would have emitted less."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import timedelta

    from peerage.adviser.regions import Region


def add_to(app: typer.Typer) -> None:
    app.command("advise")(advise)


def advise(
    run_dir: Annotated[Path | None, typer.Argument(metavar="[RUN_DIR]")] = None,
    *,
    region: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this region; may be repeated.")] = None,
    country: Annotated[list[str] | None, typer.Option(metavar="CODE", help="A country's factor beside them.")] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Regions from this CSV file; codecarbon: its own.")
    ] = None,
    year: Annotated[int | None, typer.Option(help="Of the table, where its lines have none.")] = None,
    energy_wh: Annotated[float | None, typer.Option(help="In place of RUN_DIR: so much energy (assumed).")] = None,
    rec_kwh: Annotated[float | None, typer.Option(help="Certificates held: their own line, never subtracted.")] = None,
    offset_g: Annotated[float | None, typer.Option(help="Offsets in grams: their own line, never subtracted.")] = None,
    forecast: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Carbon Aware SDK JSON: find the best window in it.")
    ] = None,
    location: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Of the forecast; may be repeated.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="average or marginal, where the file does not say.")] = None,
    length: Annotated[str, typer.Option(help="Of the window: 90min, 3h, 1d.")] = "1h",
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Not before; else the first.")] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help="The deadline; else the last.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Compare a run's emissions with other regions, location-based, and find the best hours in a forecast."""
    from peerage.adviser.advice import document, separate, subject_of, timing
    from peerage.adviser.words import lines

    subject = subject_of(run_dir, energy_wh)
    own_lines = separate(subject, rec_kwh, offset_g)
    rows = regions(table, year, region or [])
    windows = timing(forecast, location or [], kind, length_of(length), start, before)
    told = document(subject, rows, country or [], own_lines, windows)
    if json:
        from msgspec.json import encode

        typer.echo(encode(told).decode())
    else:
        typer.echo("\n".join(lines(told)))


def regions(table: Path | None, year: int | None, names: list[str]) -> "tuple[Region, ...]":
    from peerage.adviser.regions import LARGEST_FILE, catalogue, find, parse_table, shipped
    from peerage_crypto.errors import InputError

    if table is None or table == Path("codecarbon"):
        from peerage.emissions.codecarbon_door import cloud_rows

        if year is not None:
            raise InputError("--year goes with --table FILE: the tables that are here have theirs, or state none")
        rows = shipped() if table is None else catalogue(*cloud_rows())
    else:
        try:
            if table.stat().st_size > LARGEST_FILE:
                raise InputError(f"{table} is longer than {LARGEST_FILE >> 20} MiB: no table of regions is")
            rows = parse_table(table.read_text(encoding="utf-8-sig"), str(table), year)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{table} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    return tuple(find(name, rows) for name in names) if names else rows


def length_of(text: str) -> "timedelta":
    import re
    from datetime import timedelta

    from peerage_crypto.errors import InputError

    match = re.fullmatch(r"(\d{1,5})\s*(min|h|d)", text.strip())
    if match is None or int(match[1]) == 0:
        raise InputError(f"--length {text[:20]!r} is no length: write one such as 90min, 3h or 1d")
    return int(match[1]) * {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}[match[2]]
