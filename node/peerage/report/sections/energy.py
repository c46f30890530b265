"""Energy and CO2e by phase, by peer and by place, each with band and label."""

from collections.abc import Mapping

from peerage.report import charts, energy
from peerage.report.amounts import UJ_PER_WH, Amount, co2e, co2e_band, energy_band, scaled
from peerage.report.amounts import energy as energy_of
from peerage.report.html import Html, el, folded, join, table
from peerage.report.reading import Told


def body(told: Told) -> Html:
    if not told.records:
        return el("p", "No emission record could be read: nothing is known about energy.", class_="none")
    peers = {told.name(address): amount for address, amount in energy.by_peer(told).items()}
    cuts = (
        ("phase", told.cuts.phases, 1),
        ("peer", dict(sorted(peers.items())), 3),
        ("country or region", energy.by_place(told), 5),
    )
    figures = [_cut(name, amounts, kind) for name, amounts, kind in cuts]
    note = el("p", "Bars are middle estimates; thin lines reach from low to high. The bands are judgements about the "
                   "method, not confidence intervals.", class_="soft")  # fmt: skip
    return join([note, el("div", *figures, class_="grid"), _places(told)])


def _places(told: Told) -> Html:
    """What each country's or region's peers used; both accounts of its CO2e, never one less the other."""
    peers: dict[str, set[str]] = {}
    for record in told.records:
        peers.setdefault(record.factor.place, set()).add(record.peer)
    stated = told.asked.market_g_per_kwh
    rows: list[tuple[str, ...]] = []
    for place, a in energy.by_place(told).items():
        grams = [None if stated is None else uj / UJ_PER_WH / 1000 * stated for uj in (a.energy.mid, a.energy.low,
                 a.energy.high)]  # fmt: skip
        mid, low, high = ("" if g is None else scaled(g, "g") for g in grams)
        rows.append((place, str(len(peers[place])), energy_of(a.energy), energy_band(a.energy), a.label.value,
                     co2e(a.co2e), co2e_band(a.co2e), a.co2e_label.value, mid or "not given",
                     f"{low} to {high}" if mid else ""))  # fmt: skip
    head = ("country or region", "peers", "energy", "low to high", "label", "location-based CO2e", "low to high",
            "label", "market-based CO2e", "low to high")  # fmt: skip
    return table("By country or region", head, rows)


def _cut(name: str, amounts: Mapping[str, Amount], kind: int) -> Html:
    rows = [
        charts.Bar(key, float(a.energy.mid), float(a.energy.low), float(a.energy.high), energy_of(a.energy), kind)
        for key, a in amounts.items()
    ]
    plot = charts.bars(f"Energy by {name}", "Middle estimate in watt-hours, with the band from low to high.", rows)
    lines = [
        (key, energy_of(a.energy), energy_band(a.energy), a.label.value, co2e(a.co2e), co2e_band(a.co2e),
         a.co2e_label.value)
        for key, a in amounts.items()
    ]  # fmt: skip
    head = (name, "energy", "low to high", "label", "CO2e", "low to high", "label")
    data = table(f"Energy and location-based CO2e by {name}", head, lines)
    return el("figure", el("figcaption", f"Energy by {name}"), plot, folded("The figures as a table", data))
