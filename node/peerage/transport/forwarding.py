"""What a relay holds for others, without sockets: who is connected, and what waits for whom.

All that waits for one peer is bounded in bytes and envelopes. When it is full, whoever has most waiting there loses its
newest (longest queue drop), and senders take turns: one that pours cannot keep the others out. Nothing is ever written
to disk, and what waits for a peer that is gone is forgotten.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

Frames = tuple[bytes, bytes | memoryview]


@dataclass(slots=True)
class _Pile:
    """From one sender to one peer."""

    envelopes: deque[Frames] = field(default_factory=deque[Frames])
    size: int = 0


@dataclass(slots=True)
class _Shelf:
    """For one peer; the first pile is the next to be served."""

    route: bytes
    piles: OrderedDict[bytes, _Pile] = field(default_factory=OrderedDict[bytes, _Pile])
    size: int = 0
    envelopes: int = 0


class Forwarding:
    """``most_bytes`` and ``most_envelopes`` wait for one peer."""

    def __init__(self, most_bytes: int, most_envelopes: int) -> None:
        self._most_bytes, self._most_envelopes = most_bytes, most_envelopes
        self._shelves: dict[bytes, _Shelf] = {}
        self.dropped = 0

    def here(self, address: bytes, route: bytes) -> None:
        """The peer's newest connection; what waited goes there."""
        shelf = self._shelves.setdefault(address, _Shelf(route))
        shelf.route = route

    def gone(self, address: bytes) -> None:
        shelf = self._shelves.pop(address, None)
        self.dropped += 0 if shelf is None else shelf.envelopes

    def connected(self) -> set[bytes]:
        return set(self._shelves)

    def offer(self, sender: bytes, to: bytes, frames: Frames) -> bool:
        """False if the peer is not connected. True does not say that it fits."""
        shelf = self._shelves.get(to)
        if shelf is None:
            return False
        pile = shelf.piles.setdefault(sender, _Pile())
        _put(shelf, pile, frames)
        while shelf.size > self._most_bytes or shelf.envelopes > self._most_envelopes:
            by_bytes = shelf.size > self._most_bytes
            longest = max(shelf.piles, key=lambda one: _length(shelf.piles[one], by_bytes=by_bytes))
            _take(shelf, shelf.piles[longest], newest=True)
            self.dropped += 1
            if not shelf.piles[longest].envelopes:
                del shelf.piles[longest]
        return True

    def first(self, to: bytes) -> tuple[bytes, Frames] | None:
        """Its route and what it is to get next."""
        shelf = self._shelves.get(to)
        if shelf is None or not shelf.piles:
            return None
        return shelf.route, next(iter(shelf.piles.values())).envelopes[0]

    def left(self, to: bytes) -> None:
        """What ``first`` said is on its way; the next sender's turn."""
        shelf = self._shelves[to]
        sender, pile = next(iter(shelf.piles.items()))
        _take(shelf, pile, newest=False)
        if pile.envelopes:
            shelf.piles.move_to_end(sender)
        else:
            del shelf.piles[sender]

    def waiting(self) -> list[bytes]:
        """For whom there is something."""
        return [address for address, shelf in self._shelves.items() if shelf.piles]

    def held(self, to: bytes) -> int:
        """Bytes that wait for this peer."""
        shelf = self._shelves.get(to)
        return 0 if shelf is None else shelf.size


def _length(pile: _Pile, *, by_bytes: bool) -> int:
    return pile.size if by_bytes else len(pile.envelopes)


def _put(shelf: _Shelf, pile: _Pile, frames: Frames) -> None:
    size = len(frames[0]) + len(frames[1])
    pile.envelopes.append(frames)
    pile.size += size
    shelf.size += size
    shelf.envelopes += 1


def _take(shelf: _Shelf, pile: _Pile, *, newest: bool) -> None:
    frames = pile.envelopes.pop() if newest else pile.envelopes.popleft()
    size = len(frames[0]) + len(frames[1])
    pile.size -= size
    shelf.size -= size
    shelf.envelopes -= 1
