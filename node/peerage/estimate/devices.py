"""Devices by name, each with its watts and who says so. A name that nobody lists is refused."""

from __future__ import annotations

import difflib
import re
from typing import Final

import msgspec

from peerage.emissions.attribution import MAX_MW_PER_CORE, MIN_MW_PER_CORE
from peerage.emissions.labels import Label
from peerage.estimate.amounts import within
from peerage_crypto.errors import InputError

MOST_WATTS: Final = 100_000.0


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """`watts` while it trains; `idle_watts` while it sends or receives (None: the source does not say)."""

    name: str
    watts: float
    idle_watts: float | None = None
    label: Label
    source: str


_CCF: Final = "Cloud Carbon Footprint"
LISTED: Final = (
    Device(name="client-3w", watts=3.0, label=Label.ASSUMED, source="Wu et al., MLSys 2022, appendix B: their client"),
    Device(
        name="vcpu",
        watts=MAX_MW_PER_CORE / 1000,
        idle_watts=MIN_MW_PER_CORE / 1000,
        label=Label.ASSUMED,
        source=f"{_CCF}: one cloud vCPU, fully used",
    ),
    Device(name="v100", watts=306.0, idle_watts=35.0, label=Label.ASSUMED, source=f"{_CCF}: one NVIDIA V100, full"),
    Device(
        name="v100-pcie",
        watts=300.0,
        label=Label.ASSUMED,
        source="mlco2/impact: thermal design power, not a measurement",
    ),
)
_WATTS: Final = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*W", re.IGNORECASE)
_MANY: Final = re.compile(r"([a-z0-9-]+)\*(\d{1,4})")


def device(name: str) -> Device:
    """A listed name (`vcpu`; `vcpu*4` for four of them), `cpu:MODEL` of CodeCarbon's list, or watts such as `7.5W`."""
    text = name.strip()
    if match := _WATTS.fullmatch(text):
        watts = within("--device watts", float(match[1]), 0.001, MOST_WATTS, "watts")
        return Device(name=text, watts=watts, label=Label.ASSUMED, source="your figure")
    if text.lower().startswith("cpu:"):
        return _cpu(text[4:].strip())
    match = _MANY.fullmatch(text.lower())
    wanted, count = (match[1], int(match[2])) if match else (text.lower(), 1)
    known = {one.name: one for one in LISTED}
    if wanted not in known or count < 1:
        near = difflib.get_close_matches(wanted, known, n=2, cutoff=0.4) or sorted(known)
        raise InputError(
            f"device {name!r} is not listed: near are {', '.join(near)}; or say cpu:MODEL, or its watts such as 7.5W"
        )
    one = known[wanted]
    if count == 1:
        return one
    idle = None if one.idle_watts is None else one.idle_watts * count
    return msgspec.structs.replace(one, name=text.lower(), watts=one.watts * count, idle_watts=idle)


def _cpu(model: str) -> Device:
    from peerage.emissions.codecarbon_door import listed_cpus  # noqa: PLC0415 - slow to import

    table, tool = listed_cpus()
    watts = table.get(model.lower())
    if watts is None:
        near = difflib.get_close_matches(model.lower(), table, n=3, cutoff=0.5)
        hint = f"near are {', '.join(near)}" if near else "give its watts instead, such as 65W"
        raise InputError(f"cpu {model!r} is not in {tool}'s list: {hint}")
    return Device(
        name=f"cpu:{model}",
        watts=watts,
        label=Label.ASSUMED,
        source=f"{tool}: thermal design power of the whole socket, not a measurement",
    )
