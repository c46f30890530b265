"""What a chain says: raw transactions, calls, events, headers, the archive, and a node that answers what it likes."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

import msgspec
import rlp
from eth_abi.abi import encode as abi

from fuzz.builder import tree
from fuzz.draw import Draw, edited
from fuzz.place import place
from fuzz.settings import deployment_file
from fuzz.target import target
from peerage_crypto.digest import sha256
from peerage_crypto.errors import ChainError, InputError, PeerageError
from peerage_crypto.identity import Account
from peerage_ledger import chain, events, rawtx, wishes
from peerage_ledger.archive import headers, lines, reader
from peerage_ledger.contracts import NAMES, BadEncoding, contract, revert_reason
from peerage_ledger.deployment import Deployment
from peerage_ledger.outbox import OutboxFile
from peerage_ledger.records import RoundRecord
from peerage_ledger.rpc import Rpc
from peerage_ledger.sender import Sender
from peerage_ledger.view import View

ME = Account.from_secret(b"\1" * 32)
DEPLOYMENT = replace(Deployment.from_json(deployment_file(), "it"), chain_id=31337)
RECORD = RoundRecord(1, bytes(32), (0,), (bytes(32),), *(bytes([i]) * 32 for i in range(7)), 3)
SHAPES = [bytes([n * 3, n, 5, n * 11 % 256, 1]) for n in range(12)]


def raw(to: bytes | None, data: bytes, nonce: int = 0) -> bytes:
    return rawtx.sign(ME, chain_id=31337, nonce=nonce, to=to, data=data, gas=10**5, max_fee=7, priority_fee=1)


CALLS = {
    "RoundLedger": contract("RoundLedger").call("recordRound", RECORD.as_tuple()),
    "PeerRegistry": contract("PeerRegistry").call("register", bytes(32), "tcp://127.0.0.1:1/2", 5),
    "RewardVault": contract("RewardVault").call(
        "publish", 1, bytes(32), 5, bytes(32), [bytes(32)], [bytes(32)], bytes(64) * 3
    ),
    "PeerageToken": contract("RewardVault").call("claimMany", [bytes(20)] * 2, [1, 2], [[bytes(32)]] * 2),
}
RAWS = [raw(DEPLOYMENT.addresses()[name], data) for name, data in CALLS.items()]


def topics_of(name: str, event: str, *indexed: bytes) -> list[bytes]:
    return [contract(name).topic(event), *(i.rjust(32, b"\0") for i in indexed)]


REGISTERED = abi(["string", "uint256"], ["x", 5])
LOGS = (
    ("PeerRegistry", topics_of("PeerRegistry", "PeerRegistered", b"p" * 20, bytes(32)), REGISTERED),
    ("PeerRegistry", topics_of("PeerRegistry", "EndpointChanged", b"p" * 20), abi(["string"], ["tcp://x"])),
    ("RewardVault", topics_of("RewardVault", "RewardClaimed", b"p" * 20), abi(["uint256", "uint256"], [1, 2])),
)  # fmt: skip


def rlp_lists(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        size = len(body)
        width = (size.bit_length() + 7) // 8
        body = (bytes([0xC0 + size]) if size < 56 else bytes([0xF7 + width]) + size.to_bytes(width, "big")) + body
    return body


ACCESS = b"\1" + rlp.encode([1, 0, 7, 10**5, bytes(20), 0, b"", [[bytes(20), [bytes(32)] * 3]], 0, 5, 5])
LEGACY = rlp.encode([0, 7, 10**5, bytes(20), 0, b"", 37, 5, 5])


@target(
    "chain.transaction",
    allowed=(rawtx.BadTransaction,),
    seeds=lambda: [*RAWS, LEGACY, ACCESS, b"\2" + rlp_lists(30)],
)
def transaction(data: bytes) -> None:
    assert len(rawtx.decode(data).sender) == 20


TOLD = {
    "type": "0x2", "chainId": "0x7a69", "nonce": "0x0", "maxPriorityFeePerGas": "0x1", "maxFeePerGas": "0x7",
    "gas": "0x186a0", "to": "0x" + "00" * 20, "value": "0x0", "input": "0x", "accessList": [], "yParity": "0x0",
    "r": "0x5", "s": "0x5", "hash": "0x" + "00" * 32,
}  # fmt: skip


@target("chain.transaction-json", seeds=lambda: [json.dumps(TOLD).encode()])
def transaction_json(data: bytes) -> None:
    """The node's fields of a transaction: whatever `follow` does not expect, `ledger` must take for nonsense."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(fields, dict):
        with contextlib.suppress(chain.NONSENSE):
            rawtx.from_json(fields)


