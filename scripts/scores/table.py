"""`scripts/attack_table`: plays federations, pays them by the rule, prints who is paid what."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, replace
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

import torch

from scores.columns import COLUMNS, Column, cast, outcome
from scores.directions import BALANCED, CROSS, ONE_SUM, SHARED
from scores.plays import Played, Setup, play

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from scores.columns import Rule
    from scores.paying import Terms

WAYS = (SHARED, CROSS, BALANCED, ONE_SUM)
AIM = 0.25  # of an equal share: the most that anybody without data of its own should earn on average


@dataclass(frozen=True)
class Place:
    """Where attackers are tried: how many peers, who holds which rows, what is measured on."""

    peers: int
    partition: str
    way: str


@dataclass(frozen=True)
class Cell:
    """One attacker in one place over the seeds; pay x n."""

    mean: float
    sd: float
    worst: float


@dataclass
class Row:
    """One place: a cell for each column, and the honest peers of all its federations that nobody bends."""

    place: Place
    cells: dict[str, Cell] = field(default_factory=dict[str, Cell])
    honest_sd: float = 0.0
    honest_least: float = 0.0
    unpaid: float = 0.0  # share of honest peers that earn nothing
    accuracy: float = 0.0

    def worst_without_data(self) -> tuple[str, float]:
        """The attacker without data that earns most on average, of those that the aim speaks of."""
        found = {c.name: self.cells[c.name].mean for c in COLUMNS if c.without_data and c.name in self.cells}
        name = max(found, key=lambda each: found[each])
        return name, found[name]


class Plays:
    """Federations that have been played: rules and ways of measuring are compared without training again."""

    def __init__(self, base: Setup, seeds: Sequence[int], expected: int = 0) -> None:
        self._base, self._seeds, self._known = base, seeds, dict[tuple[int, str, str, str, int], Played]()
        self._expected, self._started = expected, time.monotonic()

    def of(self, place: Place, name: str) -> Iterable[tuple[Setup, int, Played]]:
        """The federations of one column, a seed each."""
        for seed in self._seeds:
            validation = "shared" if place.way == SHARED else "private"
            setup = cast(_setup(self._base, place, validation), name, seed)
            key = (place.peers, place.partition, validation, name, seed)
            if key not in self._known:
                self._known[key] = play(setup, seed)
                self._tell()
            yield setup, seed, self._known[key]

    def _tell(self) -> None:
        """On a terminal after each federation, else at every tenth of the way."""
        done, tenth = len(self._known), max(1, self._expected // 10)
        if not self._expected or (not sys.stderr.isatty() and done % tenth):
            return
        left = (time.monotonic() - self._started) / done * max(0, self._expected - done)
        text = f"{done} of {self._expected} federations, {left / 60:.0f} min left"
        print(f"\r{text} " if sys.stderr.isatty() else text, end="" if sys.stderr.isatty() else "\n", file=sys.stderr)


def _setup(base: Setup, place: Place, validation: str) -> Setup:
    return replace(base, peers=place.peers, partition=place.partition, validation=validation)


def fill(plays: Plays, places: Sequence[Place], columns: Sequence[Column], terms: Terms, rule: Rule) -> list[Row]:
    """One row for each place."""
    torch.set_num_threads(1)
    return [_row(plays, place, [c for c in columns if c.fits(place.way)], terms, rule) for place in places]


def _row(plays: Plays, place: Place, columns: Sequence[Column], terms: Terms, rule: Rule) -> Row:
    row = Row(place)
    honest: list[float] = []
    accuracy: list[float] = []
    for column in columns:
        found = [
            outcome(column, place.way, played, setup, seed, terms, rule)
            for setup, seed, played in plays.of(place, column.play)
        ]
        paid = [one.attacker for one in found]
        row.cells[column.name] = Cell(fmean(paid), pstdev(paid), max(paid))
        if not column.bent and not column.moves:
            honest += [amount for one in found for amount in one.honest]
        if column.name == "honest":
            accuracy = [one.accuracy for one in found]
    row.honest_sd, row.honest_least = pstdev(honest), min(honest)
    row.unpaid = sum(amount <= 0 for amount in honest) / len(honest)
    row.accuracy = fmean(accuracy) if accuracy else 0.0
    return row


# -- for people --------------------------------------------------------------------------------------------------------


def shown(rows: Sequence[Row]) -> str:
    """Markdown: a table for each number of peers, a column for each place."""
    tables: list[str] = []
    for peers in dict.fromkeys(row.place.peers for row in rows):
        mine = [row for row in rows if row.place.peers == peers]
        heads = [f"{row.place.way}, {row.place.partition.replace('dirichlet:', '')}" for row in mine]
        lines = [f"| {peers} peers | {' | '.join(heads)} |", f"|---|{'---|' * len(mine)}"]
        names = dict.fromkeys(name for row in mine for name in row.cells)
        lines += [f"| {name} | {' | '.join(_cell(row, name) for row in mine)} |" for name in names]
        lines += [_line(label, mine, read) for label, read in SUMMARY]
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


SUMMARY: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("*honest peers: sd of pay*", lambda row: f"{row.honest_sd:.2f}"),
    ("*honest peers unpaid*", lambda row: f"{100 * row.unpaid:.1f} %"),
    ("*accuracy, all honest*", lambda row: f"{row.accuracy:.3f}"),
    ("*most without data <= 0.25*", lambda row: "met" if row.worst_without_data()[1] <= AIM else "**missed**"),
)


def _line(label: str, rows: Sequence[Row], read: Callable[[Row], str]) -> str:
    return f"| {label} | {' | '.join(read(row) for row in rows)} |"


def _cell(row: Row, name: str) -> str:
    cell = row.cells.get(name)
    if cell is None:
        return "-"
    text = f"{cell.mean:.2f} ± {cell.sd:.2f} ({cell.worst:.2f})"
    bad = cell.mean > AIM and any(c.name == name and c.without_data for c in COLUMNS)
    return f"**{text}**" if bad else text


LIMITS = """\
Pay as multiples of an equal share: mean ± standard deviation over seeds (worst seed). What a number here does not say:
- Contribution is to this loss on these rows at this time; a poisoned update that looks useful on them is paid.
- One data set under two identities earns about twice; only admission and stake stand against it.
- A peer whose classes are rare in what is measured earns little, whatever it is worth to others.
- Two that move score to each other by a wrong z of their pair are seen in the rounds in which that pair is drawn.
- The opened number is itself a measurement of the update: one dimension of it a round.
- What past steps told is not paid; so whoever comes late to what all know earns nothing by repeating it."""
