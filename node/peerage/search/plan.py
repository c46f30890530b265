"""A search before it runs: which settings are tried, and how many of them train for how many rounds.

Successive halving (Karnin et al. 2013; for hyper-parameters Jamieson & Talwalkar 2016, arXiv 1502.07943): all trials
train a little, the better part trains on, and only the last few train as long as the federation would. Everything here
is a function of the arguments.
"""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass
from math import ceil, prod
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from peerage.config_toml import federation_of
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peerage.config import Federation

Value = str | int | float | bool
LEARNING = ("model", "training", "merge", "masking", "robust")  # what learning follows from; the rest is what it is on
LEAST_ROUNDS = 2  # of a rung: what a round counts is of the model that came out of the round before
MOST_TRIALS = 64


class Axis(msgspec.Struct, frozen=True):
    """One setting and the values that are tried of it."""

    path: str
    values: tuple[Value, ...]


class Trial(msgspec.Struct, frozen=True):
    """One choice of all settings; numbers count from 1."""

    number: int
    settings: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Rung:
    """So many trials train so many further rounds, `total` since they began."""

    trials: int
    rounds: int
    total: int


@dataclass(frozen=True, slots=True)
class Plan:
    axes: tuple[Axis, ...]
    trials: tuple[Trial, ...]
    rungs: tuple[Rung, ...]

    @property
    def trained(self) -> int:
        """Rounds of all trials together."""
        return sum(rung.trials * rung.rounds for rung in self.rungs)

    @property
    def exhaustive(self) -> int:
        """Rounds if every trial trained to the end."""
        return len(self.trials) * self.rungs[-1].total


def axis_of(text: str) -> Axis:
    """From `training.learning_rate=0.03,0.1,0.3`; InputError says how it should look."""
    path, sign, listed = (part.strip() for part in text.partition("="))
    words = [word.strip() for word in listed.split(",")]
    if not (path and sign and all(words)):
        raise InputError(
            f"--over {text}: say which setting and which values, as in training.learning_rate=0.03,0.1,0.3"
        )
    table, dot, _ = path.partition(".")
    if not dot or table not in LEARNING:
        raise InputError(
            f"--over {path}: a search compares settings of {', '.join(LEARNING[:-1])} and {LEARNING[-1]}; all others "
            "are what it compares them on"
        )
    values = tuple(_value(word) for word in words)
    if len(set(words)) < len(words):
        raise InputError(f"--over {text}: a value stands there twice")
    return Axis(path, values)


def _value(word: str) -> Value:
    try:
        found = tomllib.loads(f"value = {word}")["value"]
    except tomllib.TOMLDecodeError:
        return word
    return found if isinstance(found, Value) else word


def plan_of(base: Federation, axes: Sequence[Axis], *, trials: int = 0, halving: int = 2) -> Plan:
    """`trials`: so many of the grid, drawn by the federation's seed; 0: all. InputError: nothing to compare, or a trial
    that no run would accept.
    """
    paths = [axis.path for axis in axes]
    if len(set(paths)) < len(paths):
        raise InputError("--over names one setting twice: list all of its values in one")
    grid = prod(len(axis.values) for axis in axes)
    wanted = min(trials or grid, grid)
    if wanted < LEAST_ROUNDS:
        raise InputError(
            "one trial has nothing to be compared with: name a setting with two values, as in --over PATH=A,B"
        )
    if wanted > MOST_TRIALS:
        raise InputError(f"{wanted} trials: a search takes {MOST_TRIALS} at most; draw some of them with --trials")
    drawn = sorted(random.Random(f"search/{base.seed}").sample(range(grid), wanted))  # noqa: S311 - no secret
    found = tuple(Trial(number, _chosen(axes, place)) for number, place in enumerate(drawn, 1))
    for trial in found:
        settings_of(base, trial.settings)
    return Plan(tuple(axes), found, rungs_of(wanted, base.rounds, halving))


def _chosen(axes: Sequence[Axis], place: int) -> dict[str, Value]:
    """The choice at this place of the grid; the last axis turns fastest."""
    found: dict[str, Value] = {}
    for axis in reversed(axes):
        place, which = divmod(place, len(axis.values))
        found[axis.path] = axis.values[which]
    return dict(reversed(found.items()))


def rungs_of(trials: int, rounds: int, halving: int) -> tuple[Rung, ...]:
    """One of `halving` goes on, rounded up, until one is left; the last that are compared train `rounds` in all."""
    sizes = [trials]
    while (rest := ceil(sizes[-1] / halving)) > 1:
        sizes.append(rest)
    totals: list[int] = []
    for place, _ in enumerate(sizes):
        shared = rounds // halving ** (len(sizes) - 1 - place)
        totals.append(max(shared, (totals[-1] if totals else 0) + LEAST_ROUNDS))
    if totals[-1] > rounds:
        raise InputError(
            f"rounds = {rounds} are too few to compare {trials} trials in {len(sizes)} steps: choose rounds = "
            f"{totals[-1]}, fewer trials, or a larger --halving"
        )
    before = [0, *totals[:-1]]
    return tuple(Rung(n, total - b, total) for n, total, b in zip(sizes, totals, before, strict=True))


def settings_of(base: Federation, chosen: Mapping[str, Value]) -> Federation:
    """The federation with these settings in place of its own; InputError where no run would accept them."""
    tables: dict[str, dict[str, object]] = msgspec.to_builtins(base)
    for path, value in chosen.items():
        table, _, name = path.partition(".")
        tables[table][name] = value
    said = ", ".join(f"{path} = {value}" for path, value in chosen.items())
    return federation_of(tables, where=said or "the federation")


def tried(base: Federation, chosen: Mapping[str, Value], rounds: int, start: str) -> Federation:
    """What one trial runs: nobody is scored, paid or played false, and the masks count hits on held-out rows."""
    found = settings_of(base, chosen)
    return replace(
        found,
        rounds=rounds,
        training=replace(found.training, counts="held-out"),
        model=replace(found.model, start=start or found.model.start),
        data=replace(found.data, validation="shared", validation_file="", validation_donor=""),
        scores=replace(found.scores, openings="off"),
        rewards=replace(found.rewards, green_bonus=0, green_pool="0"),
        cast=(),
    )
