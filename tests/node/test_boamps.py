"""The BoAmps report against the names, types, value lists and required fields of BoAmps 1.1.0.

Read from model/*_schema.json of https://github.com/Boavizta/BoAmps (Boavizta, CC BY 4.0), release 1.1.0. Only what our
document may hold is listed; a field outside these lists is refused here, though the schemas would let it pass.
"""

import importlib.util
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from peerage.config import DataSettings, Federation
from peerage.report.boamps import boamps_document


def _neighbour(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


told = _neighbour("test_report_cuts").told

NUMBER = (int, float)
ALGORITHM = {"trainingType": str, "algorithmType": str, "algorithmName": str, "framework": str, "epochsNumber": NUMBER,
             "parametersNumber": NUMBER}  # fmt: skip
DATASET = {"dataUsage": ("input", "output"), "source": ("public", "private", "other"), "dataType": ("tabular", "audio",
           "boolean", "image", "video", "object", "text", "token", "word", "other")}  # fmt: skip
MEASURE = {"measurementMethod": str, "cpuTrackingMode": str, "powerConsumption": NUMBER, "measurementDuration": NUMBER,
           "measurementDateTime": str}  # fmt: skip
COMPONENT = {"componentType": str, "componentName": str, "nbComponent": int, "memorySize": NUMBER, "share": NUMBER}
FIELDS: dict[str, Any] = {
    "header": {"formatVersion": str, "formatVersionSpecificationUri": str, "reportId": str, "reportDatetime": str,
               "reportStatus": ("draft", "final", "corrective", "other")},
    "task": {"taskStage": str, "taskFamily": str, "algorithms": [ALGORITHM], "dataset": [DATASET],
             "measuredAccuracy": NUMBER, "taskDescription": str},
    "measures": [MEASURE],
    "system": {"os": str},
    "software": {"language": str, "version": str},
    "infrastructure": {"infraType": ("publicCloud", "privateCloud", "onPremise", "other"), "components": [COMPONENT]},
    "environment": {"country": str, "powerSourceCarbonIntensity": NUMBER},
    "quality": ("high", "medium", "low"),
}  # fmt: skip
REQUIRED = {
    "": {"task", "measures", "infrastructure"},
    "header": {"reportDatetime"},
    "task": {"taskStage", "taskFamily", "algorithms", "dataset"},
    "dataset": {"dataUsage", "dataType"},
    "measures": {"measurementMethod", "powerConsumption"},
    "system": {"os"},
    "software": {"language"},
    "infrastructure": {"infraType", "components"},
    "components": {"componentType", "nbComponent"},
    "environment": {"country"},
}


def faults(value: Any, fields: Any, name: str = "") -> list[str]:
    if isinstance(fields, list):
        if not value:
            return [f"{name} is empty"]
        return [fault for one in value for fault in faults(one, fields[0], name)]
    if isinstance(fields, dict):
        wrong = [f"{name}: no field {key}" for key in value if key not in fields]
        wrong += [f"{name} lacks {key}" for key in REQUIRED.get(name, set()) - set(value)]
        return wrong + [x for key, one in value.items() if key in fields for x in faults(one, fields[key], key)]
    if isinstance(fields, tuple) and isinstance(fields[0], str):
        return [] if value in fields else [f"{name} is {value!r}"]
    return [] if isinstance(value, fields) and not isinstance(value, bool) else [f"{name} is {value!r}"]


def test_a_whole_run_fits(tmp_path: Path) -> None:
    run = told(tmp_path)
    document = boamps_document(run)
    assert faults(msgspec.json.decode(msgspec.json.encode(document)), FIELDS) == []
    (measure,) = document["measures"]
    assert measure["powerConsumption"] == pytest.approx(sum(r.energy_uj.mid for r in run.records) / 3.6e12)
    assert datetime.strptime(measure["measurementDateTime"], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - their form
    assert run.cuts.whole.label.value in document["task"]["taskDescription"]
    assert document["quality"] == "low"


def test_a_run_of_which_nothing_is_left_fits(tmp_path: Path) -> None:
    run = told(tmp_path)
    bare = replace(run, records=(), gaps=("There is no readable host.jsonl.",))
    document = boamps_document(bare)
    assert faults(document, FIELDS) == []
    assert "host.jsonl" in document["task"]["taskDescription"]


def test_several_countries_leave_the_one_country_out(tmp_path: Path) -> None:
    assert "environment" not in boamps_document(told(tmp_path))
    alone = boamps_document(told(tmp_path, countries=("FRA",) * 3))
    assert alone["environment"] == {"country": "FRA", "powerSourceCarbonIntensity": 50.0}
    assert faults(alone, FIELDS) == []


@pytest.mark.parametrize(("source", "kind"), [("digits", "image"), ("csv:a.csv", "tabular"), ("a:b", "other")])
def test_the_data_is_named_by_their_list(tmp_path: Path, source: str, kind: str) -> None:
    run = told(tmp_path)
    document = boamps_document(replace(run, settings=Federation(data=DataSettings(source=source))))
    assert faults(document, FIELDS) == []
    assert document["task"]["dataset"][0]["dataType"] == kind


def test_the_check_sees_faults() -> None:
    """Otherwise it would say nothing about ours."""
    assert faults({"task": {}, "measures": [], "unit": "Wh"}, FIELDS)
    assert faults({"reportDatetime": "x", "format": "y"}, FIELDS["header"], "header") == ["header: no field format"]
