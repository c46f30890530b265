"""An answer as one document: watt-hours and grams with low and high, and where each figure comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from peerage.emissions.factors import Factor
from peerage.emissions.labels import Label
from peerage.estimate.amounts import Amount, Spread, grams, watt_hours
from peerage.estimate.calibration import Calibration, Foreseen
from peerage.estimate.devices import Device
from peerage.estimate.inverse import Need
from peerage.estimate.links import PerByte
from peerage.estimate.prediction import Prediction

if TYPE_CHECKING:
    from peerage.estimate.centralised import Centre
    from peerage.estimate.federated import Estimate
    from peerage.estimate.inverse import Search

BASIS: Final = (
    "Location-based, without PUE at the devices. A formula, not a measurement: the band is a tenth to ten times."
)
NOT_IN_IT: Final = "Not in it: a server's own work, masks, transactions, waiting, and making the devices."
CONSISTENT: Final = "Settings that give a figure are consistent with it. They do not prove what its author used."


class PartTold(msgspec.Struct, frozen=True, kw_only=True):
    devices: int
    device: str
    watts: float
    device_source: str
    device_label: Label
    country: str
    g_per_kwh: Spread
    factor_year: int
    factor_source: str
    seconds_per_epoch: float
    train_wh: Spread
    communication_wh: Spread
    energy_wh: Spread
    co2e_g: Spread


class SumTold(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    energy_wh: Spread
    co2e_g: Spread


class EstimateTold(msgspec.Struct, frozen=True, kw_only=True):
    """`by_device` and `by_country` each add up to the whole."""

    topology: str
    rounds: int
    local_epochs: int
    active: int
    devices: int
    neighbours: int | None
    model_bytes: int
    local_epochs_in_all: int
    messages_per_round: int
    models_per_round: int
    messages: int
    bytes_moved: int
    network: str
    network_source: str
    communication_share: float | None
    parts: tuple[PartTold, ...]
    by_device: tuple[SumTold, ...]
    by_country: tuple[SumTold, ...]
    energy_wh: Spread
    co2e_g: Spread
    label: Label


class CentreTold(msgspec.Struct, frozen=True, kw_only=True):
    """`times`: federated over centralised grams, of the middles; its ends hold one low against the other high."""

    watts: float
    hours: float
    country: str
    g_per_kwh: Spread
    factor_year: int
    factor_source: str
    pue: float | None
    tue: float | None
    itue: float | None
    facility_source: str
    equipment_wh: Spread
    energy_wh: Spread
    cooling_wh: Spread | None
    co2e_g: Spread
    times: tuple[Spread, ...]
    label: Label


class InverseTold(msgspec.Struct, frozen=True, kw_only=True):
    target_g: float
    needs: tuple[Need, ...] = ()
    tried: int = 0
    found: tuple[EstimateTold, ...] = ()
    nearest: EstimateTold | None = None
    note: str = CONSISTENT


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    schema: int
    basis: str = ""
    left_out: str = ""
    estimates: tuple[EstimateTold, ...] = ()
    centralised: CentreTold | None = None
    inverse: InverseTold | None = None
    prediction: Prediction | None = None
    federation: Foreseen | None = None
    calibration: Calibration | None = None
    file: str = ""
    devices: tuple[Device, ...] = ()
    countries: tuple[Factor, ...] = ()
    networks: tuple[PerByte, ...] = ()
    gaps: tuple[str, ...] = ()


def estimate_told(one: Estimate) -> EstimateTold:
    plan, traffic = one.plan, one.plan.traffic
    return EstimateTold(
        topology=plan.topology,
        rounds=plan.rounds,
        local_epochs=plan.epochs,
        active=plan.active,
        devices=plan.devices,
        neighbours=plan.neighbours,
        model_bytes=plan.model_bytes,
        local_epochs_in_all=plan.local_epochs,
        messages_per_round=traffic.messages,
        models_per_round=traffic.models,
        messages=one.messages,
        bytes_moved=one.bytes_moved,
        network=one.network,
        network_source=one.network_source,
        communication_share=one.communication_share,
        parts=tuple(
            PartTold(
                devices=part.group.count,
                device=part.group.device.name,
                watts=part.group.device.watts,
                device_source=part.group.device.source,
                device_label=part.group.device.label,
                country=part.group.factor.country,
                g_per_kwh=_factor(part.group.factor),
                factor_year=part.group.factor.year,
                factor_source=part.group.factor.source,
                seconds_per_epoch=part.group.seconds,
                train_wh=watt_hours(part.train.energy_uj),
                communication_wh=watt_hours(part.communication.energy_uj),
                energy_wh=watt_hours(part.whole.energy_uj),
                co2e_g=grams(part.whole.co2e_ug),
            )
            for part in one.parts
        ),
        by_device=_sums(one.by(lambda group: group.device.name)),
        by_country=_sums(one.by(lambda group: group.factor.country)),
        energy_wh=watt_hours(one.whole.energy_uj),
        co2e_g=grams(one.whole.co2e_ug),
        label=one.label,
    )


def centre_told(centre: Centre, estimates: tuple[Estimate, ...]) -> CentreTold:
    cooling = centre.cooling_uj
    return CentreTold(
        watts=centre.watts,
        hours=centre.hours,
        country=centre.factor.country,
        g_per_kwh=_factor(centre.factor),
        factor_year=centre.factor.year,
        factor_source=centre.factor.source,
        pue=centre.facility.pue,
        tue=centre.facility.tue,
        itue=centre.facility.itue,
        facility_source=centre.facility.source,
        equipment_wh=watt_hours(centre.equipment.energy_uj),
        energy_wh=watt_hours(centre.whole.energy_uj),
        cooling_wh=watt_hours(cooling) if cooling is not None else None,
        co2e_g=grams(centre.whole.co2e_ug),
        times=tuple(_times(one.whole, centre.whole) for one in estimates if centre.whole.co2e_ug.low),
        label=centre.label,
    )


def inverse_told(grams_: float, needs: tuple[Need, ...], found: Search | None) -> InverseTold:
    if found is None:
        return InverseTold(target_g=grams_, needs=needs)
    return InverseTold(
        target_g=grams_,
        needs=needs,
        tried=found.tried,
        found=tuple(estimate_told(one) for one in found.found),
        nearest=estimate_told(found.nearest),
    )


def _times(federated: Amount, central: Amount) -> Spread:
    ours, theirs = federated.co2e_ug, central.co2e_ug
    return Spread(ours.low / theirs.high, ours.mid / theirs.mid, ours.high / theirs.low)


def _factor(factor: Factor) -> Spread:
    return Spread(factor.low_mg / 1000, factor.mid_mg / 1000, factor.high_mg / 1000)


def _sums(parts: dict[str, Amount]) -> tuple[SumTold, ...]:
    return tuple(
        SumTold(name=name, energy_wh=watt_hours(part.energy_uj), co2e_g=grams(part.co2e_ug))
        for name, part in parts.items()
    )
