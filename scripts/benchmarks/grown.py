"""A simulated federation whose peers are charged for what they do: frames, bytes and processor time, each their own.

The simulator remembers across peers what all of them compute alike; here those memories are taken out, and what the
product remembers for itself (a signature that was recovered before) is remembered for each peer apart.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable
    from functools import _lru_cache_wrapper

    from peerage.rounds.round import Engine

T = TypeVar("T")

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "node"))

import sim_caches  # noqa: E402 - lies beside the tests
import simulator  # noqa: E402

from peerage import messages  # noqa: E402
from peerage_crypto import identity, session, sharing  # noqa: E402

KEPT = ((identity, "_recover"), (session, "_is_key"), (sharing, "_weights"))


@dataclass(frozen=True)
class Cost:
    """Of a whole simulated run. Bytes are of control frames, without the carrier's own; seconds of processor time."""

    peers: int
    rounds: int
    frames: int
    control_bytes: int
    largest_frame: int
    artefact_bytes: int
    seconds: float
    busiest: float

    def told(self) -> dict[str, float]:
        each = self.peers * self.rounds
        return {
            "frames": self.frames,
            "frames_each": self.frames / each,
            "control_bytes_each": self.control_bytes / each,
            "largest_frame": self.largest_frame,
            "artefact_bytes_each": self.artefact_bytes / each,
            "cpu_seconds_each": self.seconds / each,
            "cpu_seconds_busiest": self.busiest / self.rounds,
        }


class Charged(simulator.Simulation):
    """Counts what leaves each peer and the processor time of its engine, of encoding and of decoding."""

    def __init__(self, peers: int, *, rounds: int, seed: int) -> None:
        self.seconds: Counter[bytes] = Counter()
        self.frames = self.sent = self.largest = self.fetched = 0
        self.turn = b""
        super().__init__(peers, rounds=rounds, seed=seed)

    def _engine(self, account: identity.Account, index: int) -> Engine:
        engine = super()._engine(account, index)
        handle = engine.handle
        engine.handle = lambda event: self.charged(account.address, handle, event)
        return engine

    def charged(self, peer: bytes, work: Callable[..., T], *arguments: object) -> T:
        before, self.turn = self.turn, peer
        started = time.process_time()
        try:
            return work(*arguments)
        finally:
            self.seconds[peer] += time.process_time() - started
            self.turn = before

    def deliver(self, sender: bytes, receivers: tuple[bytes, ...], message: messages.Message) -> None:
        size = len(self.charged(sender, messages.encode, message))
        self.frames += len(receivers)
        self.sent += size * len(receivers)
        self.largest = max(self.largest, size)
        super().deliver(sender, receivers, message)

    def _arrive(self, receiver: simulator.Host, sender: bytes, frame: bytes) -> None:
        me = receiver.account.address
        message = self.charged(me, messages.decode, sender, frame)
        self.event(receiver, simulator.fx.Received(sender, message))

    def _fetch(self, host: simulator.Host, owner: bytes, artefact: bytes, limit: int) -> None:
        mine = host.home.get(artefact)
        blob = None if mine is not None else self.hosts[owner].home.get(artefact)
        self.fetched += len(blob or b"")
        super()._fetch(host, owner, artefact, limit)


def cost_of(peers: int, *, rounds: int = 1, seed: int = 0) -> Cost:
    """Play `rounds` rounds in perfect weather; SystemExit when they do not all close with everybody in."""
    sim_caches.remove()
    try:
        sim = Charged(peers, rounds=rounds, seed=seed)
        with apart(lambda: sim.turn):
            sim.start().run()
    finally:
        sim_caches.install()
    for host in sim.hosts.values():
        closed = [len(judged.proven.u3) for judged in host.engine.history]
        if closed != [peers] * rounds:
            raise SystemExit(f"scripts/bench: {host.name} of {peers} closed rounds with {closed} peers")
    return Cost(
        peers, rounds, sim.frames, sim.sent, sim.largest, sim.fetched, sum(sim.seconds.values()),
        max(sim.seconds.values()),
    )  # fmt: skip


@contextmanager
def apart(turn: Callable[[], bytes]) -> Generator[None]:
    """What the product remembers by `lru_cache` in one process is remembered for each peer by itself."""
    before = [(module, name, getattr(module, name)) for module, name in KEPT]
    try:
        for module, name, cached in before:
            setattr(module, name, _for_each(cached, turn))
        yield
    finally:
        for module, name, cached in before:
            setattr(module, name, cached)


def _for_each(cached: _lru_cache_wrapper[T], turn: Callable[[], bytes]) -> Callable[..., T]:
    known: dict[bytes, _lru_cache_wrapper[T]] = {}
    size = cached.cache_parameters()["maxsize"]

    def own(*arguments: Hashable) -> T:
        peer = turn()
        if peer not in known:
            known[peer] = lru_cache(maxsize=size)(cached.__wrapped__)
        return known[peer](*arguments)

    own.cache_info = cached.cache_info  # type: ignore[attr-defined]
    return own
