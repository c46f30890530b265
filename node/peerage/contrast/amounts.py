"""What one training used until it was good enough: the sum of its emission records, component by component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from peerage.emissions.factors import co2e_ug
from peerage.emissions.labels import NOTHING, RAM_SPREAD, Band, Label, spread, total_label, worst
from peerage.emissions.record import PHASES
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from peerage.emissions.factors import Factor
    from peerage.emissions.record import EmissionRecord

COMPONENTS: Final = ("cpu_dyn", "idle", "ram", "gpu")


class Component(msgspec.Struct, frozen=True):
    """Microjoules, middle, and the worst label among the records that add to them."""

    uj: int
    label: Label

    def ends(self, name: str) -> tuple[int, int]:
        """Per mille of the middle: how far the method may be off."""
        return RAM_SPREAD if name == "ram" else spread(self.label)


class Metered(msgspec.Struct, frozen=True, kw_only=True):
    """`power` is what the model multiplied with (host, idle milliwatts, microwatts of a busy core), each set once:
    two trainings with the same one share its error.
    """

    cpu_dyn: Component
    idle: Component
    ram: Component
    gpu: Component
    energy_uj: Band
    label: Label
    co2e_ug: Band
    co2e_label: Label
    place: str
    source: str  # of the factor
    by_phase_uj: dict[str, int]
    power: tuple[tuple[str, int, int], ...]
    records: int

    def component(self, name: str) -> Component:
        found = getattr(self, name)
        assert isinstance(found, Component)
        return found

    @property
    def joules(self) -> float:
        return self.energy_uj.mid / 1e6


def metered(records: Iterable[EmissionRecord]) -> Metered:
    """InputError without a record: nothing is known then, and that is not zero."""
    known = tuple(records)
    if not known:
        raise InputError("there is no emission record of this training: its energy is unknown")
    parts: dict[str, Component] = {}
    for name in COMPONENTS:
        energy = sum(getattr(row, f"{name}_uj") for record in known for row in record.energy)
        parts[name] = Component(energy, worst(getattr(record.labels, name) for record in known))
    by_phase: dict[str, int] = dict.fromkeys(PHASES, 0)
    by_label: dict[Label, int] = {}
    for record in known:
        by_label[record.quality] = by_label.get(record.quality, 0) + record.energy_uj.mid
        for row in record.energy:
            by_phase[row.phase] += row.total_uj
    label = total_label(by_label.items())
    return Metered(
        **parts,
        energy_uj=sum((record.energy_uj for record in known), NOTHING),
        label=label,
        co2e_ug=_co2e(known),
        co2e_label=worst((label, *(record.factor.label for record in known))),
        place=", ".join(sorted({record.factor.place for record in known})),
        source=", ".join(sorted({record.factor.source for record in known})),
        by_phase_uj=by_phase,
        power=tuple(sorted({(r.host_id, r.power.idle_mw, r.power.rate_uw) for r in known})),
        records=len(known),
    )


def _co2e(records: Sequence[EmissionRecord]) -> Band:
    """Of the sums, grid by grid: a record of a few microjoules rounds its own grams to nothing."""
    by_grid: dict[Factor, Band] = {}
    for record in records:
        by_grid[record.factor] = by_grid.get(record.factor, NOTHING) + record.energy_uj
    return sum((co2e_ug(energy, factor) for factor, energy in by_grid.items()), NOTHING)
