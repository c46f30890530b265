"""What must hold between records, judged by anybody from the records alone: physics, time, and conservation.

Pure functions, records in, findings out; an empty answer means that nothing contradicts. It does not mean that the
numbers are true: a peer owns its clock. It means that lies must fit into one host's time, cores and energy.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from peerage.emissions.attribution import PPM
from peerage.emissions.host_record import Energies, HostRecord, bind, sum_of
from peerage.emissions.limits import (
    MAX_CORE_UW,
    MAX_GPU_UJ_PER_US,
    MAX_IDLE_MW,
    MAX_MILLI_CORES,
    MAX_RAM_BYTES,
    MAX_RESOLUTION_US,
)
from peerage.emissions.marks import SENTENCES, at_best, ordered
from peerage.emissions.plausible import (
    BUSY_SLACK_US,
    TOLERANCE,
    claimed_faults,
    host_faults,
    record_faults,
    reservation_faults,
)
from peerage.emissions.record import PHASES, EmissionRecord, PhaseUse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from peerage.emissions.labels import Label
    from peerage.emissions.marks import Mark

# what a meter says against itself: worth telling, and no fault of anybody's
MARKED: Final = "emission-marked"


@dataclass(frozen=True, slots=True)
class EmissionFinding:
    """`peer` is whose record it is (None: the host's own)."""

    code: str
    peer: bytes | None
    round: int | None
    sentence: str


def check_record(record: EmissionRecord) -> tuple[EmissionFinding, ...]:
    """One record against physics. Its arithmetic has been checked by `decode_record`."""
    found: list[EmissionFinding] = []

    def find(code: str, sentence: str) -> None:
        found.append(EmissionFinding(code, record.address, record.round, f"round {record.round}: {sentence}"))

    power, window_us, step = record.power, record.end_us - record.start_us, record.resolution_us
    if window_us < 0 or record.start_us < record.session_us:
        find("emission-window", "the emission record ends before it starts, or starts before its meter did")
    wall_us = sum(row.wall_us for row in record.use)
    # coarse records carry up to one step per phase over from the record before, and into the next
    if abs(wall_us - window_us) > step * len(PHASES):
        find("emission-gap", f"its phases take {wall_us} us, its window {window_us} us")
    limits = (
        ("cores", power.milli_cores, MAX_MILLI_CORES),
        ("idle power", power.idle_mw, MAX_IDLE_MW),
        ("power of a core", power.rate_uw, MAX_CORE_UW),
        ("resolution", step, MAX_RESOLUTION_US),
    )
    for name, value, limit in limits:
        if value > limit:
            find("emission-energy", f"its {name} is {value}, more than the {limit} that any host has")
    for row in record.use:
        for code, sentence in _phase_faults(row, power.milli_cores, step):
            find(code, sentence)
    for code, sentence in (*record_faults(record), *_marked(record.marks, (record.labels.cpu_dyn, record.labels.idle))):
        find(code, sentence)
    return tuple(found)


def _marked(marks: tuple[Mark, ...], labels: tuple[Label, ...]) -> Iterator[tuple[str, str]]:
    for mark in marks:
        yield MARKED, f"the meter says that {SENTENCES[mark]}"
    if marks != ordered(marks):
        yield "emission-label", "its marks are doubled or out of order"
    for label in labels:
        if label is not at_best(label, marks):
            yield "emission-label", f"it is marked {', '.join(marks)} and still calls its energy {label}"
            return


def _phase_faults(row: PhaseUse, milli_cores: int, step: int) -> Iterator[tuple[str, str]]:
    if (
        row.cpu_us * 1000 > (row.wall_us + 2 * step) * milli_cores
    ):  # a coarse time may lag a step, a coarse CPU time too
        claim = f"{row.cpu_us} us of CPU in {row.wall_us} us on {milli_cores}/1000 cores"
        yield "emission-cpu", f"{row.phase} claims {claim}"
    if row.gpu_uj > (row.wall_us + step) * MAX_GPU_UJ_PER_US:
        yield "emission-energy", f"{row.phase} claims {row.gpu_uj} uJ of GPU in {row.wall_us} us"
    if row.ram_bytes > MAX_RAM_BYTES:
        yield "emission-energy", f"{row.phase} claims {row.ram_bytes} bytes of memory"
    if step and (row.wall_us % step or row.cpu_us % step):
        yield "emission-resolution", f"{row.phase} is finer than the resolution it declares"


def check_peer(records: Sequence[EmissionRecord]) -> tuple[EmissionFinding, ...]:
    """The records of one peer: none missing within a session, each starting where the last ended, no two at one
    time.
    """
    found: list[EmissionFinding] = []
    ordered = sorted(records, key=lambda r: (r.session_us, r.index))
    for record in ordered:
        found += check_record(record)
    for before, after in pairwise(ordered):
        same = before.session_us == after.session_us
        sentence = ""
        if same and before.index == after.index:
            sentence = f"there are two emission records with number {after.index}"
        elif same and (after.index != before.index + 1 or after.start_us != before.end_us):
            sentence = (
                "the emission record does not start where the one before ended: one is missing, or time was cut out"
            )
        elif after.start_us < before.end_us:
            sentence = "the emission record overlaps the one before"
        if sentence:
            found.append(
                EmissionFinding("emission-tiling", after.address, after.round, f"round {after.round}: {sentence}")
            )
    sessions: set[int] = set()
    for record in ordered:
        if record.session_us not in sessions and (record.index != 0 or record.start_us != record.session_us):
            sentence = f"round {record.round}: the first emission record of a meter is missing"
            found.append(EmissionFinding("emission-tiling", record.address, record.round, sentence))
        sessions.add(record.session_us)
    return tuple(found)


def check_host(records: Sequence[EmissionRecord], host: HostRecord) -> tuple[EmissionFinding, ...]:
    """Conservation: the peers of a host plus the rest are the host, within one per cent of it, component by
    component.
    """
    found: list[EmissionFinding] = []

    def find(code: str, sentence: str, record: EmissionRecord | None = None) -> None:
        peer, number = (record.address, record.round) if record else (None, None)
        found.append(EmissionFinding(code, peer, number, f"host {host.host_id}: {sentence}"))

    for record in records:
        if record.host_id != host.host_id:
            find("emission-host", f"{record.peer} declares host {record.host_id}", record)
        if record.start_us < host.start_us or record.end_us > host.end_us:
            find("emission-window", f"{record.peer} has a record outside the host's time", record)
        if record.power.milli_cores > host.milli_cores or record.power.idle_mw != host.idle_mw:
            find("emission-host", f"{record.peer} declares other cores or idle power than the host has", record)
    if len(records) != host.records or bind(records) != host.records_sha256:
        find(
            "emission-records",
            f"the host record binds {host.records} other records than the {len(records)} that are here",
        )
    elif sum_of(records) != host.peers:
        find("emission-sum", "the peers' records do not add up to what the host record says of them")
    if host.host - host.peers != host.other:
        find("emission-sum", "peers and other do not add up to the host")
    marked = ((code, sentence, None) for code, sentence in _marked(host.marks, (host.cpu_label,)))
    for code, sentence, blamed in (*marked, *host_faults(records, host)):
        find(code, sentence, blamed)
    found += _conserved(host)
    found += _capped(records, host)
    return tuple(found)


def check_claims(host_id: str, records: Sequence[EmissionRecord]) -> tuple[EmissionFinding, ...]:
    """What the peers of one declared host claim together; without its host record, so anybody can judge it."""
    return tuple(
        EmissionFinding(code, None, number, f"host {host_id}: {sentence}")
        for code, sentence, number in claimed_faults(records)
    )


def check_run(
    records: Iterable[EmissionRecord],
    hosts: Iterable[HostRecord],
    peers: int = 0,
) -> tuple[EmissionFinding, ...]:
    """All of it: each record, each peer's time, what the peers of a declared host claim together, and each host that
    made a host record. `peers` is how many the federation was agreed for (0: not known), as reservations follow it.
    """
    by_peer: dict[str, list[EmissionRecord]] = defaultdict(list)
    by_host: dict[str, list[EmissionRecord]] = defaultdict(list)
    for record in records:
        by_peer[record.peer].append(record)
        by_host[record.host_id].append(record)
    found = [finding for peer in sorted(by_peer) for finding in check_peer(by_peer[peer])]
    for record in (one for peer in sorted(by_peer) for one in by_peer[peer] if peers):
        for code, sentence in reservation_faults(record, peers):
            found.append(EmissionFinding(code, record.address, record.round, f"round {record.round}: {sentence}"))
    for host_id in sorted(by_host):
        found += check_claims(host_id, by_host[host_id])
    for host in hosts:
        found += check_host(by_host.get(host.host_id, []), host)
    return tuple(found)


def _conserved(host: HostRecord) -> list[EmissionFinding]:
    """No component of the peers may be larger than the host's (`other` below zero), beyond one per cent of the host."""
    slack_uj = host.host.total_uj // TOLERANCE
    tick_uj = BUSY_SLACK_US * host.milli_cores // 1000 * host.rate_uw // PPM
    found: list[EmissionFinding] = []
    for name in Energies.__struct_fields__:
        rest = int(getattr(host.other, name))
        if rest < -(slack_uj + (tick_uj if name == "cpu_dyn_uj" else 0)):
            sentence = (
                f"host {host.host_id}: its peers claim {-rest} uJ more {name.removesuffix('_uj')} energy than it used"
            )
            found.append(EmissionFinding("emission-conservation", None, None, sentence))
    return found


def _capped(records: Sequence[EmissionRecord], host: HostRecord) -> list[EmissionFinding]:
    found: list[EmissionFinding] = []

    def find(sentence: str) -> None:
        found.append(EmissionFinding("emission-cap", None, None, f"host {host.host_id}: {sentence}"))

    wall_us = host.end_us - host.start_us
    if wall_us < 0:
        find("the host record ends before it starts")
        return found
    slack_us = BUSY_SLACK_US * host.milli_cores // 1000
    cpu_us = sum(row.cpu_us for record in records for row in record.use)
    if cpu_us > wall_us * host.milli_cores // 1000 + slack_us:
        find(f"its peers claim {cpu_us} us of CPU, more than its cores had in {wall_us} us")
    cpu_uj = host.host.cpu_dyn_uj + host.host.idle_uj
    if cpu_uj > wall_us * host.cap_mw // 1000 * (TOLERANCE + 1) // TOLERANCE + slack_us * host.rate_uw // PPM:
        find(f"{cpu_uj} uJ are more than its CPU can draw in {wall_us} us")
    return found
