"""Reads `chain/chain.jsonl` back: what happened on a chain, from signed bytes, after the chain is gone.

Pure apart from reading the file, and light: no web3, no node. Nothing is believed that can be computed: senders come
from signatures, names from hashes, calls and events from the ABI, block hashes and roots from the headers. Every line
that is not as it must be is a problem with its number; reading goes on behind it, so that all are told at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peerage_crypto.errors import InputError
from peerage_ledger import events, rawtx
from peerage_ledger.archive import headers, lines
from peerage_ledger.archive.reading import Problem, Reading, read_lines
from peerage_ledger.contracts import NAMES, OPTIONAL, BadEncoding, contract

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from peerage_ledger.deployment import Deployment
    from peerage_ledger.events import ContractEvent


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of one of our contracts, in the order of the chain."""

    line: int
    block: int
    transaction: bytes
    contract: str
    event: ContractEvent


@dataclass(frozen=True, slots=True)
class ArchivedTransaction:
    """`contract` and `function` are empty for what is not ours; a creation has the function `constructor`."""

    line: int
    block: int
    timestamp: int
    signed: rawtx.Transaction
    contract: str
    function: str
    arguments: dict[str, Any]
    succeeded: bool
    gas_used: int
    events: tuple[Happened, ...]


@dataclass(frozen=True, slots=True)
class ChainArchive:
    """`blocks_proved` of `blocks` have a header that hashes to their name and roots that fit; where an engine's headers
    do not allow that, inclusion rests on the operator's word.
    """

    deployment: Deployment | None
    codes: dict[str, bytes]
    transactions: tuple[ArchivedTransaction, ...]
    blocks: int
    blocks_proved: int
    rewinds: int
    problems: tuple[Problem, ...]

    def events(self) -> Iterable[Happened]:
        return (event for transaction in self.transactions for event in transaction.events)

    @property
    def gas_used(self) -> int:
        return sum(transaction.gas_used for transaction in self.transactions)


def read_export(path: Path) -> ChainArchive:
    """InputError when there is no such file; anything wrong inside it is a problem of the archive."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; is this a run directory?") from None
    return parse(raw)


def parse(raw: bytes) -> ChainArchive:
    return _judge(read_lines(raw))


def _judge(reading: Reading) -> ChainArchive:
    found: list[ArchivedTransaction] = []
    deployment = reading.deployment
    if deployment is None:
        reading.problems.append(Problem(0, "there is no deployment in it"))
    proved: list[int] = []
    doubtful: list[Problem] = []
    for height in sorted(reading.blocks):
        at, block = reading.blocks[height]
        known: list[tuple[bytes, lines.ReceiptLine]] = []
        for number, line in reading.transactions.get(height, []):
            told = reading.receipts.get(line.hash)
            if told is None:
                reading.problems.append(Problem(number, f"transaction {line.hash} has no receipt"))
                continue
            transaction = _transaction(reading, number, line, told, block.timestamp)
            if transaction is not None:
                found.append(transaction)
                known.append((bytes.fromhex(line.raw), told[1]))
        fault = _proof(block, known)
        if fault:
            doubtful.append(Problem(at, fault))
        else:
            proved.append(height)
    if proved:  # an engine proves all its headers or none
        reading.problems.extend(doubtful)
    for height in set(reading.transactions) - set(reading.blocks):
        reading.problems.append(Problem(reading.transactions[height][0][0], f"block {height} is not there"))
    return ChainArchive(
        deployment,
        reading.codes,
        tuple(found),
        len(reading.blocks),
        len(proved),
        reading.rewinds,
        tuple(sorted(reading.problems, key=lambda p: p.line)),
    )


def _proof(block: lines.BlockLine, known: list[tuple[bytes, lines.ReceiptLine]]) -> str:
    """What its header does not bear out, or nothing."""
    name = headers.header_hash(block.header)
    if name is None or name.hex() != block.hash or int(block.header["number"], 16) != block.number:
        return f"the header of block {block.number} does not hash to its name"
    if int(block.header["timestamp"], 16) != block.timestamp or block.header["parentHash"] != "0x" + block.parent:
        return f"the header of block {block.number} says another time or parent"
    raws = [raw for raw, _ in known]
    if block.header["transactionsRoot"] != "0x" + headers.transactions_root(raws).hex():
        return f"block {block.number} holds other transactions than its header commits to"
    try:
        receipts = headers.receipts_roots(raws, [receipt for _, receipt in known])
    except ValueError:
        return f"block {block.number} has a receipt that no block can hold"
    if block.header["receiptsRoot"] not in {"0x" + root.hex() for root in receipts}:
        return f"block {block.number} holds other receipts than its header commits to"
    return ""


def _transaction(
    reading: Reading,
    number: int,
    line: lines.TransactionLine,
    told: tuple[int, lines.ReceiptLine],
    timestamp: int,
) -> ArchivedTransaction | None:
    try:
        signed = rawtx.decode(bytes.fromhex(line.raw))
    except ValueError as error:
        reading.problems.append(Problem(number, f"is no signed transaction: {error}"))
        return None
    if signed.hash.hex() != line.hash:
        reading.problems.append(Problem(number, "the raw transaction does not hash to its name"))
        return None
    name, function, arguments = "", "", dict[str, Any]()
    deployment = reading.deployment
    if deployment is not None:
        if signed.chain_id != deployment.chain_id:
            reading.problems.append(Problem(number, f"is signed for chain {signed.chain_id}"))
        by_address = {address: n for n, address in deployment.addresses().items()}
        try:
            name, function, arguments = _meaning(signed, by_address)
        except BadEncoding as error:
            if told[1].status == 1:
                reading.problems.append(Problem(number, str(error)))
        happened = _happened(reading, told, line.block, by_address)
    else:
        happened = ()
    return ArchivedTransaction(
        number,
        line.block,
        timestamp,
        signed,
        name,
        function,
        arguments,
        told[1].status == 1,
        told[1].gas_used,
        happened,
    )


def _meaning(signed: rawtx.Transaction, by_address: dict[bytes, str]) -> tuple[str, str, dict[str, Any]]:
    if signed.to is None:
        for name in (*NAMES, *OPTIONAL):
            if signed.data.startswith(contract(name).bytecode):
                return name, "constructor", {}
        return "", "", {}
    name = by_address.get(signed.to, "")
    if not name:
        return "", "", {}
    call = contract(name).decode_call(signed.data)
    return name, call.name, call.values


def _happened(
    reading: Reading, told: tuple[int, lines.ReceiptLine], block: int, by_address: dict[bytes, str]
) -> tuple[Happened, ...]:
    number, receipt = told
    found: list[Happened] = []
    for log in receipt.logs:
        try:
            name = by_address.get(bytes.fromhex(log.address), "")
            if not name:
                continue
            decoded = contract(name).decode_event([bytes.fromhex(t) for t in log.topics], bytes.fromhex(log.data))
            event = events.from_log(decoded)
        except ValueError as error:
            reading.problems.append(Problem(number, f"an event cannot be decoded: {error}"))
            continue
        if event is not None:
            found.append(Happened(number, block, bytes.fromhex(receipt.transaction), name, event))
    return tuple(found)
