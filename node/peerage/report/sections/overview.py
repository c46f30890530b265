"""The run in a few figures and sentences, and what the page could not find."""

from peerage.report import energy
from peerage.report.amounts import co2e, co2e_band, energy_band, percent
from peerage.report.amounts import energy as energy_of
from peerage.report.html import Html, el, join
from peerage.report.reading import Told


def body(told: Told) -> Html:
    gaps = el("div", el("h3", "What is missing on this page"), el("ul", *(el("li", gap) for gap in told.gaps)),
              class_="tile gaps") if told.gaps else None  # fmt: skip
    return join([_tiles(told), *(el("p", sentence) for sentence in _sentences(told)), gaps])


def _tiles(told: Told) -> Html:
    tiles: list[Html] = []
    if summary := told.summary:
        reached = summary.accuracy.aggregate
        tiles.append(_tile(percent(reached), "accuracy of the shared model"))
        tiles.append(_tile(f"{summary.peers} peers, {summary.rounds} rounds", f"in {summary.seconds.total:.1f} s"))
    if told.records:
        whole = energy.whole(told)
        tiles.append(_tile(energy_of(whole.energy), f"{energy_band(whole.energy)}, {whole.label.value}"))
        tiles.append(_tile(f"{co2e(whole.co2e)} CO2e", f"{co2e_band(whole.co2e)}, {whole.co2e_label.value}"))
    return el("div", *tiles, class_="tiles")


def _tile(figure: str, about: str) -> Html:
    return el("div", el("b", figure), el("span", about), class_="tile")


def _sentences(told: Told) -> list[str]:
    said: list[str] = []
    if summary := told.summary:
        accuracy = summary.accuracy
        if accuracy.local_only is not None:
            said.append(f"A peer that trains alone reaches {percent(accuracy.local_only)} on average; together they "
                        f"reach {percent(accuracy.aggregate)}; one model on all rows, which nobody may collect, would "
                        f"reach {percent(accuracy.pooled)}.")  # fmt: skip
        said.extend(f"{name} ended unasked: {words}" for name, words in summary.lost.items())
        said.extend(f"{name} was told to misbehave or vanish: {part}." for name, part in summary.parts.items())
        said.append(_audited(summary.audit.ok, summary.audit.findings))
    said.append("Energy and CO2e are of the peers' own work on their hosts: estimates with a band, not readings of a "
                "plug. What is not in them stands under “How do you know?”.")  # fmt: skip
    return said


def _audited(ok: bool | None, findings: int) -> str:
    if ok is None:
        return "The run was not audited."
    return "The audit at the end found nothing wrong." if ok else f"The audit at the end has {findings} finding(s)."
