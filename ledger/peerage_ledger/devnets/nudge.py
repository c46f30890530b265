"""Anvil, mining on demand, at times leaves a transaction among the ready ones until another one comes (foundry issue
10122), and for ever where everybody waits for that very one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peerage_ledger.rpc import Rpc


class Nudge:
    """Mines what lies ready for two looks in a row; a node that was told not to mine on demand is left alone."""

    def __init__(self) -> None:
        self._left_over = False

    def look(self, rpc: Rpc) -> None:
        pool, on_demand = rpc.batch([("txpool_status", ()), ("anvil_getAutomine", ())])
        ready = bool(on_demand) and int(pool["pending"], 16) > 0
        if ready and self._left_over:
            rpc.call("evm_mine")
        self._left_over = ready
