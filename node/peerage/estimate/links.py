"""What moving a model costs: by the time that an access link is busy, or by the byte.

router   S (1/D + 1/U) (P_router + P_idle)     Qiu et al.; 7.5 W router: Wu et al., MLSys 2022. S in Mbit, D and U
in Mbit/s. P_idle is switchable: by default nothing is added
per byte S x kWh/GB of a named preset          `peerage.emissions.network`; published figures differ by a thousand
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from peerage.emissions.labels import NOTHING, Band, Label
from peerage.estimate.amounts import UJ_PER_J, parametric, within

if TYPE_CHECKING:
    from peerage.estimate.devices import Device

ROUTER_WATTS: Final = 7.5
UJ_PER_KWH: Final = 3.6e12
FASTEST_MBIT: Final = 1e6
LARGEST_MODEL: Final = 10**13  # bytes


class Moved(msgspec.Struct, frozen=True):
    """Models on the links of some devices. `paths`: of the models that travelled, those charged to these devices; one
    between two peers is half to each, one between a peer and a server whole to the peer.
    """

    sent: float
    received: float
    paths: float


class Network(Protocol):
    """Energy of moving models of so many bytes."""

    @property
    def name(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def label(self) -> Label: ...

    def energy(self, moved: Moved, model_bytes: int, device: Device) -> Band: ...


class Router(msgspec.Struct, frozen=True, kw_only=True):
    """Counts the access device at each peer; the network behind it is not in it."""

    down_mbit: float
    up_mbit: float
    watts: float = ROUTER_WATTS
    idle: bool = False  # the device's own idle power while it transfers (the P_idle of the formula)

    def __post_init__(self) -> None:
        within("--down", self.down_mbit, 1e-6, FASTEST_MBIT, "Mbit/s")
        within("--up", self.up_mbit, 1e-6, FASTEST_MBIT, "Mbit/s")
        within("--router-w", self.watts, 0, 10_000, "watts")

    @property
    def name(self) -> str:
        return f"router {self.watts:g} W at {self.down_mbit:g}/{self.up_mbit:g} Mbit/s"

    @property
    def source(self) -> str:
        added = ", with the device's idle power" if self.idle else ""
        return f"time on the access link, the form of Qiu et al.{added}; 7.5 W is Wu et al., MLSys 2022"

    @property
    def label(self) -> Label:
        return Label.PARAMETRIC

    def energy(self, moved: Moved, model_bytes: int, device: Device) -> Band:
        megabit = model_bytes * 8 / 1e6
        seconds = megabit * (moved.received / self.down_mbit + moved.sent / self.up_mbit)
        watts = self.watts + ((device.idle_watts or 0.0) if self.idle else 0.0)
        return parametric(seconds * watts * UJ_PER_J)


class PerByte(msgspec.Struct, frozen=True, kw_only=True):
    """kWh per GB (10^9 bytes) of a preset, low to high; a path is paid once."""

    preset: str
    low: float
    mid: float
    high: float
    source: str
    label: Label

    @property
    def name(self) -> str:
        return f"{self.preset}, {self.mid:g} kWh/GB"

    def energy(self, moved: Moved, model_bytes: int, device: Device) -> Band:
        del device
        gigabytes = moved.paths * model_bytes / 1e9
        low, mid, high = (round(gigabytes * rate * UJ_PER_KWH) for rate in (self.low, self.mid, self.high))
        parametric(mid)  # refuses what cannot be
        return Band(low, mid, high)


class _Nothing(msgspec.Struct, frozen=True):
    @property
    def name(self) -> str:
        return "none"

    @property
    def source(self) -> str:
        return "left out on request: communication is not in these figures"

    @property
    def label(self) -> Label:
        return Label.ASSUMED

    def energy(self, moved: Moved, model_bytes: int, device: Device) -> Band:
        del moved, model_bytes, device
        return NOTHING


NO_NETWORK: Final = _Nothing()
