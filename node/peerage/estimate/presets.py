"""The figures of `peerage.emissions.network` as kWh per GB (10^9 bytes) of a model that moves, or one of one's own."""

from __future__ import annotations

import difflib
from typing import Final

from peerage.emissions import network
from peerage.emissions.labels import PER_MILLE, Label, spread
from peerage.estimate.amounts import within
from peerage.estimate.links import PerByte
from peerage_crypto.errors import InputError

MOST_KWH_PER_GB: Final = 1000.0


def _preset(name: str, kwh_per_gb: float, source: str) -> PerByte:
    low, high = (kwh_per_gb * part / PER_MILLE for part in spread(Label.PARAMETRIC))
    return PerByte(preset=name, low=low, mid=kwh_per_gb, high=high, source=source, label=Label.ASSUMED)


PRESETS: Final = {name: _preset(name, one.kwh_per_gb, one.source) for name, one in network.PRESETS.items()}


def per_byte(name: str) -> PerByte:
    """A preset, or a figure of one's own; InputError with near names for what is neither."""
    if name in PRESETS:
        return PRESETS[name]
    try:
        rate = float(name)
    except ValueError:
        near = ", ".join(difflib.get_close_matches(name, PRESETS, n=3, cutoff=0.4) or PRESETS)
        raise InputError(
            f"network {name!r} is not known: choose router, none, kWh per GB such as 0.06, or a preset: {near}"
        ) from None
    return _preset("your figure", within("--network", rate, 0, MOST_KWH_PER_GB, "kWh per GB"), "your figure")
