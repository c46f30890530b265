"""The pen of `chain/chain.jsonl`: lines chained by hash, torn ends cut off, an earlier file continued."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_ledger import rawtx
from peerage_ledger.archive.lines import (
    FIRST_PREV,
    BlockLine,
    CodeLine,
    DeploymentLine,
    EndLine,
    Line,
    Log,
    ReceiptLine,
    ResumeLine,
    RewindLine,
    TransactionLine,
)

if TYPE_CHECKING:
    from pathlib import Path

    from peerage_ledger.deployment import Deployment
    from peerage_ledger.devnets.follow import Block

HASHES_KEPT: Final = 4096  # how far back a rewind is traced block by block


class ChainWriter:
    """`next` is the first block that the file lacks, `hashes` the names of the last ones that it has."""

    def __init__(self, deployment: Deployment, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._prev, self._blocks, self._transactions = FIRST_PREV, 0, 0
        self._sealed = False
        self.hashes: dict[int, str] = {}
        self.next = deployment.start_block
        self.resumed = self._recall(path)
        self._file = path.open("ab")
        if not self.resumed:
            self._write(DeploymentLine(deployment=msgspec.json.decode(deployment.to_json())))
        elif self._sealed:
            self._write(ResumeLine())

    def code(self, name: str, address: bytes, code: bytes) -> None:
        self._write(CodeLine(contract=name, address=address.hex(), code=code.hex()))

    def block(self, block: Block) -> None:
        timestamp = int(block.fields["timestamp"], 16)
        parent = block.parent[2:]
        self._write(
            BlockLine(number=block.number, hash=block.hash[2:], parent=parent, timestamp=timestamp, header=block.fields)
        )
        for raw, receipt in zip(block.raws, block.receipts, strict=True):
            name = rawtx.transaction_hash(raw).hex()
            self._write(TransactionLine(block=block.number, hash=name, raw=raw.hex()))
            self._write(_receipt(name, receipt))

    def rewind(self, above: int) -> None:
        """What was written of the blocks behind `above` is void."""
        for void in [number for number in self.hashes if number > above]:
            del self.hashes[void]
        self._write(RewindLine(above=above))

    def flush(self) -> None:
        self._file.flush()

    def seal(self) -> None:
        """The counts, on disk, and the end of the file."""
        self._write(EndLine(blocks=self._blocks, transactions=self._transactions))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def close(self) -> None:
        """Without a seal: the next one goes on here."""
        self._file.close()

    def _recall(self, path: Path) -> bool:
        """Continue a file of an earlier run: where its chain of lines stands, and which blocks it has."""
        if not path.exists() or path.stat().st_size == 0:
            return False
        raw = path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        values: list[tuple[Line, bytes]] = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                values.append((msgspec.json.decode(line, type=Line), line))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise InputError(f"{path}, line {number}: {error}; choose another --out") from None
        kept, length = _whole_blocks(values)
        if length != len(raw):
            os.truncate(path, length)  # torn by a crash
        for value, line in kept:
            self._count(value)
            self._prev = sha256(line).hex()
            self._sealed = isinstance(value, EndLine)
        return bool(kept)

    def _count(self, line: Line) -> None:
        match line:
            case BlockLine():
                self._blocks += 1
                self.hashes[line.number] = line.hash
                self.next = line.number + 1
                self.hashes.pop(line.number - HASHES_KEPT, None)
            case TransactionLine():
                self._transactions += 1
            case RewindLine():
                self.next = line.above + 1
                for void in [number for number in self.hashes if number > line.above]:
                    del self.hashes[void]
            case _:
                pass

    def _write(self, line: Line) -> None:
        raw = msgspec.json.encode(msgspec.structs.replace(line, prev=self._prev))
        self._file.write(raw + b"\n")
        self._prev = sha256(raw).hex()
        self._count(line)


def _whole_blocks(values: list[tuple[Line, bytes]]) -> tuple[list[tuple[Line, bytes]], int]:
    """The lines without a last block of which not everything was written, and their length.

    How many transactions belong to a block is told by nothing in the file, so a last block without an end or a next
    block behind it is written anew.
    """
    at = len(values)
    while at and isinstance(values[at - 1][0], TransactionLine | ReceiptLine):
        at -= 1
    if at and isinstance(values[at - 1][0], BlockLine):
        values = values[: at - 1]
    return values, sum(len(line) + 1 for _, line in values)


def _receipt(name: str, told: dict[str, Any]) -> ReceiptLine:
    logs = [
        Log(address=log["address"][2:].lower(), topics=[t[2:] for t in log["topics"]], data=log["data"][2:])
        for log in told["logs"]
    ]
    return ReceiptLine(
        transaction=name,
        status=int(told["status"], 16),
        gas_used=int(told["gasUsed"], 16),
        cumulative_gas=int(told["cumulativeGasUsed"], 16),
        created=(told.get("contractAddress") or "0x")[2:].lower(),
        logs=logs,
    )
