"""Opened sketches: r random projections of every update, known to all before the sum is unmasked (docs/sketches.md).

The directions u_1..u_r have entries 0, 0, +1, -1 with equal chance, from the late randomness of all certified
survivors. Zeros cost nothing (twice the sum of squares estimates the squared length just as well) and catch what signs
alone cannot see: an even number of coordinates at half of the ring, which vanish mod 2^w under every vector of signs.

Masks are linear, so who states < y_i , u >, < PRG(b_i) , u > and < PRG(s_ij) , u > has told < q_i , u >, and no more.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from peerage_crypto.digest import tagged
from peerage_crypto.fixedpoint import ring as ring_of
from peerage_crypto.masking import expand
from peerage_crypto.opening import signed
from peerage_crypto.sketch_terms import slack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from peerage_crypto.fixedpoint import Ring
    from peerage_crypto.sketch_terms import Sketching

    Words = NDArray[np.unsignedinteger]
Numbers = tuple[int, ...]  # one for each direction, mod 2^w

CHUNK = 1 << 14  # coordinates at a time: what a chunk needs stays in the cache
_BYTES = ring_of(16)  # the keystream of a direction is read as bytes
_SIGNS = np.array([[(0, 0, 1, -1)[byte >> 2 * i & 3] for i in range(4)] for byte in range(256)], np.int8)


def sketch_seed(survivors: bytes, lates: Sequence[bytes]) -> bytes:
    """What the directions are drawn from: fixed by the joins, known to nobody before the first certificate exists."""
    return tagged("peerage/sketch-seed/v1", survivors, *lates)


@dataclass(frozen=True, slots=True)
class Directions:
    """The u_k of one session; coordinates before `terms.skip` are zero."""

    seed: bytes
    terms: Sketching
    length: int

    def chunk(self, start: int) -> NDArray[np.int8]:
        """Coordinates `start` (a multiple of CHUNK) onwards of all directions, (r, at most CHUNK)."""
        size = min(CHUNK, self.length - start)
        rows = np.empty((self.terms.count, size), np.int8)
        for k, row in enumerate(rows):
            key = tagged("peerage/sketch-direction/v1", self.seed, bytes([k]))
            drawn = expand(key, CHUNK // 8, _BYTES, start // 8).astype("<u2").view(np.uint8)
            row[:] = _SIGNS[drawn].reshape(-1)[:size]
        rows[:, : max(0, self.terms.skip - start)] = 0
        return rows

    def vectors(self) -> NDArray[np.int64]:
        """All of them, (r, length): for tests and for the reader."""
        return np.concatenate([self.chunk(at) for at in range(0, self.length, CHUNK)], axis=1).astype(np.int64)


def project(keys: Sequence[bytes], vectors: Sequence[Words], directions: Directions, ring: Ring) -> list[Numbers]:
    """< x , u_k > mod 2^w for the masks of the keys, then for the vectors: one pass over every keystream."""
    total = np.zeros((len(keys) + len(vectors), directions.terms.count), ring.dtype)
    for at in range(0, directions.length, CHUNK):
        signs = directions.chunk(at).astype(ring.dtype)  # -1 is the ring's largest word: products wrap as the ring does
        words = np.empty((len(total), signs.shape[1]), ring.dtype)
        for row, key in zip(words, keys, strict=False):
            row[:] = expand(key, signs.shape[1], ring, at)
        for row, vector in zip(words[len(keys) :], vectors, strict=True):
            row[:] = vector[at : at + signs.shape[1]]
        total += np.einsum("im,km->ik", words, signs)  # no matrix product: integers are exact, and one thread is enough
    return [tuple(int(v) for v in row) for row in total]


# -- what a peer states ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stated:
    """One peer's numbers mod 2^w, for each direction: of its masked vector, of its own mask, of each mask it shares."""

    vector: Numbers
    own: Numbers
    pairs: Mapping[bytes, Numbers]

    def to_bytes(self, ring: Ring) -> bytes:
        """As in `Sketched.numbers`; partners in the order of the mapping, which is the roster's."""
        rows = zip(self.vector, self.own, *self.pairs.values(), strict=True)
        return b"".join(v.to_bytes(ring.word_bytes, "little") for row in rows for v in row)

    @classmethod
    def from_bytes(cls, blob: bytes, partners: Sequence[bytes], count: int, ring: Ring) -> Stated | None:
        """None when the length is not that of `count` directions and these partners."""
        width = 2 + len(partners)
        if len(blob) != count * width * ring.word_bytes:
            return None
        rows = np.frombuffer(blob, f"<u{ring.word_bytes}").reshape(count, width)
        columns = [tuple(int(v) for v in column) for column in rows.T]
        return cls(columns[0], columns[1], dict(zip(partners, columns[2:], strict=True)))


