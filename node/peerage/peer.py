"""One peer as a process: it carries the engine's effects out and the world's events in, and decides nothing.

One loop owns the engine, the journal and the meter. Threads bring it events through one queue: the transport, the
ledger's notifier, the learner, and a watcher of the launcher's pipe. The launcher closing that pipe ends the peer.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import threading
import time
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from eth_utils.address import to_checksum_address

from peerage import common_scale, greeting, messages, transport
from peerage import effects as fx
from peerage.aggregation import AUXILIARY, Grid, canonical
from peerage.config_toml import federation_hash, load_federation
from peerage.emissions import EmissionsCsv, Meter, equal_reservation, parse_resolution, probe_from_json
from peerage.journal import PeerJournal
from peerage.keys import load_keys, random_secret, read_password
from peerage.learner import Learner, data_manifest, rows_of, standardised, validation_blob
from peerage.metrics import MetricsLog, RoundMetrics
from peerage.private_state import load_state, save_state
from peerage.round import Engine, Manifests, Rules
from peerage.status import PeerSpec, State, Status, send_status
from peerage.store import ArtefactStore
from peerage.transport_zmq import ZmqTransport
from peerage_crypto.digest import sha256, tagged
from peerage_crypto.errors import PeerError, Unreachable
from peerage_crypto.fixedpoint import check_headroom, ring
from peerage_ledger import events as ledger_events
from peerage_ledger.chain import ChainLedger
from peerage_ledger.deployment import Deployment
from peerage_ledger.judgement import Federation as Ground
from peerage_ledger.judgement import genesis, session_terms

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from numpy.typing import NDArray

    from peerage import data_csv
    from peerage.config import Federation
    from peerage.data_csv import Schema
    from peerage.emissions import EmissionRecord, Phase
    from peerage_ledger.interface import Registration

if TYPE_CHECKING:
    Vector = NDArray[np.float32]

REGISTRATION_SECONDS = 120.0
STATUS_SECONDS = 0.2
LEDGER_SECONDS = 0.5
STAGGER_SECONDS = 0.5
TRAINING, SCALE, GREETING = 0, 1, 2  # the first byte of every control frame says whom it is for
HASHED_SOURCES = ("round.py", "aggregation.py", "trainer.py", "learner.py", "scoring.py")

log = logging.getLogger("peerage")


@dataclass(frozen=True, slots=True)
class _Stop:
    """The launcher's end of the pipe is closed."""


@dataclass(frozen=True, slots=True)
class _LedgerNews:
    """The ledger's worker has something to poll."""


Happening = (
    transport.Event | fx.Trained | fx.Scored | _Stop | _LedgerNews | fx.Received | fx.Fetched | fx.Unfetched | Exception
)


def run_peer(spec: PeerSpec, status: Connection) -> int:
    """The peer's life: until it is told to stop. 0 when everything it had to do is done, 3 when it was stopped early."""
    with contextlib.ExitStack() as stack:
        peer = Peer(spec, status, stack)
        return peer.live()


@dataclass
class _Timers:
    """Named deadlines on the monotonic clock."""

    due: list[tuple[float, int, str]] = field(default_factory=list)
    current: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def set(self, name: str, seconds: float) -> None:
        self.count += 1
        self.current[name] = self.count
        heapq.heappush(self.due, (time.monotonic() + seconds, self.count, name))

    def cancel(self, name: str) -> None:
        self.current.pop(name, None)

    def wait(self) -> float:
        return max(0.0, self.due[0][0] - time.monotonic()) if self.due else 3600.0

    def ripe(self) -> list[str]:
        names: list[str] = []
        while self.due and self.due[0][0] <= time.monotonic():
            _, mark, name = heapq.heappop(self.due)
            if self.current.get(name) == mark:
                del self.current[name]
                names.append(name)
        return names


