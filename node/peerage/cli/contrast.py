"""`peerage contrast`: the same training in one place and in a federation."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from peerage.contrast.contrast import Contrast

RUNS = Path("runs")


def add_to(app: typer.Typer) -> None:
    app.command("contrast")(contrast)


def contrast(
    *,
    full: Annotated[bool, typer.Option("--full", help="Digits and MNIST (needs --data-dir), three seeds.")] = False,
    data: Annotated[
        list[str] | None, typer.Option(help="digits, mnist or mnist:N; may be repeated.  [default: digits]")
    ] = None,
    data_dir: Annotated[str, typer.Option(help="mnist: the folder with the IDX files.")] = "",
    optimiser: Annotated[
        list[str] | None, typer.Option(help="fedavg, fedadam; may be repeated.  [default: both]")
    ] = None,
    epochs: Annotated[
        list[int] | None, typer.Option(min=1, help="Local epochs; may be repeated.  [default: 1 and 5]")
    ] = None,
    partition: Annotated[
        list[str] | None, typer.Option(help="May be repeated.  [default: iid and dirichlet:0.3]")
    ] = None,
    peers: Annotated[int, typer.Option(min=3, max=64, help="How many peers.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="After so many the target counts as not reached.")] = 40,
    target: Annotated[
        float, typer.Option(help="Test accuracy at which both stop counting, as a share; 0: the data set's own.")
    ] = 0.0,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="How many seeds, from 0.")] = 1,
    pue: Annotated[
        str, typer.Option(help="Of the one place, in (b) and (c): a number, world-2019, google, amazon or microsoft.")
    ] = "world-2019",
    country: Annotated[str, typer.Option(help="ISO 3166 alpha-3 code, for CO2e (DEU, FRA, ...).")] = "",
    ledger: Annotated[str, typer.Option(help="As for peerage run.")] = "auto",
    example: Annotated[
        str | None, typer.Option(metavar="mnist", help="Instead: the chapter's MLP 784-128-10, 10 epochs, metered.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="For the runs, contrast.json and contrast.html.  [default: runs/TIME-contrast]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, progress on stderr.")] = False,
) -> None:
    """Train in one place and in a federation to the same accuracy, metered alike; say which orderings hold."""
    from msgspec.json import encode, format  # noqa: A004 - msgspec's word

    from peerage.contrast.contrast import contrast as contrasted
    from peerage.contrast.contrast import example as played
    from peerage.contrast.grid import EPOCHS, OPTIMISERS, SKEW, TARGETS, Plan, checked
    from peerage.contrast.page import page
    from peerage.contrast.words import example_words, in_words
    from peerage.emissions.codecarbon_door import probe_host
    from peerage.estimate.centralised import Facility, pue_of
    from peerage.rundir import default_out, write_whole
    from peerage_crypto.errors import InputError

    if example is not None:
        if example != "mnist":
            raise InputError(f"--example {example!r} is not known: the chapter has one, mnist")
        shown = played(data_dir, country, probe_host(country or None))
        typer.echo(encode(shown).decode() if json else example_words(shown))
        return
    ratio = pue_of(pue)
    Facility(pue=ratio[0])  # within what a PUE can be
    plan = checked(
        Plan(
            data=tuple(data or (TARGETS if full else ("digits",))),
            partitions=tuple(partition or ("iid", SKEW)),
            optimisers=tuple(optimiser or OPTIMISERS),
            epochs=tuple(epochs or EPOCHS),
            seeds=tuple(range(3 if full and seeds == 1 else seeds)),
            peers=peers,
            rounds=rounds,
            target=target,
            data_dir=str(Path(data_dir).absolute()) if data_dir else "",
            country=country,
            ledger=ledger,
        )
    )
    place = out or default_out("contrast", dt.datetime.now(dt.UTC).astimezone(), RUNS)
    if place.is_dir() and any(place.iterdir()):
        raise InputError(f"--out {place} is not empty: choose another")

    def say(sentence: str) -> None:
        typer.echo(sentence, err=True)

    def keep(so_far: "Contrast") -> None:
        place.mkdir(parents=True, exist_ok=True)
        write_whole(place / "contrast.json", format(encode(so_far), indent=1))
        write_whole(place / "contrast.html", page(so_far).encode("utf-8", "replace"))

    many = len(list(plan.centres())), len(list(plan.cells()))
    say(f"{many[0]} trainings in one place, {many[1]} federations, one after the other; everything goes to {place}.")
    told = contrasted(plan, ratio, probe_host(country or None), place, say, keep)
    if json:
        typer.echo(encode(told).decode())
    else:
        typer.echo(in_words(told))
        typer.echo(f"\nWrote {place / 'contrast.json'} and {place / 'contrast.html'}")
    if any(side.findings or side.audit_ok is False for side in told.sides):
        raise typer.Exit(1)
