"""Plain exchange, BrainTorrent as published (arXiv 1905.06731): events in, effects out, like `round`.

    train -> announce -> wait for news of everybody -> pull -> merge -> record -> train again

Every peer initiates its own merges; its round r is its r-th merge. While it trains it goes on serving its last version:
version, weights and sample count are one signed statement about one immutable artefact. docs/adr/0005-plain-exchange.md
says what the paper leaves open and what we chose.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from peerage import messages as m
from peerage.effects import (
    AwaitLedger,
    Broadcast,
    CancelTimer,
    CloseEmissions,
    Effect,
    EmissionsClosed,
    Event,
    Fetched,
    Finish,
    Journal,
    PeerDown,
    PeerUp,
    Phase,
    PrivateState,
    Progress,
    Published,
    Received,
    Record,
    Report,
    Save,
    Send,
    SetTimer,
    Started,
    Store,
    Timeout,
    Train,
    Trained,
    Unfetched,
)
from peerage.plain.contradictions import Contradiction, Statements
from peerage.plain.merge import merged
from peerage.plain.messages import PlainNews
from peerage.plain.others import Others, version_in
from peerage.plain.pull import Ancestry, Pull
from peerage.plain.state import PlainRules, PlainStanding, Served, Stage, standing_on
from peerage.rounds.aggregation import Metrics, canonical, metrics
from peerage_crypto.digest import sha256
from peerage_crypto.errors import InputError
from peerage_crypto.plain_statements import PlainMerge, PlainUpdate, merge_id
from peerage_crypto.secagg_judge import Fault
from peerage_crypto.statements import sign
from peerage_ledger.plain_judgement import judge_statements, wrong_update
from peerage_ledger.plain_record import PlainTranscript, encode_plain, exchange_of
from peerage_ledger.transcript import MAX_TRANSCRIPT_BYTES, NOTHING, ParentLink, Versioned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from peerage.messages import Message
    from peerage_crypto.identity import Account
    from peerage_ledger.judgement import Federation, Standing
    from peerage_ledger.plain_judgement import PlainJudged
    from peerage_ledger.plain_record import PlainBody

    Vector = NDArray[np.float32]

IDLE_LOOKS = 6  # so many times out of patience, a peer with nothing to give waits for peers that all wait themselves
LEAVE_STALLS = 3  # how many stalls a finished peer waits for a chain that does not take its records
RECORD_SECONDS = 0.1  # and so long for every record of the run


class PlainEngine:
    """State of one peer in plain exchange."""

    def __init__(self, *, rules: PlainRules, federation: Federation, account: Account, genesis: Standing) -> None:
        self.rules, self.federation, self.account, self.me = rules, federation, account, account.address
        self.exchange = exchange_of(federation)
        self.head = PlainStanding(
            0, 0, genesis.record, NOTHING, genesis.aggregate, genesis.model, np.zeros_like(genesis.model), {}
        )
        self.stage = Stage.TRAINING
        self.version = 0
        self.own = Metrics(1, 0, 0, 0)  # of the newest version
        self.served: Served | None = None
        self.others = Others(self.me, federation.registered)
        self.statements = Statements()
        self.ancestry = Ancestry(federation)
        self.pull: Pull | None = None
        self.history: list[PlainJudged] = []  # my last merge, with its model
        self._saved: PrivateState | None = None
        self._said: set[tuple[bytes, str]] = set()
        self._urged = False
        self._idle_looks = 0
        self._lean_looks = 0
        self._out: list[Effect] = []

    # -- the one door --------------------------------------------------------------------------------------------------

    def handle(self, event: Event) -> list[Effect]:  # noqa: C901 - one line per event: a table
        """Take one event; returns the effects to carry out, in order."""
        self._out = []
        match event:
            case Started(saved):
                self._on_started(saved)
            case Trained() if self.stage is Stage.TRAINING:
                self._on_trained(event)
            case Received(sender, message):
                self._on_message(sender, message)
            case Fetched(artefact, blob):
                self._on_fetched(artefact, blob)
            case Unfetched(owner, artefact):
                self._on_unfetched(owner, artefact)
            case PeerUp(peer):
                self.others.alive(peer)
                self._out.append(Send(peer, self._news()))
            case PeerDown(peer):
                self._on_down(peer)
            case Timeout(name):
                self._on_timeout(name)
            case EmissionsClosed(emissions) if self.stage is Stage.CLOSING:
                self._merge(emissions)
            case EmissionsClosed() if self.stage is Stage.LEAVING:
                self._out.append(AwaitLedger())
            case Published() if self.stage is Stage.LEAVING:
                self._finish()
            case _:
                pass
        return self._out

    # -- coming up and coming back -------------------------------------------------------------------------------------

    def _on_started(self, saved: PrivateState | None) -> None:
        self._journal("started", version=saved.version if saved else 0)
        self._out.append(Broadcast(m.HeadRequest()))
        if saved is None:
            self._train()
            return
        self.version, self.own, self._saved = saved.version, Metrics(1, *saved.metrics), saved
        if saved.head_transcript == NOTHING:
            self._return(saved)
            return
        self.stage = Stage.RETURNING
        link = ParentLink(saved.head, saved.head_round, saved.head_transcript)
        self._out += self.ancestry.want(self.me, link)

    def _return(self, saved: PrivateState) -> None:
        """My past is read: stand where I stood, serve what I served."""
        self._saved = None
        judged = self.ancestry.known.get(saved.head)
        if judged is not None:
            self._stand_on_saved(judged, saved)
        if saved.status == "free":
            self._serve(saved.local)
        if self.head.round >= self.rules.rounds:
            self._leave()
        elif saved.status == "free":
            self._announce()
        else:
            self._train()

    def _stand_on_saved(self, judged: PlainJudged, saved: PrivateState) -> None:
        body = judged.body
        if sha256(canonical(saved.base)) != body.aggregate or body.initiator != self.me:
            raise InputError("this peer's saved state and its last merge do not belong together: start it anew")
        self.head = standing_on(judged, saved.base, np.zeros_like(saved.base))
        self.history = [replace(judged, model=saved.base)]
        self._out.append(Record(judged.record))
        mine = next((u for u in body.updates if u.is_by(self.me, self.federation.domain)), None)
        if saved.status != "free" and mine is not None:
            previous = self.ancestry.known.get(body.previous)
            transcript = previous.transcript_id if previous else NOTHING
            self.served = Served(mine, saved.local, transcript, previous.body.versions if previous else ())

    # -- training and serving ------------------------------------------------------------------------------------------

    def _train(self) -> None:
        self.stage = Stage.TRAINING
        self._out += [Phase("train"), Train(self.head.model, self.version + 1)]

    def _on_trained(self, event: Trained) -> None:
        if np.isfinite(event.model).all():
            self.version += 1
            self.own = metrics(event.examples, event.correct, event.mean_loss)
            self._save("free", event.model)
            self._journal("trained", version=self.version)
            self._serve(event.model)
        else:
            self._fault(self.me, "training left a NaN or an infinity in the model: nothing new is served")
        self._out.append(Phase("wait"))
        self._announce()

    def _serve(self, weights: Vector) -> None:
        blob = canonical(weights)
        update = PlainUpdate(
            self.exchange, self.version, sha256(blob), self.own.examples, self.head.record, self.head.depth
        )
        digest = update.digest(self.federation.domain).hex()
        self._journal("signed", type="PlainUpdate", sid=self.exchange.hex(), version=self.version, digest=digest)
        signed = sign(update, self.account, self.federation.domain)
        self.served = Served(signed, weights, self.head.transcript, self._vector())
        self._out.append(Store(blob))

    def _news(self) -> PlainNews:
        finished, idle = self.stage in (Stage.LEAVING, Stage.DONE), self.stage is Stage.WAITING
        served = self.served
        if served is None:
            return PlainNews(None, NOTHING, (), self.head.round, finished, idle)
        return PlainNews(served.signed, served.transcript, served.contains, self.head.round, finished, idle)

    def _announce(self) -> None:
        self.stage, self._idle_looks, self._lean_looks = Stage.WAITING, 0, 0
        self.others.idle.clear()
        if self.federation.near is not None:
            self.others.near = self.federation.near(self.me, self.head.round + 1)
        self._out += [Broadcast(self._news()), SetTimer("merge", self.rules.patience)]
        self._maybe_merge()

    # -- messages and time ---------------------------------------------------------------------------------------------

    def _on_message(self, sender: bytes, message: Message) -> None:
        if sender not in self.federation.registered or sender == self.me:
            return
        match message:
            case m.HeadRequest():
                self.others.alive(sender)
                self._out.append(Send(sender, self._news()))
            case PlainNews():
                self._on_news(sender, message)
            case _:
                pass

    def _on_news(self, sender: bytes, news: PlainNews) -> None:
        wrong = wrong_update(self.federation, news.update, sender) if news.update else ""
        if wrong:
            self.others.alive(sender)
            self._fault(sender, f"its news are refused: {wrong}")
            return
        self.others.heard(sender, news)
        if news.update:
            self._convict(self.statements.heard([(sender, news.update)]))
        self._maybe_merge()
        self._maybe_pulled()

    def _convict(self, found: list[Contradiction]) -> None:
        """Two signed statements are proof: nothing of such a peer is merged any more. What was, stays."""
        for proof in found:
            said = [msgspec.json.encode(signed).decode() for signed in (proof.first, proof.second)]
            self._fault(proof.peer, proof.sentence, statements=said)
            self.others.convicted.add(proof.peer)
            if self.pull is not None and self.stage is Stage.PULLING and proof.peer in self.pull.chosen:
                self._drop(proof.peer, refuse=True)

    def _on_down(self, peer: bytes) -> None:
        self.others.lost(peer)
        # Nobody knows whether its last records reached the chain, and mine stand on them.
        self._out += [Record(j.record) for j in self.ancestry.known.values() if j.body.initiator == peer]
        if self.pull is not None and self.stage is Stage.PULLING and peer in self.pull.unresolved(self.ancestry):
            self._leave_out(peer, "it vanished")
            self._maybe_pulled()
        self._maybe_merge()

    def _on_timeout(self, name: str) -> None:
        if name == "merge" and self.stage is Stage.WAITING:
            self._out_of_patience()
        elif name == "pull" and self.stage is Stage.PULLING and self.pull is not None:
            for peer in self.pull.unresolved(self.ancestry):
                self._leave_out(peer, "it did not come in time")
            self._maybe_pulled()
        elif name == "leave" and self.stage is Stage.LEAVING and not self._urged:
            self._urged = True  # somebody may have kept a record to itself: hand in all that mine stand on
            self._out += [Record(j.record) for j in self.ancestry.known.values()]
            backlog = RECORD_SECONDS * self.head.round * len(self.federation.registered)
            self._out.append(SetTimer("leave", LEAVE_STALLS * self.rules.stall_seconds + backlog))
        elif name == "leave" and self.stage is Stage.LEAVING:
            self._report("the chain has not taken all records: they wait in the outbox")
            self._finish()

    # -- when to merge -------------------------------------------------------------------------------------------------

    def _fresh(self) -> dict[bytes, PlainNews]:
        return self.others.fresh(self.head.versions, self.version if self._mine() else 0)

    def _mine(self) -> Served | None:
        """My version, if no merge of mine contains it yet."""
        served = self.served
        new = served is not None and served.signed.statement.version > self.head.versions.get(self.me, 0)
        return served if new else None

    def _maybe_merge(self) -> None:
        """The barrier: start as soon as everybody who is there and will have news has some."""
        if self.stage is not Stage.WAITING:
            return
        fresh = self._fresh()
        if self.others.awaited(fresh):
            return
        if fresh or (self.federation.near is not None and self._mine()):  # who has no neighbour left merges alone
            self._pull(fresh)
        elif not self.others.gone | self.others.convicted:
            self._leave("all others have made their last merge, and it is contained in mine")

    def _out_of_patience(self) -> None:
        """With whoever is fresh; alone, once nobody is there any more who is busy with news."""
        for peer in self.others.silent():
            self.others.lost(peer)
            self._report("it answers no ping: it is taken for gone", peer)
        fresh = self._fresh()
        awaited = self.others.awaited(fresh)
        busy = awaited - self.others.idle
        self._idle_looks = 0 if busy else self._idle_looks + 1
        self.others.ping(awaited)
        self._out.append(Broadcast(m.HeadRequest()))
        if fresh or (self._mine() and not busy):
            self._pull(fresh)
        elif awaited and self._idle_looks < IDLE_LOOKS:
            self._out += [Broadcast(self._news()), SetTimer("merge", self.rules.patience)]
        else:
            self._leave("nobody has anything to merge any more")

    # -- pulling -------------------------------------------------------------------------------------------------------

    def _pull(self, fresh: dict[bytes, PlainNews]) -> None:
        self.stage = Stage.PULLING
        self.pull = Pull(fresh, self._parameters())
        self._out += [CancelTimer("merge"), Phase("exchange"), SetTimer("pull", self.rules.stall_seconds)]
        self._out += self.pull.start(self.ancestry)
        self._maybe_pulled(alone=not fresh)

    def _on_fetched(self, artefact: bytes, blob: bytes) -> None:
        effects, wrong, learned = self.ancestry.on_blob(artefact, blob)
        self._out += effects
        for judged in learned:
            self._convict(self.statements.heard(zip(judged.participants.peers, judged.body.updates, strict=True)))
        self._out += [Record(j.record) for j in learned if j.body.initiator in self.others.gone]
        if self.stage is Stage.RETURNING and self._saved is not None:
            if wrong:
                raise InputError(f"this peer's own past does not hold: {wrong[0][1]}")
            if not self.ancestry.waits_for(self.me):
                self._return(self._saved)
            return
        if self.pull is None:
            return
        for peer, why in [*wrong, *self.pull.on_blob(artefact, blob)]:
            if peer in self.pull.chosen:
                self._fault(peer, f"version {version_in(self.pull.chosen[peer])}: {why}")
                self._drop(peer, refuse=True)
        self._maybe_pulled()

    def _on_unfetched(self, owner: bytes, artefact: bytes) -> None:
        if self.stage is Stage.RETURNING and self._saved is not None and owner == self.me:
            if artefact == self._saved.head_transcript:
                raise InputError("the transcript of this peer's last merge is not in the store: start it anew")
            self.ancestry.pending[self.me].pop(artefact, None)  # older ones only help others
            if not self.ancestry.waits_for(self.me):
                self._return(self._saved)
            return
        pull = self.pull
        if pull is None or owner not in pull.chosen:
            return
        weights = pull.update_of(owner).artefact == artefact
        if weights and owner in pull.weights:
            return
        if not weights and artefact not in self.ancestry.pending.get(owner, {}):
            return
        again = pull.again(owner, artefact, 4 * self._parameters() if weights else MAX_TRANSCRIPT_BYTES)
        self._out += again
        if not again:
            self._leave_out(owner, "its weights or the records behind them cannot be had")
            self._maybe_pulled()

    def _leave_out(self, peer: bytes, why: str) -> None:
        """Nobody's fault: the merge goes on without it."""
        if self.pull is not None:
            version = version_in(self.pull.chosen[peer])
            self._journal("refusal", sid=self.exchange.hex(), by="0x" + peer.hex(), version=version, sentence=why)
            self._report(f"version {version} is left out: {why}", peer)
            self._drop(peer, refuse=False)

    def _drop(self, peer: bytes, *, refuse: bool) -> None:
        if self.pull is not None:
            news = self.pull.chosen.pop(peer)
            self.others.forget(peer, version_in(news), refuse=refuse)
            self.ancestry.drop(peer)

    def _maybe_pulled(self, *, alone: bool = False) -> None:
        pull = self.pull
        if pull is None or self.stage is not Stage.PULLING or not pull.complete(self.ancestry):
            return
        self._out.append(CancelTimer("pull"))
        if not pull.chosen and not alone:
            self._wait_on()
        elif self._enough(pull):
            self.stage = Stage.CLOSING
            self._out.append(CloseEmissions(self.head.round + 1))

    def _wait_on(self) -> None:
        self.pull, self.stage = None, Stage.WAITING
        self._out += [Phase("wait"), SetTimer("merge", self.rules.patience)]

    def _enough(self, pull: Pull) -> bool:
        """Whether the rule may merge these. If not: my own version alone, and the others' another time."""
        mine = self._mine() is not None
        wrong = self.rules.rule.too_few(len(pull.chosen) + mine, brings_own=mine) if pull.chosen else ""
        if not wrong:
            return True
        self._report(f"nothing of the others is merged: {wrong}")
        if mine:
            pull.chosen.clear()
            return True
        self._lean_looks += 1
        if self._lean_looks < IDLE_LOOKS:
            self._wait_on()
        else:
            self.pull = None
            self._leave("too few models come together for the rule, and it has none of its own")
        return False

    # -- merging -------------------------------------------------------------------------------------------------------

    def _merge(self, emissions: bytes) -> None:
        pull, self.pull = self.pull, None
        if pull is None:
            raise AssertionError("a merge without a pull")
        body, model = merged(self.exchange, self.me, self.head, pull, self._mine(), emissions, self.rules.rule)
        self._stand_on(body, model)
        if self.head.round >= self.rules.rounds:
            self._leave()
        else:
            self._train()

    def _stand_on(self, body: PlainBody, model: Vector) -> None:
        statement = PlainMerge(self.exchange, body.merge, body.digest())
        transcript = PlainTranscript(body, sign(statement, self.account, self.federation.domain))
        blob = encode_plain(transcript)
        judged = self._own_judged(transcript, blob)
        self._out += [Store(canonical(model)), Store(blob)]
        self.ancestry.known[judged.record.record_hash()] = judged
        self.history = [replace(judged, model=model)]
        step = (model.astype(np.float64) - self.head.model.astype(np.float64)).astype(np.float32)
        local = self.served.weights if self.served else self.head.model
        self.head = standing_on(judged, model, step)
        self._save("training", local)
        digest = statement.digest(self.federation.domain).hex()
        sid = merge_id(self.exchange, self.me, body.merge).hex()
        fields = {"record": self.head.record.hex(), "transcript": self.head.transcript.hex()}
        self._out += [
            Journal("signed", body.merge, {"type": "PlainMerge", "sid": sid, "digest": digest}),
            Journal("closed", body.merge, {**fields, "aggregate": body.aggregate.hex(), "depth": body.round}),
            Record(judged.record),
            self._progress(judged),
        ]

    def _own_judged(self, transcript: PlainTranscript, blob: bytes) -> PlainJudged:
        match judge_statements(self.federation, sha256(blob), transcript):
            case Fault(sentence=sentence):
                raise AssertionError(f"our own merge does not hold: {sentence}")
            case judged:
                return judged

    def _progress(self, judged: PlainJudged) -> Progress:
        members = judged.participants.peers
        due = self.federation.registered if self.others.near is None else self.others.near
        missing = tuple(sorted(due - set(members)))
        accuracy = self.own.correct * 1_000_000 // self.own.examples if self.own.examples else 0
        return Progress(judged.body.merge, members, missing, {}, judged.body.aggregate, accuracy)

    # -- leaving -------------------------------------------------------------------------------------------------------

    def _leave(self, early: str = "") -> None:
        """No more merges: the last records go to the chain, and what I serve stays for those who are slower."""
        self.stage = Stage.LEAVING
        if early:
            self._report(f"this peer ends after {self.head.round} merges: {early}")
        self._out += [
            CancelTimer("merge"),
            Phase("ledger"),
            Broadcast(self._news()),
            SetTimer("leave", 2 * self.rules.patience),
            CloseEmissions(),
        ]

    def _finish(self) -> None:
        self.stage = Stage.DONE
        self._out += [CancelTimer("leave"), Finish()]

    # -- small things --------------------------------------------------------------------------------------------------

    def _vector(self) -> tuple[Versioned, ...]:
        return tuple(Versioned(peer, version) for peer, version in sorted(self.head.versions.items()))

    def _parameters(self) -> int:
        return int(self.head.model.size)

    def _journal(self, kind: str, **fields: object) -> None:
        self._out.append(Journal(kind, self.head.round + 1, dict(fields)))

    def _report(self, sentence: str, culprit: bytes | None = None) -> None:
        self._out.append(Report("warning", sentence, self.head.round + 1, culprit))

    def _fault(self, culprit: bytes, sentence: str, **evidence: object) -> None:
        """Recorded once: who repeats itself does not fill our disk."""
        if (culprit, sentence) not in self._said:
            self._said.add((culprit, sentence))
            self._journal("fault", culprit="0x" + culprit.hex(), sentence=sentence, **evidence)
            self._report(sentence, culprit)

    def _save(self, status: str, local: Vector) -> None:
        """`local` is what I serve, `base` the model of my last merge; `status` free: no merge contains it yet."""
        state = PrivateState(
            version=self.version,
            status=status,
            sid=b"",
            head=self.head.record,
            head_transcript=self.head.transcript,
            head_round=self.head.depth,
            local=local,
            base=self.head.model,
            metrics=(self.own.examples, self.own.correct, self.own.loss),
        )
        self._out.append(Save(state))
