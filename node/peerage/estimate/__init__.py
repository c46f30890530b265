"""What a federation will use and emit, before it runs: formulas, a search backwards, and what a run's meter says of
both.

Everything here is labelled `parametric`. `federated` and `centralised` are the formulas, `inverse` asks which settings
would give a figure, `prediction` extends the first rounds of a run, `calibration` keeps a run's figures and the error
for later estimates of a `federation.toml`.
"""

from peerage.estimate.amounts import Amount, total
from peerage.estimate.centralised import Centre, Facility, centralised
from peerage.estimate.devices import Device, device
from peerage.estimate.federated import Estimate, Group, Plan, estimate
from peerage.estimate.grids import factor_of
from peerage.estimate.inverse import Need, Search, needs, search
from peerage.estimate.links import NO_NETWORK, PerByte, Router
from peerage.estimate.topology import TOPOLOGIES, Traffic, traffic

__all__ = [
    "NO_NETWORK",
    "TOPOLOGIES",
    "Amount",
    "Centre",
    "Device",
    "Estimate",
    "Facility",
    "Group",
    "Need",
    "PerByte",
    "Plan",
    "Router",
    "Search",
    "Traffic",
    "centralised",
    "device",
    "estimate",
    "factor_of",
    "needs",
    "search",
    "total",
    "traffic",
]
