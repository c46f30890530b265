"""What records may claim of a host, judged from the records themselves: nobody's host record is needed.

`checks` holds each record against physics and a host record against its peers. Here stands what needs several records
of one host, or a limit that a single phase does not show. Each rule is a necessary condition of honest records: a
peer that breaks one has claimed what cannot have been; a peer that breaks none may still have lied within them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from peerage.emissions.attribution import MODEL_RATE_UW, PPM, equal_reservation
from peerage.emissions.labels import Label
from peerage.emissions.limits import MAX_BYTES_PER_US, MAX_CAP_MW, MAX_CORE_UW, MAX_IDLE_MW, MAX_MILLI_CORES
from peerage.emissions.record import PHASES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from peerage.emissions.host_record import HostRecord
    from peerage.emissions.record import EmissionRecord

TOLERANCE: Final = 100  # one part in a hundred
# how well the host's clock of busy time resolves: a tick at either end, per core
BUSY_SLACK_US: Final = 20_000
# what a queue may hand over at once: traffic is counted when it is read, not when it is on the wire
_BURST_US: Final = 1_000_000
# less CPU time than this may round to no energy at all
_WORKED_US: Final = 1_000_000
_NAMED: Final = 8

Fault = tuple[str, str]  # code, sentence
Joint = tuple[str, str, int | None]  # the round that it was in
Blamed = tuple[str, str, "EmissionRecord | None"]  # the record that is at fault, where it is one


def record_faults(record: EmissionRecord) -> Iterator[Fault]:
    """One record: traffic beyond any line, energy without a counter behind it, and work that took no energy."""
    window_us = max(0, record.end_us - record.start_us) + record.resolution_us * len(PHASES) + _BURST_US
    moved = sum(row.bytes_in + row.bytes_out for row in record.use)
    if moved > window_us * MAX_BYTES_PER_US:
        yield "emission-traffic", f"it moved {moved} bytes in {window_us} us, more than any line carries"
    if record.labels.gpu is Label.ASSUMED and not record.marks and any(row.gpu_uj for row in record.use):
        yield "emission-label", "it has energy of devices and says itself that no counter stands behind it"
    cpu_us = sum(row.cpu_us for row in record.use)
    if cpu_us >= _WORKED_US and not any(row.cpu_dyn_uj + row.idle_uj for row in record.energy):
        yield "emission-floor", f"{cpu_us} us of CPU took no energy at all"


def claimed_faults(records: Sequence[EmissionRecord]) -> Iterator[Joint]:
    """All records of one declared host: reservations, and in each round the CPU time of its cores.

    In a round all its records lie within one stretch of time, from the first start to the last end; their CPU time
    is at most what the cores had in it. A peer that claims all cores, and another that does so at the same time,
    each pass alone. Which of them lies cannot be told from here, so the sentence names all.
    """
    reserved: dict[str, int] = defaultdict(int)
    rounds: dict[int, list[EmissionRecord]] = defaultdict(list)
    for record in records:
        reserved[record.peer] = max(reserved[record.peer], record.power.reserved_ppm)
        rounds[record.round].append(record)
    if sum(reserved.values()) > PPM:
        yield "emission-cap", f"{_names(reserved)} reserve {sum(reserved.values())} parts per million of it", None
    for number in sorted(rounds):
        here = rounds[number]
        milli_cores = max(record.power.milli_cores for record in here)
        wall_us = max(record.end_us for record in here) - min(record.start_us for record in here)
        late_us = sum(2 * record.resolution_us * len(PHASES) for record in here)
        cpu_us = sum(row.cpu_us for record in here for row in record.use)
        if cpu_us * 1000 > (wall_us + late_us + BUSY_SLACK_US) * milli_cores:
            had = f"{milli_cores}/1000 cores had in {wall_us} us"
            who = _names({record.peer for record in here})
            yield "emission-cap", f"round {number}: {who} claim {cpu_us} us of CPU, more than {had}", number


def _names(peers: Collection[str]) -> str:
    """The first of them; a sentence stays a sentence."""
    shown = sorted(peers)[:_NAMED]
    return " + ".join([*shown, *([f"{len(peers) - _NAMED} more"] if len(peers) > _NAMED else [])])


def host_faults(records: Sequence[EmissionRecord], host: HostRecord) -> Iterator[Blamed]:
    """A host record against hardware, and each record against the host that it was on."""
    limits = (
        ("cores", host.milli_cores, MAX_MILLI_CORES),
        ("idle power", host.idle_mw, MAX_IDLE_MW),
        ("power of a core", host.rate_uw, max(MAX_CORE_UW, host.cap_mw * 1000)),
        ("highest power", host.cap_mw, MAX_CAP_MW),
    )
    for name, value, limit in limits:
        if value > limit:
            yield "emission-energy", f"its {name} is {value}, more than the {limit} that any host has", None
    for record in records:
        resident = max((row.ram_bytes for row in record.use), default=0)
        if resident > host.ram_bytes:
            yield "emission-energy", f"{record.peer} claims {resident} bytes of its {host.ram_bytes} of memory", record
    if host.rate_uw == MODEL_RATE_UW and host.cpu_label is Label.MODELLED:
        yield from _model_faults(records)
    if not host.host.gpu_uj and host.peers.gpu_uj:
        yield "emission-conservation", f"its peers claim {host.peers.gpu_uj} uJ of devices, it used none", None


def _model_faults(records: Sequence[EmissionRecord]) -> Iterator[Blamed]:
    """On a host without counters a busy core takes what the model says, for each of its peers: another rate was made
    up. A sum, because a rate of one short record is rounded.
    """
    by_peer: dict[str, list[EmissionRecord]] = defaultdict(list)
    for record in records:
        by_peer[record.peer].append(record)
    for peer, own in by_peer.items():
        cpu_us = sum(row.cpu_us for record in own for row in record.use)
        claimed = sum(row.cpu_dyn_uj for record in own for row in record.energy)
        due = cpu_us * MODEL_RATE_UW // PPM
        if abs(claimed - due) > due // TOLERANCE + len(own) * len(PHASES):
            sentence = f"{peer} claims {claimed} uJ for {cpu_us} us of CPU, the host's model says {due}"
            yield "emission-host", sentence, max(own, key=lambda r: (r.session_us, r.index))


def reservation_faults(record: EmissionRecord, peers: int) -> Iterator[Fault]:
    """A federation of `peers` shares idle power by equal parts: who declares less hands its part to nobody."""
    least = equal_reservation(peers)
    if record.power.reserved_ppm < least:
        sentence = f"it reserves {record.power.reserved_ppm} parts per million of its host, {least} are agreed"
        yield "emission-floor", sentence
