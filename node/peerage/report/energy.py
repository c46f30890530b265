"""The energy of a run, cut every way the page shows it. Pure sums over records that were checked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

from peerage.emissions.factors import co2e_ug
from peerage.emissions.labels import RAM_SPREAD, Label, spread, total_label, widen, worst
from peerage.emissions.record import PHASES, EmissionRecord, Labels, PhaseEnergy, band_of
from peerage.report.amounts import Amount, total

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peerage.report.reading import Told

PRIVACY: Final = ("mask", "unmask")
LEDGER: Final = ("ledger",)
_YEAR_US: Final = 365.25 * 86400 * 1e6
K = TypeVar("K")


class Cuts:
    """Each cut of one set of records, worked out when first asked for and then kept: a page asks for most of them
    several times, and of ten thousand records each costs most of a second.
    """

    def __init__(self, records: tuple[EmissionRecord, ...]) -> None:
        self._records = records

    @cached_property
    def whole(self) -> Amount:
        return total(_of(r) for r in self._records)

    @cached_property
    def phases(self) -> dict[str, Amount]:
        return by_phase(self._records)

    @cached_property
    def peers(self) -> dict[str, Amount]:
        return _grouped(self._records, lambda r: r.peer)

    @cached_property
    def places(self) -> dict[str, Amount]:
        return _grouped(self._records, lambda r: r.factor.place)

    @cached_property
    def rounds(self) -> dict[int, Amount]:
        return dict(sorted(_grouped(self._records, lambda r: r.round).items()))

    @cached_property
    def components(self) -> dict[str, Amount]:
        return _by_component(self._records)


def whole(told: Told) -> Amount:
    return told.cuts.whole


def by_phase(records: Iterable[EmissionRecord]) -> dict[str, Amount]:
    found: dict[str, list[Amount]] = {phase: [] for phase in PHASES}
    for record in records:
        for row in record.energy:
            found[row.phase].append(_phase(record, row))
    return {phase: total(parts) for phase, parts in found.items()}


def by_peer(told: Told) -> dict[str, Amount]:
    return told.cuts.peers


def by_place(told: Told) -> dict[str, Amount]:
    return told.cuts.places


def by_round(told: Told) -> dict[int, Amount]:
    return told.cuts.rounds


def by_component(told: Told) -> dict[str, Amount]:
    """CPU at work, idle power, memory and devices: the parts that have a label of their own."""
    return told.cuts.components


def _by_component(records: Iterable[EmissionRecord]) -> dict[str, Amount]:
    found: dict[str, list[Amount]] = {"CPU at work": [], "CPU idle": [], "memory": [], "GPU": []}
    for record in records:
        cut = record.labels
        parts = (
            ("CPU at work", sum(r.cpu_dyn_uj for r in record.energy), cut.cpu_dyn, spread(cut.cpu_dyn)),
            ("CPU idle", sum(r.idle_uj for r in record.energy), cut.idle, spread(cut.idle)),
            ("memory", sum(r.ram_uj for r in record.energy), cut.ram, RAM_SPREAD),
            ("GPU", sum(r.gpu_uj for r in record.energy), cut.gpu, spread(cut.gpu)),
        )
        for name, uj, label, ends in parts:
            band = widen(uj, ends)
            co2e = co2e_ug(band, record.factor)
            found[name].append(Amount(band, co2e, label, worst((label, record.factor.label))))
    return {name: total(parts) for name, parts in found.items()}


def moved(told: Told) -> int:
    """Payload bytes that the peers sent each other, by their records."""
    return sum(row.bytes_out for record in told.records for row in record.use)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of some phases: energy, the seconds of all peers together, and payload bytes sent."""

    amount: Amount
    seconds: float
    bytes_out: int


def cost(told: Told, phases: Iterable[str]) -> Cost:
    wanted = frozenset(phases)
    use = [row for record in told.records for row in record.use if row.phase in wanted]
    parts = told.cuts.phases
    return Cost(
        total(parts[phase] for phase in PHASES if phase in wanted),
        sum(row.wall_us for row in use) / 1e6,
        sum(row.bytes_out for row in use),
    )


@dataclass(frozen=True, slots=True)
class Sci:
    """One functional unit: grams, and of them embodied (None: excluded)."""

    energy_wh: float
    operational_g: tuple[float, float, float]  # low, mid, high
    embodied_g: float | None

    @property
    def grams(self) -> float:
        return self.operational_g[1] + (self.embodied_g or 0.0)


def sci(told: Told) -> dict[int, Sci]:
    """`(E I + M) per R`, R one round; `M = TE (TiR/EL) (RR/ToR)` with a peer's declared reservation as RR/ToR."""
    asked = told.asked
    embodied: dict[int, float] = {}
    if asked.embodied_g is not None and asked.lifespan_years:
        for r in told.records:
            share = (r.end_us - r.start_us) / (asked.lifespan_years * _YEAR_US) * r.power.reserved_ppm / 1e6
            embodied[r.round] = embodied.get(r.round, 0.0) + asked.embodied_g * share
    return {
        number: Sci(
            amount.energy.mid / 3.6e9,
            (amount.co2e.low / 1e6, amount.co2e.mid / 1e6, amount.co2e.high / 1e6),
            embodied.get(number),
        )
        for number, amount in by_round(told).items()
    }


def _grouped(records: Iterable[EmissionRecord], key: Callable[[EmissionRecord], K]) -> dict[K, Amount]:
    found: dict[K, list[Amount]] = {}
    for record in records:
        found.setdefault(key(record), []).append(_of(record))
    return {name: total(parts) for name, parts in found.items()}


def _of(record: EmissionRecord) -> Amount:
    return Amount(record.energy_uj, record.co2e_ug, record.quality, record.co2e_quality)


def _phase(record: EmissionRecord, row: PhaseEnergy) -> Amount:
    band = band_of(row, record.labels)
    label = _label(row, record.labels)
    return Amount(band, co2e_ug(band, record.factor), label, worst((label, record.factor.label)))


def _label(row: PhaseEnergy, cut: Labels) -> Label:
    return total_label(
        ((cut.cpu_dyn, row.cpu_dyn_uj), (cut.idle, row.idle_uj), (cut.ram, row.ram_uj), (cut.gpu, row.gpu_uj))
    )
