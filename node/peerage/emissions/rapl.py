"""RAPL, where the kernel lets us read it: package energy since the probe, through the counters' wraps.

A wrap cannot be seen when more than one range may have passed between two readings (a 32-bit range of microjoules lasts
minutes on a busy server). A counter that began again without a wrap (after a sleep, or a reload of its driver) looks
like a wrap with a huge gain: more than the CPU can draw in that time. In both cases, and after any sleep, the stretch
is filled by the power model and the whole is labelled `modelled`, for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerage.emissions.attribution import PPM, dynamic_uj, idle_uj, rate_uw
from peerage.emissions.counters import busy_between
from peerage.emissions.facts import ROOT, number
from peerage.emissions.host import Zone
from peerage.emissions.labels import Label
from peerage.emissions.marks import Mark

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from peerage.emissions.counters import Counters
    from peerage.emissions.host import HostProbe

_COUNTER_LAG_US: Final = 100_000  # counters advance in steps of a millisecond, and a reader may be paused between two


def package_zones(root: Path = ROOT) -> tuple[Zone, ...]:
    """Package counters only (core is part of one, dram beside it, psys around it, mmio its mirror); all or none."""
    zones: list[Zone] = []
    for folder in sorted((root / "sys/class/powercap").glob("intel-rapl:*")):
        try:
            package = (folder / "name").read_text().startswith("package")
        except OSError:
            continue
        if not package:
            continue
        value, span = number(folder / "energy_uj"), number(folder / "max_energy_range_uj")
        if value is None or not span:
            return ()  # readable by root only, as since 2020: one socket of two would be worse than none
        zones.append(Zone(str(folder), span, value))
    return tuple(zones)


class HostEnergy:
    """The host's dynamic energy and busy time since the probe, sampled at edges; without counters the model's rate."""

    def __init__(self, probe: HostProbe, counters: Counters) -> None:
        self._probe = probe
        self._counters = counters
        self._last = [zone.start_uj for zone in probe.zones]
        self._at_us = probe.mono_us
        self._busy_us = 0
        self._package_uj = 0
        self._lost = False
        self._marks: set[Mark] = set()

    @property
    def marks(self) -> frozenset[Mark]:
        return frozenset(self._marks)

    def sample(self, moved: Collection[Mark] = ()) -> None:
        """Nothing to do without counters: the model needs no reading of the host. `moved`: what the clocks did since
        the last sample; no counter is believed across that.
        """
        if not self._probe.zones:
            return
        now = max(self._at_us, self._counters.now_us())
        busy = busy_between(self._probe.busy_start_us, self._counters.busy_us())
        values = [self._counters.zone_uj(zone.path) for zone in self._probe.zones]
        gain = 0
        readable = not moved
        for index, (zone, value) in enumerate(zip(self._probe.zones, values, strict=True)):
            if value is None or (now - self._at_us) * self._probe.cap_mw >= zone.range_uj * 1000:
                readable = False
            if value is None:
                continue
            if not 0 <= value <= zone.range_uj:
                readable = False
                self._marks.add(Mark.COUNTER)
            gain += (value - self._last[index]) % zone.range_uj
            self._last[index] = value
        if readable and gain > (now - self._at_us + _COUNTER_LAG_US) * self._probe.cap_mw // 1000:
            readable = False  # it began again: not a wrap, and not energy
            self._marks.add(Mark.COUNTER)
        if not readable:
            self._lost = True
            gain = idle_uj(now - self._at_us, self._probe.idle_mw, PPM)
            gain += dynamic_uj(max(0, busy - self._busy_us), self._probe.rate_uw)
        self._package_uj += gain
        self._at_us, self._busy_us = now, max(busy, self._busy_us)

    @property
    def label(self) -> Label:
        return Label.MODELLED if self._lost else self._probe.cpu_label

    def dynamic_uj(self) -> int:
        idle = idle_uj(self._at_us - self._probe.mono_us, self._probe.idle_mw, PPM)
        return max(0, self._package_uj - idle)

    def rate_uw(self) -> int:
        """Mean marginal power of one busy core since the probe. The same question to all peers of a host has nearly the
        same answer, so their shares add up; a rate per phase would not (two peers' windows overlap as they please).
        """
        if not self._probe.zones:
            return self._probe.rate_uw
        return rate_uw(self.dynamic_uj(), self._busy_us)
