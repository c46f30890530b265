"""Follows the contracts' events: each is told once, in the chain's order, through reorgs and nodes that lag behind.

Every look compares the block seen last with the node's block of that number. Another hash there is a reorg: the newest
block that both know is searched for, what came after it is forgotten and read again. No block there means a node that
is behind (a pool of nodes answers now ahead, now behind) or a chain that lost blocks; only time tells, so it is given
some. `view` is always that of a whole look: nobody sees it while it is put together.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from peerage_crypto.digest import sha256
from peerage_ledger import events
from peerage_ledger.contracts import BadEncoding, contract
from peerage_ledger.cursor import Log, Span
from peerage_ledger.rpc import RpcError
from peerage_ledger.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from peerage_ledger.cursor import CursorFile
    from peerage_ledger.deployment import Deployment
    from peerage_ledger.events import ContractEvent
    from peerage_ledger.rpc import Rpc

BEHIND_SECONDS: Final = 2.0  # a lower head than we saw is a node that lags for so long, then a chain that lost blocks
_BLOCKS_AT_ONCE: Final = 2000  # logs of so many blocks in one question, at most
_QUIET_BLOCKS: Final = 500  # without any log of ours: so often the cursor is moved on
_REMEMBERED: Final = 256  # heads, to find where a reorg begins
_ASKED_AT_ONCE: Final = 32
_NOT_HEARD: Final = frozenset({"PeerageToken"})  # transfers say nothing to a peer


class Look(Enum):
    """What one look at the chain found."""

    QUIET = "nothing new"
    HEARD = "events"
    BEHIND = "the node is behind"
    REWOUND = "blocks that we had seen are gone"


class Listener:
    """`tell` hears each event once, also over a restart's replay of the cursor's file (then all of them again)."""

    def __init__(self, deployment: Deployment, cursor: CursorFile, tell: Callable[[ContractEvent], None]) -> None:
        self._cursor, self._tell = cursor, tell
        places = deployment.addresses()
        self._contracts = {place.hex(): contract(name) for name, place in places.items() if name not in _NOT_HEARD}
        self._told: set[bytes] = set()
        self._recent: deque[tuple[int, str]] = deque(maxlen=_REMEMBERED)
        self._behind_since: float | None = None
        self._range = _BLOCKS_AT_ONCE
        self.view = self._growing = View()
        self._hear(log for span in cursor.spans for log in span.logs)
        self.seen = cursor.seen

    @property
    def waits(self) -> bool:
        """For a node that is behind: look again soon."""
        return self._behind_since is not None

    def questions(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Asked in one batch with the caller's own; the first two answers go to `step`."""
        return [_block("latest"), _block(hex(max(self.seen[0], 0)))]

    def step(self, rpc: Rpc, newest: Mapping[str, Any], at_seen: Mapping[str, Any] | None, now: float) -> Look:
        name = self.seen[1]
        head = int(newest["number"], 16)
        if name and at_seen is None:
            return self._lower_head(rpc, head, newest["hash"], now)
        self._behind_since = None
        if name and at_seen is not None and at_seen["hash"] != name:
            return self._rewound(rpc, head, newest["hash"])
        return Look.HEARD if self._listen(rpc, head, newest["hash"]) else Look.QUIET

    def _lower_head(self, rpc: Rpc, head: int, name: str, now: float) -> Look:
        known = next((hash_ for number, hash_ in reversed(self._recent) if number == head), name)
        if self._behind_since is None:
            self._behind_since = now
        if known == name and now - self._behind_since < BEHIND_SECONDS:
            return Look.BEHIND
        self._behind_since = None
        return self._rewound(rpc, head, name)

    def _rewound(self, rpc: Rpc, head: int, name: str) -> Look:
        self._rewind(rpc)
        self._listen(rpc, head, name)
        return Look.REWOUND

    def _rewind(self, rpc: Rpc) -> None:
        """Back to the newest block that the node and we both know, and the view anew from what is left."""
        ends = [(span.last, span.hash) for span in reversed(self._cursor.spans)]
        marks = sorted({*self._recent, *ends}, reverse=True)
        common = -1
        for at in range(0, len(marks), _ASKED_AT_ONCE):
            some = marks[at : at + _ASKED_AT_ONCE]
            answers = rpc.batch([_block(hex(number)) for number, _ in some])
            same = [
                n for (n, name), told in zip(some, answers, strict=True) if told is not None and told["hash"] == name
            ]
            if same:
                common = same[0]
                break
        self._cursor.cut(common)
        self._recent.clear()
        self.seen = self._cursor.seen
        self._growing = View()
        self._hear(log for span in self._cursor.spans for log in span.logs)

    def _listen(self, rpc: Rpc, head: int, name: str) -> bool:
        """Read the logs up to the head, piece by piece; a piece that was read stays read whatever happens next."""
        heard = False
        while self.seen[0] < head:
            first, last = self.seen[0] + 1, min(self.seen[0] + self._range, head)
            try:
                told, block = rpc.batch([("eth_getLogs", (self._filter(first, last),)), _block(hex(last))])
            except RpcError:
                if self._range == 1:
                    raise
                self._range = max(1, min(self._range, last - first + 1) // 2)  # nodes limit blocks or logs in an answer
                continue
            if block is None or (last == head and block["hash"] != name):
                return heard  # the chain changed under our hands, and these logs may be of neither: look again
            self._range = min(2 * self._range, _BLOCKS_AT_ONCE)
            hash_ = str(block["hash"])
            logs = tuple(Log.read(log) for log in told)
            heard |= self._hear(logs)
            done = self._cursor.seen[0]
            if logs or last - done >= _QUIET_BLOCKS:
                self._cursor.append(Span(done + 1, last, hash_, logs))
            self.seen = (last, hash_)
            self._recent.append(self.seen)
        self.view = self._growing
        return heard

    def _filter(self, first: int, last: int) -> dict[str, Any]:
        places = ["0x" + place for place in self._contracts]
        return {"address": places, "fromBlock": hex(first), "toBlock": hex(last)}

    def _hear(self, logs: Iterable[Log]) -> bool:
        heard = False
        for log in logs:
            topics, data = [bytes.fromhex(topic) for topic in log.topics], bytes.fromhex(log.data)
            try:
                event = events.from_log(self._contracts[log.address].decode_event(topics, data))
            except (BadEncoding, KeyError):
                continue  # EIP712DomainChanged and the like are of no interest
            if event is None:
                continue
            heard = True
            self._growing.apply(event)
            key = _once(event, log, topics, data)
            if key not in self._told:
                self._told.add(key)
                self._tell(event)
        return heard


def _once(event: ContractEvent, log: Log, topics: list[bytes], data: bytes) -> bytes:
    """A rewound chain tells its story again, at times in other transactions; the peer hears each event once."""
    match event:
        case events.RoundRecorded():
            return event.record_hash
        case events.RootPublished() | events.RewardClaimed():
            return sha256(*topics, data)  # unique by their numbers
        case _:
            return sha256(bytes.fromhex(log.transaction), *topics, data)


def _block(which: str) -> tuple[str, tuple[Any, ...]]:
    return "eth_getBlockByNumber", (which, False)
