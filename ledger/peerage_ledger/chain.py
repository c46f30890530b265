"""The ledger on a real chain: a worker thread that looks, sends and listens, so that the peer never waits for a node.

One batch of questions a look: the newest block, the block we saw last (has the chain been rewound?), our nonce,
receipts of what is in flight. Logs are fetched only when there is a new block. A peer is answered from memory.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from peerage_crypto.digest import sha256
from peerage_crypto.errors import PeerageError, Unreachable
from peerage_ledger import events, wishes
from peerage_ledger.contracts import BadEncoding, contract
from peerage_ledger.deploy import verify_code
from peerage_ledger.outbox import OutboxFile
from peerage_ledger.rpc import Rpc, connect
from peerage_ledger.sender import Sender
from peerage_ledger.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from peerage_crypto.identity import Account
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.events import ContractEvent, LedgerEvent
    from peerage_ledger.interface import Registration, VaultState
    from peerage_ledger.outbox import Wanted
    from peerage_ledger.records import RewardRoot, RoundRecord

BUSY_SECONDS: Final = 0.05
IDLE_SECONDS: Final = 0.25
_LONGEST_PAUSE: Final = 2.0
_BLOCKS_AT_ONCE: Final = 2000  # logs of so many blocks in one question
_LISTENED: Final = ("PeerRegistry", "RoundLedger", "RewardVault")


class ChainLedger:
    """`Ledger` over JSON-RPC. `notify` is called from the worker thread whenever `poll` has something."""

    def __init__(
        self,
        deployment: Deployment,
        account: Account,
        outbox: Path,
        *,
        rpc_url: str = "",
        notify: Callable[[], None] | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """InputError for a wrong chain or other code; a node that is down now is waited for, as it is later on."""
        self._deployment, self._account, self._notify, self._idle = deployment, account, notify, idle_seconds
        self._url = rpc_url or deployment.rpc
        self._events: deque[LedgerEvent] = deque()
        self._file = OutboxFile(outbox, deployment.chain_id, account.address)
        self._view, self._told = View(), set[bytes]()
        self._sender = Sender(deployment, account, self._file, self._tell, lambda name: name in self._view.records)
        self._seen: tuple[int, str] = (deployment.start_block - 1, "")  # the last block whose logs we have
        self._changed = threading.Condition()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._rpc: Rpc | None = None
        self._lost = False
        try:
            self._connect()
            self._look()
        except Unreachable as error:
            self._say_lost(str(error))
        except BaseException:
            self._file.close()
            raise
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    # what a peer asks

    @property
    def deployment(self) -> Deployment:
        return self._deployment

    @property
    def address(self) -> bytes:
        return self._account.address

    def registrations(self) -> tuple[Registration, ...]:
        return self._view.registrations()

    def records(self) -> Mapping[bytes, RoundRecord]:
        return dict(self._view.records)

    def vault_state(self) -> VaultState:
        return self._view.vault

    def poll(self) -> Sequence[LedgerEvent]:
        found: list[LedgerEvent] = []
        while self._events:
            found.append(self._events.popleft())
        return found

    def pending(self) -> int:
        return self._file.outbox.pending()

    def wait_for(self, condition: Callable[[ChainLedger], bool], seconds: float) -> bool:
        """Block until it holds (looked at after every look at the chain) or the time is up; for launchers and tests."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), seconds)

    def settle(self, seconds: float) -> bool:
        """Block until nothing is pending; False when the time is up."""
        return self.wait_for(lambda ledger: ledger.pending() == 0, seconds)

    # what a peer wishes

    def register(self, transport_key: bytes, endpoint: str, stake: int) -> None:
        self._want(wishes.registration(transport_key, endpoint, stake))

    def submit_round(self, record: RoundRecord) -> None:
        self._want(wishes.round_record(record))

    def publish_rewards(self, reward: RewardRoot, signatures: Mapping[bytes, bytes]) -> None:
        self._want(wishes.reward_root(reward, signatures))

    def claim_many(self, totals: Mapping[bytes, int]) -> None:
        for wish in wishes.claims(totals):
            self._want(wish)

    def close(self) -> None:
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake.set()
        self._thread.join()
        self._file.close()

    def _want(self, wish: Wanted) -> None:
        self._file.want(wish)
        self._wake.set()

    # the worker

    def _work(self) -> None:
        pause = self._idle
        while True:
            self._wake.wait(pause)
            self._wake.clear()
            if self._closing.is_set():
                return
            try:
                if self._rpc is None:
                    self._connect()
                self._look()
                pause = BUSY_SECONDS if self._sender.busy else min(self._idle, 0.1 if self.pending() else self._idle)
            except PeerageError as error:
                self._say_lost(str(error))
                pause = min(max(pause, self._idle) * 1.5, _LONGEST_PAUSE)
            except (KeyError, TypeError, ValueError) as error:  # half an answer from a node that is dying
                self._say_lost(f"{self._url} gave an answer that makes no sense: {error!r}")
                pause = min(max(pause, self._idle) * 1.5, _LONGEST_PAUSE)

    def _connect(self) -> None:
        rpc = connect(self._url, self._deployment.chain_id)
        verify_code(self._deployment, rpc)
        self._rpc = rpc

    def _look(self) -> None:
        """One look; when it sent something, one more at once, because devnets mine as they are told."""
        self._step()
        if self._sender.busy:
            self._step()
        with self._changed:
            self._changed.notify_all()
        if self._notify is not None and self._events:
            self._notify()

    def _step(self) -> None:
        assert self._rpc is not None
        number, name = self._seen
        own = self._sender.questions()
        asked = [("eth_getBlockByNumber", ("latest", False)), ("eth_getBlockByNumber", (hex(max(number, 0)), False))]
        newest, last_seen, *answers = self._rpc.batch([*asked, *own])
        if self._lost:
            self._lost = False
            self._tell(events.ChainBack())
        if name and (last_seen is None or last_seen["hash"] != name):
            self._rewound()
            return
        head = int(newest["number"], 16)
        if head > number:
            self._listen(self._rpc, number + 1, head, newest["hash"])
        self._sender.step(self._rpc, answers, newest, time.monotonic())

    def _rewound(self) -> None:
        """The chain lost blocks that we had seen: build the view anew, look at our own transactions again."""
        self._tell(events.ChainBack(rewound=True))
        self._seen = (self._deployment.start_block - 1, "")
        self._sender.doubt()

    def _listen(self, rpc: Rpc, first: int, last: int, name: str) -> None:
        fresh = self._seen[1] == ""
        view = View() if fresh else self._view
        addresses = self._deployment.addresses()
        listened = {addresses[n]: contract(n) for n in _LISTENED}
        for start in range(first, last + 1, _BLOCKS_AT_ONCE):
            want = {
                "address": ["0x" + a.hex() for a in listened],
                "fromBlock": hex(start),
                "toBlock": hex(min(start + _BLOCKS_AT_ONCE - 1, last)),
            }
            for log in rpc.call("eth_getLogs", want):
                topics = [bytes.fromhex(t[2:]) for t in log["topics"]]
                data = bytes.fromhex(log["data"][2:])
                try:
                    event = events.from_log(listened[bytes.fromhex(log["address"][2:])].decode_event(topics, data))
                except BadEncoding:
                    continue  # EIP712DomainChanged and the like are of no interest
                if event is not None:
                    view.apply(event)
                    self._sender.hasten()
                    self._tell_once(event, bytes.fromhex(log["transactionHash"][2:]), topics, data)
        self._view, self._seen = view, (last, name)

    def _tell_once(self, event: ContractEvent, transaction: bytes, topics: list[bytes], data: bytes) -> None:
        """A rewound chain tells its story again, at times in other transactions; the peer hears each event once."""
        match event:
            case events.RoundRecorded():
                key = event.record_hash
            case events.RootPublished() | events.RewardClaimed():
                key = sha256(*topics, data)  # unique by their numbers
            case _:
                key = sha256(transaction, *topics, data)
        if key not in self._told:
            self._told.add(key)
            self._tell(event)

    def _tell(self, event: LedgerEvent) -> None:
        self._events.append(event)

    def _say_lost(self, reason: str) -> None:
        if not self._lost:
            self._lost = True
            self._tell(events.ChainLost(reason))
            if self._notify is not None:
                self._notify()
