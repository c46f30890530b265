"""The meter of one peer: reads the clocks at the edges of phases and closes one record a round.

One thread calls it, the one that knows the phase; work of all the process's threads counts for the phase that is on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from peerage.emissions.attribution import PPM, coarsen, dynamic_uj
from peerage.emissions.counters import Counters, SystemCounters
from peerage.emissions.host import same_boot
from peerage.emissions.labels import Label
from peerage.emissions.limits import MAX_GPU_UJ_PER_US
from peerage.emissions.marks import JUMP_US, Mark, at_best, clocks_moved, ordered
from peerage.emissions.rapl import HostEnergy
from peerage.emissions.record import PHASES, EmissionRecord, Labels, Phase, PhaseUse, Power, complete
from peerage.emissions.resolution import BYTES_STEP

if TYPE_CHECKING:
    from peerage.emissions.host import HostProbe

Traffic = Callable[[], tuple[int, int]]  # bytes received and sent since the start
_RAM_BAND: Final = Label.MODELLED


@dataclass(slots=True)
class _Sum:
    """What one phase has used since it was last published; the rest of a coarse record stays here."""

    wall_us: int = 0
    cpu_us: int = 0
    byte_us: int = 0  # resident bytes integrated over time
    ram_us: int = 0  # the time of that integral
    gpu_uj: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, slots=True)
class _Reading:
    now_us: int
    beside_us: tuple[int, int]
    cpu_us: int
    ram_bytes: int
    gpu_uj: int
    bytes_in: int
    bytes_out: int


class Meter:
    """`traffic` is asked at each edge (received, sent). `gpu_uj`, where a host's device counter is at hand, counts all
    its devices and this peer takes its reserved part; `own_gpu_uj` counts what is this peer's already (`gpu`). Work
    before the meter exists is the host's ("other").
    """

    def __init__(
        self,
        probe: HostProbe,
        peer: bytes,
        *,
        reserved_ppm: int,
        resolution_us: int = 0,
        traffic: Traffic | None = None,
        gpu_uj: Callable[[], int] | None = None,
        own_gpu_uj: Callable[[], int] | None = None,
        counters: Counters | None = None,
    ) -> None:
        self._probe = probe
        self._peer = peer
        self._reserved_ppm = reserved_ppm
        self._resolution_us = resolution_us
        self._traffic = traffic or (lambda: (0, 0))
        self._gpu = own_gpu_uj or ((lambda: gpu_uj() * reserved_ppm // PPM) if gpu_uj else None)
        self._counters: Counters = counters or SystemCounters(part=probe.part)
        self._host = HostEnergy(probe, self._counters)
        self._sums = {phase: _Sum() for phase in PHASES}
        self._phase: Phase = "wait"
        self._index = 0
        self._claimed_uj = 0
        self._cpu_published_us = 0
        self._energy_uj = 0
        self._shared = 1.0
        self._marks: set[Mark] = set()
        self._weigh_memory()
        self._last = self._read()
        same_boot(probe, self._last.now_us)
        self._session_us = self._start_us = probe.when(self._last.now_us)

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def energy_uj(self) -> int:
        """Middle estimate of the records closed so far, for live tables."""
        return self._energy_uj

    def enter(self, phase: Phase) -> Phase:
        """From now on the work is for `phase`; answers which phase it was before."""
        before = self._phase
        self._edge()
        self._phase = phase
        return before

    @contextmanager
    def within(self, phase: Phase) -> Generator[None]:
        """`with meter.within("mask"):` and back to the phase before."""
        before = self.enter(phase)
        try:
            yield
        finally:
            self.enter(before)

    def close_round(self, round: int) -> EmissionRecord:  # noqa: A002 - the protocol's word
        """The record from the end of the last one until now. What comes after (the score and ledger phases of a round
        whose record is already in its root, say) belongs to the next record: nothing falls between two.
        """
        self._edge()
        self._weigh_memory()
        use = tuple(self._publish(phase) for phase in PHASES)
        end_us = self._probe.when(self._last.now_us)
        record = complete(
            peer=self._peer,
            host_id=self._probe.host_id,
            session_us=self._session_us,
            index=self._index,
            round=round,
            start_us=self._start_us,
            end_us=end_us,
            resolution_us=self._resolution_us,
            power=self._power(sum(row.cpu_us for row in use)),
            labels=self._labels(),
            use=use,
            factor=self._probe.factor,
            marks=ordered(self._marks | self._host.marks),
        )
        self._marks.clear()
        self._claimed_uj += sum(row.cpu_dyn_uj for row in record.energy)
        self._energy_uj += record.energy_uj.mid
        self._start_us = end_us
        self._index += 1
        return record

    def _read(self) -> _Reading:
        received, sent = self._traffic()
        # the CPU clock first: what happens between the two reads then widens the window, never the share
        cpu_us = self._counters.cpu_us()
        return _Reading(
            now_us=self._counters.now_us(),
            beside_us=self._counters.beside_us(),
            cpu_us=cpu_us,
            ram_bytes=int(self._counters.resident_bytes() * self._shared),
            gpu_uj=self._gpu() if self._gpu else 0,
            bytes_in=received,
            bytes_out=sent,
        )

    def _edge(self) -> None:
        before, now = self._last, self._read()
        moved = clocks_moved((before.now_us, *before.beside_us), (now.now_us, *now.beside_us))
        self._marks |= moved
        now = replace(now, now_us=max(before.now_us, now.now_us))  # a clock that ran back stands still until then
        self._host.sample(moved)
        total = self._sums[self._phase]
        wall_us = now.now_us - before.now_us
        total.wall_us += wall_us
        total.ram_us += wall_us
        total.byte_us += (before.ram_bytes + now.ram_bytes) // 2 * wall_us
        total.cpu_us += self._gain(before.cpu_us, now.cpu_us)
        total.gpu_uj += self._gain(before.gpu_uj, now.gpu_uj, (wall_us + JUMP_US) * MAX_GPU_UJ_PER_US)
        total.bytes_in += self._gain(before.bytes_in, now.bytes_in)
        total.bytes_out += self._gain(before.bytes_out, now.bytes_out)
        self._last = now

    def _gain(self, before: int, now: int, most: int = 1 << 62) -> int:
        """What a counter rose by; nothing, and a mark, where it ran backwards or beyond what can be."""
        if 0 <= now - before <= most:
            return now - before
        self._marks.add(Mark.COUNTER)
        return 0

    def _publish(self, phase: Phase) -> PhaseUse:
        """Takes out of a phase's sum what this record may say: whole steps of the resolution, and, where it is exact,
        never more CPU time than its cores had in its time (two clocks are not read at one instant). The rest waits for
        the next record.
        """
        total, step = self._sums[phase], self._resolution_us
        bytes_step = BYTES_STEP if step else 0
        wall_us, wall_rest = coarsen(total.wall_us, step)
        cpu_us = min(total.cpu_us, wall_us * self._probe.milli_cores // 1000)
        if step:
            cpu_us, _ = coarsen(total.cpu_us, step)
        ram_bytes, _ = coarsen(total.byte_us // total.ram_us if total.ram_us else 0, bytes_step)
        gpu_uj, _ = coarsen(total.gpu_uj, step)  # steps of one watt over the resolution
        bytes_in, in_rest = coarsen(total.bytes_in, bytes_step)
        bytes_out, out_rest = coarsen(total.bytes_out, bytes_step)
        self._sums[phase] = _Sum(
            wall_us=wall_rest,
            cpu_us=total.cpu_us - cpu_us,
            gpu_uj=total.gpu_uj - gpu_uj,
            bytes_in=in_rest,
            bytes_out=out_rest,
        )
        return PhaseUse(
            phase=phase,
            wall_us=wall_us,
            cpu_us=cpu_us,
            ram_bytes=ram_bytes,
            gpu_uj=gpu_uj,
            bytes_in=bytes_in,
            bytes_out=bytes_out,
        )

    def _power(self, cpu_us: int) -> Power:
        """The rate that brings this peer's claims to (its CPU time so far) x (the host's mean rate so far). With the
        model that is the constant; with a counter the mean moves a little each round, and the difference is
        settled here.
        """
        self._cpu_published_us += cpu_us
        rate = self._host.rate_uw()
        if self._probe.zones and cpu_us:
            due = dynamic_uj(self._cpu_published_us, rate) - self._claimed_uj
            rate = min(max(0, due) * PPM // cpu_us, self._probe.cap_mw * 1000)
        return Power(
            milli_cores=self._probe.milli_cores,
            idle_mw=self._probe.idle_mw,
            rate_uw=rate,
            reserved_ppm=self._reserved_ppm,
        )

    def _labels(self) -> Labels:
        cpu = self._host.label
        if cpu is Label.MEASURED_COUNTER:  # the host's counter, but this peer's share of it
            cpu = Label.ATTRIBUTED
        marks = self._marks | self._host.marks
        cpu = at_best(cpu, marks)
        gpu = at_best(Label.ATTRIBUTED, marks) if self._gpu else Label.ASSUMED
        return Labels(cpu_dyn=cpu, idle=cpu, ram=_RAM_BAND, gpu=gpu)

    def _weigh_memory(self) -> None:
        """Forked peers share pages. The exact share costs half a millisecond, so it is asked once a record, and the
        cheap reading at each edge is scaled by it.
        """
        resident = self._counters.resident_bytes()
        self._shared = self._counters.proportional_bytes() / resident if resident else 1.0
