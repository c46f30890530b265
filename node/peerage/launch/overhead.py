"""What a run took that no peer's record has: the launcher with its last audit, and the chain's processes.

CPU time of this process and of the children that it has waited for, times the host's marginal power of a busy core.
Peers are children of the fork server, which is not waited for while the run lasts: none of theirs is in it.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from peerage.emissions.attribution import dynamic_uj
from peerage.emissions.factors import co2e_ug
from peerage.emissions.host_record import decode_host_record
from peerage.emissions.labels import Label, spread, widen, worst
from peerage.emissions.record import BadRecord

if TYPE_CHECKING:
    from pathlib import Path

    from peerage.emissions.host_record import HostRecord
    from peerage.emissions.labels import Band

_UJ_PER_WH: Final = 3.6e9


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    low: float = 0.0
    mid: float = 0.0
    high: float = 0.0


class Overhead(msgspec.Struct, frozen=True, kw_only=True):
    """In no other sum of the summary. Idle power and memory are not in it: the host has them anyway."""

    launcher_cpu_seconds: float
    children_cpu_seconds: float
    energy_wh: Ends
    co2e_g: Ends
    label: str


@dataclass(frozen=True, slots=True)
class Cpu:
    """Microseconds so far: of this process, and of children that it has waited for."""

    own_us: int
    children_us: int


def cpu() -> Cpu:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return Cpu(_us(own), _us(children))


def overhead(before: Cpu, now: Cpu, host: HostRecord) -> Overhead:
    """`host` says what a busy core took in this run, and how well that is known."""
    own, children = max(0, now.own_us - before.own_us), max(0, now.children_us - before.children_us)
    label = Label.ATTRIBUTED if host.cpu_label is Label.MEASURED_COUNTER else worst((host.cpu_label, Label.ATTRIBUTED))
    band = widen(dynamic_uj(own + children, host.rate_uw), spread(label))
    return Overhead(
        launcher_cpu_seconds=own / 1e6,
        children_cpu_seconds=children / 1e6,
        energy_wh=_ends(band, _UJ_PER_WH),
        co2e_g=_ends(co2e_ug(band, host.factor), 1e6),
        label=label.value,
    )


def of_run(before: Cpu, host_log: Path) -> Overhead | None:
    """By the newest host record; None where there is none that can be read."""
    try:
        return overhead(before, cpu(), decode_host_record(host_log.read_bytes().splitlines()[-1]))
    except (OSError, IndexError, BadRecord):
        return None


def in_words(told: Overhead) -> str:
    own, children = told.launcher_cpu_seconds, told.children_cpu_seconds
    return (
        f"Running it took {own + children:.1f} CPU seconds beside the peers ({own:.1f} launcher and audit, "
        f"{children:.1f} chain and other children): {_milli(told.energy_wh, 'mWh')}, {_milli(told.co2e_g, 'mg CO2e')}, "
        f"{told.label}; in no sum above, and without idle power and memory."
    )


def _milli(ends: Ends, unit: str) -> str:
    return f"{1000 * ends.mid:.3g} {unit} ({1000 * ends.low:.3g} to {1000 * ends.high:.3g})"


def _ends(band: Band, divisor: float) -> Ends:
    return Ends(low=band.low / divisor, mid=band.mid / divisor, high=band.high / divisor)


def _us(used: resource.struct_rusage) -> int:
    return round((used.ru_utime + used.ru_stime) * 1e6)
