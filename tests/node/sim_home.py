"""Where a simulated peer keeps things: in dictionaries, or with the product's own files, outbox and ledger client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sim_disk
from sim_chain import SimLedger

from peerage.journal import PeerJournal
from peerage.private_state import load_state, save_state
from peerage.store import ArtefactStore
from peerage_crypto.digest import sha256

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from sim_chain import SimNode

    from peerage.effects import PrivateState, Publish
    from peerage_crypto.identity import Account
    from peerage_ledger.records import RoundRecord


class Home:
    """Dictionaries: what was saved stays, whatever happens."""

    def __init__(self) -> None:
        self.state: PrivateState | None = None
        self.holdings: dict[bytes, bytes] = {}

    def load(self) -> PrivateState | None:
        return self.state

    def save(self, state: PrivateState) -> None:
        self.state = state

    def journal(self, kind: str, round_: int, fields: Mapping[str, Any]) -> None:
        """Nothing is kept: the observer's list is enough."""

    def store(self, blob: bytes) -> None:
        self.holdings[sha256(blob)] = blob

    def get(self, artefact: bytes) -> bytes | None:
        return self.holdings.get(artefact)

    def record(self, record: RoundRecord) -> None:
        """There is no chain."""

    def record_line(self, records: tuple[RoundRecord, ...]) -> None:
        """There is no chain."""

    def publish(self, effect: Publish) -> bool:
        """Whether the chain will answer later."""
        return False

    def idle(self) -> bool:
        """Nothing that it wants from the chain is open."""
        return True

    def open(self) -> None:
        """A life begins."""

    def died(self, draw: random.Random, *, power: bool) -> None:
        """A life ends."""

    def wipe(self) -> None:
        """The disk is lost."""
        self.state, self.holdings = None, {}


class WholeHome(Home):
    """The product's journal, private state, store and outbox on a simulated disk, before a simulated chain."""

    def __init__(self, account: Account, parameters: int, node: SimNode, wake: Callable[[], None]) -> None:
        super().__init__()
        self.account, self.parameters, self.node, self.wake = account, parameters, node, wake
        self.disk = sim_disk.SimDisk()
        self.ledger: SimLedger | None = None
        self.lives = 0
        self.open()

    def open(self) -> None:
        self.lives += 1
        self._journal = PeerJournal(self.disk.path("run/journal.jsonl"), self.account)  # type: ignore[arg-type]
        self._store = ArtefactStore(self.disk.path("run/store"), self.disk.path("run/secrets/holdings"))  # type: ignore[arg-type]
        self.ledger = SimLedger(self.node, self.account, self.disk.path("run/secrets/outbox.jsonl"), self.wake)

    def load(self) -> PrivateState | None:
        return load_state(self.disk.path("run/secrets/state"), self.parameters)  # type: ignore[arg-type]

    def save(self, state: PrivateState) -> None:
        save_state(self.disk.path("run/secrets/state"), state)  # type: ignore[arg-type]

    def journal(self, kind: str, round_: int, fields: Mapping[str, Any]) -> None:
        if kind == "closed":
            self._store.sync()
        self._journal.write(kind, round_, dict(fields))
        if kind == "closed":
            self._journal.seal(round_)

    def store(self, blob: bytes) -> None:
        self._store.put(blob)

    def get(self, artefact: bytes) -> bytes | None:
        return self._store.get(artefact)

    def record(self, record: RoundRecord) -> None:
        assert self.ledger is not None
        self.ledger.submit_round(record)

    def record_line(self, records: tuple[RoundRecord, ...]) -> None:
        assert self.ledger is not None
        self.ledger.submit_rounds(records)

    def publish(self, effect: Publish) -> bool:
        assert self.ledger is not None
        if effect.signatures:
            self.ledger.publish_rewards(effect.root, effect.steps, effect.signatures)
        self.ledger.claim_many(effect.totals, effect.root)
        return True

    def idle(self) -> bool:
        return self.ledger is None or self.ledger.pending() == 0

    def died(self, draw: random.Random, *, power: bool) -> None:
        self.ledger = None
        if power:
            self.disk.power_cut(draw)
        else:
            self.disk.killed()

    def wipe(self) -> None:
        self.disk.wiped()
