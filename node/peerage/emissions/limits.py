"""What no host exceeds: a number beyond these was not read from hardware."""

from __future__ import annotations

from typing import Final

MAX_MILLI_CORES: Final = 4096 * 1000
MAX_CORE_UW: Final = 100_000_000  # 100 W: no core of a CPU takes more
MAX_IDLE_MW: Final = 4_000_000
MAX_CAP_MW: Final = 10_000_000
MAX_RAM_BYTES: Final = 1 << 46
MAX_GPU_UJ_PER_US: Final = 16_000  # 16 kW: a full box of today's devices
MAX_RESOLUTION_US: Final = 999_999 * 60_000_000
MAX_BYTES_PER_US: Final = 100_000  # 800 Gbit/s: the fastest line that a host has today
