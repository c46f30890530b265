"""The ledger on a real chain: a worker thread that looks, sends and listens, so that the peer never waits for a node.

One batch of questions a look: the newest block, the block we saw last (has the chain been rewound?), our nonce,
receipts of what is in flight. Logs are fetched only when there is a new block. A peer is answered from memory.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from peerage_crypto.errors import ChainError, InputError, PeerageError, Unreachable
from peerage_ledger import events, wishes
from peerage_ledger.cursor import CursorFile
from peerage_ledger.deploy import verify_code
from peerage_ledger.fees import MOST_FEE
from peerage_ledger.listener import Listener, Look
from peerage_ledger.outbox import OutboxFile
from peerage_ledger.rpc import LONGEST_WAIT, NONSENSE, Rpc, TooBusy, connect
from peerage_ledger.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from peerage_crypto.identity import Account
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.events import LedgerEvent
    from peerage_ledger.interface import OpenQuestion, Registration, VaultState
    from peerage_ledger.outbox import Wanted
    from peerage_ledger.records import RewardRoot, RoundRecord, Steps
    from peerage_ledger.rewards import Rule

BUSY_SECONDS: Final = 0.05
IDLE_SECONDS: Final = 0.25
QUIET_LOOKS: Final = 20  # so often in a row without a new block or a wish: then half as often, and then a quarter
_LONGEST_PAUSE: Final = 2.0


class ChainLedger:
    """`Ledger` over JSON-RPC. `notify` is called from the worker thread whenever `poll` has something."""

    _quiet = 0  # looks in a row without a new block

    def __init__(
        self,
        deployment: Deployment,
        account: Account,
        outbox: Path,
        *,
        rpc_url: str = "",
        notify: Callable[[], None] | None = None,
        idle_seconds: float = IDLE_SECONDS,
        most_fee: int = MOST_FEE,
        pay: Rule | None = None,
    ) -> None:
        """InputError for a wrong chain, other code or another rule than `pay`; a node that is down now is waited for,
        as it is later on, and so is a chain where gas costs more than `most_fee` (wei per gas).
        """
        self._deployment, self._account, self._notify, self._idle = deployment, account, notify, idle_seconds
        self._pay = pay
        self._url = rpc_url or deployment.rpc
        self._events: deque[LedgerEvent] = deque()
        self._file = OutboxFile(outbox, deployment.chain_id, account.address)
        cursor = CursorFile(outbox.with_suffix(".events.jsonl"), deployment)
        self._listener = Listener(deployment, cursor, self._tell)
        self._sender = Sender(
            deployment,
            account,
            self._file,
            self._tell,
            lambda name: name in self._listener.view.records,
            most_fee=most_fee,
        )
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
        return self._listener.view.registrations()

    def records(self) -> Mapping[bytes, RoundRecord]:
        return dict(self._listener.view.records)

    def voided(self) -> frozenset[bytes]:
        return frozenset(self._listener.view.voided)

    def questions(self) -> tuple[OpenQuestion, ...]:
        return self._listener.view.open_questions()

    def vault_state(self) -> VaultState:
        return self._listener.view.vault

    def poll(self) -> Sequence[LedgerEvent]:
        found: list[LedgerEvent] = []
        while self._events:
            found.append(self._events.popleft())
        return found

    def pending(self, about: RewardRoot | None = None) -> int:
        if about is None:
            return self._file.outbox.pending()
        digest = about.digest(self._deployment.chain_id, self._deployment.vault)
        return sum(wishes.about(wish.key, about, digest) for wish in self._file.outbox.unfinished())

    def wait_for(self, condition: Callable[[ChainLedger], bool], seconds: float) -> bool:
        """Block until it holds (looked at after every look at the chain) or the time is up; for launchers and tests."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), seconds)

    def settle(self, seconds: float) -> bool:
        """Block until nothing is pending; False when the time is up."""
        return self.wait_for(lambda ledger: ledger.pending() == 0, seconds)

    # what a peer wishes

    def register(self, transport_key: bytes, endpoint: str, stake: int, invitation: Sequence[bytes] = ()) -> None:
        for wish in wishes.registration(transport_key, endpoint, stake, invitation):
            self._want(wish)

    def submit_round(self, record: RoundRecord) -> None:
        self._want(wishes.round_record(record))

    def submit_rounds(self, records: Sequence[RoundRecord]) -> None:
        known = self._listener.view.records
        for wish in wishes.round_records([r for r in records if r.record_hash() not in known]):
            self._want(wish)

    def publish_rewards(self, reward: RewardRoot, steps: Steps, signatures: Mapping[bytes, bytes]) -> None:
        self._want(wishes.reward_root(reward, steps, signatures))

    def claim_many(self, totals: Mapping[bytes, int], reward: RewardRoot | None = None) -> None:
        place = self._deployment
        digest = reward.digest(place.chain_id, place.vault) if reward else b""
        for wish in wishes.claims(totals, digest, reward.epoch if reward else 0):
            self._want(wish)

    def answer(self, question: bytes, data: bytes) -> None:
        self._want(wishes.answer(question, data))

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
        pause, busy = self._idle, 0  # busy: so often in a row the node asked for patience
        while True:
            (self._closing if busy else self._wake).wait(pause)  # a new wish is no reason to press a busy node
            self._wake.clear()
            if self._closing.is_set():
                return
            try:
                if self._rpc is None:
                    self._connect()
                self._look()
                busy = 0
                pause = self._pace()
            except TooBusy as error:
                self._say_lost(str(error))
                busy += 1
                pause = max(error.wait, min(self._idle * 2.0**busy, LONGEST_WAIT))
                continue
            except PeerageError as error:
                self._say_lost(str(error))
                pause = min(max(pause, self._idle) * 1.5, _LONGEST_PAUSE)
            except NONSENSE as error:  # half an answer from a node that is dying
                self._say_lost(f"{self._url} gave an answer that makes no sense: {error!r}")
                pause = min(max(pause, self._idle) * 1.5, _LONGEST_PAUSE)

    def _pace(self) -> float:
        """Seconds until the next look: a quiet chain is asked less, and a wish of ours ends any pause."""
        if self._sender.busy:
            return BUSY_SECONDS
        if self.pending():
            self._quiet = 0
            return min(self._idle, 0.1)
        return self._idle * (1 << min(self._quiet // QUIET_LOOKS, 2))

    def _connect(self) -> None:
        rpc = connect(self._url, self._deployment.chain_id)
        verify_code(self._deployment, rpc, self._pay)
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
        rpc = self._rpc
        assert rpc is not None
        now = time.monotonic()
        newest, at_seen, *answers = rpc.batch([*self._listener.questions(), *self._sender.questions()])
        if self._lost:
            self._lost = False
            self._tell(events.ChainBack())
        match self._listener.step(rpc, newest, at_seen, now):
            case Look.BEHIND:
                return
            case Look.REWOUND:
                self._rewound(rpc)
                return
            case Look.HEARD:
                self._quiet = 0
                self._sender.hasten()
            case Look.QUIET:
                self._quiet += 1
        self._sender.step(rpc, answers, newest, now)

    def _rewound(self, rpc: Rpc) -> None:
        """The chain lost blocks that we had seen: what we settled is looked at again."""
        try:
            verify_code(self._deployment, rpc, self._pay)
        except InputError as error:
            self._rpc = None
            raise ChainError(
                f"{self._url} has lost this federation's contracts, so the chain was reset ({error}): restore its "
                "state, or deploy anew and start a new federation"
            ) from None
        self._tell(events.ChainBack(rewound=True))
        self._sender.doubt()

    def _tell(self, event: LedgerEvent) -> None:
        self._events.append(event)

    def _say_lost(self, reason: str) -> None:
        if not self._lost:
            self._lost = True
            self._tell(events.ChainLost(reason))
            if self._notify is not None:
                self._notify()
