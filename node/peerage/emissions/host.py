"""What the launcher learns about a host once, and hands to every peer on it as JSON."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from peerage.emissions.factors import Factor
from peerage.emissions.labels import Label
from peerage.emissions.limits import MAX_CAP_MW, MAX_CORE_UW, MAX_IDLE_MW, MAX_MILLI_CORES, MAX_RAM_BYTES
from peerage_crypto.errors import InputError

Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
PROBE_SCHEMA: Final = 1


class Zone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One RAPL package counter: it runs to `range_uj` and starts again. `start_uj` is its value at the probe."""

    path: str
    range_uj: Count
    start_uj: Count


class HostProbe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`milli_cores` is what this federation may use (quota and affinity heeded); `idle_mw` is the power that flows
    anyway, `rate_uw` the modelled marginal power of one busy core; `cpu_label` says whether a counter (`zones`)
    stands behind them. Peers of one host put their times on one axis: `wall_us` was the time when the host's
    monotonic clock said `mono_us`.
    """

    schema: int = PROBE_SCHEMA
    host_id: str
    cpu_model: str
    tdp_mw: Count  # as CodeCarbon's list has it; 0: unknown. Of the whole socket, so no model of ours uses it in a VM
    milli_cores: Count
    idle_mw: Count
    rate_uw: Count
    cap_mw: Count
    ram_bytes: Count
    cpu_label: Label
    zones: tuple[Zone, ...] = ()
    busy_start_us: tuple[Count, ...] = ()
    part: bool = False  # a slice of a larger machine: its busy time is its cgroup's, and RAPL is not its counter
    gpus: tuple[str, ...] = ()
    factor: Factor
    tool: str
    wall_us: Count
    mono_us: Count

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()

    def when(self, mono_us: int) -> int:
        """Microseconds since 1970 on this host's axis; never jumps, whatever NTP does meanwhile."""
        return self.wall_us + mono_us - self.mono_us


def probe_from_json(text: str | bytes) -> HostProbe:
    try:
        probe = msgspec.json.decode(text, type=HostProbe)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the host probe cannot be read ({error}): start the peer with the launcher's own") from error
    _plausible(probe)
    if probe.schema != PROBE_SCHEMA:
        raise InputError(f"the host probe has schema {probe.schema}, this peer knows {PROBE_SCHEMA}: use one version")
    return probe


def _plausible(probe: HostProbe) -> None:
    """InputError for a power, a size or a factor that no host has."""
    bounds = (
        ("cores (in thousandths)", probe.milli_cores, 1, MAX_MILLI_CORES),
        ("idle power in mW", probe.idle_mw, 0, MAX_IDLE_MW),
        ("power of a core in uW", probe.rate_uw, 0, MAX_CORE_UW),
        ("highest power in mW", probe.cap_mw, max(1, probe.idle_mw), MAX_CAP_MW),
        ("memory in bytes", probe.ram_bytes, 1, MAX_RAM_BYTES),
        *(("range of a counter in uJ", zone.range_uj, 1, 1 << 62) for zone in probe.zones),
        *(("start of a counter in uJ", zone.start_uj, 0, zone.range_uj) for zone in probe.zones),
    )
    for name, value, least, most in bounds:
        if not least <= value <= most:
            raise InputError(
                f"the host probe's {name} is {value}, and no host has less than {least} or more than {most}"
            )
    if not 0 <= probe.factor.low_mg <= probe.factor.mid_mg <= probe.factor.high_mg:
        raise InputError("the host probe's factor is no band from low to high: start the peer with the launcher's own")


def same_boot(probe: HostProbe, now_us: int) -> None:
    """InputError where the probe's clock is ahead of this one: it was made before a restart, or on another host."""
    if now_us < probe.mono_us:
        raise InputError(
            f"the host probe was made {probe.mono_us - now_us} us after now by this host's clock: "
            "it is of another host or from before a restart; start the run again, so that a new one is made",
        )
