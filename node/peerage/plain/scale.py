"""Tables in a federation of two: no sum would hide either peer, so the two tell each other their column statistics.

They trust each other (plain exchange), and the transport knows who speaks. Everybody adds up in the order of addresses,
in double precision: the common scale is the same to the last bit. A peer keeps it for its next life.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from peerage.learning.data_csv import Standardiser, standardiser
from peerage_crypto.errors import PeerError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class PlainScale:
    """`statistics` is (3 k,) by peer: counts, sums and sums of squares of the k numeric columns; mine is in it."""

    me: bytes
    registered: frozenset[bytes]
    statistics: dict[bytes, NDArray[np.float64]] = field(default_factory=dict)

    def frame(self) -> bytes:
        """Mine, to be sent to everybody who comes into reach."""
        return msgspec.msgpack.encode(self.statistics[self.me].tolist())

    def heard(self, sender: bytes, frame: bytes) -> None:
        """PeerError when these are no statistics of our columns, or other ones than before."""
        try:
            values = np.array(msgspec.msgpack.decode(frame, type=list[float]), np.float64)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise PeerError(sender, f"a frame that holds no statistics: {error}") from error
        mine = self.statistics[self.me]
        counts = values[: mine.size // 3]
        if values.shape != mine.shape or not np.isfinite(values).all() or (counts < 0).any():
            raise PeerError(sender, "its statistics are not those of our columns")
        if not np.array_equal(self.statistics.setdefault(sender, values), values):
            raise PeerError(sender, "its statistics changed: the first ones count")

    def agreed(self) -> Standardiser | None:
        """Mean and spread of everybody's rows, once all have spoken."""
        if not self.registered <= self.statistics.keys():
            return None
        total = np.zeros_like(self.statistics[self.me])
        for peer in sorted(self.registered):
            total += self.statistics[peer]
        return standardiser(total)
