"""For every number its label, its source and its band, and what no number here contains."""

from peerage.emissions import MARKED, check_run
from peerage.report import energy
from peerage.report.amounts import co2e, co2e_band, energy_band
from peerage.report.amounts import energy as energy_of
from peerage.report.html import Child, Html, el, join, table
from peerage.report.reading import Told

LABELS = (
    ("measured_counter", "a hardware counter", "-5 / +5 %"),
    ("attributed", "a counter times a share", "-20 / +20 %"),
    ("modelled", "a power model times what was read", "-50 / +100 %; memory -100 / +100 %"),
    ("assumed", "a constant that somebody chose", "-50 / +100 %"),
    ("parametric", "an estimate without a run", "a tenth to ten times"),
)
METHOD = {
    "CPU at work": "CPU seconds of the peer's process times the host's dynamic power per busy core",
    "CPU idle": "time times the host's idle power times the share that the peer declared",
    "memory": "time times resident bytes times 0.392 W/GB (Cloud Carbon Footprint)",
    "GPU": "a device's energy counter where one was handed in; else 0, assumed",
}


def body(told: Told) -> Html:
    parts: list[Child] = []
    if told.records:
        parts += [_implausible(told), _components(told), _factors(told)]
    parts += [
        _hosts(told),
        _legend(),
        el("h3", "In none of these numbers"),
        el("ul", *(el("li", x) for x in _LEFT_OUT)),
    ]
    return join(parts)


def _implausible(told: Told) -> Html:
    """Records that break a rule which needs no other file; what is missing here is said among the gaps."""
    peers = told.summary.peers if told.summary else 0
    found = [one for one in check_run(told.records, (), peers) if one.code not in {MARKED, _WHOLE}]
    if not found:
        return el("p", "No emission record breaks a rule of plausibility; what those cannot detect: docs/emissions.md.")
    rows = [
        (told.name(f"0x{one.peer.hex()}") if one.peer else "several", str(one.round), one.code, one.sentence)
        for one in found[:_SHOWN]
    ]
    left = f" The first {_SHOWN} of {len(found)}; peerage audit lists all." if len(found) > _SHOWN else ""
    return table(f"Implausible emission records: the sums on this page contain them.{left}",
                 ("peer", "round", "finding", "why"), rows, numbers=9)  # fmt: skip


_WHOLE = "emission-tiling"  # judged where all records are: by the audit
_SHOWN = 20
_LEFT_OUT = (
    "the network beyond the hosts, and the chain's own nodes",
    "fans, power supplies and boards; cooling (PUE is taken as 1)",
    "making, shipping and scrapping machines, unless stated for the SCI",
    "this hour's grid, or the marginal plant: factors are yearly averages",
)


def _components(told: Told) -> Html:
    rows = [
        (name, energy_of(a.energy), energy_band(a.energy), _pill(a.label.value), METHOD[name])
        for name, a in energy.by_component(told).items()
    ]
    count = len(told.records)
    caption = f"Energy by component: {count} emission records, each checked against its SHA-256 and added up again"
    return table(caption, ("component", "energy", "low to high", "label", "how"), rows, numbers=9)


def _factors(told: Told) -> Html:
    amounts = energy.by_place(told)
    factors = {record.factor.place: record.factor for record in told.records}
    rows: list[tuple[Child, ...]] = [
        (place, f"{f.mid_mg / 1000:g} ({f.low_mg / 1000:g} to {f.high_mg / 1000:g})", str(f.year), _pill(f.label.value),
         f.source, f"{co2e(amounts[place].co2e)} ({co2e_band(amounts[place].co2e)})")
        for place, f in factors.items()
    ]  # fmt: skip
    head = ("place", "g CO2e/kWh (low to high)", "year", "label", "source", "CO2e")
    return table("Emission factors", head, rows, numbers=9)


def _hosts(told: Told) -> Html:
    if not told.hosts:
        return el("p", "No host record: that the peers' figures add up to no more than the host cannot be shown.",
                  class_="none")  # fmt: skip
    rows: list[tuple[Child, ...]] = []
    for h in told.hosts:
        label = h.cpu_label
        whole, peers, other = (f"{x.total_uj / 3.6e6:.3f} mWh" for x in (h.host, h.peers, h.other))
        rows.append((h.host_id, whole, peers, other, _pill(label.value), energy_band(h.energy_uj),
                     (f"{h.cpu_model}, {h.milli_cores / 1000:g} cores, idle {h.idle_mw / 1000:g} W, "
                     f"{h.rate_uw / 1e6:g} W a busy core; {h.tool}")))  # fmt: skip
    head = ("host", "whole", "its peers", "other", "label of the CPU", "whole, low to high", "model and source")
    return table("Conservation: peers + other = host", head, rows, numbers=9)


def _legend() -> Html:
    return table("Labels from best to worst; a total carries the worst of those that weigh more than a tenth",
                 ("label", "meaning", "band"), [(_pill(a), b, c) for a, b, c in LABELS], numbers=9)  # fmt: skip


def _pill(label: str) -> Html:
    return el("span", label, class_="label")
