"""Many records as the few numbers that `summary.json` keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from peerage.emissions.factors import NOT_GIVEN
from peerage.emissions.labels import NOTHING, Band, Label, total_label, worst
from peerage.emissions.record import PHASES, EmissionRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peerage.emissions.host_record import HostRecord

_UJ_PER_WH = 3.6e9


class Spread(TypedDict):
    low: float
    mid: float
    high: float


class HostSummary(TypedDict):
    """Of one host: all of it, and what its peers did not use (Wh, middle estimates)."""

    host_id: str
    energy_wh: float
    peers_wh: float
    other_wh: float


class EmissionSummary(TypedDict):
    """`quality` is the label of the weakest part, the factor's included; `energy_quality` is that of the energy
    alone.
    """

    energy_wh: float
    energy_wh_band: Spread
    co2e_g: Spread
    by_phase: dict[str, float]
    by_peer: dict[str, float]
    quality: str
    energy_quality: str
    country: str
    hosts: list[HostSummary]


def summarise(records: Iterable[EmissionRecord], hosts: Iterable[HostRecord] = ()) -> EmissionSummary:
    """Bands add up (all may err in one direction). No records: zeros, labelled `assumed`."""
    known = list(records)
    energy = sum((record.energy_uj for record in known), NOTHING)
    co2e = sum((record.co2e_ug for record in known), NOTHING)
    by_phase = dict.fromkeys(PHASES, 0)
    by_peer: dict[str, int] = {}
    for record in known:
        by_peer[record.peer] = by_peer.get(record.peer, 0) + record.energy_uj.mid
        for row in record.energy:
            by_phase[row.phase] += row.total_uj
    by_label: dict[Label, int] = {}  # of fifty records none is a tenth of the whole, and all of them together are
    for record in known:
        by_label[record.quality] = by_label.get(record.quality, 0) + record.energy_uj.mid
    label = total_label(by_label.items()) if known else Label.ASSUMED
    return EmissionSummary(
        energy_wh=_wh(energy.mid),
        energy_wh_band=_spread(energy, _UJ_PER_WH),
        co2e_g=_spread(co2e, 1e6),
        by_phase={phase: _wh(uj) for phase, uj in by_phase.items()},
        by_peer={peer: _wh(uj) for peer, uj in sorted(by_peer.items())},
        quality=worst((label, *(r.factor.label for r in known))).value,
        energy_quality=label.value,
        country=", ".join(sorted({r.factor.place for r in known})) or NOT_GIVEN,
        hosts=[
            HostSummary(
                host_id=host.host_id,
                energy_wh=_wh(host.host.total_uj),
                peers_wh=_wh(host.peers.total_uj),
                other_wh=_wh(host.other.total_uj),
            )
            for host in hosts
        ],
    )


def _wh(uj: int) -> float:
    return round(uj / _UJ_PER_WH, 9)


def _spread(band: Band, unit: float) -> Spread:
    return Spread(low=round(band.low / unit, 9), mid=round(band.mid / unit, 9), high=round(band.high / unit, 9))
