"""The comparison as a table in words, and as one document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from peerage.comparison.groups import Difference, Group, differences
from peerage.comparison.measures import MEASURES, Measure
from peerage.comparison.settings import changed
from peerage.report.amounts import figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEMA: Final = 1
UNKNOWN: Final = "unknown"


def in_words(groups: Sequence[Group]) -> str:
    return "\n".join(_lines(groups))


def _lines(groups: Sequence[Group]) -> Iterator[str]:
    yield from headlines(groups)
    yield ""
    yield from _table(groups)
    yield ""
    yield from verdicts(groups)


def headlines(groups: Sequence[Group]) -> Iterator[str]:
    """Which runs are in which group, and in what the groups differ."""
    for group in groups:
        seeds = ", ".join(str(run.settings.seed) for run in group.runs)
        yield f"{group.letter}: {', '.join(run.name for run in group.runs)} (seed{'s' * (len(group.runs) > 1)} {seeds})"
    first = groups[0].runs[0].settings
    for group in groups[1:]:
        for key, here, there in changed(first, group.runs[0].settings):
            yield f"   {key}: {here} in {groups[0].letter}, {there} in {group.letter}"


def cells(measure: Measure, group: Group) -> str:
    """The mean and, over several seeds, the standard deviation."""
    mean, spread = group.mean(measure), group.spread(measure)
    if mean is None:
        return UNKNOWN
    shown = f"{figure(mean)} {measure.unit}".strip()
    return shown if spread is None else f"{shown} ± {figure(spread)}"


def _table(groups: Sequence[Group]) -> Iterator[str]:
    rows = [("", *(group.letter for group in groups))]
    rows += [(measure.name, *(cells(measure, group) for group in groups)) for measure in MEASURES]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        yield "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])


def verdicts(groups: Sequence[Group]) -> Iterator[str]:
    """What is more than the seeds make, one sentence each; where nobody knows, that."""
    if len(groups) == 1:
        yield "All these runs were told the same but for the seed: there is nothing to compare them with."
        return
    found = differences(groups)
    unknown = [one for one in found if one.real is None and one.change]
    for one in found:
        if one.real:
            yield sentence(one, groups[0].letter)
    known = [one for one in found if one.real is not None]
    if known and not any(one.real for one in known):
        yield "No difference is larger than the spread over seeds."
    if unknown:
        names = ", ".join(dict.fromkeys(one.measure.key for one in unknown))
        yield (
            f"Unknown whether more than another seed would make: {names}. Run each setting with two seeds or more, "
            "and name all runs."
        )


def sentence(one: Difference, first: str) -> str:
    kind = {"better": ("better", "worse"), "worse": ("worse", "better")}.get(one.measure.more)
    judged = f", {kind[one.change < 0]}" if kind else ""
    size = f"{figure(abs(one.change))} {one.measure.unit}".strip()
    way = "more" if one.change > 0 else "less"
    return (
        f"{one.group} against {first}, {one.measure.name}: {size} {way}{judged}; "
        f"the spread over seeds is {figure(one.spread or 0.0)}."
    )


def document(groups: Sequence[Group]) -> dict[str, Any]:
    """Everything for programs; a value that no run knows is null."""
    first = groups[0].runs[0].settings
    return {
        "schema": SCHEMA,
        "groups": [
            {
                "group": group.letter,
                "runs": [{"name": run.name, "seed": run.settings.seed} for run in group.runs],
                "settings": {key: there for key, _, there in changed(first, group.runs[0].settings)},
                "measures": {
                    m.key: {"unit": m.unit, "mean": group.mean(m), "spread": group.spread(m), "values": group.values(m)}
                    for m in MEASURES
                },
                "by_peer": [
                    {"run": run.name, "energy_wh": run.summary.emissions.by_peer, "earned": run.summary.rewards.by_peer}
                    for run in group.runs
                ],
            }
            for group in groups
        ],
        "differences": [
            {
                "group": one.group,
                "against": groups[0].letter,
                "measure": one.measure.key,
                "change": one.change,
                "spread": one.spread,
                "larger_than_spread": one.real,
            }
            for one in (differences(groups) if len(groups) > 1 else ())
        ],
    }
