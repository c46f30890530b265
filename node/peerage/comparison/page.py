"""The comparison as one page, in the form of a run's report: it loads nothing and runs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage.comparison.measures import MEASURES
from peerage.comparison.words import cells, headlines, verdicts
from peerage.report import charts
from peerage.report.amounts import figure
from peerage.report.html import Html, el, join, table
from peerage.report.page import POLICY
from peerage.report.style import CSS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerage.comparison.groups import Group

PLOTTED = ("accuracy", "energy", "bytes", "seconds")


def page(groups: Sequence[Group]) -> str:
    title = "Runs side by side"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", Html(CSS)),
    )
    said = el("section", *(el("p", line) for line in (*headlines(groups), *verdicts(groups))))
    rows = [(measure.name, *(cells(measure, group) for group in groups)) for measure in MEASURES]
    data = table("Means, and standard deviations over seeds", ("", *(group.letter for group in groups)), rows)
    plots = el("div", *_bars(groups), *_curves(groups), class_="grid")
    body = el("body", el("header", el("h1", title)), el("main", said, el("section", data), el("section", plots)))
    return "<!doctype html>\n" + el("html", head, body, lang="en").text + "\n"


def _bars(groups: Sequence[Group]) -> list[Html]:
    found: list[Html] = []
    for kind, measure in enumerate((m for m in MEASURES if m.key in PLOTTED), 1):
        known = [(group, group.values(measure), group.mean(measure)) for group in groups]
        rows = [
            charts.Bar(group.letter, mean, min(values), max(values), f"{figure(mean)} {measure.unit}", kind)
            for group, values, mean in known
            if mean is not None
        ]
        about = "Mean of each group; the thin line reaches from the least to the most of its runs."
        if rows:
            caption = f"{measure.name}, {measure.unit}"
            found.append(el("figure", el("figcaption", caption), charts.bars(caption, about, rows)))
    return found


def _curves(groups: Sequence[Group]) -> list[Html]:
    found: list[Html] = []
    for group in groups:
        rounds: dict[int, list[float]] = {}
        for run in group.runs:
            for number, accuracy in run.curve:
                rounds.setdefault(number, []).append(100 * accuracy)
        points = [(float(n), sum(some) / len(some)) for n, some in sorted(rounds.items())]
        if points:
            caption = f"{group.letter}: accuracy against rounds, %"
            about = "Mean over the peers and runs of the adopted model's accuracy on the test split."
            plot = charts.lines(caption, about, "round", "%", points, counted=True)
            found.append(el("figure", el("figcaption", caption), join([plot])))
    return found
