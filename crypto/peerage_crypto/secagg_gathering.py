"""How the masked vectors of one session come to its initiator: each from its owner, or a bucket's sum from its leader.

A leader spares the initiator the vectors of its bucket, and is needed for nothing: what its sum lacks is fetched from
the owners, and when it is lost, late, or caught with a sum that is not of the manifests that everybody knows, its
bucket is gathered without it. Part of the collector; it does no I/O either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from peerage_crypto.digest import chunks, merkle_root, sha256
from peerage_crypto.masking import total_of
from peerage_crypto.secagg_member import LEAF_BYTES
from peerage_crypto.secagg_sum import add_masked
from peerage_crypto.session import Roster, RosterRefused, gathered_root

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from peerage_crypto.statements import BucketSum, MaskedUpdate, Signed

    Words = NDArray[np.unsignedinteger]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Effect: pull this masked vector (or leader's sum) from this peer; answer with `on_vector` or `on_lost_vector`."""

    owner: bytes
    artefact: bytes
    length: int


class Gathering:
    """`vectors` and `manifests` by owner, `sums` (masked, from leaders) by bucket. `gone` grows in the collector."""

    def __init__(self, false_leaders: frozenset[bytes], gone: set[bytes]) -> None:
        self.vectors: dict[bytes, Words] = {}
        self.manifests: dict[bytes, Signed[MaskedUpdate]] = {}
        self.sums: dict[int, Words] = {}
        self._false_leaders, self._gone = false_leaders, gone  # the former's sums were wrong in an earlier session
        self._words: dict[bytes, Signed[BucketSum]] = {}  # by leader
        self._asked_of: set[bytes] = set()  # leaders whose sums are on their way
        self._given_up: set[bytes] = set()  # sums of leaders that came too late
        self._alone: set[int] = set()  # buckets that have no leader any more
        self._fetched: set[bytes] = set()  # owners of led buckets whose vectors I fetch myself

    def begin(self, roster: Roster, u2: tuple[bytes, ...]) -> None:
        """From now on vectors are ready at their owners."""
        self._roster, self._u2 = roster, u2

    def manifest(self, owner: bytes, signed: Signed[MaskedUpdate]) -> list[Fetch]:
        """A good manifest: fetch its vector, unless a leader does."""
        self.manifests[owner] = signed
        if self._is_led(self._roster.bucket_of(owner)):
            return self._ready()
        return [Fetch(owner, signed.statement.artefact, signed.statement.length)]

    def expects_word(self, leader: bytes) -> bool:
        """Whether this is a leader that has not spoken and is still needed."""
        bucket = self._bucket_led_by(leader)
        return leader not in self._words and bucket is not None and self._is_led(bucket)

    def word(self, leader: bytes, signed: Signed[BucketSum]) -> list[Fetch] | None:
        """A leader's word for its bucket; None when it is not its word for members of its bucket in this session."""
        plan, bucket = self._roster.plan, self._bucket_led_by(leader)
        right = signed.is_by(leader, plan.domain) and signed.statement.sid == plan.sid
        if not right or signed.statement.bucket != bucket or not self._members(signed):
            return None
        self._words[leader] = signed
        return self._ready()

    def vector(self, owner: bytes, blob: bytes) -> bool:
        """A whole vector, or a leader's sum; False when it is not what its owner's manifest names, in both ways."""
        plan, artefact, s = self._roster.plan, sha256(blob), self.manifests[owner].statement
        if artefact in self._given_up and artefact != s.artefact:
            return True  # a sum that came too late; not so a vector in whose name a leader signed a sum
        led = self._words.get(owner)
        if led and artefact == led.statement.artefact and len(blob) == plan.vector_bytes:
            self.sums[led.statement.bucket] = np.frombuffer(blob, plan.ring.dtype.newbyteorder("<"))
            return True
        if len(blob) != s.length or artefact != s.artefact or merkle_root(chunks(blob, LEAF_BYTES)) != s.masked_root:
            return False
        self.vectors[owner] = np.frombuffer(blob, plan.ring.dtype.newbyteorder("<"))
        return True

    def lost(self, peer: bytes) -> list[Fetch]:
        """A peer is gone; if it led a bucket, gather that one alone."""
        bucket = self._bucket_led_by(peer)
        return [] if bucket is None else self.alone(bucket)

    def late(self) -> list[Fetch]:
        """Gather every bucket alone whose leader has not handed its sum over by now."""
        waiting = [b for b in range(len(self._roster.buckets)) if self._is_led(b) and b not in self.sums]
        return [fetch for bucket in waiting for fetch in self.alone(bucket)]

    def alone(self, bucket: int) -> list[Fetch]:
        """No leader any more: fetch each vector of a bucket that nobody gathered."""
        if bucket in self._alone or bucket in self.sums:
            return []
        self._alone.add(bucket)
        self._given_up |= {s.statement.artefact for s in self._words.values() if s.statement.bucket == bucket}
        self._words = {a: s for a, s in self._words.items() if s.statement.bucket != bucket}
        return self._fetch(set(self._roster.buckets[bucket]) - self._fetched)

    def arrived(self) -> set[bytes]:
        """Whose vectors are here, by themselves or in a leader's sum."""
        return {*self.vectors, *(m for signed in self.words() for m in self._members(signed))}

    def words(self) -> tuple[Signed[BucketSum], ...]:
        """The leaders' words on whose sums this rests."""
        return tuple(s for s in self._words.values() if s.statement.bucket in self.sums)

    def masked(self, survivors: tuple[bytes, ...]) -> dict[int, Words]:
        """The masked sum of each bucket that has survivors."""
        led = {m for signed in self.words() for m in self._members(signed)}
        masked = add_masked(self._roster, {m: self.vectors[m] for m in survivors if m not in led})
        for bucket in {self._roster.bucket_of(m) for m in survivors} & self.sums.keys():
            parts = [self.sums[bucket], *([masked[bucket]] if bucket in masked else [])]
            masked[bucket] = total_of(parts, self._roster.plan.ring)
        return masked

    # -- which bucket, which leader ------------------------------------------------------------------------------------

    def _bucket_led_by(self, peer: bytes) -> int | None:
        return next((b for b in range(len(self._roster.buckets)) if self._roster.leader_of(b) == peer), None)

    def _is_led(self, bucket: int) -> bool:
        """Whether a leader is still trusted to gather this bucket."""
        leader = self._roster.leader_of(bucket)
        return leader is not None and bucket not in self._alone and leader not in self._gone | self._false_leaders

    def _members(self, signed: Signed[BucketSum]) -> tuple[bytes, ...]:
        """Whom a leader's word names: members of its bucket, all in U2; else nobody."""
        s, roster = signed.statement, self._roster
        width = (len(roster.members) + 7) // 8
        try:
            members = roster.select(s.members[:width])
        except RosterRefused:
            return ()
        inside = set(roster.buckets[s.bucket]) & set(self._u2) if s.bucket < len(roster.buckets) else set[bytes]()
        return members if set(members) <= inside and not any(s.members[width:]) else ()

    def _ready(self) -> list[Fetch]:
        """Fetch the sums of leaders all of whose members' manifests are known, and whatever those sums lack."""
        effects: list[Fetch] = []
        for leader, signed in list(self._words.items()):
            members, bucket = self._members(signed), signed.statement.bucket
            if leader not in self._asked_of and set(members) <= self.manifests.keys():
                if signed.statement.masked_root != gathered_root(self._roster, (self.manifests[m] for m in members)):
                    # One of them showed it another manifest than me, or it lies: nobody can tell which.
                    effects += self.alone(bucket)
                    continue
                self._asked_of.add(leader)
                effects.append(Fetch(leader, signed.statement.artefact, self._roster.plan.vector_bytes))
            if leader in self._asked_of:
                effects += self._fetch(set(self._roster.buckets[bucket]) - set(members) - self._fetched)
        return effects

    def _fetch(self, owners: set[bytes]) -> list[Fetch]:
        known = sorted(owners & self.manifests.keys())
        self._fetched |= set(known)
        statements = ((owner, self.manifests[owner].statement) for owner in known)
        return [Fetch(owner, s.artefact, s.length) for owner, s in statements]
