"""A chain and its one node in memory, and a peer's real ledger client in front of it.

The contracts' rules are those of `MemoryChain`; around them are blocks, nonces, a mempool and receipts, and every way
in which a development chain disappoints: it stalls, dies and comes back, loses transactions, forks back a few blocks,
mines in another order than it was told, refuses what it has taken, and answers one question of a batch later than the
others. The client is `ChainLedger` with its outbox, wishes and sender; only its thread is replaced by virtual time.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256 as _sha
from typing import TYPE_CHECKING, Any

from eth_abi.abi import encode
from sim_disk import CLOCK

from peerage_crypto.digest import claim_leaf, keccak256
from peerage_crypto.errors import Unreachable
from peerage_ledger import chain as chain_module
from peerage_ledger import events, rawtx
from peerage_ledger import listener as listener_module
from peerage_ledger.chain import ChainLedger
from peerage_ledger.contracts import Decoded, contract
from peerage_ledger.cursor import CursorFile
from peerage_ledger.listener import Listener
from peerage_ledger.memory import MemoryChain, Reverted
from peerage_ledger.outbox import OutboxFile
from peerage_ledger.records import RewardRoot, RoundRecord, Steps, unpacked
from peerage_ledger.rpc import RpcError
from peerage_ledger.sender import Sender

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    from sim_disk import SimPath

    from peerage_crypto.identity import Account

BLOCK_SECONDS = 0.2
LOG_MARK = b"sim-log:"  # a log's data here is its place in the node's own table: no ABI both ways


@dataclass(frozen=True)
class Bad:
    """How the node disappoints: probabilities per transaction or call, and what happens when (virtual seconds)."""

    drop: float = 0.0  # a transaction that was taken disappears from the mempool
    refuse: float = 0.0  # a transaction that was taken is answered with an error
    unreachable: float = 0.0  # a call gets no answer
    uneven: float = 0.0  # a block is mined between two answers of one batch
    shuffle: bool = False  # transactions of different accounts in any order
    stall: tuple[float, float] | None = None  # no block from, to
    down: tuple[float, float] | None = None  # no node from, to; its mempool is lost
    fork: tuple[float, int] | None = None  # when, and how many blocks are forgotten
    fork_keeps: bool = True  # forgotten transactions go back to the mempool


@dataclass
class Block:
    number: int
    name: bytes
    transactions: list[rawtx.Transaction] = field(default_factory=list)
    events: list[events.ContractEvent] = field(default_factory=list)
    receipts: dict[bytes, tuple[int, int]] = field(default_factory=dict)  # transaction -> status, gas
    logs: list[tuple[bytes, events.ContractEvent]] = field(default_factory=list)  # transaction, event


class Contracts(MemoryChain):
    """MemoryChain that can try a call without keeping it, and pays claims by proof."""

    def __init__(self, federation: bytes, pool: int) -> None:
        self.dry = False
        super().__init__(federation, pool=pool)

    def emit(self, event: events.ContractEvent) -> None:
        if not self.dry:
            super().emit(event)

    def replay(self, event: events.ContractEvent) -> None:
        """An event of a block that is kept."""
        self.emit(event)
        match event:
            case events.PeerRegistered(address, key, _, _) | events.TransportKeyRotated(address, key):
                self._owners[key] = address
            case events.RoundRecorded(record):
                self._newest = max(self._newest, record.round)

    def attempt(self, transaction: Any, *, dry: bool) -> list[events.ContractEvent]:
        """Carry one call out; Reverted undoes it."""
        before, newest, owners = len(self.log), self._newest, dict(self._owners)
        self.dry = dry
        try:
            self._dispatch(transaction.sender, transaction.to, transaction.data)
        except Reverted:
            self._newest, self._owners = newest, owners
            raise
        finally:
            if dry:
                self._newest, self._owners = newest, owners
            self.dry = False
        return self.log[before:]

    def _dispatch(self, sender: bytes, to: bytes, data: bytes) -> None:
        name = next(n for n, address in self.deployment.addresses().items() if address == to)
        call = contract(name).decode_call(data)
        v = list(call.values.values())
        match call.name:
            case "recordRound":
                self.record(sender, RoundRecord(*v[0]))
            case "recordRounds":
                self._record_all(sender, [RoundRecord(*one) for one in v[0]])
            case "publish":
                self._publish(*v)
            case "claimMany":
                self._claim(*v)
            case "rotateKey":
                known = self.view.peers[sender]
                self.register(sender, v[0], known.endpoint, known.stake)
            case "setEndpoint":
                known = self.view.peers[sender]
                self.register(sender, known.transport_key, v[0], known.stake)
            case _:
                raise AssertionError(call.name)

    def _record_all(self, sender: bytes, line: list[RoundRecord]) -> None:
        lacking = [record for record in line if record.record_hash() not in self.view.records]
        self.record_all(
            sender, lacking[:1] if self.dry else lacking
        )  # a trial keeps nothing on which others could stand

    def _publish(self, *v: Any) -> None:
        steps = Steps(tuple(v[4]), tuple(v[5]))
        self.publish(RewardRoot(*v[:4], steps.digest()), steps, unpacked(v[6]))

    def _claim(self, accounts: Sequence[bytes], totals: Sequence[int], proofs: Sequence[Sequence[bytes]]) -> None:
        published = self.view.vault.published
        for account, cumulative, proof in zip(accounts, totals, proofs, strict=True):
            node = claim_leaf(account, cumulative)
            for sibling in proof:
                node = keccak256(min(node, sibling) + max(node, sibling))
            if published is None or node != published.root:
                raise Reverted("BadProof")
            paid = self.view.vault.claimed.get(account, 0)
            if cumulative <= paid:
                raise Reverted("NothingToClaim")
            self.emit(events.RewardClaimed(account, cumulative - paid, cumulative))


class SimNode:
    """The chain that all share. `at` schedules, `changed` is told of every new block, fork and awakening."""

    def __init__(self, federation: bytes, pool: int, draw: random.Random, bad: Bad = Bad()) -> None:
        self.federation, self.pool, self.draw, self.bad = federation, pool, draw, bad
        self.contracts = Contracts(federation, pool)
        self.blocks = [Block(0, _sha(b"block 0" + federation).digest())]
        self.blocks[0].events = list(self.contracts.log)
        self.blocks[0].logs = [(self.blocks[0].name, event) for event in self.contracts.log]
        self.mempool: dict[bytes, rawtx.Transaction] = {}
        self.raw: dict[bytes, bytes] = {}  # everything ever sent, by hash: what an archive would hold
        self.up = True
        self.stalled = False
        self.forks = 0
        self.calm = False  # the faults are over
        self.changed: Callable[[], None] = lambda: None
        self.at: Callable[[float, Callable[[], None]], None] = lambda _seconds, _action: None
        self._mining = False
        _logs.clear()
        self._addresses = self.contracts.deployment.addresses()

    # -- before the run ------------------------------------------------------------------------------------------------

    def register(self, address: bytes, key: bytes) -> None:
        self.contracts.register(address, key, f"tcp://{address.hex()[:8]}", 1)
        event = self.contracts.log[-1]
        self.blocks[0].events.append(event)
        self.blocks[0].logs.append((self.blocks[0].name, event))

    def start(self) -> None:
        """Put the faults into the schedule."""
        b = self.bad
        for span, on, off in ((b.stall, self._stall, self._go_on), (b.down, self._die, self._return)):
            if span is not None:
                self.at(span[0], on)
                self.at(span[1], off)
        if b.fork is not None:
            self.at(b.fork[0], lambda: self.fork_back(b.fork[1]))

    @property
    def quiet_from(self) -> float:
        """When the last scheduled fault is over."""
        b = self.bad
        return max((b.stall or (0, 0))[1], (b.down or (0, 0))[1], (b.fork or (0.0, 0))[0])

    # -- faults --------------------------------------------------------------------------------------------------------

    def _stall(self) -> None:
        self.stalled = True

    def _go_on(self) -> None:
        self.stalled = False
        self._soon()

    def _die(self) -> None:
        self.up, self.mempool = False, {}

    def _return(self) -> None:
        self.up = True
        self._soon()
        self.changed()

    def fork_back(self, count: int) -> None:
        """The newest blocks never happened; what they contained waits again, or is lost."""
        count = min(count, len(self.blocks) - 1)
        if count <= 0:
            return
        lost, self.blocks = self.blocks[-count:], self.blocks[:-count]
        self.forks += 1
        self.contracts = Contracts(self.federation, 0)
        for block in self.blocks:
            for event in block.events:
                self.contracts.replay(event)
        if self.bad.fork_keeps:
            self.mempool = {t.hash: t for block in lost for t in block.transactions} | self.mempool
        self._soon()
        self.changed()

    def calm_down(self) -> None:
        """From now on the node does what it should."""
        self.calm, self.bad = True, Bad()
        self.stalled, self.up = False, True
        self._soon()
        self.changed()

    # -- blocks --------------------------------------------------------------------------------------------------------

    def nonce(self, account: bytes) -> int:
        return sum(t.sender == account for block in self.blocks for t in block.transactions)

    def _soon(self) -> None:
        if not self._mining:
            self._mining = True
            self.at(BLOCK_SECONDS, self._mine_later)

    def _mine_later(self) -> None:
        self._mining = False
        self.mine()

    def mine(self) -> None:
        """A block of whatever can go into one; none when there is nothing."""
        if not self.up or self.stalled:
            return
        nonces: dict[bytes, int] = {}
        order = list(self.mempool.values())
        if self.bad.shuffle:
            self.draw.shuffle(order)
        chosen: list[rawtx.Transaction] = []
        for sender in dict.fromkeys(t.sender for t in order):
            nonces[sender] = self.nonce(sender)
            for t in sorted((t for t in order if t.sender == sender), key=lambda t: t.nonce):
                if t.nonce == nonces[sender]:
                    chosen.append(t)
                    nonces[sender] += 1
        for t in order:
            if t in chosen or t.nonce < nonces[t.sender]:
                del self.mempool[t.hash]
        if not chosen:
            return
        number = len(self.blocks)
        name = _sha(self.blocks[-1].name + bytes([self.forks % 256]) + b"".join(t.hash for t in chosen)).digest()
        block = Block(number, name, chosen)
        for t in chosen:
            try:
                found = self.contracts.attempt(t, dry=False)
                block.receipts[t.hash] = (1, 50_000)
                block.events += found
                block.logs += [(t.hash, event) for event in found]
            except Reverted:
                block.receipts[t.hash] = (0, 30_000)
        self.blocks.append(block)
        if self.mempool:
            self._soon()
        self.changed()

    # -- what a client asks --------------------------------------------------------------------------------------------

    def answer(self, method: str, parameters: Sequence[Any]) -> Any:
        """One call; RpcError as the node would say it."""
        match method:
            case "eth_getBlockByNumber":
                where = len(self.blocks) - 1 if parameters[0] == "latest" else int(parameters[0], 16)
                if where >= len(self.blocks):
                    return None
                block = self.blocks[where]
                return {"number": hex(block.number), "hash": "0x" + block.name.hex(), "baseFeePerGas": "0x1"}
            case "eth_getTransactionCount":
                return hex(self.nonce(bytes.fromhex(parameters[0][2:])))
            case "eth_getTransactionReceipt":
                return self._receipt(bytes.fromhex(parameters[0][2:]))
            case "eth_sendRawTransaction":
                return self._take(bytes.fromhex(parameters[0][2:]))
            case "eth_call":
                return self._call(parameters[0])
            case "eth_getLogs":
                return self._find(parameters[0])
            case _:
                raise AssertionError(method)

    def _receipt(self, name: bytes) -> Any:
        for block in reversed(self.blocks):
            if name in block.receipts:
                status, gas = block.receipts[name]
                return {"status": hex(status), "gasUsed": hex(gas), "blockNumber": hex(block.number)}
        return None

    def _take(self, raw: bytes) -> str:
        transaction = rawtx.decode(raw)
        self.raw[transaction.hash] = raw
        if transaction.nonce < self.nonce(transaction.sender):
            raise RpcError("eth_sendRawTransaction", -32000, "nonce too low", b"")
        if transaction.hash in self.mempool:
            raise RpcError("eth_sendRawTransaction", -32000, "already known", b"")
        if any(t.sender == transaction.sender and t.nonce == transaction.nonce for t in self.mempool.values()):
            raise RpcError("eth_sendRawTransaction", -32000, "replacement transaction underpriced", b"")
        if self.draw.random() >= self.bad.drop:
            self.mempool[transaction.hash] = transaction
            self._soon()
        if self.draw.random() < self.bad.refuse:
            raise RpcError("eth_sendRawTransaction", -32000, "nonce too low", b"")
        return "0x" + transaction.hash.hex()

    def _call(self, query: dict[str, str]) -> str:
        to, data = bytes.fromhex(query["to"][2:]), bytes.fromhex(query["data"][2:])
        if "from" in query:
            call = _Call(bytes.fromhex(query["from"][2:]), to, data)
            try:
                self.contracts.attempt(call, dry=True)
            except Reverted as error:
                raise RpcError("eth_call", 3, "execution reverted", _selector(str(error))) from None
            return "0x"
        name = next(n for n, address in self._addresses.items() if address == to)
        asked = contract(name).decode_call(data)
        v, view = list(asked.values.values()), self.contracts.view
        match asked.name:
            case "isRecorded":
                return _word(v[1] in view.records and view.records[v[1]].round == v[0])
            case "published":
                root = view.vault.published or RewardRoot(0, bytes(32), 0, bytes(32), bytes(32))
                return _word(root.epoch) + root.root.hex() + _word(root.total)[2:] + _word(0)[2:]
            case "publication":
                root = view.vault.published
                place = self.contracts.deployment
                digest = root.digest(place.chain_id, place.vault) if root else bytes(32)
                types = "(uint64,bytes32,bytes32,bytes32,uint64,uint64)"
                return "0x" + encode((types,), ((view.vault.epoch, digest, bytes(32), bytes(32), 0, 0),)).hex()
            case "wasVoided":
                return _word(v[0] in self.contracts.voided_roots)
            case "claimedBy":
                return _word(view.vault.claimed.get(v[0], 0))
            case "peerOf":
                peer = view.peers[v[0]]
                return (
                    "0x"
                    + encode(
                        ("bytes32", "uint256", "bool", "uint64"), (peer.transport_key, peer.stake, peer.active, 0)
                    ).hex()
                )
            case _:
                raise AssertionError(asked.name)

    def _find(self, want: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for block in self.blocks[int(want["fromBlock"], 16) : int(want["toBlock"], 16) + 1]:
            for place, (transaction, event) in enumerate(block.logs):
                token = LOG_MARK + block.name + place.to_bytes(2, "big")
                _logs[token] = event
                found.append(
                    {
                        "address": "0x" + self._addresses["RoundLedger"].hex(),
                        "topics": ["0x" + token.hex()],
                        "data": "0x",
                        "transactionHash": "0x" + transaction.hex(),
                    }
                )
        return found


@dataclass(frozen=True)
class _Call:
    sender: bytes
    to: bytes
    data: bytes


def _word(value: int) -> str:
    return "0x" + int(value).to_bytes(32, "big").hex()


def _selector(error: str) -> bytes:
    for name in ("RoundLedger", "RewardVault", "PeerRegistry"):
        for selector, item in contract(name).errors.items():
            if item.name == error:
                return selector
    raise AssertionError(error)


class SimRpc:
    """One client's door to the node."""

    url = "sim:"

    def __init__(self, node: SimNode) -> None:
        self.node = node

    def call(self, method: str, *parameters: Any) -> Any:
        self._reach()
        return self.node.answer(method, parameters)

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """In any order: a block may come between two answers."""
        self._reach()
        found: list[Any] = []
        for method, parameters in calls:
            if self.node.draw.random() < self.node.bad.uneven:
                self.node.mine()
            found.append(self.node.answer(method, parameters))
        return found

    def _reach(self) -> None:
        if not self.node.up or self.node.draw.random() < self.node.bad.unreachable:
            raise Unreachable("sim: no node answers there")


