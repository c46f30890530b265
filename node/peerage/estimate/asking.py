"""What a person typed, as plans. Whatever is missing or cannot be is refused in one sentence; nothing is filled in."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

from peerage.estimate.amounts import within
from peerage.estimate.centralised import Centre, Facility, centralised, pue_of
from peerage.estimate.devices import device
from peerage.estimate.federated import Group, Plan
from peerage.estimate.grids import CURRENT, factor_of
from peerage.estimate.links import LARGEST_MODEL, NO_NETWORK, ROUTER_WATTS, Network, Router
from peerage.estimate.presets import per_byte
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

BYTES_PER_PARAMETER: Final = 4
DATA: Final = {"digits": 4_810, "mnist": 50_890}  # parameters of the built-in perceptron, one hidden layer of 64
MOST_COMBINATIONS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Options as typed; None: not given."""

    countries: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    seconds: tuple[float, ...] = ()
    clients: tuple[str, ...] = ()
    topology: str = "fedavg"
    rounds: int | None = None
    epochs: int | None = None
    active: int | None = None
    total: int | None = None
    neighbours: int | None = None
    data: str | None = None
    model_mb: float | None = None
    network: str | None = None
    down: float | None = None
    up: float | None = None
    router_w: float | None = None
    router_idle: bool = False
    factors: str = CURRENT
    factor_year: int | None = None
    central_w: float | None = None
    central_hours: float | None = None
    central_country: str | None = None
    pue: str | None = None
    tue: float | None = None
    cooling: float | None = None


def plans(asked: Asked, *, solve_seconds: bool = False) -> Iterator[Plan]:
    """One for each country, device and length of an epoch that was named, or one of all `--client` groups together.
    `solve_seconds`: for the inverse, which needs no seconds.
    """
    missing = [
        name
        for name, value in (("--rounds", asked.rounds), ("--epochs", asked.epochs), ("--active", asked.active))
        if value is None
    ]
    if not asked.clients:
        missing += [name for name, given in (("--device", asked.devices), ("--country", asked.countries)) if not given]
        missing += ["--seconds-per-epoch"] if not (asked.seconds or solve_seconds) else []
    if missing:
        raise InputError(f"an estimate needs {', '.join(missing)}: none of these is assumed")
    for groups in _populations(asked, solve_seconds=solve_seconds):
        yield Plan(
            topology=asked.topology,
            rounds=asked.rounds or 0,
            epochs=asked.epochs or 0,
            active=asked.active or 0,
            model_bytes=model_bytes(asked),
            groups=groups,
            neighbours=asked.neighbours,
        )


def _populations(asked: Asked, *, solve_seconds: bool) -> Iterator[tuple[Group, ...]]:
    if asked.clients:
        if asked.devices or asked.countries or asked.seconds or asked.total is not None:
            raise InputError("--client says device, country, seconds and number: leave the single options out")
        yield tuple(_client(text, asked) for text in asked.clients)
        return
    lengths = asked.seconds or ((0.0,) if solve_seconds else ())
    if len(asked.countries) * len(asked.devices) * len(lengths) > MOST_COMBINATIONS:
        raise InputError(f"more than {MOST_COMBINATIONS} combinations of settings: name fewer")
    total = asked.active if asked.total is None else asked.total
    grids = [factor_of(country, asked.factors, asked.factor_year) for country in asked.countries]
    kinds = [device(name) for name in asked.devices]
    for factor, kind, seconds in product(grids, kinds, lengths):
        yield (Group(count=total or 0, device=kind, factor=factor, seconds=seconds),)


def _client(text: str, asked: Asked) -> Group:
    try:
        count, name, country, seconds = (part.strip() for part in text.split(","))
        number, length = int(count), float(seconds)
    except ValueError:
        raise InputError(f"--client {text!r} is not COUNT,DEVICE,COUNTRY,SECONDS: write 5,7.5W,FRA,30.5") from None
    factor = factor_of(country, asked.factors, asked.factor_year)
    return Group(count=number, device=device(name), factor=factor, seconds=length)


def model_bytes(asked: Asked) -> int:
    if asked.model_mb is not None and asked.data is not None:
        raise InputError("--data and --model-mb both say how large the model is: give one")
    if asked.data is not None:
        if asked.data not in DATA:
            raise InputError(
                f"data set {asked.data!r} has no model here ({', '.join(DATA)} have): give its size with --model-mb"
            )
        return DATA[asked.data] * BYTES_PER_PARAMETER
    if asked.model_mb is not None:
        return round(within("--model-mb", asked.model_mb, 0, LARGEST_MODEL / 1e6, "megabytes") * 1e6)
    if asked.network == "none":
        return 0
    raise InputError("how large is the model? Say --data digits, --model-mb, or --network none to leave it out")


def network_of(asked: Asked) -> Network:
    speeds = asked.down is not None or asked.up is not None
    name = asked.network or ("router" if speeds else None)
    if name is None:
        raise InputError("how is the network counted? Say --down and --up in Mbit/s, or --network with a name or none")
    if name != "router":
        if speeds or asked.router_w is not None or asked.router_idle:
            raise InputError(f"--down, --up and --router-… are for --network router, not for {name}")
        if name == "none":
            return NO_NETWORK
        return per_byte(name)
    if asked.down is None or asked.up is None:
        raise InputError("--network router needs --down and --up in Mbit/s: the time on the link follows from them")
    watts = ROUTER_WATTS if asked.router_w is None else asked.router_w
    return Router(down_mbit=asked.down, up_mbit=asked.up, watts=watts, idle=asked.router_idle)


def centre_of(asked: Asked) -> Centre | None:
    given = {
        "--central-w": asked.central_w,
        "--central-hours": asked.central_hours,
        "--central-country": asked.central_country,
    }
    others = (asked.pue, asked.tue, asked.cooling)
    if all(value is None for value in (*given.values(), *others)):
        return None
    missing = [name for name, value in given.items() if value is None]
    if missing or asked.central_w is None or asked.central_hours is None or asked.central_country is None:
        raise InputError(f"the centralised side needs {', '.join(missing)}: none of these is assumed")
    pue, source = pue_of(asked.pue) if asked.pue is not None else (None, "your figure")
    facility = Facility(pue=pue, tue=asked.tue, cooling=asked.cooling, source=source)
    factor = factor_of(asked.central_country, asked.factors, asked.factor_year)
    return centralised(asked.central_w, asked.central_hours, factor, facility)
