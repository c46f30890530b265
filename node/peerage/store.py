"""Artefacts on disk: immutable blobs named by their SHA-256, and which of them this peer holds.

Peers on one machine may share the folder; what a peer may read without fetching it is what it holds: its own list,
kept beside its secrets, survives a restart.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from peerage_crypto.digest import sha256

if TYPE_CHECKING:
    from pathlib import Path

SYNCED_BYTES = 2 << 20  # a larger blob is not synced: a round would wait for the disk
RECENT_BYTES = 64 << 20  # blobs kept in memory, because others are about to ask for them


class ArtefactStore:
    """One peer's view of the store. `put` and `get` are for the peer's loop, `serve` for the transport's thread."""

    def __init__(self, folder: Path, holdings: Path) -> None:
        self._folder = folder
        self._holdings = holdings
        raw = holdings.read_bytes() if holdings.exists() else b""
        self._held = {raw[i : i + 32] for i in range(0, len(raw) - 31, 32)}
        self._list = holdings.open("ab")
        self._unsynced: list[Path] = []
        self._recent: dict[bytes, bytes] = {}
        self._recent_bytes = 0

    def put(self, blob: bytes) -> bytes:
        """Keep a blob; returns its id. Writing is atomic, and writing twice is nothing."""
        artefact = sha256(blob)
        if artefact in self._held:
            return artefact
        path = self._folder / artefact.hex()
        if not path.exists():
            partial = self._folder.parent / "secrets" / f".{artefact.hex()}.{os.getpid()}"
            partial.write_bytes(blob)
            partial.replace(path)
            if len(blob) <= SYNCED_BYTES:
                self._unsynced.append(path)
        self._remember(artefact, blob)
        self._held.add(artefact)
        self._list.write(artefact)
        self._list.flush()
        return artefact

    def sync(self) -> None:
        """What was put so far survives a power cut: called before this peer says that a round is closed.

        The rounds are kept by the peers alone; were all of them to lose power, nobody could prove the last ones.
        """
        for path in self._unsynced:
            with contextlib.suppress(FileNotFoundError), path.open("rb") as blob:  # pruned
                os.fsync(blob.fileno())
        if self._unsynced:
            self._unsynced.clear()
            os.fsync(self._list.fileno())
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def get(self, artefact: bytes) -> bytes | None:
        """A blob that this peer holds; None for any other."""
        if artefact not in self._held:
            return None
        recent = self._recent.get(artefact)
        if recent is not None:
            return recent
        path = self._folder / artefact.hex()
        try:
            blob = path.read_bytes()
        except FileNotFoundError:  # pruned
            return None
        if sha256(blob) == artefact:
            return blob
        self._held.discard(artefact)  # torn by a power cut: what others send again is written again
        path.unlink(missing_ok=True)
        return None

    serve = get

    def close(self) -> None:
        self._list.close()

    def _remember(self, artefact: bytes, blob: bytes) -> None:
        self._recent[artefact] = blob
        self._recent_bytes += len(blob)
        while self._recent_bytes > RECENT_BYTES and len(self._recent) > 1:
            oldest = next(iter(self._recent))
            self._recent_bytes -= len(self._recent.pop(oldest))