class SimLedger(ChainLedger):
    """The real client without its thread: `look` is one pass of its worker."""

    def __init__(self, node: SimNode, account: Account, outbox: SimPath, wake: Callable[[], None]) -> None:
        self._deployment, self._account, self._notify = node.contracts.deployment, account, None
        self._pay = None  # the simulated chain has no code to check
        self.node = node
        self._events: deque[events.LedgerEvent] = deque()
        self._file = OutboxFile(outbox, self._deployment.chain_id, account.address)  # type: ignore[arg-type]
        cursor = CursorFile(outbox.with_suffix(".events.jsonl"), self._deployment)  # type: ignore[arg-type]
        with _virtual_clock():
            self._listener = Listener(self._deployment, cursor, self._tell)
        self._sender = Sender(
            self._deployment, account, self._file, self._tell, lambda name: name in self._listener.view.records
        )
        self._rpc = SimRpc(node)  # type: ignore[assignment]
        self._lost = False
        self._wake_up = wake
        self.tries = 0

    def _want(self, wish: Any) -> None:
        self._file.want(wish)
        self._wake_up()

    def look(self) -> float | None:
        """One look; returns the seconds until the next one is due, None when nothing but the chain can bring news."""
        with _virtual_clock():
            try:
                self._step()
                if self._sender.busy:
                    self._step()
                self.tries = 0
            except Unreachable as error:
                self._say_lost(str(error))
                self.tries = min(self.tries + 1, 8)
                return min(0.25 * 1.5**self.tries, 2.0)
        # between two blocks a look would see nothing; after a rewind the next one reads everything anew
        return 0.3 if self.pending() or not self._listener.seen[1] or self._listener.waits else None

    @property
    def outbox(self) -> Any:
        return self._file.outbox


