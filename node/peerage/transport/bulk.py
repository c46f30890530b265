"""Pulling and serving artefacts, without sockets: who asks for which chunk when, and what to make of each answer.

The receiver pulls. It asks each owner for at most ``credits`` chunks at a time, so nobody can push more than that at
it, and it believes nothing but the SHA-256 of the whole. Chunks of one owner come in order (one TCP connection), so a
gap is a lost answer and is asked for again. Time is an argument.
"""

import hashlib
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from peerage.transport.frames import Answer, BadFrame, ChunkHeader, ChunkRequest, decode_answer
from peerage.transport.interface import CHUNK, Event, Fetched, FetchFailed, PeerFault, Serve

_UNASKED_MOST = 64  # answers to requests that we gave up on are normal after a pause; a stream of them is not
_CACHED = 4  # blobs: the newest aggregate is pulled by everyone at the same time


class _Digest(Protocol):
    """What hashlib's objects do."""

    def update(self, data: bytes | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...


@dataclass(slots=True)
class _Download:
    artefact: bytes
    limit: int
    total: int | None = None
    asked: int = 0
    here: int = 0
    chunks: list[bytes | memoryview] = field(default_factory=list[bytes | memoryview])
    digest: _Digest = field(default_factory=hashlib.sha256)

    def next_offset(self) -> int | None:
        """Until the first answer tells the size we guess that it is the limit: then the first chunks need no round
        trip.
        """
        end = self.limit if self.total is None else self.total
        return self.asked if self.asked == 0 or self.asked < end else None


@dataclass(slots=True)
class _Owner:
    downloads: OrderedDict[bytes, _Download] = field(default_factory=OrderedDict[bytes, _Download])
    under_way: int = 0
    unasked: int = 0
    progress: float = 0.0
    resent: float = 0.0


class Downloads:
    """Everything we are pulling, by owner. Each method returns what the caller is to send or to tell."""

    def __init__(self, credits_each: int, resend: float, stall: float) -> None:
        self._credits, self._resend, self._stall = credits_each, resend, stall
        self._owners: dict[bytes, _Owner] = {}

    def add(self, owner: bytes, artefact: bytes, limit: int, now: float) -> None:
        state = self._owners.setdefault(owner, _Owner())
        if not state.downloads:
            state.progress = state.resent = now
        if artefact not in state.downloads:
            state.downloads[artefact] = _Download(artefact, limit)

    def requests(self, owner: bytes, most: int = 1 << 30) -> list[ChunkRequest]:
        """As many requests as the owner's free credits allow, and no more than ``most``; oldest artefact first."""
        out: list[ChunkRequest] = []
        state = self._owners.get(owner)
        if state is None:
            return out
        for download in state.downloads.values():
            while (
                state.under_way < self._credits and len(out) < most and (offset := download.next_offset()) is not None
            ):
                out.append(ChunkRequest(1, download.artefact, offset))
                download.asked = offset + CHUNK
                state.under_way += 1
        return out

    def restart(self, owner: bytes, now: float) -> None:
        """The connection is new: what was asked and is not here must be asked again; what is here stays."""
        state = self._owners.get(owner)
        if state is not None:
            state.under_way, state.resent = 0, now
            for download in state.downloads.values():
                download.asked = download.here

    def answer(self, owner: bytes, frames: Sequence[bytes | memoryview], now: float) -> list[Event]:
        """One message from the owner's bulk door."""
        state = self._owners.setdefault(owner, _Owner())
        if state.under_way == 0:
            state.unasked += 1
            flood = state.unasked % _UNASKED_MOST == 0
            return [PeerFault(owner, "keeps sending chunks that nobody asked for")] if flood else []
        state.under_way -= 1
        try:
            header, chunk = decode_answer(frames)
        except BadFrame as error:
            return [PeerFault(owner, f"sent {error}")]
        download = state.downloads.get(header.artefact)
        return [] if download is None else self._advance(owner, download, header, chunk, now)

    def _advance(
        self, owner: bytes, download: _Download, header: ChunkHeader, chunk: bytes | memoryview, now: float
    ) -> list[Event]:
        state = self._owners[owner]
        before = len(download.chunks)
        fault = _take(download, header, chunk)
        if fault is None and header.answer is Answer.MISSING:
            del state.downloads[download.artefact]
            return [FetchFailed(owner, download.artefact, "it does not have this artefact")]
        if fault is None and len(download.chunks) == before:
            return []  # not the next chunk: no progress, or an owner could keep us waiting for ever with empty answers
        state.progress = state.resent = now
        if fault is None and download.total is not None and download.here < download.total:
            return []
        if fault is None and download.digest.digest() == download.artefact:
            del state.downloads[download.artefact]
            return [Fetched(owner, download.artefact, b"".join(download.chunks))]
        sentence = fault or "sent bytes that do not hash to the artefact's name"
        del state.downloads[download.artefact]
        return [PeerFault(owner, sentence), FetchFailed(owner, download.artefact, f"it {sentence}")]

    def abandon(self, owner: bytes, reason: str) -> list[Event]:
        """Fails whatever is still wanted of this owner."""
        state = self._owners.pop(owner, None)
        return [] if state is None else [FetchFailed(owner, artefact, reason) for artefact in state.downloads]

    def due(self, now: float) -> tuple[list[Event], list[bytes]]:
        """What has stalled, as events; and the owners whose missing chunks are to be asked for again."""
        events: list[Event] = []
        again: list[bytes] = []
        for owner, state in list(self._owners.items()):
            if not state.downloads:
                continue
            if now >= state.progress + self._stall:
                events += self.abandon(owner, f"it sent nothing for {self._stall:g} s")
            elif now >= state.resent + self._resend:
                self.restart(owner, now)
                again.append(owner)
        return events, again

    def deadline(self) -> float | None:
        """When ``due`` is next worth calling."""
        ends = [
            min(state.progress + self._stall, state.resent + self._resend)
            for state in self._owners.values()
            if state.downloads
        ]
        return min(ends, default=None)

    def owners(self) -> list[bytes]:
        """Of whom something is wanted."""
        return [owner for owner, state in self._owners.items() if state.downloads]

    def under_way(self, owner: bytes) -> int:
        """Chunks asked of this owner and not here yet."""
        state = self._owners.get(owner)
        return 0 if state is None else state.under_way


def _take(download: _Download, header: ChunkHeader, chunk: bytes | memoryview) -> str | None:
    """Adds the chunk if it is the next one; a sentence if no honest owner could have sent this."""
    if header.answer is not Answer.CHUNK:
        return None if len(chunk) == 0 else "sent a chunk with the answer that there is none"
    if header.total > download.limit:
        return f"offers an artefact of {header.total} bytes where at most {download.limit} are expected"
    if download.total not in (None, header.total):
        return f"says that an artefact has {download.total} bytes, and then {header.total}"
    if len(chunk) != min(CHUNK, header.total - header.offset):
        return f"sent a chunk of {len(chunk)} bytes at offset {header.offset} of {header.total}"
    if header.offset == download.here and (chunk or not download.chunks):
        download.total = header.total
        download.chunks.append(chunk)
        download.digest.update(chunk)
        download.here += len(chunk)
    return None


class Uploads:
    """What we serve: looks an artefact up once and cuts all its chunks from the same memory, without copying."""

    def __init__(self) -> None:
        self.lookup: Serve = _nothing
        self._recent: deque[tuple[bytes, memoryview]] = deque(maxlen=_CACHED)

    def answer(self, request: ChunkRequest) -> tuple[ChunkHeader, memoryview]:
        blob = self.find(request.artefact)
        if blob is None:
            return ChunkHeader(1, request.artefact, request.offset, 0, Answer.MISSING), memoryview(b"")
        total = len(blob)
        if request.offset > 0 and request.offset >= total:
            return ChunkHeader(1, request.artefact, request.offset, total, Answer.PAST_END), memoryview(b"")
        header = ChunkHeader(1, request.artefact, request.offset, total, Answer.CHUNK)
        return header, blob[request.offset : request.offset + CHUNK]

    def find(self, artefact: bytes) -> memoryview | None:
        for name, blob in self._recent:
            if name == artefact:
                return blob
        try:
            found = self.lookup(artefact)
        except OSError:
            return None  # a store that cannot be read has nothing to serve; its owner finds out by itself
        if found is None:
            return None
        blob = memoryview(found).cast("B")
        self._recent.append((artefact, blob))
        return blob


def _nothing(_artefact: bytes) -> None:
    return None