def numbers_digest(numbers: bytes) -> bytes:
    """What a peer signs for its sketch."""
    return tagged("peerage/sketch/v1", numbers)


# -- who passes --------------------------------------------------------------------------------------------------------

SILENT, FALSE, CONTRADICTED, TOO_LONG, OUTLIER = "silent", "false", "contradicted", "too-long", "outlier"
SENTENCES = {
    SILENT: "it stated no projections of its update in time",
    FALSE: "the projections that it stated are not those of its masked vector",
    CONTRADICTED: "its sketch contradicts those of more peers than can collude",
    TOO_LONG: "its update is longer than the declared clip allows",
    OUTLIER: "its update is longer than the declared number of medians",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why each peer failed (a key of SENTENCES), what was opened of each that spoke, and which pairs disagree."""

    failed: Mapping[bytes, str]
    projections: Mapping[bytes, Numbers]  # < q_i , u_k > as signed integers, by its own words
    disputed: tuple[tuple[bytes, bytes], ...]

    def energy(self, peer: bytes) -> int:
        """Twice the sum of squares: count * length^2 on average."""
        return 2 * sum(s * s for s in self.projections[peer])


def screen(
    terms: Sketching,
    ring: Ring,
    u3: Sequence[bytes],
    stated: Mapping[bytes, Stated],
    false: frozenset[bytes],
    colluders: int,
) -> Verdict:
    """Who of the certified survivors fails, from what they stated; everybody computes the same.

    In a disputed pair each end is judged by its own word: honest peers never contradict each other, so an honest peer
    is contradicted by liars only, max(c, 1) at most, and no lie of another can exclude it.
    """
    pairs = [(i, j) for i in u3 if i in stated for j in stated[i].pairs if i < j and j in stated]
    disputed = tuple((i, j) for i, j in pairs if stated[i].pairs[j] != stated[j].pairs[i])
    contradicted = Counter(end for pair in disputed for end in pair)
    failed = {i: SILENT for i in u3 if i not in stated}
    failed |= {i: CONTRADICTED for i in u3 if contradicted[i] > max(colluders, 1)}
    failed |= {i: FALSE for i in u3 if i in false}
    opened = {i: _unmasked(i, stated[i], ring) for i in u3 if i in stated}
    verdict = Verdict(failed, opened, disputed)
    energies = {i: verdict.energy(i) for i in u3 if i not in failed}
    median = sorted(energies.values())[(len(energies) - 1) // 2] if energies else 0
    above, below = terms.bound
    for i, energy in energies.items():
        if energy > slack(terms.count) * terms.longest**2:
            failed[i] = TOO_LONG
        elif median and below**2 * energy > above**2 * median:  # where most send nothing, no length is an outlier
            failed[i] = OUTLIER
    return verdict


def _unmasked(me: bytes, mine: Stated, ring: Ring) -> Numbers:
    masks = zip(*(tuple(z if j > me else -z for z in numbers) for j, numbers in mine.pairs.items()), strict=True)
    shared = [sum(z) for z in masks] or [0] * len(mine.vector)
    return tuple(signed(y - own - z, ring.bits) for y, own, z in zip(mine.vector, mine.own, shared, strict=True))
