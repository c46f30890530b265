"""Grid factors by preset: what the chapter's calculator used, and what is in force now."""

from __future__ import annotations

from typing import Final

from peerage.emissions.factors import Factor, NationalFactor, choose
from peerage_crypto.errors import InputError

CURRENT: Final = "current"
ECOMETRICA: Final = "ecometrica-2011"
PRESETS: Final = (CURRENT, ECOMETRICA)
_ECOMETRICA_SOURCE: Final = "Brander et al., Ecometrica 2011, as the calculator of Qiu et al. uses it"
_ECOMETRICA_ROWS: Final = {
    "CHN": NationalFactor("China", 974_600, 2011),
    "FRA": NationalFactor("France", 79_000, 2011),
    "USA": NationalFactor("United States", 574_100, 2011),
}


def factor_of(country: str, preset: str = CURRENT, year: int | None = None) -> Factor:
    """InputError for a country that the preset lacks, and for a year of which it has no factor. No default."""
    if preset not in PRESETS:
        raise InputError(f"--factors {preset!r} is no preset: choose {' or '.join(PRESETS)}")
    code = country.strip().upper()
    if not code:
        raise InputError("a country is needed: give an ISO 3166 three-letter code such as FRA; none is assumed")
    if preset == ECOMETRICA:
        if code not in _ECOMETRICA_ROWS:
            known = ", ".join(sorted(_ECOMETRICA_ROWS))
            raise InputError(f"{ECOMETRICA} has no factor for {country!r}: it has {known}; --factors current has more")
        found = choose(code, _ECOMETRICA_ROWS, _ECOMETRICA_SOURCE)
    else:
        from peerage.emissions.codecarbon_door import national_factor  # noqa: PLC0415 - slow to import

        found = national_factor(code)
    if year is not None and year != found.year:
        raise InputError(f"{preset} has no factor of {year} for {code}: it has the one of {found.year}")
    return found


def countries(preset: str) -> tuple[Factor, ...]:
    """Every factor of a preset, by code."""
    if preset == ECOMETRICA:
        return tuple(factor_of(code, preset) for code in sorted(_ECOMETRICA_ROWS))
    if preset != CURRENT:
        raise InputError(f"--factors {preset!r} is no preset: choose {' or '.join(PRESETS)}")
    from peerage.emissions.codecarbon_door import national_factors  # noqa: PLC0415 - slow to import

    return national_factors()
