"""The contrast as sentences and tables for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from peerage.contrast.decisions import Verdict
from peerage.contrast.orderings import network_share
from peerage.emissions.network import LEAST, MOST
from peerage.report.amounts import co2e, co2e_band, energy, energy_band, figure, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from peerage.contrast.contrast import Contrast, Example
    from peerage.contrast.orderings import Told
    from peerage.contrast.side import Side

HEAD: Final = (
    "training",
    "target",
    "rounds",
    "accuracy",
    "J",
    "band",
    "label",
    "of it training",
    "J a point",
    "CO2e",
    "band",
    "label",
    "network",
)
TWO: Final = (
    "own bands: each energy may be off by itself. common error: one power model stands behind both sides, so it is off",
    "by the same factor on both, and the order holds whatever that is. Neither knows how another seed would fall.",
)


def in_words(told: Contrast) -> str:
    return "\n".join(_lines(told))


def _lines(told: Contrast) -> Iterator[str]:
    yield from opening(told)
    yield ""
    yield from columns([HEAD, *(row(side) for side in told.sides)])
    yield ""
    yield from verdict_lines(told)
    yield ""
    yield from notes(told)


def opening(told: Contrast) -> Iterator[str]:
    plan = told.plan
    yield (
        f"{plan.peers} peers on this machine against one process, the same rows, model and first weights; energy until "
        "the test accuracy first reached the target."
    )
    if told.missing:
        yield f"Not built in this version, and so not run: {', '.join(named(name) for name in told.missing)}."


def named(optimiser: str) -> str:
    return {"fedavg": "FedAvg", "fedadam": "FedAdam"}[optimiser]


def row(side: Side) -> tuple[str, ...]:
    used = side.metered
    low, high = network_share(side)
    unit = "" if side.cell.optimiser else " epochs"
    return (
        side.cell.words,
        f"{100 * side.target:.0f} %" if side.reached else f"{100 * side.target:.0f} %: not reached",
        f"{side.rounds}{unit}",
        f"{100 * side.accuracy:.1f} %",
        joules(used.energy_uj.mid),
        f"{joules(used.energy_uj.low)} to {joules(used.energy_uj.high)}",
        used.label,
        percent(used.by_phase_uj["train"] / used.energy_uj.mid if used.energy_uj.mid else None),
        "unknown" if side.joules_per_point is None else figure(side.joules_per_point),
        co2e(used.co2e_ug),
        co2e_band(used.co2e_ug),
        used.co2e_label,
        f"{figure(100 * low)} to {figure(100 * high)} %" if side.cell.optimiser else "-",
    )


def joules(uj: int) -> str:
    return figure(uj / 1e6)


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(line[at]) for line in rows) for at in range(len(rows[0]))]
    for line in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def verdict_lines(told: Contrast) -> Iterator[str]:
    yield "The published orderings, asked of these figures:"
    rows: list[tuple[str, str, str]] = [("", "own bands", "common error")]
    rows += [over_the_grid(one) for one in told.orderings]
    yield from columns(rows)
    yield from TWO


def over_the_grid(one: Told) -> tuple[str, str, str]:
    apart = f" (seeds disagree at {one.split})" if one.split else ""
    return one.claim, counted(one.own, one.why), counted(one.common, one.why) + apart


def sentence(own: Verdict, common: Verdict) -> str:
    return str(own) if own is common else f"{own} by own bands, {common} with a common error"


def counted(found: Mapping[Verdict, int], why: str) -> str:
    if set(found) == {Verdict.NOT_RUN}:
        return f"not run: {why}"
    whole = sum(found.values())
    return ", ".join(f"{verdict} {found[verdict]} of {whole}" for verdict in Verdict if verdict in found)


def notes(told: Contrast) -> Iterator[str]:
    places = sorted({side.metered.place for side in told.sides})
    sources = sorted({side.metered.source for side in told.sides})
    yield f"CO2e: {', '.join(places)}, location-based, {'; '.join(sources)}."
    yield (
        f"In (b) and (c) the training in one place is multiplied by a PUE of {told.pue:g} ({told.pue_source}), and no "
        "peer. Under `network`: its part of network and meter together, by the lowest and the highest published figure "
        f"per byte ({LEAST.name}, {MOST.name})."
    )
    yield f"Not counted: {'; '.join(told.not_counted)}."
    bad = [side.cell.words for side in told.sides if side.findings or side.audit_ok is False]
    if bad:
        yield f"Found fault with: {'; '.join(bad)}. Their figures prove nothing: see peerage audit."
    else:
        yield "Every emission record passed its checks, conservation on this host among them."


def example_words(told: Example) -> str:
    side = told.side
    used = side.metered
    kg = used.co2e_ug.mid / 1e9
    lines = [
        f"{told.example}, {told.rows} rows of MNIST: {percent(side.accuracy)} of the test rows, {side.seconds:.1f} s."
    ]
    lines.append(f"Energy {energy(used.energy_uj)} ({energy_band(used.energy_uj)}), {used.label}.")
    ends = f"{used.co2e_ug.low / 1e9:.2g} to {used.co2e_ug.high / 1e9:.2g} kg"
    lines.append(f"CO2e {kg:.3g} kg ({ends}), {used.co2e_label}; {used.place}, {used.source}.")
    if kg:
        times = told.chapter_kg / kg
        met = "within an order of magnitude of it" if 0.1 <= times <= 10 else "not within an order of magnitude of it"
        lines.append(
            f"The chapter's listing gave {told.chapter_kg:.3g} kg by CodeCarbon's guess of power, on a machine and in "
            f"a country that it does not name: {figure(times)} times ours, so this is {met}."
        )
    return "\n".join(lines)
