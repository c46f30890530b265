"""Accuracy against rounds, against time, and against the CO2e spent so far."""

from peerage.report import charts, energy
from peerage.report.amounts import figure, percent, prefix
from peerage.report.html import Html, el, folded, join, table
from peerage.report.reading import Told

CLASSES = 20  # shown; summary.json has all


def body(told: Told) -> Html:
    reached = _mean_by_round(told)
    if not reached:
        return el("p", "No round with an accuracy is on record.", class_="none")
    ended = _seconds(told)
    spent = _spent(told)
    factor, unit = prefix(max(spent.values(), default=0.0), "g")
    about = "Mean over the peers of the adopted model's accuracy on the test split."
    plots = [
        charts.lines("Accuracy against rounds", about, "round", "%", [(n, 100 * a) for n, a in reached.items()],
                     counted=True),
        charts.lines("Accuracy against time", about, "seconds since the first record began", "%",
                     [(ended[n], 100 * a) for n, a in reached.items() if n in ended]),
        charts.lines("Accuracy against CO2e", about, f"{unit} CO2e of all peers so far, middle", "%",
                     [(spent[n] * factor, 100 * a) for n, a in reached.items() if n in spent]),
    ]  # fmt: skip
    names = ("against rounds", "against time", f"against {unit} CO2e")
    rows = [
        (str(n), percent(a), f"{ended[n]:.1f} s" if n in ended else "unknown",
         f"{figure(spent[n] * factor)} {unit}" if n in spent else "unknown")
        for n, a in reached.items()
    ]  # fmt: skip
    data = table(f"{about} CO2e: all peers, all rounds until then, middle estimate.",
                 ("round", "accuracy", "time", "CO2e so far"), rows)  # fmt: skip
    figures = [el("figure", el("figcaption", f"Accuracy {n}, %"), p) for n, p in zip(names, plots, strict=True)]
    return join([el("div", *figures, class_="grid"), folded("The figures as a table", data), _classes(told)])


def _classes(told: Told) -> Html | None:
    """Where classes are not alike in size: what accuracy does not say."""
    quality = told.summary.quality if told.summary else None
    if quality is None:
        return None
    shown = sorted(quality.by_class.items(), key=lambda item: (item[1].recall is None, item[1].recall, item[0]))
    rows = [
        (name, str(one.rows), percent(one.recall), percent(one.precision), share(one.f1), share(one.auroc))
        for name, one in shown[:CLASSES]
    ]
    rows.append(("every class weighing the same", "", percent(quality.balanced_accuracy), "", share(quality.macro_f1),
                 share(quality.auroc)))  # fmt: skip
    left = f" The {CLASSES} least found of {len(shown)} classes." if len(shown) > CLASSES else ""
    return table(f"The final model by class, on the test rows, least found first.{left}",
                 ("class", "test rows", "recall", "precision", "F1", "AUROC"), rows)  # fmt: skip


def share(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _mean_by_round(told: Told) -> dict[int, float]:
    found: dict[int, list[float]] = {}
    for lines in told.metrics.values():
        for line in lines:
            if line.accuracy is not None:
                found.setdefault(line.round, []).append(line.accuracy)
    return {n: sum(found[n]) / len(found[n]) for n in sorted(found)}


def _seconds(told: Told) -> dict[int, float]:
    """When the last peer's record of the round was closed."""
    start = min((r.start_us for r in told.records), default=0)
    ended: dict[int, int] = {}
    for record in told.records:
        ended[record.round] = max(ended.get(record.round, 0), record.end_us)
    return {n: (us - start) / 1e6 for n, us in ended.items()}


def _spent(told: Told) -> dict[int, float]:
    so_far, spent = 0.0, dict[int, float]()
    for number, amount in energy.by_round(told).items():
        so_far += amount.co2e.mid / 1e6
        spent[number] = so_far
    return spent
