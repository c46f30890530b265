"""Who owes which joule of a shared host: pure integer arithmetic, so peers, launcher and auditor agree to the last
digit.

    P_host      = counter (RAPL)  |  P_min + u (P_max - P_min)                          per core, u = busy share
    dynamic_i   = cpu_i * rate          rate = dynamic energy of the host / its busy CPU-seconds
    idle_i      = wall_i * P_idle * r_i                                                 r_i: declared reservation
    ram_i       = wall_i * 0.392 W/GB * resident_i

The modelled power is linear in u, so `rate` is a constant (P_max - P_min) and cpu_i / sum(cpu) is an exact share of the
host's dynamic energy: sum_i + other = host holds by construction, whenever each peer reads its counters.
"""

from __future__ import annotations

from typing import Final

# Cloud Carbon Footprint's coefficients of a vCPU (its AWS row; GCP 0.71/4.26 and Azure 0.78/3.76 lie within the band)
MIN_MW_PER_CORE: Final = 740
MAX_MW_PER_CORE: Final = 3500
RAM_MW_PER_GB: Final = 392

MODEL_RATE_UW: Final = (MAX_MW_PER_CORE - MIN_MW_PER_CORE) * 1000
PPM: Final = 1_000_000


def equal_reservation(peers: int) -> int:
    """Parts per million of the host that each of `peers` peers on it declares as its own."""
    return PPM // peers


def dynamic_uj(cpu_us: int, rate_uw: int) -> int:
    """CPU time times the marginal power of one busy core; floors, so that shares never add up to more than the
    whole.
    """
    return cpu_us * rate_uw // PPM


def idle_uj(wall_us: int, idle_mw: int, reserved_ppm: int) -> int:
    return wall_us * idle_mw * reserved_ppm // (1000 * PPM)


def ram_uj(wall_us: int, ram_bytes: int) -> int:
    return wall_us * ram_bytes * RAM_MW_PER_GB // (1000 * 1_000_000_000)


def rate_uw(dynamic: int, busy_us: int) -> int:
    """Marginal power of one busy core: microjoules over CPU-microseconds, in microwatts."""
    return dynamic * PPM // busy_us if busy_us > 0 else 0


def coarsen(amount: int, step: int) -> tuple[int, int]:
    """What is published of an amount, and the rest that waits for the next record; step 0 publishes all."""
    rest = amount % step if step else 0
    return amount - rest, rest
