"""The trees of a record, and proofs under them as the round arbiter reads them (`AddressTree.sol`).

A proof names turns, not a place among a count: the tree does not hash its count, so a claimed one proves nothing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from peerage_crypto.digest import LEAF, NODE, merkle_proof, sha256

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Path = tuple[int, tuple[bytes, ...]]  # turns (bit i: the node at height i is the right one), siblings, lowest first
Leaf = tuple[bytes, bytes, Path]  # account, value, path
Entries = list[tuple[bytes, bytes]]


def entries(table: Mapping[bytes, bytes]) -> Entries:
    """A table by address, in the order of its tree."""
    return sorted(table.items())


def path(rows: Sequence[tuple[bytes, bytes]], index: int) -> Path:
    """From leaf `index` to the root; IndexError outside the list."""
    siblings = merkle_proof([account + value for account, value in rows], index)
    turns = height = 0
    count = len(rows)
    while count > 1:
        if index ^ 1 < count:  # the last one of an odd level moves up without a turn
            turns |= (index & 1) << height
            height += 1
        index, count = index // 2, (count + 1) // 2
    return turns, siblings


def leaf_at(rows: Sequence[tuple[bytes, bytes]], index: int) -> Leaf:
    """A leaf with its path."""
    account, value = rows[index]
    return account, value, path(rows, index)


def leaf_of(table: Mapping[bytes, bytes], account: bytes) -> Leaf:
    """The leaf of an account; KeyError when it has none."""
    rows = entries(table)
    return leaf_at(rows, rows.index((account, table[account])))


def around(table: Mapping[bytes, bytes], missing: bytes) -> tuple[Leaf, ...]:
    """What encloses the place where an account would stand: two leaves, one at an end, none in the empty table."""
    if missing in table:
        raise ValueError("the account stands in the table")
    rows = entries(table)
    place = sum(account < missing for account, _ in rows)
    return tuple(leaf_at(rows, i) for i in (place - 1, place) if 0 <= i < len(rows))


def disordered(rows: Sequence[tuple[bytes, bytes]]) -> int | None:
    """The first place whose follower is not higher; None in a table."""
    return next((i for i, (one, other) in enumerate(pairwise(rows)) if one[0] >= other[0]), None)


def leaf_hash(account: bytes, value: bytes) -> bytes:
    """What stands at the bottom of the tree."""
    return sha256(LEAF, account, value)


def node_hash(left: bytes, right: bytes) -> bytes:
    """What stands above two."""
    return sha256(NODE, left, right)