@contextmanager
def _virtual_clock() -> Iterator[None]:
    """While a client looks: the simulation's clock, logs from the node's own table, and nobody asks for code."""
    before = chain_module.time, chain_module.verify_code, listener_module.contract
    chain_module.time, listener_module.contract = CLOCK, _Reader  # type: ignore[assignment]
    chain_module.verify_code = lambda *_: None
    try:
        yield
    finally:
        chain_module.time, chain_module.verify_code, listener_module.contract = before


class _Reader:
    """Stands for a contract that decodes our short logs."""

    def __init__(self, name: str) -> None:
        self.name = name

    def decode_event(self, topics: Sequence[bytes], _data: bytes) -> Decoded:
        return _decoded(_logs[topics[0]])


_logs: dict[bytes, events.ContractEvent] = {}  # of the running simulation, by token


def _decoded(event: events.ContractEvent) -> Decoded:
    """The other way round than `events.from_log`."""
    match event:
        case events.PeerRegistered(peer, key, endpoint, stake):
            values: dict[str, Any] = {"peer": peer, "transportKey": key, "endpoint": endpoint, "stake": stake}
        case events.TransportKeyRotated(peer, key):
            values = {"peer": peer, "transportKey": key}
        case events.EndpointChanged(peer, endpoint):
            values = {"peer": peer, "endpoint": endpoint}
        case events.RoundRecorded(record, name, initiator):
            values = {"data": record.as_tuple(), "record": name, "initiator": initiator}
        case events.RootPublished(reward):
            names = ("epoch", "root", "total", "emissionRoot", "steps")
            told = (reward.epoch, reward.root, reward.total, reward.emission_root, reward.steps)
            values = dict(zip(names, told, strict=True))
        case events.RootVoided(epoch, digest):
            values = {"epoch": epoch, "digest": digest}
        case events.RoundVoided(record, number, challenger, fault):
            values = {"record": record, "round": number, "challenger": challenger, "fault": fault}
        case events.RewardClaimed(account, amount, cumulative):
            values = {"account": account, "amount": amount, "cumulative": cumulative}
        case events.VaultFunded(funder, amount):
            values = {"from": funder, "amount": amount}
        case _:
            raise AssertionError(event)
    return Decoded(type(event).__name__, values)
