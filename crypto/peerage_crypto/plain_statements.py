"""What a peer signs in plain exchange (EIP-712): the weights that it serves, and the merges that it makes.

Both statements live under the federation's signing domain, beside those of the masked rounds; `sid` names the one
exchange of a federation, so that nothing said in it can be taken for a word in a masked session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peerage_crypto.digest import tagged
from peerage_crypto.statements import Bytes32, Count, Statement

if TYPE_CHECKING:
    from typing import Final

PLAIN_TYPES: Final = {
    "PlainUpdate": (
        "PlainUpdate(bytes32 sid,uint64 version,bytes32 artefact,uint64 examples,bytes32 base,uint64 baseRound)"
    ),
    "PlainMerge": "PlainMerge(bytes32 sid,uint64 merge,bytes32 body)",
}


class PlainStatement(Statement, frozen=True):
    """A statement of plain exchange."""

    @classmethod
    def type_string(cls) -> str:
        return PLAIN_TYPES[cls.__name__]


class PlainUpdate(PlainStatement, frozen=True):
    """I serve these weights (`artefact`: their canonical bytes) as my version, fine-tuned on so many examples.

    They were trained from the aggregate of my record `base`, which stands at round `base_round` of the ledger (the
    federation's own hash and 0 before my first merge). One version is one such statement, for ever.
    """

    version: Count
    artefact: Bytes32
    examples: Count
    base: Bytes32
    base_round: Count


class PlainMerge(PlainStatement, frozen=True):
    """My `merge`-th merge; `body` is the SHA-256 of all that it took in and gave. One statement a merge."""

    merge: Count
    body: Bytes32


def exchange_id(*, chain_id: int, registry: bytes, genesis: bytes, terms: bytes) -> bytes:
    """The `sid` of a federation's plain exchange: 32 bytes."""
    return tagged("peerage/plain/v1", chain_id.to_bytes(8, "little"), registry, genesis, terms)


def merge_id(exchange: bytes, initiator: bytes, merge: int) -> bytes:
    """The `sid` of one merge's record on the ledger: 32 bytes."""
    return tagged("peerage/plain-merge/v1", exchange, initiator, merge.to_bytes(8, "little"))
