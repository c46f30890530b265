"""A disk in memory for one peer: what was written, what was synced, and what a kill or a power cut leaves of it.

The product's own code writes to it (journal, private state, store, outbox), through a `SimPath` in place of a `Path`.
`kill -9` loses what the process still buffered. A power cut also loses what was not synced: of bytes appended to a
file any beginning may survive, and a rename counts only once its folder was synced. Every step of the disk can be the
last one: `crash_at` names it, and a write that is struck down leaves a torn line.
"""

from __future__ import annotations

import os as real_os
import time as real_time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from peerage import journal, private_state, store
from peerage_ledger import outbox

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

FIRST_FD = 1 << 20  # of simulated files; real ones are far below


class Crashed(BaseException):
    """The peer died in this step; nothing of the product may catch it."""


@dataclass
class _Inode:
    cached: bytearray = field(default_factory=bytearray)
    durable: bytes = b""


_descriptors = count(FIRST_FD)
_open: dict[int, _Handle | SimPath] = {}  # by simulated descriptor


class SimDisk:
    """One machine's files, by their paths."""

    def __init__(self) -> None:
        self.names: dict[str, _Inode] = {}
        self.durable_names: dict[str, _Inode] = {}
        self.steps = 0
        self.crash_at: int | None = None
        self.lying = False  # says that it has synced and has not (a planted fault)
        self._fds: set[int] = set()

    def path(self, name: str) -> SimPath:
        return SimPath(self, name)

    def step(self, torn: Callable[[], None] | None = None) -> None:
        """One operation begins; when it is the last one, `torn` leaves its half."""
        self.steps += 1
        if self.steps == self.crash_at:
            self.crash_at = None
            if torn is not None:
                torn()
            raise Crashed

    def fd(self, thing: _Handle | SimPath) -> int:
        number = next(_descriptors)
        _open[number] = thing
        self._fds.add(number)
        return number

    def killed(self) -> None:
        """The process is gone: its descriptors too."""
        for number in self._fds:
            _open.pop(number, None)
        self._fds.clear()

    def power_cut(self, draw: random.Random) -> None:
        """Only what was synced is sure."""
        self.killed()
        survivors = dict(self.durable_names)
        for name in sorted(self.names.keys() | self.durable_names.keys()):
            newer = self.names.get(name)
            if newer is not self.durable_names.get(name) and draw.random() < 0.5:
                if newer is None:
                    survivors.pop(name)
                else:
                    survivors[name] = newer
        for _, inode in sorted(survivors.items(), key=lambda item: item[0]):
            cached = bytes(inode.cached)
            if cached.startswith(inode.durable):
                keep = draw.randint(len(inode.durable), len(cached))
                inode.durable = cached[:keep]
            inode.cached = bytearray(inode.durable)
        self.names, self.durable_names = dict(survivors), survivors

    def wiped(self) -> None:
        """An empty disk."""
        self.killed()
        self.names, self.durable_names = {}, {}


