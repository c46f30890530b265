"""The JSON-RPC methods that the embedded EVM answers, in the words of geth: values in, values out, no sockets here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from peerage_ledger.devnets.evm import GAS_LIMIT, EmbeddedChain, Log, Mined, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from peerage_ledger.devnets.evm_log import RawLog

Json: TypeAlias = Any  # what a caller said: checked where it is read
CLIENT: Final = "peerage-embedded/1 (py-evm, shanghai)"
_NO_METHOD: Final = -32601
_BAD_PARAMETERS: Final = -32602


def _quantity(value: int) -> str:
    return hex(value)


def _data(value: bytes) -> str:
    return "0x" + value.hex()


def _unhex(value: Json) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise Refused(f"expected 0x-hex, got {value!r}", _BAD_PARAMETERS)
    try:
        return bytes.fromhex(value[2:])
    except ValueError:
        raise Refused(f"expected 0x-hex, got {value!r}", _BAD_PARAMETERS) from None


def _number(value: Json) -> int:
    try:
        return int(value, 16)
    except (TypeError, ValueError):
        raise Refused(f"expected a hexadecimal quantity, got {value!r}", _BAD_PARAMETERS) from None


class Methods:
    """Every method by its name; the server calls `answer` under its lock."""

    def __init__(self, chain: EmbeddedChain, log: RawLog | None, clock: Callable[[], float] = time.time) -> None:
        self._chain, self._log, self._clock = chain, log, clock
        self._ahead = 0  # seconds added by evm_increaseTime
        self._table: dict[str, Callable[..., Any]] = {
            "web3_clientVersion": lambda: CLIENT,
            "net_version": lambda: str(chain.chain_id),
            "net_listening": lambda: True,
            "eth_syncing": lambda: False,
            "eth_accounts": list,
            "eth_chainId": lambda: _quantity(chain.chain_id),
            "eth_blockNumber": lambda: _quantity(chain.head.number),
            "eth_gasPrice": lambda: _quantity(self._base_fee()),
            "eth_maxPriorityFeePerGas": lambda: _quantity(0),
            "eth_getTransactionCount": self._transaction_count,
            "eth_getBalance": self._balance,
            "eth_getCode": self._code,
            "eth_getStorageAt": self._storage,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
            "eth_sendRawTransaction": self._send_raw,
            "eth_getTransactionByHash": self._transaction,
            "eth_getRawTransactionByHash": self._raw,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getLogs": self._get_logs,
            "evm_mine": self._mine,
            "evm_increaseTime": self._increase_time,
        }

    def answer(self, method: str, parameters: Sequence[Any]) -> Json:
        handler = self._table.get(method)
        if handler is None:
            raise Refused(f"the method {method} does not exist", _NO_METHOD)
        try:
            return handler(*parameters)
        except TypeError as error:
            raise Refused(f"{method}: wrong parameters: {error}", _BAD_PARAMETERS) from None

    def _base_fee(self) -> int:
        return int(self._chain.head.header.base_fee_per_gas)

    def _block(self, tag: Json) -> Mined | None:
        if tag in ("latest", "pending", "safe", "finalized", None):
            return self._chain.head
        number = 0 if tag == "earliest" else _number(tag)
        return self._chain.blocks[number] if number < len(self._chain.blocks) else None

    def _height(self, tag: Json) -> int | None:
        """None stands for the newest state: the usual case, without a look back."""
        block = self._block(tag)
        if block is None:
            raise Refused(f"unknown block {tag}")
        return None if block is self._chain.head else block.number

    def _transaction_count(self, account: Json, tag: Json = "latest") -> str:
        return _quantity(self._chain.nonce(_unhex(account), self._height(tag)))

    def _balance(self, account: Json, tag: Json = "latest") -> str:
        return _quantity(self._chain.balance(_unhex(account), self._height(tag)))

    def _code(self, account: Json, tag: Json = "latest") -> str:
        return _data(self._chain.code(_unhex(account), self._height(tag)))

    def _storage(self, account: Json, slot: Json, tag: Json = "latest") -> str:
        return _data(self._chain.storage(_unhex(account), _number(slot), self._height(tag)))

    @staticmethod
    def _call_fields(call: dict[str, Any]) -> tuple[bytes, bytes, bytes, int]:
        sender = _unhex(call.get("from") or "0x" + "00" * 20)
        to = _unhex(call.get("to") or "0x")
        return sender, to, _unhex(call.get("data") or call.get("input") or "0x"), _number(call.get("value") or "0x0")

    def _call(self, call: dict[str, Any], tag: Json = "latest", _overrides: Json = None) -> str:
        gas = min(_number(call.get("gas") or hex(GAS_LIMIT)), GAS_LIMIT)
        return _data(self._chain.call(*self._call_fields(call), gas, self._height(tag)))

    def _estimate(self, call: dict[str, Any], _tag: Json = "latest") -> str:
        return _quantity(self._chain.estimate(*self._call_fields(call)))

    def _now(self) -> int:
        return self._chain.next_time(int(self._clock()) + self._ahead)

    def _send_raw(self, raw: Json) -> str:
        block = self._chain.mine(_unhex(raw), self._now())
        self._keep(block)
        return _data(bytes(block.transaction.hash))

    def _keep(self, block: Mined) -> None:
        if self._log is not None:
            self._log.append(block.header.timestamp, block.raw, block.header.hash)

    def _mine(self, _options: Json = None) -> str:
        self._keep(self._chain.mine(None, self._now()))
        return _quantity(0)

    def _increase_time(self, seconds: Json) -> int:
        self._ahead += seconds if isinstance(seconds, int) else _number(seconds)
        return self._ahead

    def _find(self, transaction_hash: Json) -> Mined | None:
        number = self._chain.by_transaction.get(_unhex(transaction_hash))
        return None if number is None else self._chain.blocks[number]

    def _raw(self, transaction_hash: Json) -> str | None:
        block = self._find(transaction_hash)
        return None if block is None or block.raw is None else _data(block.raw)

    def _transaction(self, transaction_hash: Json) -> dict[str, Any] | None:
        block = self._find(transaction_hash)
        return None if block is None else self._transaction_fields(block)

    def _price(self, block: Mined) -> int:
        transaction = block.transaction
        base = int(block.header.base_fee_per_gas)
        return int(min(transaction.max_fee_per_gas, base + transaction.max_priority_fee_per_gas))

    def _transaction_fields(self, block: Mined) -> dict[str, Any]:
        transaction, raw = block.transaction, block.raw or b""
        kind = raw[0] if raw[0] < 0x7F else 0  # EIP-2718: a first byte below 0x7f is a type, else a legacy list
        fields: dict[str, Any] = {
            **self._place(block),
            "hash": _data(bytes(transaction.hash)),
            "from": _data(block.sender),
            "to": _data(transaction.to) if transaction.to else None,
            "nonce": _quantity(transaction.nonce),
            "gas": _quantity(transaction.gas),
            "gasPrice": _quantity(self._price(block)),
            "value": _quantity(transaction.value),
            "input": _data(transaction.data),
            "type": _quantity(kind),
            "chainId": _quantity(self._chain.chain_id),
            "r": _quantity(transaction.r),
            "s": _quantity(transaction.s),
        }
        if kind == 0:
            return {**fields, "v": _quantity(transaction.v)}
        fields |= {"v": _quantity(transaction.y_parity), "yParity": _quantity(transaction.y_parity)}
        fields["accessList"] = [
            {"address": _data(a), "storageKeys": [_data(int(k).to_bytes(32, "big")) for k in keys]}
            for a, keys in transaction.access_list
        ]
        if kind == 2:
            fields["maxFeePerGas"] = _quantity(transaction.max_fee_per_gas)
            fields["maxPriorityFeePerGas"] = _quantity(transaction.max_priority_fee_per_gas)
        return fields

    @staticmethod
    def _place(block: Mined) -> dict[str, Any]:
        return {
            "blockHash": _data(block.header.hash),
            "blockNumber": _quantity(block.number),
            "transactionIndex": "0x0",
        }

    def _receipt(self, transaction_hash: Json) -> dict[str, Any] | None:
        block = self._find(transaction_hash)
        if block is None:
            return None
        raw = block.raw or b""
        return {
            **self._place(block),
            "transactionHash": _data(bytes(block.transaction.hash)),
            "from": _data(block.sender),
            "to": _data(block.transaction.to) if block.transaction.to else None,
            "contractAddress": None if block.created is None else _data(block.created),
            "cumulativeGasUsed": _quantity(block.gas_used),
            "gasUsed": _quantity(block.gas_used),
            "effectiveGasPrice": _quantity(self._price(block)),
            "status": _quantity(block.status),
            "type": _quantity(raw[0] if raw[0] < 0x7F else 0),
            "logsBloom": _data(block.bloom.to_bytes(256, "big")),
            "logs": [self._log_fields(log) for log in block.logs],
        }

    def _log_fields(self, log: Log) -> dict[str, Any]:
        block = self._chain.blocks[log.block]
        return {
            **self._place(block),
            "transactionHash": _data(bytes(block.transaction.hash)),
            "logIndex": _quantity(log.index),
            "address": _data(log.address),
            "topics": [_data(t) for t in log.topics],
            "data": _data(log.data),
            "removed": False,
        }

    def _block_by_number(self, tag: Json, full: bool = False) -> dict[str, Any] | None:
        block = self._block(tag)
        return None if block is None else self._block_fields(block, full)

    def _block_by_hash(self, block_hash: Json, full: bool = False) -> dict[str, Any] | None:
        number = self._chain.by_hash.get(_unhex(block_hash))
        return None if number is None else self._block_fields(self._chain.blocks[number], full)

    def _block_fields(self, block: Mined, full: bool) -> dict[str, Any]:
        header = block.header
        transactions: list[Any] = []
        if block.raw is not None:
            transactions = [self._transaction_fields(block) if full else _data(bytes(block.transaction.hash))]
        return {
            "number": _quantity(block.number),
            "hash": _data(header.hash),
            "parentHash": _data(header.parent_hash),
            "sha3Uncles": _data(header.uncles_hash),
            "miner": _data(header.coinbase),
            "stateRoot": _data(header.state_root),
            "transactionsRoot": _data(header.transaction_root),
            "receiptsRoot": _data(header.receipt_root),
            "logsBloom": _data(int(header.bloom).to_bytes(256, "big")),
            "difficulty": _quantity(header.difficulty),
            "gasLimit": _quantity(header.gas_limit),
            "gasUsed": _quantity(header.gas_used),
            "timestamp": _quantity(header.timestamp),
            "extraData": _data(header.extra_data),
            "mixHash": _data(header.mix_hash),
            "nonce": _data(header.nonce),
            "baseFeePerGas": _quantity(header.base_fee_per_gas),
            "withdrawalsRoot": _data(header.withdrawals_root),
            "withdrawals": [],
            "uncles": [],
            "size": _quantity(len(block.raw or b"") + 600),
            "transactions": transactions,
        }

    def _get_logs(self, want: dict[str, Any]) -> list[dict[str, Any]]:
        if "blockHash" in want:
            number = self._chain.by_hash.get(_unhex(want["blockHash"]))
            if number is None:
                raise Refused("unknown block")
            first = last = number
        else:
            first = self._bound(want.get("fromBlock", "latest"))
            last = self._bound(want.get("toBlock", "latest"))
        given = want.get("address") or []
        addresses = frozenset(_unhex(a) for a in (given if isinstance(given, list) else [given]))
        topics = [
            None if t is None else frozenset(_unhex(one) for one in (t if isinstance(t, list) else [t]))
            for t in want.get("topics") or []
        ]
        return [self._log_fields(log) for log in self._chain.logs(first, last, addresses, topics)]

    def _bound(self, tag: Json) -> int:
        if tag == "earliest":
            return 0
        return self._chain.head.number if not str(tag).startswith("0x") else _number(tag)
