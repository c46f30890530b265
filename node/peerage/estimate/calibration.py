"""A run's own figures as constants for the next estimate, with the error that its prediction had.

One small file (`estimate.json` in a run directory), versioned; whoever reads it needs no records. From it a
`federation.toml` is estimated before it runs. What each phase costs is moved to other numbers of peers and epochs by
powers, lowest to highest; the band reaches over all of them:

    train                    peers^0 .. peers^1, epochs^0 .. epochs^1   the rows are the same, a peer's overhead is not
    wait                     peers^0 .. peers^2
    mask, exchange, unmask   peers^1 .. peers^2                         everybody receives from everybody
    score, ledger            peers^0 .. peers^1
    the start                peers^1
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from peerage.emissions.labels import NOTHING, Band, Label
from peerage.emissions.record import PHASES, band_of
from peerage.estimate.amounts import Amount, Spread, emitted, grams, watt_hours
from peerage.estimate.prediction import FIRST_ROUNDS
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peerage.config import Federation, ScheduleSettings
    from peerage.emissions.factors import Factor
    from peerage.estimate.runs import RunUse

CALIBRATION_SCHEMA: Final = 1
LARGEST_FILE: Final = 1 << 20

Setting = str | int | float
Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Powers = tuple[float, float, float]

_PEERS: Final[Mapping[str, Powers]] = {
    "wait": (0, 1, 2),
    "train": (0, 0.5, 1),
    "mask": (1, 2, 2),
    "exchange": (1, 2, 2),
    "unmask": (1, 2, 2),
    "score": (0, 0.5, 1),
    "ledger": (0, 0.5, 1),
}
_EPOCHS: Final[Mapping[str, Powers]] = {"train": (0, 1, 1)}
_SAME: Final[Powers] = (0, 0, 0)


class Energies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Microjoules of all peers in the mean round after the first."""

    low: Count
    mid: Count
    high: Count

    @property
    def band(self) -> Band:
        return Band(self.low, self.mid, self.high)


