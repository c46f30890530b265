"""What we offer for gas: enough for two doublings of the base fee, so that an outage of minutes prices nothing out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TIP: Final = 10**9  # wei per gas: what every public client offers by default


def fees(block: Mapping[str, Any]) -> tuple[int, int]:
    """(max fee, priority fee) in wei per gas for the block after this one."""
    base = int(block.get("baseFeePerGas") or "0x0", 16)
    return 4 * base + TIP, TIP
