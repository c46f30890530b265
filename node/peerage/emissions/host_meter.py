"""The launcher's meter of the whole host: started before the peers, closed with their records after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.emissions.attribution import PPM, dynamic_uj, idle_uj, ram_uj
from peerage.emissions.counters import Counters, SystemCounters, busy_between
from peerage.emissions.factors import co2e_ug
from peerage.emissions.host import same_boot
from peerage.emissions.host_record import HOST_SCHEMA, Energies, HostRecord, bind, host_band, sum_of
from peerage.emissions.labels import Label
from peerage.emissions.limits import MAX_GPU_UJ_PER_US
from peerage.emissions.marks import JUMP_US, Mark, at_best, clocks_moved, ordered
from peerage.emissions.rapl import HostEnergy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from peerage.emissions.host import HostProbe
    from peerage.emissions.record import EmissionRecord


class HostMeter:
    """Reads the host alone and asks no peer: that is what makes `check_host` a check. `gpu_uj` counts all devices."""

    def __init__(
        self,
        probe: HostProbe,
        *,
        gpu_uj: Callable[[], int] | None = None,
        counters: Counters | None = None,
    ) -> None:
        self._probe = probe
        self._counters: Counters = counters or SystemCounters(part=probe.part)
        self._gpu = gpu_uj
        self._energy = HostEnergy(probe, self._counters)
        same_boot(probe, self._counters.now_us())
        self._clocks = (self._counters.now_us(), *self._counters.beside_us())
        self._marks: set[Mark] = set()
        self._energy.sample()
        self._dynamic_uj = self._energy.dynamic_uj() if probe.zones else 0
        self._start_us = self._counters.now_us()
        self._busy = self._counters.busy_us()
        self._gpu_start_uj = gpu_uj() if gpu_uj else 0

    def sample(self) -> None:
        """Call this at least once a minute on hosts with RAPL, so that no wrap of a counter goes unseen."""
        clocks = (self._counters.now_us(), *self._counters.beside_us())
        moved = clocks_moved(self._clocks, clocks)
        self._clocks = (max(self._clocks[0], clocks[0]), *clocks[1:])  # one that ran back stands still
        self._marks |= moved
        self._energy.sample(moved)

    def close(self, records: Sequence[EmissionRecord]) -> HostRecord:
        """The host from the meter's start until now, and what its peers' `records` leave to the other processes."""
        probe = self._probe
        self.sample()
        end_us = self._clocks[0]
        wall_us = end_us - self._start_us
        busy_us = busy_between(self._busy, self._counters.busy_us())
        gpu_uj = self._gpu() - self._gpu_start_uj if self._gpu else 0
        if not 0 <= gpu_uj <= (wall_us + JUMP_US) * MAX_GPU_UJ_PER_US:
            gpu_uj = 0
            self._marks.add(Mark.COUNTER)
        marks = ordered(self._marks | self._energy.marks)
        cpu_label = at_best(self._energy.label, marks)
        host = Energies(
            self._energy.dynamic_uj() - self._dynamic_uj if probe.zones else dynamic_uj(busy_us, probe.rate_uw),
            idle_uj(wall_us, probe.idle_mw, PPM),
            ram_uj(wall_us, probe.ram_bytes),
            gpu_uj,
        )
        peers = sum_of(records)
        gpu_label = at_best(Label.MEASURED_COUNTER, marks) if self._gpu else Label.ASSUMED
        band = host_band(host, cpu_label, gpu_label)
        return HostRecord(
            schema=HOST_SCHEMA,
            host_id=probe.host_id,
            start_us=probe.when(self._start_us),
            end_us=probe.when(end_us),
            cpu_model=probe.cpu_model[:200],
            gpus=tuple(name[:200] for name in probe.gpus),
            milli_cores=probe.milli_cores,
            idle_mw=probe.idle_mw,
            rate_uw=self._energy.rate_uw(),
            cap_mw=probe.cap_mw,
            ram_bytes=probe.ram_bytes,
            busy_us=busy_us,
            cpu_label=cpu_label,
            gpu_label=gpu_label,
            host=host,
            peers=peers,
            other=host - peers,
            records=len(records),
            records_sha256=bind(records),
            factor=probe.factor,
            energy_uj=band,
            co2e_ug=co2e_ug(band, probe.factor),
            tool=probe.tool,
            marks=marks,
        )
