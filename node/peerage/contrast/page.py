"""The contrast as one page in the form of a run's report: it loads nothing and runs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.contrast.words import HEAD, TWO, joules, notes, opening, over_the_grid, row, sentence
from peerage.emissions.record import PHASES
from peerage.report import charts
from peerage.report.amounts import figure
from peerage.report.html import Html, el, table
from peerage.report.page import POLICY
from peerage.report.style import CSS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peerage.contrast.contrast import Contrast
    from peerage.contrast.side import Side


def page(told: Contrast) -> str:
    title = "In one place and in a federation"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", Html(CSS)),
    )
    asked = [over_the_grid(one) for one in told.orderings]
    each = [
        (one.claim, f"{one.where}, seed {one.seed}", sentence(one.own, one.common), one.figures, one.why)
        for one in told.statements
    ]
    parts = [
        el("section", *(el("p", line) for line in opening(told))),
        el("section", el("div", *_plots(told), class_="grid")),
        el("section", table("Every training", HEAD, [row(side) for side in told.sides])),
        el(
            "section", table("Of its energy, by phase, %", ("training", *PHASES), [phases(side) for side in told.sides])
        ),
        el(
            "section",
            table("The published orderings", ("ordering", "own bands", "common error"), asked, words=1),
            el("p", " ".join(TWO)),
            table("One by one", ("ordering", "where", "verdict", "figures", "why"), each, words=1),
        ),
        el("section", *(el("p", line) for line in notes(told))),
    ]
    body = el("body", el("header", el("h1", title)), el("main", *parts))
    return "<!doctype html>\n" + el("html", head, body, lang="en").text + "\n"


def phases(side: Side) -> tuple[str, ...]:
    whole = side.metered.energy_uj.mid
    shares = (100 * side.metered.by_phase_uj.get(phase, 0) / whole if whole else 0.0 for phase in PHASES)
    return (side.cell.words, *(figure(share) for share in shares))


def _plots(told: Contrast) -> Iterator[Html]:
    """Energy to the target for each data set and partition; a training that did not get there says so."""
    for place in dict.fromkeys((side.cell.data, side.cell.partition) for side in told.sides):
        here = [side for side in told.sides if (side.cell.data, side.cell.partition) == place]
        rows = [
            charts.Bar(
                f"{side.cell.optimiser or 'one place'} {side.cell.epochs} #{side.cell.seed}",
                side.metered.energy_uj.mid / 1e6,
                side.metered.energy_uj.low / 1e6,
                side.metered.energy_uj.high / 1e6,
                f"{joules(side.metered.energy_uj.mid)} J" + ("" if side.reached else "+"),
                2 if side.cell.optimiser else 1,
            )
            for side in here
        ]
        caption = f"{place[0]}, {place[1]}: joules to {100 * here[0].target:.0f} % of the test rows"
        about = (
            "Middle of the band; the thin line reaches from low to high. A number is local epochs, # the seed; "
            "+ did not get there."
        )
        yield el("figure", el("figcaption", caption), charts.bars(caption, about, rows))
