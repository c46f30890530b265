"""A federation in one process and virtual time: real engines, real signatures, real masks; only the carrying is ours.

Every run is a function of its seed. The network may lose, delay, repeat and reorder; peers may crash and come back
with what they saved; cheats are plain functions that edit what a peer sends. With `whole` the product's own files,
outbox and ledger client take part, on a simulated disk and before a simulated chain (sim_home, sim_disk, sim_chain);
without it what a peer keeps is a dictionary, and the chain says yes.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256 as _sha

import numpy as np
import sim_caches
import sim_disk
from sim_chain import Bad, SimNode
from sim_home import Home, WholeHome

from peerage import effects as fx
from peerage import messages as m
from peerage.rounds.aggregation import Grid, canonical, masked_input
from peerage.rounds.optimisers import AHEAD, Optimiser
from peerage.rounds.round import Engine, Manifests, Rules
from peerage.rounds.sampling import Sampling, only
from peerage_crypto.crossfit import FRAC_BITS, LENGTH
from peerage_crypto.digest import sha256, tagged
from peerage_crypto.fixedpoint import on_grid
from peerage_crypto.identity import Account
from peerage_crypto.sketch_terms import sketching
from peerage_ledger import events
from peerage_ledger.judgement import Federation, genesis
from peerage_ledger.records import RewardRoot, RoundRecord  # noqa: TC001 - a dictionary's values

PARAMETERS = 24
POOL = 10**21
GOOD = Bad()

sim_caches.install()
sim_disk.install()


@dataclass(frozen=True)
class Weather:
    """How bad the network is: probabilities per message, delays in seconds."""

    loss: float = 0.0
    repeat: float = 0.0
    delay: tuple[float, float] = (0.001, 0.005)
    fetch_loss: float = 0.0


@dataclass
class Host:
    """One peer: its engine, where it keeps things, and what an observer saw of all its lives."""

    name: str
    account: Account
    engine: Engine
    home: Home
    alive: bool = True
    life: int = 0
    effects: int = 0  # carried out so far, in all lives
    kill_at: int | None = None  # before which effect it dies
    power: bool = False  # its next death is a power cut
    absence: float | None = None  # so long after each death it comes back by itself
    journal: list[fx.Journal] = field(default_factory=list)
    reports: list[fx.Report] = field(default_factory=list)
    progress: list[fx.Progress] = field(default_factory=list)
    timers: dict[str, int] = field(default_factory=dict)
    finished: bool = False
    publishing: bool = False  # waits for the chain to have what it published
    paying: RewardRoot | None = None  # the same, of an epoch before the last
    roots: tuple[RewardRoot, ...] = ()  # on the chain, as its engine has heard
    look_at: float | None = None  # when its ledger client looks next
    refused: list[events.Refused] = field(default_factory=list)
    work: fx.PrivateState | None = None  # what it saved last
    inside: set[bytes] = field(default_factory=set)  # sessions whose sums it is in, as it knew then
    merged_at: float = -1.0  # when it last learned that what it had sent is merged
    rotated: bytes = b""  # its newest transport key, if it changed
    forgetful: int = 0  # so often its disk was lost

    @property
    def holdings(self) -> dict[bytes, bytes]:
        """Artefacts that it can read, by id."""
        return self.home.holdings

    @holdings.setter
    def holdings(self, blobs: dict[bytes, bytes]) -> None:
        self.home.holdings = blobs

    @property
    def saved(self) -> fx.PrivateState | None:
        """The private state on its disk."""
        return self.home.load()


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
        sketches: int = 0,
        private: bool = False,
        whole: bool = False,
        bad: Bad = GOOD,
        stall: float = 12.0,
        batch: int = 1,
        epoch: int = 0,
        optimiser: Optimiser = AHEAD,
        audited: bool = True,
        random_k: float = 1.0,
    ) -> None:
        self.random = random.Random(seed)
        self.seed, self.weather, self.now, self.parameters = seed, weather, 0.0, parameters
        sampling = Sampling(random_k)
        self.exchanged = sampling.exchanged(parameters)
        self.trace: Callable[[str], None] | None = None  # told every happening in words
        self.archive: dict[bytes, bytes] = {}  # every artefact that anybody ever kept
        self.last_fault, self.last_fault_round = 0.0, 0
        self.broken: list[str] = []  # invariants that the simulation itself saw broken
        self._seen = _sha()
        self.train, self.train_seconds = train or honest_training, train_seconds
        self.measure: Callable[[Simulation, Host, fx.Measure], np.ndarray | None] = honest_gradient
        self.gradients: dict[tuple[bytes, bytes], np.ndarray] = {}  # (session, peer) -> its path gradient in the clear
        self.cheats: dict[bytes, Cheat] = {}
        self.records: dict[bytes, RoundRecord] = {}
        self.published: list[tuple[RewardRoot, tuple[bytes, ...], dict[bytes, int]]] = []
        self.wire: list[tuple[bytes, bytes, m.Message]] = []
        self.watchers: list[Watcher] = []  # see every message before it leaves; may crash its sender
        self.plain: dict[tuple[bytes, bytes], np.ndarray] = {}  # (session, peer) -> what it put under its masks
        self._cut: set[frozenset[bytes]] = set()  # pairs that a partition keeps apart
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = self._draws = 0
        sim_disk.CLOCK.now = lambda: self.now
        accounts = [Account.from_secret(_sha(f"{seed}/{i}".encode()).digest()) for i in range(peers)]
        grid = Grid(ring_bits, 6 if ring_bits == 16 else 16, 4.0)
        model = np.random.default_rng(seed).normal(size=parameters).astype(np.float32)
        settings = sha256(b"genesis", str(seed).encode())
        self.node = SimNode(settings, POOL, random.Random(f"chain/{seed}"), bad) if whole else None
        deployment = self.node.contracts.deployment if self.node else None
        self.federation = Federation(
            chain_id=31337,
            registry=deployment.registry if deployment else b"\x01" * 20,
            round_ledger=deployment.ledger if deployment else b"\x02" * 20,
            vault=deployment.vault if deployment else b"\x03" * 20,
            genesis=settings,
            terms=sha256(b"terms", str(seed).encode()),
            registered=frozenset(a.address for a in accounts),
            ring=grid.ring,
            length=grid.length(self.exchanged),
            sketches=sketching(
                sketches,
                3.0,
                clip=grid.clip,
                frac_bits=grid.frac_bits,
                bits=ring_bits,
                length=grid.length(self.exchanged),
                skip=grid.ring.lane_words,
            ),
            crossfit=private,
            audited=audited,
        )
        self.genesis = genesis(self.federation.genesis, model, sha256(canonical(model)))
        self.rules = Rules(
            rounds=rounds,
            optimiser=optimiser,
            grid=grid,
            novelty=3,
            cap=2,
            window=12,
            pool=POOL,
            patience=2.0,
            step_seconds=5.0,
            stall_seconds=stall,
            stagger=0.5,
            batch=batch,
            epoch=epoch,
            sampling=sampling,
        )
        self._index = {a.address: i for i, a in enumerate(accounts)}
        self.hosts: dict[bytes, Host] = {}
        for i, a in enumerate(accounts):
            self.hosts[a.address] = Host(f"peer-{i + 1:02}", a, self._engine(a, i), self._home(a))
        if self.node is not None:
            self.node.at, self.node.changed = self.at, self._chain_changed

    def _home(self, account: Account) -> Home:
        if self.node is None:
            return Home()
        self.node.register(account.address, sha256(b"transport", account.address))
        return WholeHome(account, self.parameters, self.node, lambda: self._look_in(self.hosts[account.address], 0.05))

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
            if self.node is not None:
                self._look_in(host, 0.05)
        if self.node is not None:
            self.node.start()
        return self

    def run(self, until: float = 600.0, most: int = 10**7) -> Simulation:
        """Play until all peers finished, nothing can happen any more, or virtual time (or `most` happenings) is up."""
        while self._queue and self._count < most and not self._over():
            if self._queue[0][0] > until:
                self.now = until
                break
            self.now, _, action = heapq.heappop(self._queue)
            action()
        return self

    def _over(self) -> bool:
        for host in self.hosts.values():
            if not host.finished or not host.alive:
                return False
        if self.node is None:
            return True
        return self.now >= self.node.quiet_from and all(
            h.look_at is None and h.home.idle() for h in self.hosts.values()
        )

    def at(self, delay: float, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.now + delay, self._count, action))

    def say(self, who: str, what: str) -> None:
        if self.trace is not None:
            self.trace(f"{self.now:9.3f}  {who:8}  {what}")

    def fault(self, who: str, what: str) -> None:
        """Something bad happened (or ended): the time from which liveness counts starts anew."""
        self.last_fault = self.now
        self.last_fault_round = max(h.engine.head.round for h in self.hosts.values())
        self.say(who, what)

    def fingerprint(self) -> str:
        """Equal for two runs that were the same, frame for frame and second for second."""
        return self._seen.hexdigest()

    def crash(self, host: Host) -> None:
        """kill -9 (or a power cut, if `host.power`): memory is gone, what was saved stays; the others notice."""
        if not host.alive:
            return
        self.fault(host.name, "loses power" if host.power else "is killed")
        host.alive, host.life = False, host.life + 1
        host.home.died(self.random, power=host.power)
        host.power = False
        if host.absence is not None:
            self.at(host.absence, lambda: self.revive(host))
        for other in self.hosts.values():
            self.at(0.2, lambda o=other: self.event(o, fx.PeerDown(host.account.address)))

    def revive(self, host: Host, *, wiped: bool = False) -> None:
        """It starts again, with what its disk has, or with its keys alone."""
        if host.alive:
            return
        self.fault(host.name, "starts again" + (" with an empty disk" if wiped else ""))
        host.alive, host.finished, host.timers, host.publishing = True, False, {}, False
        host.paying, host.roots = None, ()
        host.engine = self._engine(host.account, self._index[host.account.address])
        if wiped:
            host.home.wipe()
        for other in self.hosts.values():
            if other is not host and other.alive:
                self.at(0.1, lambda o=other: self.event(o, fx.PeerUp(host.account.address)))
                self.at(0.1, lambda o=other: self.event(host, fx.PeerUp(o.account.address)))
        self._living(host, host.home.open)
        if host.alive:
            if self.node is not None:
                self._look_in(host, 0.05)
            saved = host.saved
            host.forgetful += saved is None
            self.event(host, fx.Started(saved, lost=saved is None))

    def _living(self, host: Host, act: Callable[[], object]) -> None:
        """Something that the peer does itself: it may die in it."""
        try:
            act()
        except sim_disk.Crashed:
            self.crash(host)

    def partition(self, *groups: list[Host]) -> None:
        """From now on only peers of one group hear each other; both sides notice soon."""
        side = {h.account.address: i for i, group in enumerate(groups) for h in group}
        self._cut = {frozenset({a, b}) for a in side for b in side if side[a] != side[b]}
        self.fault("network", "is cut: " + " | ".join(" ".join(sorted(h.name for h in group)) for group in groups))
        self._tell_cut(0.2, fx.PeerDown)

    def heal(self) -> None:
        """The partition ends."""
        if self._cut:
            self.fault("network", "is whole again")
        self._tell_cut(0.1, fx.PeerUp)
        self._cut = set()

    def calm(self) -> None:
        """The faults cease: good weather, one network, a chain that works, and whoever is away comes back."""
        self.weather = Weather()
        self.heal()
        if self.node is not None:
            self.node.calm_down()
        for host in self.hosts.values():
            host.kill_at, host.power = None, False
            if isinstance(host.home, WholeHome):
                host.home.disk.crash_at = None
            self.revive(host)
        self.watchers.clear()
        self.fault("network", "is calm from here on")

    def rotate(self, host: Host, key: bytes) -> None:
        """A new transport key in the registry; the account stays."""
        if host.alive and isinstance(host.home, WholeHome) and host.home.ledger is not None:
            self.say(host.name, "rotates its transport key")
            ledger, life = host.home.ledger, host.life
            self._living(host, lambda: ledger.register(key, f"tcp://{host.account.address.hex()[:8]}", 1))
            host.rotated = key if host.life == life else host.rotated

    def _tell_cut(self, delay: float, kind: type[fx.PeerDown | fx.PeerUp]) -> None:
        for a, b in (sorted(pair) for pair in sorted(self._cut, key=sorted)):
            for one, other in ((a, b), (b, a)):
                self.at(delay, lambda one=one, other=other: self.event(self.hosts[one], kind(other)))

    def event(self, host: Host, event: fx.Event) -> None:
        if host.alive:
            self._living(host, lambda: self._handle(host, event))

    def _handle(self, host: Host, event: fx.Event) -> None:
        life = host.life
        for effect in host.engine.handle(event):
            cheat = self.cheats.get(host.account.address)
            for done in cheat(self, host, effect) if cheat else [effect]:
                if host.life != life:  # killed between two effects: the rest never happens
                    return
                host.effects += 1
                if host.effects == host.kill_at:
                    raise sim_disk.Crashed
                self.carry(host, done)

    # -- carrying ------------------------------------------------------------------------------------------------------

    def carry(self, host: Host, effect: fx.Effect) -> None:
        me, life, home = host.account.address, host.life, host.home
        match effect:
            case fx.Send(to, message):
                self.deliver(me, (to,), message)
            case fx.Broadcast(message):
                self.deliver(me, tuple(to for to in self.hosts if to != me), message)
            case fx.Journal(kind, round_, fields):
                home.journal(kind, round_, fields)
                host.journal.append(effect)
                if self.trace is not None:
                    self.say(host.name, f"writes: {kind} {_words(fields)}")
                self._remember_plain(host, effect)
            case fx.Store(blob):
                self.archive[sha256(blob)] = blob
                home.store(blob)
            case fx.FetchArtefact(owner, artefact, limit):
                self._fetch(host, owner, artefact, limit)
            case fx.SetTimer(name, seconds):
                host.timers[name] = mark = host.timers.get(name, 0) + 1
                self.at(seconds, lambda: self._ring(host, life, name, mark))
            case fx.CancelTimer(name):
                host.timers[name] = host.timers.get(name, 0) + 1
            case fx.Train():
                self.at(self.train_seconds(host), lambda: self._trained(host, life, effect))
            case fx.Measure():
                units = self.measure(self, host, effect)
                self.at(0.001, lambda: host.life == life and self.event(host, fx.Measured(effect.sid, units)))
            case fx.Score(sid, _, _, _, _, _, sums) if sums is not None:
                done = fx.Scored(sid, *cross_directions(sums), sha256(me, sid))
                self.at(0.001, lambda: host.life == life and self.event(host, done))
            case fx.Score(sid, _, base, step, applied):
                g, exponent = direction(base, step, applied)
                done = fx.Scored(sid, only(g, effect.kept), exponent, sha256(me, sid))
                self.at(0.001, lambda: host.life == life and self.event(host, done))
            case fx.Save(state):
                home.save(state)
                self._watch_work(host, state)
            case fx.Record(record):
                self.records[record.record_hash()] = record
                home.record(record)
            case fx.RecordLine(records):
                self.records |= {record.record_hash(): record for record in records}
                home.record_line(records)
            case fx.CloseEmissions():
                done = fx.EmissionsClosed(sha256(me, bytes([life])))
                self.at(0.001, lambda: host.life == life and self.event(host, done))
            case fx.Publish(root, signatures, totals):
                self.published.append((root, signatures, totals))
                if not home.publish(effect):
                    epoch = 0 if effect.final else root.epoch
                    self.at(0.01, lambda: host.life == life and self.event(host, fx.Published(epoch)))
                elif effect.final:
                    host.publishing = True
                else:
                    host.paying = root
            case fx.Report():
                host.reports.append(effect)
            case fx.Progress():
                host.progress.append(effect)
            case fx.Finish():
                host.finished = True
                self.say(host.name, "has finished")

    def _watch_work(self, host: Host, state: fx.PrivateState) -> None:
        """A free version that moves to another model takes all of its work along."""
        me, engine = host.account.address, host.engine
        if not isinstance(engine, Engine):
            return  # plain exchange has no sums
        inside = {j.transcript.sid for j in engine.history if me in j.proven.u3}
        if engine.candidate and me in engine.candidate.proven.u3:
            inside.add(engine.candidate.sid)
        before, host.work = host.work, state
        new, host.inside = inside - host.inside, inside
        if before is not None and before.sid in new:
            host.merged_at = self.now  # every save of one step is carried out after it
        if before is None or (before.version, before.status, state.status) != (state.version, "free", "free"):
            return
        if host.merged_at < self.now and not np.allclose(
            state.local - state.base, before.local - before.base, atol=1e-4
        ):
            self.broken.append(f"{host.name} lost work that no model contains")

    def _trained(self, host: Host, life: int, effect: fx.Train) -> None:
        if host.life == life:
            model = self.train(self, host, effect)
            self.event(host, fx.Trained(model, effect.version, 100, 50 + effect.version % 50, 0.5))

    def deliver(self, sender: bytes, receivers: tuple[bytes, ...], message: m.Message) -> None:
        """One frame to each: encoded, lost, delayed, repeated."""
        source, frame, weather, draw = self.hosts[sender], m.encode(message), self.weather, self.random.random
        for to in receivers:
            for watcher in self.watchers:
                watcher(self, source, to, message)
            if not source.alive:
                return
            if self._cut and frozenset({sender, to}) in self._cut:
                continue
            self.wire.append((sender, to, message))
            self._seen.update(repr(self.now).encode() + to + frame)
            receiver = self.hosts[to]
            if self.trace is not None:
                self.say(source.name, f"to {receiver.name}: {type(message).__name__} {_words(message)}")
            copies = 1 + (draw() < weather.repeat)
            for _ in range(copies):
                if draw() < weather.loss:
                    self.say("network", f"loses {type(message).__name__} from {source.name} to {receiver.name}")
                    continue
                low, high = weather.delay
                self.at(low + (high - low) * draw(), lambda r=receiver: self._arrive(r, sender, frame))

    def _arrive(self, receiver: Host, sender: bytes, frame: bytes) -> None:
        if receiver.alive:
            self.event(receiver, fx.Received(sender, m.decode(sender, frame)))

    # -- the chain -----------------------------------------------------------------------------------------------------

    def _chain_changed(self) -> None:
        assert self.node is not None
        self.say("chain", f"block {len(self.node.blocks) - 1}, {len(self.node.blocks[-1].transactions)} transactions")
        for host in self.hosts.values():
            self._look_in(host, 0.1)

    def _look_in(self, host: Host, seconds: float) -> None:
        """One look of the host's ledger client is due in so many seconds at the latest."""
        due = self.now + seconds
        if host.look_at is None or host.look_at > due:
            host.look_at = due
            self.at(seconds, lambda: self._look(host, due))

    def _look(self, host: Host, due: float) -> None:
        if host.look_at != due:
            return
        host.look_at = None
        if host.alive:
            self._living(host, lambda: self._look_now(host))

    def _look_now(self, host: Host) -> None:
        home = host.home
        assert isinstance(home, WholeHome)
        ledger = home.ledger
        assert ledger is not None
        again = ledger.look()
        for event in ledger.poll():
            if self.trace is not None:
                self.say(host.name, f"hears: {type(event).__name__} {_words(event)}")
            if isinstance(event, events.Confirmed):
                home.journal("ledger", host.engine.head.round, {"key": event.key, "gas": event.gas_used})
            elif isinstance(event, events.Refused):
                host.refused.append(event)
        roots = ledger.vault_state().roots
        if roots != host.roots:
            host.roots = roots
            self.event(host, fx.RootsStand(roots))
        if host.publishing and ledger.pending() == 0:
            host.publishing = False
            self.event(host, fx.Published())
        if host.paying is not None and ledger.pending(host.paying) == 0:
            epoch, host.paying = host.paying.epoch, None
            self.event(host, fx.Published(epoch))
        if again is not None:
            self._look_in(host, again)

    # -- artefacts -----------------------------------------------------------------------------------------------------

    def _fetch(self, host: Host, owner: bytes, artefact: bytes, limit: int) -> None:
        life = host.life

        def done() -> None:
            if host.life != life:
                return
            blob, source = host.home.get(artefact), self.hosts[owner]
            if blob is None and source is not host and source.alive:
                blob = source.home.get(artefact)
                cut = frozenset({host.account.address, owner}) in self._cut
                if cut or self.random.random() < self.weather.fetch_loss or (blob and len(blob) > limit):
                    blob = None
            if blob is None:
                self.event(host, fx.Unfetched(owner, artefact))
                return
            self.archive[artefact] = blob
            self._living(host, lambda: host.home.store(blob))
            if host.life == life:
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


