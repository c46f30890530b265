"""`peerage run` and `peerage prune`."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
import datetime as dt
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from peerage.config import Federation

RUNS = Path("runs")


def add_to(app: typer.Typer) -> None:
    app.command("run")(run)
    app.command("prune")(prune)


def run(
    federation: Annotated[
        Path | None, typer.Argument(metavar="FEDERATION.toml", help="Settings; flags go before it.")
    ] = None,
    *,
    peers: Annotated[int | None, typer.Option(help="How many peers.  [default: 8]")] = None,
    rounds: Annotated[int | None, typer.Option(help="How many rounds.  [default: 10]")] = None,
    data: Annotated[
        str | None, typer.Option(help="digits, mnist, csv:PATH or module:factory.  [default: digits]")
    ] = None,
    label: Annotated[str | None, typer.Option(help="CSV: the column to predict.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="mnist: the folder with the IDX files.")] = None,
    partition: Annotated[
        str | None,
        typer.Option(help="iid, dirichlet:ALPHA, shards:K or quantity:ALPHA.  [default: dirichlet:0.5]"),
    ] = None,
    model: Annotated[str | None, typer.Option(help="module:factory or file.py:factory of your own model.")] = None,
    country: Annotated[str | None, typer.Option(help="ISO 3166 alpha-3 code, for CO2e (DEU, FRA, ...).")] = None,
    validation: Annotated[str | None, typer.Option(help="Whose rows measure scores: shared.")] = None,
    validation_file: Annotated[
        str | None, typer.Option(help="CSV: a public file of the same columns, to measure scores.")
    ] = None,
    validation_donor: Annotated[
        str | None, typer.Option(help="The peer that donates a tenth of its rows, openly, to measure scores.")
    ] = None,
    exchange: Annotated[str | None, typer.Option(help="masked or plain.  [default: masked]")] = None,
    merge: Annotated[str | None, typer.Option(help="fedavg.  [default: fedavg]")] = None,
    ledger: Annotated[
        str | None, typer.Option(help="auto, anvil, ganache, embedded or a node's URL.  [default: auto]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="All draws derive from it.  [default: 0]")] = None,
    out: Annotated[Path | None, typer.Option(help="The run directory.  [default: runs/TIME-DATA]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Delete an earlier run in --out.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, progress on stderr.")] = False,
) -> None:
    """Train a federation on this machine: devnet, contracts, N peer processes, summary, audit."""
    from peerage.launch.federation import Options, run_federation
    from peerage.launch.live import Screen
    from peerage.launch.summary_words import in_words
    from peerage.rundir import default_out
    from peerage_crypto.errors import InputError

    if resume and out is None:
        raise InputError("--resume needs --out: the run directory to go on with")
    if resume and force:
        raise InputError("--resume keeps a run and --force deletes it: choose one")
    settings = {
        "peers": peers,
        "rounds": rounds,
        "exchange": exchange,
        "seed": seed,
        "data.source": data,
        "data.label": label,
        "data.data_dir": data_dir,
        "data.partition": partition,
        "data.validation": validation,
        "data.validation_file": validation_file,
        "data.validation_donor": validation_donor,
        "model.factory": model,
        "merge.rule": merge,
        "ledger.engine": ledger,
        "emissions.country": country,
    }
    given = {key: value for key, value in settings.items() if value is not None}
    if resume and (given or federation):
        raise InputError("--resume goes on with the settings of the run: leave the other settings out")
    wanted = assemble(federation, given)
    screen = Screen(to_stderr=json)
    place = out or default_out(wanted.data.source, dt.datetime.now(dt.UTC).astimezone(), RUNS)
    hello = (f"Going on with {place}.",) if resume else tuple(opening(wanted, place))
    try:
        summary, folder = run_federation(wanted, Options(out=place, force=force, resume=resume, hello=hello), screen)
    except KeyboardInterrupt:
        screen.say(f"Stopped; every process has ended. Go on with: peerage run --resume --out {place}")
        raise
    if json:
        sys.stdout.write(summary.to_json().decode())
    else:
        from peerage.config_toml import load_federation

        screen.say(in_words(summary, load_federation(folder.federation), folder.root))
    if summary.audit.ok is False or summary.lost:
        raise typer.Exit(1)


def assemble(path: Path | None, given: Mapping[str, object]) -> "Federation":
    """Defaults, over them the file, over them the flags."""
    import msgspec

    from peerage.config import Federation
    from peerage.config_toml import federation_of, load_federation

    start = load_federation(path, check=False) if path else Federation()
    tables: dict[str, object] = msgspec.to_builtins(start)
    for key, value in given.items():
        section, _, name = key.rpartition(".")
        table = tables[section] if section else tables
        assert isinstance(table, dict)
        table[name] = value
    return federation_of(tables, where="settings" if given else str(path or "settings"))


def opening(federation: "Federation", place: Path) -> list[str]:
    """What is about to happen, defaults included, and what the user must know before."""
    from peerage.config import check_federation

    data, merge = federation.data, federation.merge
    what = (
        f"{federation.peers} peers, {federation.rounds} rounds of {federation.training.epochs} epochs on {data.source} "
        f"({data.partition}), {federation.exchange}, {merge.rule} with momentum {merge.momentum}, "
        f"ledger {federation.ledger.engine}, chain id {federation.ledger.chain_id}, seed {federation.seed}."
    )
    said = [what, f"Run directory: {place}"]
    said += [f"Warning: {warning}." for warning in check_federation(federation)]
    if not federation.emissions.country:
        said.append("ASSUMED: country not given, so CO2e will use the world's band. Say --country ISO3 to mend that.")
    return said


def prune(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR")],
    *,
    keep: Annotated[int, typer.Option(min=0, help="Keep the masked vectors of so many last rounds.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Delete old masked vectors from a finished run; its audit then says "pruned" for them, never "passed"."""
    import msgspec

    from peerage.launch.live import size
    from peerage.launch.prune import prune_run
    from peerage.rundir import RunDir

    pruned = prune_run(RunDir(run_dir.absolute()), keep)
    if json:
        typer.echo(msgspec.json.encode(pruned).decode())
    else:
        typer.echo(f"{pruned.files} masked vectors deleted ({size(pruned.bytes_freed)}), {pruned.kept} kept.")
