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
    from peerage.estimate.calibration import Foreseen
    from peerage.launch.live import Screen

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
        str | None,
        typer.Option(help="digits, mnist, csv:PATH, npz:PATH, folder:PATH or module:factory.  [default: digits]"),
    ] = None,
    label: Annotated[str | None, typer.Option(help="CSV: the column to predict.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="mnist: the folder with the IDX files.")] = None,
    partition: Annotated[
        str | None,
        typer.Option(help="iid, dirichlet:ALPHA, shards:K or quantity:ALPHA.  [default: dirichlet:0.5]"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="perceptron, linear, cnn, gru, transformer, embedding, generator, or file.py:factory.  "
            "[default: perceptron]"
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(metavar="RUN_DIR|FILE", help="Begin from that run's model, or from a safetensors file."),
    ] = None,
    country: Annotated[str | None, typer.Option(help="ISO 3166 alpha-3 code, for CO2e (DEU, FRA, ...).")] = None,
    validation: Annotated[
        str | None, typer.Option(help="Whose rows measure scores: shared or private.  [default: shared]")
    ] = None,
    validation_file: Annotated[
        str | None, typer.Option(help="CSV: a public file of the same columns, to measure scores.")
    ] = None,
    validation_donor: Annotated[
        str | None, typer.Option(help="The peer that donates a tenth of its rows, openly, to measure scores.")
    ] = None,
    exchange: Annotated[str | None, typer.Option(help="masked or plain.  [default: masked]")] = None,
    merge: Annotated[str | None, typer.Option(help="fedavg.  [default: fedavg]")] = None,
    optimiser: Annotated[
        str | None, typer.Option(help="fedavg, momentum, nesterov, fedadam or fedyogi.  [default: nesterov]")
    ] = None,
    compress: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="What a round sends less of: none, u16 (16-bit ring), randk:F (a share F of the coordinates), "
            "u16+randk:F.  [default: none]",
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="Who takes turns: best-effort, wait-for-all, windows, bernoulli, fedau, carbon-budget, selection."
        ),
    ] = None,
    energy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PEER=PROFILE", help="Its power: every:5, solar:24:100, trace:FILE:... (docs/scheduling.md)."
        ),
    ] = None,
    pay_every: Annotated[
        int | None, typer.Option(help="Rounds after which pay is settled; 0: when the run ends.  [default: 0]")
    ] = None,
    ledger: Annotated[
        str | None, typer.Option(help="auto, anvil, ganache, embedded or a node's URL.  [default: auto]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="All draws derive from it.  [default: 0]")] = None,
    calibration: Annotated[
        Path | None, typer.Option(metavar="RUN_DIR", help="Estimate from that run's figures before, and say the error.")
    ] = None,
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
        "model.factory" if model and ":" in model else "model.kind": model,
        "model.start": start,
        "merge.rule": merge,
        "merge.optimiser": optimiser,
        "schedule.policy": schedule,
        "energy": [_energy(entry) for entry in energy] if energy else None,
        "rewards.epoch": pay_every,
        "ledger.engine": ledger,
        "emissions.country": country,
        **_compression(compress),
    }
    given = {key: value for key, value in settings.items() if value is not None}
    if resume and (given or federation or calibration):
        raise InputError("--resume goes on with the settings of the run: leave the other settings out")
    wanted = assemble(federation, given)
    screen = Screen(to_stderr=json)
    place = out or default_out(wanted.data.source, dt.datetime.now(dt.UTC).astimezone(), RUNS)
    prior = _prior(wanted, calibration) if calibration else None
    hello = (f"Going on with {place}.",) if resume else tuple(opening(wanted, place, prior))
    try:
        summary, folder = run_federation(wanted, Options(out=place, force=force, resume=resume, hello=hello), screen)
    except KeyboardInterrupt:
        screen.say(f"Stopped; every process has ended. Go on with: peerage run --resume --out {place}")
        raise
    _keep_estimate(folder.root, prior, screen)  # before the page, which shows it
    _report(folder.root, screen)
    if json:
        sys.stdout.write(summary.to_json().decode())
    else:
        from peerage.config_toml import load_federation

        screen.say(in_words(summary, load_federation(folder.federation), folder.root))
    if summary.audit.ok is False or summary.lost:
        raise typer.Exit(1)


def _energy(entry: str) -> dict[str, str]:
    from peerage_crypto.errors import InputError

    peer, sign, profile = entry.partition("=")
    if not (peer and sign and profile):
        raise InputError(f"--energy {entry}: say which peer and which profile, as in --energy peer-05=every:5")
    return {"peer": peer, "profile": profile}


def _compression(how: str | None) -> dict[str, object]:
    """The settings of the masks that --compress stands for; randk alone leaves the ring as the file has it."""
    from peerage.config import MaskingSettings
    from peerage.config_toml import NARROW_RING
    from peerage_crypto.errors import InputError

    if how is None:
        return {}
    default, wanted = MaskingSettings(), dict[str, object]()
    if how == "none":
        wanted = {name: getattr(default, name) for name in ("ring_bits", "frac_bits", "clip", "random_k")}
    for part in how.split("+") if how != "none" else ():
        kind, _, fraction = part.partition(":")
        if part == "u16":
            wanted |= {"ring_bits": 16, **NARROW_RING}
        elif kind == "randk" and _is_share(fraction):
            wanted["random_k"] = float(fraction)
        else:
            raise InputError(f"--compress {how}: say none, u16, randk:F with F above 0 and at most 1, or u16+randk:F")
    return {f"masking.{name}": value for name, value in wanted.items()}


def _is_share(text: str) -> bool:
    try:
        return 0 < float(text) <= 1
    except ValueError:
        return False


def _report(root: Path, screen: "Screen") -> None:
    """The run has ended and is safe on disk: whatever keeps its page from being written costs only the page."""
    try:
        from peerage.report import write_report

        write_report(root)
    except Exception as error:  # noqa: BLE001 - see above
        screen.say(f"report.html could not be written ({error}); `peerage report {root}` tries again.")


def _prior(wanted: "Federation", calibration: Path) -> "Foreseen":
    from peerage.estimate.calibration import foresee
    from peerage.estimate.grids import factor_of
    from peerage.estimate.runs import known_of

    return foresee(wanted, known_of(calibration), factor_of(wanted.emissions.country))


def _keep_estimate(root: Path, prior: "Foreseen | None", screen: "Screen") -> None:
    """As with the page: what is learnt for later estimates never costs a run that has ended."""
    try:
        from peerage.estimate.runs import keep
        from peerage.estimate.words import learnt

        screen.say("\n".join(learnt(keep(root, prior=prior)[0])))
    except Exception as error:  # noqa: BLE001 - see above
        screen.say(f"estimate.json could not be written ({error}); `peerage estimate --calibrate {root}` tries again.")


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
    if tables["energy"]:
        from peerage.launch.traces import with_traces

        listed = tables["energy"]
        assert isinstance(listed, list | tuple)
        tables["energy"] = with_traces(listed)
    return federation_of(tables, where="settings" if given else str(path or "settings"))


def opening(federation: "Federation", place: Path, prior: "Foreseen | None" = None) -> list[str]:
    """What is about to happen, defaults included, and what the user must know before."""
    from peerage.config_checks import check_federation
    from peerage.optimising import learning_words

    data = federation.data
    what = (
        f"{federation.peers} peers, {federation.rounds} rounds of {federation.training.epochs} epochs on {data.source} "
        f"({data.partition}), {federation.exchange}, {learning_words(federation)}, "
        f"ledger {federation.ledger.engine}, chain id {federation.ledger.chain_id}, seed {federation.seed}."
    )
    said = [what, f"Run directory: {place}"]
    said += [f"Warning: {warning}." for warning in check_federation(federation)]
    if federation.energy:
        from peerage.launch.turns import made_up

        said += made_up(federation)
    if not federation.emissions.country:
        said.append("ASSUMED: country not given, so CO2e will use the world's band. Say --country ISO3 to mend that.")
    if prior:
        from peerage.estimate.words import foreseen

        said.append(f"Estimate: {next(foreseen(prior))}, from {prior.source}.")
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
