"""A search in words: before it begins, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from peerage.config import Federation
    from peerage.search.plan import Plan, Value
    from peerage.search.searching import Found


def beginning(base: Federation, plan: Plan, place: Path) -> str:
    """What is about to happen, and what it costs in rounds."""
    axes = " x ".join(f"{axis.path} ({len(axis.values)})" for axis in plan.axes)
    return (
        f"{len(plan.trials)} trials of {axes}: federations of {base.peers} peers on {base.data.source} "
        f"({base.data.partition}), seed {base.seed}; {plan.trained} rounds where all trials to the end would take "
        f"{plan.exhaustive}. Everything goes to {place}; --resume goes on where it was cut short."
    )


def in_words(found: Found, place: Path) -> str:
    """The table of trials, what won, by how much, and what it took."""
    last = max(one.rung for one in found.outcomes)
    rows = [["trial", "settings", "rounds", "held-out rows", "J"]]
    for number, settings in found.trials.items():
        own = [one for one in found.outcomes if one.trial == number]
        mark = " *" if number == found.best else ""
        rows.append(
            [
                f"{number}{mark}",
                _settings(settings),
                str(sum(one.rounds for one in own)),
                f"{100 * max(one.validated for one in own):.1f} %",
                f"{sum(one.joules for one in own):.1f}",
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    beside = sum(one.rung == last for one in found.outcomes) - 1
    return (
        f"{table}\n\n"
        f"Best of the last {beside + 1}: trial {found.best}, {_settings(found.settings)}: "
        f"{100 * found.validated:.1f} % of the rows that peers held back, {100 * found.ahead:.1f} points ahead of the "
        "next. These rows are few and one seed is one draw: run the closest over seeds and lay them side by side with "
        "peerage compare.\n"
        f"It took {found.rounds} rounds and {found.joules:.1f} J of the peers ({found.quality}); all trials to the end "
        f"would have taken {found.rounds_of_all} rounds and about {found.joules_left_out:.1f} J more (modelled: each "
        "trial's own joules a round).\n"
        f"Its settings are in {place / 'federation.toml'}: peerage run {place / 'federation.toml'}"
    )


def _settings(settings: dict[str, Value]) -> str:
    return ", ".join(f"{path} = {value}" for path, value in settings.items())
