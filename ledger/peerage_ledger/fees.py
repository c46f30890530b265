"""What we offer for gas: enough for two doublings of the base fee, so that an outage of minutes prices nothing out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

GWEI: Final = 10**9  # wei
TIP: Final = GWEI  # wei per gas: what every public client offers by default
MOST_FEE: Final = 500 * GWEI  # wei per gas: above it we wait for better times, unless told otherwise


class TooDear(Exception):
    """The chain asks more for gas than we are willing to pay."""


def fees(block: Mapping[str, Any], most: int = 0) -> tuple[int, int]:
    """(max fee, priority fee) in wei per gas for the block after this one; never above `most` (0: no limit)."""
    base = int(block.get("baseFeePerGas") or "0x0", 16)
    if most and base + TIP > most:
        raise TooDear(f"gas costs {base / GWEI:.1f} gwei now, more than the {most / GWEI:.1f} gwei that were allowed")
    wanted = 4 * base + TIP
    return (min(wanted, most) if most else wanted), TIP


def outbid(old_fee: int, old_tip: int, block: Mapping[str, Any], most: int = 0) -> tuple[int, int] | None:
    """Fees that replace a waiting transaction, if its own no longer pay for the block after this one; else None.

    Nodes want an eighth more for the same nonce (geth's price bump is 10 %, others 12.5 %), of both fees.
    """
    base = int(block.get("baseFeePerGas") or "0x0", 16)
    if old_fee >= base + min(old_tip, TIP):
        return None
    fee, tip = fees(block, most)
    tip = max(tip, old_tip + old_tip // 8 + 1)
    fee = max(fee, old_fee + old_fee // 8 + 1)
    return None if most and fee > most else (max(fee, tip), tip)
