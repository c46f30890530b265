"""Cores, memory and identity of this host as the operating system tells them: containers heeded, no root, no
network.
"""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path
from typing import Final

ROOT: Final = Path("/")
_UNLIMITED: Final = 1 << 60  # cgroup v1 writes "no limit" as a number near 2^63


def number(path: Path) -> int | None:
    """The one integer that a kernel file holds; None where the file or the number is not there ("max")."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def cgroup_folders(root: Path, controller: str) -> tuple[Path, ...]:
    """Where the limits on this process may stand: its own cgroup first, then upwards; version 2 and version 1."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    base = root / "sys/fs/cgroup"
    found: list[Path] = []
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        top = base / controller if controllers else base
        steps = [p for p in path.split("/") if p]
        found += [top.joinpath(*steps[:n]) for n in range(len(steps), -1, -1)]
    # inside a container the path of the host is not mounted, and the limits stand at the top
    return tuple(p for p in dict.fromkeys([*found, base, base / controller]) if p.is_dir())


def milli_cores(root: Path = ROOT) -> int:
    """Cores this process may use, in thousandths: the least of what is there, affinity and cgroup quotas."""
    cores = 1000 * (os.cpu_count() or 1)
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, 1000 * len(os.sched_getaffinity(0)))
    for folder in cgroup_folders(root, "cpu"):
        quota = _quota(folder)
        if quota is not None:
            cores = min(cores, quota)
    return max(1, cores)


def ram_bytes(root: Path = ROOT) -> int:
    """Memory this process may use: the machine's or its cgroup's, whichever is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for folder in cgroup_folders(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = number(folder / name)
            if limit is not None and 0 < limit < _UNLIMITED:
                total = min(total, limit)
    return total


def host_id(root: Path = ROOT) -> str:
    """Sixteen hex digits, the same for all peers of a machine; a hash, so that it tells no name. Self-declared."""
    try:
        machine = (root / "etc/machine-id").read_text().strip()
    except OSError:
        machine = ""
    return hashlib.sha256(f"peerage host\n{machine}\n{platform.node()}".encode()).hexdigest()[:16]


def _quota(folder: Path) -> int | None:
    try:  # version 2: "200000 100000" or "max 100000"
        quota, period = (folder / "cpu.max").read_text().split()[:2]
        return None if quota == "max" else 1000 * int(quota) // int(period)
    except (OSError, ValueError):
        pass
    quota_us, period_us = number(folder / "cpu.cfs_quota_us"), number(folder / "cpu.cfs_period_us")
    return 1000 * quota_us // period_us if quota_us and period_us and quota_us > 0 else None
