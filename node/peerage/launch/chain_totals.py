"""What the chain says a run has cost and paid: read once at the end, over JSON-RPC, from any engine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from peerage_ledger.contracts import BadEncoding, contract
from peerage_ledger.deployment import Deployment
from peerage_ledger.rpc import Rpc, connect

BLOCKS_AT_ONCE = 200
SETTING_UP = {"fund"}  # of the vault: deployment's business


@dataclass(frozen=True, slots=True)
class ChainTotals:
    """After registration and deployment: rounds, published roots and claims. Accounts are 20 bytes."""

    transactions: int = 0
    failed: int = 0
    gas: int = 0
    rounds: int = 0
    epochs: int = 0  # reward roots that stand
    claimed: dict[bytes, int] = field(default_factory=dict[bytes, int])

    @property
    def paid(self) -> int:
        return sum(self.claimed.values())


def read_totals(deployment: Deployment) -> ChainTotals:
    """Raises Unreachable when the node is gone."""
    rpc = connect(deployment.rpc, deployment.chain_id)
    ledger, vault = contract("RoundLedger"), contract("RewardVault")
    transactions = failed = gas = rounds = epochs = 0
    claimed: dict[bytes, int] = {}
    for transaction, receipt in _of_interest(rpc, deployment):
        to_vault = transaction["to"] == _hex(deployment.vault)
        called = (vault if to_vault else ledger).decode_call(bytes.fromhex(transaction["input"][2:])).name
        if called in SETTING_UP:
            continue
        transactions += 1
        gas += int(receipt["gasUsed"], 16)
        failed += receipt["status"] != "0x1"
        rounds += called == "recordRound"
        for log in receipt["logs"]:
            if log["address"].lower() != _hex(deployment.vault):
                continue
            try:
                event = vault.decode_event(
                    [bytes.fromhex(topic[2:]) for topic in log["topics"]], bytes.fromhex(log["data"][2:])
                )
            except BadEncoding:
                continue  # an event of the token behind the vault
            epochs += (event.name == "RootPublished") - (event.name == "RootVoided")
            if event.name == "RewardClaimed":
                claimed[event.values["account"]] = max(
                    claimed.get(event.values["account"], 0), event.values["cumulative"]
                )
    return ChainTotals(transactions, failed, gas, rounds, epochs, claimed)


def _of_interest(rpc: Rpc, deployment: Deployment) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Transactions to the round ledger and the vault with their receipts, in the order of the chain."""
    places = {_hex(deployment.ledger), _hex(deployment.vault)}
    last = int(rpc.call("eth_blockNumber"), 16)
    for numbers in _batches(range(deployment.start_block, last + 1)):
        blocks = rpc.batch([("eth_getBlockByNumber", (hex(number), True)) for number in numbers])
        wanted = [
            {**transaction, "to": transaction["to"].lower()}
            for block in blocks
            for transaction in block["transactions"]
            if transaction["to"] and transaction["to"].lower() in places
        ]
        receipts = rpc.batch([("eth_getTransactionReceipt", (t["hash"],)) for t in wanted]) if wanted else []
        yield from zip(wanted, receipts, strict=True)


def _batches(numbers: range) -> Iterator[Sequence[int]]:
    for first in range(0, len(numbers), BLOCKS_AT_ONCE):
        yield numbers[first : first + BLOCKS_AT_ONCE]


def _hex(address: bytes) -> str:
    return "0x" + address.hex()
