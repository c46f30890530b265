"""The sections of the page, in reading order. One file each: a function from `Told` to its body.

Another part of the project adds a section by writing a file here and a line below.
"""

from collections.abc import Callable
from typing import Final

from peerage.report.html import Html
from peerage.report.reading import Told
from peerage.report.sections import (
    absent,
    accuracy,
    costs,
    energy,
    estimate,
    groups,
    known,
    markets,
    overview,
    privacy,
    rewards,
    sci,
)
from peerage.report.sections import provenance as models

Section = Callable[[Told], Html]

SECTIONS: Final[tuple[tuple[str, str, Section], ...]] = (
    ("summary", "In short", overview.body),
    ("accuracy", "Accuracy", accuracy.body),
    ("groups", "Groups of peers", groups.body),
    ("energy", "Energy and CO2e", energy.body),
    ("costs", "What privacy and the ledger cost", costs.body),
    ("markets", "Location, market, offsets", markets.body),
    ("estimate", "Estimated and measured", estimate.body),
    ("sci", "Software carbon intensity", sci.body),
    ("rewards", "Rewards", rewards.body),
    ("missing", "Who was missing", absent.body),
    ("privacy", "Privacy meter", privacy.body),
    ("models", "Where the model comes from", models.body),
    ("known", "How do you know?", known.body),
)
