"""One peer as a process: it carries the engine's effects out and the world's events in, and decides nothing.

One loop owns the engine, the journal and the meter. Threads bring it events through one queue: the transport, the
ledger's notifier, the learner, and a watcher of the launcher's pipe. The launcher closing that pipe ends the peer.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, cast

import numpy as np

from peerage import answering, greeting, messages, testimony
from peerage import effects as fx
from peerage.accounts import Accounts, round_of
from peerage.behaviour import Stage, is_lie, load_lie, slowed
from peerage.config_toml import load_federation, settings_artefact
from peerage.emissions.facts import milli_cores
from peerage.fetches import Fetches
from peerage.footing import engine_of, greeting_of, ground_of, public_artefacts, rule_of, rules_of
from peerage.journal import PeerJournal
from peerage.keys import load_keys, read_password
from peerage.learning import common_scale
from peerage.learning.learner import Learner, rows_of, standardised
from peerage.plain.footing import plain_engine_of
from peerage.plain.scale import PlainScale
from peerage.private_state import load_state, save_state
from peerage.provenance.making import stated_by
from peerage.store import ArtefactStore
from peerage.timers import Timers
from peerage.transport import interface as transport
from peerage.transport.curve import ZmqTransport
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError, PeerError, Unreachable
from peerage_crypto.thresholds import MIN_MASKED_PEERS
from peerage_ledger import events as ledger_events
from peerage_ledger.chain import ChainLedger
from peerage_ledger.deployment import Deployment

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from numpy.typing import NDArray

    from peerage.learning.data_csv import Schema, Standardiser
    from peerage.plain.engine import PlainEngine
    from peerage.rounds.round import Engine
    from peerage.status import PeerSpec
    from peerage_crypto.identity import CurveKeys
    from peerage_ledger.interface import Registration
    from peerage_ledger.records import RewardRoot

    Vector = NDArray[np.float32]

REGISTRATION_SECONDS = 120.0
LEDGER_SECONDS = 0.5
TRAINING, SCALE, GREETING, STATISTICS = 0, 1, 2, 3  # the first byte of every control frame says whom it is for
POLL = "ledger:poll"
PARTING = "greeting:parting"
PARTING_SECONDS = 5.0  # for my greeting to reach those whom I differ from

log = logging.getLogger("peerage")


@dataclass(frozen=True, slots=True)
class _Stop:
    """The launcher's end of the pipe is closed."""


@dataclass(frozen=True, slots=True)
class _LedgerNews:
    """The ledger's worker has something to poll."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer to an effect; it waits its turn, so that effects stay in their order."""

    event: fx.Event
    channel: int = TRAINING


Happening = transport.Event | fx.Trained | fx.Measured | fx.Scored | _Stop | _LedgerNews | _Answer | Exception


def run_peer(spec: PeerSpec, status: Connection) -> int:
    """The peer's life, until it is told to stop: 0 when everything it had to do is done, 3 when it was not."""
    with contextlib.ExitStack() as stack:
        return Peer(spec, status, stack).live()


