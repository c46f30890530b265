"""The run as a BoAmps report, release 1.1.0: field names, units and value lists of its schemas, and no field beside.

BoAmps (https://github.com/Boavizta/BoAmps, CC BY 4.0) is an open format for the energy of AI tasks. It has one place
for one energy figure without a band, so band and label stand in `taskDescription`. What the run does not tell is left
out; a field that the schema requires and the run cannot fill has the schema's own "other".
"""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from peerage.report import energy

if TYPE_CHECKING:
    from peerage.config import Federation
    from peerage.emissions.labels import Band
    from peerage.report.reading import Told

VERSION: Final = "1.1.0"
UJ_PER_KWH: Final = 3.6e12
_TYPES: Final = {"digits": "image", "mnist": "image", "folder": "image", "csv": "tabular"}


def boamps_document(told: Told) -> dict[str, Any]:
    header = {
        "formatVersion": VERSION,
        "formatVersionSpecificationUri": "https://github.com/Boavizta/BoAmps/tree/main/model",
        "reportId": told.root.name,
        "reportDatetime": _moment(max((r.end_us for r in told.records), default=0)),
        "reportStatus": "draft",
    }
    whole = energy.whole(told).energy
    document: dict[str, Any] = {
        "header": header,
        "task": _task(told),
        "measures": [_measure(told)],
        "system": {"os": platform.system() or "unknown"},
        "software": {"language": "python", "version": platform.python_version()},
        "infrastructure": {"infraType": "other", "components": _components(told)},
        "quality": _quality(whole),
    }
    factors = {r.factor.country: r.factor for r in told.records if r.factor.country}
    if len(factors) == 1 and all(r.factor.country for r in told.records):
        ((country, factor),) = factors.items()
        document["environment"] = {"country": country, "powerSourceCarbonIntensity": factor.mid_mg / 1000}
    return document


def _task(told: Told) -> dict[str, Any]:
    settings, summary = told.settings, told.summary
    task: dict[str, Any] = {
        "taskStage": "training",
        "taskFamily": "classification",
        "algorithms": [_algorithm(told)],
        "dataset": [_dataset(settings)],
        "taskDescription": _described(told),
    }
    if summary and summary.accuracy.aggregate is not None:
        task["measuredAccuracy"] = summary.accuracy.aggregate
    return task


def _algorithm(told: Told) -> dict[str, Any]:
    algorithm: dict[str, Any] = {"trainingType": "supervisedLearning", "algorithmType": "federated learning",
                                 "framework": "peerage, pytorch"}  # fmt: skip
    if settings := told.settings:
        algorithm["algorithmName"] = settings.model.factory or settings.model.kind
        algorithm["epochsNumber"] = settings.training.epochs * settings.rounds  # of each peer over its own rows
    parameters = max((line.parameters for lines in told.metrics.values() for line in lines), default=0)
    if parameters:
        algorithm["parametersNumber"] = parameters / 1e9
    return algorithm


def _dataset(settings: Federation | None) -> dict[str, Any]:
    kind = settings.data.source.partition(":")[0] if settings else ""
    known = kind in {"digits", "mnist"}
    return {"dataUsage": "input", "dataType": _TYPES.get(kind, "other"), "source": "public" if known else "other"}


def _measure(told: Told) -> dict[str, Any]:
    spans = [(r.start_us, r.end_us) for r in told.records]
    host = next(iter(told.hosts), None)
    measure: dict[str, Any] = {
        "measurementMethod": "peerage",
        "cpuTrackingMode": host.cpu_label.value if host else "unknown",
        "powerConsumption": energy.whole(told).energy.mid / UJ_PER_KWH,
    }
    if spans:
        start = min(a for a, _ in spans)
        measure["measurementDuration"] = (max(b for _, b in spans) - start) / 1e6
        measure["measurementDateTime"] = _moment(start)
    return measure


def _components(told: Told) -> list[dict[str, Any]]:
    """A CPU for each host; how many sockets it has, the meter does not ask."""
    found: list[dict[str, Any]] = []
    for host in told.hosts:
        share = host.peers.total_uj / host.host.total_uj if host.host.total_uj > 0 else 1.0
        found.append({"componentType": "cpu", "componentName": host.cpu_model, "nbComponent": 1,
                      "share": min(1.0, max(0.0, share))})  # fmt: skip
        found.append({"componentType": "ram", "nbComponent": 1, "memorySize": host.ram_bytes / 1e9})
        found.extend({"componentType": "gpu", "componentName": gpu, "nbComponent": 1} for gpu in host.gpus)
    return found or [{"componentType": "other", "nbComponent": 1}]


def _described(told: Told) -> str:
    whole = energy.whole(told)
    ends = " to ".join(f"{uj / UJ_PER_KWH:.3g}" for uj in (whole.energy.low, whole.energy.high))
    places = ", ".join(sorted({r.factor.place for r in told.records})) or "unknown"
    gaps = f" Not in it: {' '.join(told.gaps)}" if told.gaps else ""
    return (
        f"Federated training of {told.title}. Energy of all peers {ends} kWh, {whole.label.value}; places: {places}. "
        f"Location-based CO2e {whole.co2e.low / 1e6:.3g} to {whole.co2e.high / 1e6:.3g} g.{gaps}"
    )


def _quality(band: Band) -> str:
    """BoAmps: high is 10 % off, medium 25 %, low 50 %; ours is often worse than low, which the description says."""
    off = max(band.high - band.mid, band.mid - band.low) / band.mid if band.mid else 1.0
    return "high" if off <= 0.10 else "medium" if off <= 0.25 else "low"


def _moment(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