class Peer:
    """Everything one peer has open; `stack` closes it, last opened first."""

    def __init__(self, spec: PeerSpec, pipe: Connection, stack: contextlib.ExitStack) -> None:
        self.spec, self.pipe = spec, pipe
        run = Path(spec.run_dir)
        self.folder, self.secrets = run / "peers" / spec.name, Path(spec.secrets_dir)
        self.federation = load_federation(run / "federation.toml")
        keys = load_keys(
            self.secrets, spec.name, read_password(Path(spec.password_file) if spec.password_file else None)
        )
        self.account, self.me = keys.account, keys.account.address
        self.inbox: SimpleQueue[Happening] = SimpleQueue()
        self.timers = _Timers()
        self.state: State = "starting"
        self.phase = "wait"
        self.note = ""
        self.earned = 0
        self.version = 0
        self._told = 0.0
        self._publishing: dict[bytes, int] | None = None
        self._done = False
        self._say()
        self._watch_pipe()
        self.store = ArtefactStore(run / "store", self.secrets / f"{spec.name}.holdings")
        stack.callback(self.store.close)
        self.journal = PeerJournal(self.folder / "journal.jsonl", self.account)
        stack.callback(self.journal.close)
        deployment = Deployment.read(Path(spec.deployment))
        self.transport = self._open_transport(keys.curve)
        stack.callback(self.transport.close)
        self.ledger = ChainLedger(
            deployment,
            self.account,
            self.secrets / f"{spec.name}.outbox.jsonl",
            notify=lambda: self.inbox.put(_LedgerNews()),
        )
        stack.callback(self.ledger.close)
        self.ledger.register(keys.curve.public, self.endpoint, int(self.federation.rewards.min_stake))
        rows = rows_of(self.federation, spec.index, spec.behaviour, own_rows=spec.own_rows)
        self.learner = Learner(self.federation, rows, spec.index, spec.behaviour, self.inbox.put)
        stack.callback(self.learner.close)
        probe = probe_from_json(Path(spec.host_probe).read_text())
        self.meter = Meter(
            probe,
            self.me,
            reserved_ppm=equal_reservation(self.federation.peers),
            resolution_us=parse_resolution(self.federation.emissions.resolution),
            traffic=self._traffic,
        )
        self.emissions = EmissionsCsv(self.folder / "emissions.csv")
        stack.callback(self.emissions.close)
        self.metrics = MetricsLog(self.folder / "metrics.jsonl")
        self._phase_seconds: dict[str, float] = {}
        self._phase_since = time.monotonic()
        self._round_traffic = (0, 0)
        self._last_record: EmissionRecord | None = None
        self.engine: Engine | None = None  # of the training rounds
        self.scale: Engine | None = None  # of the statistics round that comes before them (tables only)
        self._early: list[transport.Received] = []  # training messages that arrived before I could train
        self.greetings = greeting.Greetings(self._greeting())
        self.registered = self._meet()

    # -- coming up -----------------------------------------------------------------------------------------------------

    def _open_transport(self, curve: Any) -> ZmqTransport:
        remembered = self.secrets / f"{self.spec.name}.endpoint"
        port = transport.parse_endpoint(remembered.read_text()).control if remembered.exists() else 0
        opened = ZmqTransport(curve, self.spec.listen_host, port)
        self.endpoint = opened.bind()
        remembered.write_text(self.endpoint)
        return opened

    def _meet(self) -> frozenset[bytes]:
        """Wait until all peers of the federation are registered, then let the transport know them."""
        deadline = time.monotonic() + REGISTRATION_SECONDS
        while len(known := [r for r in self.ledger.registrations() if r.active]) < self.federation.peers:
            self.ledger.poll()
            if self._stopped(0.1):
                raise Unreachable("stopped before all peers had registered")
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"only {len(known)} of {self.federation.peers} peers are registered after {REGISTRATION_SECONDS:.0f} s"
                )
        self._introduce(known)
        self.transport.serve(self.store.serve)
        self.transport.start(self.me, self.inbox.put)
        return frozenset(r.address for r in known)

    def _ground(self, agreed: bytes) -> Ground:
        """What every session rests on; `agreed` is the standardiser as an artefact (empty: the data need none)."""
        deployment, masking = self.ledger.deployment, self.federation.masking
        validation, initial = validation_blob(self.learner.rows.validation), canonical(self.learner.initial)
        check_headroom(len(self.registered), masking.frac_bits, masking.clip, ring(masking.ring_bits))
        for blob in (validation, initial, agreed):
            if blob:
                self.store.put(blob)
        return Ground(
            chain_id=deployment.chain_id,
            registry=deployment.registry,
            round_ledger=deployment.ledger,
            vault=deployment.vault,
            genesis=deployment.federation,
            terms=session_terms(
                federation_hash(self.federation),
                self.learner.layout_hash,
                sha256(initial),
                *(sha256(blob) if blob else bytes(32) for blob in (validation, agreed)),
            ),
            registered=self.registered,
            ring=ring(masking.ring_bits),
            length=AUXILIARY + self.learner.initial.size,
        )

    def _greeting(self) -> greeting.Greeting:
        validation = validation_blob(self.learner.rows.validation)
        return greeting.Greeting(
            settings=federation_hash(self.federation),
            genesis=sha256(canonical(self.learner.initial)),
            validation=sha256(validation) if validation else bytes(32),
            layout=tuple((name, tuple(shape)) for name, shape in self.learner.layout),
        )

    def _introduce(self, known: list[Registration]) -> None:
        self.transport.update_directory(
            {r.address: transport.PeerContact(r.transport_key, r.endpoint, r.active) for r in known}
        )

    def _engine(self, ground: Ground, rules: Rules, initial: Vector) -> Engine:
        dither = self._dither_key()
        return Engine(
            rules=rules,
            federation=ground,
            account=self.account,
            genesis=genesis(ground.genesis, initial, sha256(canonical(initial))),
            manifests=Manifests(data_manifest(self.learner.rows), code_manifest()),
            draw=random_secret,
            dither=lambda version: tagged("peerage/dither/v1", dither, version.to_bytes(8, "little")),
        )

    def _agree_on_scale(self, schema: Schema) -> None:
        """Open the statistics channel; when its round is settled, training starts."""
        self._statistics = common_scale.my_statistics(self.learner.rows.own, schema)
        ground = common_scale.ground_of(self._ground(b""), len(schema.numeric))
        zeros = np.zeros(self._statistics.size, np.float32)
        self.scale = self._engine(ground, common_scale.rules_for(rules_of(self.federation)), zeros)
        self._handle(fx.Started(load_state(self._state_file(SCALE), zeros.size)), SCALE)

    def _start_training(self, agreed: data_csv.Standardiser | None) -> None:
        blob = b"" if agreed is None else common_scale.encoded(agreed)
        if agreed is not None:
            self.learner.rows = standardised(self.learner.rows, agreed)
            (self.secrets / f"{self.spec.name}.standardiser.json").write_bytes(blob)
            transcript = self.scale.head.transcript.hex() if self.scale else ""
            self.journal.write("standardiser", 0, {"artefact": sha256(blob).hex(), "transcript": transcript})
        self.engine = self._engine(self._ground(blob), rules_of(self.federation), self.learner.initial)
        self.state = "running"
        self._handle(fx.Started(load_state(self._state_file(TRAINING), self.learner.initial.size)), TRAINING)
        early, self._early = self._early, []
        for received in early:
            self._happened(received)

    def _state_file(self, channel: int) -> Path:
        return self.secrets / f"{self.spec.name}{'.scale' if channel == SCALE else ''}.state"

    def _dither_key(self) -> bytes:
        """Rounding follows the run's seed, so that a seeded run repeats; it hides nothing and need not be secret."""
        return tagged(
            "peerage/dither-key/v1", self.spec.seed.to_bytes(8, "little"), self.spec.index.to_bytes(4, "little")
        )

    def _watch_pipe(self) -> None:
        def watch() -> None:
            connection.wait([self.pipe])
            self.inbox.put(_Stop())

        threading.Thread(target=watch, name="launcher-watch", daemon=True).start()

    def _stopped(self, seconds: float) -> bool:
        """Wait a little; True when the launcher asked for the end. Other happenings keep their order."""
        kept: list[Happening] = []
        end = time.monotonic() + seconds
        stopped = False
        while not stopped and (rest := end - time.monotonic()) > 0:
            with contextlib.suppress(Empty):
                happening = self.inbox.get(timeout=rest)
                stopped = isinstance(happening, _Stop)
                kept.append(happening)
        for happening in kept:
            self.inbox.put(happening)
        return stopped

    # -- the loop ------------------------------------------------------------------------------------------------------

    def live(self) -> int:
        """Until the launcher closes the pipe."""
        self.state = "ready"
        self._say()
        schema = self.learner.rows.schema
        if schema is not None and schema.numeric:
            self._agree_on_scale(schema)
        else:
            self._start_training(None)
        self.timers.set("ledger:poll", LEDGER_SECONDS)
        while True:
            for name in self.timers.ripe():
                if name == "ledger:poll":
                    self._poll_ledger()
                    self.timers.set(name, LEDGER_SECONDS)
                else:
                    channel, _, timer = name.partition("|")
                    self._handle(fx.Timeout(timer), int(channel))
            try:
                happening = self.inbox.get(timeout=min(self.timers.wait(), LEDGER_SECONDS))
            except Empty:
                self._say(soon=True)
                continue
            if isinstance(happening, _Stop):
                break
            self._happened(happening)
            self._say(soon=True)
        self.journal.seal(self._round(), end=self._done)
        return 0 if self._done else 3

    def _happened(self, happening: Happening) -> None:
        match happening:
            case transport.Received(sender, frame):
                channel = frame[0] if frame else -1
                if channel == GREETING:
                    self._greeted(sender, frame[1:])
                    return
                if channel == TRAINING and self.engine is None:
                    self._early.append(happening)
                    return
                try:
                    message = messages.decode(sender, frame[1:])
                except PeerError as error:
                    self._fault(sender, str(error))
                else:
                    self._handle(fx.Received(sender, message), channel)
            case transport.Fetched(_, artefact, data):
                self.store.put(bytes(data))
                self._handle_all(fx.Fetched(artefact, bytes(data)))
            case transport.FetchFailed(owner, artefact, reason):
                log.info("artefact %s not had from 0x%s: %s", artefact.hex()[:12], owner.hex()[:8], reason)
                self._handle_all(fx.Unfetched(owner, artefact))
            case transport.PeerUp(address):
                self.transport.send(address, bytes([GREETING]) + greeting.encode(self.greetings.mine))
                self._handle_all(fx.PeerUp(address))
            case transport.PeerDown(address):
                self._handle_all(fx.PeerDown(address))
            case transport.PeerFault(address, sentence):
                self._fault(address, sentence)
            case transport.Dropped(to, frames, reason):
                log.warning("%d frames to 0x%s dropped: %s", frames, to.hex()[:8], reason)
            case transport.TransportFailed(error):
                raise error
            case fx.Trained():
                self._handle(happening, TRAINING)
            case fx.Scored(sid, direction, exponent, _):
                digest = self._close_emissions(self._round() + 1)
                self._handle(fx.Scored(sid, direction, exponent, digest), TRAINING)
            case _LedgerNews():
                self._poll_ledger()
            case fx.Fetched() | fx.Unfetched():
                self._handle_all(happening)
            case Exception():
                raise happening
            case _:
                pass

    def _greeted(self, sender: bytes, frame: bytes) -> None:
        try:
            why = self.greetings.on_greeting(sender, greeting.decode(sender, frame))
        except PeerError as error:
            why = str(error)
        if why:
            self._fault(sender, why)

    def _handle(self, event: fx.Event, channel: int) -> None:
        engine = {TRAINING: self.engine, SCALE: self.scale}.get(channel)
        for effect in engine.handle(event) if engine else ():
            if channel == TRAINING:
                self._carry(effect)
            else:
                self._carry_scale(effect)

    def _handle_all(self, event: fx.Event) -> None:
        for channel in (SCALE, TRAINING):
            self._handle(event, channel)

    def _carry_scale(self, effect: fx.Effect) -> None:
        """The statistics round: the engine's steps that need no chain and no training are answered here."""
        match effect:
            case fx.Train(_, version):
                exact = cast("Vector", self._statistics)  # double precision: the engine keeps what it is given
                self._handle(fx.Trained(exact, version, 0, 0, 0.0), SCALE)
            case fx.Score(sid, _, base):
                self._handle(fx.Scored(sid, np.zeros(base.size, np.int64), 0, bytes(32)), SCALE)
            case fx.CloseEmissions():
                self._handle(fx.EmissionsClosed(bytes(32)), SCALE)
            case fx.Publish():
                self._handle(fx.Published(), SCALE)
            case fx.Journal(kind, _, fields):
                self.journal.write(f"scale:{kind}", 0, fields)
            case fx.Save(state):
                save_state(self._state_file(SCALE), state)
            case fx.Record() | fx.Progress():
                pass
            case fx.Finish():
                if self.engine is None and self.scale is not None:
                    self._start_training(common_scale.outcome(self.scale))
            case _:
                self._carry(effect, SCALE)

    def _carry(self, effect: fx.Effect, channel: int = TRAINING) -> None:
        match effect:
            case fx.Send(to, message):
                self.transport.send(to, bytes([channel]) + messages.encode(message))
            case fx.Broadcast(message):
                frame = bytes([channel]) + messages.encode(message)
                for peer in self.registered - {self.me}:
                    self.transport.send(peer, frame)
            case fx.Journal(kind, round_, fields):
                self.journal.write(kind, round_, fields)
                if kind == "closed":
                    self.journal.seal(round_)
            case fx.Store(blob):
                self.store.put(blob)
            case fx.FetchArtefact(owner, artefact, limit):
                self._fetch(owner, artefact, limit)
            case fx.SetTimer(name, seconds):
                self.timers.set(f"{channel}|{name}", seconds)
            case fx.CancelTimer(name):
                self.timers.cancel(f"{channel}|{name}")
            case fx.Train():
                engine = self.engine
                self.learner.last_step = engine.head.step if engine and engine.head.round else None
                self.learner.submit(effect)
            case fx.Score():
                self.learner.submit(effect)
            case fx.Save(state):
                self.version = state.version
                save_state(self._state_file(TRAINING), state)
            case fx.Record(record):
                self.ledger.submit_round(record)
            case fx.CloseEmissions():
                digest = self._close_emissions(self._round())
                self._handle(fx.EmissionsClosed(digest), TRAINING)
            case fx.Publish(root, signatures, totals):
                self.ledger.publish_rewards(root, signatures)
                if totals:
                    self.ledger.claim_many(totals)
                self._publishing = totals
                self._poll_ledger()
            case fx.Phase(name):
                self._enter(name)
            case fx.Report(_, sentence, round_, culprit):
                who = f"0x{culprit.hex()[:8]}: " if culprit else ""
                self.note = f"round {round_}: {who}{sentence}"
                log.warning("%s", self.note)
                self._say()
            case fx.Progress():
                self._progress(effect)
            case fx.Finish():
                self._finish()

    def _fetch(self, owner: bytes, artefact: bytes, limit: int) -> None:
        held = self.store.get(artefact)
        if held is not None and len(held) <= limit:
            self.inbox.put(fx.Fetched(artefact, held))
        elif owner == self.me:
            self.inbox.put(fx.Unfetched(owner, artefact))
        else:
            self.transport.fetch(owner, artefact, limit)

    # -- ledger, meter, status -----------------------------------------------------------------------------------------

    def _poll_ledger(self) -> None:
        for event in self.ledger.poll():
            match event:
                case (
                    ledger_events.PeerRegistered()
                    | ledger_events.EndpointChanged()
                    | ledger_events.TransportKeyRotated()
                ):
                    known = [r for r in self.ledger.registrations() if r.address in self.registered]
                    self._introduce(known)
                case ledger_events.Confirmed(key, transaction, gas_used, block):
                    fields = {"key": key, "transaction": transaction.hex() if transaction else "", "gas": gas_used}
                    self.journal.write("ledger", self._round(), {**fields, "block": block})
                case ledger_events.ChainLost(reason):
                    log.warning("the chain is out of reach: %s; training goes on", reason)
                case ledger_events.ChainBack():
                    log.info("the chain is back")
                case ledger_events.Refused(key, reason):
                    self.journal.write("ledger", self._round(), {"key": key, "refused": reason})
                    log.error("the chain refuses %s: %s", key, reason)
                case _:
                    pass
        if self._publishing is not None and self.ledger.pending() == 0:
            self._publishing = None
            self._handle(fx.Published(), TRAINING)

    def _round(self) -> int:
        """The last round I stand on."""
        return self.engine.head.round if self.engine else 0

    def _traffic(self) -> tuple[int, int]:
        stats = self.transport.stats()
        return stats.bytes_received, stats.bytes_sent

    def _enter(self, name: str) -> None:
        if name == self.phase:
            return
        now = time.monotonic()
        self._phase_seconds[self.phase] = self._phase_seconds.get(self.phase, 0.0) + now - self._phase_since
        self._phase_since, self.phase = now, name
        self.meter.enter(cast("Phase", name))

    def _close_emissions(self, round_: int) -> bytes:
        record = self.meter.close_round(round_)
        self._last_record = record
        self.emissions.append(record)
        digest = self.store.put(record.encode())
        self.journal.write("emissions", round_, {"record": digest.hex()})
        return digest

    def _progress(self, done: fx.Progress) -> None:
        self.earned = done.earned.get(self.me, 0)
        if self.engine is None:
            return
        judged = self.engine.history[-1]
        received, sent = self._traffic()
        before_received, before_sent = self._round_traffic
        self._round_traffic = (received, sent)
        self._enter_same()
        seconds, self._phase_seconds = self._phase_seconds, {}
        plan = judged.proven.roster.plan
        numbers = dict(zip(judged.proven.u3, judged.transcript.numbers, strict=True))
        self.metrics.append(
            RoundMetrics(
                round=done.round,
                sid=plan.sid.hex(),
                initiator=str(to_checksum_address(plan.initiator)),
                aggregate=done.aggregate.hex(),
                roster=tuple(str(to_checksum_address(m)) for m in judged.proven.roster.members),
                survivors=tuple(str(to_checksum_address(m)) for m in done.members),
                version=self.version,
                took_part=self.me in done.members,
                accuracy=self.learner.accuracy,
                parameters=int(judged.standing.model.size),
                seconds={name: round(s, 6) for name, s in seconds.items()},
                bytes_sent=sent - before_sent,
                bytes_received=received - before_received,
                quality="",
                score=str(numbers.get(self.me) or 0),
                earned=str(self.earned),
            )
        )
        self._say()

    def _enter_same(self) -> None:
        now = time.monotonic()
        self._phase_seconds[self.phase] = self._phase_seconds.get(self.phase, 0.0) + now - self._phase_since
        self._phase_since = now

    def _finish(self) -> None:
        self._done = True
        self.state = "finished"
        self._enter("wait")
        self._say()

    def _fault(self, culprit: bytes, sentence: str) -> None:
        self.journal.write("fault", self._round() + 1, {"culprit": "0x" + culprit.hex(), "sentence": sentence})
        log.warning("0x%s: %s", culprit.hex()[:8], sentence)

    def _say(self, *, soon: bool = False) -> None:
        now = time.monotonic()
        if soon and now - self._told < STATUS_SECONDS:
            return
        self._told = now
        engine: Engine | None = getattr(self, "engine", None)
        received, sent = self._traffic() if engine else (0, 0)
        status = Status(
            peer=self.spec.name,
            state=self.state,
            phase=self.phase,
            round=min(engine.head.round + 1, self.federation.rounds) if engine else 0,
            version=self.version,
            accuracy=self.learner.accuracy if engine else None,
            bytes_sent=sent,
            bytes_received=received,
            energy_wh=self.meter.energy_uj / 3.6e9 if engine else 0.0,
            earned=str(self.earned),
            note=self.note,
        )
        with contextlib.suppress(OSError):  # the launcher is gone; the watcher says so
            send_status(self.pipe, status)


def rules_of(federation: Federation) -> Rules:
    """The engine's numbers from the settings."""
    masking, timing = federation.masking, federation.timing
    return Rules(
        rounds=federation.rounds,
        momentum=federation.merge.momentum,
        grid=Grid(masking.ring_bits, masking.frac_bits, masking.clip),
        novelty=federation.scores.novelty,
        cap=federation.scores.cap,
        window=federation.scores.window,
        pool=int(federation.rewards.pool),
        patience=timing.join,
        step_seconds=timing.step,
        stall_seconds=timing.stall,
        stagger=STAGGER_SECONDS,
    )


def code_manifest() -> bytes:
    """The hash of the sources that decide what an update is."""
    here = Path(__file__).parent
    return sha256(*((here / name).read_bytes() for name in HASHED_SOURCES))
