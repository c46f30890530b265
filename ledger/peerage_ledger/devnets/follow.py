"""Reading a chain forward, block by block, through an RPC door: what the supervisor journals and the export writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from peerage_ledger import rawtx

if TYPE_CHECKING:
    from peerage_ledger.rpc import Rpc

BATCH: Final = 64  # blocks asked for at once


@dataclass(frozen=True, slots=True)
class Block:
    """A block as the node tells it, its raw transactions, and their receipts if asked for (in the same order)."""

    number: int
    hash: str
    parent: str
    fields: dict[str, Any]
    raws: tuple[bytes, ...]
    receipts: tuple[dict[str, Any], ...]


def height(rpc: Rpc) -> int:
    return int(rpc.call("eth_blockNumber"), 16)


def block_hash(rpc: Rpc, number: int) -> str | None:
    """None when the chain is shorter than that."""
    fields = rpc.call("eth_getBlockByNumber", hex(number), False)
    return None if fields is None else str(fields["hash"])


def blocks(rpc: Rpc, first: int, last: int, *, receipts: bool) -> list[Block]:
    """Blocks first..last (at most BATCH of them); fewer when the node loses them meanwhile."""
    last = min(last, first + BATCH - 1)
    asked = rpc.batch([("eth_getBlockByNumber", (hex(n), True)) for n in range(first, last + 1)])
    found: list[dict[str, Any]] = []
    for fields in asked:
        if fields is None:
            break
        found.append(fields)
    hashes = [t["hash"] for fields in found for t in fields["transactions"]] if receipts else []
    answers = rpc.batch([("eth_getTransactionReceipt", (h,)) for h in hashes])
    by_hash = dict(zip(hashes, answers, strict=True))
    result: list[Block] = []
    for fields in found:
        transactions = fields["transactions"]
        told = tuple(by_hash[t["hash"]] for t in transactions) if receipts else ()
        if any(r is None for r in told):
            break  # rewound between the two questions: the next look tells
        raws = tuple(_raw(rpc, t) for t in transactions)
        header = {k: v for k, v in fields.items() if k != "transactions"}
        result.append(Block(int(fields["number"], 16), fields["hash"], fields["parentHash"], header, raws, told))
    return result


def _raw(rpc: Rpc, fields: dict[str, Any]) -> bytes:
    try:
        return rawtx.from_json(fields)
    except (rawtx.BadTransaction, KeyError):
        raw = rpc.call("eth_getRawTransactionByHash", fields["hash"])
        return bytes.fromhex(str(raw)[2:])
