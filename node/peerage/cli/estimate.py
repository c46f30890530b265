"""`peerage estimate`: what a federation will use and emit, before it runs, and how wrong that was."""

# ruff: noqa: PLC0415 - --help must not import what a command needs
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from peerage.estimate.asking import Asked
    from peerage.estimate.documents import Answer


def add_to(app: typer.Typer) -> None:
    app.command("estimate")(estimate)


def estimate(
    federation: Annotated[
        Path | None, typer.Argument(metavar="[FEDERATION.toml]", help="With --calibration: these settings.")
    ] = None,
    *,
    device: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="vcpu, vcpu*4, cpu:MODEL, 7.5W ... May be repeated: one row each."),
    ] = None,
    country: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="ISO 3166 alpha-3. May be repeated: one row each.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="digits or mnist: the built-in model's size.")] = None,
    rounds: Annotated[int | None, typer.Option(help="How many.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Local epochs a round.")] = None,
    active: Annotated[int | None, typer.Option(help="Devices in a round.")] = None,
    down: Annotated[float | None, typer.Option(help="Mbit/s to a device: counts the time on its link,")] = None,
    up: Annotated[float | None, typer.Option(help="and from it.")] = None,
    seconds_per_epoch: Annotated[
        list[float] | None, typer.Option(help="One local epoch on that device. May be repeated.")
    ] = None,
    total: Annotated[int | None, typer.Option(help="Devices in all.  [default: as many as are active]")] = None,
    client: Annotated[
        list[str] | None,
        typer.Option(metavar="COUNT,DEVICE,CODE,SECONDS", help="A group of a mixed population. Repeat for others."),
    ] = None,
    model_mb: Annotated[float | None, typer.Option(help="In place of --data: the model in megabytes.")] = None,
    topology: Annotated[str, typer.Option(help="fedavg, fedadam, braintorrent or gossip.")] = "fedavg",
    neighbours: Annotated[int | None, typer.Option(help="gossip: to how many each sends.")] = None,
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="router, none, kWh per GB, or a preset (--list networks).")
    ] = None,
    router_w: Annotated[float | None, typer.Option(help="Watts of the router.  [default: 7.5]")] = None,
    router_idle: Annotated[bool, typer.Option("--router-idle", help="Add the device's idle power to it.")] = False,
    factors: Annotated[str, typer.Option(help="current or ecometrica-2011.")] = "current",
    factor_year: Annotated[int | None, typer.Option(help="Refuse factors of another year.")] = None,
    central_w: Annotated[float | None, typer.Option(help="Beside it one data centre: watts of its hardware,")] = None,
    central_hours: Annotated[float | None, typer.Option(help="hours,")] = None,
    central_country: Annotated[str | None, typer.Option(metavar="CODE", help="grid,")] = None,
    pue: Annotated[str | None, typer.Option(help="PUE: a number, world-2019, google, amazon or microsoft,")] = None,
    tue: Annotated[float | None, typer.Option(help="or TUE (holds PUE),")] = None,
    cooling: Annotated[float | None, typer.Option(help="and cooling's share of all its energy.")] = None,
    target_g: Annotated[
        str | None, typer.Option(metavar="GRAMS", help="Backwards: what would give this, such as 2.51?")
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--from", metavar="RUN_DIR", help="Predict from its first rounds.")
    ] = None,
    first: Annotated[int, typer.Option(help="So many of them.")] = 3,
    listed: Annotated[
        str | None, typer.Option("--list", metavar="WHAT", help="devices, countries or networks: with sources.")
    ] = None,
    calibrate: Annotated[
        Path | None, typer.Option(metavar="RUN_DIR", help="Keep its figures and error in its estimate.json.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="or in this file.")] = None,
    calibration: Annotated[
        Path | None, typer.Option(metavar="RUN_DIR", help="Or its file: what FEDERATION.toml is estimated from.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="RUN_DIR", help="Hold that estimate against what this run took.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Estimate energy and CO2e of a federation before it runs, and see afterwards how wrong that was."""
    from peerage.estimate.asking import Asked
    from peerage.estimate.words import lines

    asked = Asked(
        countries=tuple(country or ()),
        devices=tuple(device or ()),
        seconds=tuple(seconds_per_epoch or ()),
        clients=tuple(client or ()),
        topology=topology,
        rounds=rounds,
        epochs=epochs,
        active=active,
        total=total,
        neighbours=neighbours,
        data=data,
        model_mb=model_mb,
        network=network,
        down=down,
        up=up,
        router_w=router_w,
        router_idle=router_idle,
        factors=factors,
        factor_year=factor_year,
        central_w=central_w,
        central_hours=central_hours,
        central_country=central_country,
        pue=pue,
        tue=tue,
        cooling=cooling,
    )
    if listed is not None:
        told = _listed(listed, asked)
    elif federation is not None or calibration is not None or against is not None:
        told = _of_settings(federation, calibration, against, asked)
    elif calibrate is not None:
        told = _calibrate(calibrate, out)
    else:
        told = answer(asked, target_g, run, first)
    if json:
        from msgspec.json import encode

        typer.echo(encode(told).decode())
    else:
        typer.echo("\n".join(lines(told)))


def answer(asked: "Asked", target: str | None, run: Path | None, first: int) -> "Answer":
    if run is not None:
        return _from_run(asked, run, first)
    from peerage.estimate.asking import centre_of, network_of, plans
    from peerage.estimate.documents import (
        BASIS,
        NOT_IN_IT,
        Answer,
        centre_told,
        estimate_told,
        inverse_told,
    )
    from peerage.estimate.federated import estimate as estimated
    from peerage.estimate.inverse import needs, search, target_of

    network = network_of(asked)
    centre = centre_of(asked)
    if target is not None:
        wanted = target_of(target)
        if asked.seconds or asked.clients:
            found = search(plans(asked), network, wanted)
            return Answer(schema=1, basis=BASIS, left_out=NOT_IN_IT, inverse=inverse_told(wanted.grams, (), found))
        solved = needs(plans(asked, solve_seconds=True), network, wanted.grams)
        return Answer(schema=1, basis=BASIS, left_out=NOT_IN_IT, inverse=inverse_told(wanted.grams, solved, None))
    estimates = tuple(estimated(plan, network) for plan in plans(asked))
    return Answer(
        schema=1,
        basis=BASIS,
        left_out=NOT_IN_IT,
        estimates=tuple(estimate_told(one) for one in estimates),
        centralised=centre_told(centre, estimates) if centre else None,
    )


def _from_run(asked: "Asked", run: Path, first: int) -> "Answer":
    from peerage.estimate.documents import Answer
    from peerage.estimate.runs import of_run

    read = of_run(run)
    return Answer(schema=1, prediction=read.predict(first, asked.rounds), gaps=read.gaps)


def _of_settings(federation: Path | None, calibration: Path | None, compared: Path | None, asked: "Asked") -> "Answer":
    from peerage.config_toml import load_federation
    from peerage.estimate.calibration import against, foresee
    from peerage.estimate.documents import Answer
    from peerage.estimate.grids import factor_of
    from peerage.estimate.runs import known_of, of_run
    from peerage_crypto.errors import InputError

    if federation is None:
        raise InputError("--calibration and --against go with the settings to estimate: name a FEDERATION.toml")
    if calibration is None:
        raise InputError(
            f"{federation} says neither seconds nor watts: name a run or its estimate.json with --calibration"
        )
    settings = load_federation(federation, check=False)
    if len(asked.countries) > 1:
        raise InputError("a federation.toml is estimated for one country: give --country once")
    country = asked.countries[0] if asked.countries else settings.emissions.country
    if not country:
        raise InputError(f"{federation} names no emissions.country: say --country; none is assumed")
    told = foresee(settings, known_of(calibration), factor_of(country, asked.factors, asked.factor_year))
    return Answer(schema=1, federation=against(told, of_run(compared)) if compared else told)


def _listed(what: str, asked: "Asked") -> "Answer":
    from peerage.estimate.devices import LISTED
    from peerage.estimate.documents import Answer
    from peerage.estimate.grids import countries
    from peerage.estimate.presets import PRESETS
    from peerage_crypto.errors import InputError

    if what == "devices":
        return Answer(schema=1, devices=LISTED)
    if what == "countries":
        return Answer(schema=1, countries=countries(asked.factors))
    if what == "networks":
        return Answer(schema=1, networks=tuple(PRESETS.values()))
    raise InputError(f"--list {what!r} is not known: choose devices, countries or networks")


def _calibrate(run: Path, out: Path | None) -> "Answer":
    from peerage.estimate.documents import Answer
    from peerage.estimate.runs import keep

    known, path = keep(run, out)
    return Answer(schema=1, calibration=known, file=str(path))
