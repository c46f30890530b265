"""The life of my own version: free -> locked(session) -> spent, or free again.

A version goes into at most one sum, ever: it is locked on disk before anything leaves this peer, and only three things
free it: the session ended before its masked vector left; a certificate left this peer out (then nobody gives its self
seed); or enough peers signed that they never voted and never will. Otherwise it is spent, and the next fine-tune is
the next version. Training progress always stays in the local model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from peerage.rounds.aggregation import Metrics, carry_over
from peerage.rounds.sampling import put

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]


class Status(Enum):
    """What may be done with the version."""

    TRAINING = "training"  # no version yet on this base: fine-tuning runs
    FREE = "free"
    LOCKED = "locked"
    SPENT = "spent"


@dataclass(frozen=True, slots=True)
class OwnVersion:
    """My model, the base its work counts from, and what became of its current version.

    `sent` is the local model as it went under the masks of session `sent_sid`: an aggregate that contains it takes
    exactly that work off, whatever was trained since.
    """

    number: int
    status: Status
    sid: bytes
    local: Vector
    base: Vector
    own: Metrics
    sent: Vector | None = None
    sent_sid: bytes = b""
    usual: Vector | None = None  # how my updates move a model without SCAFFOLD's correction; None: not known yet

    def trained(self, local: Vector, own: Metrics) -> OwnVersion:
        """A fine-tune is done: version + 1, free."""
        return replace(self, number=self.number + 1, status=Status.FREE, sid=b"", local=local, own=own)

    def locked(self, sid: bytes) -> OwnVersion:
        return replace(self, status=Status.LOCKED, sid=sid, sent=self.local, sent_sid=sid)

    def released(self) -> OwnVersion:
        return replace(self, status=Status.FREE, sid=b"")

    def dropped(self) -> OwnVersion:
        """The work in it was refused by the others: training starts again from the base."""
        return replace(self, status=Status.TRAINING, sid=b"", local=self.base)

    def spent(self) -> OwnVersion:
        return replace(self, status=Status.SPENT)

    def contained(self, kept: NDArray[np.int64] | None) -> Vector:
        """The model with no more of my work than an aggregate has that contains what I sent: of that work only what
        its round exchanged (`kept`; None: all). What it has not exchanged goes with a later one.
        """
        return put(self.base, self.local if self.sent is None else self.sent, kept)

    def adopted(self, base: Vector, *, consumed: bool, kept: NDArray[np.int64] | None = None) -> OwnVersion:
        """Stand on a new base: what the aggregate contains of my work is dropped, the rest moves along.

        A version that is still free stays free (a slow peer is never refused); any other is trained anew.
        """
        local = carry_over(self.local, self.contained(kept) if consumed else self.base, base)
        merged = consumed and (self.sent is None or self.sent is self.local)
        if self.status is Status.FREE and not merged:
            return replace(self, local=local, base=base, sid=b"")
        return replace(self, local=local, base=base, status=Status.TRAINING, sid=b"")