def _words(thing: object) -> str:
    """Fields in short, for a story."""
    fields = thing if isinstance(thing, dict) else {}
    if not fields:
        names = getattr(thing, "__struct_fields__", None) or getattr(thing, "__slots__", ())
        fields = {name: getattr(thing, name) for name in names}
    return " ".join(f"{name}={_word(value)}" for name, value in fields.items())


def _word(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()[:8]
    if isinstance(value, tuple | list):
        return f"[{len(value)}]"
    if hasattr(value, "statement"):
        return f"({_words(value.statement)})"
    text = str(value)
    return text[:8] if len(text) == 64 else text[:200]


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


def honest_gradient(sim: Simulation, host: Host, effect: fx.Measure) -> np.ndarray | None:
    """A stand-in for a path gradient on rows held back: towards the target, each peer with its own bias; length one."""
    seed = int.from_bytes(_sha(f"{sim.seed}/gradient/{host.name}/{effect.round}".encode()).digest()[:8], "big")
    target = np.linspace(-1, 1, sim.parameters)
    gbar = target - (effect.base + effect.step / 2) + 0.3 * np.random.default_rng(seed).normal(size=sim.parameters)
    gbar = only(gbar, effect.kept)
    units = on_grid(gbar / (np.linalg.norm(gbar) * (1 + 1e-12)), FRAC_BITS, LENGTH, 0.0, effect.dither)
    sim.gradients[effect.sid, host.account.address] = units
    return units


def cross_directions(sums: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, int]:
    """A stand-in for the directions of private validation: each half's is the other's sum, scaled to integers."""
    return np.stack([np.rint(s / np.abs(s).max() * 500).astype(np.int64) for s in (sums[1], sums[0])]), 10
