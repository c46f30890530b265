"""What a peer knows of the others in plain exchange: who is there, what they serve, what of it is news."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peerage.plain.messages import PlainNews

KEPT = 4  # versions of one peer remembered at a time
SILENT_PINGS = 2


@dataclass
class Others:
    """`news` has each peer's last versions, newest first; `gone` those that the transport lost or that stay silent,
    `convicted` those that nothing is merged from any more.
    """

    me: bytes
    registered: frozenset[bytes]
    near: frozenset[bytes] | None = None  # whose models the merge at hand may take; None: everybody's
    news: dict[bytes, list[PlainNews]] = field(default_factory=dict)
    gone: set[bytes] = field(default_factory=set[bytes])
    convicted: set[bytes] = field(default_factory=set[bytes])
    finished: set[bytes] = field(default_factory=set[bytes])
    idle: set[bytes] = field(default_factory=set[bytes])  # said so since I began to wait, or since my last ping
    refused: set[tuple[bytes, int]] = field(default_factory=set[tuple[bytes, int]])
    _pinged: dict[bytes, int] = field(default_factory=dict[bytes, int])  # pings since it was last heard

    def alive(self, peer: bytes) -> None:
        self.gone.discard(peer)
        self._pinged.pop(peer, None)

    def heard(self, peer: bytes, news: PlainNews) -> None:
        """Checked news of a peer."""
        self.alive(peer)
        if news.idle:
            self.idle.add(peer)
        else:
            self.idle.discard(peer)
        if news.finished:
            self.finished.add(peer)
        update = news.update
        if update is None or (peer, update.statement.version) in self.refused:
            return
        others = [n for n in self.news.get(peer, []) if version_in(n) != version_in(news)]
        self.news[peer] = sorted([news, *others], key=version_in, reverse=True)[:KEPT]

    def lost(self, peer: bytes) -> None:
        """It cannot be reached: what it announced cannot be pulled either."""
        self.gone.add(peer)
        self.news.pop(peer, None)

    def forget(self, peer: bytes, version: int, *, refuse: bool) -> None:
        """A version that could not be had; refused: not again either."""
        self.news[peer] = [n for n in self.news.get(peer, []) if version_in(n) != version]
        if refuse:
            self.refused.add((peer, version))

    def ping(self, peers: frozenset[bytes]) -> None:
        """These are asked now."""
        self.idle = set()
        self._pinged = {peer: self._pinged.get(peer, 0) + 1 for peer in peers}

    def silent(self) -> frozenset[bytes]:
        """Who has not answered the last two pings: one may be lost."""
        return frozenset(peer for peer, pings in self._pinged.items() if pings >= SILENT_PINGS)

    def live(self) -> frozenset[bytes]:
        """Everybody else who is not known to be gone; a peer never heard of counts as on its way."""
        near = self.registered if self.near is None else self.near
        return (self.registered & near) - self.gone - self.convicted - {self.me}

    def fresh(self, merged: Mapping[bytes, int], mine: int) -> dict[bytes, PlainNews]:
        """BrainTorrent's test: whose version is newer than what I have merged, and which of its versions to pull.

        The newest, unless it contains my version `mine` already and one before it does not: its owner was quicker than
        I with the same merge, and my work would count twice. (`mine` = 0: I bring nothing.)
        """
        found: dict[bytes, PlainNews] = {}
        for peer in sorted(self.live()):
            newer = [n for n in self.news.get(peer, []) if version_in(n) > merged.get(peer, 0)]
            if newer:
                without_me = (n for n in newer if not mine or self._contained(n) < mine)
                found[peer] = next(without_me, newer[0])
        return found

    def awaited(self, fresh: Mapping[bytes, PlainNews]) -> frozenset[bytes]:
        """Who is there and will have news, but has none yet."""
        return self.live() - self.finished - fresh.keys()

    def _contained(self, news: PlainNews) -> int:
        return next((v.version for v in news.contains if v.peer == self.me), 0)


def version_in(news: PlainNews) -> int:
    return news.update.statement.version if news.update else 0
