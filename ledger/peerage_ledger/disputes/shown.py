"""What the arbiters check of a call's arguments, word for word as in `contracts/src/libraries`; ValueError: not so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peerage_crypto.digest import keccak256, merkle_root, sha256, tagged
from peerage_crypto.identity import BadSignature, recover
from peerage_crypto.plain_statements import PLAIN_TYPES
from peerage_crypto.statements import TYPE_STRINGS
from peerage_ledger.disputes.evidence import KINDS
from peerage_ledger.disputes.tables import leaf_hash, node_hash
from peerage_ledger.records import RoundRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peerage_ledger.disputes.tables import Leaf, Path

SIGNATURE = 65
_HIGHEST = 255


class NotShown(ValueError):
    """The arguments do not show what they should."""


def need(holds: bool, what: str) -> None:
    if not holds:
        raise NotShown(what)


def account(text: Any) -> bytes:  # noqa: ANN401 - addresses inside tuples are decoded as text
    """20 bytes."""
    return bytes.fromhex(text[2:]) if isinstance(text, str) else bytes(text)


def leaf(shown: Any) -> Leaf:  # noqa: ANN401 - as above
    """A decoded AddressTree.Leaf."""
    owner, value, (turns, siblings) = shown
    return account(owner), value, (turns, tuple(siblings))


def record(shown: Any) -> RoundRecord:  # noqa: ANN401 - as above
    """A decoded IRoundLedger.Round."""
    return RoundRecord(*shown)


# -- trees -------------------------------------------------------------------------------------------------------------


def check_node(root: bytes, node: bytes, path: Path) -> None:
    """As `AddressTree.requireNode`."""
    turns, siblings = path
    need(len(siblings) <= _HIGHEST and turns >> len(siblings) == 0, "NotInTree")
    for height, sibling in enumerate(siblings):
        node = node_hash(sibling, node) if turns >> height & 1 else node_hash(node, sibling)
    need(node == root != bytes(32), "NotInTree")


def check_leaf(root: bytes, shown: Leaf) -> None:
    check_node(root, leaf_hash(shown[0], shown[1]), shown[2])


def check_neighbours(root: bytes, left: Leaf, right: Leaf) -> None:
    """As `AddressTree.requireNeighbours`."""
    check_leaf(root, left)
    check_leaf(root, right)
    (x, on_left), (y, on_right) = left[2], right[2]
    a, b = len(on_left), len(on_right)
    while a > 0 and b > 0 and x >> (a - 1) & 1 == y >> (b - 1) & 1:
        a, b = a - 1, b - 1
    need(a > 0 and b > 0, "NotNeighbours")
    below = (1 << (a - 1)) - 1
    need(x & (2 * below + 1) == below and y & ((1 << b) - 1) == 1 << (b - 1), "NotNeighbours")


def check_absent(root: bytes, missing: bytes, around: Sequence[Leaf]) -> None:
    """As `AddressTree.requireAbsent`."""
    need(len(around) < 3, "NotAGap")
    if not around:
        need(root == bytes(32), "NotAGap")
    elif len(around) == 1:
        (end,) = around
        check_leaf(root, end)
        turns, siblings = end[2]
        need(turns == (0 if missing < end[0] else (1 << len(siblings)) - 1), "NotNeighbours")
        need(end[0] != missing, "NotAGap")
    else:
        check_neighbours(root, *around)
        need(around[0][0] < missing < around[1][0], "NotAGap")


def root_of(accounts: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    """The root of a whole table, ascending."""
    need(len(accounts) == len(values) and list(accounts) == sorted(set(accounts)), "NotATable")
    return merkle_root([a + v for a, v in zip(accounts, values, strict=True)])


# -- statements --------------------------------------------------------------------------------------------------------


def word(fields: bytes, index: int) -> bytes:
    return fields[32 * index : 32 * index + 32]


def digest(domain: bytes, kind: str, fields: bytes) -> bytes:
    """The digest of a statement by its fields."""
    text = TYPE_STRINGS.get(kind) or PLAIN_TYPES[kind]
    need(len(fields) == 32 * (text.count(",") + 1), "FieldsLength")
    return keccak256(b"\x19\x01" + domain + keccak256(keccak256(text.encode()) + fields))


def kind_of(number: int) -> str:
    need(number < len(KINDS), "NoSuchKind")
    return KINDS[number]


def signer(hashed: bytes, signature: bytes) -> bytes:
    try:
        return recover(hashed, signature)
    except BadSignature as error:
        raise NotShown(str(error)) from None


def roster_view(sid: bytes, joins: Sequence[bytes], signatures: bytes, u2: bytes) -> bytes:
    """What a MaskedUpdate says of roster and U2."""
    need(len(signatures) == SIGNATURE * len(joins) and len(u2) == (len(joins) + 7) // 8, "BadRoster")
    entries = [j + signatures[SIGNATURE * i : SIGNATURE * (i + 1)] for i, j in enumerate(joins)]
    return tagged("peerage/u2/v1", tagged("peerage/roster/v1", sid, *entries), u2)


def rand_commitment(sid: bytes, owner: bytes, rand: bytes) -> bytes:
    return tagged("peerage/rand/v1", sid, owner, rand)


def is_set(bits: bytes, index: int) -> bool:
    return bool(bits[index // 8] >> index % 8 & 1)


def seed_of(sid: bytes, rands: Sequence[bytes]) -> bytes:
    return sha256(sid, *rands)
