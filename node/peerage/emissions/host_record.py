"""A whole host over a whole run, and the other half of the promise: peers + other = host."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable  # noqa: TC003
from typing import Annotated, Final, Literal

import msgspec

from peerage.emissions.factors import Factor, co2e_ug
from peerage.emissions.host import Count
from peerage.emissions.labels import RAM_SPREAD, Band, Label, spread, widen
from peerage.emissions.marks import Mark
from peerage.emissions.record import BadRecord, EmissionRecord, HostId, ShortText

HOST_SCHEMA: Final = 1
MAX_HOST_RECORD_BYTES: Final = 64 * 1024

Signed = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Energies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Microjoules by component, middle estimates; negative only in an `other` that betrays a broken share."""

    cpu_dyn_uj: Signed
    idle_uj: Signed
    ram_uj: Signed
    gpu_uj: Signed

    @property
    def total_uj(self) -> int:
        return self.cpu_dyn_uj + self.idle_uj + self.ram_uj + self.gpu_uj

    def __sub__(self, other: Energies) -> Energies:
        return Energies(
            self.cpu_dyn_uj - other.cpu_dyn_uj,
            self.idle_uj - other.idle_uj,
            self.ram_uj - other.ram_uj,
            self.gpu_uj - other.gpu_uj,
        )


class HostRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """`records` is how many peer records are within and `records_sha256` binds them: SHA-256 over their sorted
    digests.
    """

    schema: Literal[1]
    host_id: HostId
    start_us: Count
    end_us: Count
    cpu_model: ShortText
    gpus: tuple[ShortText, ...]
    milli_cores: Count
    idle_mw: Count
    rate_uw: Count
    cap_mw: Count
    ram_bytes: Count
    busy_us: Count
    cpu_label: Label
    gpu_label: Label
    host: Energies
    peers: Energies
    other: Energies
    records: Count
    records_sha256: Hash
    factor: Factor
    energy_uj: Band
    co2e_ug: Band
    tool: ShortText
    marks: tuple[Mark, ...] = ()  # what the meter saw go wrong

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    def digest(self) -> bytes:
        return hashlib.sha256(self.encode()).digest()


def sum_of(records: Iterable[EmissionRecord]) -> Energies:
    rows = [row for record in records for row in record.energy]
    return Energies(
        sum(row.cpu_dyn_uj for row in rows),
        sum(row.idle_uj for row in rows),
        sum(row.ram_uj for row in rows),
        sum(row.gpu_uj for row in rows),
    )


def bind(records: Iterable[EmissionRecord]) -> str:
    return hashlib.sha256(b"".join(sorted(record.digest() for record in records))).hexdigest()


def host_band(host: Energies, cpu: Label, gpu: Label) -> Band:
    total = widen(host.cpu_dyn_uj + host.idle_uj, spread(cpu)) + widen(host.ram_uj, RAM_SPREAD)
    return total + widen(host.gpu_uj, spread(gpu))


def decode_host_record(raw: bytes) -> HostRecord:
    """Refuses (BadRecord) what is malformed or not canonical, or whose band does not follow from its energies."""
    if len(raw) > MAX_HOST_RECORD_BYTES:
        raise BadRecord(f"a host record of {len(raw)} bytes is longer than {MAX_HOST_RECORD_BYTES}")
    try:
        record = msgspec.json.decode(raw, type=HostRecord)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRecord(f"not a host record: {error}") from error
    if record.encode() != raw:
        raise BadRecord("the host record is not in canonical form")
    band = host_band(record.host, record.cpu_label, record.gpu_label)
    if (record.energy_uj, record.co2e_ug) != (band, co2e_ug(band, record.factor)):
        raise BadRecord("the host record's energy or CO2e does not follow from its components and factor")
    return record
