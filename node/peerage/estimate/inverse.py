"""Which settings would give a figure. One equation with many unknowns: what comes out is consistent, never proved.

`needs` solves for the seconds of a local epoch, the rest given; `search` tries settings that were named and says which
print as the figure, or that none does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from peerage.emissions.factors import UJ_PER_KWH
from peerage.estimate.amounts import UJ_PER_J, UJ_PER_WH
from peerage.estimate.federated import Estimate, Plan, estimate
from peerage_crypto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peerage.estimate.links import Network

_FIGURE = re.compile(r"\d{1,12}(?:\.\d{1,9})?")


class Target(msgspec.Struct, frozen=True):
    """Grams as they were printed: 2.51 is everything from 2.505 up to 2.515."""

    grams: float
    half: float

    def holds(self, grams: float) -> bool:
        return abs(grams - self.grams) <= self.half * (1 + 1e-9)


def target_of(text: str) -> Target:
    if not _FIGURE.fullmatch(text.strip()) or float(text) <= 0:
        raise InputError(f"--target-g {text!r} is no figure: write grams as they were printed, such as 2.51")
    digits = len(text.strip().partition(".")[2])
    return Target(float(text), 0.5 * 10**-digits)


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What one country and device would have to use. `seconds` None: communication alone emits more than the figure."""

    country: str
    factor_year: int
    factor_source: str
    g_per_kwh: float
    device: str
    watts: float
    energy_wh: float
    communication_wh: float
    joules_per_epoch: float | None
    seconds: float | None


def needs(plans: Iterable[Plan], network: Network, grams: float) -> tuple[Need, ...]:
    """Of plans with one group each; the seconds in them are not used."""
    return tuple(_need(plan, network, grams) for plan in plans)


def _need(plan: Plan, network: Network, grams: float) -> Need:
    (group,) = plan.groups
    moving = estimate(plan, network).communication.energy_uj.mid
    if group.factor.mid_mg == 0:
        raise InputError(f"{group.factor.country} has a factor of 0 there: no energy at all gives {grams:g} g")
    energy = grams * 1000 / group.factor.mid_mg * UJ_PER_KWH
    joules = (energy - moving) / UJ_PER_J / plan.local_epochs
    found = joules > 0
    return Need(
        country=group.factor.country,
        factor_year=group.factor.year,
        factor_source=group.factor.source,
        g_per_kwh=group.factor.mid_mg / 1000,
        device=group.device.name,
        watts=group.device.watts,
        energy_wh=energy / UJ_PER_WH,
        communication_wh=moving / UJ_PER_WH,
        joules_per_epoch=joules if found else None,
        seconds=joules / group.device.watts if found else None,
    )


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """`found`: every configuration that prints as the figure; `nearest`: the one that comes closest, found or not."""

    target: Target
    tried: int
    found: tuple[Estimate, ...]
    nearest: Estimate


def search(plans: Iterable[Plan], network: Network, target: Target) -> Search:
    tried = tuple(estimate(plan, network) for plan in plans)
    if not tried:
        raise InputError("a search needs settings to try: name countries, devices and seconds")
    return Search(
        target=target,
        tried=len(tried),
        found=tuple(one for one in tried if target.holds(_grams(one))),
        nearest=min(tried, key=lambda one: abs(_grams(one) - target.grams)),
    )


def _grams(one: Estimate) -> float:
    return one.whole.co2e_ug.mid / 1e6
