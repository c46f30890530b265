"""The market and the watch on a chain: views, events, and transactions that are waited for. For commands only.

Whoever sells, buys or watches waits at the terminal for its answer, so there is no outbox here.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Any, Final

from peerage_crypto.errors import InputError
from peerage_ledger.contracts import BadEncoding, contract
from peerage_ledger.deploy import Deployer, verify_code
from peerage_ledger.market.statements import Listing, Watch
from peerage_ledger.records import RoundRecord
from peerage_ledger.rpc import RpcError, connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from peerage_crypto.identity import Account
    from peerage_ledger.deployment import Deployment

_BLOCKS_AT_ONCE: Final = 2000
STATES: Final = ("none", "bought", "delivered", "settled", "refunded")


class Door:
    """One federation's contracts behind one node; InputError when they are not there or not these."""

    def __init__(self, deployment: Deployment, rpc_url: str = "") -> None:
        self.deployment = deployment
        self._rpc = connect(rpc_url or deployment.rpc, deployment.chain_id)
        verify_code(deployment, self._rpc)

    # -- looking

    def view(self, name: str, function: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever the ABI says
        """The one value that a view answers."""
        (value,) = self.views(name, function, *arguments)
        return value

    def views(self, name: str, function: str, *arguments: object) -> tuple[Any, ...]:
        place, data = self.deployment.places[name], contract(name).call(function, *arguments)
        call = {"to": "0x" + place.hex(), "data": "0x" + data.hex()}
        return contract(name).result(function, bytes.fromhex(self._rpc.call("eth_call", call, "latest")[2:]))

    def now(self) -> int:
        """The time of the newest block (Unix seconds): the one that deadlines are compared with."""
        return int(self._rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def happened(self, name: str, event: str) -> Iterator[dict[str, Any]]:
        """The values of every event of that name, oldest first."""
        place, topic = "0x" + self.deployment.places[name].hex(), "0x" + contract(name).topic(event).hex()
        head, first, some = int(self._rpc.call("eth_blockNumber"), 16), self.deployment.start_block, _BLOCKS_AT_ONCE
        while first <= head:
            last = min(first + some - 1, head)
            wanted = {"address": place, "topics": [topic], "fromBlock": hex(first), "toBlock": hex(last)}
            try:
                logs = self._rpc.call("eth_getLogs", wanted)
            except RpcError:
                if some == 1:
                    raise
                some //= 2  # nodes limit blocks or logs in an answer
                continue
            for log in logs:
                topics = [bytes.fromhex(t[2:]) for t in log["topics"]]
                try:
                    yield contract(name).decode_event(topics, bytes.fromhex(log["data"][2:])).values
                except BadEncoding:
                    continue
            first = last + 1

    def record_of(self, aggregate: bytes) -> tuple[bytes, RoundRecord]:
        """Name and content of the newest record of this model; InputError when the ledger has none."""
        found = [
            (values["record"], RoundRecord(*values["data"]))
            for values in self.happened("RoundLedger", "RoundRecorded")
            if values["data"][4] == aggregate
        ]
        if not found:
            raise InputError(f"the ledger has no record of the model {aggregate.hex()[:16]}: was its round recorded?")
        return found[-1]

    def offer(self, listing: bytes) -> dict[str, Any]:
        """`IModelMarket.Offer` by field; InputError for no listing."""
        terms, delisted, root, total, revenue, paid = self.view("ModelMarket", "offerOf", listing)
        if total == 0:
            raise InputError(f"the market has no listing {listing.hex()}: `peerage market show` prints what it has")
        return {
            "listing": Listing(*terms),
            "delisted": delisted,
            "root": root,
            "total": total,
            "revenue": revenue,
            "paid": paid,
        }

    def receipt(self, sale: bytes) -> dict[str, Any]:
        """`IModelMarket.Receipt` by field, its state in a word; InputError for no sale."""
        names = (
            "listing",
            "aggregate",
            "licence",
            "price",
            "buyer",
            "state",
            "until",
            "deliverer",
            "buyer_key",
            "sender_key",
            "sealed_key",
        )
        values = dict(zip(names, self.view("ModelMarket", "receiptOf", sale), strict=True))
        if values["state"] == 0:
            raise InputError(f"the market has no sale {sale.hex()}")
        for name in ("buyer", "deliverer"):
            values[name] = bytes.fromhex(values[name][2:])
        return values | {"state": STATES[values["state"]]}

    def standing(self, watch: bytes) -> dict[str, Any]:
        """`IModelWatch.Standing` by field; InputError for no watch."""
        terms, last, reported_at, bad, task = self.view("ModelWatch", "standingOf", watch)
        if terms[4] == 0:
            raise InputError(f"nobody watches under {watch.hex()} on this chain")
        return {"terms": Watch(*terms), "last": last, "reported_at": reported_at, "bad": bad, "task": task}

    def active(self, accounts: Sequence[Account]) -> list[Account]:
        """Those that are active peers now, in the order in which signatures are sent."""
        ordered = sorted(accounts, key=lambda account: account.address)
        return [account for account in ordered if self.view("PeerRegistry", "isActive", account.address)]

    def quorum(self) -> int:
        """How many signatures the contracts ask for now."""
        return int(self.view("RewardVault", "quorum", self.view("PeerRegistry", "activeCount")))

    # -- doing

    def send(self, account: Account, what: str, name: str, function: str, *arguments: object) -> int:
        """Gas used; ChainError with the contract's reason when it refuses."""
        deployer = Deployer(self._rpc, account, self.deployment.chain_id)
        deployer.send_all([(what, self.deployment.places[name], contract(name).call(function, *arguments))])
        return deployer.sent[0].gas_used

    def list_model(
        self, account: Account, listing: Listing, record: RoundRecord, signatures: Mapping[bytes, bytes]
    ) -> int:
        ordered = [signatures[signer] for signer in sorted(signatures)]
        arguments = astuple(listing), record.as_tuple(), ordered
        return self.send(account, "listing the model", "ModelMarket", "list", *arguments)

    def buy(self, account: Account, listing: bytes, price: int, buyer_key: bytes) -> int:
        market = self.deployment.market
        gas = self.send(account, "allowing the price", "PeerageToken", "approve", market, price)
        return gas + self.send(account, "buying the licence", "ModelMarket", "buy", listing, buyer_key)
