"""The devnet supervisor's journal: every raw transaction that a block held, on disk before we look at the next block.

An engine that was killed may come back without its last second (Anvil writes its state once a second). What is missing
then is sent again in the order in which it first happened; the nonce makes that exactly once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec

from peerage_crypto.errors import InputError
from peerage_ledger import rawtx
from peerage_ledger.devnets import follow
from peerage_ledger.rpc import RpcError

if TYPE_CHECKING:
    from pathlib import Path

    from peerage_ledger.rpc import Rpc

SCHEMA: Final = 1


class Line(msgspec.Struct, frozen=True):
    schema: int
    block: int
    raw: str


class TransactionJournal:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._raws: dict[bytes, bytes] = {}  # transaction hash -> raw, in the order of the chain
        good = 0
        if path.exists():
            for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
                if not line.endswith(b"\n"):
                    break  # torn by a crash
                try:
                    raw = bytes.fromhex(msgspec.json.decode(line, type=Line).raw)
                except (msgspec.DecodeError, ValueError, RecursionError) as error:
                    raise InputError(f"{path}, line {number}: {error}; give another state folder") from None
                self._raws[rawtx.transaction_hash(raw)] = raw
                good += len(line)
        self._file = path.open("ab")
        self._file.truncate(good)
        self._next = 0

    def __len__(self) -> int:
        return len(self._raws)

    def follow(self, rpc: Rpc) -> None:
        """Journal every block that is new since the last look."""
        last = follow.height(rpc)
        self._next = min(self._next, last + 1)
        while self._next <= last:
            found = follow.blocks(rpc, self._next, last, receipts=False)
            if not found:
                return
            for block in found:
                for raw in block.raws:
                    self._keep(block.number, raw)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._next = found[-1].number + 1

    def _keep(self, number: int, raw: bytes) -> None:
        name = rawtx.transaction_hash(raw)
        if name not in self._raws:
            self._raws[name] = raw
            self._file.write(msgspec.json.encode(Line(SCHEMA, number, raw.hex())) + b"\n")

    def replay(self, rpc: Rpc) -> int:
        """Send again what the chain no longer has; the number of those. Peers may be doing the same: also right."""
        missing: list[bytes] = []
        names = list(self._raws)
        for at in range(0, len(names), 200):
            part = names[at : at + 200]
            told = rpc.batch([("eth_getTransactionReceipt", ("0x" + name.hex(),)) for name in part])
            missing += [name for name, receipt in zip(part, told, strict=True) if receipt is None]
        for name in missing:
            try:
                rpc.call("eth_sendRawTransaction", "0x" + self._raws[name].hex())
            except RpcError:
                continue  # a peer was faster, or its turn comes when the peer fills the gap before it
        self._next = 0
        return len(missing)

    def close(self) -> None:
        self._file.close()
