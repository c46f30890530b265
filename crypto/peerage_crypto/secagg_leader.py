"""A region's leader: it gathers the masked vectors of its bucket and hands the initiator one sum instead of many.

It learns what any peer may fetch, masked vectors, and is believed in nothing: its sum is signed and named by its hash,
a survivor that it leaves out is fetched by the initiator itself, and whoever adds the vectors up again sees a wrong sum
and whose it was. When it is lost or slow, the initiator gathers that bucket alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from peerage_crypto.digest import chunks, merkle_root, sha256
from peerage_crypto.masking import total_of
from peerage_crypto.secagg_collector import Blame
from peerage_crypto.secagg_gathering import Fetch
from peerage_crypto.secagg_member import LEAF_BYTES, Keep, Sign, Tell
from peerage_crypto.secagg_sum import ring_bytes
from peerage_crypto.session import MANIFEST_FAULTS, Gathered, Roster, gathered_root, manifest_fault
from peerage_crypto.statements import BucketSum, MaskedUpdate, Signed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from peerage_crypto.secagg_member import SignWith

Effect = Fetch | Blame | Sign | Keep | Tell


class Leader:
    """State of one bucket's leader in one session; it speaks once."""

    def __init__(self, roster: Roster, u2: tuple[bytes, ...], me: bytes, sign: SignWith) -> None:
        self.roster, self.me, self._sign = roster, me, sign
        self.bucket = roster.bucket_of(me)
        self.vectors: dict[bytes, NDArray[np.unsignedinteger]] = {}
        self._u2_digest = roster.u2_digest(roster.bitmap(frozenset(u2)))
        self._expected = {m for m in roster.buckets[self.bucket] if m in u2}
        self._manifests: dict[bytes, Signed[MaskedUpdate]] = {}
        self._said: Gathered | None = None

    def on_manifest(self, sender: bytes, signed: Signed[MaskedUpdate]) -> list[Effect]:
        """A vector of my bucket is ready: fetch it."""
        if sender not in self._expected or sender in self._manifests or self._said:
            return []
        fault = manifest_fault(self.roster, self._u2_digest, sender, signed)
        if fault:
            self._expected.discard(sender)
            # Another U2 than mine is what a dishonest initiator shows; whose fault it is, only an honest one can know.
            other_view = signed.statement.u2 != self._u2_digest
            return [*([] if other_view else [Blame(sender, MANIFEST_FAULTS[fault])]), *self._advance()]
        self._manifests[sender] = signed
        return [Fetch(sender, signed.statement.artefact, signed.statement.length)]

    def on_vector(self, owner: bytes, blob: bytes) -> list[Effect]:
        """A whole masked vector of my bucket."""
        if owner not in self._manifests or self._said:
            return []
        s = self._manifests[owner].statement
        if sha256(blob) != s.artefact or merkle_root(chunks(blob, LEAF_BYTES)) != s.masked_root:
            self._expected.discard(owner)
            return [Blame(owner, "its masked vector is not the one of its manifest"), *self._advance()]
        self.vectors[owner] = np.frombuffer(blob, self.roster.plan.ring.dtype.newbyteorder("<"))
        return self._advance()

    def on_down(self, peer: bytes) -> list[Effect]:
        """A peer is gone, or its vector cannot be had."""
        self._expected.discard(peer)
        return self._advance()

    def on_deadline(self) -> list[Effect]:
        """Hand over what is here; the initiator fetches the rest itself."""
        self._expected &= self.vectors.keys()
        return self._advance()

    def _advance(self) -> list[Effect]:
        if self._said or not self._expected or not self._expected <= self.vectors.keys():
            return []
        members = [m for m in self.roster.buckets[self.bucket] if m in self.vectors]
        total = total_of([self.vectors[member] for member in members], self.roster.plan.ring)
        blob, plan = ring_bytes(total), self.roster.plan
        statement = BucketSum(
            sid=plan.sid,
            bucket=self.bucket,
            members=self.roster.bitmap(frozenset(members)).ljust(32, b"\0"),
            masked_root=gathered_root(self.roster, (self._manifests[m] for m in members)),
            artefact=sha256(blob),
        )
        self._said = Gathered(plan.sid, Signed(statement, self._sign(statement.digest(plan.domain))))
        return [Sign(statement), Keep(blob), Tell(plan.initiator, self._said)]
