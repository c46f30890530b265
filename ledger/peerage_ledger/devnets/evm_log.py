"""What the embedded EVM keeps on disk: every raw transaction with the block time at which it ran.

A line is on the disk (fsync) before the sender hears that the transaction is mined, so kill -9 loses none; a torn last
line is a transaction whose sender never heard back, and is cut off.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from peerage_crypto.errors import InputError, OurError
from peerage_ledger.devnets.evm import EmbeddedChain
from peerage_ledger.devnets.evm_genesis import read_genesis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Entry(msgspec.Struct, frozen=True):
    timestamp: int
    raw: str | None  # None: a block mined empty
    hash: str

    def payload(self) -> bytes | None:
        return None if self.raw is None else bytes.fromhex(self.raw)


class RawLog:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._good = 0
        self._entries = list(self._load())
        self._file = path.open("ab")
        if self._file.tell() != self._good:
            self._file.truncate(self._good)

    def _load(self) -> Iterator[Entry]:
        if not self._path.exists():
            return
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    return  # torn by a crash: nobody was told about it
                try:
                    entry = msgspec.json.decode(line, type=Entry)
                    entry.payload()
                except (msgspec.DecodeError, ValueError, RecursionError) as error:
                    raise InputError(f"{self._path}, line {number}: {error}; give another state folder") from None
                yield entry
                self._good += len(line)

    def replay(self) -> list[Entry]:
        entries, self._entries = self._entries, []
        return entries

    def append(self, timestamp: int, raw: bytes | None, block_hash: bytes) -> None:
        entry = Entry(timestamp, None if raw is None else raw.hex(), block_hash.hex())
        self._file.write(msgspec.json.encode(entry) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def open_chain(state: Path, chain_id: int) -> tuple[EmbeddedChain, RawLog]:
    """The chain that `state` describes: its genesis, then its transactions again, each at its recorded time."""
    genesis = read_genesis(state, chain_id)
    chain = EmbeddedChain(genesis.chain_id, genesis.timestamp, genesis.balances())
    log = RawLog(state / "transactions.jsonl")
    for entry in log.replay():
        mined = chain.mine(entry.payload(), entry.timestamp)
        if mined.header.hash.hex() != entry.hash:
            raise OurError(f"{state}: replay gives block {mined.number} another hash than it had when it was mined")
    return chain, log
