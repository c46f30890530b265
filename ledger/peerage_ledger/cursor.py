"""How far we have read the chain, on disk: the logs of our contracts by ranges of blocks, and the blocks they end in.

A restarted peer tells itself the old events from this file and asks the node only for what is new. After a reorg the
ranges that end on a lost block are cut off and read again. It is a cache of public data: what is torn or belongs to
another deployment is thrown away, never an error, and nothing is fsynced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from peerage_ledger.deployment import Deployment

SCHEMA = 1


class Log(msgspec.Struct, frozen=True, array_like=True):
    """One event as the node told it, without what changes from node to node; hex without 0x."""

    address: str
    topics: tuple[str, ...]
    data: str
    transaction: str

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Log:
        topics = tuple(str(topic)[2:] for topic in told["topics"])
        return cls(str(told["address"])[2:].lower(), topics, str(told["data"])[2:], str(told["transactionHash"])[2:])


class Span(msgspec.Struct, frozen=True, tag="span"):
    """All our logs of the blocks `first` to `last`; `hash` is the name of block `last`."""

    first: Annotated[int, msgspec.Meta(ge=0)]
    last: Annotated[int, msgspec.Meta(ge=0)]
    hash: str
    logs: tuple[Log, ...] = ()


class _Header(msgspec.Struct, frozen=True, tag="header"):
    schema: int
    chain_id: int
    ledger: str
    start_block: int


class CursorFile:
    """JSON lines, spans without gaps from the deployment's first block on."""

    def __init__(self, path: Path, deployment: Deployment) -> None:
        self._path = path
        self._header = _Header(SCHEMA, deployment.chain_id, deployment.ledger.hex(), deployment.start_block)
        self.spans: list[Span] = []
        self._ends: list[int] = []  # of each span in the file, in bytes
        self._load()

    @property
    def seen(self) -> tuple[int, str]:
        """The last block whose logs are here, and its hash; the one before the deployment, without a hash, at first."""
        if not self.spans:
            return self._header.start_block - 1, ""
        return self.spans[-1].last, self.spans[-1].hash

    def append(self, span: Span) -> None:
        if span.first != self.seen[0] + 1 or span.last < span.first:
            raise ValueError(f"blocks {span.first} to {span.last} do not follow block {self.seen[0]}")
        line = msgspec.json.encode(span) + b"\n"
        with self._path.open("ab") as file:
            file.write(line)
        self.spans.append(span)
        self._ends.append((self._ends[-1] if self._ends else self._start) + len(line))

    def cut(self, number: int) -> None:
        """Forget every span that ends after this block."""
        keep = sum(span.last <= number for span in self.spans)
        del self.spans[keep:], self._ends[keep:]
        with self._path.open("ab") as file:
            file.truncate(self._ends[-1] if self._ends else self._start)

    def _load(self) -> None:
        lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
        header = msgspec.json.encode(self._header) + b"\n"
        self._start = len(header)
        if not lines or lines[0] != header:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_bytes(header)
            return
        at = self._start
        for line in lines[1:]:
            try:
                span = msgspec.json.decode(line, type=Span)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                break
            if not line.endswith(b"\n") or span.first != self.seen[0] + 1 or span.last < span.first:
                break
            at += len(line)
            self.spans.append(span)
            self._ends.append(at)
        with self._path.open("ab") as file:
            file.truncate(at)
