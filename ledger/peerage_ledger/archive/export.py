"""Writes `chain/chain.jsonl` while a run is going on, or all of it afterwards: what an auditor needs of the chain."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Final

from peerage_crypto.errors import ChainError, Unreachable
from peerage_ledger.archive.fetch import Fetcher
from peerage_ledger.archive.writer import ChainWriter
from peerage_ledger.devnets import follow
from peerage_ledger.rpc import NONSENSE, NotAnEvm, connect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from peerage_ledger.deployment import Deployment

    Told = Callable[[int, int], None]  # blocks read so far, of how many

FOLLOW_SECONDS: Final = 0.5


class ChainExport:
    """Follows a chain into a file from its own thread. `finish` writes the rest and seals it."""

    def __init__(self, deployment: Deployment, path: Path, *, rpc_url: str = "") -> None:
        self._deployment, self._url = deployment, rpc_url or deployment.rpc
        self._writer = ChainWriter(deployment, path)
        self._codes_written = self._writer.resumed
        self._fetcher: Fetcher | None = None
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
        except NONSENSE as error:
            raise ChainError(f"{self._url} gave an answer that makes no sense: {error!r}") from error
        finally:
            self._writer.seal()

    def _work(self) -> None:
        while not self._closing.wait(FOLLOW_SECONDS):
            with contextlib.suppress(Unreachable, ChainError, NotAnEvm, *NONSENSE):
                self._catch_up()

    def _catch_up(self) -> None:
        if self._fetcher is None:
            rpc = connect(self._url, self._deployment.chain_id)
            self._fetcher = Fetcher(rpc, self._pause, patience=0)  # the next look is our patience
        self._codes_written = self._codes_written or _write_codes(self._fetcher, self._writer, self._deployment)
        _follow(self._fetcher, self._writer)

    def _pause(self, seconds: float) -> None:
        self._closing.wait(seconds)


def export_all(
    deployment: Deployment, path: Path, rpc_url: str, *, pause: Callable[[float], None] = time.sleep, told: Told
) -> None:
    """The whole history from a node, written and sealed; goes on where an earlier, interrupted call stopped.

    `told` hears of each piece. ChainError and Unreachable leave what was read for the next call.
    """
    fetcher = Fetcher.reach(rpc_url, deployment.chain_id, pause)
    writer = ChainWriter(deployment, path)
    try:
        if not writer.resumed:
            _write_codes(fetcher, writer, deployment)
        _follow(fetcher, writer, told)
        writer.seal()
    except NONSENSE as error:
        raise ChainError(f"{rpc_url} gave an answer that makes no sense: {error!r}") from error
    finally:
        writer.close()


def _write_codes(fetcher: Fetcher, writer: ChainWriter, deployment: Deployment) -> bool:
    for name, address in deployment.addresses().items():
        code = fetcher.call("eth_getCode", "0x" + address.hex(), "latest")
        writer.code(name, address, bytes.fromhex(code[2:]))
    return True


def _follow(fetcher: Fetcher, writer: ChainWriter, told: Told = lambda _done, _all: None) -> None:
    last = fetcher.height()
    _unwind(fetcher, writer)
    first = writer.next
    for block in fetcher.blocks(first, last):
        if writer.hashes.get(block.number - 1, block.parent[2:]) != block.parent[2:]:
            return  # rewound while we read: the next look unwinds
        writer.block(block)
        writer.flush()
        told(block.number + 1 - first, last + 1 - first)


def _unwind(fetcher: Fetcher, writer: ChainWriter) -> None:
    """Find the newest block of ours that the chain still has."""
    top = writer.next - 1
    number = top
    while number in writer.hashes:
        name = follow.block_hash(fetcher.rpc, number)
        if name is not None and name[2:] == writer.hashes[number]:
            break
        number -= 1
    if number < top:
        writer.rewind(number)
