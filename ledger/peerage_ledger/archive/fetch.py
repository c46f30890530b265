"""Reading a chain's past from a node that limits what it answers: ranges that shrink and grow, pauses, a few retries.

Nothing here is believed or kept: blocks are told as the node tells them, in order, and checked when they are read back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from peerage_crypto.errors import ChainError, Unreachable
from peerage_ledger.devnets import follow
from peerage_ledger.rpc import NotAnEvm, RpcError, TooBusy, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from peerage_ledger.devnets.follow import Block
    from peerage_ledger.rpc import Json, Rpc

    T = TypeVar("T")

FEWEST_SECONDS: Final = 0.25
MOST_SECONDS: Final = 30.0
PATIENCE: Final = 8  # failures in a row before we give up: about a minute


@dataclass
class Fetcher:
    """`range` is how many blocks are asked for at once: halved when the node refuses, doubled when it answers."""

    rpc: Rpc
    pause: Callable[[float], None] = time.sleep
    patience: int = PATIENCE
    range: int = follow.BATCH
    pauses: int = field(default=0, init=False)
    _known_good: bool = field(default=False, init=False)

    @classmethod
    def reach(cls, url: str, chain_id: int | None, pause: Callable[[float], None] = time.sleep) -> Fetcher:
        """A door to the node of this chain, waited for while it is busy. InputError, Unreachable."""
        failures = 0
        while True:
            try:
                return cls(connect(url, chain_id), pause)
            except TooBusy as error:
                failures += 1
                if failures > PATIENCE:
                    raise
                pause(max(error.wait, _backoff(failures)))

    def blocks(self, first: int, last: int) -> Iterator[Block]:
        """Blocks first..last with receipts; fewer when the node loses them meanwhile. ChainError, Unreachable."""
        failures = 0
        while first <= last:
            try:
                found = follow.blocks(self.rpc, first, min(last, first + self.range - 1), receipts=True)
            except (RpcError, NotAnEvm, Unreachable) as error:
                failures += 1
                self._lessen(error, failures)
                continue
            failures, self._known_good = 0, True
            if not found:
                return
            self.range = min(2 * self.range, follow.BATCH)
            yield from found
            first = found[-1].number + 1

    def call(self, method: str, *parameters: Json) -> Json:
        """One call, as patiently."""
        return self._patiently(lambda: self.rpc.call(method, *parameters))

    def height(self) -> int:
        return self._patiently(lambda: follow.height(self.rpc))

    def _patiently(self, ask: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                return ask()
            except Unreachable as error:
                failures += 1
                self._wait(error, failures)

    def _lessen(self, error: Exception, failures: int) -> None:
        """A refusal of many blocks is no refusal of few; a refusal of one is final unless it is for being busy."""
        if isinstance(error, Unreachable):
            self._wait(error, failures)
            self.range = max(1, self.range // 2)
        elif self.range > 1:
            self.range //= 2
        elif isinstance(error, NotAnEvm) and not self._known_good:
            raise error
        elif failures > self.patience:
            raise ChainError(f"{self.rpc.url} refuses even one block: {error}") from error
        else:
            self._sleep(failures)

    def _wait(self, error: Unreachable, failures: int) -> None:
        if failures > self.patience:
            raise error
        self._sleep(failures, error.wait if isinstance(error, TooBusy) else 0.0)

    def _sleep(self, failures: int, asked: float = 0.0) -> None:
        self.pauses += 1
        self.pause(max(asked, _backoff(failures)))


def _backoff(failures: int) -> float:
    return min(MOST_SECONDS, FEWEST_SECONDS * float(1 << min(failures - 1, 10)))
