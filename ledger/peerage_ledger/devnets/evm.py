"""The embedded EVM: a chain in this process for machines without Node.js.

py-evm executes; we keep our own index of blocks, receipts and logs beside it, because walking its database for
`eth_getLogs` takes seconds after a few hundred blocks. A transaction is a block. The state on disk is the log of
raw transactions with the block times at which they ran: replaying it gives the same blocks, hash for hash.
Nothing here is thread-safe; the server holds one lock (`embedded.py`).
"""

from __future__ import annotations

import bisect
import contextlib
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from eth._utils.address import generate_contract_address
from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.exceptions import Revert, VMError
from eth.vm.forks.shanghai import ShanghaiVM
from eth.vm.spoof import SpoofTransaction
from eth_typing import Address, BlockNumber
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException  # type: ignore[import-untyped]  # ships no types

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# py-evm lifts Python's recursion limit to 100,000 as it is imported; at that depth a parser in C, such as json's, runs
# off its stack and takes the process with it. Our contracts call each other a few levels deep.
sys.setrecursionlimit(5_000)

GAS_LIMIT: Final = 30_000_000
ZERO_ADDRESS: Final = b"\0" * 20
PyEvm: TypeAlias = Any  # py-evm builds its classes at run time; this file is the wall around them
_RICH: Final = 1 << 160  # what a caller without funds is lent for a simulation; never in a block