@dataclass(frozen=True)
class SimPath:
    """As much of pathlib.Path as the product uses."""

    disk: SimDisk
    name: str

    def __truediv__(self, part: str) -> SimPath:
        return SimPath(self.disk, f"{self.name}/{part}")

    @property
    def parent(self) -> SimPath:
        return SimPath(self.disk, self.name.rpartition("/")[0])

    def with_suffix(self, suffix: str) -> SimPath:
        folder, slash, last = self.name.rpartition("/")
        return SimPath(self.disk, folder + slash + last.rpartition(".")[0] + suffix)

    def exists(self) -> bool:
        return self.name in self.disk.names

    def mkdir(self, **_: bool) -> None:
        """Folders are only names here."""

    def read_bytes(self) -> bytes:
        try:
            return bytes(self.disk.names[self.name].cached)
        except KeyError:
            raise FileNotFoundError(self.name) from None

    def write_bytes(self, blob: bytes) -> None:
        inode = self.disk.names[self.name] = _Inode()
        self.disk.step(lambda: inode.cached.extend(blob[: len(blob) // 2]))
        inode.cached.extend(blob)

    def unlink(self, *, missing_ok: bool = False) -> None:
        if self.disk.names.pop(self.name, None) is None and not missing_ok:
            raise FileNotFoundError(self.name)

    def replace(self, target: SimPath) -> None:
        self.disk.step()
        self.disk.names[target.name] = self.disk.names.pop(self.name)

    def open(self, mode: str) -> _Handle:
        return _Handle(self, mode)


class _Handle:
    """An open binary file: writes wait in the process until `flush`."""

    def __init__(self, path: SimPath, mode: str) -> None:
        self.path, self.disk = path, path.disk
        if "r" in mode and path.name not in self.disk.names:
            raise FileNotFoundError(path.name)
        if "w" in mode or path.name not in self.disk.names:
            self.disk.names[path.name] = _Inode()
        self.inode = self.disk.names[path.name]
        self._buffer = bytearray()
        self._fd = 0

    def write(self, blob: bytes) -> int:
        self._buffer += blob
        return len(blob)

    def flush(self) -> None:
        if self._buffer:
            blob = bytes(self._buffer)
            self._buffer.clear()
            self.disk.step(lambda: self.inode.cached.extend(blob[: len(blob) // 2]))
            self.inode.cached += blob

    def seek(self, _: int) -> None:
        """Only to the start, before reading everything."""

    def read(self) -> bytes:
        return bytes(self.inode.cached)

    def truncate(self, size: int) -> None:
        del self.inode.cached[size:]

    def fileno(self) -> int:
        self._fd = self._fd or self.disk.fd(self)
        return self._fd

    def sync(self) -> None:
        self.disk.step()
        if not self.disk.lying:
            self.inode.durable = bytes(self.inode.cached)
            self.disk.durable_names.setdefault(self.path.name, self.inode)

    def close(self) -> None:
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()


class _Os:
    """The module `os`, with simulated descriptors besides the real ones."""

    def __getattr__(self, name: str) -> Any:
        return getattr(real_os, name)

    @staticmethod
    def fsync(fd: int) -> None:
        thing = _open.get(fd)
        if isinstance(thing, _Handle):
            thing.sync()
        elif isinstance(thing, SimPath):
            _sync_folder(thing)
        else:
            real_os.fsync(fd)

    fdatasync = fsync

    @staticmethod
    def open(path: Any, flags: int, *rest: int) -> int:
        return path.disk.fd(path) if isinstance(path, SimPath) else real_os.open(path, flags, *rest)

    @staticmethod
    def close(fd: int) -> None:
        if _open.pop(fd, None) is None:
            real_os.close(fd)

    @staticmethod
    def getpid() -> int:
        return 1  # it enters names of partial files: the same in every process that replays a schedule


def _sync_folder(folder: SimPath) -> None:
    disk = folder.disk
    disk.step()
    here = {n for n in disk.names.keys() | disk.durable_names.keys() if n.rpartition("/")[0] == folder.name}
    for name in here if not disk.lying else ():
        if name in disk.names:
            disk.durable_names[name] = disk.names[name]
        else:
            disk.durable_names.pop(name, None)


class Clock:
    """The module `time` for the product: virtual while a simulation runs (`now` is not None), else real."""

    now: Callable[[], float] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(real_time, name)

    def time_ns(self) -> int:
        return real_time.time_ns() if self.now is None else round((1_700_000_000 + self.now()) * 1e9)

    def monotonic(self) -> float:
        return real_time.monotonic() if self.now is None else self.now()


CLOCK = Clock()


def install() -> None:
    """Simulated paths and clocks beside the real ones; what is real works as before."""
    shim = _Os()
    for module in (journal, private_state, outbox, store):
        module.os = shim  # type: ignore[attr-defined]
    journal.time = CLOCK  # type: ignore[assignment]