class Peer:
    """Everything one peer has open; `stack` closes it, last opened first."""

    def __init__(self, spec: PeerSpec, pipe: Connection, stack: contextlib.ExitStack) -> None:
        self.spec, self.pipe = spec, pipe
        run, self.secrets = Path(spec.run_dir), Path(spec.secrets_dir)
        self.federation = load_federation(run / "federation.toml")
        password = read_password(Path(spec.password_file) if spec.password_file else None)
        keys = load_keys(self.secrets, spec.name, password)
        self.account, self.me = keys.account, keys.account.address
        self.inbox: SimpleQueue[Happening] = SimpleQueue()
        self.timers = Timers()
        self.engine: Engine | PlainEngine | None = None  # of the training rounds
        self.scale: Engine | None = None  # of the statistics round that comes before them (tables only)
        self.plain_scale: PlainScale | None = None  # the same for two peers in plain exchange
        self._statistics = np.zeros(0)
        self._witness: testimony.Witness | None = None  # of the training rounds
        self.fetches = Fetches()
        self._early: list[transport.Received] = []  # training messages that arrived before I could train
        self._publishing = self._done = False
        self._paying: RewardRoot | None = None  # of an epoch that ends before the run does
        self._roots: tuple[RewardRoot, ...] = ()  # on the chain, as the engine has heard of them
        self._questions: set[bytes] = set()  # that I heed
        self._deeds: Callable[[fx.Effect], list[fx.Effect]] | None = None  # a cast part that edits my effects
        self._watch_pipe()
        self.store = ArtefactStore(run / "store", self.secrets / f"{spec.name}.holdings")
        stack.callback(self.store.close)
        self.journal = PeerJournal(run / "peers" / spec.name / "journal.jsonl", self.account)
        stack.callback(self.journal.close)
        self.transport = self._open_transport(keys.curve)
        stack.callback(self.transport.close)
        self.accounts = Accounts(spec, self.federation, self.me, pipe, self._traffic)
        stack.callback(self.accounts.close)
        self.accounts.say()
        self.ledger = ChainLedger(
            Deployment.read(Path(spec.deployment)),
            self.account,
            self.secrets / f"{spec.name}.outbox.jsonl",
            notify=lambda: self.inbox.put(_LedgerNews()),
            most_fee=spec.most_fee,
            pay=rule_of(self.federation),
        )
        stack.callback(self.ledger.close)
        self.returning = self._registered_before()
        # Its disk remembers: a state of either channel, or a journal that shows that nothing was signed yet.
        self.has_disk = self.journal.untouched or any(self._state_file(c).exists() for c in (TRAINING, SCALE))
        invitation = [bytes.fromhex(blob) for blob in spec.invitation]
        self.ledger.register(keys.curve.public, self.endpoint, int(self.federation.rewards.min_stake), invitation)
        rows = rows_of(self.federation, spec.index, spec.behaviour, own_rows=spec.own_rows)
        learned = slowed(self.inbox.put, spec.slow)
        cores = milli_cores() // 1000
        self.learner = Learner(
            self.federation,
            rows,
            spec.index,
            spec.behaviour,
            learned,
            threads=spec.threads,
            cores=cores,
            own=self.secrets / f"{spec.name}.model.safetensors",
        )
        stack.callback(self.learner.close)
        self.greetings = greeting.Greetings(greeting_of(self.federation, self.learner))
        self.registered = self._meet()

    # -- coming up -----------------------------------------------------------------------------------------------------

    def _registered_before(self) -> bool:
        """Whether I had an earlier life; assumed while the chain, which would know, is out of reach."""
        unknown = any(isinstance(event, ledger_events.ChainLost) for event in self.ledger.poll())
        return unknown or any(r.address == self.me for r in self.ledger.registrations())

    def _started(self, channel: int, parameters: int) -> fx.Started:
        saved = load_state(self._state_file(channel), parameters)
        return fx.Started(saved, lost=saved is None and self.returning and not self.has_disk)

    def _watch_pipe(self) -> None:
        def watch() -> None:
            connection.wait([self.pipe])
            self.inbox.put(_Stop())

        threading.Thread(target=watch, name="launcher-watch", daemon=True).start()

    def _open_transport(self, curve: CurveKeys) -> ZmqTransport:
        """On the endpoint of an earlier life, if there was one: the others know it."""
        remembered = self.secrets / f"{self.spec.name}.endpoint"
        port = transport.parse_endpoint(remembered.read_text()).control if remembered.exists() else 0
        opened = ZmqTransport(curve, self.spec.listen_host, port)
        self.endpoint = opened.bind()
        remembered.write_text(self.endpoint)
        return opened

    def _meet(self) -> frozenset[bytes]:
        """Wait until all peers of the federation are registered, then let the transport know them."""
        wanted = self.federation.peers
        deadline = time.monotonic() + REGISTRATION_SECONDS
        while len(known := [r for r in self.ledger.registrations() if r.active]) < wanted:
            self.ledger.poll()
            if self._stopped_within(0.1):
                raise Unreachable("stopped before all peers had registered")
            if time.monotonic() > deadline:
                waited = f"{REGISTRATION_SECONDS:.0f} s"
                raise Unreachable(
                    f"only {len(known)} of {wanted} peers are registered after {waited}: start the others"
                )
        self._introduce(known)
        self.transport.serve(self.store.serve)
        self.transport.start(self.me, self.inbox.put)
        return frozenset(r.address for r in known)

    def _introduce(self, known: list[Registration]) -> None:
        self.transport.update_directory(
            {r.address: transport.PeerContact(r.transport_key, r.endpoint, r.active) for r in known}
        )

    def _stopped_within(self, seconds: float) -> bool:
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
        self.accounts.state = "ready"
        self.accounts.say()
        schema = self.learner.rows.schema
        if schema is not None and schema.numeric and len(self.registered) < MIN_MASKED_PEERS:
            self._tell_statistics(schema)
        elif schema is not None and schema.numeric:
            self._agree_on_scale(schema)
        else:
            self._start_training(None)
        self.timers.set(POLL, LEDGER_SECONDS)
        while True:
            for name in self.timers.ripe():
                self._timeout(name)
            try:
                happening = self.inbox.get(timeout=self.timers.wait())
            except Empty:
                happening = None
            if isinstance(happening, _Stop):
                break
            if happening is not None:
                self._happened(happening)
            self.accounts.say(soon=True)
        self.journal.seal(self._round(), end=self._done)
        return 0 if self._done else 3

    def _agree_on_scale(self, schema: Schema) -> None:
        """Open the statistics channel; when its round is settled, training starts."""
        self._statistics = common_scale.my_statistics(self.learner.rows.own, schema)
        training = ground_of(self.federation, self.ledger.deployment, self.learner, self.registered, b"")
        ground = common_scale.ground_of(training, len(schema.numeric))
        rules = common_scale.rules_for(rules_of(self.federation, self.learner.initial.size))
        zeros = np.zeros(self._statistics.size, np.float32)
        stated = stated_by(self.federation, self.account, self.learner, b"")
        self.scale = engine_of(self.spec, ground, rules, self.account, stated, zeros)
        self._handle(self._started(SCALE, zeros.size), SCALE)

    def _tell_statistics(self, schema: Schema) -> None:
        """Two peers have no sum that would hide either: they tell each other, and start with what both have said."""
        mine = common_scale.my_statistics(self.learner.rows.own, schema)
        self.plain_scale = PlainScale(self.me, self.registered, {self.me: mine})
        for peer in self.registered - {self.me}:
            self.transport.send(peer, bytes([STATISTICS]) + self.plain_scale.frame())
        kept = self._scale_file()
        if kept.exists():  # of an earlier life: the other may be gone by now
            self._start_on_scale(common_scale.decoded(kept.read_bytes()))

    def _scale_file(self) -> Path:
        return self.secrets / f"{self.spec.name}.standardiser.json"

    def _start_on_scale(self, agreed: Standardiser) -> None:
        """A scale of two is not among the terms: nobody but the two can check it."""
        self.learner.rows = standardised(self.learner.rows, agreed)
        self._scale_file().write_bytes(common_scale.encoded(agreed))
        self._start_training(None)

    def _heard_statistics(self, sender: bytes, frame: bytes) -> None:
        if self.plain_scale is None or sender not in self.registered:
            return
        self.plain_scale.heard(sender, frame)
        agreed = self.plain_scale.agreed()
        if agreed is not None and self.engine is None:
            self._start_on_scale(agreed)

    def _start_training(self, agreed: Standardiser | None) -> None:
        blob = b"" if agreed is None else common_scale.encoded(agreed)
        if agreed is not None:
            self.learner.rows = standardised(self.learner.rows, agreed)
            self._scale_file().write_bytes(blob)
            transcript = self.scale.head.transcript.hex() if self.scale else ""
            self.journal.write("standardiser", 0, {"artefact": sha256(blob).hex(), "transcript": transcript})
        stated = stated_by(self.federation, self.account, self.learner, blob)
        for artefact in (settings_artefact(self.federation), *public_artefacts(self.learner, blob, stated)):
            self.store.put(artefact)
        ground = ground_of(self.federation, self.ledger.deployment, self.learner, self.registered, blob)
        rules, initial = rules_of(self.federation, self.learner.initial.size), self.learner.initial
        if self.federation.exchange == "plain":
            self.engine = plain_engine_of(self.federation, ground, self.account, initial)
        else:
            self.engine = engine_of(self.spec, ground, rules, self.account, stated, initial)
        if is_lie(self.spec.behaviour):
            self._play(self.engine, ground.domain)
        self._witness = testimony.Witness(ground.domain, self.registered)
        self.accounts.state = "running"
        self._handle(self._started(TRAINING, initial.size), TRAINING)
        for record in sorted(self.ledger.voided()):  # what I was told while I could not listen
            self._handle(fx.RoundVoided(record), TRAINING)
        self._heed_questions()
        early, self._early = self._early, []
        for received in early:
            self._happened(received)

    def _play(self, engine: Engine | PlainEngine, domain: bytes) -> None:
        """From now on a function of the user's has the last word on what this peer does."""
        lie = load_lie(self.spec.behaviour)
        stage = Stage(
            self.spec.name,
            self.account,
            self.registered,
            domain,
            engine,
            self.store.put,
            self.store.get,
            lambda to, frame: self.transport.send(to, bytes([TRAINING]) + frame),
        )
        self._deeds = lambda effect: lie(stage, effect)
        log.warning("THIS PEER LIES: its cast part is %s, which edits what its engine does", self.spec.behaviour)

    def _state_file(self, channel: int) -> Path:
        return self.secrets / f"{self.spec.name}{'.scale' if channel == SCALE else ''}.state"

    # -- events in -----------------------------------------------------------------------------------------------------

    def _timeout(self, name: str) -> None:
        if name == POLL:
            self._poll_ledger()
            self.timers.set(POLL, LEDGER_SECONDS)
        elif name == PARTING:
            raise InputError(self.greetings.odd)
        elif name.startswith(answering.TIMER):
            self._answer(bytes.fromhex(name.removeprefix(answering.TIMER)))
        else:
            channel, _, timer = name.partition("|")
            self._handle(fx.Timeout(timer), int(channel))

    def _happened(self, happening: Happening) -> None:
        match happening:
            case _Answer(event, channel):
                self._handle(event, channel)
            case fx.Trained():
                self.accounts.accuracy = self.learner.accuracy
                self._handle(happening, TRAINING)
            case fx.Measured():
                self._handle(happening, TRAINING)
            case fx.Scored(sid, direction, exponent, _):
                digest = self._close_emissions(self._round() + 1)
                self._handle(fx.Scored(sid, direction, exponent, digest), TRAINING)
            case _LedgerNews():
                self._poll_ledger()
            case Exception():
                raise happening
            case _Stop():
                pass
            case _:
                self._from_transport(happening)

    def _from_transport(self, event: transport.Event) -> None:  # noqa: C901 - one case an event: a table
        match event:
            case transport.Received(sender, frame):
                self._received(event, sender, frame)
            case transport.Fetched(owner, artefact, data):
                self.fetches.ended(owner, artefact)
                self.store.put(bytes(data))
                self._handle_all(fx.Fetched(artefact, bytes(data)))
            case transport.FetchFailed(owner, artefact, reason):
                log.info("artefact %s not had from 0x%s: %s", artefact.hex()[:12], owner.hex()[:8], reason)
                if self.fetches.ended(owner, artefact):
                    self._handle_all(fx.Unfetched(owner, artefact))
            case transport.PeerUp(address):
                self.fetches.up(address)
                self.transport.send(address, bytes([GREETING]) + greeting.encode(self.greetings.mine))
                self.greetings.told(address)
                self._leave_if_odd()
                if self.plain_scale is not None:
                    self.transport.send(address, bytes([STATISTICS]) + self.plain_scale.frame())
                self._handle_all(fx.PeerUp(address))
            case transport.PeerDown(address):
                self._handle_all(fx.PeerDown(address))
                for artefact in self.fetches.down(address):
                    self._handle_all(fx.Unfetched(address, artefact))
            case transport.PeerFault(address, sentence):
                self._fault(address, sentence)
            case transport.Dropped(to, frames, reason):
                log.warning("%d frames to 0x%s dropped: %s", frames, to.hex()[:8], reason)
            case transport.TransportFailed(error):
                raise error

    def _received(self, event: transport.Received, sender: bytes, frame: bytes) -> None:
        channel = frame[0] if frame else -1
        if channel == TRAINING and self.engine is None:
            self._early.append(event)
            return
        try:
            if channel == GREETING:
                why = self.greetings.on_greeting(sender, greeting.decode(sender, frame[1:]))
            elif channel == STATISTICS:
                self._heard_statistics(sender, frame[1:])
                return
            else:
                message = messages.decode(sender, frame[1:])
                self._bear_witness(message)
                self._handle(fx.Received(sender, message), channel)
                return
        except PeerError as error:
            why = str(error)
        if why:
            self._fault(sender, why)
            self._leave_if_odd()

    def _leave_if_odd(self) -> None:
        """The others are to hear from me why I go; whom I cannot reach is not waited for."""
        if not self.greetings.odd:
            return
        if self.greetings.explained:
            raise InputError(self.greetings.odd)
        if not self.timers.running(PARTING):
            self.timers.set(PARTING, PARTING_SECONDS)

    def _bear_witness(self, message: messages.Message) -> None:
        """Two contradicting signatures are kept for everybody, whatever the engine makes of the message."""
        for evidence in testimony.found_in(self._witness, message) if self._witness else ():
            culprit = evidence.first.signer(self._witness.domain) if self._witness else b""
            fields = {
                "culprit": "0x" + culprit.hex(),
                "type": evidence.equivocation,
                "sid": evidence.first.statement.sid.hex(),
                "artefact": self.store.put(testimony.encode(evidence)).hex(),
            }
            self.journal.write("equivocation", self._working_on(), fields)
            log.warning("0x%s signed two different %s statements", culprit.hex()[:8], evidence.equivocation)

    def _handle(self, event: fx.Event, channel: int) -> None:
        engine = {TRAINING: self.engine, SCALE: self.scale}.get(channel)
        if engine is None:
            return
        for effect in engine.handle(event):
            if channel == SCALE and self._answered_for_scale(effect):
                continue
            for deed in self._deeds(effect) if self._deeds and channel == TRAINING else (effect,):
                self._carry(deed, channel)
        self.accounts.round = self._round()

    def _handle_all(self, event: fx.Event) -> None:
        for channel in (SCALE, TRAINING):
            self._handle(event, channel)

    # -- effects out ---------------------------------------------------------------------------------------------------

    def _answered_for_scale(self, effect: fx.Effect) -> bool:
        """The statistics round needs no chain, no training and no meter of its own: those steps are answered here."""
        match effect:
            case fx.Train(_, version):
                exact = cast("Vector", self._statistics)  # double precision: the engine keeps what it is given
                self.inbox.put(_Answer(fx.Trained(exact, version, 0, 0, 0.0), SCALE))
            case fx.Score(sid, _, base):
                self.inbox.put(_Answer(fx.Scored(sid, np.zeros(base.size, np.int64), 0, bytes(32)), SCALE))
            case fx.CloseEmissions():
                self.inbox.put(_Answer(fx.EmissionsClosed(bytes(32)), SCALE))
            case fx.Publish():
                self.inbox.put(_Answer(fx.Published(), SCALE))
            case fx.Journal(kind, _, fields):
                self.journal.write(f"scale:{kind}", 0, fields)
            case fx.Save(state):
                save_state(self._state_file(SCALE), state)
            case fx.Finish():
                if self.engine is None and self.scale is not None:
                    self._start_training(common_scale.outcome(self.scale))
            case fx.Record() | fx.RecordLine() | fx.Progress():
                pass
            case _:
                return False
        return True

    def _carry(self, effect: fx.Effect, channel: int) -> None:  # noqa: C901, PLR0912, PLR0915 - one line per effect
        match effect:
            case fx.Send(to, message):
                self.transport.send(to, bytes([channel]) + messages.encode(message))
            case fx.Broadcast(message):
                frame = bytes([channel]) + messages.encode(message)
                for peer in self.registered - {self.me}:
                    self.transport.send(peer, frame)
            case fx.Journal(kind, round_, fields):
                if kind == "closed":
                    self.store.sync()
                self.journal.write(kind, round_, fields)
                if kind == "closed":
                    self.journal.seal(round_)
            case fx.Store(blob):
                self.store.put(blob)
            case fx.FetchArtefact(owner, artefact, limit):
                self._fetch(owner, artefact, limit, channel)
            case fx.SetTimer(name, seconds):
                self.timers.set(f"{channel}|{name}", seconds)
            case fx.CancelTimer(name):
                self.timers.cancel(f"{channel}|{name}")
            case fx.Train():
                engine = self.engine
                self.learner.last_step = engine.head.step if engine and engine.head.round else None
                self.learner.submit(effect)
            case fx.Score() if effect.sums is not None:
                self.inbox.put(self.learner.cross_score(effect))
            case fx.Score() | fx.Measure():
                self.learner.submit(effect)
            case fx.Save(state):
                self.accounts.version = state.version
                save_state(self._state_file(channel), state)
            case fx.Record(record):
                self.ledger.submit_round(record)
            case fx.RecordLine(records):
                self.ledger.submit_rounds(records)
            case fx.CloseEmissions(round_):
                digest = self._close_emissions(self._round() if round_ is None else round_)
                self.inbox.put(_Answer(fx.EmissionsClosed(digest)))
            case fx.AwaitLedger():
                self._publishing = True
                self._poll_ledger()
            case fx.Publish():
                self._publish(effect)
            case fx.Phase(name):
                self.accounts.enter(name)
            case fx.Report(_, sentence, round_, culprit):
                who = f"0x{culprit.hex()[:8]}: " if culprit else ""
                self.accounts.note = f"round {round_}: {who}{sentence}"
                log.warning("%s", self.accounts.note)
                self.accounts.say()
            case fx.Progress():
                judged = round_of(effect, self.engine.history) if self.engine is not None else None
                if judged is not None:
                    self.accounts.closed_round(effect, judged)
            case fx.Finish():
                self._done = True
                self.accounts.state = "finished"
                self.accounts.enter("wait")
                self.accounts.say()

    def _fetch(self, owner: bytes, artefact: bytes, limit: int, channel: int) -> None:
        held = self.store.get(artefact)
        if held is not None and len(held) <= limit:
            self.inbox.put(_Answer(fx.Fetched(artefact, held), channel))
        elif owner != self.me and self.fetches.ask(owner, artefact):
            self.transport.fetch(owner, artefact, limit)
        else:
            self.inbox.put(_Answer(fx.Unfetched(owner, artefact), channel))

    # -- ledger and journal --------------------------------------------------------------------------------------------

    def _publish(self, effect: fx.Publish) -> None:
        if effect.signatures:
            self.ledger.publish_rewards(effect.root, effect.steps, effect.signatures)
        self.ledger.claim_many(effect.totals, effect.root)
        self._publishing, self._paying = effect.final, None if effect.final else effect.root

    def _poll_ledger(self) -> None:
        for event in self.ledger.poll():
            self._heard(event)
        roots = self.ledger.vault_state().roots
        if roots != self._roots:
            self._roots = roots
            self._handle(fx.RootsStand(roots), TRAINING)
        if self._publishing and self.ledger.pending() == 0:
            self._publishing = False
            self._handle(fx.Published(), TRAINING)
        if self._paying is not None and self.ledger.pending(self._paying) == 0:
            epoch, self._paying = self._paying.epoch, None
            self._handle(fx.Published(epoch), TRAINING)

    def _heard(self, event: ledger_events.LedgerEvent) -> None:
        match event:
            case ledger_events.PeerRegistered() | ledger_events.EndpointChanged() | ledger_events.TransportKeyRotated():
                self._introduce([r for r in self.ledger.registrations() if r.address in self.registered])
            case ledger_events.RoundVoided(record):
                self._handle(fx.RoundVoided(record), TRAINING)
            case ledger_events.QuestionAsked():
                self._heed_questions()
            case ledger_events.RootVoided():
                log.warning("the reward root on the chain was proven wrong and is void")
                self._publishing, self._paying = False, None
                self._handle(fx.RootVoided(), TRAINING)
            case ledger_events.Confirmed(key, transaction, gas_used, block):
                name = transaction.hex() if transaction else ""
                self.journal.write(
                    "ledger", self._round(), {"key": key, "transaction": name, "gas": gas_used, "block": block}
                )
            case ledger_events.Refused(key, reason):
                self.journal.write("ledger", self._round(), {"key": key, "refused": reason})
                log.error("the chain refuses %s: %s", key, reason)
            case ledger_events.ChainLost(reason):
                log.warning("the chain is out of reach: %s; training goes on", reason)
            case ledger_events.ChainBack():
                log.info("the chain is back")
            case _:
                pass

    def _heed_questions(self) -> None:
        """Each open question has a timer, until which those before me may have answered."""
        active = [r.address for r in self.ledger.registrations() if r.active]
        for question in self.ledger.questions():
            name = answering.TIMER + question.asked.question.hex()
            if question.asked.question not in self._questions:
                self._questions.add(question.asked.question)
                self.timers.set(name, answering.turn_of(question, self.me, active))

    def _answer(self, name: bytes) -> None:
        question = next((q for q in self.ledger.questions() if q.asked.question == name), None)
        if question is None:
            return  # somebody was before me
        data = answering.answer_to(question, self.ledger.deployment, self.store.get)
        fields = {"question": name.hex(), "record": question.asked.record.hex(), "answered": data is not None}
        self.journal.write("question", question.record.round, fields)
        if data is not None:
            self.ledger.answer(name, data)
        else:
            log.warning("a question about round %d is open and I have no answer", question.record.round)
            self.timers.set(answering.TIMER + name.hex(), answering.AGAIN_SECONDS)

    def _close_emissions(self, round_: int) -> bytes:
        digest = self.store.put(self.accounts.close_emissions(round_).encode())
        self.journal.write("emissions", round_, {"record": digest.hex()})
        return digest

    def _traffic(self) -> tuple[int, int]:
        stats = self.transport.stats()
        return stats.bytes_received, stats.bytes_sent

    def _round(self) -> int:
        """The last round I stand on."""
        return self.engine.head.round if self.engine else 0

    def _working_on(self) -> int:
        return min(self._round() + 1, self.federation.rounds)

    def _fault(self, culprit: bytes, sentence: str) -> None:
        self.journal.write("fault", self._working_on(), {"culprit": "0x" + culprit.hex(), "sentence": sentence})
        log.warning("0x%s: %s", culprit.hex()[:8], sentence)
