"""A peer's own privacy meter while it runs: each closed round, and what its journal says of sessions left open."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from peerage.privacy.meter import Ground, Meter, PeerMeter, RoundSeen, perhaps_revealed
from peerage.privacy.noise import noise_of
from peerage_crypto.thresholds import colluders

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from peerage.config import Federation

SPOKEN_OF = ("signed", "adopted", "released")  # kinds of lines that say what became of a session

Entry = tuple[str, str, str]


class OwnMeter:
    """`journal` is this peer's own file; only what was appended since the last round is read."""

    def __init__(self, federation: Federation, me: str, journal: Path) -> None:
        self._federation, self._me, self._journal = federation, me, journal
        self._meter: Meter | None = None
        self._entries: list[Entry] = []
        self._closed: set[str] = set()
        self._read = 0

    def take(self, closed: RoundSeen, parameters: int) -> PeerMeter:
        """My meter after this round."""
        if self._meter is None:
            self._meter = Meter(ground_of(self._federation, parameters))
        self._meter.add(closed)
        self._closed.add(closed.sid)
        self._entries += self._news()
        self._entries = [entry for entry in self._entries if entry[2] not in self._closed]
        return self._meter.of(self._me, len(perhaps_revealed(self._entries)))

    def _news(self) -> list[Entry]:
        if not self._journal.exists():
            return []
        with self._journal.open("rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
        self._read += len(whole) + 1 if whole else 0
        lines: list[Mapping[str, Any]] = [json.loads(line) for line in whole.split(b"\n") if line]
        return entries_of((str(line["kind"]), line) for line in lines)


def entries_of(lines: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Entry]:
    """What `perhaps_revealed` reads, from (kind, fields) of a journal's lines."""
    return [
        (kind, str(fields.get("type", "")), str(fields.get("sid", ""))) for kind, fields in lines if kind in SPOKEN_OF
    ]


def ground_of(federation: Federation, parameters: int) -> Ground:
    """The meter's ground for a model of so many parameters."""
    noise = noise_of(federation, parameters)
    return Ground(colluders(federation.peers), noise, parameters, federation.privacy.delta)
