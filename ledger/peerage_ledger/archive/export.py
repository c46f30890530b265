"""Writes `chain/chain.jsonl` while a run is going on: everything an auditor needs of the chain once it has stopped."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, Final

import msgspec

from peerage_crypto.digest import sha256
from peerage_crypto.errors import ChainError, InputError, Unreachable
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
from peerage_ledger.devnets import follow
from peerage_ledger.rpc import NotAnEvm, Rpc, connect

if TYPE_CHECKING:
    from pathlib import Path

    from peerage_ledger.deployment import Deployment
    from peerage_ledger.devnets.follow import Block

FOLLOW_SECONDS: Final = 0.5
_HASHES_KEPT: Final = 4096  # how far back a rewind is traced block by block


class ChainExport:
    """Follows a chain into a file from its own thread. `finish` writes the rest and seals it."""

    def __init__(self, deployment: Deployment, path: Path, *, rpc_url: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._deployment, self._url = deployment, rpc_url or deployment.rpc
        self._prev, self._blocks, self._transactions = FIRST_PREV, 0, 0
        self._hashes: dict[int, str] = {}
        self._next = deployment.start_block
        resumed = self._recall(path)
        self._file = path.open("ab")
        self._rpc: Rpc | None = None
        if resumed:
            self._write(ResumeLine())
        else:
            self._write(DeploymentLine(deployment=msgspec.json.decode(deployment.to_json())))
        self._codes_written = resumed
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="chain-export", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Catch up with the chain, seal, close. Unreachable or ChainError when the last part could not be had."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._thread.join()
        try:
            self._catch_up()
        finally:
            self._write(EndLine(blocks=self._blocks, transactions=self._transactions))
            os.fsync(self._file.fileno())
            self._file.close()

    def _recall(self, path: Path) -> bool:
        """Continue a file of an earlier run: where its chain of lines stands, and which blocks it has."""
        if not path.exists() or path.stat().st_size == 0:
            return False
        raw = path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        if whole != raw:
            os.truncate(path, len(whole))  # torn by a crash
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                value: Line = msgspec.json.decode(line, type=Line)
            except msgspec.DecodeError as error:
                raise InputError(f"{path}, line {number}: {error}; choose another --out") from None
            self._count(value)
            self._prev = sha256(line).hex()
        return bool(whole)

    def _count(self, line: Line) -> None:
        match line:
            case BlockLine():
                self._blocks += 1
                self._hashes[line.number] = line.hash
                self._next = line.number + 1
                self._hashes.pop(line.number - _HASHES_KEPT, None)
            case TransactionLine():
                self._transactions += 1
            case RewindLine():
                self._next = line.above + 1
            case _:
                pass

    def _write(self, line: Line) -> None:
        raw = msgspec.json.encode(msgspec.structs.replace(line, prev=self._prev))
        self._file.write(raw + b"\n")
        self._prev = sha256(raw).hex()
        self._count(line)

    def _work(self) -> None:
        while not self._closing.wait(FOLLOW_SECONDS):
            with contextlib.suppress(Unreachable, ChainError, NotAnEvm):
                self._catch_up()

    def _catch_up(self) -> None:
        if self._rpc is None:
            self._rpc = connect(self._url, self._deployment.chain_id)
        self._write_codes(self._rpc)
        last = follow.height(self._rpc)
        self._unwind(self._rpc)
        while self._next <= last:
            found = follow.blocks(self._rpc, self._next, last, receipts=True)
            if not found:
                return
            for block in found:
                if self._hashes.get(block.number - 1, block.parent[2:]) != block.parent[2:]:
                    return  # rewound while we read: the next look unwinds
                self._write_block(block)
            self._file.flush()

    def _write_codes(self, rpc: Rpc) -> None:
        if self._codes_written:
            return
        for name, address in self._deployment.addresses().items():
            code = rpc.call("eth_getCode", "0x" + address.hex(), "latest")
            self._write(CodeLine(contract=name, address=address.hex(), code=code[2:]))
        self._codes_written = True

    def _unwind(self, rpc: Rpc) -> None:
        """Find the newest block of ours that the chain still has."""
        top = self._next - 1
        number = top
        while number in self._hashes:
            name = follow.block_hash(rpc, number)
            if name is not None and name[2:] == self._hashes[number]:
                break
            number -= 1
        if number < top:
            for void in range(number + 1, top + 1):
                self._hashes.pop(void, None)
            self._write(RewindLine(above=number))

    def _write_block(self, block: Block) -> None:
        timestamp = int(block.fields["timestamp"], 16)
        parent = block.parent[2:]
        self._write(
            BlockLine(number=block.number, hash=block.hash[2:], parent=parent, timestamp=timestamp, header=block.fields)
        )
        for raw, receipt in zip(block.raws, block.receipts, strict=True):
            name = rawtx.transaction_hash(raw).hex()
            self._write(TransactionLine(block=block.number, hash=name, raw=raw.hex()))
            self._write(_receipt(name, receipt))


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
