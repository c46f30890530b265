"""`emissions.csv` of one peer: a row per record and phase, for spreadsheets. The record itself is the authority."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING, Final, Self

from peerage.emissions.factors import co2e_ug
from peerage.emissions.record import EmissionRecord, band_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CSV_SCHEMA: Final = 1
COLUMNS: Final = (
    *(
        "schema",
        "peer",
        "round",
        "phase",
        "start_us",
        "end_us",
        "wall_us",
        "cpu_us",
        "ram_bytes",
        "bytes_in",
        "bytes_out",
    ),
    *("cpu_dyn_uj", "idle_uj", "ram_uj", "gpu_uj", "energy_wh_low", "energy_wh_mid", "energy_wh_high"),
    *("co2e_g_low", "co2e_g_mid", "co2e_g_high", "cpu_label", "ram_label", "gpu_label", "energy_label", "co2e_label"),
    *("country", "factor_g_per_kwh", "factor_year", "resolution_us", "record_sha256"),
)
UJ_PER_WH: Final = 3_600_000_000


class EmissionsCsv:
    """Appends and flushes record by record. After a crash a torn last line is cut off, and what follows is whole."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab+")
        self._cut_torn_line()
        if self._file.tell() == 0:
            self._write([COLUMNS])

    def append(self, record: EmissionRecord) -> None:
        self._write(rows(record))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, lines: Sequence[tuple[object, ...]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(lines)
        self._file.write(text.getvalue().encode())
        self._file.flush()

    def _cut_torn_line(self) -> None:
        self._file.seek(0)
        whole = self._file.read().rfind(b"\n") + 1
        self._file.truncate(whole)
        self._file.seek(0, os.SEEK_END)


def rows(record: EmissionRecord) -> list[tuple[object, ...]]:
    """One row a phase, in the order of `COLUMNS`; window and labels are the record's."""
    digest, labels, factor = record.digest().hex(), record.labels, record.factor
    lines: list[tuple[object, ...]] = []
    for use, energy in zip(record.use, record.energy, strict=True):
        band = band_of(energy, labels)
        co2e = co2e_ug(band, factor)
        lines.append(
            (
                *(CSV_SCHEMA, record.peer, record.round, use.phase, record.start_us, record.end_us),
                *(use.wall_us, use.cpu_us, use.ram_bytes, use.bytes_in, use.bytes_out),
                *(energy.cpu_dyn_uj, energy.idle_uj, energy.ram_uj, energy.gpu_uj),
                *(f"{x / UJ_PER_WH:.9f}" for x in (band.low, band.mid, band.high)),
                *(f"{x / 1e6:.9f}" for x in (co2e.low, co2e.mid, co2e.high)),
                *(labels.cpu_dyn, labels.ram, labels.gpu, record.quality, record.co2e_quality),
                *(factor.place, f"{factor.mid_mg / 1000:.3f}", factor.year, record.resolution_us, digest),
            ),
        )
    return lines
