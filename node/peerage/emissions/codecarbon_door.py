"""The one place where CodeCarbon is asked: its lists of CPUs, devices and countries. Once a host, by the launcher.

Nothing of its trackers runs: they guess a country when they are offline, count shared hosts once per process and give
memory five watts a module. We take what it knows and leave what it assumes. No socket is opened here (a test blocks
them).
"""

from __future__ import annotations

import csv
import logging
import os
import re
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from peerage.emissions import attribution, facts
from peerage.emissions.counters import SystemCounters
from peerage.emissions.factors import Factor, NationalFactor, choose
from peerage.emissions.host import HostProbe
from peerage.emissions.labels import Label
from peerage.emissions.rapl import package_zones
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Generator

_SOURCES: Final = ("fossil", "nuclear", "hydroelectricity", "wind", "solar", "biofuel")  # disjoint
_WATTS: Final = re.compile(r"[1-9]\d{0,4}(\.\d{1,3})?")
_RAPL_CORE_CAP_MW: Final = 20_000  # per thread; a bound for plausibility and wraps, no estimate


def probe_host(country: str | None = None) -> HostProbe:
    """One to two seconds, most of them CodeCarbon's look at the CPU. InputError for an unknown country, at once."""
    tool = f"codecarbon {version('codecarbon')}"
    with _quiet():
        factor = choose(country, _table(), tool)  # before the slow part: a wrong code is told at once
        model, tdp_mw = _listed_cpu()
        gpus = _gpu_names()
    cores = facts.milli_cores()
    part = cores < 1000 * (os.cpu_count() or 1)
    zones = () if part else package_zones()
    counters = SystemCounters(part=part)
    idle_mw = cores * attribution.MIN_MW_PER_CORE // 1000
    cap_mw = cores * attribution.MAX_MW_PER_CORE // 1000
    if zones:
        idle_mw = min(idle_mw, _quietest_mw(counters, [zone.path for zone in zones]))
        cap_mw = max(2 * tdp_mw, cores * _RAPL_CORE_CAP_MW // 1000)
    return HostProbe(
        host_id=facts.host_id(),
        cpu_model=model[:200],
        tdp_mw=tdp_mw,
        milli_cores=cores,
        idle_mw=idle_mw,
        rate_uw=attribution.MODEL_RATE_UW,
        cap_mw=cap_mw,
        ram_bytes=facts.ram_bytes(),
        cpu_label=Label.MEASURED_COUNTER if zones else Label.MODELLED,
        zones=() if part else package_zones(),  # read again: this is where the run's energy starts
        busy_start_us=counters.busy_us(),
        part=part,
        gpus=gpus,
        factor=factor,
        tool=tool,
        wall_us=time.time_ns() // 1000,
        mono_us=counters.now_us(),
    )


def check_country(country: str | None) -> None:
    """InputError for a code without a factor, before anything else is started."""
    with _quiet():
        choose(country, _table(), "codecarbon")


def national_factor(country: str) -> Factor:
    """InputError with near codes for a country that the table lacks."""
    with _quiet():
        return choose(country, _table(), f"codecarbon {version('codecarbon')}")


def national_factors() -> tuple[Factor, ...]:
    """Of every country in the table, by code."""
    with _quiet():
        table, tool = _table(), f"codecarbon {version('codecarbon')}"
        return tuple(choose(code, table, tool) for code in sorted(table))


def listed_cpus() -> tuple[dict[str, float], str]:
    """Watts by CPU model in lower case, as its list has them, and what to call the list."""
    with _quiet():
        from codecarbon.input import DataSource  # noqa: PLC0415

        data: Any = DataSource()  # type: ignore[no-untyped-call]
        with Path(data.cpu_power_path).open(encoding="utf-8-sig", newline="") as file:
            rows = [(row["Name"].strip().lower(), row["TDP"].strip()) for row in csv.DictReader(file)]
        known = {name: float(tdp) for name, tdp in rows if _WATTS.fullmatch(tdp)}  # some rows are damaged: "27.29.5"
        return known, f"codecarbon {version('codecarbon')}"


def cloud_rows() -> tuple[list[dict[str, str]], str]:
    """CodeCarbon's table of cloud regions as it lies in the installed package, and what to call it."""
    with _quiet():
        from codecarbon.input import DataSource  # noqa: PLC0415

        data: Any = DataSource()  # type: ignore[no-untyped-call]
        with Path(data.cloud_emissions_path).open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file)), f"codecarbon {version('codecarbon')}"


def _table() -> dict[str, NationalFactor]:
    """Its national table; a row without a usable intensity (a gap in the data) gets one from its mix of sources."""
    from codecarbon.input import DataSource  # noqa: PLC0415

    data: Any = DataSource()  # type: ignore[no-untyped-call]
    per_source: dict[str, Any] = data.get_carbon_intensity_per_source_data()
    table: dict[str, NationalFactor] = {}
    for code, row in data.get_global_energy_mix_data().items():
        grams = float(row.get("carbon_intensity") or 0.0)
        if grams <= 0 and row.get("total_TWh"):
            grams = sum(float(per_source[s]) * float(row.get(f"{s}_TWh") or 0.0) for s in _SOURCES) / row["total_TWh"]
        if grams > 0:
            table[code] = NationalFactor(str(row["country_name"]), round(grams * 1000), int(row["year"]))
    if not table:
        raise InputError("this CodeCarbon brings no table of countries: install a version from 3.3 up to 4")
    return table


def _listed_cpu() -> tuple[str, int]:
    """The CPU's name, and its milliwatts where CodeCarbon's list has that very CPU. For others CodeCarbon makes four
    watts a thread up; here unknown stays unknown ("unknown", 0).
    """
    from codecarbon.core import cpu  # noqa: PLC0415 - pandas comes with it

    model: Any = cpu.detect_cpu_model()  # type: ignore[attr-defined]
    if not model:
        return "unknown", 0
    asked: Any = cpu.TDP.__new__(cpu.TDP)  # its constructor is what falls back
    watts = asked._get_cpu_power_from_registry(model)  # noqa: SLF001 - there is no other way to its list
    return str(model), int((watts or 0) * 1000)


def _devices() -> Any | None:  # noqa: ANN401
    from codecarbon.core.gpu import AllGPUDevices, is_gpu_details_available  # noqa: PLC0415

    if not is_gpu_details_available():
        return None
    devices = AllGPUDevices()
    return devices if devices.device_count else None


def _gpu_names() -> tuple[str, ...]:
    devices = _devices()
    return tuple(str(row["name"]) for row in devices.get_gpu_static_info()) if devices is not None else ()


def _quietest_mw(counters: SystemCounters, paths: list[str], slices: int = 4, slice_s: float = 0.05) -> int:
    """The least power of a few short moments before the run: the best that a counter alone says of idling."""
    least = 1 << 62
    for _ in range(slices):
        before, start = [counters.zone_uj(p) for p in paths], counters.now_us()
        time.sleep(slice_s)
        gain = sum((counters.zone_uj(p) or 0) - (b or 0) for p, b in zip(paths, before, strict=True))
        if gain > 0:  # below zero: a counter began again
            least = min(least, gain * 1000 // (counters.now_us() - start))
    return least


@contextmanager
def _quiet() -> Generator[None]:
    """CodeCarbon warns about each CPU that it does not know; our labels say that, in the place where it matters."""
    logger = logging.getLogger("codecarbon")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
