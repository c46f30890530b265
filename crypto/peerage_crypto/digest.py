"""Names of bytes: tagged hashes, Merkle roots of artefacts and tables, and the claim tree that the vault verifies.

Two trees, because two readers check them. Artefacts use SHA-256 with distinct leaf and node prefixes (the shape of
RFC 9162 §2.1): a node can never be passed off as a leaf. Claims follow OpenZeppelin's MerkleProof: keccak over sorted
pairs, with leaves hashed twice for the same reason.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from eth_hash.auto import keccak

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Bytes = bytes | bytearray | memoryview

EMPTY_ROOT = bytes(32)  # no preimage of it is known, so no proof leads to it
LEAF, NODE = b"\x00", b"\x01"


def sha256(*parts: Bytes) -> bytes:
    """SHA-256 of the concatenation: 32 bytes. Where parts could run into each other, use `tagged`."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
    return state.digest()


def tagged(tag: str, *parts: Bytes) -> bytes:
    """SHA-256 over tag and parts, each behind its length (8 bytes, little-endian): two lists never collide."""
    state = hashlib.sha256()
    for part in (tag.encode(), *parts):
        size = part.nbytes if isinstance(part, memoryview) else len(part)
        state.update(size.to_bytes(8, "little"))
        state.update(part)
    return state.digest()


def keccak256(data: bytes) -> bytes:
    """Ethereum's hash: 32 bytes."""
    return keccak(data)


# -- artefacts: SHA-256, leaves in their order -------------------------------------------------------------------------


def chunks(blob: Bytes, size: int = 1024) -> list[memoryview]:
    """The blob in leaves of `size` bytes, the last one shorter; views, nothing is copied."""
    if size < 1:
        raise ValueError(f"a chunk of {size} bytes cannot be")
    view = memoryview(blob).cast("B")
    return [view[start : start + size] for start in range(0, len(view), size)]


def _leaf(leaf: Bytes) -> bytes:
    return hashlib.sha256(LEAF + leaf).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(NODE + left + right).digest()


def _above(level: Sequence[bytes], join: Callable[[bytes, bytes], bytes]) -> list[bytes]:
    """The next level; an odd last node is promoted unchanged."""
    upper = [join(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
    if len(level) % 2:
        upper.append(level[-1])
    return upper


def _path(level: Sequence[bytes], index: int, join: Callable[[bytes, bytes], bytes]) -> tuple[bytes, ...]:
    """The siblings from leaf `index` to the root; a promoted node has none at that level."""
    path: list[bytes] = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level, index = _above(level, join), index // 2
    return tuple(path)


def _root(level: Sequence[bytes], join: Callable[[bytes, bytes], bytes]) -> bytes:
    while len(level) > 1:
        level = _above(level, join)
    return level[0] if level else EMPTY_ROOT


def merkle_root(leaves: Sequence[Bytes]) -> bytes:
    """The root over leaves in the given order; 32 zero bytes for none."""
    return _root([_leaf(leaf) for leaf in leaves], _node)


def merkle_proof(leaves: Sequence[Bytes], index: int) -> tuple[bytes, ...]:
    """The siblings that lead from leaf `index` to the root, lowest first; IndexError outside the list."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    return _path([_leaf(leaf) for leaf in leaves], index, _node)


def merkle_proofs(leaves: Sequence[Bytes], indices: Sequence[int]) -> list[tuple[bytes, ...]]:
    """`merkle_proof` of several leaves, which are hashed once."""
    if not all(0 <= index < len(leaves) for index in indices):
        raise IndexError(f"a leaf that is not among {len(leaves)}")
    levels = [[_leaf(leaf) for leaf in leaves]]
    while len(levels[-1]) > 1:
        levels.append(_above(levels[-1], _node))
    steps = range(len(levels) - 1)
    return [tuple(levels[up][at ^ 1] for up in steps if (at := index >> up) ^ 1 < len(levels[up])) for index in indices]


def merkle_verify(root: bytes, leaf: Bytes, index: int, count: int, proof: Sequence[bytes]) -> bool:
    """Whether `leaf` stands at `index` of `count` leaves under `root`; any proof may come from outside.

    `count` must be known from elsewhere (a signed length), since the tree does not hash it.
    """
    if not 0 <= index < count:
        return False
    node, steps = _leaf(leaf), iter(proof)
    while count > 1:
        if index ^ 1 < count:
            sibling = next(steps, None)
            if sibling is None or len(sibling) != 32:
                return False
            node = _node(sibling, node) if index % 2 else _node(node, sibling)
        index, count = index // 2, (count + 1) // 2
    return next(steps, None) is None and node == root


def address_root(items: Mapping[bytes, Bytes]) -> bytes:
    """The root of a table by address: leaves are address ‖ value, sorted, so an omission shows between neighbours."""
    if any(len(address) != 20 for address in items):
        raise ValueError("a key of the table is no address of 20 bytes")
    return merkle_root([address + bytes(items[address]) for address in sorted(items)])


# -- claims: keccak, as OpenZeppelin's MerkleProof ---------------------------------------------------------------------


def claim_leaf(account: bytes, cumulative: int) -> bytes:
    """keccak256(keccak256(abi.encode(account, cumulative))): the vault computes the same."""
    if len(account) != 20:
        raise ValueError(f"an address has 20 bytes, not {len(account)}")
    if not 0 <= cumulative < 1 << 256:
        raise ValueError("a cumulative amount is at least 0 and below 2^256")
    return keccak(keccak(account.rjust(32, b"\0") + cumulative.to_bytes(32, "big")))


def _commutative(a: bytes, b: bytes) -> bytes:
    return keccak(a + b if a < b else b + a)


def _claim_leaves(totals: Mapping[bytes, int]) -> list[bytes]:
    return sorted(claim_leaf(account, total) for account, total in totals.items())


def claim_root(totals: Mapping[bytes, int]) -> bytes:
    """The root over everybody's cumulative total; 32 zero bytes for nobody."""
    return _root(_claim_leaves(totals), _commutative)


def claim_proof(totals: Mapping[bytes, int], account: bytes) -> tuple[bytes, ...]:
    """The siblings that MerkleProof.verify wants for `account`; KeyError when it has no total."""
    leaves = _claim_leaves(totals)
    return _path(leaves, leaves.index(claim_leaf(account, totals[account])), _commutative)
