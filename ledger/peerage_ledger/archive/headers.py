"""Recomputing what a block header commits to: its own hash, the root of its transactions, the root of its receipts.

Pure. Engines differ in which optional fields a header has; we hash those that the node named, in the order of the
forks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import rlp  # type: ignore[import-untyped]  # ships no types
from trie.hexary import HexaryTrie

from peerage_crypto.digest import keccak256

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peerage_ledger.archive.lines import ReceiptLine

_BYTES: Final = ("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom")
_NUMBERS: Final = ("difficulty", "number", "gasLimit", "gasUsed", "timestamp")
_TAIL: Final = ("extraData", "mixHash", "nonce")


def header_hash(header: Mapping[str, Any]) -> bytes | None:
    """Keccak of the header's RLP; None when a field is missing or malformed."""
    try:
        fields: list[Any] = [_raw(header[name]) for name in _BYTES]
        fields += [int(header[name], 16) for name in _NUMBERS]
        fields += [_raw(header[name]) for name in _TAIL]
        if header.get("baseFeePerGas") is not None:
            fields.append(int(header["baseFeePerGas"], 16))
        if header.get("withdrawalsRoot") is not None:
            fields.append(_raw(header["withdrawalsRoot"]))
        return keccak256(rlp.encode(fields))
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def transactions_root(raws: Sequence[bytes]) -> bytes:
    return _root(raws)


def receipts_roots(raws: Sequence[bytes], receipts: Sequence[ReceiptLine]) -> frozenset[bytes]:
    """What the header may say: Ganache writes a failed transaction's status as a zero byte, all others as nothing.

    ValueError for a receipt that no block can hold.
    """
    return frozenset(_receipts_root(raws, receipts, failed) for failed in (b"", b"\0"))


def _receipts_root(raws: Sequence[bytes], receipts: Sequence[ReceiptLine], failed: bytes) -> bytes:
    """Receipts carry the type of their transaction before them (EIP-2718), none for a legacy one."""
    items: list[bytes] = []
    for raw, receipt in zip(raws, receipts, strict=True):
        if receipt.cumulative_gas < 0:
            raise ValueError("gas below zero")
        logs = [
            [bytes.fromhex(log.address), [bytes.fromhex(t) for t in log.topics], bytes.fromhex(log.data)]
            for log in receipt.logs
        ]
        fields = [b"\1" if receipt.status == 1 else failed, receipt.cumulative_gas, _bloom(logs), logs]
        body = cast("bytes", rlp.encode(fields))
        items.append(body if raw[0] >= 0x7F else raw[:1] + body)
    return _root(items)


def _root(items: Sequence[bytes]) -> bytes:
    trie = HexaryTrie({})
    for index, item in enumerate(items):
        trie[rlp.encode(index)] = item
    return bytes(trie.root_hash)


def _bloom(logs: Sequence[Sequence[Any]]) -> bytes:
    bits = 0
    for address, topics, _ in logs:
        for entry in (address, *topics):
            digest = keccak256(entry)
            for at in (0, 2, 4):
                bits |= 1 << (int.from_bytes(digest[at : at + 2], "big") & 2047)
    return bits.to_bytes(256, "big")


def _raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
