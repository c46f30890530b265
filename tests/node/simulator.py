"""A federation in one process and virtual time: real engines, real signatures, real masks; only the carrying is ours.

Every run is a function of its seed. The network may lose, delay, repeat and reorder; peers may crash and come back
with what they saved; cheats are plain functions that edit what a peer sends.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256 as _sha

import numpy as np

from peerage import effects as fx
from peerage import messages as m
from peerage.rounds.aggregation import AUXILIARY, Grid, canonical, masked_input
from peerage.rounds.round import Engine, Manifests, Rules
from peerage_crypto.digest import sha256, tagged
from peerage_crypto.fixedpoint import ring
from peerage_crypto.identity import Account
from peerage_crypto.statements import Statement
from peerage_ledger.judgement import Federation, genesis
from peerage_ledger.records import RewardRoot, RoundRecord  # noqa: TC001 - a dictionary's values

PARAMETERS = 24

# All peers live in one process here and hash the same statements again and again: remember the digests.
Statement.digest = lru_cache(maxsize=1 << 15)(Statement.digest)  # type: ignore[method-assign]


@dataclass(frozen=True)
class Weather:
    """How bad the network is: probabilities per message, delays in seconds."""

    loss: float = 0.0
    repeat: float = 0.0
    delay: tuple[float, float] = (0.001, 0.005)
    fetch_loss: float = 0.0


@dataclass
class Host:
    """One peer's durable and volatile parts."""

    name: str
    account: Account
    engine: Engine
    alive: bool = True
    life: int = 0
    saved: fx.PrivateState | None = None
    holdings: dict[bytes, bytes] = field(default_factory=dict)
    journal: list[fx.Journal] = field(default_factory=list)
    reports: list[fx.Report] = field(default_factory=list)
    progress: list[fx.Progress] = field(default_factory=list)
    timers: dict[str, int] = field(default_factory=dict)
    finished: bool = False


Cheat = Callable[["Simulation", Host, fx.Effect], "list[fx.Effect]"]
Watcher = Callable[["Simulation", Host, bytes, m.Message], None]


