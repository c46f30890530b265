"""Ratios of a data centre, as defined by those who coined them. Each refuses what no facility can have.

    PUE  = facility energy / energy into IT equipment                             >= 1   The Green Grid
    ITUE = energy into IT equipment / energy into its compute components          >= 1   Patterson et al., ISC'13
    TUE  = ITUE x PUE = facility energy / energy into compute components          >= 1   the same
    GEC  = green energy used / all energy used                                   0 to 1  The Green Grid
    CUE  = CO2e of the facility / energy into IT equipment = PUE x grid factor           The Green Grid

Our meter counts compute components (CPU, memory, device): their energy times TUE is the facility's. PUE alone leaves
out what fans and power supplies inside the chassis take.
"""

from __future__ import annotations

import math

from peerage_crypto.errors import InputError


def itue(it_energy: float, compute_energy: float) -> float:
    return _at_least_one("ITUE", it_energy, compute_energy)


def pue(facility_energy: float, it_energy: float) -> float:
    return _at_least_one("PUE", facility_energy, it_energy)


def tue(itue_: float, pue_: float) -> float:
    for name, value in (("ITUE", itue_), ("PUE", pue_)):
        if not (math.isfinite(value) and value >= 1):
            raise InputError(f"{name} {value:g} is below 1: a whole cannot use less than its part")
    return itue_ * pue_


def green_share(green_energy: float, energy: float) -> float:
    """GEC; both in one unit."""
    if not (0 <= green_energy <= energy and 0 < energy < math.inf):
        raise InputError(f"GEC of {green_energy:g} in {energy:g}: the green part lies between nothing and all")
    return green_energy / energy


def carbon_usage(pue_: float, g_per_kwh: float) -> float:
    """CUE in g CO2e per kWh of IT equipment, location-based."""
    if not (math.isfinite(pue_) and pue_ >= 1 and 0 <= g_per_kwh < math.inf):
        raise InputError(f"CUE of PUE {pue_:g} and {g_per_kwh:g} g/kWh: PUE is 1 or more, a factor 0 or more")
    return pue_ * g_per_kwh


def _at_least_one(name: str, whole: float, part: float) -> float:
    if not (math.isfinite(whole) and 0 < part <= whole):
        raise InputError(f"{name} of {whole:g} over {part:g}: the part is above 0 and no more than the whole")
    return whole / part
