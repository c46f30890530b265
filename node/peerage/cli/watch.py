"""`peerage watch`: one period of watching a deployed model."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from peerage.cli.market import Json, Keystore, PasswordFile, Rpc, RunFolder

if TYPE_CHECKING:
    from peerage.watching.periods import Watching


def add_to(app: typer.Typer) -> None:
    app.command("watch")(watch)


def watch(
    run_dir: RunFolder,
    *,
    data: Annotated[Path | None, typer.Option(help="A folder with NAME.csv of every peer that has fresh rows.")] = None,
    threshold: Annotated[str, typer.Option(help="Percent of right answers below which a period is bad.")] = "80",
    recovery: Annotated[str, typer.Option(help="Percent from which a period is good.")] = "85",
    periods: Annotated[int, typer.Option(min=1, max=65535, help="So many bad periods open a new task.")] = 3,
    watchers: Annotated[int, typer.Option(min=3, max=65535, help="The fewest watchers behind a report.")] = 3,
    rpc: Rpc = "",
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    json: Json = False,
) -> None:
    """Count right answers under masks, report them as a quorum; the first call opens the watch under these terms."""
    import msgspec

    from peerage.market.artefact import model_name, read_bounded
    from peerage.market.selling import local_accounts
    from peerage.watching.evaluate import counts_of
    from peerage.watching.periods import next_period, open_here, open_watch, report
    from peerage_ledger.market.statements import Watch

    on = _watching(run_dir, rpc, keystore, password_file)
    name = open_here(on.run)
    if name is None:
        record, round_ = on.door.record_of(model_name(read_bounded(on.run.model, "the deployed model")))
        terms = Watch(record, round_.round, _points(threshold), _points(recovery), periods, watchers)
        name = open_watch(on, terms)
    counted = counts_of(on.run, data, next_period(on, name))
    accounts = local_accounts(on.run)
    decision = report(on, name, {accounts[one].address: c for one, c in counted.items() if one in accounts})
    typer.echo(msgspec.json.encode(decision).decode() if json else decision.words)


def _watching(run_dir: Path, rpc: str, keystore: Path | None, password_file: Path | None) -> "Watching":
    from peerage.cli.market import door_of, payer_of, run_of
    from peerage.market.selling import local_accounts
    from peerage.watching.periods import Watching

    run = run_of(run_dir)
    accounts = tuple(local_accounts(run).values())
    return Watching(run, door_of(run.deployment, rpc), accounts, payer_of(run, keystore, password_file))


def _points(percent: str) -> int:
    """Basis points from percent with at most two decimals."""
    from decimal import Decimal, InvalidOperation

    from peerage_crypto.errors import InputError

    try:
        points = Decimal(percent) * 100
    except InvalidOperation:
        points = Decimal(-1)
    if not points.is_finite() or not 0 < points <= 10_000 or points != int(points):
        raise InputError(f"{percent} is no share: give percent above 0 and at most 100, with at most two decimals")
    return int(points)