class Refused(Exception):
    """What a node answers to a transaction or call that it will not take; `data` is the revert payload."""

    def __init__(self, message: str, code: int = -32000, data: bytes | None = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


@dataclass(frozen=True, slots=True)
class Log:
    block: int
    index: int  # within the block, which is within its transaction: one transaction a block
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Mined:
    """One block and the transaction in it (None for a block mined empty)."""

    number: int
    header: PyEvm
    raw: bytes | None = None
    transaction: PyEvm = None
    sender: bytes = b""
    gas_used: int = 0
    status: int = 1
    bloom: int = 0
    created: bytes | None = None
    logs: tuple[Log, ...] = field(default_factory=tuple)


class EmbeddedChain:
    def __init__(self, chain_id: int, genesis_time: int, balances: Mapping[bytes, int]) -> None:
        self.chain_id = chain_id

        class Shanghai(MiningChain):
            vm_configuration = ((BlockNumber(0), ShanghaiVM),)

            def create_header_from_parent(self, parent_header: PyEvm, **params: PyEvm) -> PyEvm:
                return super().create_header_from_parent(parent_header, **{**params, "gas_limit": GAS_LIMIT})

        Shanghai.chain_id = chain_id
        parameters: dict[str, Any] = {
            "coinbase": ZERO_ADDRESS,
            "difficulty": 0,
            "extra_data": b"",
            "gas_limit": GAS_LIMIT,
            "mix_hash": b"\0" * 32,
            "nonce": b"\0" * 8,
            "timestamp": genesis_time,
        }
        funded: PyEvm = {a: {"balance": v, "nonce": 0, "code": b"", "storage": {}} for a, v in balances.items()}
        self._chain: PyEvm = Shanghai.from_genesis(AtomicDB(), parameters, funded)
        self.blocks = [Mined(0, self._chain.get_canonical_block_header_by_number(BlockNumber(0)))]
        self.by_hash: dict[bytes, int] = {self.blocks[0].header.hash: 0}
        self.by_transaction: dict[bytes, int] = {}
        self._logs: list[Log] = []
        self._log_blocks: list[int] = []

    @property
    def head(self) -> Mined:
        return self.blocks[-1]

    def next_time(self, now: int) -> int:
        """Block times rise by at least one second, so a burst of transactions runs ahead of the clock."""
        return max(now, int(self.head.header.timestamp) + 1)

    def mine(self, raw: bytes | None, timestamp: int) -> Mined:
        """Execute one raw signed transaction in a block of its own (or mine an empty block)."""
        transactions = [] if raw is None else [self._admit(raw)]
        # py-evm executes under a header stamped with its own clock: a replay must see the recorded time.
        self._chain.header = self._chain.header.copy(timestamp=timestamp)
        try:
            imported, receipts, _ = self._chain.mine_all(transactions, timestamp=timestamp, coinbase=ZERO_ADDRESS)
        except ValidationError as error:
            raise Refused(str(error)) from None
        header = imported.imported_block.header
        number = len(self.blocks)
        block = Mined(number, header) if raw is None else _mined(number, header, raw, transactions[0], receipts[0])
        self.blocks.append(block)
        self.by_hash[header.hash] = number
        if raw is not None:
            self.by_transaction[transactions[0].hash] = number
        self._logs.extend(block.logs)
        self._log_blocks.extend(number for _ in block.logs)
        return block

    def _admit(self, raw: bytes) -> PyEvm:
        try:
            transaction = self._chain.get_vm().get_transaction_builder().decode(raw)
            sender = transaction.sender
        except (RLPException, ValidationError, VMError, ValueError, TypeError) as error:
            raise Refused(f"cannot decode the raw transaction: {error}", -32602) from None
        if transaction.hash in self.by_transaction:
            raise Refused("already known")
        if transaction.chain_id != self.chain_id:
            raise Refused(f"invalid chain id: have {transaction.chain_id}, want {self.chain_id}")
        if transaction.gas > GAS_LIMIT:
            raise Refused(f"exceeds block gas limit of {GAS_LIMIT}")
        nonce = self.nonce(sender)
        if transaction.nonce != nonce:
            side = "low" if transaction.nonce < nonce else "high"
            raise Refused(f"nonce too {side}: have {transaction.nonce}, want {nonce}")
        return transaction

    def _state(self, number: int | None = None) -> PyEvm:
        header = self.head.header if number is None else self.blocks[number].header
        return self._chain.get_vm(at_header=header).state

    def nonce(self, account: bytes, number: int | None = None) -> int:
        return int(self._state(number).get_nonce(account))

    def balance(self, account: bytes, number: int | None = None) -> int:
        return int(self._state(number).get_balance(account))

    def code(self, account: bytes, number: int | None = None) -> bytes:
        return bytes(self._state(number).get_code(account))

    def storage(self, account: bytes, slot: int, number: int | None = None) -> bytes:
        return int(self._state(number).get_storage(account, slot)).to_bytes(32, "big")

    def call(
        self, sender: bytes, to: bytes, data: bytes, value: int = 0, gas: int = GAS_LIMIT, number: int | None = None
    ) -> bytes:
        return bytes(self._simulate(sender, to, data, value, gas, number).output)

    def estimate(self, sender: bytes, to: bytes, data: bytes, value: int = 0) -> int:
        """Smallest gas limit within 3 % that succeeds: inner calls get 63/64, so what was used need not suffice."""
        used = GAS_LIMIT - int(self._simulate(sender, to, data, value, GAS_LIMIT, None).get_gas_remaining())
        low, high = used, GAS_LIMIT
        guess = used + used // 16
        while high - low > low // 32:
            try:
                self._simulate(sender, to, data, value, guess, None)
                high = guess
            except Refused:
                low = guess
            guess = min((low + high) // 2, low * 2)
        return high

    def _simulate(self, sender: bytes, to: bytes, data: bytes, value: int, gas: int, number: int | None) -> PyEvm:
        header = self.blocks[number].header if number is not None else self._chain.header
        if number is None:  # py-evm stamps it with its own clock, behind which evm_increaseTime may be
            header = header.copy(timestamp=self.next_time(int(header.timestamp)))
        vm = self._chain.get_vm(header)
        state = vm.state
        price = state.base_fee
        state.set_balance(sender, max(state.get_balance(sender), _RICH))
        unsigned = vm.get_transaction_builder().new_unsigned_dynamic_fee_transaction(
            chain_id=self.chain_id,
            nonce=state.get_nonce(sender),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=price,
            gas=gas,
            to=to,
            value=value,
            data=data,
            access_list=(),
        )
        try:
            result = state.apply_transaction(SpoofTransaction(unsigned, from_=sender))
        except ValidationError as error:
            raise Refused(str(error)) from None
        if result.is_error:
            if isinstance(result.error, Revert):
                raise Refused("execution reverted", 3, bytes(result.output))
            raise Refused(f"{type(result.error).__name__}: {result.error}")
        return result

    def logs(
        self, first: int, last: int, addresses: frozenset[bytes], topics: Sequence[frozenset[bytes] | None]
    ) -> Iterator[Log]:
        """Logs of blocks first..last; no addresses means any; a topic position of None means any."""
        start = bisect.bisect_left(self._log_blocks, first)
        stop = bisect.bisect_right(self._log_blocks, last)
        for log in self._logs[start:stop]:
            if addresses and log.address not in addresses:
                continue
            if len(log.topics) < len(topics):
                continue
            if all(want is None or have in want for want, have in zip(topics, log.topics, strict=False)):
                yield log


def _mined(number: int, header: PyEvm, raw: bytes, transaction: PyEvm, receipt: PyEvm) -> Mined:
    sender = bytes(transaction.sender)
    logs = tuple(
        Log(number, i, bytes(log.address), tuple(int(t).to_bytes(32, "big") for t in log.topics), bytes(log.data))
        for i, log in enumerate(receipt.logs)
    )
    created = None
    if transaction.to == b"":
        with contextlib.suppress(ValidationError):
            created = bytes(generate_contract_address(Address(sender), transaction.nonce))
    return Mined(
        number,
        header,
        raw,
        transaction,
        sender,
        int(receipt.gas_used),
        1 if receipt.state_root == b"\x01" else 0,
        int(receipt.bloom),
        created,
        logs,
    )
