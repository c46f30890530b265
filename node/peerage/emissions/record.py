"""One peer's energy and CO2e in one stretch of time, as it is hashed into a round's root.

Everything is an integer (microseconds, microjoules, micrograms). What can be computed from the rest (energies, totals,
labels, CO2e) is computed again on decoding: a record whose sums do not follow from its own times is refused.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final, Literal, get_args

import msgspec

from peerage.emissions import attribution
from peerage.emissions.factors import Factor, co2e_ug
from peerage.emissions.host import Count
from peerage.emissions.labels import NOTHING, RAM_SPREAD, Band, Label, spread, total_label, widen, worst
from peerage.emissions.marks import Mark

RECORD_SCHEMA: Final = 1
MAX_RECORD_BYTES: Final = 16 * 1024

Phase = Literal["wait", "train", "mask", "exchange", "unmask", "score", "ledger"]
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)

HexAddress = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-f]{40}$")]
HostId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
ShortText = Annotated[str, msgspec.Meta(max_length=200)]


class BadRecord(ValueError):
    """These bytes are not an emission record that any meter of ours wrote; the sentence says why."""


class Power(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the attribution multiplied with: see `attribution`."""

    milli_cores: Count
    idle_mw: Count
    rate_uw: Count
    reserved_ppm: Annotated[int, msgspec.Meta(ge=0, le=attribution.PPM)]


class Labels(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    cpu_dyn: Label
    idle: Label
    ram: Label
    gpu: Label


class PhaseUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was read in one phase: `ram_bytes` is the mean over its time; traffic is payload as the transport counts
    it.
    """

    phase: Phase
    wall_us: Count = 0
    cpu_us: Count = 0
    ram_bytes: Count = 0
    gpu_uj: Count = 0
    bytes_in: Count = 0
    bytes_out: Count = 0


class PhaseEnergy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What follows from `PhaseUse`, in microjoules."""

    phase: Phase
    cpu_dyn_uj: Count
    idle_uj: Count
    ram_uj: Count
    gpu_uj: Count

    @property
    def total_uj(self) -> int:
        return self.cpu_dyn_uj + self.idle_uj + self.ram_uj + self.gpu_uj


class EmissionRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """From `start_us` to `end_us`, microseconds since 1970 on the host's axis. `session_us` is when this meter began;
    `index` counts its records from 0, and each starts where the one before ended.
    """

    schema: Literal[1]
    peer: HexAddress
    host_id: HostId
    session_us: Count
    index: Count
    round: Count
    start_us: Count
    end_us: Count
    resolution_us: Count
    power: Power
    labels: Labels
    use: tuple[PhaseUse, ...]
    energy: tuple[PhaseEnergy, ...]
    factor: Factor
    energy_uj: Band
    co2e_ug: Band
    quality: Label  # of the energy
    co2e_quality: Label  # the factor's label counts too
    marks: tuple[Mark, ...] = ()  # what the meter saw go wrong; left out where there is nothing to say

    @property
    def address(self) -> bytes:
        return bytes.fromhex(self.peer[2:])

    def encode(self) -> bytes:
        """Canonical: one order of fields, no spaces."""
        return msgspec.json.encode(self)

    def digest(self) -> bytes:
        return hashlib.sha256(self.encode()).digest()


def energy_of(use: PhaseUse, power: Power) -> PhaseEnergy:
    return PhaseEnergy(
        phase=use.phase,
        cpu_dyn_uj=attribution.dynamic_uj(use.cpu_us, power.rate_uw),
        idle_uj=attribution.idle_uj(use.wall_us, power.idle_mw, power.reserved_ppm),
        ram_uj=attribution.ram_uj(use.wall_us, use.ram_bytes),
        gpu_uj=use.gpu_uj,
    )


def band_of(energy: PhaseEnergy, labels: Labels) -> Band:
    total = widen(energy.cpu_dyn_uj, spread(labels.cpu_dyn)) + widen(energy.idle_uj, spread(labels.idle))
    return total + widen(energy.ram_uj, RAM_SPREAD) + widen(energy.gpu_uj, spread(labels.gpu))


def complete(
    *,
    peer: bytes,
    host_id: str,
    session_us: int,
    index: int,
    round: int,  # noqa: A002 - the protocol's word
    start_us: int,
    end_us: int,
    resolution_us: int,
    power: Power,
    labels: Labels,
    use: tuple[PhaseUse, ...],
    factor: Factor,
    marks: tuple[Mark, ...] = (),
) -> EmissionRecord:
    """The record of what was read: all that is derived, derived here and nowhere else."""
    energy = tuple(energy_of(row, power) for row in use)
    total = sum((band_of(row, labels) for row in energy), NOTHING)
    quality = total_label(
        [
            (labels.cpu_dyn, sum(row.cpu_dyn_uj for row in energy)),
            (labels.idle, sum(row.idle_uj for row in energy)),
            (labels.ram, sum(row.ram_uj for row in energy)),
            (labels.gpu, sum(row.gpu_uj for row in energy)),
        ],
    )
    return EmissionRecord(
        schema=RECORD_SCHEMA,
        peer="0x" + peer.hex(),
        host_id=host_id,
        session_us=session_us,
        index=index,
        round=round,
        start_us=start_us,
        end_us=end_us,
        resolution_us=resolution_us,
        power=power,
        labels=labels,
        use=use,
        energy=energy,
        factor=factor,
        energy_uj=total,
        co2e_ug=co2e_ug(total, factor),
        quality=quality,
        co2e_quality=worst((quality, factor.label)),
        marks=marks,
    )


def decode_record(raw: bytes, peer: bytes | None = None) -> EmissionRecord:
    """Refuses (BadRecord) what is too long, malformed, not canonical, of another peer, or does not add up."""
    if len(raw) > MAX_RECORD_BYTES:
        raise BadRecord(f"an emission record of {len(raw)} bytes is longer than {MAX_RECORD_BYTES}")
    try:
        record = msgspec.json.decode(raw, type=EmissionRecord)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRecord(f"not an emission record: {error}") from error
    if record.encode() != raw:
        raise BadRecord("the emission record is not in canonical form")
    if peer is not None and record.address != peer:
        raise BadRecord(f"the emission record speaks for {record.peer}, not for its sender 0x{peer.hex()}")
    if tuple(row.phase for row in record.use) != PHASES:
        raise BadRecord("the emission record does not list each phase once, in order")
    factor = record.factor
    if len(factor.source) > 200 or len(factor.note) > 200 or not 0 <= factor.low_mg <= factor.mid_mg <= factor.high_mg:
        raise BadRecord("the emission record's factor is not a band from low to high with a short source")
    again = complete(
        peer=record.address,
        **{name: getattr(record, name) for name in _PRIMARY},
    )
    for name in ("energy", "energy_uj", "co2e_ug", "quality", "co2e_quality"):
        if getattr(again, name) != getattr(record, name):
            raise BadRecord(f"the emission record's {name} does not follow from its own times and factors")
    return record


_PRIMARY: Final = (
    "host_id",
    "session_us",
    "index",
    "round",
    "start_us",
    "end_us",
    "resolution_us",
    "power",
    "labels",
    "use",
    "factor",
    "marks",
)
