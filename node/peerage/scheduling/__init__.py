"""When a peer takes part, decided by itself: pure integer functions of public settings, the seed and its history.

    profiles     what energy a peer gathers and can keep, in whole joules a round
    forms        a profile as one line of the settings
    trace        a profile from a measured file; bad files are refused
    draws        seeded draws that everybody can repeat
    policies     `decide`: take part in this round or not, and with which exact scale
    budget       the alpha-fair plan of a carbon budget
    checks       `check_scale`: whether a claimed scale follows from the history

A scale is a fraction. Whoever knows the settings and the rounds in which a peer took part computes the same one.
"""

from peerage.scheduling.budget import Budget, plan_budget
from peerage.scheduling.checks import check_history, check_scale
from peerage.scheduling.policies import (
    Bernoulli,
    BestEffort,
    CarbonBudget,
    Decision,
    FedAU,
    Policy,
    RandomSelection,
    WaitForAll,
    Windows,
    common_rounds,
    decide,
)
from peerage.scheduling.profiles import Profile, always_on, battery, periodic, random_arrivals, solar
from peerage.scheduling.trace import parse_trace

__all__ = [
    "Bernoulli",
    "BestEffort",
    "Budget",
    "CarbonBudget",
    "Decision",
    "FedAU",
    "Policy",
    "Profile",
    "RandomSelection",
    "WaitForAll",
    "Windows",
    "always_on",
    "battery",
    "check_history",
    "check_scale",
    "common_rounds",
    "decide",
    "parse_trace",
    "periodic",
    "plan_budget",
    "random_arrivals",
    "solar",
]