@target(
    "chain.call",
    allowed=(BadEncoding,),
    seeds=lambda: [bytes([i]) + c for i, c in enumerate(CALLS.values())],
    memory=64 << 20,
)
def call(data: bytes) -> None:
    for name in NAMES:
        revert_reason(data[1:])
        try:
            contract(name).decode_call(data[1:])
        except BadEncoding:
            continue


RESULTS = (
    ("PeerRegistry", "peerOf"),
    ("RoundLedger", "isRecorded"),
    ("RewardVault", "published"),
    ("PeerageToken", "name"),
)


@target("chain.result", allowed=(BadEncoding,), seeds=lambda: [bytes([i]) + bytes(128) for i in range(4)])
def result(data: bytes) -> None:
    draw = Draw(data)
    name, function = draw.pick(RESULTS)
    contract(name).result(function, draw.rest())


EVENTS = [(name, item) for name in NAMES for item in contract(name)._events.values()]


@target(
    "chain.event",
    allowed=(BadEncoding,),
    seeds=lambda: [bytes([i, 3]) + bytes(96) + LOGS[0][2] for i in range(len(EVENTS))],
)
def event(data: bytes) -> None:
    draw = Draw(data)
    name, item = draw.pick(EVENTS)
    topics = [
        item.selector,
        *(draw.binary(0, 33) if draw.below(8) == 7 else draw.binary(32, 32) for _ in range(draw.below(4))),
    ]
    found = events.from_log(contract(name).decode_event(topics, draw.rest()))
    if found is not None:
        with contextlib.suppress(KeyError):  # of somebody who never registered: nonsense to the ledger's worker
            View().apply(found)
    if isinstance(found, events.RoundRecorded):
        found.record.record_hash()


HEADER: dict[str, Any] = dict.fromkeys(headers._BYTES, "0x" + "00" * 32) | dict.fromkeys(headers._NUMBERS, "0x0")
HEADER |= {"extraData": "0x", "mixHash": "0x" + "00" * 32, "nonce": "0x" + "00" * 8, "baseFeePerGas": "0x7"}


@target("chain.header", seeds=lambda: [json.dumps(HEADER).encode()])
def header(data: bytes) -> None:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(fields, dict):
        name = headers.header_hash(fields)
        assert name is None or len(name) == 32


@target("chain.header-spoilt", seeds=lambda: SHAPES)
def header_spoilt(data: bytes) -> None:
    header(msgspec.json.encode(edited(HEADER, Draw(data))))


def archive() -> list[Any]:
    """One block of honest transactions, as lines without their links."""
    found: list[Any] = [lines.DeploymentLine(deployment=json.loads(DEPLOYMENT.to_json()))]
    logs = [lines.Log(DEPLOYMENT.addresses()[n].hex(), [t.hex() for t in ts], d.hex()) for n, ts, d in LOGS]
    found.append(lines.BlockLine(number=1, hash="", parent="00" * 32, timestamp=0, header={**HEADER, "number": "0x1"}))
    for r in RAWS:
        name = rawtx.transaction_hash(r).hex()
        found.append(lines.TransactionLine(block=1, hash=name, raw=r.hex()))
        found.append(lines.ReceiptLine(transaction=name, status=1, gas_used=9, cumulative_gas=9, created="", logs=logs))
    return [*found, lines.EndLine(blocks=1, transactions=len(RAWS))]


def linked(entries: list[Any], *, proved: bool) -> bytes:
    """The lines with their hash chain; `proved`: with a header that commits to what is there, as far as that goes."""
    prev, out = lines.FIRST_PREV, []
    for entry in entries:
        line = dict(entry) if isinstance(entry, dict) else entry
        if isinstance(line, dict):
            line["prev"] = prev
            if proved and isinstance(line.get("header"), dict):
                committed(line, entries)
        text = msgspec.json.encode(line)
        out.append(text)
        prev = sha256(text).hex()
    return b"".join(text + b"\n" for text in out)


def committed(line: dict[str, Any], entries: list[Any]) -> None:
    raws = [bytes.fromhex(e["raw"]) for e in entries if isinstance(e, dict) and is_hex(e.get("raw"))]
    told = dict(line["header"])
    try:
        told["transactionsRoot"] = "0x" + headers.transactions_root(raws).hex()
        name = headers.header_hash(told)
    except Exception:  # noqa: BLE001 - the reader is under test, not this
        return
    if name is not None:
        line["header"], line["hash"] = told, name.hex()


def is_hex(text: object) -> bool:
    try:
        return isinstance(text, str) and bool(bytes.fromhex(text))
    except ValueError:
        return False


