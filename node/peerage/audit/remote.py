"""Artefact stores as an outsider reaches them: folders and whatever else fsspec opens, several of them as one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

import fsspec

from peerage.audit.store import NAME
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fsspec import AbstractFileSystem

T = TypeVar("T")
TRIES: Final = 4
FIRST_PAUSE: Final = 0.5


class Stores:
    """The names in all of them, and how to read one. What comes over a network is kept in `kept`, under its hash.

    A store that lies about one artefact hides it from nobody who has it in another: the first bytes with the right
    hash win.
    """

    def __init__(
        self, urls: Sequence[str], kept: Path, told: Callable[[str, int, int], None], pause: Callable[[float], None]
    ) -> None:
        self._kept, self._told, self._pause = kept, told, pause
        self._places: dict[str, list[tuple[AbstractFileSystem, str]]] = {}
        self._local: set[int] = set()
        self._read = 0
        for url in urls:
            self._list(url)

    @property
    def names(self) -> list[str]:
        return sorted(self._places)

    def read(self, name: str) -> bytes:
        """Unreachable when no store gives it; bytes with another hash only where all of them do."""
        self._read += 1
        self._told("artefacts", min(self._read, len(self._places)), len(self._places))
        blob = b""
        for system, path in self._places[name]:
            local = id(system) in self._local
            here = self._kept / name
            if not local and here.is_file():
                blob = here.read_bytes()
                if sha256(blob).hex() == name:
                    return blob
            blob = self._fetch(system, path)
            if NAME.fullmatch(name) and sha256(blob).hex() == name:
                if not local:
                    _write(here, blob)
                return blob
        return blob

    def _list(self, url: str) -> None:
        try:
            system, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise InputError(f"--store {url}: {error}") from None
        paths = self._patiently(lambda: system.ls(root, detail=False), f"the store {url} cannot be listed")
        protocol = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
        if protocol == "file":
            self._local.add(id(system))
        for path in paths:
            name = str(path).rstrip("/").rpartition("/")[2]
            if protocol == "file" or NAME.fullmatch(name):  # a web server's page has links of its own
                self._places.setdefault(name, []).append((system, str(path)))

    def _fetch(self, system: AbstractFileSystem, path: str) -> bytes:
        blob: bytes = self._patiently(lambda: system.cat_file(path), f"{path} cannot be read")  # pyright: ignore[reportAssignmentType]
        return blob

    def _patiently(self, ask: Callable[[], T], what: str) -> T:
        for tried in range(1, TRIES + 1):
            try:
                return ask()
            except Exception as error:
                if not _is_of_the_network(error):
                    raise
                if tried == TRIES or isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
                    raise Unreachable(f"{what}: {error}") from None
                self._pause(FIRST_PAUSE * 2 ** (tried - 1))
        raise Unreachable(what)


def _is_of_the_network(error: Exception) -> bool:
    """Fsspec's doors raise what their libraries raise; those are no dependencies of ours by name."""
    return isinstance(error, OSError | TimeoutError) or type(error).__module__.partition(".")[0] in {
        "aiohttp",
        "botocore",
        "gcsfs",
        "s3fs",
    }


def _write(path: Path, blob: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(blob)
    part.replace(path)


def patient(seconds: float) -> None:
    time.sleep(seconds)
