r"""The outbox: every wish towards the chain, on disk before it leaves, until the chain has it. Exactly once.

A wish has a key (`round:<record>`): asking twice is asking once. It becomes a raw signed transaction, journalled
(fsync) before it is sent; whatever happens then, the same bytes are sent again, and the nonce sees to it that they
count once. A chain that comes back without blocks that we had seen (a devnet killed -9) makes settled wishes open
again. A reverted transaction has used its nonce: the wish gets a new one, after a look whether somebody else has
fulfilled it.

`Outbox` is pure: lines in, questions answered. `OutboxFile` is its disk; `sender.py` speaks to the node.

     wanted --signed--> sent --settled--> done        (sent --signed--> sent: the same nonce for a higher fee)
       ^  \               | ^               |
       |   --refused-->    | '---reopened----'  (the chain forgot)
       '------voided-------'  (reverted)
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from peerage_crypto.errors import InputError
from peerage_ledger import rawtx

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class Header(msgspec.Struct, frozen=True, tag="header"):
    schema: int
    chain_id: int
    account: str


class Wanted(msgspec.Struct, frozen=True, tag="wanted"):
    key: str
    kind: str
    arguments: dict[str, Any]


class Signed(msgspec.Struct, frozen=True, tag="signed"):
    key: str
    nonce: int
    raw: str


class Settled(msgspec.Struct, frozen=True, tag="settled"):
    key: str
    hash: str  # empty: somebody else had done it
    gas: int
    block: int


class Voided(msgspec.Struct, frozen=True, tag="voided"):
    key: str
    reason: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    key: str
    reason: str


class Reopened(msgspec.Struct, frozen=True, tag="reopened"):
    key: str


Line: TypeAlias = Header | Wanted | Signed | Settled | Voided | Refused | Reopened


class State(Enum):
    WANTED = "wanted"
    SENT = "sent"
    DONE = "done"
    REFUSED = "refused"


@dataclass(slots=True)
class Wish:
    key: str
    kind: str
    arguments: dict[str, Any]
    state: State = State.WANTED
    nonce: int = -1  # of the newest attempt
    hash: bytes = b""
    outbid: list[bytes] = field(default_factory=list[bytes])  # attempts under the same nonce that offered too little
    voided: int = 0  # attempts that were mined and reverted
    confirmed: bool = False  # has ever been done: told once

    @property
    def hashes(self) -> list[bytes]:
        """Of these transactions at most one is ever mined."""
        return [self.hash, *self.outbid]


@dataclass(frozen=True, slots=True)
class Receipt:
    status: int
    gas_used: int
    block: int


@dataclass(frozen=True, slots=True)
class Attempt:
    nonce: int
    raw: bytes
    hash: bytes


@dataclass(slots=True)
class Outbox:
    wishes: dict[str, Wish] = field(default_factory=dict[str, Wish])
    _attempts: dict[int, Attempt] = field(default_factory=dict[int, Attempt])  # by nonce: the newest

    def apply(self, line: Line) -> None:
        """One line of the journal, from disk or just written. A line out of order is refused with ValueError."""
        if isinstance(line, Header):
            return
        if isinstance(line, Wanted):
            self.wishes.setdefault(line.key, Wish(line.key, line.kind, line.arguments))
            return
        wish = self.wishes.get(line.key)
        if wish is None:
            raise ValueError(f"{line.key} was never wanted")
        match line:
            case Signed(_, nonce, text):
                raw = bytes.fromhex(text)
                again = wish.state is State.SENT and wish.nonce == nonce
                wish.outbid = [wish.hash, *wish.outbid] if again else []
                wish.state, wish.nonce, wish.hash = State.SENT, nonce, rawtx.transaction_hash(raw)
                self._attempts[nonce] = Attempt(nonce, raw, wish.hash)
            case Settled():
                wish.state, wish.confirmed = State.DONE, True
            case Voided():
                wish.state, wish.voided = State.WANTED, wish.voided + 1
            case Refused():
                wish.state = State.REFUSED
            case Reopened():
                wish.state = State.SENT

    def next_nonce(self, on_chain: int) -> int:
        """Never one that we have used, even if the chain has forgotten it."""
        return max([on_chain, *(nonce + 1 for nonce in self._attempts)])

    def waiting(self) -> list[Wish]:
        return [wish for wish in tuple(self.wishes.values()) if wish.state is State.WANTED]

    def in_flight(self) -> list[Wish]:
        return [wish for wish in tuple(self.wishes.values()) if wish.state is State.SENT]

    def unfinished(self) -> list[Wish]:
        return [wish for wish in tuple(self.wishes.values()) if wish.state in (State.WANTED, State.SENT)]

    def pending(self) -> int:
        return len(self.unfinished())

    def attempt(self, wish: Wish) -> Attempt:
        """The newest transaction of a wish that was sent."""
        return self._attempts[wish.nonce]

    def unseen(self, on_chain: int) -> list[Attempt]:
        """What the chain's nonce says it lacks, in the order to send it."""
        return [self._attempts[nonce] for nonce in sorted(self._attempts) if nonce >= on_chain]

    def judge(self, on_chain: int, receipts: Mapping[bytes, Receipt | None]) -> list[Line]:
        """What one look at the chain means: its nonce for us, and receipts of what is in flight."""
        lines: list[Line] = []
        for wish in self.in_flight():
            found = next((name for name in wish.hashes if receipts.get(name) is not None), None)
            receipt = receipts[found] if found is not None else None
            if found is None or receipt is None:
                # its nonce is used and yet it is unknown: another transaction has taken its place
                if wish.nonce < on_chain and all(name in receipts for name in wish.hashes):
                    lines.append(Voided(wish.key, "another transaction used its nonce"))
            elif receipt.status == 1:
                lines.append(Settled(wish.key, found.hex(), receipt.gas_used, receipt.block))
            else:
                lines.append(Voided(wish.key, "reverted"))
        return lines

    def forgotten(self, on_chain: int) -> list[Line]:
        """Settled by a transaction of ours whose nonce the chain has not reached any more."""
        return [Reopened(wish.key) for wish in self._settled_by_us() if wish.nonce >= on_chain]

    def doubted(self) -> list[Line]:
        """After a rewind: everything that we settled, to be looked at once more."""
        return [Reopened(wish.key) for wish in self._settled_by_us()]

    def _settled_by_us(self) -> Iterable[Wish]:
        return (wish for wish in tuple(self.wishes.values()) if wish.state is State.DONE and wish.nonce >= 0)


