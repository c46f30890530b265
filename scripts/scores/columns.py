"""The attackers of the table: who sits where, what it sends, and how its pay is read from a play."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from scores.behaviours import NO_DATA
from scores.directions import BALANCED, CROSS, SHARED, Bent
from scores.paying import audited, moved, pay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from scores.directions import Opened
    from scores.paying import Terms
    from scores.plays import Played, Setup

    Rule = Callable[..., dict[bytes, int]]


@dataclass(frozen=True)
class Column:
    """`play` names the federation that is played (columns of one name share it), `bent` how gradients are bent."""

    name: str
    play: str
    without_data: bool  # the aim speaks of these
    bent: str = ""
    moves: bool = False  # its two seats move score between them
    audited: bool = True  # and their pair may be drawn to show its key, as it is in the product
    only: str = ""  # shared | private: where it can be played at all

    def fits(self, way: str) -> bool:
        return not self.only or (self.only == "shared") is (way == SHARED)


ONES = tuple(Column(name, name, without_data=True) for name in NO_DATA)
COLUMNS = (
    Column("honest", "honest", without_data=False),
    *ONES,
    Column("random labels, bends 1 x", "random-labels", without_data=True, bent="1 x", only="private"),
    Column("random labels, bends 5 x", "random-labels", without_data=True, bent="5 x", only="private"),
    Column("two benders", "two-benders", without_data=True, bent="crossed", only="private"),
    Column("two that move score", "two-free-riders", without_data=True, moves=True),
    Column("two that move score, unaudited", "two-free-riders", without_data=False, moves=True, audited=False),
    Column("own update x 3", "own-3x", without_data=False),
    Column("trained on the slice", "slice", without_data=False, only="shared"),
    Column("one data set twice", "twice", without_data=False),
)
PLAYS = tuple(dict.fromkeys(column.play for column in COLUMNS))


def seats(peers: int, seed: int) -> tuple[int, int]:
    """Where attackers sit: elsewhere for each seed; the second seat for a second one."""
    first = (5 * seed + 2) % peers
    return first, (first + peers // 2) % peers


def cast(setup: Setup, play: str, seed: int) -> Setup:
    """The federation of this play. In `twice` one data set is registered under both seats."""
    one, two = seats(setup.peers, seed)
    bends: tuple[Bent, ...] = ()
    if play == "honest":
        return setup
    if play == "twice":
        return replace(setup, copies={two: one})
    if play == "two-free-riders":
        return replace(setup, cast={one: "parent-back", two: "parent-back"})
    if play == "two-benders":
        crossed = Bent("crossed", {one: two, two: one})  # each praises the other, which works across halves
        return replace(setup, cast={one: "random-labels", two: "random-labels"}, bends=(crossed,))
    if play == "random-labels":
        bends = (Bent("1 x", {one: one}), Bent("5 x", {one: one}, length=5.0))
    return replace(setup, cast={one: play}, bends=bends if setup.validation == "private" else ())


@dataclass(frozen=True)
class Outcome:
    """One play under one rule: pay x n of whoever the column is about, and of everybody honest."""

    attacker: float
    honest: tuple[float, ...]
    accuracy: float


def outcome(column: Column, way: str, played: Played, setup: Setup, seed: int, terms: Terms, rule: Rule) -> Outcome:
    """Two attackers are counted as what each earns on average; one data set twice as both together."""
    opened: Sequence[Opened] = played.opened[way, column.bent]
    one, two = seats(setup.peers, seed)
    if column.moves:
        opened, halved = moved(opened, one, two, terms.cap), way in {CROSS, BALANCED}
        opened = audited(opened, one, two, setup.peers, seed, halved=halved) if column.audited else opened
    paid = pay(opened, setup.peers, terms, rule)
    mine = _seats_of(column.play, setup.peers, seed)
    honest = tuple(amount for seat, amount in enumerate(paid) if seat not in mine)
    if column.play == "twice":
        return Outcome(paid[one] + paid[two], honest, played.accuracy)
    about = mine or {one}
    return Outcome(fmean(paid[seat] for seat in sorted(about)), honest, played.accuracy)


def _seats_of(play: str, peers: int, seed: int) -> set[int]:
    one, two = seats(peers, seed)
    if play == "honest":
        return set()
    return {one, two} if play in {"twice", "two-free-riders", "two-benders"} else {one}


def by_name(names: Sequence[str]) -> Mapping[str, Column]:
    known = {column.name: column for column in COLUMNS}
    return {name: known[name] for name in names}
