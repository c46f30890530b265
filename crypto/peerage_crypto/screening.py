"""What a screening rests on, checked the same way by the initiator, the members and the auditor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from peerage_crypto.buckets import live, void_members
from peerage_crypto.digest import tagged
from peerage_crypto.identity import BadSignature
from peerage_crypto.secagg_member import pair_key, self_key
from peerage_crypto.sketch_terms import late_commitment
from peerage_crypto.sketches import Directions, Stated, numbers_digest, project, screen, sketch_seed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from peerage_crypto.session import Roster
    from peerage_crypto.sketch_messages import Sketched
    from peerage_crypto.sketch_terms import Sketching
    from peerage_crypto.sketches import Numbers, Verdict
    from peerage_crypto.statements import MaskedUpdate, Signed


@dataclass(frozen=True)
class Screen:
    """One session after its first certificate: `survivors` is the digest that it certifies, `manifests` are U3's."""

    roster: Roster
    terms: Sketching
    u2: tuple[bytes, ...]
    u2_digest: bytes
    u3: tuple[bytes, ...]
    survivors: bytes
    manifests: Mapping[bytes, Signed[MaskedUpdate]]

    def is_late(self, owner: bytes, late: bytes) -> bool:
        """Whether this stands behind the randomness of the owner's manifest."""
        return late_commitment(late) == self.manifests[owner].statement.rand

    def partners(self, member: bytes) -> tuple[bytes, ...]:
        """With whom a member of U3 shared the masks under which its vector lies: U2, the dropped included."""
        return tuple(m for m in self.roster.partners(member) if m in self.u2)

    def directions(self, lates: Sequence[bytes]) -> Directions:
        return Directions(sketch_seed(self.survivors, lates), self.terms, self.roster.plan.length)

    def stated(self, message: Sketched) -> tuple[bytes, Stated] | None:
        """Who signed these numbers for this session; None for anything that is no sketch of a certified survivor."""
        plan, s = self.roster.plan, message.signed.statement
        try:
            signer = message.signed.signer(plan.domain)
        except BadSignature:
            return None
        if signer not in self.u3 or s.sid != plan.sid or s.survivors != self.survivors:
            return None
        if s.values != numbers_digest(message.numbers):
            return None
        numbers = Stated.from_bytes(message.numbers, self.partners(signer), self.terms.count, plan.ring)
        return None if numbers is None else (signer, numbers)

    def verdict(self, words: Mapping[bytes, Stated], false: frozenset[bytes]) -> Verdict:
        return screen(self.terms, self.roster.plan.ring, self.u3, words, false, self.roster.limits.colluders)

    def passing(self, verdict: Verdict) -> tuple[bytes, ...]:
        """U4: who passed, less those whose bucket has lost too many by it."""
        left = tuple(m for m in self.u3 if m not in verdict.failed)
        void = void_members(self.roster.buckets, left)
        return tuple(m for m in left if m not in void)

    def too_few(self, u4: tuple[bytes, ...]) -> str:
        """Why a session cannot go on with these; empty when it can."""
        least = len(self.roster.members) - self.roster.limits.losses
        if len(u4) < least:
            return f"{len(u4)} of {len(self.roster.members)} members passed the screening where {least} are needed"
        if live(self.roster.buckets, u4) < self.roster.plan.grouping.least:
            return "too few buckets kept enough members that passed the screening"
        return ""

    def digest(self, u4: bytes, false: bytes, sketches: Sequence[Sketched]) -> bytes:
        """What the second vote certifies: who passed, and on which words."""
        domain = self.roster.plan.domain
        return tagged(
            "peerage/u4/v1", self.survivors, u4, false, *(s.signed.statement.digest(domain) for s in sketches)
        )

    def false_among(
        self,
        vectors: Mapping[bytes, NDArray[np.unsignedinteger]],
        words: Mapping[bytes, Stated],
        directions: Directions,
    ) -> frozenset[bytes]:
        """Whose stated < y_i , u > is not that of its masked vector, of those whose vectors are here."""
        owners = [m for m in self.u3 if m in vectors and m in words]
        true = project([], [vectors[m] for m in owners], directions, self.roster.plan.ring)
        return frozenset(m for m, numbers in zip(owners, true, strict=True) if numbers != words[m].vector)


def judge_words(
    case: Screen,
    words: Mapping[bytes, Stated],
    directions: Directions,
    seeds: Mapping[bytes, bytes],
    secrets: Mapping[bytes, bytes],
) -> dict[bytes, str]:
    """Lies about masks that were revealed since, by liar: its own mask (`seeds`), those of the dropped (`secrets`).

    Only a liar can be named here: what was revealed opens its owner's commitment.
    """
    roster, bits = case.roster, case.roster.plan.ring.bits
    claims: list[tuple[bytes, Numbers, bytes, str]] = []  # who, what it said, the key of the mask, of what it spoke
    for peer, seed in seeds.items():
        if peer in words:
            key = self_key(seed, case.u2_digest, peer, bits)
            claims.append((peer, words[peer].own, key, "sketch-self"))
    for gone, secret in secrets.items():
        for peer in (m for m in words if gone in words[m].pairs and m != gone):
            key = pair_key(secret, roster.join_of(peer).mask_key, case.u2_digest, gone, peer, bits)
            claims.append((peer, words[peer].pairs[gone], key, "sketch-pair"))
    true = project([key for _, _, key, _ in claims], [], directions, roster.plan.ring)
    return {who: code for (who, said, _, code), numbers in zip(claims, true, strict=True) if said != numbers}
