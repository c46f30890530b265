"""A profile as settings spell it: one line of text that everybody reads alike, and writes back.

    always                                        steady power
    every:ROUNDS                                  one round's energy at the end of so many rounds
    solar:ROUNDS_A_DAY:COST                       invented sunshine
    chance:PARTS/WHOLE                            one round's energy arrives with this chance
    battery:START:CAPACITY:COST:CHARGE:ROUNDS     START joules at first, CHARGE more at the end of so many rounds
    joules:START:CAPACITY:COST:KIND:J,J,...       a trace, joules by round; KIND is measured or synthetic
    grid:KIND:G,G,...                             of a carbon budget: g/kWh by round, KIND measured or synthetic

A file (`trace:FILE:...`) is read once, where the run is started, and goes into the settings as `joules:`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from peerage.scheduling.profiles import LARGEST_JOULES, Profile, always_on, battery, periodic, random_arrivals, solar
from peerage_crypto.errors import InputError

FORMS: Final = (
    "always, every:ROUNDS, solar:ROUNDS_A_DAY:COST, chance:PARTS/WHOLE, battery:START:CAPACITY:COST:CHARGE:ROUNDS or "
    "trace:FILE:SECONDS:COST:CAPACITY:WATTS"
)
TRACE: Final = "trace:"
MOST_NUMBERS: Final = 10_000  # of a trace inside the settings
_SMALL: Final = 9999
_KINDS: Final = {"measured": False, "synthetic": True}


def profile_of(text: str, place: int, seed: int) -> Profile:
    """One `energy.profile`. Draws are by its place in the list: a name and its address give the same turns."""
    kind, _, rest = text.partition(":")
    name = f"energy-{place}"
    if kind == "joules":
        return _joules(name, text, rest)
    if kind == "trace":
        raise InputError(
            f"energy.profile = {text!r} names a file: `peerage run` reads it, and on separate machines the settings "
            "hold its numbers (scripts/schedules --check-profile prints them)"
        )
    numbers = [_whole(part) for part in rest.replace("/", ":").split(":")] if rest else []
    match kind, numbers:
        case "always", []:
            return always_on(name)
        case "every", [int(every)] if 0 < every <= _SMALL:
            return periodic(name, every)
        case "solar", [int(day), int(cost)] if 0 < day <= _SMALL and 0 < cost <= _SMALL:
            return solar(name, seed=seed, day=day, cost=cost, capacity=4 * cost)
        case "chance", [int(parts), int(whole)] if 0 < parts <= _SMALL and 0 < whole <= _SMALL:
            return random_arrivals(name, Fraction(parts, whole), seed)
        case "battery", [int(start), int(capacity), int(cost), int(charge), int(every)] if 0 < every <= _SMALL:
            return battery(name, joules=start, capacity=capacity, cost=cost, charge=charge, every=every)
        case _:
            raise InputError(f"energy.profile = {text!r} is not known: use {FORMS}")


@dataclass(frozen=True, slots=True)
class GridIntensity:
    """g/kWh of the grid that a peer stands on, by round; it repeats when a run is longer."""

    grams: tuple[int, ...]
    synthetic: bool

    def over(self, rounds: int) -> tuple[int, ...]:
        return tuple(self.grams[t % len(self.grams)] for t in range(rounds))


def grid_of(text: str) -> GridIntensity:
    """The `grid:` form; InputError for any other. `plan_budget` refuses an intensity that no grid has."""
    kind, _, rest = text.partition(":")
    made, _, listed = rest.partition(":")
    grams = [_whole(part) for part in listed.split(",")]
    whole = [g for g in grams if g is not None]
    if kind != "grid" or made not in _KINDS or len(whole) != len(grams) or len(grams) > MOST_NUMBERS:
        raise InputError(
            f"energy.profile = {text[:60]!r} is no grid: a carbon budget takes grid:KIND:G,G,... with whole g/kWh by "
            "round, and KIND is measured or synthetic"
        )
    return GridIntensity(tuple(whole), _KINDS[made])


def is_synthetic(text: str) -> bool:
    """Whether this profile was made up: everything but a trace or a grid that calls itself measured, and `always`."""
    return text != "always" and not text.startswith("grid:measured:") and ":measured:" not in text[:64]


def cost_of(text: str) -> int | None:
    """The joules of one round, where a profile is in joules at all; `every:3` and the like are in rounds."""
    return profile_of(text, 0, 0).cost if text.startswith(("battery:", "joules:", "solar:")) else None


def text_of(profile: Profile) -> str:
    """A trace as its `joules:` form."""
    kind = "synthetic" if profile.synthetic else "measured"
    numbers = ",".join(map(str, profile.trace))
    return f"joules:{profile.start}:{profile.capacity}:{profile.cost}:{kind}:{numbers}"


def words_of(text: str) -> str:
    """What a person is told of a profile: a trace's thousand numbers are counted, not shown."""
    if not text.startswith(("joules:", "grid:")):
        return text
    head, _, numbers = text.rpartition(":")
    return f"{head}: {numbers.count(',') + 1} rounds"


def _joules(name: str, text: str, rest: str) -> Profile:
    parts = rest.split(":")
    if len(parts) == 5 and parts[3] in _KINDS:
        listed = parts[4].split(",")
        if len(listed) > MOST_NUMBERS:
            raise InputError(f"energy.profile: a trace of {len(listed)} rounds; settings hold {MOST_NUMBERS} at most")
        start, capacity, cost, *trace = (_whole(part) for part in (*parts[:3], *listed))
        whole = [joules for joules in trace if joules is not None]
        if start is not None and capacity is not None and cost is not None and len(whole) == len(trace):
            return Profile(name, tuple(whole), cost=cost, capacity=capacity, start=start, synthetic=_KINDS[parts[3]])
    raise InputError(
        f"energy.profile = {text[:60]!r} is no trace: joules:START:CAPACITY:COST:KIND:J,J,... has whole joules of 0 or "
        "more, and KIND is measured or synthetic"
    )


def _whole(text: str) -> int | None:
    """0 to LARGEST_JOULES; None for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 13):
        return None
    return number if (number := int(text)) <= LARGEST_JOULES else None
