"""Who is there, who has news, and whose turn it is to open a round. Any peer may; ranks only save collisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peerage_crypto.digest import sha256
from peerage_crypto.thresholds import MIN_MASKED_PEERS, smallest_roster

if TYPE_CHECKING:
    from peerage.messages import Fresh


@dataclass
class Membership:
    """My view of the others: `news` is each peer's last Fresh, `gone` those that were lost or stay silent."""

    me: bytes
    registered: frozenset[bytes]
    news: dict[bytes, Fresh] = field(default_factory=dict)
    gone: set[bytes] = field(default_factory=set)
    out: frozenset[bytes] = frozenset()  # who sits this round out: it was screened out, or convicted of a lie

    def heard(self, peer: bytes, news: Fresh) -> None:
        self.news[peer] = news
        self.gone.discard(peer)

    def lost(self, peer: bytes) -> None:
        self.gone.add(peer)
        self.news.pop(peer, None)

    def back(self, peer: bytes) -> None:
        self.gone.discard(peer)

    def live(self) -> frozenset[bytes]:
        """Everybody who is not known to be gone or sitting out; a peer never heard of counts as on its way."""
        return self.registered - self.gone - self.out

    def fresh(self, record: bytes) -> frozenset[bytes]:
        """Who stands on this record with a version that it does not contain."""
        return frozenset(p for p, n in self.news.items() if n.record == record and n.ready) & self.live()

    def enough(self, fresh: frozenset[bytes]) -> bool:
        """Whether these may open a masked round by the size rule."""
        return len(fresh) >= max(MIN_MASKED_PEERS, smallest_roster(len(self.registered)))

    def turn(self, record: bytes, fresh: frozenset[bytes]) -> bytes:
        """Whose turn it is: the lowest H(record, address) among the fresh."""
        return min(fresh, key=lambda peer: sha256(record, peer))

    def rank(self, record: bytes) -> int:
        """My place in the order of turns among all registered peers."""
        order = sorted(self.registered, key=lambda peer: sha256(record, peer))
        return order.index(self.me)
