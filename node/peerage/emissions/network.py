"""Energy of moved bytes beyond the hosts, by published figures per byte.

They differ by a thousand, because they count different parts of a path in different years. So each has a tenth to ten
times of itself as its band, none is a default, and nothing here is ever added to what the peers' meters say.
"""

from __future__ import annotations

from typing import Final

import msgspec

from peerage.emissions.labels import Band, Label, spread, widen

NJ_PER_UJ: Final = 1000
NJ_PER_BYTE_OF_KWH_PER_GB: Final = 3_600_000  # 1 kWh over 10^9 bytes


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """A published figure: nanojoules for each byte that crosses the network once. Its energy is `assumed`."""

    name: str
    nj_per_byte: int
    source: str
    label: Label = Label.ASSUMED

    @property
    def kwh_per_gb(self) -> float:
        return self.nj_per_byte / NJ_PER_BYTE_OF_KWH_PER_GB

    def energy(self, moved: int) -> Band:
        """Microjoules of so many bytes; ValueError below zero."""
        if moved < 0:
            raise ValueError(f"{moved} bytes cannot be moved")
        return widen(moved * self.nj_per_byte // NJ_PER_UJ, spread(Label.PARAMETRIC))


PRESETS: Final = {
    one.name: one
    for one in (
        Preset(
            name="ccf",
            nj_per_byte=3_600,
            source="Cloud Carbon Footprint: between data centres, deliberately the lowest",
        ),
        Preset(name="green-metrics-tool", nj_per_byte=6_750, source="Green Metrics Tool, default: network"),
        Preset(
            name="tapp-2026",
            nj_per_byte=36_000,
            source="Tapp et al. 2026 (2602.00343), default of their code: internet",
        ),
        Preset(
            name="swd-v4",
            nj_per_byte=212_400,
            source="CO2.js, Sustainable Web Design version 4: operation of networks, for web pages",
        ),
        Preset(name="onebyte-wifi", nj_per_byte=547_200, source="CO2.js, OneByte: Wi-Fi, old, for web pages"),
        Preset(name="onebyte-wired", nj_per_byte=1_544_400, source="CO2.js, OneByte: wired, old, for web pages"),
        Preset(name="onebyte-4g", nj_per_byte=3_182_400, source="CO2.js, OneByte: 4G, old, for web pages"),
    )
}
LEAST, MOST = PRESETS["ccf"], PRESETS["onebyte-4g"]
