"""The same figures for programs: one JSON document, CSV rows and SCI. BoAmps has its own file."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from peerage.emissions import network
from peerage.report import energy
from peerage.report.sections.sci import disclosures

if TYPE_CHECKING:
    from peerage.report.amounts import Amount
    from peerage.report.reading import Told

SCHEMA = 1


def document(told: Told) -> dict[str, Any]:
    asked = told.asked
    return {
        "schema": SCHEMA,
        "run": told.root.name,
        "name": told.title,
        "missing_data": list(told.gaps),
        "energy": amount_document(energy.whole(told)) if told.records else None,
        "by_phase": _named(told.cuts.phases),
        "by_component": _named(energy.by_component(told)),
        "by_peer": _named(energy.by_peer(told)),
        "by_place": _named(energy.by_place(told)),
        "by_round": _named({str(n): a for n, a in energy.by_round(told).items()}),
        "cost_of_privacy": amount_document(energy.cost(told, energy.PRIVACY).amount),
        "cost_of_ledger": amount_document(energy.cost(told, energy.LEDGER).amount),
        "network": {
            "bytes_sent": energy.moved(told),
            "in_no_sum": {name: _beyond(preset, energy.moved(told)) for name, preset in network.PRESETS.items()},
        },
        "market_factor_g_per_kwh": asked.market_g_per_kwh,
        "market_by_place": {key: market(told, amount) for key, amount in energy.by_place(told).items()},
        "offset_g": asked.offset_g,  # never subtracted from anything here
        "offset_source": asked.offset_source,
        "estimate": estimate_document(told),
        "sci": sci_document(told),
    }


def estimate_document(told: Told) -> dict[str, Any] | None:
    """Errors are estimated over metered, less 1; null where nothing was estimated, or the run was too short."""
    known = told.estimate
    if known is None:
        return None
    prior = known.prior
    before = {"source": prior.source, "energy_wh": {"low": prior.low_wh, "mid": prior.energy_wh, "high": prior.high_wh},
              "error": prior.error} if prior else None  # fmt: skip
    return {"first_rounds": known.first, "error": known.error, "before": before}


def market(told: Told, amount: Amount) -> float | None:
    """Market-based grams, middle, where a contract's factor was stated for the whole run."""
    stated = told.asked.market_g_per_kwh
    return None if stated is None else amount.energy.mid / 3.6e12 * stated


def amount_document(amount: Amount) -> dict[str, Any]:
    """Wh and location-based grams."""
    e, c = amount.energy, amount.co2e
    return {
        "energy_wh": {"low": e.low / 3.6e9, "mid": e.mid / 3.6e9, "high": e.high / 3.6e9},
        "energy_label": amount.label.value,
        "co2e_g": {"low": c.low / 1e6, "mid": c.mid / 1e6, "high": c.high / 1e6},
        "co2e_label": amount.co2e_label.value,
    }


def _beyond(preset: network.Preset, moved: int) -> dict[str, Any]:
    e = preset.energy(moved)
    ends = {"low": e.low / 3.6e9, "mid": e.mid / 3.6e9, "high": e.high / 3.6e9}
    return {"energy_wh": ends, "energy_label": preset.label.value, "source": preset.source}


def sci_document(told: Told) -> dict[str, Any]:
    return {
        "standard": "ISO/IEC 21031",
        "functional_unit": "one federated round",
        "embodied": "excluded" if told.asked.embodied_g is None else "as stated by the user",
        "disclosures": disclosures(told),
        "rounds": [
            {"round": n, "sci_g": one.grams, "energy_wh": one.energy_wh, "operational_g": list(one.operational_g),
             "embodied_g": one.embodied_g}
            for n, one in energy.sci(told).items()
        ],
    }  # fmt: skip


def csv_text(told: Told) -> str:
    """A row a cut and key; text that a spreadsheet would take for a formula is quoted with an apostrophe."""
    out = io.StringIO(newline="")
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["cut", "key", "energy_wh_low", "energy_wh_mid", "energy_wh_high", "energy_label",
                   "co2e_g_low", "co2e_g_mid", "co2e_g_high", "co2e_label"])  # fmt: skip
    cuts: dict[str, dict[str, Amount]] = {
        "run": {"all": energy.whole(told)} if told.records else {},
        "phase": told.cuts.phases,
        "component": energy.by_component(told),
        "peer": {told.name(a): x for a, x in energy.by_peer(told).items()},
        "place": energy.by_place(told),
        "round": {str(n): a for n, a in energy.by_round(told).items()},
    }
    for cut, amounts in cuts.items():
        for key, a in amounts.items():
            ends = [f"{x / 3.6e9:.9f}" for x in (a.energy.low, a.energy.mid, a.energy.high)]
            grams = [f"{x / 1e6:.9f}" for x in (a.co2e.low, a.co2e.mid, a.co2e.high)]
            rows.writerow([cut, _cell(key), *ends, a.label.value, *grams, a.co2e_label.value])
    return out.getvalue()


def _cell(text: str) -> str:
    return "'" + text if text[:1] in tuple("=+-@\t\r") else text


def _named(amounts: dict[str, Amount]) -> dict[str, Any]:
    return {name: amount_document(amount) for name, amount in amounts.items()}
