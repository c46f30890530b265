"""What an adversary can compute from what it has seen: linear algebra over the masks that it cannot expand.

Every mask is a stream of independent unknowns, told apart by its 32-byte key: the real key derivation decides which
streams are one and the same. A masked vector is then one linear equation for each coordinate, a pair number one more.
What can be derived of the honest updates, by whatever computation, is the part of the row space in which no unknown
mask occurs (the masks are uniform; that a cipher's output looks so is the assumption, not the claim).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

PRIMES = (2**61 - 1, 2)  # almost every relation shows over a large field; over GF(2) what the lowest bits give away

Row = dict[Hashable, int]


class Knowledge:
    """Equations that hold for sure; columns ("q", peer, k) are honest coordinates, (key, k) mask elements.

    Where validation is private ("p", peer, k) are those of the honest path gradients.
    """

    def __init__(self, length: int, known: Iterable[bytes]) -> None:
        self.length, self.known, self.rows = length, set(known), list[Row]()

    def masked(self, peer: bytes, signs: Mapping[bytes, int], what: str = "q") -> None:
        """y_i = q_i + sum of sign * PRG(key), coordinate by coordinate; known streams are taken off at once."""
        for k in range(self.length):
            row: Row = {(what, peer, k): 1}
            row |= {(key, k): sign for key, sign in signs.items() if key not in self.known}
            self.rows.append(row)

    def pair_number(self, key: bytes, g: Iterable[int]) -> None:
        """z = < PRG(key), g >."""
        if key not in self.known:
            self.rows.append({(key, k): int(x) for k, x in enumerate(g) if x})

    def derivable(self, prime: int) -> list[Row]:
        """A basis of what follows about the q's (and p's) alone, over the field of this prime."""
        masks = sorted({c for row in self.rows for c in row if c[0] not in ("q", "p")}, key=repr)
        rest = [{c: v % prime for c, v in row.items() if v % prime} for row in self.rows]
        for column in masks:
            pivot = next((row for row in rest if column in row), None)
            if pivot is not None:
                rest = [_without(row, pivot, column, prime) for row in rest if row is not pivot]
        return [row for row in reduced(rest, prime) if row]


def reduced(rows: list[Row], prime: int) -> list[Row]:
    """An independent set with the same span."""
    basis: list[tuple[Hashable, Row]] = []
    for row in rows:
        left = {c: v % prime for c, v in row.items() if v % prime}
        for column, pivot in basis:
            left = _without(left, pivot, column, prime)
        if left:
            basis.append((min(left, key=repr), left))
    return [row for _, row in basis]


def spans(basis: list[Row], rows: list[Row], prime: int) -> bool:
    """Whether every row is a combination of the basis."""
    return len(reduced([*basis, *rows], prime)) == len(reduced(basis, prime))


def _without(row: Row, pivot: Row, column: Hashable, prime: int) -> Row:
    """The row less a multiple of the pivot, so that the column is gone."""
    if column not in row:
        return row
    factor = row[column] * pow(pivot[column], -1, prime)
    out = dict(row)
    for c, v in pivot.items():
        value = (out.get(c, 0) - factor * v) % prime
        if value:
            out[c] = value
        else:
            out.pop(c, None)
    return out


def total(peers: Iterable[bytes], length: int, what: str = "q") -> list[Row]:
    """The sum of these updates (or path gradients), coordinate by coordinate."""
    group = list(peers)
    return [{(what, peer, k): 1 for peer in group} for k in range(length)]


def functional(peer: bytes, g: Iterable[int]) -> Row:
    """< q_i , g >."""
    return {("q", peer, k): int(x) for k, x in enumerate(g) if x}
