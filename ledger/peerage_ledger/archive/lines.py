"""The lines of `chain/chain.jsonl`, the neutral record of a chain that outlives every engine.

Each line is one JSON object with `schema`, `kind` and `prev`: the SHA-256 of the line before it (raw bytes, without the
newline; zeros for the first). Bytes are lower hex without 0x, numbers are numbers, token amounts live in raw
transactions only.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

SCHEMA: Final = 1
FIRST_PREV: Final = "00" * 32


class _Base(msgspec.Struct, frozen=True, tag_field="kind", forbid_unknown_fields=True, kw_only=True):
    schema: int = SCHEMA
    prev: str = ""


class DeploymentLine(_Base, frozen=True, tag="deployment"):
    """`deployment.json` as it was when the record began."""

    deployment: dict[str, Any]


class CodeLine(_Base, frozen=True, tag="code"):
    """Runtime code at a contract's address."""

    contract: str
    address: str
    code: str


class BlockLine(_Base, frozen=True, tag="block"):
    """`header` is what the node said, field by field, as it said it."""

    number: int
    hash: str
    parent: str
    timestamp: int
    header: dict[str, Any]


class TransactionLine(_Base, frozen=True, tag="transaction"):
    block: int
    hash: str
    raw: str


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    address: str
    topics: list[str]
    data: str


class ReceiptLine(_Base, frozen=True, tag="receipt"):
    """Of the transaction line before it."""

    transaction: str
    status: int
    gas_used: int
    cumulative_gas: int
    created: str
    logs: list[Log]


class RewindLine(_Base, frozen=True, tag="rewind"):
    """The node came back without the blocks from `above` + 1 on: what was said of them is void."""

    above: int


class ResumeLine(_Base, frozen=True, tag="resume"):
    """The run went on after an end."""


class EndLine(_Base, frozen=True, tag="end"):
    """The seal: counts of all lines of their kind before it."""

    blocks: int
    transactions: int


Line: TypeAlias = (
    DeploymentLine | CodeLine | BlockLine | TransactionLine | ReceiptLine | RewindLine | ResumeLine | EndLine
)