class Prior(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was said before this run, from another one, and how wrong it was: estimated over metered less 1."""

    source: str
    energy_wh: float
    low_wh: float
    high_wh: float
    error: float


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`error` is that of the prediction from the run's own first rounds; None where it had too few to hold any back."""

    schema: Literal[1]
    source: str  # the run's name
    cpu_model: str
    milli_cores: Count
    same: dict[str, Setting]  # settings that a federation must share with the run to be estimated from it
    peers: Annotated[int, msgspec.Meta(ge=1)]
    rounds: Annotated[int, msgspec.Meta(ge=1)]
    epochs: Annotated[int, msgspec.Meta(ge=1)]
    phases: dict[str, Energies]
    start: Energies  # what the first round took beyond a mean one
    bytes_per_round: Count
    label: Label
    first: Annotated[int, msgspec.Meta(ge=1)]
    error: Annotated[float, msgspec.Meta(gt=-1, le=1e6)] | None
    prior: Prior | None = None

    @property
    def worst_error(self) -> float | None:
        """The one further from 0: rounds of one run are more alike than runs are."""
        known = [error for error in (self.error, self.prior.error if self.prior else None) if error is not None]
        return max(known, key=abs, default=None)


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """A federation before it runs, from a calibration. `error` against a run's meter, where one was named."""

    peers: int
    rounds: int
    epochs: int
    country: str
    factor_year: int
    factor_source: str
    source: str
    differs: tuple[str, ...]
    calibration_error: float | None
    phases_wh: dict[str, Spread]
    energy_wh: Spread
    co2e_g: Spread
    bytes_moved: int
    metered_wh: Spread | None = None
    error: float | None = None
    label: Label = Label.PARAMETRIC


def calibrate(run: RunUse, prior: Prior | None = None) -> Calibration:
    """InputError where the run is not over, or some of its energy cannot be read: half a run is no constant."""
    if run.gaps:
        raise InputError(f"the run cannot calibrate anything: {run.gaps[0]}")
    if not run.over:
        raise InputError(
            f"the run has {len(run.rounds)} of {run.settings.rounds} rounds metered: calibrate when it is over"
        )
    later = run.rounds[1:] or run.rounds
    numbers = {one.round for one in later}
    count = len(later)
    phases = dict.fromkeys(PHASES, NOTHING)
    for record in run.records:
        if record.round in numbers:
            for row in record.energy:
                phases[row.phase] += band_of(row, record.labels)
    traffic = sum(use.bytes_out for r in run.records if r.round in numbers for use in r.use)
    mean = sum(phases.values(), NOTHING)
    opening = run.rounds[0].amount.energy_uj
    first = min(FIRST_ROUNDS, len(run.rounds))
    (form, *_) = run.predict(first, len(run.rounds)).forms
    return Calibration(
        schema=CALIBRATION_SCHEMA,
        source=run.name,
        cpu_model=run.cpu_model,
        milli_cores=run.records[0].power.milli_cores,
        same=settings_of(run.settings),
        peers=run.settings.peers,
        rounds=len(run.rounds),
        epochs=run.settings.training.epochs,
        phases={phase: Energies(*_over(band, count)) for phase, band in phases.items()},
        start=Energies(*(max(0, a - b // count) for a, b in zip(_ends(opening), _ends(mean), strict=True))),
        bytes_per_round=traffic // count,
        label=run.label,
        first=first,
        error=form.error if first < len(run.rounds) else None,
        prior=prior,
    )


def settings_of(federation: Federation) -> dict[str, Setting]:
    """What changes the work of a round beside peers and epochs, and cannot be scaled."""
    masking, robust = federation.masking, federation.robust
    return {
        "exchange": federation.exchange,
        "data.source": federation.data.source,
        "data.validation": federation.data.validation,
        "model.factory": federation.model.factory,
        "model.hidden": federation.model.hidden,
        "model.kind": federation.model.kind,
        "model.steps": federation.model.steps,
        "model.adapters": federation.model.adapters,
        "training.batch_size": federation.training.batch_size,
        "training.augment": federation.training.augment,
        "training.function": federation.training.function,
        "masking.ring_bits": masking.ring_bits,
        "masking.random_k": masking.random_k,
        "scores.openings": federation.scores.openings,
        "robust.rule": robust.rule,
        "robust.buckets": robust.buckets,
        "robust.sketches": robust.sketches,
        "privacy.noise": federation.privacy.noise,
        "regions": len(federation.regions),
        "schedule": _one_line(federation.schedule),
        "energy": ", ".join(f"{one.peer}={one.profile}" for one in federation.energy),
        "cast": len(federation.cast),
    }


def _one_line(schedule: ScheduleSettings) -> str:
    if schedule.policy == "none":
        return "none"
    return ", ".join(f"{name}={value}" for name, value in msgspec.structs.asdict(schedule).items())


def foresee(federation: Federation, known: Calibration, factor: Factor) -> Foreseen:
    """InputError names the first setting that a scaled run cannot answer for."""
    for name, value in settings_of(federation).items():
        if known.same.get(name) != value:
            raise InputError(
                f"{name} is {value!r} here and {known.same.get(name)!r} in {known.source}: "
                "calibrate with a run of the same setting"
            )
    peers, epochs = federation.peers / known.peers, federation.training.epochs / known.epochs
    slack = 1 + abs(known.worst_error or 0.0)
    parts: dict[str, Amount] = {}
    for phase, energies in known.phases.items():
        powers = (_PEERS.get(phase, _SAME), _EPOCHS.get(phase, _SAME))
        band = _powered(energies.band, ((peers, powers[0]), (epochs, powers[1])), slack)
        parts[phase] = emitted(Band(*(x * federation.rounds for x in _ends(band))), factor)
    parts["start"] = emitted(_powered(known.start.band, ((peers, (1, 1, 1)),), slack), factor)
    whole = sum(parts.values(), Amount())
    return Foreseen(
        peers=federation.peers,
        rounds=federation.rounds,
        epochs=federation.training.epochs,
        country=factor.place,
        factor_year=factor.year,
        factor_source=factor.source,
        source=f"{known.source}, {known.cpu_model}",
        differs=_differs(federation, known),
        calibration_error=known.worst_error,
        phases_wh={name: watt_hours(part.energy_uj) for name, part in parts.items()},
        energy_wh=watt_hours(whole.energy_uj),
        co2e_g=grams(whole.co2e_ug),
        bytes_moved=round(known.bytes_per_round * peers**2) * federation.rounds,
    )


def against(told: Foreseen, run: RunUse) -> Foreseen:
    """The same estimate beside what a run took; InputError where that run is of other settings or not over."""
    settings = run.settings
    if (settings.peers, settings.rounds, settings.training.epochs) != (told.peers, told.rounds, told.epochs):
        raise InputError(
            f"--against names a run of {settings.peers} peers, {settings.rounds} rounds and {settings.training.epochs} "
            f"epochs; the estimate is for {told.peers}, {told.rounds} and {told.epochs}"
        )
    if run.gaps or not run.over:
        raise InputError("--against names a run whose energy is not all there: it cannot say how wrong an estimate was")
    metered = sum((one.amount for one in run.rounds), Amount()).energy_uj
    wh = watt_hours(metered)
    return msgspec.structs.replace(told, metered_wh=wh, error=told.energy_wh.mid / wh.mid - 1)


def encode(known: Calibration) -> bytes:
    return msgspec.json.format(msgspec.json.encode(known), indent=1) + b"\n"


def decode(raw: bytes, name: str) -> Calibration:
    """InputError for what is no calibration, or of another version."""
    try:
        known = msgspec.json.decode(raw, type=Calibration)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{name} is no calibration of schema {CALIBRATION_SCHEMA}: {error}") from None
    bands = [energies.band for energies in (*known.phases.values(), known.start)]
    if not all(band.low <= band.mid <= band.high for band in bands) or set(known.phases) - set(PHASES):
        raise InputError(f"{name} has an energy that does not run from low to high, or a phase that there is not")
    return known


def _differs(federation: Federation, known: Calibration) -> tuple[str, ...]:
    pairs = (
        ("peers", federation.peers, known.peers),
        ("local epochs", federation.training.epochs, known.epochs),
    )
    return tuple(f"{name} {here}, calibrated with {there}" for name, here, there in pairs if here != there)


def _powered(band: Band, by: tuple[tuple[float, Powers], ...], slack: float) -> Band:
    """Low with the least of the powers, high with the most, mid with the middle; `slack` widens both ends."""
    low, mid, high = 1 / slack, 1.0, slack
    for ratio, powers in by:
        low *= min(ratio**power for power in powers)
        mid *= ratio ** powers[1]
        high *= max(ratio**power for power in powers)
    return Band(round(band.low * low), round(band.mid * mid), round(band.high * high))


def _over(band: Band, count: int) -> tuple[int, int, int]:
    return band.low // count, band.mid // count, band.high // count


def _ends(band: Band) -> tuple[int, int, int]:
    return band.low, band.mid, band.high