class OutboxFile:
    """JSON lines; a line is on the disk when `append` returns. A torn last line never left and is cut off."""

    def __init__(self, path: Path, chain_id: int, account: bytes) -> None:
        header = Header(1, chain_id, account.hex())
        self.outbox = Outbox()
        self._lock = threading.Lock()
        good, seen = 0, False
        if path.exists():
            for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    value: Line = msgspec.json.decode(line, type=Line)
                    self.outbox.apply(value)
                except (ValueError, RecursionError, msgspec.MsgspecError) as error:
                    raise InputError(f"{path}, line {number}: {error}; restore the file from a copy") from None
                if isinstance(value, Header) and value != header:
                    raise InputError(f"{path} belongs to account 0x{value.account} on chain {value.chain_id}")
                good, seen = good + len(line), True
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        self._file.truncate(good)
        if not seen:
            self.append(header)

    def append(self, *lines: Line) -> None:
        if not lines:
            return
        with self._lock:  # the peer's thread wishes, the ledger's own does the rest
            for line in lines:
                self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            for line in lines:
                self.outbox.apply(line)

    def want(self, wish: Wanted) -> None:
        """Durable when it returns; a wish that is known already is left as it is."""
        if wish.key not in self.outbox.wishes:
            self.append(wish)

    def close(self) -> None:
        self._file.close()