ENTRIES = [tree(line) | {"kind": type(line).__struct_config__.tag} for line in archive()]


def read(data: bytes) -> None:
    found = reader.parse(data)
    assert list(found.events()) is not None
    assert found.gas_used is not None


@target("chain.archive", seeds=lambda: [linked(ENTRIES, proved=True)], memory=32 << 20)
def archive_file(data: bytes) -> None:
    read(data)


@target("chain.archive-spoilt", seeds=lambda: SHAPES, memory=32 << 20)
def archive_spoilt(data: bytes) -> None:
    draw = Draw(data)
    proved = draw.below(3) > 0
    spoilt = edited(ENTRIES, draw)
    if isinstance(spoilt, list):
        read(linked(spoilt, proved=proved))


def door(answer: Any) -> Rpc:
    """An RPC door behind which somebody answers this."""
    rpc = Rpc.__new__(Rpc)
    rpc.url, rpc._lost, rpc._strange = "http://x", (ConnectionError,), (ValueError, TypeError, RecursionError)
    rpc._provider, rpc._one_by_one = answer, False
    return rpc


class Replies:
    """A node that says the same to every call, or one of a list to each call of a batch."""

    def __init__(self, replies: list[Any]) -> None:
        self.replies, self.at = replies, 0

    def next(self) -> Any:
        self.at += 1
        return self.replies[(self.at - 1) % len(self.replies)] if self.replies else None

    def make_request(self, *_: object) -> Any:
        return {"result": self.next()}

    def make_batch_request(self, calls: list[Any]) -> Any:
        return [{"result": self.next()} for _ in calls]


class Said:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def make_request(self, *_: object) -> Any:
        return json.loads(self.data)

    make_batch_request = make_request


ERRORS = (
    b'{"result":"0x1"}', b'{"error":{"code":3,"message":"reverted","data":"0x08c379a0"}}', b'[{"result":1}]',
    b'{"error":{"data":{"0x1":{"return":"0x"}}}}', b'{"error":"no"}',
)  # fmt: skip


@target("rpc.reply", allowed=(ChainError, InputError), seeds=lambda: ERRORS)
def reply(data: bytes) -> None:
    rpc = door(Said(data))
    with contextlib.suppress(ChainError, InputError):
        rpc.batch([("x", ())])
    rpc.call("x")


BLOCK = {"number": "0x9", "hash": "0xab", "baseFeePerGas": "0x7"}
LOG = {
    "address": "0x" + DEPLOYMENT.addresses()[LOGS[0][0]].hex(), "topics": ["0x" + t.hex() for t in LOGS[0][1]],
    "data": "0x" + LOGS[0][2].hex(), "transactionHash": "0x" + "00" * 32,
}  # fmt: skip
RECEIPT = {"status": "0x1", "gasUsed": "0x5", "blockNumber": "0x9"}
PEER = "0x" + abi(["bytes32", "uint256", "bool", "uint64"], [bytes(32), 1, False, 0]).hex()
REPLIES = [BLOCK, BLOCK, "0x0", RECEIPT, [LOG], PEER, "0x" + "00" * 32, "0x", "0x" + "11" * 32]


@target(
    "rpc.ledger", allowed=(PeerageError,), seeds=lambda: [bytes([n * 3, n, 5, n * 11 % 256, 1, n]) for n in range(30)]
)
def ledger(data: bytes) -> None:
    """Looks of the ledger's worker at a hostile node: whatever is not named in `NONSENSE` would end its thread."""
    draw = Draw(data)
    replies = [draw.pick(REPLIES) for _ in range(draw.below(6))]
    spoilt = edited([*REPLIES[:4], *replies], draw)
    node = Replies(spoilt if isinstance(spoilt, list) else [spoilt])
    path = place() / "outbox.jsonl"
    path.unlink(missing_ok=True)
    file = OutboxFile(path, 31337, ME.address)
    mine = chain.ChainLedger.__new__(chain.ChainLedger)
    mine._deployment, mine._account, mine._file, mine._lost = DEPLOYMENT, ME, file, False
    mine._view, mine._told, mine._events, mine._seen = View(), set(), chain.deque(), (-1, "")
    mine._sender = Sender(DEPLOYMENT, ME, file, mine._tell, lambda _: True)
    mine._rpc = door(node)
    for wish in (*wishes.registration(bytes(32), "tcp://127.0.0.1:1/2", 5, [b"1"]), wishes.round_record(RECORD)):
        file.want(wish)
    try:
        for _ in range(3):
            try:
                mine._step()
            except chain.NONSENSE:
                continue
    finally:
        file.close()
    OutboxFile(path, 31337, ME.address).close()  # what was written in the meantime can be read again
