"""From masked vectors to their plain sums: the same words for the initiator, the members and the auditor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from peerage_crypto.masking import add, apply_masks
from peerage_crypto.secagg_member import pair_key, self_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from peerage_crypto.session import Roster

    Words = NDArray[np.unsignedinteger]


def add_masked(roster: Roster, vectors: Mapping[bytes, Words]) -> dict[int, Words]:
    """The masked vectors of each bucket added up, by bucket."""
    sums: dict[int, Words] = {}
    for member, vector in vectors.items():
        bucket = roster.bucket_of(member)
        if bucket not in sums:
            sums[bucket] = np.zeros(roster.plan.length, roster.plan.ring.dtype)
        add(sums[bucket], vector, roster.plan.ring)
    return sums


def unmask(
    roster: Roster,
    u2: tuple[bytes, ...],
    u2_bitmap: bytes,
    u3: tuple[bytes, ...],
    masked: Mapping[int, Words],
    self_seeds: tuple[bytes, ...],
    mask_secrets: tuple[bytes, ...],
) -> Words:
    """The plain sums of the survivors' vectors, one for each bucket with survivors, one after the other.

    `masked` are the sums of the survivors' masked vectors: off come self masks and the masks shared with the dropped;
    pair masks between survivors cancel by themselves. `self_seeds` are those of U3, `mask_secrets` those of the rest
    of U2, in roster order. Used by the initiator and, word for word, by the auditor.
    """
    keys = keys_left(roster, u2, u2_bitmap, u3, self_seeds, mask_secrets)
    return np.concatenate([apply_masks(masked[at], *keys[at], roster.plan.ring) for at in sorted(keys)])


def keys_left(
    roster: Roster,
    u2: tuple[bytes, ...],
    u2_bitmap: bytes,
    u3: tuple[bytes, ...],
    self_seeds: tuple[bytes, ...],
    mask_secrets: tuple[bytes, ...],
) -> dict[int, tuple[list[bytes], list[bytes]]]:
    """By bucket with survivors: whose masks have to be added to its masked sum, and whose taken off."""
    ring, u2_digest = roster.plan.ring, roster.u2_digest(u2_bitmap)
    seeds = dict(zip(u3, self_seeds, strict=True))
    secrets = dict(zip((m for m in u2 if m not in seeds), mask_secrets, strict=True))
    keys: dict[int, tuple[list[bytes], list[bytes]]] = {}
    for at, bucket in enumerate(roster.buckets):
        minus = [self_key(seeds[m], u2_digest, m, ring.bits) for m in bucket if m in seeds]
        if not minus:
            continue
        plus: list[bytes] = []
        for gone in (m for m in bucket if m in secrets):
            for member in (m for m in roster.partners(gone) if m in seeds):
                key = pair_key(secrets[gone], roster.join_of(member).mask_key, u2_digest, gone, member, ring.bits)
                (minus if gone > member else plus).append(key)  # the member had added it for j > i, else subtracted it
        keys[at] = (plus, minus)
    return keys


def ring_bytes(vector: Words) -> bytes:
    """Canonical bytes of a ring vector: little-endian words."""
    return vector.astype(vector.dtype.newbyteorder("<"), copy=False).tobytes()
