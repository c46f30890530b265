"""`peerage search`: which settings to train with, frugally."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

RUNS = Path("runs")


def add_to(app: typer.Typer) -> None:
    app.command("search")(search)


def search(
    federation: Annotated[Path | None, typer.Argument(metavar="[FEDERATION.toml]")] = None,
    *,
    over: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH=A,B,...", help="A setting and the values to try, as in training.learning_rate=0.03,0.1."
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=0, help="Try so many of all combinations, drawn by the seed; 0: all.")] = 0,
    halving: Annotated[int, typer.Option(min=2, max=16, help="After each step one of so many goes on.")] = 2,
    out: Annotated[
        Path | None, typer.Option(help="For the trials and what was found.  [default: runs/TIME-search]")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the search in --out.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, progress on stderr.")] = False,
) -> None:
    """Try settings on this machine: all a little, the better half more, judged on rows that nobody trains on."""
    import msgspec

    from peerage.config import Federation
    from peerage.config_toml import load_federation
    from peerage.rundir import default_out
    from peerage.search import axis_of, beginning, in_words
    from peerage.search import search as searched
    from peerage.search.searching import SCHEMA, Asked, Place
    from peerage_crypto.errors import InputError

    if resume:
        if out is None:
            raise InputError("--resume needs --out: the folder of the search to go on with")
        if federation or over or trials:
            raise InputError("--resume goes on with what was asked: leave the other settings out")
        place = Place(out.absolute())
        base, plan = place.resumed()
    else:
        if not over:
            raise InputError(
                "nothing to search over: name settings and values, as in --over training.learning_rate=0.03,0.1"
            )
        place = Place((out or default_out("search", dt.datetime.now(dt.UTC).astimezone(), RUNS)).absolute())
        base = load_federation(federation) if federation else Federation()
        axes = tuple(axis_of(text) for text in over)
        plan = place.opened(base, Asked(schema=SCHEMA, axes=axes, trials=trials, halving=halving))

    def say(sentence: str) -> None:
        typer.echo(sentence, err=json)

    say(beginning(base, plan, place.root))
    try:
        found = searched(base, plan, place, say)
    except KeyboardInterrupt:
        say(f"Stopped; every process has ended. Go on with: peerage search --resume --out {place.root}")
        raise
    typer.echo(msgspec.json.encode(found).decode() if json else "\n" + in_words(found, place.root))