class Simulation:
    """`run()` until everybody finished or nothing happens any more."""

    def __init__(
        self,
        peers: int,
        *,
        seed: int = 0,
        rounds: int = 3,
        weather: Weather = Weather(),
        parameters: int = PARAMETERS,
        train: Callable[[Simulation, Host, fx.Train], np.ndarray] | None = None,
        train_seconds: Callable[[Host], float] = lambda _: 0.05,
        ring_bits: int = 32,
    ) -> None:
        self.random = random.Random(seed)
        self.seed, self.weather, self.now, self.parameters = seed, weather, 0.0, parameters
        self.train, self.train_seconds = train or honest_training, train_seconds
        self.cheats: dict[bytes, Cheat] = {}
        self.records: dict[bytes, RoundRecord] = {}
        self.published: list[tuple[RewardRoot, tuple[bytes, ...], dict[bytes, int]]] = []
        self.wire: list[tuple[bytes, bytes, m.Message]] = []
        self.watchers: list[Watcher] = []  # see every message before it leaves; may crash its sender
        self.plain: dict[tuple[bytes, bytes], np.ndarray] = {}  # (session, peer) -> what it put under its masks
        self._cut: set[frozenset[bytes]] = set()  # pairs that a partition keeps apart
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = self._draws = 0
        accounts = [Account.from_secret(_sha(f"{seed}/{i}".encode()).digest()) for i in range(peers)]
        grid = Grid(ring_bits, 16, 4.0)
        model = np.random.default_rng(seed).normal(size=parameters).astype(np.float32)
        self.federation = Federation(
            chain_id=31337,
            registry=b"\x01" * 20,
            round_ledger=b"\x02" * 20,
            vault=b"\x03" * 20,
            genesis=sha256(b"genesis", str(seed).encode()),
            terms=sha256(b"terms", str(seed).encode()),
            registered=frozenset(a.address for a in accounts),
            ring=ring(ring_bits),
            length=AUXILIARY + parameters,
        )
        self.genesis = genesis(self.federation.genesis, model, sha256(canonical(model)))
        self.rules = Rules(
            rounds=rounds,
            momentum=0.9,
            grid=grid,
            novelty=3,
            cap=2,
            window=12,
            pool=10**21,
            patience=2.0,
            step_seconds=5.0,
            stall_seconds=12.0,
            stagger=0.5,
        )
        self.hosts = {a.address: Host(f"peer-{i + 1:02}", a, self._engine(a, i)) for i, a in enumerate(accounts)}
        self._index = {a.address: i for i, a in enumerate(accounts)}

    def _engine(self, account: Account, index: int) -> Engine:
        return Engine(
            rules=self.rules,
            federation=self.federation,
            account=account,
            genesis=self.genesis,
            manifests=Manifests(bytes(32), bytes(32)),
            draw=self._draw,
            dither=lambda version: tagged("dither", f"{self.seed}/{index}/{version}".encode()),
        )

    def _draw(self) -> bytes:
        self._draws += 1
        return _sha(f"{self.seed}/draw/{self._draws}".encode()).digest()

    # -- running -------------------------------------------------------------------------------------------------------

    def start(self) -> Simulation:
        for host in self.hosts.values():
            self.at(0.0, lambda h=host: self.event(h, fx.Started(h.saved)))
        return self

    def run(self, until: float = 600.0) -> Simulation:
        """Play until all peers finished, nothing can happen any more, or virtual time is up."""
        while self._queue and not all(h.finished for h in self.hosts.values()):
            if self._queue[0][0] > until:
                self.now = until
                break
            self.now, _, action = heapq.heappop(self._queue)
            action()
        return self

    def at(self, delay: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.now + delay, self._count, action))

    def crash(self, host: Host) -> None:
        """kill -9: memory is gone, what was saved stays; the others notice."""
        host.alive, host.life = False, host.life + 1
        for other in self.hosts.values():
            self.at(0.2, lambda o=other: self.event(o, fx.PeerDown(host.account.address)))

    def revive(self, host: Host) -> None:
        host.alive, host.finished, host.timers = True, False, {}
        host.engine = self._engine(host.account, self._index[host.account.address])
        for other in self.hosts.values():
            if other is not host and other.alive:
                self.at(0.1, lambda o=other: self.event(o, fx.PeerUp(host.account.address)))
                self.at(0.1, lambda o=other: self.event(host, fx.PeerUp(o.account.address)))
        self.event(host, fx.Started(host.saved))

    def partition(self, *groups: list[Host]) -> None:
        """From now on only peers of one group hear each other; both sides notice soon."""
        side = {h.account.address: i for i, group in enumerate(groups) for h in group}
        self._cut = {frozenset({a, b}) for a in side for b in side if side[a] != side[b]}
        self._tell_cut(0.2, fx.PeerDown)

    def heal(self) -> None:
        """The partition ends."""
        self._tell_cut(0.1, fx.PeerUp)
        self._cut = set()

    def _tell_cut(self, delay: float, kind: type[fx.PeerDown | fx.PeerUp]) -> None:
        for a, b in (sorted(pair) for pair in sorted(self._cut, key=sorted)):
            for one, other in ((a, b), (b, a)):
                self.at(delay, lambda one=one, other=other: self.event(self.hosts[one], kind(other)))

    def event(self, host: Host, event: fx.Event) -> None:
        if host.alive:
            life = host.life
            for effect in host.engine.handle(event):
                cheat = self.cheats.get(host.account.address)
                for done in cheat(self, host, effect) if cheat else [effect]:
                    if host.life == life:  # killed between two effects: the rest never happens
                        self.carry(host, done)

    # -- carrying ------------------------------------------------------------------------------------------------------

    def carry(self, host: Host, effect: fx.Effect) -> None:
        me, life = host.account.address, host.life
        match effect:
            case fx.Send(to, message):
                self.deliver(me, to, message)
            case fx.Broadcast(message):
                for to in self.hosts:
                    if to != me:
                        self.deliver(me, to, message)
            case fx.Journal():
                host.journal.append(effect)
                self._remember_plain(host, effect)
            case fx.Store(blob):
                host.holdings[sha256(blob)] = blob
            case fx.FetchArtefact(owner, artefact, limit):
                self._fetch(host, owner, artefact, limit)
            case fx.SetTimer(name, seconds):
                host.timers[name] = mark = host.timers.get(name, 0) + 1
                self.at(seconds, lambda: self._ring(host, life, name, mark))
            case fx.CancelTimer(name):
                host.timers[name] = host.timers.get(name, 0) + 1
            case fx.Train():
                model = self.train(self, host, effect)
                done = fx.Trained(model, effect.version, 100, 50 + effect.version, 0.5)
                self.at(self.train_seconds(host), lambda: host.life == life and self.event(host, done))
            case fx.Score(sid, _, base, step, applied, _):
                done = fx.Scored(sid, *direction(base, step, applied), sha256(me, sid))
                self.at(0.001, lambda: host.life == life and self.event(host, done))
            case fx.Save(state):
                host.saved = state
            case fx.Record(record):
                self.records[record.record_hash()] = record
            case fx.CloseEmissions():
                self.at(0.001, lambda: host.life == life and self.event(host, fx.EmissionsClosed(sha256(me))))
            case fx.Publish(root, signatures, totals):
                self.published.append((root, signatures, totals))
                self.at(0.01, lambda: self.event(host, fx.Published()))
            case fx.Report():
                host.reports.append(effect)
            case fx.Progress():
                host.progress.append(effect)
            case fx.Finish():
                host.finished = True

    def deliver(self, sender: bytes, to: bytes, message: m.Message) -> None:
        """One frame: encoded, lost, delayed, repeated."""
        for watcher in self.watchers:
            watcher(self, self.hosts[sender], to, message)
        if not self.hosts[sender].alive or frozenset({sender, to}) in self._cut:
            return
        frame = m.encode(message)
        self.wire.append((sender, to, message))
        receiver = self.hosts[to]
        copies = 1 + (self.random.random() < self.weather.repeat)
        for _ in range(copies):
            if self.random.random() < self.weather.loss:
                continue
            delay = self.random.uniform(*self.weather.delay)
            self.at(delay, lambda: self.event(receiver, fx.Received(sender, m.decode(sender, frame))))

    def _fetch(self, host: Host, owner: bytes, artefact: bytes, limit: int) -> None:
        life = host.life

        def done() -> None:
            source = host if artefact in host.holdings else self.hosts[owner]
            blob = source.holdings.get(artefact) if source.alive else None
            cut = frozenset({host.account.address, owner}) in self._cut
            lost = source is not host and (cut or self.random.random() < self.weather.fetch_loss)
            if host.life != life:
                return
            if blob is None or lost or len(blob) > limit:
                self.event(host, fx.Unfetched(owner, artefact))
            else:
                host.holdings[artefact] = blob
                self.event(host, fx.Fetched(artefact, blob))

        self.at(self.random.uniform(*self.weather.delay), done)

    def _remember_plain(self, host: Host, entry: fx.Journal) -> None:
        engine = host.engine
        if (
            entry.kind == "signed"
            and entry.fields["type"] == "JoinIntent"
            and getattr(engine, "update", None) is not None
        ):
            key = (bytes.fromhex(entry.fields["sid"]), host.account.address)
            self.plain[key] = masked_input(engine.update, engine.own.own, self.rules.grid)

    def _ring(self, host: Host, life: int, name: str, mark: int) -> None:
        if host.life == life and host.timers.get(name) == mark:
            self.event(host, fx.Timeout(name))


def honest_training(sim: Simulation, host: Host, effect: fx.Train) -> np.ndarray:
    """Walk towards a common target, each peer with its own bias."""
    rng = np.random.default_rng(
        int.from_bytes(_sha(f"{sim.seed}/{host.name}/{effect.version}".encode()).digest()[:8], "big")
    )
    target = np.linspace(-1, 1, sim.parameters)
    return (effect.model + 0.2 * (target - effect.model) + 0.05 * rng.normal(size=sim.parameters)).astype(np.float32)


def direction(base: np.ndarray, step: np.ndarray, applied: tuple[np.ndarray, ...]) -> tuple[np.ndarray, int]:
    """A stand-in for the path gradient: towards the target, off the span of the last step."""
    target = np.linspace(-1, 1, base.size)
    g = target - (base + step / 2).astype(np.float64)
    for past in applied[:1]:
        norm = float(past @ past)
        g = g - (g @ past) / norm * past if norm > 0 else g
    return np.rint(g / max(1e-9, np.abs(g).max()) * 500).astype(np.int64), 10
